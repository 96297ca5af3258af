//! Connections in TIME-WAIT that the application has let go of: a compact record each (RFC 9293 3.10.7.4, RFC 6191).

use crate::arena::Slots;
use crate::config::TimeWaitOverflow;
use crate::demux::Owner;
use crate::id::InterfaceId;
use crate::input::Way;
use crate::ready::ReadyList;
use crate::stack::Stack;
use crate::timers::TimerWheel;
use handwave_tcp::{Context, Instant, SegmentIn, TimeWait, TimeWaitVerdict, Tuple};

/// All TIME-WAIT records of a stack.
#[derive(Debug)]
pub(crate) struct TimeWaits {
    records: Slots<TimeWait>,
    /// When each wait is over: nobody else knows.
    pub(crate) timers: TimerWheel,
    /// The records from the oldest to the youngest, if the oldest is ever to be thrown out.
    order: Option<ReadyList>,
}

impl TimeWaits {
    pub(crate) fn new(now: Instant, overflow: TimeWaitOverflow) -> Self {
        let order = match overflow {
            TimeWaitOverflow::DropNew => None,
            TimeWaitOverflow::EvictOldest => Some(ReadyList::default()),
        };
        Self {
            records: Slots::default(),
            timers: TimerWheel::new(now),
            order,
        }
    }

    /// How many slots there are, taken or free.
    pub(crate) fn slots(&self) -> usize {
        self.records.slots()
    }

    pub(crate) fn len(&self) -> usize {
        self.records.len()
    }

    pub(crate) fn tuple(&self, slot: u32) -> Option<Tuple> {
        self.records.at(slot).map(|record| *record.tuple())
    }

    /// Whether the record in `slot` has these four numbers.
    pub(crate) fn owns(&self, slot: u32, tuple: &Tuple) -> bool {
        self.records
            .at(slot)
            .is_some_and(|record| record.tuple() == tuple)
    }

    pub(crate) fn at(&self, slot: u32) -> Option<&TimeWait> {
        self.records.at(slot)
    }

    /// When the wait of the record in `slot` is over, to the microsecond.
    pub(crate) fn deadline(&self, slot: u32) -> Instant {
        self.timers.deadline(slot).unwrap_or_default()
    }

    /// All records in slot order, each with the moment at which it is forgotten.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&TimeWait, Instant)> {
        let records = self.records.iter();
        records.map(|(slot, record)| (record, self.deadline(slot)))
    }
}

impl Stack {
    pub(crate) fn insert_time_wait(&mut self, record: TimeWait, deadline: Instant) {
        let tuple = *record.tuple();
        let slot = self.time_waits.records.insert(record);
        self.time_waits.timers.arm(slot, deadline);
        if let Some(order) = &mut self.time_waits.order {
            order.push(slot);
        }
        self.own(&tuple, Owner::TimeWait(slot));
    }

    /// Processes a segment for a tuple in TIME-WAIT.
    pub(crate) fn segment_for_time_wait(
        &mut self,
        now: Instant,
        interface: InterfaceId,
        slot: u32,
        segment: &mut SegmentIn,
    ) {
        let Some(record) = self.time_waits.records.at_mut(slot) else {
            return;
        };
        let tuple = *record.tuple();
        match record.handle_segment(&mut Context::new(now, &mut self.host), segment) {
            TimeWaitVerdict::Dropped(_) => {}
            TimeWaitVerdict::Renewed { until } => self.time_waits.timers.rearm(slot, until),
            TimeWaitVerdict::Reply {
                segment: reply,
                until,
                ..
            } => {
                if let Some(until) = until {
                    self.time_waits.timers.rearm(slot, until);
                }
                self.send_segment(now, interface, &tuple, reply);
            }
            TimeWaitVerdict::Reopen { iss_floor, reason } => {
                let way = Way { interface, tuple };
                if self.forwards(interface, tuple.local.addr) {
                    let segment = core::mem::take(segment);
                    if self.segment_to_forward(now, way, segment, Some(iss_floor)) {
                        self.remove_time_wait(slot);
                        self.counters.time_waits_recycled += 1;
                    }
                    return;
                }
                // Only somebody who listens can take the SYN; otherwise the record stays (RFC 9293 3.10.7.4 [MAY-2]).
                let listener = self.listening.find(&tuple.local);
                match listener.filter(|_| !self.is_borrowed(interface, &tuple.local.addr)) {
                    Some(listener) => {
                        if self.segment_for_listener(now, way, listener, segment, Some(iss_floor)) {
                            self.remove_time_wait(slot);
                            self.counters.time_waits_recycled += 1;
                        }
                    }
                    None => self.host.counters.count_drop(reason),
                }
            }
            TimeWaitVerdict::Closed => self.remove_time_wait(slot),
        }
    }

    /// Forgets the oldest record.
    pub(crate) fn evict_time_wait(&mut self) {
        if let Some(slot) = self.time_waits.order.as_ref().and_then(ReadyList::front) {
            self.remove_time_wait(slot);
        }
    }

    fn remove_time_wait(&mut self, slot: u32) {
        self.time_waits.timers.cancel(slot);
        if let Some(order) = &mut self.time_waits.order {
            order.remove(slot);
        }
        let Some(tuple) = self.time_waits.tuple(slot) else {
            return;
        };
        self.disowned(&tuple, Owner::TimeWait(slot));
        self.time_waits.records.remove(slot);
    }

    /// Forgets the records whose time is over.
    pub(crate) fn time_waits_timeout(&mut self, now: Instant) {
        while let Some(slot) = self.time_waits.timers.pop_expired(now) {
            if let Some(record) = self.time_waits.records.at(slot) {
                record.expire(&mut Context::new(now, &mut self.host));
                self.remove_time_wait(slot);
            }
        }
    }
}
