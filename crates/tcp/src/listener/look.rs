//! Half-open records as tools see them: a few at a time, in an order that follows from the queue alone.

use super::Listener;
use super::syn_queue::HalfOpen;
use crate::time::Instant;
use crate::tuple::Tuple;

/// A connection in SYN-RECEIVED that a listener holds, to look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HalfOpenRecord {
    /// Its four numbers.
    pub tuple: Tuple,
    /// When its SYN arrived.
    pub arrived: Instant,
    /// SYN+ACKs sent because of time: the first, and one for each timeout.
    pub syn_acks: u8,
    /// When the next is due, or the record is forgotten; `None` while the first has not left.
    pub due: Option<Instant>,
    /// The peer's MSS, if its SYN named one.
    pub peer_mss: Option<u16>,
    /// Timestamps will be used.
    pub timestamps: bool,
    /// Selective acknowledgments will be used.
    pub sack: bool,
}

/// How far [`Listener::look_half_open`] has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HalfOpenCursor {
    /// The records of IPv4 are through.
    v6: bool,
    place: u32,
}

impl Listener {
    /// Shows half-open records to `visit` from where `cursor` stands, looking at no more than `budget` places and taking
    /// what it looked at from `budget`. Returns whether there is more.
    ///
    /// Between two calls records come and go. One that is there all the while is seen once.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use handwave_tcp::{Config, HalfOpenCursor, Listener, ListenerConfig, Secrets};
    ///
    /// let listener = Listener::new(Arc::new(Config::default()), ListenerConfig::default(), &Secrets::from_seed(1));
    /// let more = listener.look_half_open(&mut HalfOpenCursor::default(), &mut 100, |record| println!("{record:?}"));
    /// assert!(!more);
    /// ```
    pub fn look_half_open(
        &self,
        cursor: &mut HalfOpenCursor,
        budget: &mut usize,
        mut visit: impl FnMut(HalfOpenRecord),
    ) -> bool {
        loop {
            if *budget == 0 {
                return true;
            }
            *budget -= 1;
            match self.syn_queue.place(cursor.v6, cursor.place) {
                None if cursor.v6 => return false,
                None => {
                    (cursor.v6, cursor.place) = (true, 0);
                    continue;
                }
                Some(None) => {}
                Some(Some((tuple, record))) => visit(self.look(tuple, &record)),
            }
            cursor.place += 1;
        }
    }

    fn look(&self, tuple: Tuple, record: &HalfOpen) -> HalfOpenRecord {
        HalfOpenRecord {
            tuple,
            arrived: self.syn_queue.arrived(record),
            syn_acks: record.sent,
            due: Some(record.due()).filter(|_| record.sent > 0),
            peer_mss: record.peer_mss(),
            timestamps: record.negotiated().timestamps,
            sack: record.negotiated().sack,
        }
    }
}
