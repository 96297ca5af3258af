//! What must hold of a host's connections whenever it has nothing left to send.

use super::failure::Failure;
use super::flood::HOLDERS_MAX;
use super::journal::Journal;
use super::laws::Known;
use super::talk::Talk;
use crate::HostId;
use handwave_stack::Stack;
use handwave_tcp::{Config, Connection, Phase, Segmentation};

/// A sender pins whole chunks, not octets: at most one more at each end of its queue.
const CHUNK: usize = 64 * 1024;
/// Text of the largest record.
const RECORD_MAX: u32 = 64 * 1024;

/// Checks all connections of the host that is the end `side` of each conversation, and the host's memory.
pub(super) fn check(
    stack: &Stack,
    talks: &[Talk],
    side: usize,
    journal: &Journal,
    hosts: [HostId; 2],
    flooded: bool,
) -> Result<(), Failure> {
    let mut memory_max = 0;
    for talk in talks {
        let config = &talk.plan.ends[side].config;
        // Also after the application has let go: the stack delivers what is left.
        memory_max += 2 * config.receive_buffer.limit() as usize
            + 2 * config.send_buffer.limit() as usize
            + 2 * CHUNK;
        let Some(connection) = talk.apps[side].socket().and_then(|id| stack.connection(id)) else {
            continue;
        };
        let ports = [talk.endpoints[side].port, talk.endpoints[1 - side].port];
        let known = journal.known([hosts[side], hosts[1 - side]], ports);
        let checked =
            check_variables(connection, config).and_then(|()| check_offer(connection, known));
        checked.map_err(|what| {
            let (number, phase) = (talk.number, connection.phase());
            Failure::Invariant(format!(
                "conversation {number} end {side} in {phase}: {what}"
            ))
        })?;
        if connection.poll_timeout().is_some() && stack.poll_timeout().is_none() {
            return Err(Failure::Invariant(
                "a connection's timer is unknown to its stack".into(),
            ));
        }
    }
    if flooded {
        // Fragments of packets that never become whole have their own limit.
        memory_max += HOLDERS_MAX * 2 * CHUNK + stack.config().reassembly_ipv4.octets_max;
    }
    let held = stack.held_memory();
    if held > memory_max {
        return Err(Failure::Invariant(format!(
            "{held} octets of memory held, at most {memory_max} allowed"
        )));
    }
    Ok(())
}

/// No queue of a listener outgrows its limit, and neither do the tables that count sources.
pub(super) fn check_listeners(stack: &Stack, talks: &[Talk]) -> Result<(), Failure> {
    let listeners = talks
        .iter()
        .filter_map(|talk| stack.listener(talk.listener?));
    for listener in listeners {
        let limits = listener.limits();
        let tables = 48 * 1_024 + 256 * (limits.syn_queue_max + limits.accept_queue_max);
        let must_hold = [
            (
                listener.half_open() <= limits.syn_queue_max,
                "the SYN queue",
            ),
            (
                listener.waiting() <= limits.accept_queue_max,
                "the accept queue",
            ),
            (listener.memory() <= tables, "what a listener holds"),
        ];
        if let Some((_, what)) = must_hold.iter().find(|(holds, _)| !holds) {
            let (half_open, waiting, memory) =
                (listener.half_open(), listener.waiting(), listener.memory());
            return Err(Failure::Invariant(format!(
                "{what} outgrows its limit: {half_open} half open, {waiting} waiting, {memory} octets"
            )));
        }
    }
    Ok(())
}

/// The relations between the variables of one connection (RFC 9293 3.3.1), its limits, and its timers.
fn check_variables(connection: &Connection, config: &Config) -> Result<(), String> {
    let info = connection.info();
    if info.phase == Phase::Closed {
        return Ok(());
    }
    if info.phase == Phase::SynSent {
        return if connection.poll_timeout().is_some() {
            Ok(())
        } else {
            Err("no timer for the SYN".into())
        };
    }
    // Where records are kept the buffer counts memory, is sized anew when the peer's segments are known, and takes a record whole.
    let snd_buffer = match config.segmentation {
        Segmentation::Stream => info.snd_buffer,
        Segmentation::Records => info.snd_buffer.max(config.send_buffer.initial) + RECORD_MAX,
    };
    // The window field counts in units of the scale; a right edge that may not move left is rounded up to one.
    let unit = 1 << info.rcv_wscale;
    let must_hold = [
        (
            info.rcv_wnd_left <= info.rcv_buffer + unit,
            "RCV.WND exceeds the receive buffer",
        ),
        (
            info.receivable <= info.rcv_buffer + unit,
            "more is queued than the receive buffer holds",
        ),
        (
            info.receivable + info.rcv_wnd_left <= info.rcv_buffer + unit,
            "more is offered than there is room for",
        ),
        // SYN and FIN are counted in sequence space but take no room.
        (
            info.unacked + info.notsent <= snd_buffer + 2,
            "more is unacknowledged than the send buffer holds",
        ),
        (
            !info.sack || info.sacked <= info.unacked,
            "more is selectively acknowledged than in flight",
        ),
        (
            info.snd_cwnd >= info.snd_mss.into(),
            "the congestion window is below one segment",
        ),
        (
            info.rcv_buffer <= config.receive_buffer.limit()
                && info.snd_buffer <= config.send_buffer.limit(),
            "a buffer has grown beyond its limit",
        ),
        (info.snd_mss > 0, "the segment size is zero"),
        (
            info.rto >= config.rto_min && info.rto <= config.rto_max.max(config.rto_initial),
            "RTO out of bounds",
        ),
    ];
    if let Some((_, what)) = must_hold.iter().find(|(holds, _)| !holds) {
        return Err(format!("{what}: {info:?}"));
    }
    // Nobody but a timer helps when what was sent is lost, or when the peer's window stays shut.
    let owes = info.unacked > 0 || info.notsent > 0;
    if owes && connection.poll_timeout().is_none() {
        return Err(format!(
            "something is to be sent and no timer is armed: {info:?}"
        ));
    }
    Ok(())
}

/// A reader that has read everything leaves no window shut: the peer, who may be waiting, has been told.
fn check_offer(connection: &Connection, known: Option<Known>) -> Result<(), String> {
    let receives = matches!(
        connection.phase(),
        Phase::Established | Phase::FinWait1 | Phase::FinWait2
    );
    let is_shut = known.is_some_and(|known| known.window == 0);
    if receives && is_shut && connection.receivable() == 0 {
        return Err(format!(
            "the window is shut though everything has been read: {:?}",
            connection.info()
        ));
    }
    Ok(())
}
