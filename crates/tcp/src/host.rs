//! What all connections of one stack share: secrets, the challenge-ACK budget, memory pressure, counters, the tracer.

use alloc::boxed::Box;
use core::fmt;

use crate::buffer::BufferPool;
use crate::error::DropReason;
use crate::isn::TupleSecret;
use crate::listener::{CookieKeys, DescribedCounter};
use crate::siphash::{Rest, SipKey};
use crate::time::Instant;
use crate::trace::{TraceEntry, Tracer};
use crate::tuple::Tuple;

/// The moment and the shared state that a call into a connection works with.
#[derive(Debug)]
pub struct Context<'a> {
    /// The time of the call.
    pub now: Instant,
    /// What the connections of one stack share.
    pub host: &'a mut Host,
}

impl<'a> Context<'a> {
    /// Joins a moment and the shared state.
    pub const fn new(now: Instant, host: &'a mut Host) -> Self {
        Self { now, host }
    }
}

/// Secrets that make sequence numbers and timestamps unguessable; configuration, never drawn here.
#[derive(Clone)]
pub struct Secrets {
    /// Key of the initial sequence numbers (RFC 6528) and of the timestamp offsets (RFC 7323 5.4), which are halves of one hash.
    pub isn_key: [u8; 16],
    /// Key of hash tables and of everything else that an outsider must not predict.
    pub table_key: [u8; 16],
}

impl Secrets {
    /// Derives all secrets from one number, for simulation and tests: the same seed gives the same packets.
    ///
    /// Programs that face a network must fill the fields from the operating system's entropy.
    #[must_use]
    pub fn from_seed(seed: u64) -> Self {
        let key = |label: u64| {
            let mut key = [0; 16];
            let hash = |part| SipKey::new(&[0x5a; 16]).hash24([seed, label, part], Rest::NONE);
            key[..8].copy_from_slice(&hash(0).to_le_bytes());
            key[8..].copy_from_slice(&hash(1).to_le_bytes());
            key
        };
        Self {
            isn_key: key(1),
            table_key: key(3),
        }
    }

    /// A key of its own for one use, so that what that use shows says nothing about others.
    fn derive(&self, label: &[u8; 7]) -> [u8; 16] {
        let mut word = [0; 8];
        word[..7].copy_from_slice(label);
        let half = |part: u8| {
            let word = u64::from_le_bytes(word) | u64::from(part) << 56;
            let key = SipKey::new(&self.table_key);
            key.hash24([word], Rest::NONE).to_le_bytes()
        };
        let mut key = [0; 16];
        key[..8].copy_from_slice(&half(0));
        key[8..].copy_from_slice(&half(1));
        key
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secrets(..)")
    }
}

/// How scarce memory is; the owner of the connections sets it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pressure {
    /// Plenty.
    #[default]
    None,
    /// Windows and buffers stop growing and shrink to what is in use.
    Soft,
    /// Out-of-order text is given back; text that arrives is refused and none is taken for sending, but for the little that keeps each
    /// connection going; orphans with a shut window are ended (RFC 6429).
    Hard,
}

/// Bytes of memory that buffers may still take; the owner of the connections keeps it up to date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryRoom {
    /// For whoever holds some already. The last to find room may take more than there is.
    pub ordinary: usize,
    /// For a connection that holds none, so that it gets on. Nobody takes more than this.
    pub last: usize,
}

impl Default for MemoryRoom {
    fn default() -> Self {
        Self {
            ordinary: usize::MAX,
            last: usize::MAX,
        }
    }
}

impl MemoryRoom {
    /// Whether `cost` bytes may be taken by a buffer that holds something (`has_some`) or nothing.
    pub(crate) const fn admits(self, cost: usize, has_some: bool) -> bool {
        cost <= self.last && (!has_some || self.ordinary > 0)
    }
}

/// What the connections of one stack share.
#[derive(Debug)]
pub struct Host {
    /// Keys for sequence numbers and timestamps.
    pub secrets: Secrets,
    /// Host-wide limit on challenge ACKs.
    pub challenge: ChallengeBudget,
    /// Keys of SYN cookies.
    pub cookie_keys: CookieKeys,
    /// How scarce memory is.
    pub pressure: Pressure,
    /// What may still be taken of it.
    pub room: MemoryRoom,
    /// Memory that buffers have left behind.
    pub buffers: BufferPool,
    /// What happened so far, for `netstat -s` and its like.
    pub counters: Counters,
    tracer: Option<Box<dyn Tracer + Send>>,
}

impl Host {
    /// A host with full budgets and no tracer.
    #[must_use]
    pub fn new(secrets: Secrets) -> Self {
        Self {
            challenge: ChallengeBudget::new(&secrets, ChallengeBudget::DEFAULT_PER_SECOND),
            cookie_keys: CookieKeys::new(secrets.derive(b"cookies")),
            secrets,
            pressure: Pressure::None,
            room: MemoryRoom::default(),
            buffers: BufferPool::default(),
            counters: Counters::default(),
            tracer: None,
        }
    }

    /// Sends every later trace entry to `tracer`; `None` turns tracing off, which costs nothing per segment.
    pub fn set_tracer(&mut self, tracer: Option<Box<dyn Tracer + Send>>) {
        self.tracer = tracer;
    }

    /// Whether anyone looks at trace entries.
    #[must_use]
    pub const fn is_traced(&self) -> bool {
        self.tracer.is_some()
    }

    pub(crate) fn trace(&mut self, entry: &TraceEntry) {
        if let Some(tracer) = &mut self.tracer {
            tracer.record(entry);
        }
    }

    /// What initial sequence numbers (RFC 6528, RFC 9293 3.4.1 [MUST-8] [MUST-9] [SHLD-1]) and timestamps on `tuple` begin with.
    #[inline]
    pub(crate) fn secret_of(&self, tuple: &Tuple) -> TupleSecret {
        TupleSecret::of(&self.secrets.isn_key, tuple)
    }

    /// What is added to the millisecond clock for TSval on `tuple` (RFC 7323 5.4) [RFC7323-29].
    pub(crate) fn timestamp_offset(&self, tuple: &Tuple) -> u32 {
        self.secret_of(tuple).timestamp_offset
    }
}

/// Host-wide limit on challenge ACKs, a new random share each second (RFC 5961 7, RFC 9293 3.10.7.4).
///
/// A fixed limit would let an off-path attacker count how many remain and so learn about other connections
/// (CVE-2016-5696); the limit of each second is drawn between half and one and a half of the mean.
#[derive(Clone, Debug)]
pub struct ChallengeBudget {
    key: [u8; 16],
    per_second: u32,
    second: u64,
    left: u32,
}

impl ChallengeBudget {
    /// Mean number of challenge ACKs a host sends each second.
    pub const DEFAULT_PER_SECOND: u32 = 1000;

    /// A budget of `per_second` on average.
    #[must_use]
    pub fn new(secrets: &Secrets, per_second: u32) -> Self {
        Self {
            key: secrets.table_key,
            per_second,
            second: u64::MAX,
            left: 0,
        }
    }

    /// Takes one challenge ACK from this second's share; `false` when it is used up.
    pub fn take(&mut self, now: Instant) -> bool {
        let second = now.as_millis() / 1000;
        if second != self.second {
            self.second = second;
            let draw = SipKey::new(&self.key).hash24([second], Rest::NONE);
            let spread = u64::from(self.per_second).max(1);
            let share = spread / 2 + draw % spread;
            self.left = u32::try_from(share).unwrap_or(u32::MAX);
        }
        match self.left.checked_sub(1) {
            Some(left) => {
                self.left = left;
                true
            }
            None => false,
        }
    }
}

/// Declares the counters with their names, so that they can be listed.
macro_rules! counters {
    ($($(#[doc = $doc:literal])* $name:ident = $shown:literal,)*) => {
        /// Counts of what happened, in the meaning of Linux's counters where there is one.
        #[derive(Clone, Debug, Default)]
        pub struct Counters {
            $($(#[doc = $doc])* pub $name: u64,)*
            dropped: [u64; DropReason::COUNT],
        }

        impl Counters {
            /// All counters with what they count, segments dropped apart.
            ///
            /// ```
            /// use handwave_tcp::Counters;
            ///
            /// let counters = Counters::default();
            /// assert!(counters.described().any(|counter| counter.field == "timeouts" && counter.name == "TcpExtTCPTimeouts"));
            /// ```
            pub fn described(&self) -> impl Iterator<Item = DescribedCounter> {
                [$(crate::described_counter!(self.$name, $shown, $($doc),*)),*].into_iter()
            }
        }
    };
}

counters! {
    /// Segments handed to connections and listeners (`InSegs`).
    segments_in = "TcpInSegs",
    /// Segments built, retransmissions apart (`OutSegs` counts both).
    segments_out = "TcpOutSegs",
    /// Segments that carried octets a second time (`RetransSegs`).
    segments_retransmitted = "TcpRetransSegs",
    /// RSTs sent (`OutRsts`).
    resets_out = "TcpOutRsts",
    /// Connections opened actively (`ActiveOpens`).
    active_opens = "TcpActiveOpens",
    /// Connections opened passively, counted when established (`PassiveOpens`).
    passive_opens = "TcpPassiveOpens",
    /// Handshakes that failed (`AttemptFails`).
    attempt_fails = "TcpAttemptFails",
    /// Established connections ended by RST (`EstabResets`).
    established_resets = "TcpEstabResets",
    /// Retransmission timeouts (`TCPTimeouts`).
    timeouts = "TcpExtTCPTimeouts",
    /// Fast recoveries entered (`TCPSackRecovery` + `TCPRenoRecovery`).
    fast_recoveries = "TcpExtTCPFastRecovery",
    /// Challenge ACKs sent (`TCPChallengeACK`).
    challenge_acks = "TcpExtTCPChallengeACK",
    /// Challenge ACKs held back by a budget (`TCPACKSkippedChallenge`).
    challenge_acks_skipped = "TcpExtTCPACKSkippedChallenge",
    /// Zero-window probes sent (`TCPWinProbe`).
    window_probes = "TcpExtTCPWinProbe",
    /// Keep-alive probes sent (`TCPKeepAlive`).
    keepalive_probes = "TcpExtTCPKeepAlive",
    /// Out-of-order segments queued (`TCPOFOQueue`).
    out_of_order = "TcpExtTCPOFOQueue",
    /// Out-of-order segments refused because there were too many gaps (`TCPOFODrop`).
    out_of_order_refused = "TcpExtTCPOFODrop",
    /// Octets of out-of-order text given back under memory pressure (`OfoPruned`).
    out_of_order_pruned = "TcpExtOfoPruned",
    /// Times that a connection held more than it may, or memory was scarce, and its receive buffer was gone through (`PruneCalled`).
    prunes = "TcpExtPruneCalled",
    /// Segments dropped because there was no memory for their text (`TCPRcvQDrop`).
    receive_queue_drops = "TcpExtTCPRcvQDrop",
    /// Times that a receive buffer grew.
    receive_buffers_grown = "ReceiveBuffersGrown",
    /// Times that a send buffer grew.
    send_buffers_grown = "SendBuffersGrown",
    /// Writes of which less was taken than there was room for, because memory was scarce.
    writes_cut = "WritesCut",
}

impl Counters {
    /// How many segments were dropped for `reason`.
    #[must_use]
    pub const fn dropped(&self, reason: DropReason) -> u64 {
        self.dropped[reason.index()]
    }

    /// Counts one segment dropped for `reason`.
    pub const fn count_drop(&mut self, reason: DropReason) {
        self.dropped[reason.index()] += 1;
    }
}
