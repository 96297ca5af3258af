//! Neighbour discovery (RFC 4861 7.2): answers for our addresses, learns those of neighbours.
//!
//! Routers are configured as routes: their advertisements are not acted on.

use super::Arrival;
use crate::interface::ALL_NODES;
use crate::neighbours::Evidence;
use crate::output::ndp_frame;
use crate::stack::Stack;
use core::net::{IpAddr, Ipv6Addr};
use handwave_tcp::Instant;
use handwave_wire::ethernet::MacAddr;
use handwave_wire::ndp::{NdpMessage, NeighborAdvertisement, NeighborSolicitation};

impl Stack {
    pub(super) fn input_ndp(
        &mut self,
        now: Instant,
        arrival: &Arrival,
        source: Ipv6Addr,
        destination: Ipv6Addr,
        message: NdpMessage,
    ) {
        let known = self.interfaces.get(arrival.link.interface.index());
        let Some(mac) = known.and_then(|known| known.mac()) else {
            return;
        };
        if arrival.link.reassembled
            || !message.is_acceptable(source, destination, arrival.hop_limit)
        {
            // Nor from fragments (RFC 6980 5).
            self.counters.neighbour_ignored += 1;
            return;
        }
        match message {
            NdpMessage::NeighborSolicitation(asked) => {
                self.neighbour_asks(now, arrival, source, mac, asked);
            }
            NdpMessage::NeighborAdvertisement(told) => self.neighbour_tells(now, arrival, told),
            NdpMessage::RouterSolicitation(_) | NdpMessage::RouterAdvertisement(_) => {}
        }
    }

    fn neighbour_asks(
        &mut self,
        now: Instant,
        arrival: &Arrival,
        source: Ipv6Addr,
        mac: MacAddr,
        asked: NeighborSolicitation,
    ) {
        let interface = arrival.link.interface;
        if !self.addresses.is_on(interface, &asked.target.into()) {
            return;
        }
        if let Some(link) = asked.source_link.filter(|link| link.is_unicast()) {
            let key = (interface, IpAddr::V6(source));
            self.learn_neighbour(now, key, link, Evidence::AskedUs);
        }
        // Who has no address yet is told through the group of all (RFC 4861 7.2.4).
        let solicited = !source.is_unspecified();
        let (to, destination) = match asked.source_link {
            Some(link) if solicited && link.is_unicast() => (link, source),
            _ => (
                MacAddr::of_ipv6_group(ALL_NODES),
                if solicited { source } else { ALL_NODES },
            ),
        };
        let answer = NdpMessage::NeighborAdvertisement(NeighborAdvertisement {
            target: asked.target,
            router: false,
            solicited,
            override_entry: true,
            target_link: Some(mac),
        });
        let frame = ndp_frame(mac, to, asked.target, destination, answer);
        if !self.outbox.push(interface, frame) {
            self.counters.transmit_queue_full += 1;
        }
    }

    fn neighbour_tells(&mut self, now: Instant, arrival: &Arrival, told: NeighborAdvertisement) {
        let addr = IpAddr::V6(told.target);
        let link = told.target_link.filter(|link| link.is_unicast());
        let Some(link) = link.filter(|_| !self.addresses.is_ours(&addr)) else {
            self.counters.neighbour_ignored += 1;
            return;
        };
        let evidence = match told.solicited {
            true => Evidence::Answer {
                overrides: told.override_entry,
            },
            false => Evidence::Unasked,
        };
        self.learn_neighbour(now, (arrival.link.interface, addr), link, evidence);
    }
}
