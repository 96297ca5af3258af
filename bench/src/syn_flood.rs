//! `syn-flood`: spoofed SYNs answered with cookies, as fast as one core goes, while honest clients complete their handshakes.
//!
//! Every SYN goes the whole way: its checksum is verified, its tuple looked up, its cookie made, and the SYN+ACK leaves as an IP
//! packet with its checksum filled in. The packets to take in are made outside the measured time.

use std::time::Instant as WallClock;

use bytes::{Bytes, BytesMut};
use handwave_packet::PacketBuf;
use handwave_stack::{
    InterfaceConfig, InterfaceId, ListenerConfig, ListenerId, Prefix, Route, Stack, StackConfig,
    SynCookies,
};
use handwave_tcp::{Endpoint, Instant, Secrets};
use handwave_wire::ipv4::Ipv4Header;
use handwave_wire::{IpProtocol, SeqNum, Sum, TcpFlags, TcpHeader, TcpOptions, Timestamps};

use crate::idle::resident;
use crate::report::{Better, Report, median};

/// How much to flood.
#[derive(Debug)]
pub(crate) struct Settings {
    /// SYNs of the run that looks at memory.
    pub(crate) syns: u64,
    /// Measured rounds of the runs that look at speed.
    pub(crate) rounds: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            syns: 10_000_000,
            rounds: 7,
        }
    }
}

const SERVER: [u8; 4] = [10, 0, 0, 1];
const PORT: u16 = 80;
/// Packets handed over at a time, as many as a device gives.
const BATCH: u64 = 64;
/// SYNs of a round.
const ROUND: u64 = 1 << 18;
/// SYNs for each honest client.
const PER_CLIENT: u64 = 1 << 12;
/// Octets of a half-open record, which a cookie does without.
const RECORD: u64 = 56;
/// Octets by which the process may grow, whatever the number of SYNs.
const GROWTH_MAX: u64 = 1 << 20;
/// What the flood has to be answered with, in SYN/s on one core.
const AIM: f64 = 3_000_000.0;

/// Runs all cases.
pub(crate) fn run(report: &mut Report, settings: &Settings) {
    for (case, cookies, stamped) in [
        ("cookies", SynCookies::Always, false),
        ("cookies-timestamps", SynCookies::Always, true),
        ("cookies-overflow", SynCookies::OnOverflow, false),
        ("no-cookies-drop", SynCookies::Off, false),
    ] {
        let mut victim = Victim::new(cookies, stamped);
        victim.flood(ROUND);
        let mut rates: Vec<f64> = (0..settings.rounds).map(|_| victim.flood(ROUND)).collect();
        let figures = (median(&mut rates), AIM, "the aim");
        report.add("syn-flood", case.to_owned(), "SYN/s", Better::More, figures);
    }
    memory(report, settings);
}

/// Answers so many SYNs with cookies and says so.
pub(crate) fn profile(syns: u64) {
    Victim::new(SynCookies::Always, true).flood(syns);
    eprintln!("0 octets, {syns} SYNs");
}

/// Octets of resident memory for each half-open connection of `count`.
pub(crate) fn half_open(count: u64) -> Option<f64> {
    let limits = ListenerConfig {
        cookies: SynCookies::Off,
        syn_queue_max: usize::try_from(count).ok()?,
        ..ListenerConfig::default()
    };
    let mut victim = Victim::with(limits, true);
    victim.flood(BATCH);
    let half_open = |victim: &Victim| Some(victim.stack.listener(victim.listener)?.half_open());
    let (before, few) = (resident()?, half_open(&victim));
    victim.flood(count - BATCH);
    // Not all: some of the sources are addresses that nobody can have.
    let records = half_open(&victim)? - few?;
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let each = resident()?.saturating_sub(before) as f64 / records as f64;
    Some(each)
}

/// Floods for long, and looks at what is served and what is held.
fn memory(report: &mut Report, settings: &Settings) {
    let mut victim = Victim::new(SynCookies::Always, true);
    victim.flood(ROUND);
    let before = resident();
    let begun = victim.now;
    while victim.sent < ROUND + settings.syns {
        victim.flood(ROUND.min(ROUND + settings.syns - victim.sent));
        victim.honest_clients(ROUND / PER_CLIENT);
    }
    let growth = resident()
        .zip(before)
        .map(|(after, before)| after.saturating_sub(before));
    let (honest, served) = (victim.honest, victim.served);
    eprintln!(
        "{} spoofed SYNs in {:.1} s of the stack's time: {served} of {honest} honest handshakes completed",
        settings.syns,
        (victim.now - begun).as_secs_f64()
    );
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let percent = served as f64 * 100.0 / honest.max(1) as f64;
    let case = format!("honest-served-{}-syns", settings.syns);
    report.add(
        "syn-flood",
        case,
        "%",
        Better::More,
        (percent, 100.0, "all of them"),
    );
    let Some(growth) = growth else {
        eprintln!("syn-flood: the resident memory cannot be read on this system; skipped");
        return;
    };
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let (growth, limit) = (growth as f64, GROWTH_MAX as f64);
    eprintln!(
        "resident memory grew by {growth} octets; a record for each SYN would have been {}",
        settings.syns * RECORD
    );
    // What is left of the limit, since nothing at all has no ratio.
    let case = format!("memory-spare-{}-syns", settings.syns);
    let figures = (limit - growth, limit, "a growth of 0, of 1 MiB allowed");
    report.add("syn-flood", case, "octets", Better::More, figures);
}

/// A server under attack.
struct Victim {
    stack: Stack,
    wire: InterfaceId,
    listener: ListenerId,
    now: Instant,
    stamped: bool,
    sent: u64,
    honest: u64,
    served: u64,
    arena: BytesMut,
    batch: Vec<PacketBuf>,
    /// The packet that is sent.
    out: PacketBuf,
}

impl Victim {
    fn new(cookies: SynCookies, stamped: bool) -> Self {
        let limits = ListenerConfig {
            cookies,
            ..ListenerConfig::default()
        };
        Self::with(limits, stamped)
    }

    fn with(limits: ListenerConfig, stamped: bool) -> Self {
        let now = Instant::from_secs(1_000);
        let mut stack = Stack::new(StackConfig::default(), Secrets::from_seed(1), now);
        let address = Prefix::new(SERVER.into(), 24);
        let wire = stack
            .add_interface(InterfaceConfig::ip(1_500, [address]))
            .expect("one address");
        let everywhere = Route {
            destination: Prefix::new([0, 0, 0, 0].into(), 0),
            gateway: None,
            interface: wire,
        };
        stack.add_route(everywhere).expect("the interface is there");
        let listener = stack.listen(PORT, limits).expect("a free port");
        Self {
            stack,
            wire,
            listener,
            now,
            stamped,
            sent: 0,
            honest: 0,
            served: 0,
            arena: BytesMut::new(),
            batch: Vec::new(),
            out: PacketBuf::default(),
        }
    }

    /// Sends so many spoofed SYNs; returns how many a second were answered.
    fn flood(&mut self, syns: u64) -> f64 {
        let mut busy = std::time::Duration::ZERO;
        let mut left = syns;
        while left > 0 {
            let count = left.min(BATCH);
            left -= count;
            for _ in 0..count {
                self.sent += 1;
                let syn = self.spoofed();
                self.batch.push(syn);
            }
            let begin = WallClock::now();
            self.stack
                .handle_batch_in_place(self.now, self.wire, &mut self.batch);
            self.batch.clear();
            let out = &mut self.out;
            while self.stack.poll_transmit_into(self.now, out).is_some() {
                std::hint::black_box(out.head());
            }
            busy += begin.elapsed();
            self.now += std::time::Duration::from_micros(20);
        }
        #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
        let syns = syns as f64;
        syns / busy.as_secs_f64()
    }

    fn spoofed(&mut self) -> PacketBuf {
        // A full-period sequence: no source comes twice in 2^32 SYNs.
        let source =
            u32::try_from(self.sent.wrapping_mul(2_654_435_761) & 0xffff_ffff).unwrap_or(0);
        let header = TcpHeader {
            source_port: 1_024 | low_half(source >> 7),
            seq: SeqNum::new(source ^ 0x5a5a_5a5a),
            options: self.options(source),
            ..syn()
        };
        // Below 128: no group, and not the server's own network.
        self.packet((source & 0x3fff_ffff | 0x4000_0000).to_be_bytes(), &header)
    }

    fn options(&self, value: u32) -> TcpOptions {
        TcpOptions {
            mss: Some(1_460),
            window_scale: Some(7),
            sack_permitted: true,
            timestamps: self.stamped.then_some(Timestamps { value, echo: 0 }),
            ..TcpOptions::default()
        }
    }

    /// Lets honest clients complete their handshakes in the midst of it.
    fn honest_clients(&mut self, count: u64) {
        for _ in 0..count {
            self.honest += 1;
            let port = 10_000 | u16::try_from(self.honest % 50_000).unwrap_or(0);
            let source = [20, 0, 0, 1];
            let first = TcpHeader {
                source_port: port,
                seq: SeqNum::new(7),
                options: self.options(9),
                ..syn()
            };
            let Some(answer) = self.exchange(source, &first) else {
                continue;
            };
            let ack = TcpHeader {
                seq: SeqNum::new(8),
                ack: answer.seq + 1,
                flags: TcpFlags::ACK,
                options: TcpOptions {
                    timestamps: answer.options.timestamps.map(|stamp| Timestamps {
                        value: 10,
                        echo: stamp.value,
                    }),
                    ..TcpOptions::default()
                },
                ..first
            };
            self.exchange(source, &ack);
            if let Some((id, tuple)) = self.stack.accept(self.listener) {
                self.served += u64::from(tuple.remote == Endpoint::new(source.into(), port));
                self.stack.abort(self.now, id);
                self.stack.release(self.now, id);
            }
            while self.stack.poll_transmit(self.now).is_some() {}
            while self.stack.poll_event().is_some() {}
        }
    }

    /// Hands one segment over and returns the header of the answer, if there is one.
    fn exchange(&mut self, source: [u8; 4], header: &TcpHeader) -> Option<TcpHeader> {
        let packet = self.packet(source, header);
        self.stack.handle_packet(self.now, self.wire, packet);
        let (_, answer) = self.stack.poll_transmit(self.now)?;
        let octets = answer.to_vec();
        Some(TcpHeader::parse(octets.get(Ipv4Header::LEN..)?).ok()?.0)
    }

    fn packet(&mut self, source: [u8; 4], header: &TcpHeader) -> PacketBuf {
        const ARENA: usize = 1 << 16;
        let tcp_len = header.header_len();
        let len = Ipv4Header::LEN + tcp_len;
        if self.arena.capacity() < len && !self.arena.try_reclaim(ARENA) {
            self.arena = BytesMut::with_capacity(ARENA);
        }
        self.arena.resize(len, 0);
        let (ip, tcp) = self.arena.split_at_mut(Ipv4Header::LEN);
        let fields = Ipv4Header {
            payload_len: u16::try_from(tcp_len).unwrap_or(0),
            ..Ipv4Header::new(source.into(), SERVER.into(), IpProtocol::TCP)
        };
        fields.emit(ip);
        header.emit(tcp);
        let length = u32::try_from(tcp_len).unwrap_or(0);
        let pseudo = Sum::default().pseudo_header(
            core::net::IpAddr::from(source),
            core::net::IpAddr::from(SERVER),
            IpProtocol::TCP,
            length,
        );
        TcpHeader::set_checksum(tcp, pseudo.add_bytes(tcp).finish());
        let octets: Bytes = self.arena.split().freeze();
        PacketBuf::from_bytes(octets)
    }
}

#[expect(clippy::cast_possible_truncation, reason = "any bits of it do")]
const fn low_half(number: u32) -> u16 {
    number as u16
}

fn syn() -> TcpHeader {
    TcpHeader {
        destination_port: PORT,
        flags: TcpFlags::SYN,
        window: 64_240,
        ..TcpHeader::default()
    }
}
