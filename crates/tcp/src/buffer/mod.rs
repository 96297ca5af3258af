//! The two buffers of a connection: octets on their way out and octets that came in.
//!
//! - [`send`]: what the application wrote, kept from `SND.UNA` on until it is acknowledged.
//! - [`receive`]: what arrived, in order and out of order, until the application reads it.
//!
//! Both hold refcounted slices, so that sending, sending again and reading whole chunks copy nothing. Both charge
//! themselves by the memory they keep alive, not by the octets they were asked to hold: a slice of twenty octets can
//! pin a receive buffer of 64 KiB. A buffer with nothing in it owns no heap memory: it gives what it had to a [`BufferPool`],
//! from which the next one that has something takes it.
//!
//! How much may be queued is the connection's business (windows, limits, pressure); it passes limits in and asks for
//! [`held`](receive::ReceiveBuffer::held).

mod piece;
mod pool;
pub mod receive;
pub mod send;

pub use pool::BufferPool;
pub use receive::ReceiveBuffer;
pub use send::SendBuffer;
