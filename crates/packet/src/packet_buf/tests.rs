//! [`PacketBuf`] against a plain vector.

use super::*;
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Step {
    Prepend(Vec<u8>),
    Advance(usize),
    Truncate(usize),
    Front(usize),
    Linearize,
    PatchHead(u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => prop::collection::vec(any::<u8>(), 0..=60).prop_map(Step::Prepend),
        2 => (0usize..100).prop_map(Step::Advance),
        1 => (0usize..200).prop_map(Step::Truncate),
        2 => (0usize..100).prop_map(Step::Front),
        1 => Just(Step::Linearize),
        1 => any::<u8>().prop_map(Step::PatchHead),
    ]
}

proptest! {
    #[test]
    fn behaves_like_a_vector(
        pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..50), 0..5),
        steps in prop::collection::vec(step(), 0..20),
    ) {
        let mut model: Vec<u8> = pieces.concat();
        let mut packet = PacketBuf::with_payload(pieces.into_iter().map(Bytes::from).collect());
        for step in steps {
            match step {
                Step::Prepend(header) => {
                    let room = packet.prepend(header.len());
                    prop_assert!(room.iter().all(|&octet| octet == 0));
                    room.copy_from_slice(&header);
                    model.splice(0..0, header);
                }
                Step::Advance(n) => {
                    packet.advance(n);
                    model.drain(..n.min(model.len()));
                }
                Step::Truncate(len) => {
                    packet.truncate(len);
                    model.truncate(len);
                }
                Step::Front(n) => prop_assert_eq!(packet.front(n), model.get(..n)),
                Step::Linearize => {
                    packet.linearize();
                    prop_assert_eq!(packet.contiguous(), &model[..]);
                    prop_assert!(packet.head().is_empty());
                }
                Step::PatchHead(octet) => {
                    if let Some(first) = packet.head_mut().first_mut() {
                        *first = octet;
                        model[0] = octet;
                    }
                }
            }
            prop_assert_eq!(packet.to_vec(), model.clone());
            prop_assert_eq!(packet.len(), model.len());
            prop_assert_eq!(packet.is_empty(), model.is_empty());
            prop_assert!(model.starts_with(packet.contiguous()));
            let mut part = [0; 70];
            let n = packet.write_to(&mut part);
            prop_assert_eq!(&part[..n], &model[..model.len().min(70)]);
        }
        prop_assert_eq!(packet.into_payload().to_vec(), model);
    }
}

#[test]
fn a_header_stack_stays_inline() {
    let mut packet = PacketBuf::with_payload(Payload::new());
    for header in [60, 40, 18] {
        packet.prepend(header);
    }
    assert_eq!(
        (packet.head().len(), packet.payload().piece_count()),
        (118, 0)
    );
}

#[test]
fn marks_survive_taking_headers_off() {
    let mut packet = PacketBuf::from_bytes(Bytes::from_static(&[0; 100]));
    assert_eq!(
        (packet.checksum(), packet.held()),
        (ChecksumMark::Unknown, 100)
    );
    packet.set_checksum(ChecksumMark::Verified);
    packet.set_segment_size(Some(1460));
    packet.set_held(2048);
    packet.advance(20);
    assert_eq!(packet.checksum(), ChecksumMark::Verified);
    assert_eq!((packet.segment_size(), packet.held()), (Some(1460), 2048));
}

#[test]
fn is_cheap_to_pass_by_value() {
    assert!(size_of::<PacketBuf>() <= 232, "{}", size_of::<PacketBuf>());
}

#[test]
#[should_panic(expected = "exceeds the head")]
fn a_header_larger_than_the_head_is_our_bug() {
    PacketBuf::with_payload(Payload::new()).prepend(HEAD_CAPACITY + 1);
}
