//! The way out: from a socket that has something to send to a packet for a device.
//!
//! ```text
//! poll_transmit -> outbox (UDP, ICMP, resets)
//!               -> neighbour questions
//!               -> listeners, connections: poll_transmit -> segment -> IP header -> link
//! link -> own address: back to input; Ethernet: neighbour -> frame; otherwise: as it is
//! ```
//!
//! TCP segments are built when they are polled, never before: a device that is slow holds back the connections, not a
//! queue.

mod icmp;
mod ip;
mod link;
mod outbox;
mod tcp;
mod udp;

pub(crate) use icmp::{Complaint, encode_icmpv4, encode_icmpv6};
pub(crate) use ip::Identifications;
pub(crate) use link::{NOBODY, arp_frame, ndp_frame};
pub(crate) use outbox::Outbox;

use crate::id::InterfaceId;
use crate::stack::Stack;
use handwave_packet::PacketBuf;
use handwave_tcp::Instant;

impl Stack {
    /// Makes `packet` the next one to send; returns the interface to send it on.
    pub(crate) fn output(&mut self, now: Instant, packet: &mut PacketBuf) -> Option<InterfaceId> {
        loop {
            if let Some((interface, looped)) = self.outbox.pop_looped() {
                self.input_looped(now, interface, looped);
                continue;
            }
            if let Some(interface) = self.outbox.pop(packet) {
                return Some(interface);
            }
            if let Some(question) = self.neighbours.poll_question() {
                if let Some((interface, frame)) = self.neighbour_question(question) {
                    *packet = frame;
                    return Some(interface);
                }
                continue;
            }
            // Listeners and connections take turns, so that a flood of SYNs does not keep connections from sending.
            self.listeners_turn = !self.listeners_turn;
            let listener = self.listening.next_ready();
            let interface = match (listener, self.connections.next_ready()) {
                (Some(slot), None) => self.listener_output(now, slot, packet),
                (Some(slot), Some(_)) if self.listeners_turn => {
                    self.listener_output(now, slot, packet)
                }
                (_, Some(slot)) => self.connection_output(now, slot, packet),
                (None, None) => return None,
            };
            if interface.is_some() {
                return interface;
            }
        }
    }
}
