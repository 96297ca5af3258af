//! ICMP errors that we send, within what RFC 1122 3.2.2 and RFC 4443 2.4 allow, and within a rate.

use super::ip::IpFields;
use crate::input::Arrival;
use crate::stack::Stack;
use alloc::vec;
use alloc::vec::Vec;
use bytes::Bytes;
use core::net::{IpAddr, Ipv6Addr};
use handwave_packet::{PacketBuf, Payload};
use handwave_tcp::{Instant, Unreachable};
use handwave_wire::icmpv4::{
    Icmpv4Error, Icmpv4ErrorKind, Icmpv4Message, Icmpv4Unreachable, Prohibited, TimeExceeded,
};
use handwave_wire::icmpv6::{
    Icmpv6Error, Icmpv6ErrorKind, Icmpv6Message, Icmpv6Unreachable, ParameterProblemCode,
};
use handwave_wire::ipv6::HeaderProblem;
use handwave_wire::{Ecn, IpProtocol};

/// What is wrong with a packet that arrived.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Complaint {
    /// Nobody has the UDP port.
    Port,
    /// Nobody speaks the protocol; for IPv6, which octet named it.
    Protocol { named_at: usize },
    /// Fragments of it are missing.
    Reassembly,
    /// Its IPv6 headers are wrong.
    Header(HeaderProblem),
    /// Whoever forwards for its destination cannot reach it.
    Unreachable(Unreachable),
}

impl Complaint {
    /// RFC 1122 3.2.2.1: ports and protocols that nobody has are reported [RFC1122-5].
    fn icmpv4(self) -> Option<Icmpv4ErrorKind> {
        match self {
            Self::Port => Some(Icmpv4ErrorKind::Unreachable(Icmpv4Unreachable::Port)),
            Self::Protocol { .. } => {
                Some(Icmpv4ErrorKind::Unreachable(Icmpv4Unreachable::Protocol))
            }
            Self::Reassembly => Some(Icmpv4ErrorKind::TimeExceeded(TimeExceeded::Reassembly)),
            Self::Header(_) => None,
            Self::Unreachable(why) => Some(Icmpv4ErrorKind::Unreachable(match why {
                Unreachable::Network => Icmpv4Unreachable::Network,
                Unreachable::Host => Icmpv4Unreachable::Host,
                Unreachable::Protocol => Icmpv4Unreachable::Protocol,
                Unreachable::Port => Icmpv4Unreachable::Port,
                Unreachable::SourceRoute => Icmpv4Unreachable::SourceRouteFailed,
                Unreachable::Prohibited => Icmpv4Unreachable::Prohibited(Prohibited::Communication),
                Unreachable::NetworkProhibited => {
                    Icmpv4Unreachable::Prohibited(Prohibited::Network)
                }
                Unreachable::HostUnknown => Icmpv4Unreachable::Other(7),
                Unreachable::HostIsolated => Icmpv4Unreachable::Other(8),
            })),
        }
    }

    fn icmpv6(self) -> Icmpv6ErrorKind {
        match self {
            Self::Port => Icmpv6ErrorKind::Unreachable(Icmpv6Unreachable::Port),
            Self::Protocol { named_at } => Icmpv6ErrorKind::ParameterProblem {
                code: ParameterProblemCode::UnrecognizedNextHeader,
                pointer: u32::try_from(named_at).unwrap_or(0),
            },
            Self::Reassembly => Icmpv6ErrorKind::TimeExceeded(TimeExceeded::Reassembly),
            Self::Header(HeaderProblem { code, pointer, .. }) => {
                Icmpv6ErrorKind::ParameterProblem { code, pointer }
            }
            Self::Unreachable(why) => Icmpv6ErrorKind::Unreachable(match why {
                Unreachable::Network | Unreachable::SourceRoute => Icmpv6Unreachable::NoRoute,
                Unreachable::Host | Unreachable::HostUnknown | Unreachable::HostIsolated => {
                    Icmpv6Unreachable::Address
                }
                Unreachable::Protocol | Unreachable::Port => Icmpv6Unreachable::Port,
                Unreachable::Prohibited | Unreachable::NetworkProhibited => {
                    Icmpv6Unreachable::Prohibited
                }
            }),
        }
    }

    const fn even_to_group(self) -> bool {
        matches!(
            self,
            Self::Header(HeaderProblem {
                even_to_multicast: true,
                ..
            })
        )
    }
}

impl Stack {
    /// Tells the sender of a packet what is wrong with it, if that is allowed.
    ///
    /// Never about a packet to a group (but for one IPv6 option problem), nor about an ICMP error, which does not get
    /// here. The source of every packet that gets here is a single host.
    /// RFC 1122 3.2.2: no error about errors, groups, later fragments and invalid sources [RFC1122-3].
    pub(crate) fn complain(
        &mut self,
        now: Instant,
        arrival: &Arrival,
        packet: &PacketBuf,
        complaint: Complaint,
    ) {
        if arrival.to_group && !complaint.even_to_group() {
            return;
        }
        let ours = if self.addresses.is_ours(&arrival.destination) {
            Some(arrival.destination)
        } else {
            let known = self.interfaces.get(arrival.link.interface.index());
            known.and_then(|known| known.source_for(arrival.source))
        };
        let Some(ours) = ours else { return };
        let mut quoted = vec![0; packet.len().min(Icmpv6Error::QUOTED_LEN_MAX)];
        packet.write_to(&mut quoted);
        self.send_icmp_error(now, ours, arrival.source, complaint, &quoted);
    }

    /// Gives up on datagrams whose fragments did not all come in time, and says so if the first one did (RFC 792, RFC
    /// 8200 4.5).
    /// RFC 1122 3.3.2: what stays incomplete is given up and reported, if its first fragment is there [RFC1122-10].
    pub(crate) fn reassembly_timeout(&mut self, now: Instant) {
        while let Some(expired) = self
            .reassembly_ipv4
            .pop_expired(now)
            .or_else(|| self.reassembly_ipv6.pop_expired(now))
        {
            self.counters.reassembly_timeouts += 1;
            let key = expired.key;
            if let Some(quote) = expired.quote
                && self.addresses.is_ours(&key.destination)
            {
                let quoted = quote.to_vec();
                self.send_icmp_error(
                    now,
                    key.destination,
                    key.source,
                    Complaint::Reassembly,
                    &quoted,
                );
            }
        }
    }

    pub(crate) fn send_icmp_error(
        &mut self,
        now: Instant,
        source: IpAddr,
        destination: IpAddr,
        complaint: Complaint,
        quoted: &[u8],
    ) {
        if !self.icmp_error_bucket.take(now) {
            self.counters.icmp_errors_limited += 1;
            return;
        }
        let message = match (source, destination) {
            (IpAddr::V4(_), IpAddr::V4(_)) => complaint.icmpv4().map(|kind| {
                let quoted = &quoted[..quoted.len().min(Icmpv4Error::QUOTED_LEN_MAX)];
                encode_icmpv4(&Icmpv4Message::Error(Icmpv4Error { kind, quoted }))
            }),
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                let error = Icmpv6Error {
                    kind: complaint.icmpv6(),
                    quoted,
                };
                Some(encode_icmpv6(
                    &Icmpv6Message::Error(error),
                    source,
                    destination,
                ))
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => None,
        };
        if let Some(message) = message {
            self.counters.icmp_errors_sent += 1;
            self.send_icmp(now, source, destination, message);
        }
    }

    /// Queues an ICMP message as it is.
    pub(crate) fn send_icmp(
        &mut self,
        now: Instant,
        source: IpAddr,
        destination: IpAddr,
        message: Vec<u8>,
    ) {
        let Some(hop) = self.route_to(destination) else {
            self.counters.no_route += 1;
            return;
        };
        let fields = IpFields {
            source,
            destination,
            protocol: if source.is_ipv4() {
                IpProtocol::ICMP
            } else {
                IpProtocol::ICMPV6
            },
            hop_limit: self.config.hop_limit,
            dscp: 0,
            ecn: Ecn::NotEct,
            flow_label: 0,
        };
        let packet = PacketBuf::with_payload(Payload::from(Bytes::from(message)));
        self.send_datagram(now, hop, &fields, packet);
    }
}

pub(crate) fn encode_icmpv4(message: &Icmpv4Message<'_>) -> Vec<u8> {
    let mut octets = vec![0; message.encoded_len()];
    message.emit(&mut octets);
    octets
}

pub(crate) fn encode_icmpv6(
    message: &Icmpv6Message<'_>,
    source: Ipv6Addr,
    destination: Ipv6Addr,
) -> Vec<u8> {
    let mut octets = vec![0; message.encoded_len()];
    message.emit(&mut octets, source, destination);
    octets
}
