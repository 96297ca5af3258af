//! Octets to headers and back: the protocols a TCP needs, sequence numbers and checksums.
//!
//! Every protocol has one type that says what a header *means*, with a `parse` that reads it from octets and an `emit`
//! that writes it. Nothing here holds state, allocates, or decides what to do about what was read: that is the work of
//! `handwave-tcp` and `handwave-stack`.
//!
//! # Rules
//!
//! - `parse` takes whatever a stranger sent: it never panics, never loops without a bound, and answers with a
//!   [`ParseError`] for what cannot be understood.
//! - `emit` writes into a buffer the caller sized with the type's length function; a buffer that is too short is a bug
//!   of the caller and panics.
//! - Integers are in host order everywhere in the API; network order exists only in octets.
//! - Emitting and then parsing gives the same value back.
//!
//! # Examples
//!
//! ```
//! use handwave_wire::tcp::{TcpFlags, TcpHeader};
//! use handwave_wire::SeqNum;
//!
//! let header = TcpHeader {
//!     source_port: 49152,
//!     destination_port: 80,
//!     seq: SeqNum::new(1000),
//!     flags: TcpFlags::SYN,
//!     window: 65535,
//!     ..TcpHeader::default()
//! };
//! let mut octets = [0; 20];
//! header.emit(&mut octets);
//! assert_eq!(TcpHeader::parse(&octets), Ok((header, 20)));
//! ```
#![no_std]
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)
)]

#[cfg(test)]
extern crate std;

pub mod arp;
pub mod checksum;
pub mod ethernet;
pub mod icmpv4;
pub mod icmpv6;
pub mod ipv4;
pub mod ipv6;
pub mod ndp;
pub mod tcp;
pub mod udp;

mod error;
mod icmp;
mod ip;
mod octets;
mod seq;

pub use checksum::Sum;
pub use error::ParseError;
pub use ip::{Ecn, IpProtocol};
pub use seq::SeqNum;
pub use tcp::{
    FastOpenCookie, OptionOrder, OptionsNote, SackBlock, SackBlocks, TcpFlags, TcpHeader,
    TcpOptions, Timestamps,
};
