//! The scenarios, as what the applications of both hosts do.

use std::time::Duration;

use handwave_stack::{ConnectionId, ListenerId};
use handwave_story::Side;
use handwave_tcp::{Config, Instant, Phase, ReceiveError, SendError, TcpInfo};
use handwave_wire::{SeqNum, TcpFlags};
use indicatif::ProgressBar;
use sha2::{Digest as _, Sha256};

use super::payload::{Hash, Payload};
use super::scenario::Scenario;
use super::stray;
use super::world::{Stuck, World, rest, socket};
use crate::args::NetworkArgs;

/// What a server application needs before it closes too: long enough for the ACK of the FIN to leave on its own.
const THINKING: Duration = Duration::from_millis(30);
/// How long a reader does not read, in the scenario about that.
const NOT_READING: Duration = Duration::from_secs(5);

/// What came of a scenario.
#[derive(Debug)]
pub(crate) struct Played {
    /// Whether the scenario went to its end, and if not, why.
    pub(crate) end: Result<(), Stuck>,
    /// The SHA-256 and number of the octets that the receiving application read.
    pub(crate) received: Option<(Hash, u64)>,
    /// From the first call to the last octet read.
    pub(crate) took: Duration,
    /// The sender's numbers when the last octet had been read.
    pub(crate) info: Option<TcpInfo>,
}

/// How many octets a scenario generates by itself; `None` for the one that takes the user's data.
pub(crate) const fn own_data(scenario: Scenario) -> Option<u64> {
    match scenario {
        Scenario::Transfer => None,
        Scenario::Handshake | Scenario::SimultaneousOpen | Scenario::LostSyn => Some(0),
        Scenario::Teardown3
        | Scenario::SimultaneousClose
        | Scenario::LostLastAck
        | Scenario::Reset
        | Scenario::OldDuplicate => Some(100),
        Scenario::HalfClose => Some(3_000),
        Scenario::ZeroWindow => Some(16_000),
    }
}

/// Plays a scenario to its end.
pub(crate) fn play(
    scenario: Scenario,
    world: &mut World,
    payload: &Payload,
    (network, progress): (&NetworkArgs, &ProgressBar),
) -> Played {
    let mut stage = Stage {
        world,
        outgoing: Outgoing {
            payload,
            chunk: 0,
            offset: 0,
        },
        incoming: Incoming::default(),
        progress,
        info: None,
        finished: None,
    };
    let end = match scenario {
        Scenario::Transfer => stage.transfer(),
        Scenario::Handshake => stage.handshake().map(|_| ()),
        Scenario::Teardown3 => stage.teardown_3(),
        Scenario::HalfClose => stage.half_close(),
        Scenario::SimultaneousOpen => stage.simultaneous_open(),
        Scenario::SimultaneousClose => stage.simultaneous_close(),
        Scenario::LostSyn => stage.lost_syn(),
        Scenario::LostLastAck => stage.lost_last_ack(),
        Scenario::Reset => stage.reset(),
        Scenario::ZeroWindow => stage.zero_window(),
        Scenario::OldDuplicate => stage.old_duplicate(network),
    };
    stage.world.drain();
    let incoming = stage.incoming;
    let received = own_data(scenario).is_none_or(|octets| octets > 0);
    Played {
        end,
        received: received.then(|| (incoming.hash.finalize().into(), incoming.octets)),
        took: stage.finished.unwrap_or(stage.world.now) - Instant::ZERO,
        info: stage.info,
    }
}

/// The application that sends.
struct Outgoing<'a> {
    payload: &'a Payload,
    chunk: usize,
    offset: usize,
}

impl Outgoing<'_> {
    /// Hands over what the socket takes; true once it has taken everything.
    fn pump(&mut self, world: &mut World, side: Side, id: ConnectionId) -> Result<bool, Stuck> {
        while let Some(chunk) = self.payload.chunks.get(self.chunk) {
            let piece = rest(chunk, self.offset);
            let (now, len) = (world.now, piece.len());
            let taken = match world.stack(side).write_chunk(now, id, piece) {
                Ok(taken) => taken,
                Err(SendError::Lost(error)) => return Err(socket(error)),
                Err(error) => return Err(socket(error)),
            };
            if taken < len {
                self.offset += taken;
                return Ok(false);
            }
            self.chunk += 1;
            self.offset = 0;
        }
        Ok(true)
    }
}

/// The application that reads.
#[derive(Default)]
struct Incoming {
    hash: Sha256,
    octets: u64,
}

impl Incoming {
    /// Reads what is there; true at the end of the stream.
    fn pump(&mut self, world: &mut World, side: Side, id: ConnectionId) -> Result<bool, Stuck> {
        loop {
            let now = world.now;
            match world.stack(side).read_chunk(now, id, usize::MAX) {
                Ok(chunk) if chunk.is_empty() => return Ok(true),
                Ok(chunk) => {
                    self.hash.update(&chunk);
                    self.octets += chunk.len() as u64;
                }
                Err(ReceiveError::WouldBlock) => return Ok(false),
                Err(ReceiveError::Lost(error)) => return Err(socket(error)),
            }
        }
    }
}

/// A world with its two applications.
struct Stage<'a> {
    world: &'a mut World,
    outgoing: Outgoing<'a>,
    incoming: Incoming,
    progress: &'a ProgressBar,
    info: Option<TcpInfo>,
    finished: Option<Instant>,
}

/// The client's and the server's end of an open connection.
#[derive(Clone, Copy)]
struct Ends {
    client: ConnectionId,
    server: ConnectionId,
}

impl Stage<'_> {
    fn transfer(&mut self) -> Result<(), Stuck> {
        let ends = self.handshake()?;
        self.send_all(ends)?;
        self.close(Side::A, ends.client);
        self.read_to_end(ends)?;
        self.world.wait(THINKING);
        self.close(Side::B, ends.server);
        self.finish(ends);
        Ok(())
    }

    /// Opens a connection the usual way.
    fn handshake(&mut self) -> Result<Ends, Stuck> {
        let listener = self.world.listen(Side::B)?;
        let client = self.world.connect(Side::A)?;
        let server = self.accept(client, listener)?;
        Ok(Ends { client, server })
    }

    fn accept(
        &mut self,
        client: ConnectionId,
        listener: ListenerId,
    ) -> Result<ConnectionId, Stuck> {
        let mut server = None;
        self.world.until(|world| {
            alive(world, Side::A, client)?;
            server = server.or_else(|| world.stack(Side::B).accept(listener).map(|(id, _)| id));
            Ok(server.is_some())
        })?;
        server.ok_or(Stuck::Silent)
    }

    /// Sends the whole payload from client to server, which reads as it arrives, until every octet is acknowledged.
    fn send_all(&mut self, ends: Ends) -> Result<(), Stuck> {
        let Self {
            world,
            outgoing,
            incoming,
            progress,
            ..
        } = self;
        world.until(|world| {
            let taken = outgoing.pump(world, Side::A, ends.client)?;
            incoming.pump(world, Side::B, ends.server)?;
            progress.set_position(incoming.octets);
            Ok(taken && is_acknowledged(world, Side::A, ends.client))
        })?;
        self.finished = Some(self.world.now);
        self.info = info(self.world, Side::A, ends.client);
        Ok(())
    }

    /// Lets the server read until the client's FIN.
    fn read_to_end(&mut self, ends: Ends) -> Result<(), Stuck> {
        let Self {
            world, incoming, ..
        } = self;
        world.until(|world| incoming.pump(world, Side::B, ends.server))
    }

    fn close(&mut self, side: Side, id: ConnectionId) {
        let now = self.world.now;
        self.world.stack(side).close(now, id);
    }

    /// Lets everything that is still to happen happen; TIME-WAIT ends by itself.
    fn finish(&mut self, ends: Ends) {
        self.world.settle();
        let now = self.world.now;
        self.world.stack(Side::A).release(now, ends.client);
        self.world.stack(Side::B).release(now, ends.server);
    }

    fn teardown_3(&mut self) -> Result<(), Stuck> {
        let ends = self.handshake()?;
        self.send_all(ends)?;
        self.close(Side::A, ends.client);
        self.read_to_end(ends)?;
        // At once, before the ACK of the FIN has left.
        self.close(Side::B, ends.server);
        self.finish(ends);
        Ok(())
    }

    fn half_close(&mut self) -> Result<(), Stuck> {
        let ends = self.handshake()?;
        self.close(Side::A, ends.client);
        let mut unheard = Incoming::default();
        self.world
            .until(|world| unheard.pump(world, Side::B, ends.server))?;
        let chunks = &self.outgoing.payload.chunks;
        let data: Vec<u8> = chunks
            .iter()
            .flat_map(|chunk| chunk.iter().copied())
            .collect();
        for part in data.chunks(1_000) {
            self.world.wait(THINKING);
            let now = self.world.now;
            self.world
                .stack(Side::B)
                .write(now, ends.server, part)
                .map_err(socket)?;
        }
        let Self {
            world, incoming, ..
        } = self;
        world.until(|world| {
            incoming.pump(world, Side::A, ends.client)?;
            Ok(is_acknowledged(world, Side::B, ends.server))
        })?;
        self.finished = Some(self.world.now);
        self.info = info(self.world, Side::B, ends.server);
        self.close(Side::B, ends.server);
        let Self {
            world, incoming, ..
        } = self;
        world.until(|world| incoming.pump(world, Side::A, ends.client))?;
        self.finish(ends);
        Ok(())
    }

    fn simultaneous_open(&mut self) -> Result<(), Stuck> {
        let a = self.world.connect(Side::A)?;
        let b = self.world.connect(Side::B)?;
        self.world.until(|world| {
            alive(world, Side::A, a)?;
            alive(world, Side::B, b)?;
            let established = |phase| phase == Some(Phase::Established);
            Ok(established(phase(world, Side::A, a)) && established(phase(world, Side::B, b)))
        })
    }

    fn simultaneous_close(&mut self) -> Result<(), Stuck> {
        let ends = self.handshake()?;
        self.send_all(ends)?;
        self.world.wait(THINKING);
        self.close(Side::A, ends.client);
        self.close(Side::B, ends.server);
        self.finish(ends);
        Ok(())
    }

    fn lost_syn(&mut self) -> Result<(), Stuck> {
        let mut syns = 0;
        self.world.lose(move |from, header, _| {
            let syn = from == Side::A && header.flags.contains(TcpFlags::SYN);
            syns += u32::from(syn);
            syn && syns == 1
        });
        self.handshake().map(|_| ())
    }

    fn lost_last_ack(&mut self) -> Result<(), Stuck> {
        let mut fin_end = None;
        let mut lost = false;
        self.world.lose(move |from, header, len| {
            if from == Side::B && header.flags.contains(TcpFlags::FIN) {
                fin_end = Some(header.seq + header.seq_len(len));
            }
            let last_ack = from == Side::A && Some(header.ack) == fin_end;
            let first = last_ack && !lost;
            lost |= last_ack;
            first
        });
        let ends = self.handshake()?;
        self.send_all(ends)?;
        self.close(Side::A, ends.client);
        self.read_to_end(ends)?;
        self.world.wait(THINKING);
        self.close(Side::B, ends.server);
        self.finish(ends);
        Ok(())
    }

    fn reset(&mut self) -> Result<(), Stuck> {
        let ends = self.handshake()?;
        self.send_all(ends)?;
        self.world.wait(THINKING);
        let now = self.world.now;
        self.world.stack(Side::B).abort(now, ends.server);
        self.world.settle();
        match self.incoming.pump(self.world, Side::A, ends.client) {
            Err(_) => Ok(()),
            Ok(_) => Err(socket("the RST did not end the connection")),
        }
    }

    fn zero_window(&mut self) -> Result<(), Stuck> {
        let ends = self.handshake()?;
        let deaf_until = self.world.now + NOT_READING;
        let Self {
            world, outgoing, ..
        } = self;
        // Time passes while the client offers more than the server has room for.
        let mut all = outgoing.pump(world, Side::A, ends.client)?;
        while !all && world.now < deaf_until {
            world.wait(Duration::from_millis(10));
            all = outgoing.pump(world, Side::A, ends.client)?;
        }
        world.wait(deaf_until - world.now);
        self.send_all(ends)?;
        self.close(Side::A, ends.client);
        self.read_to_end(ends)?;
        self.world.wait(THINKING);
        self.close(Side::B, ends.server);
        self.finish(ends);
        Ok(())
    }

    fn old_duplicate(&mut self, network: &NetworkArgs) -> Result<(), Stuck> {
        let listener = self.world.listen(Side::B)?;
        // Had there been a connection before, it would have begun with the numbers of a fresh world.
        let (old_x, old_y) = first_numbers(network)?;
        let syn = stray::packet(self.world, old_x, None, TcpFlags::SYN, &[]);
        self.world.inject(Side::A, syn);
        self.world.wait(Duration::from_millis(200));

        let client = self.world.connect(Side::A)?;
        let server = self.accept(client, listener)?;
        let ends = Ends { client, server };
        self.send_all(ends)?;
        self.world.wait(THINKING);
        let text = [b'?'; 100];
        let data = stray::packet(self.world, old_x + 1, Some(old_y + 1), TcpFlags::ACK, &text);
        self.world.inject(Side::A, data);
        self.world.wait(Duration::from_millis(200));
        Ok(())
    }
}

fn phase(world: &mut World, side: Side, id: ConnectionId) -> Option<Phase> {
    world
        .stack(side)
        .connection(id)
        .map(handwave_tcp::Connection::phase)
}

fn info(world: &mut World, side: Side, id: ConnectionId) -> Option<TcpInfo> {
    world
        .stack(side)
        .connection(id)
        .map(handwave_tcp::Connection::info)
}

/// An error once the connection has failed.
fn alive(world: &mut World, side: Side, id: ConnectionId) -> Result<(), Stuck> {
    match world
        .stack(side)
        .connection(id)
        .and_then(|connection| connection.error())
    {
        Some(error) => Err(socket(error)),
        None => Ok(()),
    }
}

/// Whether the peer has acknowledged everything that was written.
fn is_acknowledged(world: &mut World, side: Side, id: ConnectionId) -> bool {
    info(world, side, id).is_some_and(|info| info.unacked == 0 && info.notsent == 0)
}

/// The initial sequence numbers of a connection that begins when the world does.
fn first_numbers(network: &NetworkArgs) -> Result<(SeqNum, SeqNum), Stuck> {
    let mut world = World::new(network, &Config::default(), false);
    world.listen(Side::B)?;
    world.connect(Side::A)?;
    world.wait(network.path.delay * 4 + network.path.jitter * 4 + Duration::from_millis(1));
    let (_, transits, _) = world.into_records();
    let first = |side| transits.iter().find(|transit| transit.from == side);
    match (first(Side::A), first(Side::B)) {
        (Some(a), Some(b)) => Ok((a.header.seq, b.header.seq)),
        // The path loses everything; so it will in the play.
        _ => Err(Stuck::Silent),
    }
}
