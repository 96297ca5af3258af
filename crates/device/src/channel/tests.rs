use std::collections::VecDeque;
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll};

use super::*;
use crate::testing::{Count, octets, packet, super_segment};
use crate::{Counters, Device, Readiness};

#[test]
fn the_program_sees_what_the_device_sends_and_the_other_way_round() {
    let (mut device, sender, receiver) = channel(1_420, 4);
    sender.try_send(packet(1, 30)).unwrap();
    let mut batch = Vec::new();
    assert_eq!(device.receive(8, &mut batch).unwrap(), 1);
    assert_eq!(octets(batch), octets([packet(1, 30)]));

    device.send(&mut VecDeque::from([packet(2, 40)])).unwrap();
    assert_eq!(
        receiver.try_receive().unwrap().to_vec(),
        packet(2, 40).to_vec()
    );
    assert_eq!(receiver.try_receive().unwrap_err(), TryReceiveError::Empty);
}

#[test]
fn the_program_gets_packets_no_larger_than_the_mtu() {
    let (mut device, _sender, receiver) = channel(1_420, 64);
    let mut queue = VecDeque::from([super_segment(5_000, 1_380), packet(1, 1_421)]);
    assert_eq!(device.send(&mut queue).unwrap(), 4);
    let lens: Vec<usize> = std::iter::from_fn(|| receiver.try_receive().ok())
        .map(|packet| packet.len())
        .collect();
    assert_eq!(lens, [1_420, 1_420, 1_420, 5_000 - 3 * 1_380 + 40]);
    let expected = Counters {
        sent: 4,
        send_dropped: 1,
        ..Counters::default()
    };
    assert_eq!(device.counters(), expected);
}

#[test]
fn a_full_channel_hands_the_packet_back() {
    let (_device, sender, _receiver) = channel(1_420, 1);
    sender.try_send(packet(1, 30)).unwrap();
    match sender.try_send(packet(2, 31)) {
        Err(error @ TrySendError::Full(_)) => assert_eq!(error.into_packet().len(), 31),
        other => panic!("expected a full channel, got {other:?}"),
    }
}

#[test]
fn each_half_learns_that_the_device_is_gone() {
    let (mut device, sender, receiver) = channel(1_420, 4);
    device.send(&mut VecDeque::from([packet(1, 30)])).unwrap();
    assert!(!sender.is_closed());
    drop(device);
    assert!(sender.is_closed());
    assert!(matches!(
        sender.try_send(packet(2, 30)),
        Err(TrySendError::Closed(_))
    ));
    assert!(receiver.try_receive().is_ok(), "what was sent before");
    assert_eq!(receiver.try_receive().unwrap_err(), TryReceiveError::Closed);
}

#[test]
fn the_device_learns_that_the_program_let_go() {
    let (mut device, sender, receiver) = channel(1_420, 4);
    drop(sender);
    let end = device.receive(8, &mut Vec::new()).unwrap_err();
    assert_eq!(end.kind(), std::io::ErrorKind::UnexpectedEof);
    drop(receiver);
    let broken = device
        .send(&mut VecDeque::from([packet(1, 30)]))
        .unwrap_err();
    assert_eq!(broken.kind(), std::io::ErrorKind::BrokenPipe);
}

#[test]
fn waiting_for_room_ends_when_the_device_receives() {
    let (mut device, mut sender, _receiver) = channel(1_420, 1);
    sender.try_send(packet(1, 30)).unwrap();
    let (count, waker) = Count::new();
    let mut cx = Context::from_waker(&waker);
    let mut sending = pin!(sender.send(packet(2, 31)));
    assert!(sending.as_mut().poll(&mut cx).is_pending());
    let mut batch = Vec::new();
    device.receive(8, &mut batch).unwrap();
    assert_eq!(count.get(), 1);
    assert!(matches!(
        sending.as_mut().poll(&mut cx),
        Poll::Ready(Ok(()))
    ));
    device.receive(8, &mut batch).unwrap();
    assert_eq!(octets(batch), octets([packet(1, 30), packet(2, 31)]));
}

#[test]
fn waiting_for_room_ends_when_the_device_goes() {
    let (device, mut sender, _receiver) = channel(1_420, 1);
    sender.try_send(packet(1, 30)).unwrap();
    let (count, waker) = Count::new();
    let mut cx = Context::from_waker(&waker);
    let mut sending = pin!(sender.send(packet(2, 31)));
    assert!(sending.as_mut().poll(&mut cx).is_pending());
    drop(device);
    assert_eq!(count.get(), 1);
    assert!(matches!(
        sending.as_mut().poll(&mut cx),
        Poll::Ready(Err(TrySendError::Closed(packet))) if packet.len() == 31
    ));
}

#[test]
fn waiting_for_a_packet_ends_with_it_and_with_the_device() {
    let (mut device, _sender, mut receiver) = channel(1_420, 1);
    let (count, waker) = Count::new();
    let mut cx = Context::from_waker(&waker);
    {
        let mut receiving = pin!(receiver.receive());
        assert!(receiving.as_mut().poll(&mut cx).is_pending());
        device.send(&mut VecDeque::from([packet(1, 30)])).unwrap();
        assert_eq!(count.get(), 1);
        assert!(matches!(
            receiving.as_mut().poll(&mut cx),
            Poll::Ready(Some(_))
        ));
    }
    assert!(receiver.poll_receive(&mut cx).is_pending());
    drop(device);
    assert_eq!(count.get(), 2);
    assert!(matches!(receiver.poll_receive(&mut cx), Poll::Ready(None)));
}

#[test]
fn the_program_wakes_the_devices_driver() {
    let (device, sender, _receiver) = channel(1_420, 1);
    let (count, waker) = Count::new();
    let Readiness::Wakers(wakers) = device.readiness() else {
        panic!("a channel has no descriptor");
    };
    wakers.wake_when_receivable(&waker);
    sender.try_send(packet(1, 30)).unwrap();
    assert_eq!(count.get(), 1);
}
