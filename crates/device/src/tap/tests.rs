use std::cell::Cell;

use handwave_capture::Reader;

use super::*;
use crate::testing::{octets, packet, super_segment};
use crate::{MemoryDevice, pair};

type Seen = (u64, Option<Direction>, Vec<u8>);

fn read(file: &[u8]) -> Vec<Seen> {
    Reader::new(file)
        .unwrap()
        .map(|packet| packet.unwrap())
        .map(|packet| {
            (
                packet.time.as_secs(),
                packet.direction,
                packet.data.into_owned(),
            )
        })
        .collect()
}

/// Counts a second for each look at it.
fn clock() -> impl FnMut() -> Duration {
    let mut seconds = 0;
    move || {
        seconds += 1;
        Duration::from_secs(seconds)
    }
}

fn tapped(
    mtu: u16,
    capacity: usize,
) -> (
    Tap<MemoryDevice, Vec<u8>, impl FnMut() -> Duration>,
    MemoryDevice,
) {
    let (device, other_end) = pair(mtu, capacity);
    (
        Tap::new(device, Vec::new(), "hw0", clock()).unwrap(),
        other_end,
    )
}

#[test]
fn both_directions_are_recorded_with_the_callers_time() {
    let (mut tap, mut other_end) = tapped(1_500, 8);
    tap.send(&mut VecDeque::from([packet(1, 30), packet(2, 40)]))
        .unwrap();
    other_end
        .send(&mut VecDeque::from([packet(3, 50), packet(4, 60)]))
        .unwrap();
    let mut batch = vec![packet(0, 20)];
    assert_eq!(tap.receive(8, &mut batch).unwrap(), 2);
    assert_eq!(tap.receive(8, &mut batch).unwrap(), 0);
    assert_eq!(tap.packets(), 4);

    let (_, file) = tap.finish().unwrap();
    let out = Some(Direction::Outbound);
    let into = Some(Direction::Inbound);
    let expected = [
        (1, out, packet(1, 30).to_vec()),
        (2, out, packet(2, 40).to_vec()),
        (3, into, packet(3, 50).to_vec()),
        (3, into, packet(4, 60).to_vec()),
    ];
    assert_eq!(read(&file), expected);
}

#[test]
fn what_waits_or_is_dropped_is_not_recorded_and_nothing_twice() {
    let (mut tap, mut other_end) = tapped(1_500, 3);
    let mut waiting =
        VecDeque::from([packet(1, 1_501), super_segment(5_000, 1_000), packet(2, 30)]);
    assert_eq!(tap.send(&mut waiting).unwrap(), 3);
    assert_eq!(tap.send(&mut waiting).unwrap(), 0);
    assert_eq!(waiting.len(), 3);
    assert_eq!(tap.packets(), 3);
    let mut arrived = Vec::new();
    while other_end.receive(2, &mut arrived).unwrap() > 0 {
        tap.send(&mut waiting).unwrap();
    }
    assert_eq!(tap.counters().send_dropped, 1);
    let (_, file) = tap.finish().unwrap();
    let recorded: Vec<Vec<u8>> = read(&file).into_iter().map(|(_, _, data)| data).collect();
    assert_eq!(recorded.len(), 6);
    assert_eq!(recorded, octets(arrived));
}

#[test]
fn a_lost_link_is_reported_and_the_packet_stays() {
    let (mut tap, other_end) = tapped(1_500, 3);
    drop(other_end);
    let mut waiting = VecDeque::from([packet(1, 30)]);
    let error = tap.send(&mut waiting).unwrap_err();
    assert_eq!(
        (error.kind(), waiting.len(), tap.packets()),
        (io::ErrorKind::BrokenPipe, 1, 0)
    );
}

/// Takes the head of a file, and then no more.
struct FullDisk<'a> {
    room: &'a Cell<usize>,
}

impl Write for FullDisk<'_> {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        if self.room.get() < octets.len() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.room.set(self.room.get() - octets.len());
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_full_disk_ends_the_recording_and_not_the_network() {
    let room = Cell::new(10_000);
    let (device, mut other_end) = pair(1_500, 8);
    let mut tap = Tap::new(device, FullDisk { room: &room }, "hw0", clock()).unwrap();
    tap.send(&mut VecDeque::from([packet(1, 30)])).unwrap();
    room.set(0);
    assert!(tap.error().is_none());
    assert_eq!(
        tap.send(&mut VecDeque::from([packet(2, 30), packet(3, 30)]))
            .unwrap(),
        2
    );
    assert!(tap.error().is_some());
    assert_eq!(other_end.receive(8, &mut Vec::new()).unwrap(), 3);
    assert_eq!(tap.packets(), 1);
    assert!(matches!(tap.finish(), Err(CaptureError::Io(_))));
}

#[cfg(unix)]
#[test]
fn a_super_segment_that_arrives_whole_is_recorded_as_its_segments() {
    let (ours, kernel) = std::os::unix::net::UnixDatagram::pair().unwrap();
    let tun = crate::Tun::from_fd(ours.into(), 1_500, crate::Framing::VirtioNet).unwrap();
    let mut tap = Tap::new(tun, Vec::new(), "hw0", clock()).unwrap();
    let whole = super_segment(4_000, 1_460);
    let mut header = vec![1, 1, 0, 0, 0, 0, 0, 0, 0, 0];
    header[4..6].copy_from_slice(&1_460_u16.to_ne_bytes());
    kernel.send(&[header, whole.to_vec()].concat()).unwrap();
    let mut batch = Vec::new();
    assert_eq!(tap.receive(8, &mut batch).unwrap(), 1);
    assert_eq!(octets(batch), [whole.to_vec()]);
    let (_, file) = tap.finish().unwrap();
    let recorded: Vec<usize> = read(&file)
        .iter()
        .map(|(_, _, octets)| crate::testing::tcp_payload(octets).len())
        .collect();
    assert_eq!(recorded, [1_460, 1_460, 1_080]);
}
