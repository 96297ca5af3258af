//! The seam between the driver and whatever runs it: the time, a timer, the readiness of a descriptor, a new task.
//!
//! [`TokioRuntime`] is the implementation that programs use without noticing. Virtual time is another (feature `sim`).
//! Anything else with tasks and a clock can be a third.

mod tokio;

pub use self::tokio::TokioRuntime;

use std::fmt;
use std::future::Future;
#[cfg(unix)]
use std::io;
#[cfg(unix)]
use std::os::fd::BorrowedFd;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use handwave_tcp::Instant;

/// What a driver needs of its surroundings.
pub trait Runtime: fmt::Debug + Send + Sync + 'static {
    /// The time, counted from a start of the runtime's own choice; never goes back.
    fn now(&self) -> Instant;

    /// Makes a timer. Called in the context of the runtime, as is everything that a task does.
    fn timer(&self) -> Box<dyn Timer>;

    /// Watches a descriptor, or rather what it has open, for readiness.
    ///
    /// # Errors
    ///
    /// When the runtime cannot watch descriptors, or not this one.
    #[cfg(unix)]
    fn watch(&self, descriptor: BorrowedFd<'_>) -> io::Result<Box<dyn Watch>>;

    /// Runs a task to its end, whoever waits for it or not.
    fn spawn(&self, task: Pin<Box<dyn Future<Output = ()> + Send>>);

    /// Whether other threads run tasks while one of them is busy, so that a task may keep its thread for some tens of microseconds. To go to
    /// the end of the queue, which others look after, costs more there than on a thread that is alone.
    fn has_other_threads(&self) -> bool {
        false
    }

    /// Wakes tasks that became ready together and empties the list.
    ///
    /// The order is the runtime's choice: a simulation shuffles it by its seed, to find programs that depend on it.
    fn wake_all(&self, wakers: &mut Vec<Waker>) {
        wakers.drain(..).for_each(Waker::wake);
    }
}

/// One deadline at a time.
pub trait Timer: Send {
    /// Ready once `deadline` has passed; until then, and for `None` for ever, pending.
    ///
    /// The latest call counts: both its deadline and the waker of `cx`.
    fn poll_until(&mut self, deadline: Option<Instant>, cx: &mut Context<'_>) -> Poll<()>;
}

/// Readiness of one descriptor, told once each time it comes about (edge-triggered).
#[cfg(unix)]
pub trait Watch: Send {
    /// Ready if the descriptor may have become readable since this was last ready.
    ///
    /// # Errors
    ///
    /// When the runtime is shutting down.
    fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Ready if the descriptor may have become writable since this was last ready.
    ///
    /// # Errors
    ///
    /// When the runtime is shutting down.
    fn poll_writable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;
}
