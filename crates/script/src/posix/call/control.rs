//! Ancillary data of `recvmsg`.

use crate::posix::constants::{
    AF_INET, AF_INET6, IP_RECVERR, IPV6_RECVERR, SCM_TIMESTAMPING, SOL_IP, SOL_IPV6, SOL_SOCKET,
    SOL_TCP, TCP_CM_INQ,
};
use handwave_tcp::Instant;
use std::net::SocketAddr;

/// One item of ancillary data.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Control {
    /// `SOL_TCP`, `TCP_CM_INQ`: octets left to read.
    Inq(i32),
    /// `SOL_SOCKET`, `SCM_TIMESTAMPING`: when something happened to a segment, as the stack's clock says.
    Timestamping(Instant),
    /// `SOL_IP`, `IP_RECVERR` or `SOL_IPV6`, `IPV6_RECVERR`: one `struct sock_extended_err`.
    Error {
        /// The socket speaks IPv6.
        ipv6: bool,
        /// `ee_errno`.
        errno: i32,
        /// `ee_origin`: `SO_EE_ORIGIN_*`.
        origin: u8,
        /// `ee_type`: of the ICMP message.
        kind: u8,
        /// `ee_code`.
        code: u8,
        /// `ee_info`.
        info: u32,
        /// `ee_data`.
        data: u32,
        /// Who reported it.
        offender: Option<SocketAddr>,
    },
}

impl Control {
    /// `cmsg_level` and `cmsg_type`.
    #[must_use]
    pub const fn kind(&self) -> (i32, i32) {
        match self {
            Self::Inq(_) => (SOL_TCP, TCP_CM_INQ),
            Self::Timestamping(_) => (SOL_SOCKET, SCM_TIMESTAMPING),
            Self::Error { ipv6: false, .. } => (SOL_IP, IP_RECVERR),
            Self::Error { ipv6: true, .. } => (SOL_IPV6, IPV6_RECVERR),
        }
    }

    /// `cmsg_level`, `cmsg_type` and the octets of `cmsg_data`, as C finds them.
    ///
    /// ```
    /// use handwave_script::posix::Control;
    /// use handwave_script::posix::constants::{SOL_TCP, TCP_CM_INQ};
    ///
    /// assert_eq!(Control::Inq(5).encode(), (SOL_TCP, TCP_CM_INQ, 5_i32.to_ne_bytes().to_vec()));
    /// ```
    #[must_use]
    pub fn encode(&self) -> (i32, i32, Vec<u8>) {
        let data = match self {
            Self::Inq(left) => left.to_ne_bytes().to_vec(),
            Self::Timestamping(at) => {
                let (seconds, nanos) =
                    (at.as_nanos() / 1_000_000_000, at.as_nanos() % 1_000_000_000);
                let mut octets = [seconds.to_ne_bytes(), nanos.to_ne_bytes()].concat();
                // Two more stamps, which hardware would make.
                octets.resize(48, 0);
                octets
            }
            Self::Error {
                ipv6,
                errno,
                origin,
                kind,
                code,
                info,
                data,
                offender,
            } => {
                let mut octets = errno.to_ne_bytes().to_vec();
                octets.extend([*origin, *kind, *code, 0]);
                octets.extend(info.to_ne_bytes());
                octets.extend(data.to_ne_bytes());
                let len = if *ipv6 { 28 } else { 16 };
                let mut address = offender.map(encode_address).unwrap_or_default();
                address.resize(len, 0);
                octets.extend(address);
                octets
            }
        };
        let (level, kind) = self.kind();
        (level, kind, data)
    }
}

/// Ancillary data as it lies in a buffer of `room` octets, and whether something was cut (`MSG_CTRUNC`): of what does not fit, the
/// beginning is stored, if at least its header fits.
///
/// ```
/// use handwave_script::posix::{Control, encode_control};
///
/// let (octets, cut) = encode_control(&[Control::Inq(5)], 64);
/// assert_eq!((octets.len(), cut), (24, false));
/// assert_eq!(encode_control(&[Control::Inq(5)], 18).1, true);
/// ```
#[must_use]
pub fn encode_control(items: &[Control], room: usize) -> (Vec<u8>, bool) {
    const ALIGN: usize = size_of::<usize>();
    const HEADER: usize = size_of::<usize>() + 8;
    let mut octets = Vec::new();
    let mut cut = false;
    for item in items {
        let (level, kind, data) = item.encode();
        let left = room - octets.len();
        if left < HEADER {
            return (octets, true);
        }
        let len = (HEADER + data.len()).min(left);
        cut |= len < HEADER + data.len();
        octets.extend(len.to_ne_bytes());
        octets.extend(level.to_ne_bytes());
        octets.extend(kind.to_ne_bytes());
        octets.extend(&data[..len - HEADER]);
        octets.resize(octets.len().next_multiple_of(ALIGN).min(room), 0);
    }
    (octets, cut)
}

/// `struct sockaddr_in` or `struct sockaddr_in6`.
///
/// ```
/// use handwave_script::posix::encode_address;
///
/// let octets = encode_address("192.0.2.1:80".parse().unwrap());
/// assert_eq!(octets[2..8], [0, 80, 192, 0, 2, 1]);
/// ```
#[must_use]
pub fn encode_address(address: SocketAddr) -> Vec<u8> {
    let family = |number: i32| u16::try_from(number).unwrap_or(0).to_ne_bytes();
    let port = address.port().to_be_bytes();
    match address {
        SocketAddr::V4(v4) => [&family(AF_INET)[..], &port, &v4.ip().octets(), &[0; 8]].concat(),
        SocketAddr::V6(v6) => [
            &family(AF_INET6)[..],
            &port,
            &v6.flowinfo().to_be_bytes(),
            &v6.ip().octets(),
            &v6.scope_id().to_ne_bytes(),
        ]
        .concat(),
    }
}
