//! Ethernet frames (RFC 894, RFC 2464): who they are for and what they carry.

use super::Link;
use crate::id::InterfaceId;
use crate::stack::Stack;
use handwave_packet::PacketBuf;
use handwave_tcp::Instant;
use handwave_wire::ethernet::{EtherType, EthernetHeader, MacAddr};

impl Stack {
    #[inline(never)]
    pub(super) fn input_ethernet(
        &mut self,
        now: Instant,
        interface: InterfaceId,
        mac: MacAddr,
        frame: &mut PacketBuf,
    ) {
        let parsed = frame.front(EthernetHeader::LEN).map(EthernetHeader::parse);
        let Some(Ok((header, header_len))) = parsed else {
            self.counters.frames_malformed += 1;
            return;
        };
        let to_group = header.destination.is_multicast();
        if !to_group && header.destination != mac {
            self.counters.frames_ignored += 1;
            return;
        }
        frame.advance(header_len);
        let link = Link {
            interface,
            to_group,
            looped: false,
            reassembled: false,
        };
        match header.ethertype {
            EtherType::IPV4 | EtherType::IPV6 => self.input_ip(now, link, frame),
            EtherType::ARP => self.input_arp(now, interface, mac, frame),
            _ => self.counters.frames_ignored += 1,
        }
    }
}
