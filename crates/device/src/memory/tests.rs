use std::collections::VecDeque;
use std::io::ErrorKind;

use handwave_packet::{ChecksumMark, PacketBuf};

use super::*;
use crate::testing::{Count, octets, packet, super_segment, tcp_payload};

fn queue(packets: impl IntoIterator<Item = PacketBuf>) -> VecDeque<PacketBuf> {
    packets.into_iter().collect()
}

fn wakers(device: &MemoryDevice) -> &dyn Wakers {
    match device.readiness() {
        Readiness::Wakers(wakers) => wakers,
        #[cfg(unix)]
        Readiness::Descriptor(fd) => panic!("a memory device has no descriptor, not even {fd:?}"),
    }
}

#[test]
fn packets_arrive_in_order_and_both_ways() {
    let (mut left, mut right) = pair(1_500, 8);
    let mut batch = Vec::new();
    assert_eq!(
        left.send(&mut queue([packet(1, 40), packet(2, 50)]))
            .unwrap(),
        2
    );
    assert_eq!(right.send(&mut queue([packet(3, 60)])).unwrap(), 1);

    assert_eq!(right.receive(8, &mut batch).unwrap(), 2);
    assert_eq!(
        octets(batch.drain(..)),
        octets([packet(1, 40), packet(2, 50)])
    );
    assert_eq!(left.receive(8, &mut batch).unwrap(), 1);
    assert_eq!(octets(batch), octets([packet(3, 60)]));
    assert_eq!((left.counters().sent, left.counters().received), (2, 1));
    assert_eq!((left.medium(), left.mtu()), (Medium::Ip, 1_500));
}

#[test]
fn a_batch_ends_at_its_maximum_and_what_is_left_comes_next() {
    let (mut left, mut right) = pair(1_500, 8);
    left.send(&mut queue((1..=5).map(|number| packet(number, 20))))
        .unwrap();
    let mut batch = vec![packet(0, 20)];
    assert_eq!(right.receive(0, &mut batch).unwrap(), 0);
    assert_eq!(right.receive(3, &mut batch).unwrap(), 3);
    assert_eq!(right.receive(3, &mut batch).unwrap(), 2);
    assert_eq!(right.receive(3, &mut batch).unwrap(), 0);
    assert_eq!(
        octets(batch),
        octets((0..=5).map(|number| packet(number, 20)))
    );
}

#[test]
fn what_does_not_fit_stays_with_the_sender() {
    let (mut left, mut right) = pair(1_500, 2);
    let mut waiting = queue((1..=5).map(|number| packet(number, 20)));
    assert_eq!(left.send(&mut waiting).unwrap(), 2);
    assert_eq!(left.send(&mut waiting).unwrap(), 0);
    assert_eq!(
        octets(waiting.clone()),
        octets((3..=5).map(|number| packet(number, 20)))
    );
    let mut batch = Vec::new();
    right.receive(1, &mut batch).unwrap();
    assert_eq!(left.send(&mut waiting).unwrap(), 1);
    assert_eq!(waiting.len(), 2);
    assert_eq!(left.counters().sent, 3);
    assert_eq!(left.counters().send_dropped, 0);
}

#[test]
fn a_packet_larger_than_the_mtu_is_dropped_and_counted_and_the_next_one_passes() {
    let (mut left, mut right) = pair(100, 8);
    let mut waiting = queue([packet(1, 101), packet(2, 100), packet(3, 200)]);
    assert_eq!(left.send(&mut waiting).unwrap(), 1);
    assert!(waiting.is_empty());
    assert_eq!((left.counters().sent, left.counters().send_dropped), (1, 2));
    let mut batch = Vec::new();
    right.receive(8, &mut batch).unwrap();
    assert_eq!(octets(batch), octets([packet(2, 100)]));
}

#[test]
fn an_ethernet_header_comes_on_top_of_the_mtu() {
    let (left, _right) = pair(100, 8);
    let mut left = left.with_medium(Medium::Ethernet);
    let mut waiting = queue([packet(1, 118), packet(2, 119)]);
    assert_eq!(left.send(&mut waiting).unwrap(), 1);
    assert_eq!(
        (left.medium(), left.counters().send_dropped),
        (Medium::Ethernet, 1)
    );
}

#[test]
fn a_super_segment_arrives_as_its_segments_with_right_checksums() {
    let (mut left, mut right) = pair(1_500, 64);
    let packet = super_segment(10_000, 1_460);
    let payload = packet.payload().to_vec();
    assert_eq!(left.send(&mut queue([packet])).unwrap(), 7);
    let mut batch = Vec::new();
    right.receive(64, &mut batch).unwrap();
    assert!(batch.iter().all(|packet| packet.len() <= 1_500));
    let arrived: Vec<u8> = octets(batch)
        .iter()
        .flat_map(|packet| tcp_payload(packet))
        .collect();
    assert_eq!(arrived, payload);
}

#[test]
fn a_super_segment_that_fits_in_part_stays_in_part() {
    let (mut left, mut right) = pair(1_500, 3);
    let packet = super_segment(10_000, 1_460);
    let payload = packet.payload().to_vec();
    let mut waiting = queue([packet, packet_behind()]);
    let mut batch = Vec::new();
    assert_eq!(left.send(&mut waiting).unwrap(), 3);
    assert_eq!(waiting.len(), 5);
    while right.receive(1, &mut batch).unwrap() > 0 {
        left.send(&mut waiting).unwrap();
    }
    let last = batch.pop().map(|packet| packet.to_vec());
    assert_eq!(last, Some(packet_behind().to_vec()));
    let arrived: Vec<u8> = octets(batch)
        .iter()
        .flat_map(|packet| tcp_payload(packet))
        .collect();
    assert_eq!(arrived, payload);
}

fn packet_behind() -> PacketBuf {
    packet(9, 44)
}

#[test]
fn a_waker_left_before_a_packet_arrives_is_woken_once() {
    let (mut left, mut right) = pair(1_500, 8);
    let (count, waker) = Count::new();
    wakers(&right).wake_when_receivable(&waker);
    assert_eq!(count.get(), 0);
    left.send(&mut queue([packet(1, 20)])).unwrap();
    assert_eq!(count.get(), 1);
    left.send(&mut queue([packet(2, 20)])).unwrap();
    assert_eq!(count.get(), 1, "a waker serves once");
    right.receive(8, &mut Vec::new()).unwrap();
    assert_eq!(count.get(), 1);
}

#[test]
fn a_waker_left_when_something_is_there_already_is_woken_at_once() {
    let (mut left, right) = pair(1_500, 1);
    let (count, waker) = Count::new();
    wakers(&left).wake_when_sendable(&waker);
    assert_eq!(count.get(), 1);
    left.send(&mut queue([packet(1, 20)])).unwrap();
    wakers(&right).wake_when_receivable(&waker);
    assert_eq!(count.get(), 2);
}

#[test]
fn a_full_link_wakes_its_sender_when_there_is_room() {
    let (mut left, mut right) = pair(1_500, 1);
    left.send(&mut queue([packet(1, 20)])).unwrap();
    let (count, waker) = Count::new();
    wakers(&left).wake_when_sendable(&waker);
    assert_eq!(right.receive(0, &mut Vec::new()).unwrap(), 0);
    assert_eq!(count.get(), 0);
    right.receive(1, &mut Vec::new()).unwrap();
    assert_eq!(count.get(), 1);
}

#[test]
fn the_last_waker_left_is_the_one_woken() {
    let (mut left, right) = pair(1_500, 1);
    let ((old, old_waker), (last, last_waker)) = (Count::new(), Count::new());
    wakers(&right).wake_when_receivable(&old_waker);
    wakers(&right).wake_when_receivable(&last_waker);
    left.send(&mut queue([packet(1, 20)])).unwrap();
    assert_eq!((old.get(), last.get()), (0, 1));
}

#[test]
fn when_the_other_end_goes_what_it_sent_is_still_received_and_then_the_end() {
    let (mut left, mut right) = pair(1_500, 8);
    let (count, waker) = Count::new();
    left.send(&mut queue([packet(1, 20)])).unwrap();
    let mut batch = Vec::new();
    assert_eq!(right.receive(8, &mut batch).unwrap(), 1);
    left.send(&mut queue([packet(2, 20)])).unwrap();
    drop(left);

    let mut waiting = queue([packet(3, 20)]);
    assert_eq!(
        right.send(&mut waiting).unwrap_err().kind(),
        ErrorKind::BrokenPipe
    );
    assert_eq!(waiting.len(), 1);
    assert_eq!(right.receive(8, &mut batch).unwrap(), 1);
    let end = right.receive(8, &mut batch).unwrap_err();
    assert_eq!(end.kind(), ErrorKind::UnexpectedEof);
    wakers(&right).wake_when_receivable(&waker);
    wakers(&right).wake_when_sendable(&waker);
    assert_eq!(count.get(), 2, "there is an error to be had at once");
}

#[test]
fn the_end_of_the_other_side_wakes_who_waits() {
    let (mut left, right) = pair(1_500, 1);
    let ((to_send, send_waker), (to_receive, receive_waker)) = (Count::new(), Count::new());
    left.send(&mut queue([packet(1, 20)])).unwrap();
    wakers(&left).wake_when_sendable(&send_waker);
    wakers(&left).wake_when_receivable(&receive_waker);
    drop(right);
    assert_eq!((to_send.get(), to_receive.get()), (1, 1));
}

#[test]
fn a_device_works_behind_a_pointer() {
    let (left, right) = pair(1_500, 8);
    let mut devices: [Box<dyn Device + Send>; 2] = [Box::new(left), Box::new(right)];
    devices[0].send(&mut queue([packet(1, 20)])).unwrap();
    let mut batch = Vec::new();
    assert_eq!(devices[1].receive(8, &mut batch).unwrap(), 1);
    assert_eq!(devices[1].counters().received, 1);
}

#[test]
fn a_super_segment_in_a_frame_is_cut_behind_the_ethernet_header() {
    let (left, mut right) = pair(1_500, 64);
    let mut left = left.with_medium(Medium::Ethernet);
    let mut packet = super_segment(4_000, 1_460);
    let payload = packet.payload().to_vec();
    let header: [u8; 14] = std::array::from_fn(|index| index.to_le_bytes()[0]);
    packet.prepend(14).copy_from_slice(&header);
    let mut whole = super_segment(100, 1_460);
    whole.set_segment_size(None);
    whole.prepend(14).copy_from_slice(&header);
    let before = whole.to_vec();
    assert_eq!(left.send(&mut queue([packet, whole])).unwrap(), 4);
    let mut batch = Vec::new();
    right.receive(64, &mut batch).unwrap();
    assert!(
        batch
            .iter()
            .all(|frame| frame.checksum() == ChecksumMark::Unknown)
    );
    let frames = octets(batch);
    assert!(frames.iter().all(|frame| frame[..14] == header));
    let cut = frames[..3].iter();
    let text: Vec<u8> = cut.flat_map(|frame| tcp_payload(&frame[14..])).collect();
    assert_eq!(text, payload);
    let differing = (0..before.len()).filter(|at| before[*at] != frames[3][*at]);
    assert!(
        differing.eq([50, 51]),
        "its TCP checksum is completed, and nothing else"
    );
}
