//! The floor: a loop that reads and writes the TUN and knows as little of TCP as keeps the kernel's end talking.
//!
//! It assumes that nothing is lost or reordered, keeps no connections but one to send on, and computes no checksum that it can
//! know beforehand. Whatever is slower than this is slower because of what it does beyond moving packets.

use std::io::{self, IoSlice};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};

use handwave_device::Tun;
use handwave_wire::checksum::internet_checksum;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::contestant::{
    CHARGEN, Contestant, DISCARD, ECHO, Mode, ONE_OCTET, Running, SERVER, client_tun,
};

const VNET: usize = 10;
const IP: usize = 20;
const HEADERS: usize = 40;
const PACKET_MAX: usize = 66_000;
/// Text of an unsegmented packet of 1500 octets, and of a super-segment.
const TEXT: usize = 1_460;
const SUPER_TEXT: usize = TEXT * 44;
const SYN: u8 = 0x02;
const FIN: u8 = 0x01;
const RST: u8 = 0x04;
const PSH: u8 = 0x08;
const ACK: u8 = 0x10;
const ISS: u32 = 1_000;
/// What we offer is scaled by this.
const WINDOW_SCALE: u8 = 7;
/// Packets for which there is room in a TUN's queue, with some to spare (`tx_queue_len` is 500): who offers more loses packets, and here
/// nobody would miss them.
const QUEUE: usize = 400;

/// One way to write the loop.
#[derive(Clone, Copy, Debug)]
struct Floor {
    name: &'static str,
    /// Packets read before anything is answered.
    batch: usize,
    /// Headers and text are gathered by the kernel, or lie together.
    gather: bool,
}

const VARIANTS: [Floor; 3] = [
    Floor {
        name: "one packet at a time",
        batch: 1,
        gather: false,
    },
    Floor {
        name: "batches",
        batch: 64,
        gather: false,
    },
    Floor {
        name: "batches, gathered",
        batch: 64,
        gather: true,
    },
];

pub(super) fn variants() -> impl Iterator<Item = Box<dyn Contestant>> {
    VARIANTS
        .into_iter()
        .map(|one| Box::new(one) as Box<dyn Contestant>)
}

impl Contestant for Floor {
    fn name(&self) -> &'static str {
        "floor"
    }

    fn variant(&self) -> &'static str {
        self.name
    }

    fn start(&self, mode: Mode) -> io::Result<Running> {
        let tun = client_tun(mode)?;
        let mut running = Running::default();
        let way = *self;
        running.spawn(move |stop| Loop::new(tun, way, mode).run(stop));
        Ok(running)
    }
}

/// The numbers of a segment that arrived.
#[derive(Clone, Copy, Debug, Default)]
struct Segment {
    client: [u8; 4],
    client_port: u16,
    port: u16,
    seq: u32,
    ack: u32,
    flags: u8,
    window: u16,
    len: u32,
}

struct Loop {
    tun: Tun,
    way: Floor,
    /// Octets of framing in front of each packet.
    framing: usize,
    mode: Mode,
    read: Vec<u8>,
    written: Vec<u8>,
    text: Vec<u8>,
    /// What is acknowledged at the end of a batch.
    owed: Option<Segment>,
    sending: Option<Sending>,
}

/// The one connection that is sent on.
struct Sending {
    last: Segment,
    una: u32,
    nxt: u32,
    window: u32,
    shift: u8,
}

impl Loop {
    fn new(tun: Tun, way: Floor, mode: Mode) -> Self {
        Self {
            tun,
            way,
            framing: if mode == Mode::Offload { VNET } else { 0 },
            mode,
            read: vec![0; PACKET_MAX],
            written: vec![0; PACKET_MAX],
            text: vec![0; SUPER_TEXT],
            owed: None,
            sending: None,
        }
    }

    fn run(mut self, stop: &AtomicBool) {
        let timeout = Timespec {
            tv_sec: 0,
            tv_nsec: 20_000_000,
        };
        while !stop.load(Ordering::Relaxed) {
            let mut read = 0;
            while read < self.way.batch
                && let Ok(len) = rustix::io::read(self.tun.as_fd(), &mut self.read[..])
            {
                read += 1;
                self.arrived(len);
            }
            if let Some(last) = self.owed.take() {
                self.answer(&last, ACK, last.ack, 0);
            }
            self.pump();
            if read == 0 {
                let mut ready = [PollFd::new(&self.tun, PollFlags::IN)];
                let number = poll(&mut ready, Some(&timeout));
                // Nothing for so long: what was sent last is lost.
                if number == Ok(0)
                    && let Some(sending) = &mut self.sending
                {
                    sending.nxt = sending.una;
                }
            }
        }
    }

    fn arrived(&mut self, len: usize) {
        let Some(packet) = self.read.get(self.framing..len) else {
            return;
        };
        let Some((segment, text_at, shift)) = parse(packet) else {
            return;
        };
        if segment.flags & RST != 0 {
            return;
        }
        if segment.flags & SYN != 0 {
            if segment.port == CHARGEN {
                self.sending = Some(Sending {
                    last: segment,
                    una: ISS + 1,
                    nxt: ISS + 1,
                    window: 0,
                    shift,
                });
            }
            return self.answer(&segment, SYN | ACK, ISS, 0);
        }
        if segment.flags & FIN != 0 {
            self.answer(&segment, ACK, segment.ack, 0);
        }
        match segment.port {
            DISCARD if segment.len > 0 => self.owed = Some(segment),
            CHARGEN => {
                if let Some(sending) = &mut self.sending {
                    sending.last = segment;
                    sending.una = segment.ack;
                    sending.window = u32::from(segment.window) << sending.shift;
                }
            }
            ECHO if segment.len > 0 => {
                let begin = self.framing + text_at;
                let end = begin + segment.len as usize;
                self.text[..end - begin].copy_from_slice(&self.read[begin..end]);
                self.answer(&segment, PSH | ACK, segment.ack, end - begin);
            }
            ONE_OCTET if segment.len == 0 && segment.ack == ISS + 1 => {
                self.answer(&segment, PSH | ACK | FIN, segment.ack, 1);
            }
            _ => {}
        }
    }

    /// Sends what the window allows.
    fn pump(&mut self) {
        let text_max = match self.mode {
            Mode::Plain => TEXT,
            Mode::Offload => SUPER_TEXT,
        };
        for _ in 0..self.way.batch {
            let Some(sending) = &mut self.sending else {
                return;
            };
            let flight = sending.nxt.wrapping_sub(sending.una);
            let room = sending.window.saturating_sub(flight) as usize;
            let len = match room.min(text_max) {
                len if len == text_max => len,
                len => len / TEXT * TEXT,
            };
            if len == 0 {
                return;
            }
            let (last, seq) = (sending.last, sending.nxt);
            sending.nxt = seq.wrapping_add(u32::try_from(len).unwrap_or(0));
            self.answer(&last, ACK, seq, len);
        }
    }

    /// Writes a segment with the first `len` octets of the text.
    fn answer(&mut self, to: &Segment, flags: u8, seq: u32, len: usize) {
        let options: &[u8] = if flags & SYN != 0 {
            // A segment size of 1460 octets, and the scale of our window.
            &[2, 4, 5, 180, 3, 3, WINDOW_SCALE, 0]
        } else {
            &[]
        };
        let head_len = self.framing + HEADERS + options.len();
        let head = &mut self.written[..head_len];
        head.fill(0);
        let (framing, packet) = head.split_at_mut(self.framing);
        fill_headers(packet, to, (flags, seq), (options, len));
        let offered = match self.mode {
            Mode::Plain => QUEUE * TEXT,
            Mode::Offload => usize::MAX,
        };
        let window = u16::try_from(offered >> WINDOW_SCALE).unwrap_or(u16::MAX);
        packet[IP + 14..IP + 16].copy_from_slice(&window.to_be_bytes());
        let sums = &mut packet[IP..];
        if self.mode == Mode::Offload {
            framing[0] = 1;
            framing[6..8].copy_from_slice(&20_u16.to_ne_bytes());
            framing[8..10].copy_from_slice(&16_u16.to_ne_bytes());
            if len > TEXT {
                framing[1] = 1;
                framing[2..4].copy_from_slice(&40_u16.to_ne_bytes());
                framing[4..6].copy_from_slice(&1_460_u16.to_ne_bytes());
            }
        } else {
            // What is sent in bulk is zero and adds nothing.
            let mut segment = sums.to_vec();
            if len <= 64 {
                segment.extend_from_slice(&self.text[..len]);
            }
            let sum = internet_checksum(&segment);
            sums[16..18].copy_from_slice(&sum.to_be_bytes());
        }
        let descriptor = self.tun.as_fd();
        let _taken = if self.way.gather {
            let slices = [&self.written[..head_len], &self.text[..len]].map(IoSlice::new);
            rustix::io::writev(descriptor, &slices)
        } else {
            self.written[head_len..head_len + len].copy_from_slice(&self.text[..len]);
            rustix::io::write(descriptor, &self.written[..head_len + len])
        };
    }
}

/// Fills in IP and TCP header but for the window. In the place of the checksum is the pseudo-header's sum.
fn fill_headers(
    packet: &mut [u8],
    to: &Segment,
    (flags, seq): (u8, u32),
    (options, len): (&[u8], usize),
) {
    let total = u16::try_from(packet.len() + len).unwrap_or(u16::MAX);
    packet[0] = 0x45;
    packet[2..4].copy_from_slice(&total.to_be_bytes());
    packet[6] = 0x40;
    (packet[8], packet[9]) = (64, 6);
    packet[12..16].copy_from_slice(&SERVER);
    packet[16..20].copy_from_slice(&to.client);
    let sum = internet_checksum(&packet[..IP]);
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    let tcp = &mut packet[IP..];
    tcp[..2].copy_from_slice(&to.port.to_be_bytes());
    tcp[2..4].copy_from_slice(&to.client_port.to_be_bytes());
    tcp[4..8].copy_from_slice(&seq.to_be_bytes());
    let counted = to.len + u32::from(to.flags & (SYN | FIN) != 0);
    tcp[8..12].copy_from_slice(&to.seq.wrapping_add(counted).to_be_bytes());
    tcp[12] = u8::try_from((20 + options.len()) << 2).unwrap_or(0x50);
    tcp[13] = flags;
    tcp[20..].copy_from_slice(options);
    let mut pseudo = [0; 12];
    pseudo[..4].copy_from_slice(&SERVER);
    pseudo[4..8].copy_from_slice(&to.client);
    pseudo[9] = 6;
    pseudo[10..12].copy_from_slice(&(total - 20).to_be_bytes());
    tcp[16..18].copy_from_slice(&(!internet_checksum(&pseudo)).to_be_bytes());
}

/// The segment in a packet, where its text begins, and the window scale it offers.
fn parse(packet: &[u8]) -> Option<(Segment, usize, u8)> {
    if packet.len() < HEADERS || packet[0] != 0x45 || packet[9] != 6 {
        return None;
    }
    let u16_at = |at: usize| u16::from_be_bytes([packet[at], packet[at + 1]]);
    let u32_at = |at: usize| u32::from(u16_at(at)) << 16 | u32::from(u16_at(at + 2));
    let text_at = IP + usize::from(packet[32] >> 4) * 4;
    let len = usize::from(u16_at(2)).checked_sub(text_at)?;
    let segment = Segment {
        client: [packet[12], packet[13], packet[14], packet[15]],
        client_port: u16_at(20),
        port: u16_at(22),
        seq: u32_at(24),
        ack: u32_at(28),
        flags: packet[33],
        window: u16_at(34),
        len: u32::try_from(len).ok()?,
    };
    Some((
        segment,
        text_at,
        window_scale(packet.get(HEADERS..text_at)?),
    ))
}

fn window_scale(mut options: &[u8]) -> u8 {
    while let [kind, rest @ ..] = options {
        match (kind, rest) {
            (0, _) => return 0,
            (1, _) => options = rest,
            (3, [3, shift, ..]) => return *shift,
            (_, [len, ..]) => options = options.get(usize::from(*len).max(2)..).unwrap_or(&[]),
            _ => return 0,
        }
    }
    0
}
