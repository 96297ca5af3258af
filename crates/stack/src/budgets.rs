//! What a connection costs, all tables counted: pinned, so that growth is a decision. Addresses take what IPv6 needs.

use crate::arena::Arena;
use crate::arena::Slots;
use crate::connections::Slot;
use crate::demux::Demux;
use crate::ready::ReadyList;
use crate::timers::TimerWheel;
use handwave_tcp::{Connection, TimeWait};

/// What the allocator takes for a box: its own word, all of it a multiple of 16.
const fn boxed<T>() -> usize {
    (size_of::<T>() + 8).next_multiple_of(16)
}

#[test]
fn a_slot_fills_one_cache_line() {
    assert_eq!(Arena::<Slot>::COST, 64);
}

/// An established connection without text: no buffers, nothing rare.
#[test]
fn an_idle_connection_stays_within_640_octets() {
    let own = boxed::<Connection>();
    // One list of those that may send, one of those that have something to say.
    let links = TimerWheel::COST + 2 * ReadyList::COST;
    let cost = own + Arena::<Slot>::COST + links + Demux::COST;
    assert!(
        cost <= 640,
        "{cost} octets, {own} of them for the connection"
    );
}

#[test]
fn a_connection_in_time_wait_stays_within_96_octets() {
    let record = Slots::<TimeWait>::COST;
    let cost = record + TimerWheel::COST + Demux::COST;
    assert!(cost <= 96, "{cost} octets, {record} of them for the record");
}
