//! The system calls of a program that nobody has seen, guessed from what it sent and was sent.

use std::collections::BTreeMap;

use super::numbers::View;
use super::play::Guess;
use super::{ACK, FIN, RST, SYN, Side, script_packet};
use crate::language::ast::{Direction, Packet, Segment, TcpOption};

const PUSH: u16 = 8;
/// What fits into a send buffer without the writer having to wait.
const BUFFERED: u32 = 200_000;

/// One line of the time line.
#[derive(Clone, Debug)]
pub(super) struct Item {
    pub(super) micros: i64,
    pub(super) what: What,
}

/// What a line says.
#[derive(Clone, Debug)]
pub(super) enum What {
    Call(String),
    /// A call that waits up to a time.
    Waiting(String, i64),
    Packet(Box<Packet>),
}

/// The time line of `view` under `guess`.
pub(super) fn time_line(view: &View, guess: &Guess) -> Vec<Item> {
    let mut writer = Writer::new(view, guess);
    writer.open();
    for index in 0..view.heard.len() {
        writer.packet(index);
    }
    writer.items
}

struct Writer<'a> {
    view: &'a View,
    guess: &'a Guess,
    items: Vec<Item>,
    now: i64,
    fd: u8,
    /// The connection's descriptor exists and its call has returned.
    is_open: bool,
    is_closed: bool,
    /// The end of what this side has sent, and of what the peer has sent in order.
    sent: u32,
    received: u32,
    /// What the peer has sent beyond that: start and end.
    ahead: BTreeMap<u32, u32>,
    peer_fin: Option<u32>,
    peer_fin_read: bool,
    /// What has been read, and the most this side has ever offered.
    read: u32,
    buffer: u32,
    shift: u8,
}

impl<'a> Writer<'a> {
    fn new(view: &'a View, guess: &'a Guess) -> Self {
        let shift = match (
            view.own_syn().and_then(scale),
            view.peer_syn().and_then(scale),
        ) {
            (Some(own), Some(_)) => own,
            _ => 0,
        };
        let own = view.heard.iter().filter(|heard| heard.from == view.side);
        let offered = own.map(|heard| offer(&heard.segment, shift));
        Self {
            view,
            guess,
            items: Vec::new(),
            now: 0,
            fd: if view.side == Side::Client { 3 } else { 4 },
            is_open: false,
            is_closed: false,
            sent: 1,
            received: 1,
            ahead: BTreeMap::new(),
            peer_fin: None,
            peer_fin_read: false,
            read: 0,
            buffer: offered.max().unwrap_or(0),
            shift,
        }
    }

    fn call(&mut self, text: impl Into<String>) {
        self.items.push(Item {
            micros: self.now,
            what: What::Call(text.into()),
        });
    }

    fn open(&mut self) {
        self.call("socket(..., SOCK_STREAM, IPPROTO_TCP) = 3");
        if self.guess.nodelay {
            self.call("setsockopt(3, SOL_TCP, TCP_NODELAY, [1], 4) = 0");
        }
        match self.view.side {
            Side::Client => {
                self.call("fcntl(3, F_SETFL, O_RDWR|O_NONBLOCK) = 0");
                self.call("connect(3, ..., ...) = -1 EINPROGRESS (Operation now in progress)");
            }
            Side::Server => {
                self.call("setsockopt(3, SOL_SOCKET, SO_REUSEADDR, [1], 4) = 0");
                self.call("bind(3, ..., ...) = 0");
                self.call("listen(3, 16) = 0");
            }
        }
    }

    fn packet(&mut self, index: usize) {
        let heard = &self.view.heard[index];
        self.now = heard.micros;
        let own = heard.from == self.view.side;
        let direction = if own {
            self.before_own(index);
            Direction::Outbound
        } else {
            Direction::Inbound
        };
        self.items.push(Item {
            micros: self.now,
            what: What::Packet(Box::new(script_packet(direction, heard))),
        });
        let segment = &heard.segment;
        if own {
            if segment.len > 0 || segment.flags & FIN != 0 {
                self.sent = later(self.sent, segment.seq.wrapping_add(segment.len));
            }
            // A client is connected once it has acknowledged the SYN of its peer.
            if segment.flags & (SYN | ACK | RST) == ACK {
                self.opened();
            }
        } else {
            self.after_peers(segment);
        }
    }

    /// The handshake is over, as this side sees it.
    fn opened(&mut self) {
        if self.is_open {
            return;
        }
        self.is_open = true;
        match self.view.side {
            Side::Client => self.call("fcntl(3, F_SETFL, O_RDWR) = 0"),
            Side::Server => self.call("accept(3, ..., ...) = 4"),
        }
    }

    // ----- what this side sends -----

    fn before_own(&mut self, index: usize) {
        let segment = self.view.heard[index].segment.clone();
        let fd = self.fd;
        if !self.guess.reads_at_once {
            self.read_up_to_offer(&segment);
        }
        let is_new = segment.len > 0 && is_after(segment.seq.wrapping_add(segment.len), self.sent);
        if is_new && self.starts_write(index) {
            self.write(index);
        }
        let resets = segment.flags & RST != 0 && self.is_open && !self.is_closed;
        if segment.flags & FIN != 0 && !self.is_closed {
            let hears_more = self.view.heard[index..]
                .iter()
                .any(|heard| heard.from != self.view.side && heard.segment.len > 0);
            self.is_closed = true;
            if hears_more {
                self.call(format!("shutdown({fd}, SHUT_WR) = 0"));
            } else {
                self.call(format!("close({fd}) = 0"));
            }
        } else if resets && !self.answers_at_once(index) {
            self.is_closed = true;
            self.call(format!(
                "setsockopt({fd}, SOL_SOCKET, SO_LINGER, {{onoff=1, linger=0}}, 8) = 0"
            ));
            self.call(format!("close({fd}) = 0"));
        }
    }

    /// Whether a packet answers one that arrived at the same moment.
    fn answers_at_once(&self, index: usize) -> bool {
        let heard = &self.view.heard;
        index > 0 && heard[index - 1].from != self.view.side && heard[index - 1].micros == self.now
    }

    /// The own segments with new text from `index` on: each with its end, and whether it pushes.
    fn new_text(&self, index: usize) -> impl Iterator<Item = (u32, bool)> {
        let mut sent = self.sent;
        let own = self.view.heard[index..]
            .iter()
            .filter(|heard| heard.from == self.view.side);
        own.filter_map(move |heard| {
            let end = heard.segment.seq.wrapping_add(heard.segment.len);
            let is_new = heard.segment.len > 0 && is_after(end, sent);
            sent = later(sent, end);
            is_new.then_some((end, heard.segment.flags & (PUSH | FIN) != 0))
        })
    }

    /// Whether what was written before has been sent: its last segment pushed.
    fn starts_write(&self, index: usize) -> bool {
        let earlier = self.view.heard[..index].iter().rev();
        let mut own = earlier.filter(|heard| heard.from == self.view.side && heard.segment.len > 0);
        // The last new segment is the one that ends where the text so far does.
        let last = own.find(|heard| heard.segment.seq.wrapping_add(heard.segment.len) == self.sent);
        last.is_none_or(|heard| heard.segment.flags & PUSH != 0)
    }

    fn write(&mut self, index: usize) {
        let mut end = self.sent;
        for (segment_end, pushes) in self.new_text(index) {
            end = segment_end;
            if pushes {
                break;
            }
        }
        let (fd, len) = (self.fd, end.wrapping_sub(self.sent));
        let text = format!("write({fd}, ..., {len}) = {len}");
        if len <= BUFFERED {
            return self.call(text);
        }
        let kept = self.sent.wrapping_add(len - BUFFERED);
        let acknowledged = self.view.heard[index..].iter().find(|heard| {
            let ack = heard.segment.ack.filter(|_| heard.from != self.view.side);
            ack.is_some_and(|ack| is_after(ack, kept))
        });
        self.items.push(Item {
            micros: self.now,
            what: What::Waiting(text, acknowledged.map_or(self.now, |heard| heard.micros)),
        });
    }

    // ----- what this side is sent -----

    fn after_peers(&mut self, segment: &Segment) {
        if segment.flags & SYN != 0 {
            return;
        }
        if segment.flags & RST != 0 {
            self.is_closed = true;
            return;
        }
        if self.view.side == Side::Server && segment.ack == Some(1) {
            self.opened();
        }
        let end = segment.seq.wrapping_add(segment.len);
        if segment.len > 0 {
            self.ahead.insert(segment.seq, end);
        }
        if segment.flags & FIN != 0 {
            self.peer_fin = Some(end);
        }
        let before = self.received;
        while let Some((_, end)) = self
            .ahead
            .iter()
            .map(|(start, end)| (*start, *end))
            .find(|(start, end)| !is_after(*start, self.received) && is_after(*end, self.received))
        {
            self.received = end;
        }
        self.ahead.retain(|_, end| is_after(*end, self.received));
        if self.is_closed_for_reading() {
            return;
        }
        let fresh = self.received.wrapping_sub(before);
        if self.guess.reads_at_once && fresh > 0 {
            self.take(fresh);
        }
        if self.peer_fin == Some(self.received)
            && self.read == self.received - 1
            && !self.peer_fin_read
        {
            self.peer_fin_read = true;
            let fd = self.fd;
            self.call(format!("read({fd}, ..., 1000) = 0"));
        }
    }

    fn is_closed_for_reading(&self) -> bool {
        let closed =
            |item: &Item| matches!(&item.what, What::Call(text) if text.starts_with("close("));
        !self.is_open || self.items.iter().any(closed)
    }

    fn take(&mut self, octets: u32) {
        let fd = self.fd;
        self.read = self.read.wrapping_add(octets);
        self.call(format!("read({fd}, ..., {octets}) = {octets}"));
    }

    /// Reads as much as the window that is offered next shows to have been read.
    fn read_up_to_offer(&mut self, segment: &Segment) {
        let Some(ack) = segment
            .ack
            .filter(|_| segment.flags & SYN == 0 && self.is_open)
        else {
            return;
        };
        let unread = self.buffer.saturating_sub(offer(segment, self.shift));
        let held = ack.wrapping_sub(1).saturating_sub(self.read);
        let octets = held.saturating_sub(unread);
        if octets > 0 && self.received.wrapping_sub(1) >= self.read + octets {
            self.take(octets);
        }
    }
}

/// The window scale a SYN offers.
fn scale(segment: &Segment) -> Option<u8> {
    let mut options = segment.options.iter().flatten();
    options.find_map(|option| match option {
        TcpOption::WindowScale(shift) => Some((*shift).min(14)),
        _ => None,
    })
}

/// The octets that a segment offers.
pub(super) fn offer(segment: &Segment, shift: u8) -> u32 {
    let shift = if segment.flags & SYN == 0 { shift } else { 0 };
    u32::from(segment.window.unwrap_or(0)) << shift
}

const fn is_after(a: u32, b: u32) -> bool {
    a != b && a.wrapping_sub(b) < 1 << 31
}

const fn later(a: u32, b: u32) -> u32 {
    if is_after(a, b) { a } else { b }
}
