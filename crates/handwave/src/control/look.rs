//! From the stack's own view of its sockets and counters to the protocol's.

use std::collections::BTreeMap;
use std::time::Duration;

use handwave_stack::{
    ConnectionSnapshot, HalfOpenSnapshot, ListenerSnapshot, SocketSnapshot, TimeWaitSnapshot,
    UdpSnapshot,
};
use handwave_tcp::{Endpoint, FloodState, Instant, ListenerRates, Phase, TcpInfo, Timer};

use super::protocol::{
    Flood, Info, Memory, Netid, Order, Place, Queues, Rates, RunningTimer, Select, Socket, State,
    TopSource,
};
use super::survey::Seen;

/// The socket as the protocol has it.
pub(super) fn socket(seen: Seen, now: Instant, details: bool) -> Socket {
    let shard = seen.shard;
    let mut socket = match seen.snapshot {
        SocketSnapshot::Listener(listener) => {
            of_listener(listener, now, seen.rates, &seen.top_sources)
        }
        SocketSnapshot::HalfOpen(half_open) => of_half_open(&half_open, now, details),
        SocketSnapshot::Connection(connection) => of_connection(connection, now, details),
        SocketSnapshot::TimeWait(record) => of_time_wait(record, now, details),
        SocketSnapshot::Udp(udp) => of_udp(&udp, details),
    };
    // Each shard has names of its own.
    if shard > 0 && !socket.id.is_empty() {
        socket.id = format!("{shard}/{}", socket.id);
    }
    socket
}

/// Whether a socket of this kind is asked for, before it costs anything to describe it.
pub(super) fn is_selected(snapshot: &SocketSnapshot, select: &Select) -> bool {
    let (netid, state) = (netid(snapshot), state(snapshot));
    select.netid.is_none_or(|wanted| wanted == netid)
        && (select.states.is_empty() || select.states.contains(&state))
}

fn netid(snapshot: &SocketSnapshot) -> Netid {
    match snapshot {
        SocketSnapshot::Udp(_) => Netid::Udp,
        _ => Netid::Tcp,
    }
}

/// The state of a socket.
pub(super) fn state(snapshot: &SocketSnapshot) -> State {
    match snapshot {
        SocketSnapshot::Listener(_) => State::Listen,
        SocketSnapshot::HalfOpen(_) => State::SynReceived,
        SocketSnapshot::Connection(connection) => of_phase(connection.info.phase),
        SocketSnapshot::TimeWait(_) => State::TimeWait,
        SocketSnapshot::Udp(_) => State::Unconnected,
    }
}

fn of_phase(phase: Phase) -> State {
    match phase {
        Phase::Closed => State::Closed,
        Phase::Listen => State::Listen,
        Phase::SynSent => State::SynSent,
        Phase::SynReceived => State::SynReceived,
        Phase::Established => State::Established,
        Phase::FinWait1 => State::FinWait1,
        Phase::FinWait2 => State::FinWait2,
        Phase::CloseWait => State::CloseWait,
        Phase::Closing => State::Closing,
        Phase::LastAck => State::LastAck,
        Phase::TimeWait => State::TimeWait,
    }
}

/// What a connection is ordered by.
pub(super) fn rank(snapshot: &SocketSnapshot, order: Order) -> u64 {
    let SocketSnapshot::Connection(ConnectionSnapshot { info, .. }) = snapshot else {
        return 0;
    };
    match order {
        Order::RecvQ => info.receivable.into(),
        Order::SendQ => u64::from(info.unacked) + u64::from(info.notsent),
        Order::Rtt => info.rtt.map_or(0, micros),
        Order::Cwnd => info.snd_cwnd.into(),
        Order::Retransmissions => info.total_retrans.into(),
        Order::Received => info.bytes_received,
        Order::Acknowledged => info.bytes_acked,
    }
}

fn of_listener(
    listener: ListenerSnapshot,
    now: Instant,
    rates: ListenerRates,
    top_sources: &[handwave_tcp::TopSource],
) -> Socket {
    let counted = |value: usize| value as u64;
    Socket {
        recv_q: counted(listener.waiting),
        send_q: counted(listener.limits.accept_queue_max),
        queues: Some(Queues {
            syn_queue: counted(listener.half_open),
            syn_queue_max: counted(listener.limits.syn_queue_max),
            accept_queue: counted(listener.waiting),
            accept_queue_max: counted(listener.limits.accept_queue_max),
            counters: super::counters::of_listener(&listener.counters),
            rates: Rates {
                syns: rates.syns,
                established: rates.established,
                cookies_sent: rates.cookies_sent,
                cookies_received: rates.cookies_received,
                cookies_failed: rates.cookies_failed,
                drops: rates.drops,
            },
            flood: flood(listener.flood, now),
            top_sources: top_sources.iter().map(top_source).collect(),
        }),
        ..bare(
            State::Listen,
            Place {
                addr: listener.at.addr,
                port: listener.at.port,
            },
            Place::default(),
            listener.id.to_string(),
        )
    }
}

fn flood(state: FloodState, now: Instant) -> Flood {
    match state {
        FloodState::Calm => Flood::Calm,
        FloodState::Flooded { since } => Flood::Flooded {
            for_ms: millis_until(now, since),
        },
    }
}

fn top_source(source: &handwave_tcp::TopSource) -> TopSource {
    TopSource {
        prefix: source.prefix.to_string(),
        syns_per_second: source.syns_per_second,
    }
}

fn of_half_open(half_open: &HalfOpenSnapshot, now: Instant, details: bool) -> Socket {
    let record = &half_open.record;
    let timer = record.due.filter(|_| details).map(|due| RunningTimer {
        timer: "syn-ack".to_owned(),
        expires_ms: millis_until(due, now),
        retries: u32::from(record.syn_acks).saturating_sub(1),
    });
    Socket {
        timers: timer.into_iter().collect(),
        ..bare(
            State::SynReceived,
            place(record.tuple.local),
            place(record.tuple.remote),
            half_open.listener.to_string(),
        )
    }
}

fn of_connection(connection: ConnectionSnapshot, now: Instant, details: bool) -> Socket {
    let info = &connection.info;
    let mut socket = Socket {
        recv_q: info.receivable.into(),
        send_q: u64::from(info.unacked) + u64::from(info.notsent),
        orphan: connection.orphan,
        ..bare(
            of_phase(info.phase),
            place(connection.tuple.local),
            place(connection.tuple.remote),
            connection.id.to_string(),
        )
    };
    if details {
        let running = connection.timers.iter();
        socket.timers = running
            .map(|timer| running_timer(*timer, info, now))
            .collect();
        socket.timers.sort_by_key(|timer| timer.expires_ms);
        socket.memory = Some(Memory {
            held: connection.held as u64,
            send_buffer: connection.info.snd_buffer.into(),
            receive_buffer: connection.info.rcv_buffer.into(),
        });
        socket.info = Some(Box::new(numbers(&connection.info, now)));
    }
    socket
}

fn of_time_wait(record: TimeWaitSnapshot, now: Instant, details: bool) -> Socket {
    let timer = details.then(|| RunningTimer {
        timer: "time-wait".to_owned(),
        expires_ms: millis_until(record.deadline, now),
        retries: 0,
    });
    Socket {
        timers: timer.into_iter().collect(),
        ..bare(
            State::TimeWait,
            place(record.tuple.local),
            place(record.tuple.remote),
            String::new(),
        )
    }
}

fn of_udp(udp: &UdpSnapshot, details: bool) -> Socket {
    let local = Place {
        addr: udp.addr,
        port: udp.port,
    };
    let memory = details.then(|| Memory {
        held: udp.held as u64,
        ..Memory::default()
    });
    Socket {
        netid: Netid::Udp,
        recv_q: udp.held as u64,
        memory,
        ..bare(
            State::Unconnected,
            local,
            Place::default(),
            udp.id.to_string(),
        )
    }
}

fn bare(state: State, local: Place, peer: Place, id: String) -> Socket {
    Socket {
        netid: Netid::Tcp,
        state,
        local,
        peer,
        recv_q: 0,
        send_q: 0,
        id,
        orphan: false,
        queues: None,
        timers: Vec::new(),
        memory: None,
        info: None,
    }
}

fn place(endpoint: Endpoint) -> Place {
    Place {
        addr: Some(endpoint.addr),
        port: endpoint.port,
    }
}

fn running_timer((timer, at): (Timer, Instant), info: &TcpInfo, now: Instant) -> RunningTimer {
    let (name, retries) = match timer {
        Timer::Retransmission => ("retransmission", info.retransmits),
        Timer::Persist => ("persist", info.probes),
        Timer::Pacing => ("pacing", 0),
        Timer::DelayedAck => ("delayed-ack", 0),
        Timer::KeepAlive => ("keep-alive", info.probes),
        Timer::UserTimeout => ("user-timeout", 0),
        Timer::FinWait2 => ("fin-wait-2", 0),
        Timer::TimeWait => ("time-wait", 0),
        #[allow(
            unreachable_patterns,
            reason = "a timer that has no name here yet is still shown"
        )]
        _ => ("other", 0),
    };
    RunningTimer {
        timer: name.to_owned(),
        expires_ms: millis_until(at, now),
        retries: retries.into(),
    }
}

fn numbers(info: &TcpInfo, now: Instant) -> Info {
    let since = |at: Instant| micros(now.saturating_since(at));
    Info {
        congestion: info.congestion.to_owned(),
        timestamps: info.timestamps,
        sack: info.sack,
        window_scaling: info.window_scaling,
        snd_wscale: info.snd_wscale,
        rcv_wscale: info.rcv_wscale,
        rto_us: micros(info.rto),
        ato_us: micros(info.ato),
        rtt_us: info.rtt.map(micros),
        rttvar_us: info.rttvar.map(micros),
        min_rtt_us: info.min_rtt.map(micros),
        snd_mss: info.snd_mss,
        rcv_mss: info.rcv_mss,
        advmss: info.advmss,
        pmtu: info.pmtu,
        snd_cwnd: info.snd_cwnd,
        snd_ssthresh: info.snd_ssthresh,
        snd_wnd: info.snd_wnd,
        rcv_wnd: info.rcv_wnd,
        rcv_ssthresh: info.rcv_ssthresh,
        unacked: info.unacked,
        sacked: info.sacked,
        lost: info.lost,
        retrans: info.retrans,
        notsent: info.notsent,
        backoff: info.backoff,
        retransmits: info.retransmits,
        probes: info.probes,
        bytes_sent: info.bytes_sent,
        bytes_retrans: info.bytes_retrans,
        bytes_acked: info.bytes_acked,
        bytes_received: info.bytes_received,
        segs_out: info.segs_out,
        segs_in: info.segs_in,
        data_segs_out: info.data_segs_out,
        data_segs_in: info.data_segs_in,
        total_retrans: info.total_retrans,
        timeouts: info.timeouts,
        pacing_rate: info.pacing_rate,
        last_data_sent_us: info.last_sent.map(since),
        last_ack_recv_us: info.last_heard.map(since),
    }
}

fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

fn millis_until(at: Instant, now: Instant) -> u64 {
    at.as_millis().saturating_sub(now.as_millis())
}

/// Counters by name, as the protocol has them.
pub(super) fn named(
    counters: impl IntoIterator<Item = (&'static str, u64)>,
) -> BTreeMap<String, u64> {
    let owned = counters.into_iter();
    owned
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}
