//! Asks the program, on a thread of its own, so that keys are answered however long an answer takes.

use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use handwave::control::Client;
use handwave::control::protocol::{Netid, Order, Select, State};

use super::model::{Model, ORDERS, Sample};

/// Connections that are asked for where all of them are shown.
const SHOWN_MAX: usize = 200;
/// And where a filter has to find them.
const SEARCHED_MAX: usize = 10_000;

/// What has a row of its own; listeners have theirs elsewhere, and TIME-WAIT records are counted.
const STATES: [State; 9] = [
    State::SynSent,
    State::SynReceived,
    State::Established,
    State::FinWait1,
    State::FinWait2,
    State::CloseWait,
    State::Closing,
    State::LastAck,
    State::Closed,
];

/// Which connections are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wish {
    order: Order,
    limit: usize,
}

impl Wish {
    pub(super) fn of(model: &Model) -> Self {
        Self {
            order: ORDERS[model.order].0,
            limit: if model.filter.is_empty() {
                SHOWN_MAX
            } else {
                SEARCHED_MAX
            },
        }
    }
}

/// Asks once.
pub(super) fn ask(client: &mut Client, wish: Wish) -> io::Result<Sample> {
    let summary = client.summary()?;
    let mut connections = Vec::new();
    let select = Select {
        netid: Some(Netid::Tcp),
        states: STATES.to_vec(),
        details: true,
        order: Some(wish.order),
        limit: Some(wish.limit),
    };
    client.sockets(select, |socket| {
        connections.push(socket);
        Ok(())
    })?;
    Ok(Sample {
        summary,
        connections,
    })
}

/// Asks at every interval and whenever another wish arrives, until nobody listens or the program does not answer.
pub(super) fn start(
    mut client: Client,
    mut wish: Wish,
    interval: Duration,
    wishes: Receiver<Wish>,
    answers: Sender<io::Result<Sample>>,
) -> io::Result<()> {
    let thread = thread::Builder::new().name("handwave-top".to_owned());
    let run = move || {
        loop {
            let asked = Instant::now();
            let answer = ask(&mut client, wish);
            let failed = answer.is_err();
            if answers.send(answer).is_err() || failed {
                return;
            }
            match wishes.recv_timeout(interval.saturating_sub(asked.elapsed())) {
                Ok(first) => wish = wishes.try_iter().last().unwrap_or(first),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    };
    thread.spawn(run).map(drop)
}
