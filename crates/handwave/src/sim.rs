//! Whole programs in virtual time, over links with delay, loss, a rate and a queue (feature `sim`).
//!
//! A [`Sim`] runs an async program on a tokio runtime of its own whose clock stands still while anything can be done and then
//! jumps to what is due next, so an hour takes milliseconds. `tokio::spawn`, `tokio::time` and whatever stands on them (axum,
//! hyper, timeouts) work as they are; in place of the operating system's sockets there are those of this library, on the hosts of a
//! [`Network`].
//!
//! # What makes a run the same as the last one
//!
//! The same seed and the same program give the same packets at the same nanoseconds. The seed decides what links lose and delay,
//! the secrets of every stack, and the order in which tasks that became ready together run. Everything happens on one thread. What
//! comes from outside is the program's to leave out:
//!
//! - `tokio::select!` and `join!` without `biased` draw from dice of tokio's own, which can only be seeded in a build with
//!   `--cfg tokio_unstable`; then they are. It matters where several branches are ready at once.
//! - The wall clock, threads (`spawn_blocking`), `HashMap`'s order. hyper dates its answers by the wall clock unless they bear a
//!   date: give the app the layer of `date` (features `axum` and `sim`).
//! - There is no I/O driver: opening a socket or a file of the operating system's panics, rather than spoiling the run.
//!
//! # Two clocks that agree
//!
//! `tokio::time` counts in milliseconds: its sleeps end on the next whole one, as always. Links and stacks count in nanoseconds,
//! and `tokio::time::Instant::now` shows them. When all tasks rest, the next of both kinds of deadlines is what time jumps to.

mod clock;
#[cfg(feature = "axum")]
mod date;
mod network;
mod paths;
mod port;
mod seam;

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime;

#[cfg(feature = "axum")]
pub use date::date;
pub use handwave_sim::{LinkConfig, LinkStats, Loss, Rng};
pub use network::Network;
pub use seam::SimRuntime;

use clock::Universe;

/// A network and a program to be run in virtual time.
///
/// ```
/// use std::time::Duration;
/// use handwave::sim::{LinkConfig, Loss, Sim};
/// use handwave::{TcpListener, TcpStream};
/// use tokio::io::{AsyncReadExt, AsyncWriteExt};
///
/// let link = LinkConfig { delay: Duration::from_millis(20), loss: Loss::Random(0.02), ..LinkConfig::default() };
/// let heard = Sim::from_seed(7).link(link).run(async |net| {
///     let (server, client) = (net.host([10, 0, 0, 1])?, net.host([10, 0, 0, 2])?);
///     let mut listener = TcpListener::bind(&server, ([10, 0, 0, 1], 80).into())?;
///     tokio::spawn(async move {
///         let (mut stream, _) = listener.accept().await?;
///         stream.write_all(&[7; 100_000]).await
///     });
///     let mut stream = TcpStream::connect(&client, ([10, 0, 0, 1], 80).into()).await?;
///     let mut heard = Vec::new();
///     stream.read_to_end(&mut heard).await?;
///     Ok(heard)
/// })?;
/// assert_eq!(heard.len(), 100_000);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone)]
#[must_use = "nothing happens until it runs"]
pub struct Sim {
    seed: u64,
    link: LinkConfig,
    mtu: u16,
    time_limit: Duration,
    recording: bool,
}

impl Sim {
    /// A network whose chance is drawn from `seed`. Its links take a millisecond and lose nothing.
    pub fn from_seed(seed: u64) -> Self {
        Self {
            seed,
            link: LinkConfig {
                delay: Duration::from_millis(1),
                ..LinkConfig::default()
            },
            mtu: 1_500,
            time_limit: Duration::from_secs(3_600),
            recording: false,
        }
    }

    /// The conditions between any two hosts, each way. [`Network::set_link`] makes exceptions.
    ///
    /// A packet takes a microsecond at least: on a link without any delay a conversation could go on for ever and no time pass.
    pub fn link(mut self, config: LinkConfig) -> Self {
        self.link = config;
        self
    }

    /// The MTU of the hosts' own interfaces in octets, 1,500 by default. That of a path is a matter of [`LinkConfig::mtu`].
    pub fn mtu(mut self, mtu: u16) -> Self {
        self.mtu = mtu;
        self
    }

    /// When a run that has not ended is given up, in virtual time: an hour by default.
    ///
    /// A program that waits for something that never comes meets this limit at once, for there is nothing to wait through.
    pub fn time_limit(mut self, limit: Duration) -> Self {
        self.time_limit = limit;
        self
    }

    /// Records what passes through each host's device; [`Network::pcapng`] gives it. It is kept in memory.
    pub fn recording(mut self) -> Self {
        self.recording = true;
        self
    }

    /// Runs a program to its end, in no time.
    ///
    /// The run ends when the program returns. What it has spawned is dropped then, and what is still under way is lost; connections
    /// in TIME-WAIT delay nothing. To let connections close first, wait for [`Network::quiet`].
    ///
    /// # Errors
    ///
    /// The program's own; [`TimedOut`](io::ErrorKind::TimedOut) at the [time limit](Self::time_limit).
    ///
    /// # Panics
    ///
    /// As the program does; and inside another tokio runtime, for instance in a `#[tokio::test]`: a plain `#[test]` is the place.
    pub fn run<T>(&self, program: impl AsyncFnOnce(Network) -> io::Result<T>) -> io::Result<T> {
        let runtime = self.runtime()?;
        let universe = Universe::new(runtime.handle().clone(), self);
        let _current = universe.enter();
        runtime.spawn(Arc::clone(&universe).keep_awake());
        let network = Network::new(Arc::clone(&universe));
        let result = runtime.block_on(universe.within_limit(program(network)));
        // Tasks that are dropped with the runtime ask for the time, and leave wakers.
        universe.stop();
        drop(runtime);
        universe.stop();
        result
    }

    fn runtime(&self) -> io::Result<runtime::Runtime> {
        let mut builder = runtime::Builder::new_current_thread();
        builder.enable_time().start_paused(true);
        builder.on_thread_park(|| {
            if let Some(universe) = Universe::current() {
                universe.on_idle();
            }
        });
        #[cfg(tokio_unstable)]
        builder.rng_seed(runtime::RngSeed::from_bytes(&self.seed.to_le_bytes()));
        builder.build()
    }
}

impl fmt::Debug for Sim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sim")
            .field("seed", &self.seed)
            .field("link", &format_args!("{}", self.link))
            .finish_non_exhaustive()
    }
}
