//! Virtual time: it jumps from one thing to do to the next.

use std::task::Poll;
use std::time::Duration;

use handwave_tcp::Instant;

use super::{Failure, Happening, HappeningKind, Host, Runner, START, Sent, packet};
use crate::language::ast::{self, Moment, Place};
use crate::language::print::Seconds;

/// Deadlines passed in one stretch: more of them means that time does not get on.
const STEPS_MAX: u32 = 1_000_000;

/// A call that has not returned.
#[derive(Debug)]
pub(super) struct Waiting<C> {
    pub(super) call: C,
    pub(super) said: ast::Call,
    pub(super) place: Place,
    /// When it has to return; `None`: whenever it does.
    pub(super) until: Option<Instant>,
}

impl<H: Host> Runner<H> {
    /// The script's time, in microseconds.
    pub(super) fn micros(&self, at: Instant) -> i64 {
        let since = at.saturating_since(START).as_micros();
        i64::try_from(since).unwrap_or(i64::MAX)
    }

    /// When `moment` is.
    pub(super) fn instant(&self, moment: Moment) -> Instant {
        let base = if moment.relative { self.now } else { START };
        base.saturating_add(Duration::from_micros(moment.micros.unsigned_abs()))
    }

    /// By how much something expected at `at` may be early or late.
    pub(super) fn tolerance(&self, at: Instant) -> Duration {
        let since = at.saturating_since(self.previous);
        let share = since.saturating_mul(self.settings.tolerance_percent) / 100;
        self.settings.tolerance.max(share)
    }

    pub(super) fn note(&mut self, place: Option<&Place>, kind: HappeningKind, text: String) {
        self.trace.push(Happening {
            micros: self.micros(self.now),
            line: place.map(|place| place.line),
            kind,
            text,
        });
    }

    /// Takes what the stack sends, and lets a waiting call try again.
    pub(super) fn settle(&mut self) -> Result<(), Failure> {
        loop {
            self.drain();
            let Some(mut waiting) = self.waiting.take() else {
                return Ok(());
            };
            match self.host.attempt(&mut waiting.call, self.now) {
                Poll::Pending => {
                    self.waiting = Some(waiting);
                    self.drain();
                    return Ok(());
                }
                Poll::Ready(result) => {
                    self.returned(&waiting, result)
                        .map_err(|failure| self.located(failure, &waiting.place))?;
                }
            }
        }
    }

    /// Takes what the stack sends.
    pub(super) fn drain(&mut self) {
        while let Some((at, sent)) = self.host.poll_transmit(self.now) {
            let packet = packet::decode(&sent);
            self.sent.push_back(Sent {
                at,
                packet,
                segment_size: sent.segment_size(),
            });
        }
    }

    /// Goes to the next thing that happens by itself, if that is not after `end`; says whether there was one.
    pub(super) fn step(&mut self, end: Instant) -> Result<bool, Failure> {
        let deadline = self
            .waiting
            .as_ref()
            .and_then(|waiting| H::deadline(&waiting.call));
        match self.host.pass(self.now, deadline, end) {
            Some(next) => {
                self.now = next.max(self.now);
                self.settle()?;
                Ok(true)
            }
            None => Ok(false),
        }
    }

    /// Lets time pass until `end`.
    pub(super) fn advance(&mut self, end: Instant) -> Result<(), Failure> {
        let mut steps = 0;
        while self.step(end)? {
            steps += 1;
            if steps > STEPS_MAX {
                return Err(Failure::new("the stack's timers never come to rest"));
            }
        }
        self.now = self.host.now(end.max(self.now));
        Ok(())
    }

    /// Lets time pass until the stack has sent something, at most until `end`.
    pub(super) fn advance_to_packet(&mut self, end: Instant) -> Result<(), Failure> {
        let mut steps = 0;
        while self.sent.is_empty() && self.step(end)? {
            steps += 1;
            if steps > STEPS_MAX {
                break;
            }
        }
        Ok(())
    }

    /// Waits for the call under way, which the next one needs to be over.
    pub(super) fn finish_waiting(&mut self) -> Result<(), Failure> {
        let Some(waiting) = &self.waiting else {
            return Ok(());
        };
        let place = waiting.place.clone();
        let end = match waiting.until {
            Some(until) => until.saturating_add(self.tolerance(until)),
            None => self.now.saturating_add(H::PATIENCE),
        };
        while self.waiting.is_some() && self.step(end)? {}
        if self.waiting.take().is_some() {
            let until = Seconds(self.micros(end));
            let failure = Failure::new(format!("the call has not returned by {until} s"));
            return Err(self.located(failure, &place));
        }
        Ok(())
    }

    /// Puts the place into a failure that does not know its own.
    pub(super) fn located(&self, failure: Failure, place: &Place) -> Failure {
        if failure.place.line > 0 {
            return failure;
        }
        Failure {
            place: place.clone(),
            micros: self.micros(self.now),
            ..failure
        }
    }
}
