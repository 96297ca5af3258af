//! [`Payload`] against a plain vector.

use super::*;
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Step {
    Push(Vec<u8>),
    PushFront(Vec<u8>),
    Append(Vec<Vec<u8>>),
    Advance(usize),
    Truncate(usize),
    Slice(usize, usize),
    SplitTo(usize),
    PopFront,
}

fn octets() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..20)
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => octets().prop_map(Step::Push),
        1 => octets().prop_map(Step::PushFront),
        1 => prop::collection::vec(octets(), 0..4).prop_map(Step::Append),
        2 => (0usize..40).prop_map(Step::Advance),
        2 => (0usize..80).prop_map(Step::Truncate),
        2 => (0usize..40, 0usize..60).prop_map(|(offset, len)| Step::Slice(offset, len)),
        1 => (0usize..60).prop_map(Step::SplitTo),
        1 => Just(Step::PopFront),
    ]
}

fn check(rope: &Payload, model: &[u8]) {
    assert_eq!(rope.to_vec(), model);
    assert_eq!(rope.len(), model.len());
    assert_eq!(rope.is_empty(), model.is_empty());
    assert_eq!(rope.pieces().map(Bytes::len).sum::<usize>(), model.len());
    assert!(rope.pieces().all(|piece| !piece.is_empty()));
    assert_eq!(rope.piece_count(), rope.pieces().count());
    assert!(model.starts_with(rope.contiguous()));
    assert_eq!(rope.contiguous().is_empty(), model.is_empty());
    assert_eq!(rope, model);
    assert_eq!(*rope, Payload::from(model.to_vec()));
    let sum = Sum::default().add_bytes(model);
    assert_eq!(rope.sum(Sum::default()).finish(), sum.finish());
    let mut part = [0; 16];
    let n = rope.copy_to_slice(&mut part);
    assert_eq!(&part[..n], &model[..model.len().min(16)]);
}

proptest! {
    #[test]
    fn behaves_like_a_vector(steps in prop::collection::vec(step(), 0..40)) {
        let mut rope = Payload::new();
        let mut model: Vec<u8> = Vec::new();
        for step in steps {
            match step {
                Step::Push(octets) => {
                    model.extend_from_slice(&octets);
                    rope.push(octets.into());
                }
                Step::PushFront(octets) => {
                    model.splice(0..0, octets.iter().copied());
                    rope.push_front(octets.into());
                }
                Step::Append(pieces) => {
                    model.extend(pieces.iter().flatten());
                    rope.append(pieces.into_iter().map(Bytes::from).collect());
                }
                Step::Advance(n) => {
                    model.drain(..n.min(model.len()));
                    rope.advance(n);
                }
                Step::Truncate(len) => {
                    model.truncate(len);
                    rope.truncate(len);
                }
                Step::Slice(offset, len) => {
                    model = model.into_iter().skip(offset).take(len).collect();
                    rope = rope.slice(offset, len);
                }
                Step::SplitTo(n) => {
                    let front: Vec<u8> = model.drain(..n.min(model.len())).collect();
                    check(&rope.split_to(n), &front);
                }
                Step::PopFront => {
                    let piece = rope.pop_front();
                    let n = piece.as_ref().map_or(0, Bytes::len);
                    let front: Vec<u8> = model.drain(..n).collect();
                    prop_assert_eq!(piece.unwrap_or_default(), front);
                }
            }
            check(&rope, &model);
        }
        prop_assert_eq!(rope.clone().into_bytes(), model.clone());
        prop_assert_eq!(rope.into_pieces().flatten().collect::<Vec<u8>>(), model);
    }

    #[test]
    fn equality_is_by_octets(left in octets(), right in octets(), cut in 0usize..20) {
        let mut cut_left = Payload::from(left.clone());
        let mut joined = cut_left.split_to(cut);
        joined.append(cut_left);
        prop_assert_eq!(&joined, &Payload::from(left.clone()));
        prop_assert_eq!(joined == Payload::from(right.clone()), left == right);
        prop_assert_eq!(joined == right[..], left == right);
    }
}

#[test]
fn slicing_shares_storage() {
    let storage = Bytes::from(alloc::vec![1u8; 100]);
    let rope = Payload::from(storage.clone());
    let part = rope.slice(10, 20);
    assert_eq!(part.contiguous().as_ptr(), storage[10..].as_ptr());
}

#[test]
fn extreme_arguments_do_not_overflow() {
    let mut rope = Payload::from(alloc::vec![1u8; 10]);
    assert_eq!(rope.slice(5, usize::MAX).len(), 5);
    assert!(rope.slice(usize::MAX, usize::MAX).is_empty());
    rope.truncate(usize::MAX);
    assert_eq!(rope.split_to(usize::MAX).len(), 10);
    rope.advance(usize::MAX);
    assert!(rope.is_empty());
}
