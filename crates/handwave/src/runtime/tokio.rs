//! The seam on tokio.

use std::future::Future;
use std::io;
#[cfg(unix)]
use std::os::fd::{BorrowedFd, OwnedFd};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

#[cfg(unix)]
use ::tokio::io::{Interest, unix::AsyncFd};
use ::tokio::runtime::{Handle, RuntimeFlavor};
use ::tokio::time::{self, Sleep};
use handwave_tcp::Instant;

#[cfg(unix)]
use super::Watch;
use super::{Runtime, Timer};

/// Runs a stack on tokio, with its clock: also with a paused one, as `#[tokio::test(start_paused = true)]` has it.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// use handwave::{Stack, TokioRuntime, device};
///
/// let (wire, _other_end) = device::pair(1_500, 64);
/// let stack = Stack::builder().device(wire).runtime(TokioRuntime::current()?).spawn()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct TokioRuntime {
    handle: Handle,
    start: time::Instant,
}

impl TokioRuntime {
    /// The runtime this is called in.
    ///
    /// # Errors
    ///
    /// When it is called outside any.
    pub fn current() -> io::Result<Self> {
        Ok(Self::new(Handle::try_current().map_err(io::Error::other)?))
    }

    /// The runtime that `handle` belongs to. It needs its time driver, and its I/O driver for devices that have a descriptor.
    #[must_use]
    pub fn new(handle: Handle) -> Self {
        let start = {
            let _context = handle.enter();
            time::Instant::now()
        };
        Self { handle, start }
    }
}

impl Runtime for TokioRuntime {
    fn now(&self) -> Instant {
        let since = time::Instant::now().saturating_duration_since(self.start);
        Instant::from_nanos(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
    }

    fn timer(&self) -> Box<dyn Timer> {
        Box::new(TokioTimer {
            start: self.start,
            sleep: None,
        })
    }

    #[cfg(unix)]
    fn watch(&self, descriptor: BorrowedFd<'_>) -> io::Result<Box<dyn Watch>> {
        let descriptor = descriptor.try_clone_to_owned()?;
        Ok(Box::new(TokioWatch {
            handle: self.handle.clone(),
            readable: registered(&self.handle, descriptor, Interest::READABLE)?,
            writable: None,
        }))
    }

    fn has_other_threads(&self) -> bool {
        let is_alone = self.handle.metrics().num_workers() == 1;
        self.handle.runtime_flavor() != RuntimeFlavor::CurrentThread && !is_alone
    }

    fn spawn(&self, task: Pin<Box<dyn Future<Output = ()> + Send>>) {
        // Nobody waits for the task by its handle.
        drop(self.handle.spawn(task));
    }
}

struct TokioTimer {
    start: time::Instant,
    /// Made when first needed, and moved only to an earlier deadline or when it has run out: a deadline that goes later and later, as
    /// most do, costs the wheel nothing, and one look when the time comes for which it was set.
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Timer for TokioTimer {
    fn poll_until(&mut self, deadline: Option<Instant>, cx: &mut Context<'_>) -> Poll<()> {
        let Some(deadline) = deadline else {
            // It wakes the task once more if it is set; then nothing is.
            if let Some(sleep) = &mut self.sleep
                && !sleep.is_elapsed()
            {
                let _elapsed = sleep.as_mut().poll(cx);
            }
            return Poll::Pending;
        };
        let deadline = self.start + Duration::from_nanos(deadline.as_nanos());
        let sleep = self
            .sleep
            .get_or_insert_with(|| Box::pin(time::sleep_until(deadline)));
        if deadline < sleep.deadline() || sleep.is_elapsed() {
            sleep.as_mut().reset(deadline);
        }
        ready!(sleep.as_mut().poll(cx));
        if deadline <= sleep.deadline() || deadline <= time::Instant::now() {
            return Poll::Ready(());
        }
        sleep.as_mut().reset(deadline);
        sleep.as_mut().poll(cx)
    }
}

/// Descriptors of its own for what the device has open: the reactor holds them whatever becomes of the device.
///
/// A device can nearly always send, and the kernel says so with whatever else it has to say. So nobody asks before
/// somebody wants to know: otherwise each packet that has been read already would end the next wait for nothing.
#[cfg(unix)]
struct TokioWatch {
    handle: Handle,
    readable: AsyncFd<OwnedFd>,
    writable: Option<AsyncFd<OwnedFd>>,
}

#[cfg(unix)]
fn registered(
    handle: &Handle,
    descriptor: OwnedFd,
    interest: Interest,
) -> io::Result<AsyncFd<OwnedFd>> {
    let _context = handle.enter();
    #[expect(
        deprecated,
        reason = "sound for an `OwnedFd`, which never changes its descriptor; the other constructors are unsafe"
    )]
    AsyncFd::with_interest(descriptor, interest)
}

/// The readiness is cleared before the caller tries, not after: what comes about in between is then told again.
#[cfg(unix)]
impl Watch for TokioWatch {
    fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.readable.poll_read_ready(cx))?.clear_ready();
        Poll::Ready(Ok(()))
    }

    fn poll_writable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let writable = match &mut self.writable {
            Some(writable) => writable,
            None => {
                let descriptor = self.readable.get_ref().try_clone()?;
                let interest = Interest::WRITABLE;
                self.writable
                    .insert(registered(&self.handle, descriptor, interest)?)
            }
        };
        ready!(writable.poll_write_ready(cx))?.clear_ready();
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_runtime_with_several_workers_has_other_threads() {
        use ::tokio::runtime::Builder;

        for (mut builder, expected) in [
            (Builder::new_current_thread(), false),
            (Builder::new_multi_thread(), true),
        ] {
            let runtime = builder.worker_threads(2).build().unwrap();
            let ours = TokioRuntime::new(runtime.handle().clone());
            assert_eq!(ours.has_other_threads(), expected);
        }
        let runtime = Builder::new_multi_thread().worker_threads(1).build();
        let ours = TokioRuntime::new(runtime.unwrap().handle().clone());
        assert!(!ours.has_other_threads());
    }
}
