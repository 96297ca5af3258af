//! How long to go on asking a device that has nothing before waiting for it.
//!
//! To wait is to give up the processor: a way through the kernel's scheduler, and another one back, which for a small message is most of the
//! time it takes. To ask costs the processor for as long as nothing comes. What comes next is not known, but how long it took the last times is,
//! and so each wait is booked:
//!
//! - A packet that was found by asking, within [`SPAN`] of the moment at which there was nothing left to do, is a *hit*. It is one, too, if the
//!   driver slept and not much longer: the thread has to wake up, and so has, as a rule, whoever was to answer.
//! - Anything that took longer is a *miss*. Where somebody asked, it was in vain.
//!
//! A hit saves a sleep, and a miss costs as much as [`PRICE`] sleeps do, so a miss takes away what that many hits have brought.
//! While there is credit, the driver asks. So a conversation soon runs without a sleep, and the end of one costs a few vain spans at
//! most. What it can cost is bounded by one processor: packets that always come just within [`SPAN`], twenty thousand a second, are all hits, and
//! keep it busy between them. Who must not let a peer do that switches it off.
//!
//! Packets may come soon, and still not soon enough to be found by asking: they take their time, or whoever sends them waits for the very processor
//! on which the driver asks. Each time that asking is given up before it has paid, twice as many hits are needed to try again.

use std::time::Duration;

use handwave_tcp::Instant;

/// How long the driver asks.
const SPAN: Duration = Duration::from_micros(50);
/// How soon a packet has to come for a hit where the driver slept. In a virtual machine to wake a thread takes half of [`SPAN`] and more.
const SLEPT: Duration = Duration::from_micros(200);
/// Hits that pay for a miss: a span of asking over what a sleep costs, rounded up.
const PRICE: u32 = 8;
/// Misses that are borne at the beginning, and after many hits.
const TRIAL: u32 = 2;
const MISSES_MAX: u32 = 3;
/// How often the hits that are needed are doubled.
const DOUBT_MAX: u32 = 6;
/// How often a device is asked in one wait, where time stands still meanwhile, as virtual time does.
const ASKS_MAX: u32 = 10_000;

/// Who decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BusyPoll {
    /// Always so long; not at all for zero.
    Fixed(Duration),
    /// Experience.
    Adaptive,
}

impl BusyPoll {
    /// What a driver of so many is to do: if all of them asked at once, some processor has to be left for who answers.
    pub(crate) fn where_there_are(self, processors: usize, drivers: usize) -> Self {
        match self {
            Self::Adaptive if processors <= drivers => Self::Fixed(Duration::ZERO),
            rule => rule,
        }
    }
}

/// The wait that goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wait {
    /// Packets are being dealt with.
    None,
    /// There is nothing to do since then, and the device is asked.
    Asking(Instant),
    /// As long, and the device will tell.
    Sleeping(Instant),
    /// It has been asked in vain and will tell.
    Given,
}

/// Books waits, and says of each whether to ask or to sleep.
#[derive(Debug)]
pub(super) struct Polling {
    rule: BusyPoll,
    wait: Wait,
    /// How often the device was asked in this wait.
    asks: u32,
    /// By default: whether it is to be asked at present, and what hits have brought.
    asks_by_default: bool,
    credit: u32,
    /// Hits since it is asked.
    found: u32,
    doubt: u32,
}

impl Polling {
    pub(super) const fn new(rule: BusyPoll) -> Self {
        Self {
            rule,
            wait: Wait::None,
            asks: 0,
            asks_by_default: false,
            credit: 0,
            found: 0,
            doubt: 0,
        }
    }

    /// Whether waits need no booking, since the driver never asks.
    pub(super) fn is_off(&self) -> bool {
        self.rule == BusyPoll::Fixed(Duration::ZERO)
    }

    /// Whether it matters when packets come.
    pub(super) fn is_waiting(&self) -> bool {
        self.wait != Wait::None
    }

    /// Whether the device is being asked.
    pub(super) const fn is_asking(&self) -> bool {
        matches!(self.wait, Wait::Asking(_))
    }

    /// There is nothing to do at `now`. Whether to ask the device again, instead of sleeping.
    pub(super) fn asks_again(&mut self, now: Instant) -> bool {
        let span = match self.rule {
            BusyPoll::Fixed(span) => span,
            BusyPoll::Adaptive if self.asks_by_default => SPAN,
            BusyPoll::Adaptive => Duration::ZERO,
        };
        match self.wait {
            Wait::None => {
                self.asks = 0;
                self.wait = match span.is_zero() {
                    true => Wait::Sleeping(now),
                    false => Wait::Asking(now),
                };
            }
            Wait::Asking(since) => {
                self.asks += 1;
                if now.saturating_since(since) >= span || self.asks > ASKS_MAX {
                    self.miss();
                    self.wait = Wait::Given;
                }
            }
            Wait::Sleeping(_) | Wait::Given => {}
        }
        self.is_asking()
    }

    /// Packets have come at `now`.
    pub(super) fn came(&mut self, now: Instant) {
        let (since, soon) = match std::mem::replace(&mut self.wait, Wait::None) {
            Wait::None | Wait::Given => return,
            // Somebody else may have had the processor meanwhile.
            Wait::Asking(since) => (since, SPAN),
            Wait::Sleeping(since) => (since, SLEPT),
        };
        match now.saturating_since(since) <= soon {
            true => self.hit(),
            false => self.miss(),
        }
    }

    fn hit(&mut self) {
        self.credit += 1;
        if self.asks_by_default {
            self.found = self.found.saturating_add(1);
            self.credit = self.credit.min(MISSES_MAX * PRICE);
        } else if self.credit >= PRICE << self.doubt {
            self.asks_by_default = true;
            self.found = 0;
            self.credit = TRIAL * PRICE;
        }
    }

    fn miss(&mut self) {
        self.credit = self.credit.saturating_sub(PRICE);
        if self.asks_by_default && self.credit == 0 {
            self.asks_by_default = false;
            self.doubt = match self.found < 2 * TRIAL * PRICE {
                true => (self.doubt + 1).min(DOUBT_MAX),
                false => 0,
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Virtual time in which packets come when they are told to, and a driver that asks every microsecond.
    struct Driver {
        polling: Polling,
        now: Instant,
        /// Microseconds spent asking.
        asked: u64,
        slept: u32,
    }

    impl Driver {
        fn new(rule: BusyPoll) -> Self {
            Self {
                polling: Polling::new(rule),
                now: Instant::ZERO,
                asked: 0,
                slept: 0,
            }
        }

        /// A packet comes `micros` after there was nothing left to do, and `late` more if the driver sleeps.
        fn wait(&mut self, micros: u64, late: u64) -> &mut Self {
            let begun = self.now;
            let arrival = begun + Duration::from_micros(micros);
            while self.polling.asks_again(self.now) {
                if self.now >= arrival {
                    self.polling.came(self.now);
                    return self;
                }
                self.now += Duration::from_micros(1);
                self.asked += 1;
            }
            self.slept += 1;
            self.now = self.now.max(arrival) + Duration::from_micros(late);
            self.polling.came(self.now);
            self
        }

        fn waits(&mut self, count: u32, micros: u64) -> &mut Self {
            for _ in 0..count {
                self.wait(micros, 5);
            }
            self
        }

        /// What became of it since the last time: microseconds of asking, and sleeps.
        fn take(&mut self) -> (u64, u32) {
            (
                std::mem::take(&mut self.asked),
                std::mem::take(&mut self.slept),
            )
        }
    }

    #[test]
    fn a_conversation_soon_runs_without_a_sleep() {
        let mut driver = Driver::new(BusyPoll::Adaptive);
        driver.waits(PRICE, 12);
        assert_eq!(driver.take(), (0, PRICE));
        driver.waits(1_000, 12);
        assert_eq!(driver.take(), (12_000, 0));
        // A pause now and then changes nothing.
        driver.waits(1, 10_000).waits(1_000, 12);
        assert_eq!(driver.take(), (12_000 + 50, 1));
    }

    #[test]
    fn slow_traffic_is_not_asked_for() {
        for pause in [500, 1_000, 10_000] {
            let mut driver = Driver::new(BusyPoll::Adaptive);
            driver.waits(100, 12).take();
            driver.waits(1_000, pause);
            let (asked, slept) = driver.take();
            assert_eq!(slept, 1_000);
            assert_eq!(asked, u64::from(MISSES_MAX) * 50, "pauses of {pause}");
        }
    }

    #[test]
    fn a_request_and_its_acknowledgment_do_not_pay_for_the_pause_after_them() {
        let mut driver = Driver::new(BusyPoll::Adaptive);
        for _ in 0..1_000 {
            driver.waits(3, 12).waits(1, 1_000);
        }
        assert_eq!(driver.take().0, 0);
        // A page of many packets does.
        for _ in 0..1_000 {
            driver.waits(30, 12).waits(1, 1_000);
        }
        let (asked, slept) = driver.take();
        assert!(slept < 10_000 && asked < 1_000 * (30 * 12 + 50));
    }

    #[test]
    fn where_asking_holds_up_who_answers_it_is_hardly_ever_tried() {
        let mut driver = Driver::new(BusyPoll::Adaptive);
        for _ in 0..100_000 {
            // Whoever answers runs when the driver has gone to sleep.
            match driver.polling.asks_by_default {
                true => driver.wait(1_000, 12),
                false => driver.wait(12, 5),
            };
        }
        let (asked, _) = driver.take();
        assert!(asked < 250 * u64::from(TRIAL) * 50, "{asked}");
    }
}
