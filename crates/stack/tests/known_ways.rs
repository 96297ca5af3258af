//! The way that was found last is asked for again when it may have changed.
#![allow(clippy::unwrap_used, reason = "test code")]

use core::net::IpAddr;

use handwave_stack::{
    ConnectOptions, InterfaceConfig, InterfaceId, Prefix, Route, Stack, StackConfig,
};
use handwave_tcp::{Endpoint, Instant, Secrets};
use handwave_wire::TcpHeader;

const NOW: Instant = Instant::ZERO;

fn addr(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn prefix(text: &str, len: u8) -> Prefix {
    Prefix::new(addr(text), len)
}

/// A host of 10.0.0.1/24 behind MTU 1,500 that sends everything else to 10.0.0.254.
fn host() -> (Stack, InterfaceId) {
    let mut stack = Stack::new(StackConfig::default(), Secrets::from_seed(1), NOW);
    let config = InterfaceConfig::ip(1_500, [prefix("10.0.0.1", 24)]);
    let wire = stack.add_interface(config).unwrap();
    let default = Route {
        destination: prefix("0.0.0.0", 0),
        gateway: Some(addr("10.0.0.254")),
        interface: wire,
    };
    stack.add_route(default).unwrap();
    (stack, wire)
}

/// Opens a connection; returns its local address, and where its SYN leaves and which MSS that names.
fn open(stack: &mut Stack, to: &str) -> (IpAddr, InterfaceId, u16) {
    let to = Endpoint::new(addr(to), 80);
    let id = stack.connect(NOW, to, ConnectOptions::default()).unwrap();
    let local = stack.connection(id).unwrap().tuple().local.addr;
    let (interface, syn) = stack.poll_transmit(NOW).unwrap();
    let (header, _) = TcpHeader::parse(&syn.to_vec()[20..]).unwrap();
    (local, interface, header.options.mss.unwrap())
}

#[test]
fn an_mtu_that_changes_is_seen() {
    let (mut stack, wire) = host();
    let ours = addr("10.0.0.1");
    assert_eq!(open(&mut stack, "10.0.0.2"), (ours, wire, 1_460));
    assert_eq!(open(&mut stack, "10.0.0.2"), (ours, wire, 1_460));
    stack.set_mtu(wire, 1_400).unwrap();
    assert_eq!(open(&mut stack, "10.0.0.2"), (ours, wire, 1_360));
}

#[test]
fn addresses_that_come_and_go_are_seen() {
    let (mut stack, wire) = host();
    assert_eq!(open(&mut stack, "10.9.9.9").0, addr("10.0.0.1"));
    stack.add_address(wire, prefix("10.9.9.1", 24)).unwrap();
    assert_eq!(open(&mut stack, "10.9.9.9").0, addr("10.9.9.1"));
    assert!(stack.remove_address(wire, addr("10.9.9.1")));
    assert_eq!(open(&mut stack, "10.9.9.9").0, addr("10.0.0.1"));
}

#[test]
fn routes_that_come_and_go_are_seen() {
    let (mut stack, wire) = host();
    let other = InterfaceConfig::ip(1_280, [prefix("172.16.0.1", 24)]);
    let other = stack.add_interface(other).unwrap();
    assert_eq!(
        open(&mut stack, "10.9.9.9"),
        (addr("10.0.0.1"), wire, 1_460)
    );
    let route = Route {
        destination: prefix("10.9.9.0", 24),
        gateway: Some(addr("172.16.0.254")),
        interface: other,
    };
    stack.add_route(route).unwrap();
    let by_the_other = (addr("172.16.0.1"), other, 1_240);
    assert_eq!(open(&mut stack, "10.9.9.9"), by_the_other);
    assert!(stack.remove_route(&route));
    assert_eq!(
        open(&mut stack, "10.9.9.9"),
        (addr("10.0.0.1"), wire, 1_460)
    );
}

#[test]
fn a_peer_that_is_another_has_another_way() {
    let (mut stack, wire) = host();
    let other = InterfaceConfig::ip(1_280, [prefix("172.16.0.1", 24)]);
    let other = stack.add_interface(other).unwrap();
    for _ in 0..2 {
        assert_eq!(
            open(&mut stack, "10.0.0.2"),
            (addr("10.0.0.1"), wire, 1_460)
        );
        assert_eq!(
            open(&mut stack, "172.16.0.2"),
            (addr("172.16.0.1"), other, 1_240)
        );
    }
}
