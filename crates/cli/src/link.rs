//! `handwave link`: a path between two TUN interfaces, with the simulator's link and the time of the wall.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::future::poll_fn;
use std::io;
use std::os::fd::AsFd as _;
use std::process::ExitCode;
use std::task::{Context, Poll};

use handwave::device::Device as _;
use handwave::{Runtime as _, Timer, TokioRuntime, Watch};
use handwave_device::{Offload, Tun};
use handwave_packet::{PacketBuf, split};
use handwave_sim::{Fate, Link, LinkStats, Rng};
use handwave_tcp::Instant;

use crate::args::{Common, LinkArgs};
use crate::failure::{Failure, Kind};
use crate::live::Interrupts;
use crate::screen::Screen;
use crate::tun::OpenTun;
use crate::{live, log, tun};

/// Packets taken from an interface at a time.
const BATCH_MAX: usize = 64;
/// Packets under way in one direction; what comes then is dropped.
const IN_FLIGHT_MAX: usize = 1 << 18;

/// Runs the subcommand.
pub(crate) fn run(args: &LinkArgs, common: &Common) -> Result<ExitCode, Failure> {
    log::begin(args.log.level, &common.color);
    let [a, b] = args.tuns.as_slice() else {
        return Err(Failure::new(Kind::Usage, "a link has two ends")
            .because(format!("--tun was given {} times", args.tuns.len()))
            .hint("--tun NAME --tun OTHER"));
    };
    if a == b {
        return Err(Failure::new(Kind::Usage, "a link has two ends")
            .because(format!("--tun {a} was given twice"))
            .hint(
                "two names, or the same name in two namespaces: --tun hw0@left --tun hw0@right",
            ));
    }
    let stats = live::block_on(async {
        let failed =
            |error: io::Error| Failure::new(Kind::Failed, "cannot start the link").because(error);
        let mut interrupts = Interrupts::new().map_err(failed)?;
        let ends = [
            tun::open_with(a, args.mtu, Offload::Auto, 1, Vec::new())?,
            tun::open_with(b, args.mtu, Offload::Auto, 1, Vec::new())?,
        ];
        say(common, &banner(args, &ends))?;
        let mut path = Path::new(args, ends).map_err(failed)?;
        tokio::select! {
            () = interrupts.next() => {}
            error = path.run() => {
                return Err(Failure::new(Kind::Failed, "an interface of the link does not work any more").because(error));
            }
        }
        Ok(path.stats())
    })?;
    let names = [(a, b), (b, a)];
    let report: Vec<_> = names
        .iter()
        .zip(&stats)
        .map(|((from, to), stats)| {
            format!(
                "{from} to {to}: {} sent, {} delivered, {} lost, {} dropped at the queue\n",
                stats.sent, stats.delivered, stats.lost, stats.queue_full
            )
        })
        .collect();
    say(common, &report.concat())?;
    Ok(ExitCode::SUCCESS)
}

fn say(common: &Common, text: &str) -> Result<(), Failure> {
    let mut screen = Screen::new(common.color.choice(), None);
    screen.text(text)?;
    screen.flush()
}

fn banner(args: &LinkArgs, ends: &[OpenTun; 2]) -> String {
    let [a, b] = ends;
    let mut text = format!(
        "handwave links {} and {}: {}\n",
        a.name,
        b.name,
        args.link()
    );
    for end in ends {
        let _ = writeln!(text, "  {}{}", end.name, end.origin());
    }
    text.push_str("Ctrl-C ends it.\n");
    text
}

/// Two interfaces and both directions between them.
struct Path {
    runtime: TokioRuntime,
    timer: Box<dyn Timer>,
    ends: [End; 2],
}

/// An interface, and the way to it.
struct End {
    tun: Tun,
    watch: Box<dyn Watch>,
    /// The direction that ends here.
    link: Link,
    /// Packets there was no room for under way.
    dropped: u64,
    /// Arrived, but not taken by the interface yet.
    arrived: VecDeque<PacketBuf>,
}

impl Path {
    fn new(args: &LinkArgs, ends: [OpenTun; 2]) -> io::Result<Self> {
        let runtime = TokioRuntime::current()?;
        let mut rng = Rng::from_seed(args.seed);
        let [a, b] = ends.map(|mut end| {
            let tun = end.queues.pop().ok_or(io::ErrorKind::NotFound)?;
            let watch = runtime.watch(tun.as_fd())?;
            Ok::<_, io::Error>(End {
                tun,
                watch,
                link: Link::new(args.link(), rng.fork()),
                dropped: 0,
                arrived: VecDeque::new(),
            })
        });
        Ok(Self {
            timer: runtime.timer(),
            runtime,
            ends: [a?, b?],
        })
    }

    /// Moves packets until an interface fails.
    async fn run(&mut self) -> io::Error {
        loop {
            if let Err(error) = self.turn().await {
                return error;
            }
        }
    }

    async fn turn(&mut self) -> io::Result<()> {
        let now = self.runtime.now();
        let [a, b] = &mut self.ends;
        let mut more = a.take(now, b)?;
        more |= b.take(now, a)?;
        a.deliver(now)?;
        b.deliver(now)?;
        if more {
            tokio::task::yield_now().await;
            return Ok(());
        }
        let deadlines = [a, b].map(|end| end.link.next_deadline());
        let deadline = deadlines.into_iter().flatten().min();
        poll_fn(|cx| {
            // All are asked, so that each knows whom to wake.
            let mut ready = self.timer.poll_until(deadline, cx).is_ready();
            for end in &mut self.ends {
                ready |= end.poll_ready(cx)?;
            }
            match ready {
                true => Poll::Ready(Ok(())),
                false => Poll::Pending,
            }
        })
        .await
    }

    /// What each direction did: first from the first interface to the second.
    fn stats(&self) -> [LinkStats; 2] {
        let [a, b] = &self.ends;
        [b.stats(), a.stats()]
    }
}

impl End {
    /// Takes what the kernel sends here and puts it on its way to the other end; says whether there may be more.
    fn take(&mut self, now: Instant, other: &mut Self) -> io::Result<bool> {
        let mut batch = Vec::with_capacity(BATCH_MAX);
        let count = self.tun.receive(BATCH_MAX, &mut batch)?;
        for packet in batch.into_iter().flat_map(split::segments) {
            if other.link.in_flight() >= IN_FLIGHT_MAX {
                other.dropped += 1;
                continue;
            }
            match other.link.send(now, packet) {
                Fate::Queued(_) | Fate::Lost | Fate::QueueFull | Fate::TooBig { .. } => {}
            }
        }
        Ok(count == BATCH_MAX)
    }

    /// Hands the kernel what has arrived.
    fn deliver(&mut self, now: Instant) -> io::Result<()> {
        while let Some(packet) = self.link.poll(now) {
            self.arrived.push_back(packet);
        }
        self.tun.send(&mut self.arrived)?;
        Ok(())
    }

    /// Whether the kernel has something, or takes what it could not take before.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> io::Result<bool> {
        let mut ready = self.watch.poll_readable(cx)?.is_ready();
        if !self.arrived.is_empty() {
            ready |= self.watch.poll_writable(cx)?.is_ready();
        }
        Ok(ready)
    }

    fn stats(&self) -> LinkStats {
        let stats = self.link.stats();
        LinkStats {
            queue_full: stats.queue_full + self.dropped,
            sent: stats.sent + self.dropped,
            ..stats
        }
    }
}
