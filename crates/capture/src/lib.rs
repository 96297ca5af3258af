//! Capture files: pcapng written and read, classic pcap read.
//!
//! Handwave writes what it sends and receives so that anyone can open it in Wireshark, and reads captures that others
//! took. This crate is the small, typed door to both; the block formats are handled by the `pcap-file` crate.
//!
//! What lives here: [`Writer`], [`Reader`], and the [`Packet`] they exchange. What does not: any idea of what the octets
//! mean. Headers are parsed by `handwave-wire`, and the story they tell is told by `handwave-story`.
//!
//! Times are spans since the Unix epoch with nanosecond resolution (`if_tsresol` 9 in what we write; any resolution in
//! what we read). A simulation in virtual time starts at zero, so its captures start on the first of January 1970.
//!
//! # Examples
//!
//! ```
//! use std::time::Duration;
//! use handwave_capture::{Direction, LinkType, Packet, Reader, Writer};
//!
//! let mut writer = Writer::new(Vec::new(), LinkType::RawIp, "client")?;
//! let packet = Packet::new(Duration::from_nanos(1_500), &[0x45, 0, 0, 20][..])
//!     .with_direction(Direction::Outbound)
//!     .with_comment("the SYN opens the connection");
//! writer.write(&packet)?;
//! let file = writer.finish()?;
//!
//! let mut reader = Reader::new(&file[..])?;
//! let read = reader.next().expect("one packet was written")?;
//! assert_eq!(read, packet);
//! assert_eq!(reader.interface(read.interface).map(|i| i.name.as_str()), Some("client"));
//! # Ok::<(), handwave_capture::CaptureError>(())
//! ```

mod error;
mod packet;
mod reader;
mod writer;

pub use error::CaptureError;
pub use packet::{Direction, Interface, InterfaceId, LinkType, Packet};
pub use reader::Reader;
pub use writer::Writer;
