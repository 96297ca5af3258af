//! A stack that talks to the outside world: from an open interface to the end, asked for by Ctrl-C or not.

use std::future::Future;
use std::io;
use std::pin::pin;
use std::process::ExitCode;
use std::time::Duration;

use handwave::control::Control;
use handwave::{Stack, StackConfig};
use handwave_device::InterfaceAddress;
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::control::Wish;
use crate::failure::{Failure, Kind};
use crate::interface::Interface;
use crate::tuning::Tuning;

/// How long connections may take to close in order.
const GRACE: Duration = Duration::from_secs(5);

/// Runs a command that waits for packets, and leaves at once when it is over, whatever a read of standard input may still wait for.
pub(crate) fn block_on<T>(command: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    let runtime: Runtime = runtime
        .map_err(|error| Failure::new(Kind::Failed, "cannot start the threads").because(error))?;
    let outcome = runtime.block_on(command);
    runtime.shutdown_background();
    outcome
}

/// A stack on an interface, and everything that runs on it.
#[derive(Debug)]
pub(crate) struct Live {
    pub(crate) stack: Stack,
    pub(crate) tasks: Tasks,
    interface: String,
    driver: JoinHandle<io::Result<()>>,
    /// Of the queues beyond the first: when one driver ends, all do.
    others: Vec<JoinHandle<io::Result<()>>>,
    interrupts: Interrupts,
    /// Kept to the end, so that closing can be watched, too.
    _control: Option<Control>,
}

impl Live {
    /// Starts a stack with these addresses, and a control socket for it if that is wished.
    pub(crate) fn start(
        interface: Interface,
        addresses: &[InterfaceAddress],
        tuning: &Tuning,
        control: &Wish<'_>,
    ) -> Result<Self, Failure> {
        let failed =
            |error: io::Error| Failure::new(Kind::Failed, "cannot start the stack").because(error);
        let interrupts = Interrupts::new().map_err(failed)?;
        let name = interface.name().clone();
        let builder = interface
            .stack()
            .config(StackConfig::default())
            .tcp(tuning.tcp.clone());
        let builder = addresses.iter().fold(builder, |builder, one| {
            builder.address(one.address(), one.prefix_len())
        });
        let (stack, drivers) = builder.build_queues().map_err(failed)?;
        let control = control.open(&stack, &name)?;
        let mut drivers = drivers.into_iter().map(tokio::spawn);
        let no_queue = || failed(io::ErrorKind::NotFound.into());
        Ok(Self {
            stack,
            driver: drivers.next().ok_or_else(no_queue)?,
            others: drivers.collect(),
            tasks: Tasks::default(),
            interface: name.to_string(),
            interrupts,
            _control: control,
        })
    }

    /// Goes on until somebody asks for the end, then closes everything in order.
    pub(crate) async fn serve(mut self) -> Result<ExitCode, Failure> {
        tokio::select! {
            () = self.interrupts.next() => {}
            end = &mut self.driver => return Err(lost(&self.interface, end)),
        }
        self.close().await;
        Ok(ExitCode::SUCCESS)
    }

    /// Does something that ends by itself, unless somebody asks for the end before; then closes everything in order.
    ///
    /// `None` is an end that somebody asked for.
    pub(crate) async fn until<T>(
        mut self,
        work: impl AsyncFnOnce(Stack) -> Result<T, Failure>,
    ) -> Result<Option<T>, Failure> {
        let done = {
            let mut work = pin!(work(self.stack.clone()));
            tokio::select! {
                done = &mut work => done.map(Some),
                () = self.interrupts.next() => Ok(None),
                end = &mut self.driver => return Err(lost(&self.interface, end)),
            }
        };
        self.close().await;
        done
    }

    /// Closes what is open; after the grace time, or at another signal, resets it.
    async fn close(mut self) {
        self.tasks.stop.cancel();
        self.tasks.tracker.close();
        // The driver ends when nobody holds the stack and what was closed has been acknowledged.
        drop(self.stack);
        let driver = &mut self.driver;
        let tracker = &self.tasks.tracker;
        let orderly = async {
            tracker.wait().await;
            let _end = driver.await;
            for driver in &mut self.others {
                let _end = driver.await;
            }
        };
        let in_order = tokio::select! {
            in_time = tokio::time::timeout(GRACE, orderly) => in_time.is_ok(),
            () = self.interrupts.next() => false,
        };
        if in_order {
            return;
        }
        match self.tasks.tracker.len() {
            0 => tracing::warn!("what was closing was reset"),
            left => tracing::warn!("{left} connections did not close in time and were reset"),
        }
        // A driver resets what is left when it is dropped.
        self.others.push(self.driver);
        self.others.iter().for_each(JoinHandle::abort);
        for driver in self
            .others
            .into_iter()
            .filter(|driver| !driver.is_finished())
        {
            let _end = driver.await;
        }
    }
}

fn lost(interface: &str, end: Result<io::Result<()>, tokio::task::JoinError>) -> Failure {
    let failure = Failure::new(
        Kind::Failed,
        format!("the interface {interface} does not work any more"),
    );
    match end {
        Ok(Ok(())) => failure,
        Ok(Err(error)) => failure.because(error),
        Err(error) => failure.because(error),
    }
}

/// The tasks of a program, which it can ask to end and wait for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tasks {
    stop: CancellationToken,
    tracker: TaskTracker,
}

impl Tasks {
    /// Runs a task that the program waits for at its end.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        drop(self.tracker.spawn(task));
    }

    /// Waits until the tasks are asked to end.
    pub(crate) async fn stopped(&self) {
        self.stop.cancelled().await;
    }
}

/// What asks a program to end: Ctrl-C, SIGTERM, a terminal that goes away.
#[derive(Debug)]
pub(crate) struct Interrupts([Signal; 3]);

impl Interrupts {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self([
            signal(SignalKind::interrupt())?,
            signal(SignalKind::terminate())?,
            signal(SignalKind::hangup())?,
        ]))
    }

    /// Waits for the next one.
    pub(crate) async fn next(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.0;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}
