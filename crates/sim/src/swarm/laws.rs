//! [`Laws`]: what every segment on the wire has to obey, whatever goes on inside the hosts.
//!
//! Judged from outside, from headers and arrival times alone:
//!
//! - nothing beyond the window that the sender has been told of, a probe of one octet apart (RFC 9293 3.8.6);
//! - no segment larger than the receiver announced (RFC 9293 3.7.1), no octet behind a FIN;
//! - acknowledgments never go back, never name what was not sent, and never wait 500 ms (RFC 9293 3.8.6.3);
//! - the right edge of an offered window never moves left (RFC 9293 3.8.6);
//! - options only where both SYNs agreed; timestamps then on every segment and never decreasing (RFC 7323 3.2, 5.4);
//! - SACK blocks name octets that the peer has sent (RFC 2018 4).

use crate::HostId;
use core::time::Duration;
use handwave_tcp::time::Instant;
use handwave_wire::{SeqNum, TcpFlags, TcpHeader, TcpOptions};
use std::collections::BTreeMap;

/// The longest an acknowledgment may wait.
const ACK_DELAY_MAX: Duration = Duration::from_millis(500);

/// One direction of one connection.
type Key = (HostId, u16, u16);

/// Judges segments; the first verdict against one is kept.
#[derive(Debug, Default)]
pub(super) struct Laws {
    flows: BTreeMap<Key, Flow>,
    /// What began with a SYN+ACK before another was sent: a listener that answers with cookies forgets, and the client takes the
    /// answer that arrives first.
    others: BTreeMap<Key, Vec<Flow>>,
    /// Undamaged segments under way, by arrival and order of sending.
    under_way: BTreeMap<(Instant, u64), (Key, TcpHeader, u32)>,
    serial: u64,
    broken: Option<String>,
}

/// What one sender has sent, and what it may know.
#[derive(Clone, Copy, Debug, Default)]
struct Flow {
    /// Its SYN, once sent.
    iss: Option<SeqNum>,
    options: TcpOptions,
    /// After the last octet it has sent, SYN and FIN counted.
    end: SeqNum,
    fin: Option<SeqNum>,
    last_ack: Option<SeqNum>,
    /// Right edge of the window it has offered.
    offered: Option<SeqNum>,
    /// The window it has offered last.
    last_window: u32,
    /// Right edge of the window offered by the peer, as far as the offers have arrived.
    allowed: Option<SeqNum>,
    /// The highest acknowledgment, and the largest window, that have arrived.
    heard: Option<(SeqNum, u32)>,
    last_timestamp: Option<u32>,
    /// When text that it has not acknowledged arrived here.
    owes_ack_since: Option<Instant>,
}

/// What somebody who has watched a connection knows of one end of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    /// After the last octet it has sent.
    pub(super) sent: SeqNum,
    /// What it has acknowledged last.
    pub(super) acked: SeqNum,
    /// The right edge of the window it has offered.
    pub(super) edge: SeqNum,
    /// The window it has offered last.
    pub(super) window: u32,
    /// After the last octet its peer has sent.
    pub(super) peer_sent: SeqNum,
    /// The peer's last timestamp.
    pub(super) peer_timestamp: Option<u32>,
}

/// The peer's direction.
const fn reversed((_, source, destination): Key, peer: HostId) -> Key {
    (peer, destination, source)
}

impl Laws {
    /// A new connection begins on these ports: what is still under way of the old one is judged no more.
    pub(super) fn forget(&mut self, [source, destination]: [u16; 2]) {
        let ours = |&(_, from, to): &Key| {
            (from, to) == (source, destination) || (to, from) == (source, destination)
        };
        self.flows.retain(|key, _| !ours(key));
        self.others.retain(|key, _| !ours(key));
        self.under_way.retain(|_, (key, _, _)| !ours(key));
    }

    /// When the last of what is under way between these ports arrives.
    pub(super) fn last_arrival(&self, [source, destination]: [u16; 2]) -> Option<Instant> {
        let mut under_way = self.under_way.iter().rev();
        let last = under_way.find(|(_, ((_, from, to), _, _))| {
            (*from, *to) == (source, destination) || (*to, *from) == (source, destination)
        });
        last.map(|((at, _), _)| *at)
    }

    /// What is known of the end at `host`, once both ends have shown themselves.
    pub(super) fn known(
        &self,
        [host, peer]: [HostId; 2],
        [source, destination]: [u16; 2],
    ) -> Option<Known> {
        let key = (host, source, destination);
        let (flow, peer) = (self.flows.get(&key)?, self.flows.get(&reversed(key, peer))?);
        peer.iss.filter(|_| flow.iss.is_some())?;
        Some(Known {
            sent: flow.end,
            acked: flow.last_ack?,
            edge: flow.offered?,
            window: flow.last_window,
            peer_sent: peer.end,
            peer_timestamp: peer.last_timestamp,
        })
    }

    /// The first broken law, if any.
    pub(super) fn broken(&self) -> Option<&str> {
        self.broken.as_deref()
    }

    /// An acknowledgment that should have left by `now` counts as well.
    pub(super) fn check_delays(&mut self, now: Instant) {
        self.arrive_until(now);
        for (key, flow) in &self.flows {
            let Some(since) = flow.owes_ack_since else {
                continue;
            };
            if now - since > ACK_DELAY_MAX && self.broken.is_none() {
                self.broken = Some(format!(
                    "{key:?} has not acknowledged what arrived at {since}"
                ));
            }
        }
    }

    /// Judges a segment from `from` to `to`; `arrivals` says when it and its copy get there undamaged.
    pub(super) fn sent(
        &mut self,
        now: Instant,
        [from, to]: [HostId; 2],
        (header, payload_len): (&TcpHeader, u32),
        arrivals: [Option<Instant>; 2],
    ) {
        self.arrive_until(now);
        let key = (from, header.source_port, header.destination_port);
        if self.is_foreign_reset(key, to, header) {
            return;
        }
        if header.flags.contains(TcpFlags::RST) {
            // What either end still sends until it knows is judged no more.
            for key in [key, reversed(key, to)] {
                self.flows.insert(key, Flow::default());
                self.others.remove(&key);
            }
            return;
        }
        self.choose(key, to, header);
        let peer = self
            .flows
            .get(&reversed(key, to))
            .copied()
            .unwrap_or_default();
        let flow = self.flows.entry(key).or_default();
        if let Err(law) = flow.judge(&peer, header, payload_len)
            && self.broken.is_none()
        {
            let (flags, seq, ack) = (header.flags, header.seq, header.ack);
            self.broken = Some(format!(
                "{law}: {key:?} [{flags}] seq {seq} ack {ack} len {payload_len}"
            ));
        }
        for at in arrivals.into_iter().flatten() {
            self.serial += 1;
            self.under_way
                .insert((at, self.serial), (reversed(key, to), *header, payload_len));
        }
    }

    /// Takes note of a SYN+ACK beside another, and of which of them a segment goes on with.
    fn choose(&mut self, key: Key, to: HostId, header: &TcpHeader) {
        if header.flags.contains(TcpFlags::SYN) {
            let flow = self.flows.get(&key).copied().unwrap_or_default();
            let is_another = flow.iss.is_some_and(|iss| iss != header.seq) && flow.only_answered();
            if is_another && header.flags.contains(TcpFlags::ACK) {
                self.others.entry(key).or_default().push(flow);
            }
            return;
        }
        let back = reversed(key, to);
        for (key, peer, next) in [(key, back, header.seq), (back, key, header.ack)] {
            let taken = self.flows.get(&peer).and_then(|flow| flow.last_ack);
            if taken.is_some_and(|taken| taken != next) {
                continue;
            }
            let (Some(others), Some(flow)) = (self.others.get_mut(&key), self.flows.get_mut(&key))
            else {
                continue;
            };
            let chosen = others
                .iter_mut()
                .find(|other| other.iss.is_some_and(|iss| iss + 1 == next));
            if let Some(chosen) = chosen.filter(|_| flow.only_answered()) {
                core::mem::swap(chosen, flow);
                // What has arrived stays so.
                (flow.allowed, flow.heard) = (chosen.allowed, chosen.heard);
                flow.owes_ack_since = chosen.owes_ack_since;
            }
        }
    }

    /// Whether a RST is about a segment of another connection, an older one on the same ports or a forged one.
    fn is_foreign_reset(&self, key: Key, to: HostId, header: &TcpHeader) -> bool {
        if !header.flags.contains(TcpFlags::RST) {
            return false;
        }
        let sent_by = |key: Key| self.flows.get(&key).copied().unwrap_or_default();
        let (flow, peer) = (sent_by(key), sent_by(reversed(key, to)));
        let is_past = |flow: &Flow, at: SeqNum| {
            flow.iss
                .is_some_and(|iss| !at.in_window(iss, flow.end.since(iss) + 1))
        };
        if flow.iss.is_none() && !header.flags.contains(TcpFlags::ACK) {
            return peer.iss.is_some();
        }
        is_past(&flow, header.seq)
            || (header.flags.contains(TcpFlags::ACK) && is_past(&peer, header.ack))
    }

    /// Lets the receivers know of what has arrived by `now`.
    fn arrive_until(&mut self, now: Instant) {
        while let Some(next) = self.under_way.first_entry()
            && next.key().0 <= now
        {
            let ((at, _), (key, header, payload_len)) = next.remove_entry();
            let (receiver, source, destination) = key;
            let senders = self.flows.iter();
            let sender = senders.filter(|((host, from, to), _)| {
                *host != receiver && (*from, *to) == (destination, source)
            });
            let sender = sender.map(|(_, flow)| *flow).next().unwrap_or_default();
            self.flows
                .entry(key)
                .or_default()
                .hear(at, &sender, &header, payload_len);
        }
    }
}

impl Flow {
    /// Whether all it has sent is a SYN+ACK.
    fn only_answered(&self) -> bool {
        let answers = self.last_ack.is_some();
        answers && self.iss.is_some_and(|iss| self.end == iss + 1)
    }

    fn judge(
        &mut self,
        peer: &Self,
        header: &TcpHeader,
        payload_len: u32,
    ) -> Result<(), &'static str> {
        if header.flags.contains(TcpFlags::SYN) && self.iss != Some(header.seq) {
            let (iss, options, end) = (Some(header.seq), header.options, header.seq);
            *self = Self {
                iss,
                options,
                end,
                allowed: self.allowed,
                heard: self.heard,
                ..Self::default()
            };
        }
        if self.iss.is_none() || (peer.iss.is_none() && !header.flags.contains(TcpFlags::SYN)) {
            // One end has not shown itself yet, or a RST has ended the connection.
            return Ok(());
        }
        self.judge_options(peer, header)?;
        self.judge_text(peer, header, payload_len)?;
        if header.flags.contains(TcpFlags::ACK) {
            self.judge_ack(peer, header)?;
        }
        Ok(())
    }

    fn judge_text(
        &mut self,
        peer: &Self,
        header: &TcpHeader,
        payload_len: u32,
    ) -> Result<(), &'static str> {
        let end = header.seq + header.seq_len(payload_len as usize);
        let (fixed, default_mss) = (TcpHeader::LEN_MIN, 536);
        let size = payload_len as usize + header.header_len() - fixed;
        let mss = peer.options.mss.unwrap_or(default_mss);
        if payload_len > 0 && size > usize::from(mss) {
            return Err("a segment larger than the peer announced");
        }
        if let Some(fin) = self.fin
            && end.after(fin + 1)
        {
            return Err("an octet behind the FIN");
        }
        if header.flags.contains(TcpFlags::FIN) {
            self.fin = Some(end - 1);
        }
        let is_probe = header.seq_len(payload_len as usize) <= 1;
        let is_new = end.after(self.end);
        if let Some(allowed) = self.allowed
            && is_new
            && !is_probe
            && end.after(allowed)
        {
            return Err("beyond the window");
        }
        self.end = self.end.later(end);
        Ok(())
    }

    fn judge_ack(&mut self, peer: &Self, header: &TcpHeader) -> Result<(), &'static str> {
        self.owes_ack_since = None;
        if peer.iss.is_some() && header.ack.after(peer.end) {
            return Err("an acknowledgment of what was never sent");
        }
        if let Some(last) = self.last_ack
            && header.ack.before(last)
        {
            // Of who is over nothing is left, and a cookie that comes again begins once more where that began.
            let over = self
                .fin
                .zip(peer.last_ack)
                .is_some_and(|(fin, ack)| ack.after(fin));
            return match over {
                true => Ok(()),
                false => Err("an acknowledgment that goes back"),
            };
        }
        self.last_ack = Some(header.ack);
        let (window, unit) = self.window(peer, header);
        let edge = header.ack + window;
        self.last_window = window;
        // The field of a SYN is never scaled: a window that was may be more than it can tell (RFC 7323 2.2).
        let most = match header.flags.contains(TcpFlags::SYN) {
            true => u32::from(u16::MAX),
            false => u32::MAX,
        };
        // Behind a FIN there is nothing to receive: the window means nothing any more.
        let over = peer.fin.is_some_and(|fin| header.ack.after(fin));
        if let Some(offered) = self.offered
            && !over
            && window < most
            && (edge + unit).before(offered + 1)
        {
            return Err("a window whose right edge moves left");
        }
        self.offered = Some(self.offered.map_or(edge, |offered| offered.later(edge)));
        Ok(())
    }

    fn judge_options(&mut self, peer: &Self, header: &TcpHeader) -> Result<(), &'static str> {
        let options = &header.options;
        if header.flags.contains(TcpFlags::SYN) {
            return Ok(());
        }
        let agreed = self.options.timestamps.is_some() && peer.options.timestamps.is_some();
        if options.timestamps.is_some() != agreed {
            return Err("timestamps where they were not agreed on, or none where they were");
        }
        if let Some(stamps) = options.timestamps {
            let goes_back = self
                .last_timestamp
                .is_some_and(|last| SeqNum::new(stamps.value).before(SeqNum::new(last)));
            if goes_back {
                return Err("a timestamp that goes back");
            }
            self.last_timestamp = Some(stamps.value);
        }
        let sack = self.options.sack_permitted && peer.options.sack_permitted;
        if !options.sack.is_empty() && !sack {
            return Err("SACK blocks that were not agreed on");
        }
        let wrong = |block: &handwave_wire::SackBlock| {
            !block.left.before(block.right) || block.right.after(peer.end)
        };
        if peer.iss.is_some() && options.sack.iter().any(wrong) {
            return Err("a SACK block of what was never sent");
        }
        Ok(())
    }

    /// The window a segment of this flow offers, and the octets one step of the field stands for.
    fn window(&self, peer: &Self, header: &TcpHeader) -> (u32, u32) {
        let is_syn = header.flags.contains(TcpFlags::SYN);
        let shift = match (self.options.window_scale, peer.options.window_scale) {
            (Some(shift), Some(_)) if !is_syn => shift.min(14),
            _ => 0,
        };
        (u32::from(header.window) << shift, 1 << shift)
    }

    /// A segment of `sender` has arrived.
    fn hear(&mut self, at: Instant, sender: &Self, header: &TcpHeader, payload_len: u32) {
        if !header.flags.contains(TcpFlags::ACK) {
            // A bare SYN: its window counts from our SYN on, which has yet to be sent.
            return;
        }
        let window = sender.window(self, header).0;
        let (ack, window_max) = self.heard.unwrap_or((header.ack, window));
        let (ack, window_max) = (ack.later(header.ack), window_max.max(window));
        self.heard = Some((ack, window_max));
        let edge = header.ack + window;
        self.allowed = Some(self.allowed.map_or(edge, |allowed| allowed.later(edge)));
        let is_text = payload_len > 0 || header.flags.contains(TcpFlags::FIN);
        let is_open = self.last_ack.is_some() && self.iss.is_some();
        if self.fin.is_some_and(|fin| ack.after(fin)) {
            // It has closed, and answers no more.
            self.owes_ack_since = None;
            return;
        }
        // An acknowledgment older than any window is taken for an attack, and answered at a limited rate (RFC 5961 5.2, 7).
        let is_ancient = ack.since(header.ack) > window_max;
        if is_text && is_open && !is_ancient && sender.iss.is_some() {
            self.owes_ack_since.get_or_insert(at);
        }
    }
}
