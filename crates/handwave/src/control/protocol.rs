//! What is said on a control socket: one JSON object a line, in both directions, UTF-8.
//!
//! The server speaks first and says [`Hello`]. Then for each [`Request`] it answers with any number of [`Reply`] lines,
//! of which the last is [`Reply::End`] or [`Reply::Error`]. Requests are answered one after the other.
//!
//! ```text
//! <- {"protocol":"handwave-control","version":1,"program":"handwave serve","pid":4711}
//! -> {"request":"sockets","states":["SYN-RECEIVED"]}
//! <- {"type":"socket","netid":"tcp","state":"SYN-RECEIVED","local":{"addr":"10.0.0.2","port":80}, ..}
//! <- {"type":"end","count":1}
//! -> {"request":"sockets","states":["LISTEN"]}
//! <- {"type":"socket","netid":"tcp","state":"LISTEN","local":{"addr":null,"port":80}, ..,
//!     "queues":{"syn_queue":1024,"syn_queue_max":1024, ..,"rates":{"syns":48213,"cookies_sent":48190, ..},
//!               "flood":{"state":"flooded","for_ms":42000}}}
//! <- {"type":"end","count":1}
//! ```
//!
//! A field that a reader does not know is to be passed over, and one that is missing has its default, so fields may be
//! added under the same [`VERSION`]. The version rises when something changes its meaning. A request line is at most
//! [`REQUEST_MAX`] octets long. What cannot be understood is answered with an error, and the next line is read.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// The version of the protocol that this library speaks.
pub const VERSION: u32 = 1;
/// The longest line that a server reads, in octets.
pub const REQUEST_MAX: usize = 4096;
/// The most sockets that a request with an [`Order`] gets.
pub const ORDERED_MAX: usize = 10_000;

/// The most source prefixes that are shown of a listener.
pub const TOP_SOURCES_MAX: usize = 16;

/// The first line of a server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// `handwave-control`.
    pub protocol: String,
    /// The version of the protocol.
    pub version: u32,
    /// What the program calls itself.
    pub program: String,
    /// The process.
    pub pid: u32,
}

/// What a client wants to know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "kebab-case")]
pub enum Request {
    /// Sockets: a [`Reply::Socket`] each.
    Sockets(Select),
    /// Every counter: one [`Reply::Counters`].
    Counters,
    /// Counts, limits, listeners and counters: one [`Reply::Summary`].
    Summary,
}

/// Which sockets, and how many. The default is all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Select {
    /// Only of this protocol.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub netid: Option<Netid>,
    /// Only in one of these states; empty means any.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub states: Vec<State>,
    /// With [`Socket::info`], [`Socket::timers`], [`Socket::memory`] and [`Queues::top_sources`].
    pub details: bool,
    /// Those that come first in this order, [`ORDERED_MAX`] at most, instead of all in the order of the tables.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order: Option<Order>,
    /// No more than so many.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
}

/// What sockets are ordered by; the greatest comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    /// Octets that wait to be read.
    RecvQ,
    /// Octets that wait to be acknowledged.
    SendQ,
    /// Smoothed round-trip time.
    Rtt,
    /// Congestion window.
    Cwnd,
    /// Segments retransmitted.
    Retransmissions,
    /// Octets received.
    Received,
    /// Octets acknowledged.
    Acknowledged,
}

/// A line of an answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum Reply {
    /// A socket.
    Socket(Box<Socket>),
    /// Counters by name; where Linux counts the same thing, the name is that of `nstat`.
    Counters {
        /// Name and value.
        counters: BTreeMap<String, u64>,
    },
    /// The whole at a glance.
    Summary(Box<Summary>),
    /// The answer is complete.
    End {
        /// Sockets shown.
        count: u64,
    },
    /// There is no answer, or no more of it.
    Error {
        /// For programs.
        code: ErrorCode,
        /// For people.
        message: String,
    },
}

/// Why a request was not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ErrorCode {
    /// The line is no request.
    BadRequest,
    /// The line is longer than [`REQUEST_MAX`]. The server hangs up.
    TooLong,
    /// Too many clients are connected. The server hangs up.
    Busy,
    /// The stack has ended. The server hangs up.
    Ended,
}

/// The protocol of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Netid {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

/// A state of RFC 9293 3.3.2, or that of a UDP socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING-KEBAB-CASE")]
#[expect(missing_docs, reason = "the names are the RFC's")]
pub enum State {
    Listen,
    SynSent,
    SynReceived,
    Established,
    #[serde(rename = "FIN-WAIT-1")]
    FinWait1,
    #[serde(rename = "FIN-WAIT-2")]
    FinWait2,
    CloseWait,
    Closing,
    LastAck,
    TimeWait,
    Closed,
    /// A UDP socket without a peer.
    Unconnected,
}

impl State {
    /// All states.
    pub const ALL: [Self; 12] = [
        Self::Listen,
        Self::SynSent,
        Self::SynReceived,
        Self::Established,
        Self::FinWait1,
        Self::FinWait2,
        Self::CloseWait,
        Self::Closing,
        Self::LastAck,
        Self::TimeWait,
        Self::Closed,
        Self::Unconnected,
    ];

    /// The state as the RFC spells it, which is also how it is written here.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Listen => "LISTEN",
            Self::SynSent => "SYN-SENT",
            Self::SynReceived => "SYN-RECEIVED",
            Self::Established => "ESTABLISHED",
            Self::FinWait1 => "FIN-WAIT-1",
            Self::FinWait2 => "FIN-WAIT-2",
            Self::CloseWait => "CLOSE-WAIT",
            Self::Closing => "CLOSING",
            Self::LastAck => "LAST-ACK",
            Self::TimeWait => "TIME-WAIT",
            Self::Closed => "CLOSED",
            Self::Unconnected => "UNCONNECTED",
        }
    }
}

/// An address and a port; either may be any.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The address; absent for any.
    pub addr: Option<IpAddr>,
    /// The port; 0 for any.
    pub port: u16,
}

/// One socket.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Socket {
    /// Its protocol.
    pub netid: Netid,
    /// Its state.
    pub state: State,
    /// This host's end.
    pub local: Place,
    /// The peer's end.
    pub peer: Place,
    /// As `ss` has it: octets that wait to be read; of a listener, connections that wait to be accepted.
    pub recv_q: u64,
    /// As `ss` has it: octets not yet acknowledged; of a listener, the limit of the accept queue.
    pub send_q: u64,
    /// What the stack calls it.
    pub id: String,
    /// The application has let go of it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub orphan: bool,
    /// Both queues of a listener.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queues: Option<Queues>,
    /// The timers that run, the next one first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub timers: Vec<RunningTimer>,
    /// What it may hold and holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<Memory>,
    /// The numbers of a connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub info: Option<Box<Info>>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks like that")]
fn is_false(value: &bool) -> bool {
    !value
}

/// The SYN queue and the accept queue of a listener, against their limits, what it has counted, how fast, and whether
/// somebody floods it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Queues {
    /// Half-open records.
    pub syn_queue: u64,
    /// Most half-open records.
    pub syn_queue_max: u64,
    /// Connections that wait to be accepted.
    pub accept_queue: u64,
    /// Most connections that wait to be accepted.
    pub accept_queue_max: u64,
    /// Counters by name.
    pub counters: BTreeMap<String, u64>,
    /// How often things happen.
    pub rates: Rates,
    /// What the flood detector says.
    pub flood: Flood,
    /// The prefixes whose SYNs come fastest, the fastest first, [`TOP_SOURCES_MAX`] at most; with [`Select::details`]
    /// only. The addresses of SYNs are easily forged.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub top_sources: Vec<TopSource>,
}

/// How often things happen at a listener, times a second: as in the last whole window of its flood detector (a second by
/// default), or more if the current window already has more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Rates {
    /// SYNs that arrive.
    pub syns: u32,
    /// Handshakes completed.
    pub established: u32,
    /// SYN+ACKs sent whose numbers are a cookie.
    pub cookies_sent: u32,
    /// Acknowledgments that bring a cookie back.
    pub cookies_received: u32,
    /// Acknowledgments that bring back something else, or too late.
    pub cookies_failed: u32,
    /// SYNs and last acknowledgments lost, for any reason.
    pub drops: u32,
}

/// What a flood detector says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum Flood {
    /// Nothing unusual.
    #[default]
    Calm,
    /// A flood is on.
    Flooded {
        /// For how long, in milliseconds.
        for_ms: u64,
    },
}

/// A prefix that sends many SYNs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TopSource {
    /// Such as `192.0.2.7/32`.
    pub prefix: String,
    /// SYNs a second over the last few seconds.
    pub syns_per_second: f64,
}

/// A timer that runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunningTimer {
    /// Which: `retransmission`, `persist`, `pacing`, `delayed-ack`, `keep-alive`, `user-timeout`, `fin-wait-2`, `time-wait`,
    /// `syn-ack`.
    pub timer: String,
    /// When it expires, in milliseconds from now.
    pub expires_ms: u64,
    /// How often it has expired in a row.
    pub retries: u32,
}

/// Memory of a socket, in octets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Memory {
    /// Held by buffers or queues.
    pub held: u64,
    /// Text that the send buffer takes.
    pub send_buffer: u64,
    /// Text that the receive buffer takes.
    pub receive_buffer: u64,
}

/// The numbers of a connection, named as in Linux's `tcp_info`. Times in microseconds, windows and what is in flight in
/// octets, rates in octets per second.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the names are those of tcp_info")]
pub struct Info {
    pub congestion: String,
    pub timestamps: bool,
    pub sack: bool,
    pub window_scaling: bool,
    pub snd_wscale: u8,
    pub rcv_wscale: u8,
    pub rto_us: u64,
    pub ato_us: u64,
    pub rtt_us: Option<u64>,
    pub rttvar_us: Option<u64>,
    pub min_rtt_us: Option<u64>,
    pub snd_mss: u16,
    pub rcv_mss: u16,
    pub advmss: u16,
    pub pmtu: u16,
    pub snd_cwnd: u32,
    pub snd_ssthresh: u32,
    pub snd_wnd: u32,
    pub rcv_wnd: u32,
    pub rcv_ssthresh: u32,
    pub unacked: u32,
    pub sacked: u32,
    pub lost: u32,
    pub retrans: u32,
    pub notsent: u32,
    pub backoff: u8,
    pub retransmits: u8,
    pub probes: u8,
    pub bytes_sent: u64,
    pub bytes_retrans: u64,
    pub bytes_acked: u64,
    pub bytes_received: u64,
    pub segs_out: u64,
    pub segs_in: u64,
    pub data_segs_out: u64,
    pub data_segs_in: u64,
    pub total_retrans: u32,
    pub timeouts: u32,
    pub pacing_rate: Option<u64>,
    /// Since text was last sent.
    pub last_data_sent_us: Option<u64>,
    /// Since a segment last arrived.
    pub last_ack_recv_us: Option<u64>,
}

/// The whole at a glance.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Summary {
    /// How long the control socket has been open, in milliseconds.
    pub uptime_ms: u64,
    /// TCP sockets in each state that there are any in.
    pub states: BTreeMap<State, u64>,
    /// Connections that no application holds.
    pub orphans: u64,
    /// UDP sockets.
    pub udp: u64,
    /// UDP sockets over IPv6, those on any address among them.
    pub udp_ipv6: u64,
    /// TCP sockets over IPv6, listeners on any address among them.
    pub ipv6: u64,
    /// Octets of memory that all queues hold.
    pub memory_held: u64,
    /// From here on, windows and buffers stop growing.
    pub memory_soft: u64,
    /// From here on, nothing is taken in.
    pub memory_hard: u64,
    /// Every listener.
    pub listeners: Vec<Socket>,
    /// Every counter.
    pub counters: BTreeMap<String, u64>,
}
