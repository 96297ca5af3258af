//! The side that has the stack: a thread that waits for clients, and one for each client.
//!
//! Threads, not tasks: whoever looks into a program that is under attack, or whose runtime is stuck, gets his answer all
//! the same, and the driver's turns cost nothing more. The stack's lock is held for one slice of a snapshot at a time;
//! writing to a client happens without it, so a slow reader holds up nobody but himself.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::{self, Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::thread;
use std::time::{Duration, Instant as WallInstant};

use rustix::event::{PollFd, PollFlags, poll};
use serde::Serialize;

use super::protocol::{
    ErrorCode, Hello, ORDERED_MAX, Order, REQUEST_MAX, Reply, Request, Select, Summary, VERSION,
};
use super::survey::{self, Slices};
use super::{counters, look};
use crate::shared::Shared;

/// Clients that are served at the same time.
const CLIENTS_MAX: usize = 16;
/// A client that takes nothing for so long is hung up on.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// How often a thread that waits for a request looks whether the socket has been closed.
const READ_TIMEOUT: Duration = Duration::from_secs(2);
/// A client that asks nothing for so long is hung up on.
const IDLE_MAX: Duration = Duration::from_secs(600);

/// What all threads of one control socket share.
#[derive(Debug)]
pub(super) struct Server {
    /// Each shard.
    stack: Vec<Weak<Shared>>,
    program: String,
    opened: WallInstant,
    clients: AtomicUsize,
    closed: AtomicBool,
}

impl Server {
    /// Starts the thread that waits for clients; dropping the other end of `stop` ends it.
    pub(super) fn start(
        stack: Vec<Weak<Shared>>,
        program: String,
        listener: UnixListener,
        stop: UnixStream,
    ) -> io::Result<Arc<Self>> {
        listener.set_nonblocking(true)?;
        let server = Arc::new(Self {
            stack,
            program,
            opened: WallInstant::now(),
            clients: AtomicUsize::new(0),
            closed: AtomicBool::new(false),
        });
        let theirs = Arc::clone(&server);
        thread::Builder::new()
            .name("handwave-control".to_owned())
            .spawn(move || theirs.accept_all(&listener, &stop))?;
        Ok(server)
    }

    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }

    fn accept_all(self: &Arc<Self>, listener: &UnixListener, stop: &UnixStream) {
        loop {
            let mut waiting = [
                PollFd::new(listener, PollFlags::IN),
                PollFd::new(stop, PollFlags::IN),
            ];
            match poll(&mut waiting, None) {
                Err(rustix::io::Errno::INTR) => continue,
                Err(_) => return,
                Ok(_) => {}
            }
            if self.closed.load(Ordering::Acquire) || !waiting[1].revents().is_empty() {
                return;
            }
            match listener.accept() {
                Ok((client, _)) => self.take_in(client),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // Out of descriptors, most likely: some will be free again.
                Err(_) => thread::sleep(Duration::from_millis(100)),
            }
        }
    }

    fn take_in(self: &Arc<Self>, mut client: UnixStream) {
        let set = client.set_nonblocking(false).and_then(|()| {
            client.set_write_timeout(Some(WRITE_TIMEOUT))?;
            client.set_read_timeout(Some(READ_TIMEOUT))
        });
        if set.is_err() {
            return;
        }
        if self.clients.fetch_add(1, Ordering::AcqRel) >= CLIENTS_MAX {
            self.clients.fetch_sub(1, Ordering::AcqRel);
            let _ = self.say_hello(&mut client);
            let _ = refuse(
                &mut client,
                ErrorCode::Busy,
                "too many clients are connected",
            );
            return;
        }
        let server = Arc::clone(self);
        let thread = thread::Builder::new().name("handwave-control".to_owned());
        let started = thread.spawn(move || {
            // A client that went away is no error of anybody.
            let _ = server.serve(client);
            server.clients.fetch_sub(1, Ordering::AcqRel);
        });
        if started.is_err() {
            self.clients.fetch_sub(1, Ordering::AcqRel);
        }
    }

    fn say_hello(&self, client: &mut UnixStream) -> io::Result<()> {
        let hello = Hello {
            protocol: super::PROTOCOL.to_owned(),
            version: VERSION,
            program: self.program.clone(),
            pid: std::process::id(),
        };
        client.write_all(&line(&hello))
    }

    fn serve(&self, mut client: UnixStream) -> io::Result<()> {
        self.say_hello(&mut client)?;
        let mut lines = Lines::default();
        loop {
            let request = match lines.next(&mut client, || self.closed.load(Ordering::Acquire))? {
                Line::End => return Ok(()),
                Line::TooLong => {
                    let message = format!("a request is at most {REQUEST_MAX} octets long");
                    return refuse(&mut client, ErrorCode::TooLong, &message);
                }
                Line::Whole(octets) if octets.trim_ascii().is_empty() => continue,
                Line::Whole(octets) => serde_json::from_slice::<Request>(&octets),
            };
            match request {
                Err(error) => refuse(&mut client, ErrorCode::BadRequest, &error.to_string())?,
                Ok(request) => {
                    let shards = self.stack.iter().map(Weak::upgrade);
                    let Some(shards) = shards.collect::<Option<Vec<_>>>() else {
                        let message = "the stack has ended";
                        return refuse(&mut client, ErrorCode::Ended, message);
                    };
                    let shards: Vec<&Shared> = shards.iter().map(|shard| &**shard).collect();
                    self.answer(&shards, request, &mut client)?;
                }
            }
        }
    }

    fn answer(&self, stack: &[&Shared], request: Request, to: &mut UnixStream) -> io::Result<()> {
        let count = match request {
            Request::Sockets(select) => match select.order {
                Some(order) => best_sockets(stack, &select, order, to)?,
                None => every_socket(stack, &select, to)?,
            },
            Request::Counters => {
                let counters = counters::all(stack);
                to.write_all(&line(&Reply::Counters { counters }))?;
                0
            }
            Request::Summary => {
                let summary = Summary {
                    uptime_ms: u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(u64::MAX),
                    ..survey::of(stack)
                };
                to.write_all(&line(&Reply::Summary(Box::new(summary))))?;
                0
            }
        };
        to.write_all(&line(&Reply::End { count }))
    }
}

/// Writes every socket that is asked for, slice by slice.
fn every_socket(stack: &[&Shared], select: &Select, to: &mut UnixStream) -> io::Result<u64> {
    let (mut count, limit) = (0, select.limit.map_or(u64::MAX, |limit| limit as u64));
    let (mut slices, mut out) = (Slices::new(stack, select.details), Vec::new());
    while let Some((slice, now)) = slices.next() {
        out.clear();
        for seen in slice {
            if count < limit && look::is_selected(&seen.snapshot, select) {
                count += 1;
                let socket = look::socket(seen, now, select.details);
                out.extend_from_slice(&line(&Reply::Socket(Box::new(socket))));
            }
        }
        to.write_all(&out)?;
        if count >= limit {
            break;
        }
    }
    Ok(count)
}

/// Writes those sockets that come first in `order`.
fn best_sockets(
    stack: &[&Shared],
    select: &Select,
    order: Order,
    to: &mut UnixStream,
) -> io::Result<u64> {
    let limit = select.limit.unwrap_or(ORDERED_MAX).min(ORDERED_MAX);
    let mut best: BinaryHeap<Ranked> = BinaryHeap::new();
    let mut slices = Slices::new(stack, select.details);
    let mut place = 0;
    while let Some((slice, now)) = slices.next() {
        for seen in slice {
            if !look::is_selected(&seen.snapshot, select) {
                continue;
            }
            place += 1;
            let key = (Reverse(look::rank(&seen.snapshot, order)), place);
            if best.len() >= limit && best.peek().is_none_or(|worst| worst.key <= key) {
                continue;
            }
            if best.len() >= limit {
                best.pop();
            }
            let text = line(&Reply::Socket(Box::new(look::socket(
                seen,
                now,
                select.details,
            ))));
            best.push(Ranked { key, text });
        }
    }
    let best = best.into_sorted_vec();
    for ranked in &best {
        to.write_all(&ranked.text)?;
    }
    Ok(best.len() as u64)
}

/// A socket and its place in the order: the greatest key is the last.
#[derive(PartialEq, Eq)]
struct Ranked {
    key: (Reverse<u64>, u64),
    text: Vec<u8>,
}

impl Ord for Ranked {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key.cmp(&other.key)
    }
}

impl PartialOrd for Ranked {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// One JSON value on a line of its own.
fn line(value: &impl Serialize) -> Vec<u8> {
    // Nothing in the protocol can fail to be written: its keys are strings, its numbers whole.
    let mut octets = serde_json::to_vec(value).unwrap_or_default();
    octets.push(b'\n');
    octets
}

fn refuse(client: &mut UnixStream, code: ErrorCode, message: &str) -> io::Result<()> {
    let message = message.to_owned();
    client.write_all(&line(&Reply::Error { code, message }))
}

/// Cuts what arrives into lines of bounded length.
#[derive(Default)]
struct Lines {
    pending: Vec<u8>,
}

enum Line {
    Whole(Vec<u8>),
    TooLong,
    End,
}

impl Lines {
    fn next(&mut self, from: &mut UnixStream, closed: impl Fn() -> bool) -> io::Result<Line> {
        let since = WallInstant::now();
        loop {
            if let Some(end) = self.pending.iter().position(|&octet| octet == b'\n') {
                let rest = self.pending.split_off(end + 1);
                let mut whole = std::mem::replace(&mut self.pending, rest);
                whole.pop();
                return Ok(Line::Whole(whole));
            }
            if self.pending.len() >= REQUEST_MAX {
                return Ok(Line::TooLong);
            }
            let mut octets = [0; 1024];
            let room = octets.len().min(REQUEST_MAX - self.pending.len());
            match from.read(&mut octets[..room]) {
                Ok(0) => return Ok(Line::End),
                Ok(count) => self.pending.extend_from_slice(&octets[..count]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if closed() || since.elapsed() > IDLE_MAX {
                        return Ok(Line::End);
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }
}

/// Where a control socket is, for those that drop it.
#[derive(Debug)]
pub(super) struct Bound {
    pub(super) path: PathBuf,
    /// Device and inode, so that somebody else's socket at the same path is left alone.
    pub(super) identity: (u64, u64),
}
