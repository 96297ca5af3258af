//! Packets as every layer of Handwave hands them to the next.
//!
//! - [`Payload`] is a rope of refcounted slices ([`bytes::Bytes`]): the octets an application wrote, or a device
//!   received, cut and joined without copying.
//! - [`PacketBuf`] is one IP packet or Ethernet frame: the headers we wrote inline, a payload behind them, and what is
//!   known about its checksum and its segments. Nothing is allocated for a packet of at most two pieces.
//! - [`split`] does in software what a network card with segmentation offload would.
//! - [`Template`] says which segments continue each other, so that they can be handed on as one.
//! - [`copy`](mod@copy) copies octets at the speed of the nearest cache.
//! - [`ChunkPool`] lends the chunks that payloads are made of and takes them back once nobody refers to them.
//!
//! Parsing and building headers is `handwave-wire`'s business; what a packet means is for the layers above.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod copy;
mod packet_buf;
mod payload;
mod pieces;
mod pool;
pub mod split;
mod template;

pub use packet_buf::{ChecksumMark, HEAD_CAPACITY, PacketBuf};
pub use payload::{IntoPieces, Payload};
pub use pool::{ChunkPool, PoolStats};
pub use template::{Fit, TEMPLATE_MAX, Template};
