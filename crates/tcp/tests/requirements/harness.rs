//! One connection under test, a peer played by hand, and a clock that moves when told to.

use std::sync::Arc;
use std::time::Duration;

use handwave_packet::Payload;
use handwave_tcp::trace::Verdict;
use handwave_tcp::{
    BufferSize, Config, Connection, Context, Endpoint, Events, Host, Instant, Path, Phase, Secrets,
    SegmentIn, SegmentOut, Tuple,
};
use handwave_wire::{SeqNum, TcpFlags, TcpHeader, TcpOptions, Timestamps};

/// The peer's initial sequence number.
pub(crate) const PEER_ISS: SeqNum = SeqNum::new(7_000);

/// The connection's path.
pub(crate) const MTU: u16 = 1500;

/// The MSS the peer announces unless told otherwise, and so the length of a full segment without options.
pub(crate) const MSS: usize = 1460;

pub(crate) const ACK: TcpFlags = TcpFlags::ACK;
pub(crate) const FIN: TcpFlags = TcpFlags::FIN.union(TcpFlags::ACK);
pub(crate) const RST: TcpFlags = TcpFlags::RST;

pub(crate) fn tuple() -> Tuple {
    let end = |last: u8, port| Endpoint::new([192, 0, 2, last].into(), port);
    Tuple::new(end(1, 49_152), end(2, 80))
}

/// A configuration without the options that would only make the arithmetic of these tests longer.
pub(crate) fn plain() -> Config {
    Config {
        timestamps: false,
        sack: false,
        window_scaling: false,
        ..Config::default()
    }
}

/// A connection, its host and the peer's side of the sequence numbers.
pub(crate) struct Bench {
    pub(crate) now: Instant,
    pub(crate) host: Host,
    pub(crate) connection: Connection,
    pub(crate) peer: Peer,
    /// The first octet the connection sends after its SYN.
    pub(crate) first: SeqNum,
}

/// What the peer will put into its next segment.
pub(crate) struct Peer {
    pub(crate) seq: SeqNum,
    pub(crate) ack: SeqNum,
    pub(crate) window: u16,
    /// The last TSval of the connection, if timestamps are in use.
    pub(crate) echo: Option<u32>,
    pub(crate) started: Instant,
}

/// A segment and when it left, counted from the start of the wait.
#[derive(Debug)]
pub(crate) struct Sent {
    pub(crate) after: Duration,
    pub(crate) segment: SegmentOut,
}

impl Bench {
    /// A connection in SYN-SENT, and its SYN.
    pub(crate) fn opening(config: Config) -> (Self, SegmentOut) {
        let now = Instant::from_secs(1_000);
        let mut host = Host::new(Secrets::from_seed(1));
        let path = Path::with_mtu(MTU);
        let connection = Connection::connect(
            &mut Context::new(now, &mut host),
            Arc::new(config),
            tuple(),
            path,
        );
        let peer = Peer {
            seq: PEER_ISS,
            ack: SeqNum::new(0),
            window: u16::MAX,
            echo: None,
            started: now,
        };
        let mut bench = Self {
            now,
            host,
            connection: *connection,
            peer,
            first: SeqNum::new(0),
        };
        let syn = bench.drain().remove(0);
        bench.first = syn.header.seq + 1;
        bench.peer.ack = bench.first;
        (bench, syn)
    }

    /// A connection in ESTABLISHED whose peer announced an MSS of 1460 and nothing else.
    pub(crate) fn established(config: Config) -> Self {
        let options = TcpOptions {
            mss: Some(1460),
            ..TcpOptions::default()
        };
        Self::established_with(config, options)
    }

    /// A connection in ESTABLISHED whose peer sent `options` with its SYN.
    pub(crate) fn established_with(config: Config, options: TcpOptions) -> Self {
        Self::established_after(Duration::ZERO, config, options)
    }

    /// The same over a path whose round trip takes `rtt`.
    pub(crate) fn established_after(rtt: Duration, config: Config, options: TcpOptions) -> Self {
        let (mut bench, syn) = Self::opening(config);
        bench.now += rtt;
        if options.timestamps.is_some() {
            bench.peer.echo = syn
                .header
                .options
                .timestamps
                .map(|timestamps| timestamps.value);
        }
        let mut syn_ack = bench.segment(TcpFlags::SYN | TcpFlags::ACK, b"");
        syn_ack.header.options = TcpOptions {
            timestamps: syn_ack.header.options.timestamps,
            ..options
        };
        bench.peer.seq += 1;
        let sent = bench.arrives(syn_ack);
        assert_eq!(
            sent.len(),
            1,
            "the third segment of the handshake: {sent:?}"
        );
        assert_eq!(bench.connection.phase(), Phase::Established);
        bench.events();
        bench
    }

    /// A connection in ESTABLISHED that the peer opened with `options` in its SYN.
    pub(crate) fn answering(config: Config, options: TcpOptions) -> Self {
        Self::answering_over(MTU, config, options)
    }

    /// The same over a path of `mtu`.
    pub(crate) fn answering_over(mtu: u16, config: Config, options: TcpOptions) -> Self {
        let (mut bench, _) = Self::opening(config.clone());
        let mut syn = bench.segment(TcpFlags::SYN, b"");
        syn.header.ack = SeqNum::new(0);
        syn.header.options = options;
        let mut cx = Context::new(bench.now, &mut bench.host);
        let path = Path::with_mtu(mtu);
        bench.connection =
            Connection::answer(&mut cx, Arc::new(config), tuple(), path, (syn, None));
        let syn_ack = bench.drain().remove(0);
        bench.first = syn_ack.header.seq + 1;
        bench.peer.ack = bench.first;
        bench.peer.seq += 1;
        bench.peer_acks(bench.first);
        assert_eq!(bench.connection.phase(), Phase::Established);
        bench.events();
        bench
    }

    /// The peer's next segment with `flags` and `text`. Its sequence number does not advance by this.
    pub(crate) fn segment(&self, flags: TcpFlags, text: &[u8]) -> SegmentIn {
        let Peer {
            seq,
            ack,
            window,
            echo,
            started,
        } = self.peer;
        let ticks = u32::try_from((self.now - started).as_millis()).unwrap();
        let timestamps = echo.map(|echo| Timestamps {
            value: 1 + ticks,
            echo,
        });
        let header = TcpHeader {
            source_port: tuple().remote.port,
            destination_port: tuple().local.port,
            seq,
            ack,
            flags,
            window,
            options: TcpOptions {
                timestamps,
                ..TcpOptions::default()
            },
            ..TcpHeader::default()
        };
        SegmentIn::new(header, Payload::from(text.to_vec()))
    }

    /// The connection takes `segment`; returns what it has to say.
    pub(crate) fn arrives(&mut self, segment: SegmentIn) -> Vec<SegmentOut> {
        self.takes(segment);
        self.drain()
    }

    /// The connection takes `segment` and is not polled.
    pub(crate) fn takes(&mut self, segment: SegmentIn) -> Verdict {
        let mut cx = Context::new(self.now, &mut self.host);
        self.connection.handle_segment(&mut cx, segment)
    }

    /// The peer sends `text` in order.
    pub(crate) fn peer_sends(&mut self, text: &[u8]) -> Vec<SegmentOut> {
        let segment = self.segment(ACK, text);
        self.peer.seq += u32::try_from(text.len()).unwrap();
        self.arrives(segment)
    }

    /// The peer acknowledges everything up to `ack`.
    pub(crate) fn peer_acks(&mut self, ack: SeqNum) -> Vec<SegmentOut> {
        self.peer.ack = ack;
        self.arrives(self.segment(ACK, b""))
    }

    /// The peer acknowledges everything that has been sent, and changes its window.
    pub(crate) fn peer_offers(&mut self, window: u16) -> Vec<SegmentOut> {
        self.peer.window = window;
        self.arrives(self.segment(ACK, b""))
    }

    /// Polls until there is nothing left.
    pub(crate) fn drain(&mut self) -> Vec<SegmentOut> {
        let mut cx = Context::new(self.now, &mut self.host);
        std::iter::from_fn(|| self.connection.poll_transmit(&mut cx)).collect()
    }

    /// The application writes all of `text`.
    pub(crate) fn writes(&mut self, text: &[u8]) -> Vec<SegmentOut> {
        let taken = self
            .connection
            .write(&mut Context::new(self.now, &mut self.host), text)
            .unwrap();
        assert_eq!(
            taken,
            text.len(),
            "the send buffer is too small for this test"
        );
        self.drain()
    }

    /// The application reads up to `len` octets.
    pub(crate) fn reads(&mut self, len: usize) -> (Vec<u8>, Vec<SegmentOut>) {
        let mut buffer = vec![0; len];
        let taken = self
            .connection
            .read(&mut Context::new(self.now, &mut self.host), &mut buffer)
            .unwrap();
        buffer.truncate(taken);
        (buffer, self.drain())
    }

    /// Calls `call` on the connection and drains it.
    pub(crate) fn calls(
        &mut self,
        call: impl FnOnce(&mut Connection, &mut Context<'_>),
    ) -> Vec<SegmentOut> {
        call(
            &mut self.connection,
            &mut Context::new(self.now, &mut self.host),
        );
        self.drain()
    }

    /// Lets `span` pass with a silent peer; returns what left, and when.
    pub(crate) fn waits(&mut self, span: Duration) -> Vec<Sent> {
        let (start, end) = (self.now, self.now + span);
        let mut sent = Vec::new();
        while let Some(deadline) = self
            .connection
            .poll_timeout()
            .filter(|deadline| *deadline <= end)
        {
            assert!(
                deadline > self.now || sent.len() < 10_000,
                "timers do not let time pass"
            );
            self.now = deadline.max(self.now);
            self.connection
                .handle_timeout(&mut Context::new(self.now, &mut self.host));
            let after = self.now - start;
            sent.extend(
                self.drain()
                    .into_iter()
                    .map(|segment| Sent { after, segment }),
            );
        }
        self.now = end;
        sent
    }

    /// The events since the last call.
    pub(crate) fn events(&mut self) -> Events {
        self.connection.take_events()
    }
}

/// `count` octets that tell where they stand.
pub(crate) fn octets(count: usize) -> Vec<u8> {
    (0..=250).cycle().take(count).collect()
}

/// The text of `segments`, one after the other.
pub(crate) fn text_of(segments: &[SegmentOut]) -> Vec<u8> {
    segments
        .iter()
        .flat_map(|segment| segment.payload.to_vec())
        .collect()
}

/// When each of `sent` left, in whole seconds.
pub(crate) fn seconds(sent: &[Sent]) -> Vec<u64> {
    sent.iter().map(|sent| sent.after.as_secs()).collect()
}

impl Bench {
    /// A connection whose receive buffer of 8,192 octets is full, and whose window is shut.
    pub(crate) fn with_full_buffer() -> Self {
        let mut bench = Self::established(Config {
            receive_buffer: BufferSize::fixed(8_192),
            quick_acks: 0,
            ..plain()
        });
        for _ in 0..8 {
            bench.peer_sends(&octets(1_024));
        }
        bench.waits(Duration::from_millis(200));
        assert_eq!(bench.connection.info().rcv_wnd, 0);
        bench.events();
        bench
    }
}
