//! The TCP header and its options (RFC 9293 3.1 and 3.2).
//!
//! This is syntax only: what a flag or an option does to a connection is decided in `handwave-tcp`.

mod flags;
mod header;
mod options;

pub use flags::TcpFlags;
pub use header::TcpHeader;
pub use options::{
    FastOpenCookie, OptionOrder, OptionsNote, SackBlock, SackBlocks, TcpOptions, Timestamps,
};
