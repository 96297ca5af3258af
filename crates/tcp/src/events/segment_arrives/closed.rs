//! CLOSED (RFC 9293 3.10.7.1): nobody holds the connection, so the sender is told.

use handwave_wire::TcpHeader;

use crate::config::Config;
use crate::output::reset_for;
use crate::segment::SegmentOut;
use crate::tuple::Tuple;

/// The RST for a segment that no connection and no listener takes, or none if it carries RST itself (RFC 9293 3.10.7.1).
///
/// `tuple` is seen from this host: its local end is where the segment arrived.
///
/// ```
/// use handwave_tcp::{reply_to_closed, Config, Endpoint, Tuple};
/// use handwave_wire::{SeqNum, TcpFlags, TcpHeader};
///
/// let end = |port| Endpoint::new("192.0.2.1".parse().unwrap(), port);
/// let syn = TcpHeader { seq: SeqNum::new(99), flags: TcpFlags::SYN, ..TcpHeader::default() };
/// let rst = reply_to_closed(&Config::default(), Tuple::new(end(80), end(4000)), &syn, 0).unwrap();
/// assert_eq!(rst.header.ack, SeqNum::new(100));
/// assert!(rst.header.flags.contains(TcpFlags::RST));
/// ```
#[must_use]
pub fn reply_to_closed(
    config: &Config,
    tuple: Tuple,
    header: &TcpHeader,
    payload_len: usize,
) -> Option<SegmentOut> {
    reset_for(config, header, payload_len).map(|reset| reset.segment(&tuple))
}
