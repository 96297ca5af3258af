//! A stack with a listener, a UDP socket and a connection being opened, against a script of packets and time.
//!
//! The input is cut into records: two octets of length and flags, then the packet. Flags choose the interface, let time
//! pass, and mend the checksums that random octets never hit: the IPv4 header's, and the upper layer's by the device's word.
//! Where no time passes, packets of one interface come as a batch.

#![no_main]

use core::time::Duration;

use bytes::Bytes;
use handwave_packet::{ChecksumMark, PacketBuf};
use handwave_stack::{
    ConnectOptions, InterfaceConfig, InterfaceId, ListenerConfig, Prefix, Stack, StackConfig,
};
use handwave_tcp::{Endpoint, Instant, Secrets};
use handwave_wire::checksum::internet_checksum;
use handwave_wire::ethernet::MacAddr;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|script: &[u8]| run(script));

fn run(mut script: &[u8]) {
    let mut now = Instant::from_secs(1);
    let (mut stack, interfaces) = host(now);
    let (mut batch, mut from) = (Vec::new(), interfaces[0]);
    while let [len, flags, rest @ ..] = script {
        let (packet, rest) = rest.split_at(rest.len().min(usize::from(*len)));
        script = rest;
        let mut octets = packet.to_vec();
        if flags & 1 != 0 {
            mend(&mut octets);
        }
        let mut packet = PacketBuf::from_bytes(Bytes::from(octets));
        if flags & 2 != 0 {
            packet.set_checksum(ChecksumMark::Verified);
        }
        let interface = interfaces[usize::from(flags >> 2 & 1)];
        if interface != from {
            stack.handle_batch_in_place(now, from, &mut batch);
            batch.clear();
            from = interface;
        }
        if flags >> 3 == 0 {
            batch.push(packet);
            continue;
        }
        stack.handle_batch_in_place(now, from, &mut batch);
        batch.clear();
        stack.handle_packet(now, from, packet);
        drain(&mut stack, now);
        // 0 to 124 seconds, so that every timer gets its turn.
        now += Duration::from_secs(u64::from(flags >> 3) * 4);
        stack.handle_timeout(now);
        drain(&mut stack, now);
        assert!(stack.poll_timeout().is_none_or(|next| next > now), "a deadline that never passes");
    }
    stack.handle_batch_in_place(now, from, &mut batch);
    drain(&mut stack, now);
    assert!(stack.held_memory() <= stack.config().memory_hard * 2);
}

/// A host that has something to lose.
fn host(now: Instant) -> (Stack, [InterfaceId; 2]) {
    let config = StackConfig { connections_max: 16, transmit_queue_max: 64, ..StackConfig::default() };
    let mut stack = Stack::new(config, Secrets::from_seed(0), now);
    let prefix = |a, len| Prefix::new(a, len);
    let bare = InterfaceConfig::ip(
        1_500,
        [
            prefix([10, 0, 0, 2].into(), 24),
            prefix([0xfd00, 0, 0, 0, 0, 0, 0, 2].into(), 64),
        ],
    );
    let framed = InterfaceConfig::ethernet(
        MacAddr([2, 0, 0, 0, 0, 2]),
        [prefix([10, 1, 0, 2].into(), 24), prefix([0xfd01, 0, 0, 0, 0, 0, 0, 2].into(), 64)],
    );
    let interfaces = [bare, framed].map(|config| stack.add_interface(config).expect("it is sound"));
    stack.listen(80, ListenerConfig::default()).expect("the port is free");
    stack.udp_bind(None, 53).expect("the port is free");
    for remote in [[10, 0, 0, 1], [10, 1, 0, 1]] {
        let options = ConnectOptions { local_port: Some(4_000), ..ConnectOptions::default() };
        stack.connect(now, Endpoint::new(remote.into(), 80), options).expect("there is a route");
    }
    drain(&mut stack, now);
    (stack, interfaces)
}

fn drain(stack: &mut Stack, now: Instant) {
    let mut sent = 0;
    while stack.poll_transmit(now).is_some() {
        sent += 1;
        assert!(sent < 10_000, "output never ends");
    }
    while stack.poll_event().is_some() {}
}

fn mend(octets: &mut [u8]) {
    let start = if octets.get(12..14) == Some(&[8, 0]) { 14 } else { 0 };
    if let Some(header) = octets.get_mut(start..start + 20)
        && header[0] == 0x45
    {
        header[10..12].copy_from_slice(&[0, 0]);
        let checksum = internet_checksum(header);
        header[10..12].copy_from_slice(&checksum.to_be_bytes());
    }
}
