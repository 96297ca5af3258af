//! ARP (RFC 826): answers for our addresses, learns those of neighbours that we asked about or that asked us.

use crate::id::InterfaceId;
use crate::neighbours::Evidence;
use crate::output::{NOBODY, arp_frame};
use crate::stack::Stack;
use core::net::IpAddr;
use handwave_packet::PacketBuf;
use handwave_tcp::Instant;
use handwave_wire::arp::{ArpOperation, ArpPacket};
use handwave_wire::ethernet::MacAddr;

impl Stack {
    pub(super) fn input_arp(
        &mut self,
        now: Instant,
        interface: InterfaceId,
        mac: MacAddr,
        packet: &mut PacketBuf,
    ) {
        let parsed = packet.front(ArpPacket::LEN).map(ArpPacket::parse);
        let Some(Ok(arp)) = parsed else {
            self.counters.frames_malformed += 1;
            return;
        };
        let sender = IpAddr::V4(arp.sender_ip);
        let believable = arp.sender_mac.is_unicast()
            && !self.addresses.is_ours(&sender)
            && !arp.sender_ip.is_multicast()
            && !arp.sender_ip.is_broadcast();
        if !believable {
            self.counters.neighbour_ignored += 1;
            return;
        }
        let for_us = self.addresses.is_on(interface, &arp.target_ip.into());
        // RFC 826 updates what is known whoever the packet is for, and adds only what is for us.
        let evidence = match arp.operation {
            ArpOperation::Request if for_us => Evidence::AskedUs,
            ArpOperation::Reply if for_us && arp.target_mac == mac => {
                Evidence::Answer { overrides: false }
            }
            ArpOperation::Request | ArpOperation::Reply => Evidence::Unasked,
        };
        // Somebody who asks whether an address is free has none yet (RFC 5227 2.1.1).
        if arp.sender_ip != NOBODY {
            self.learn_neighbour(now, (interface, sender), arp.sender_mac, evidence);
        }
        if arp.operation == ArpOperation::Request && for_us {
            let reply = ArpPacket {
                operation: ArpOperation::Reply,
                sender_mac: mac,
                sender_ip: arp.target_ip,
                target_mac: arp.sender_mac,
                target_ip: arp.sender_ip,
            };
            if !self
                .outbox
                .push(interface, arp_frame(mac, arp.sender_mac, &reply))
            {
                self.counters.transmit_queue_full += 1;
            }
        }
    }
}
