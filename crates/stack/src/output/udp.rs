//! UDP calls: bind, send, receive, close (RFC 768, RFC 1122 4.1).

use super::ip::IpFields;
use crate::id::UdpId;
use crate::stack::Stack;
use crate::udp::{BindError, UdpDatagram, UdpSendError, UdpSocket};
use core::net::{IpAddr, Ipv4Addr};
use handwave_packet::{PacketBuf, Payload};
use handwave_tcp::{Endpoint, Instant, Tuple, Unreachable};
use handwave_wire::udp::UdpHeader;
use handwave_wire::{Ecn, IpProtocol, Sum};

/// What fits into one IPv4 datagram beside the headers.
const IPV4_PAYLOAD_MAX: usize = 65_535 - 20 - 8;
/// What fits into one IPv6 datagram beside the UDP header.
const IPV6_PAYLOAD_MAX: usize = 65_535 - 8;

impl Stack {
    /// Binds a UDP socket to a port of one address of ours, or of any (`None`). Port 0 takes an ephemeral one.
    ///
    /// A socket on an address goes before one on any address with the same port.
    ///
    /// # Errors
    ///
    /// [`BindError`] if the place is impossible or taken.
    pub fn udp_bind(&mut self, addr: Option<IpAddr>, port: u16) -> Result<UdpId, BindError> {
        if addr.is_some_and(|addr| !self.addresses.is_ours(&addr)) {
            return Err(BindError::NotLocal);
        }
        if self.udp.len() >= self.config.udp_sockets_max {
            return Err(BindError::TooMany);
        }
        let port = if port == 0 {
            self.ephemeral_udp_port(addr)?
        } else {
            port
        };
        if self.udp.is_taken(addr, port) {
            return Err(BindError::InUse);
        }
        Ok(self.udp.insert(addr, port, self.config.udp))
    }

    /// Sends a datagram; it is cut into fragments if it does not fit the path.
    ///
    /// # Errors
    ///
    /// [`UdpSendError`]; in particular an ICMP error about an earlier datagram is told once, here (RFC 1122 4.1.3.3).
    pub fn udp_send_to(
        &mut self,
        now: Instant,
        id: UdpId,
        remote: Endpoint,
        payload: impl Into<Payload>,
    ) -> Result<(), UdpSendError> {
        let payload = payload.into();
        let socket = self.udp.get_mut(id).ok_or(UdpSendError::NoSocket)?;
        if let Some((_, why)) = socket.error.take() {
            return Err(UdpSendError::Unreachable(why));
        }
        let (bound, port) = (socket.addr, socket.port);
        self.send_udp(now, (bound, port), remote, payload)?;
        if let Some(socket) = self.udp.get_mut(id) {
            socket.note_sent(remote);
        }
        Ok(())
    }

    /// Sends a datagram in the name of somebody else, whom [forwarding](Self::start_forwarding) has taken a datagram for.
    ///
    /// # Errors
    ///
    /// [`UdpSendError`]; [`UdpSendError::NoSocket`] unless an interface forwards.
    pub fn udp_send_from(
        &mut self,
        now: Instant,
        source: Endpoint,
        remote: Endpoint,
        payload: impl Into<Payload>,
    ) -> Result<(), UdpSendError> {
        if self.forwarding.is_none() {
            return Err(UdpSendError::NoSocket);
        }
        self.send_udp(
            now,
            (Some(source.addr), source.port),
            remote,
            payload.into(),
        )
    }

    fn send_udp(
        &mut self,
        now: Instant,
        (bound, port): (Option<IpAddr>, u16),
        remote: Endpoint,
        payload: Payload,
    ) -> Result<(), UdpSendError> {
        if remote.port == 0 {
            return Err(UdpSendError::NoPort);
        }
        let len_max = if remote.addr.is_ipv4() {
            IPV4_PAYLOAD_MAX
        } else {
            IPV6_PAYLOAD_MAX
        };
        if payload.len() > len_max {
            return Err(UdpSendError::TooLong);
        }
        let hop = self.route_to(remote.addr).ok_or(UdpSendError::NoRoute)?;
        let source = bound.or_else(|| self.source_towards(remote.addr, hop.interface));
        let source = source.filter(|source| source.is_ipv4() == remote.addr.is_ipv4());
        let source = source.ok_or(UdpSendError::NoRoute)?;
        if self.outbox.is_full() {
            return Err(UdpSendError::QueueFull);
        }
        let datagram = udp_packet(Endpoint::new(source, port), remote, payload);
        let fields = IpFields {
            source,
            destination: remote.addr,
            protocol: IpProtocol::UDP,
            // A group is not left unless that is asked for (RFC 1112 6.1).
            hop_limit: if remote.addr.is_multicast() {
                1
            } else {
                self.config.hop_limit
            },
            dscp: 0,
            ecn: Ecn::NotEct,
            flow_label: self.flow_label(&Tuple::new(Endpoint::new(source, port), remote)),
        };
        self.send_datagram(now, hop, &fields, datagram);
        self.counters.udp_sent += 1;
        Ok(())
    }

    /// Takes the datagram that has waited longest; `None` if none waits.
    pub fn udp_recv_from(&mut self, id: UdpId) -> Option<UdpDatagram> {
        self.udp.pop(id)
    }

    /// Octets of the datagram that has waited longest.
    #[must_use]
    pub fn udp_next_len(&self, id: UdpId) -> Option<usize> {
        self.udp.get(id)?.next_len()
    }

    /// How many datagrams wait.
    #[must_use]
    pub fn udp_waiting(&self, id: UdpId) -> usize {
        self.udp.get(id).map_or(0, UdpSocket::waiting)
    }

    /// Takes what an ICMP message said about an earlier datagram of this socket; it is told once, here or when sending.
    pub fn udp_take_error(&mut self, id: UdpId) -> Option<Unreachable> {
        let socket = self.udp.get_mut(id)?;
        socket.error.take().map(|(_, why)| why)
    }

    /// The endpoint a UDP socket is bound to; the address is `None` for any.
    #[must_use]
    pub fn udp_local(&self, id: UdpId) -> Option<(Option<IpAddr>, u16)> {
        self.udp.get(id).map(|socket| (socket.addr, socket.port))
    }

    /// Closes a UDP socket; what waited in it is dropped.
    pub fn udp_close(&mut self, id: UdpId) {
        self.udp.remove(id);
    }

    fn ephemeral_udp_port(&mut self, addr: Option<IpAddr>) -> Result<u16, BindError> {
        let local = addr.unwrap_or(Ipv4Addr::UNSPECIFIED.into());
        let anyone = Endpoint::new(Ipv4Addr::UNSPECIFIED.into(), 0);
        let Self { ports, udp, .. } = self;
        let is_free = |port| !udp.is_taken(addr, port) && !udp.is_taken(None, port);
        ports.pick(local, anyone, is_free).ok_or(BindError::NoPort)
    }

    fn source_towards(&self, remote: IpAddr, interface: crate::InterfaceId) -> Option<IpAddr> {
        if self.addresses.is_ours(&remote) {
            return Some(remote);
        }
        self.interfaces.get(interface.index())?.source_for(remote)
    }
}

/// A UDP datagram with its checksum.
fn udp_packet(source: Endpoint, destination: Endpoint, payload: Payload) -> PacketBuf {
    let payload_len = u16::try_from(payload.len()).unwrap_or(UdpHeader::PAYLOAD_LEN_MAX);
    let header = UdpHeader {
        source_port: source.port,
        destination_port: destination.port,
        payload_len,
    };
    let mut packet = PacketBuf::with_payload(payload);
    header.emit(packet.prepend(UdpHeader::LEN));
    let len = u32::try_from(packet.len()).unwrap_or(u32::MAX);
    let pseudo = Sum::default().pseudo_header(source.addr, destination.addr, IpProtocol::UDP, len);
    let sum = packet.payload().sum(pseudo.add_bytes(packet.head()));
    UdpHeader::set_checksum(packet.head_mut(), UdpHeader::checksum(sum));
    packet
}
