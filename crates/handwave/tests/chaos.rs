//! Whatever programs do with streams, in whatever order, over devices that take and give as they please: what is heard is what was said,
//! an end in order comes after all of it, and nobody waits for ever.
#![allow(clippy::unwrap_used, reason = "a helper may fail as a test does")]

mod common;
#[path = "common/devices.rs"]
mod devices;
#[path = "common/dice.rs"]
mod dice;

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use common::SERVER;
use devices::{Habit, Spread, With};
use dice::Dice;
use handwave::device::{Device, pair as wire};
use handwave::{PacketBuf, Stack, TcpListener, TcpStream, UdpSocket};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::yield_now;

/// A device that takes and gives fewer packets than it could, and loses some.
struct Moody {
    dice: Dice,
    loses: bool,
}

impl<D: Device> Habit<D> for Moody {
    fn receive(
        &mut self,
        device: &mut D,
        max: usize,
        out: &mut Vec<PacketBuf>,
    ) -> io::Result<usize> {
        let max = 1 + self.dice.below(max);
        device.receive(max, out)
    }

    fn send(&mut self, device: &mut D, packets: &mut VecDeque<PacketBuf>) -> io::Result<usize> {
        let most = self.dice.below(2 * packets.len() + 1).min(packets.len());
        if self.loses && self.dice.one_in(20) {
            packets.pop_front();
        }
        let rest = packets.split_off(most.min(packets.len()));
        let sent = device.send(packets);
        packets.extend(rest);
        sent
    }
}

fn octet(at: u64) -> u8 {
    (at % 251) as u8
}

/// Octets written and read at once.
const LENGTHS: [usize; 6] = [0, 1, 100, 3_000, 100_000, 400_000];

/// What one end has said and heard.
#[derive(Clone, Copy, Default, Debug)]
struct Account {
    /// The port of the one who connected.
    port: u16,
    said: u64,
    /// Of a chunk whose writing failed: it may have been said or not.
    unsure: u64,
    heard: u64,
    /// The stream ended in order.
    ended: bool,
    /// Said the end, and waited until it had left.
    finished: bool,
}

impl Account {
    /// Takes down what was read; nothing is the end, if there was room for something.
    fn heard_of(&mut self, text: &[u8], has_room: bool) {
        for octets in text {
            assert_eq!(*octets, octet(self.heard), "octet {}", self.heard);
            self.heard += 1;
        }
        self.ended |= has_room && text.is_empty();
    }

    fn say(&self, len: usize) -> Vec<u8> {
        (self.said..).take(len).map(octet).collect()
    }
}

/// Gives up after so many turns of the other tasks.
async fn turns(count: usize) {
    for _ in 0..count {
        yield_now().await;
    }
}

/// Does something until it is done or it has taken too long: then it is cancelled.
async fn cancelled<T>(dice: &mut Dice, doing: impl Future<Output = T>) -> Option<T> {
    let patience = dice.pick(&[0, 1, 2, 10, 1_000]);
    tokio::select! {
        biased;
        () = turns(patience) => None,
        done = doing => Some(done),
    }
}

/// Nothing yet is no error.
fn unless_blocked(done: io::Result<usize>) -> io::Result<Option<usize>> {
    match done {
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
        done => done.map(Some),
    }
}

/// One end of a conversation.
struct Talker<'a> {
    dice: Dice,
    account: &'a mut Account,
    may_reset: bool,
}

impl Talker<'_> {
    /// Talks for a while and comes to an end; an error ends it before.
    async fn converse(mut self, mut stream: TcpStream) -> io::Result<()> {
        for _ in 0..self.dice.below(120) {
            match self.dice.below(16) {
                0..4 => self.says(&mut stream).await?,
                4 => self.says_a_chunk(&mut stream).await?,
                5..12 => self.hears(&mut stream).await?,
                12 => {
                    if let Some(ready) = cancelled(&mut self.dice, stream.readable()).await {
                        ready?;
                    }
                }
                13 => {
                    let (from, to) = stream.into_split();
                    yield_now().await;
                    stream = from.reunite(to).unwrap();
                }
                14 => tokio::time::sleep(Duration::from_millis(self.dice.next() % 300)).await,
                _ if self.dice.one_in(10) => {
                    let _done = cancelled(&mut self.dice, stream.shutdown()).await;
                    break;
                }
                _ => {}
            }
        }
        // A reset that is lost leaves a reader waiting, as TCP has it.
        if self.may_reset && self.dice.one_in(12) {
            return stream.set_linger(Some(Duration::ZERO));
        }
        if self.may_reset && self.dice.one_in(6) {
            return Ok(());
        }
        self.ends(stream).await
    }

    async fn says(&mut self, stream: &mut TcpStream) -> io::Result<()> {
        let text = self.account.say(self.dice.pick(&LENGTHS));
        let written = match self.dice.one_in(4) {
            true => unless_blocked(stream.try_write(&text))?,
            false => {
                let writing = cancelled(&mut self.dice, stream.write(&text));
                writing.await.transpose()?
            }
        };
        self.account.said += written.unwrap_or(0) as u64;
        Ok(())
    }

    /// Hands a chunk over and listens meanwhile. It is not cancelled: nobody could say how much of it was taken.
    async fn says_a_chunk(&mut self, stream: &mut TcpStream) -> io::Result<()> {
        if cancelled(&mut self.dice, stream.writable()).await.is_none() {
            return Ok(());
        }
        let chunk = Bytes::from(self.account.say(self.dice.pick(&[1, 100, 3_000])));
        let all = chunk.len() as u64;
        self.account.unsure = all;
        let (mut from, mut to) = stream.split();
        let mut buffer = vec![0; 50_000];
        let mut writing = std::pin::pin!(to.write_chunk(chunk));
        loop {
            tokio::select! {
                done = &mut writing => break done?,
                count = from.read(&mut buffer), if !self.account.ended => {
                    self.account.heard_of(&buffer[..count?], true);
                }
            }
        }
        self.account.said += all;
        self.account.unsure = 0;
        Ok(())
    }

    async fn hears(&mut self, stream: &mut TcpStream) -> io::Result<()> {
        let len = self.dice.pick(&LENGTHS);
        let mut buffer = vec![0; len];
        let (dice, account) = (&mut self.dice, &mut *self.account);
        match dice.below(7) {
            0..3 => {
                if let Some(count) = cancelled(dice, stream.read(&mut buffer)).await {
                    account.heard_of(&buffer[..count?], len > 0);
                }
            }
            3 => {
                if let Some(chunk) = cancelled(dice, stream.read_chunk(len)).await {
                    account.heard_of(&chunk?, len > 0);
                }
            }
            4 => {
                let mut chunks = vec![Bytes::new(); len.min(20)];
                if let Some(count) = cancelled(dice, stream.read_chunks(&mut chunks)).await {
                    account.heard_of(&chunks[..count?].concat(), len > 0);
                }
            }
            5 => {
                if let Some(count) = cancelled(dice, stream.peek(&mut buffer)).await {
                    let mut ahead = *account;
                    ahead.heard_of(&buffer[..count?], len > 0);
                }
            }
            _ => {
                if let Some(count) = unless_blocked(stream.try_read(&mut buffer))? {
                    account.heard_of(&buffer[..count], len > 0);
                }
            }
        }
        Ok(())
    }

    /// Says the end, and hears everything up to the end of the other.
    async fn ends(&mut self, stream: TcpStream) -> io::Result<()> {
        let (mut from, mut to) = stream.into_split();
        let reading = async {
            let mut buffer = vec![0; 20_000];
            while !self.account.ended {
                let count = from.read(&mut buffer).await?;
                self.account.heard_of(&buffer[..count], true);
            }
            Ok::<(), io::Error>(())
        };
        let (heard, shut) = tokio::join!(reading, to.shutdown());
        heard?;
        shut?;
        self.account.finished = true;
        Ok(())
    }
}

fn moody<D>(device: D, dice: &mut Dice, loses: bool) -> With<D, Moody> {
    let habit = Moody {
        dice: Dice(dice.next()),
        loses,
    };
    With(device, habit)
}

/// Where datagrams are answered with themselves.
const ECHO: SocketAddr = SocketAddr::new(SERVER.ip(), 7);

async fn echoes(socket: UdpSocket) -> io::Result<()> {
    let mut buffer = vec![0; 70_000];
    loop {
        let (len, from) = socket.recv_from(&mut buffer).await?;
        socket.send_to(&buffer[..len], from).await?;
    }
}

/// Sends datagrams of which each says where it is from, in bursts that no queue has room for, and hears each once and whole, or not at all.
async fn exchanges_datagrams(client: &Stack, mut dice: Dice) -> io::Result<()> {
    let socket = UdpSocket::bind(client, SocketAddr::new([10, 0, 0, 1].into(), 0))?;
    socket.connect(ECHO).await?;
    let mut lens: Vec<Option<usize>> = Vec::new();
    let mut buffer = vec![0; 70_000];
    for _ in 0..dice.below(30) {
        for _ in 0..dice.pick(&[1, 1, 5, 400]) {
            let len = dice.pick(&[8, 100, 550, 3_000]);
            let mut text = vec![lens.len().to_le_bytes()[0]; len];
            text[..8].copy_from_slice(&(lens.len() as u64).to_le_bytes());
            lens.push(Some(len));
            socket.send(&text).await?;
        }
        let silence = Duration::from_millis(dice.next() % 40);
        while let Ok(len) = tokio::time::timeout(silence, socket.recv(&mut buffer)).await {
            let text = &buffer[..len?];
            let number = u64::from_le_bytes(text[..8].try_into().unwrap());
            let known = lens[usize::try_from(number).unwrap()].take();
            assert_eq!(known, Some(text.len()), "datagram {number}");
            let mark = number.to_le_bytes()[0];
            assert!(text[8..].iter().all(|octet| *octet == mark));
        }
    }
    Ok(())
}

async fn play(seed: u64) {
    let mut dice = Dice(seed);
    let (mtu, capacity) = (
        dice.pick(&[600, 1_500, 65_535]),
        dice.pick(&[1, 4, 256, 2_000]),
    );
    let shards = dice.pick(&[1, 1, 2, 3]);
    let (lefts, rights): (Vec<_>, Vec<_>) = (0..shards).map(|_| wire(mtu, capacity)).unzip();
    let loses = dice.one_in(3);
    let mut own = Dice(dice.next());
    let spread = Spread {
        queues: lefts,
        into: move |queues| own.below(queues),
    };
    let client = Stack::builder().device(moody(spread, &mut dice, loses));
    let client = client.address([10, 0, 0, 1], 24).spawn().unwrap();
    let queues = rights
        .into_iter()
        .map(|queue| moody(queue, &mut dice, loses));
    let server = Stack::builder().queues(queues.collect::<Vec<_>>());
    let (server, drivers) = server.address([10, 0, 0, 2], 24).build_queues().unwrap();
    let drivers: Vec<_> = drivers.into_iter().map(tokio::spawn).collect();
    let echo = tokio::spawn(echoes(UdpSocket::bind(&server, ECHO).unwrap()));
    let listener = TcpListener::bind(&server, SERVER).unwrap();
    let is_killed = dice.one_in(8);
    let datagrams = exchanges_datagrams(&client, Dice(dice.next()));
    let server = (!dice.one_in(2)).then_some(server);
    let mut ends = Vec::new();
    for _ in 0..=dice.below(4) {
        let mut talkers = [(); 2].map(|()| (Dice(dice.next()), Account::default()));
        let (client, listener) = (&client, &listener);
        ends.push(async move {
            let [ours, theirs] = &mut talkers;
            let (one, other) = tokio::join!(
                connects(client, ours, !loses),
                accepts(listener, theirs, !loses)
            );
            [(ours.1, one), (theirs.1, other)]
        });
    }
    let kill = async {
        if is_killed {
            tokio::time::sleep(Duration::from_millis(dice.next() % 3_000)).await;
            // When one ends all do.
            dice.pick(&drivers.iter().collect::<Vec<_>>()).abort();
        }
    };
    let all = async { tokio::join!(join_all(ends), kill, datagrams) };
    let talks = tokio::time::timeout(Duration::from_secs(3_600), all).await;
    let (talks, (), datagrams) = talks.expect("somebody waits for ever");
    judge(&talks, is_killed);
    assert!(is_killed || datagrams.is_ok(), "{datagrams:?}");
    echo.abort();
    drop((listener, server, client));
    for driver in drivers {
        let ending = tokio::time::timeout(Duration::from_secs(3_600), driver).await;
        // The other end of the wire may have gone first.
        let _ending = ending.expect("a driver does not end");
    }
}

async fn connects(client: &Stack, talker: &mut (Dice, Account), may_reset: bool) -> io::Result<()> {
    let (dice, account) = (talker.0.clone(), &mut talker.1);
    let stream = TcpStream::connect(client, SERVER).await?;
    account.port = stream.local_addr()?.port();
    let talker = Talker {
        dice,
        account,
        may_reset,
    };
    talker.converse(stream).await
}

/// Accepts one of those who connect, whichever that is.
async fn accepts(
    listener: &TcpListener,
    talker: &mut (Dice, Account),
    may_reset: bool,
) -> io::Result<()> {
    let (mut dice, account) = (talker.0.clone(), &mut talker.1);
    // Of who resets at once one may never hear.
    for _ in 0..300_000 {
        if let Some(accepted) = cancelled(&mut dice, listener.accept()).await {
            let (stream, from) = accepted?;
            account.port = from.port();
            let talker = Talker {
                dice,
                account,
                may_reset,
            };
            return talker.converse(stream).await;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Err(ErrorKind::TimedOut.into())
}

type Told = (Account, io::Result<()>);

/// Each connection's two ends have to have heard what the other said.
fn judge(talks: &[[Told; 2]], is_killed: bool) {
    for [(ours, one), _] in talks {
        let theirs = talks.iter().map(|[_, other]| other);
        let mut theirs = theirs.filter(|(account, _)| account.port == ours.port && ours.port != 0);
        let Some((theirs, other)) = theirs.next() else {
            continue;
        };
        let what = format!("{ours:?} {one:?} / {theirs:?} {other:?}");
        for (this, that) in [(ours, theirs), (theirs, ours)] {
            assert!(this.heard <= that.said + that.unsure, "{what}");
            assert!(!this.ended || this.heard >= that.said, "{what}");
        }
        if !is_killed && ours.finished && theirs.finished {
            assert!(one.is_ok() && other.is_ok(), "{what}");
        }
    }
}

/// All at once, in their order.
async fn join_all<T>(futures: Vec<impl Future<Output = T>>) -> Vec<T> {
    let mut futures: Vec<_> = futures
        .into_iter()
        .map(|future| (Box::pin(future), None))
        .collect();
    std::future::poll_fn(move |cx| {
        let mut is_ready = true;
        for (future, done) in &mut futures {
            if done.is_none() {
                match future.as_mut().poll(cx) {
                    Poll::Ready(value) => *done = Some(value),
                    Poll::Pending => is_ready = false,
                }
            }
        }
        match is_ready {
            true => Poll::Ready(
                futures
                    .iter_mut()
                    .map(|(_, done)| done.take().unwrap())
                    .collect(),
            ),
            false => Poll::Pending,
        }
    })
    .await
}

#[test]
fn whatever_programs_do_streams_are_streams() {
    let number = |name, or| std::env::var(name).map_or(or, |number| number.parse().unwrap());
    let first = number("HANDWAVE_FIRST", 0);
    for seed in first..first + number("HANDWAVE_CASES", 60) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap();
        println!("seed {seed}");
        runtime.block_on(play(seed));
    }
}
