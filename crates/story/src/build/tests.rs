//! The story against what a good textbook says.

use handwave_tcp::Phase;
use handwave_tcp::trace::{SendReason, UserCall};

use crate::fixture::{ACK, FIN, Fixture, SYN};
use crate::model::{Fate, SegmentStep, Side, Story, Weight, What};
use crate::sentence::Sentence;

fn nth(story: &Story, number: usize) -> &SegmentStep {
    story.segments().nth(number - 1).unwrap()
}

fn sum(story: &Story, number: usize) -> String {
    nth(story, number).arithmetic.unwrap().to_string()
}

fn says(story: &Story, number: usize) -> Vec<&'static str> {
    let step = story
        .steps
        .iter()
        .find(|step| matches!(&step.what, What::Segment(segment) if segment.number == number));
    step.unwrap().says.iter().map(Sentence::key).collect()
}

#[test]
fn the_third_segment_is_x_plus_1_and_y_plus_1() {
    let story = Fixture::textbook().tell();
    let third = &nth(&story, 3).segment;
    assert_eq!(third.seq.to_string(), "X+1");
    assert_eq!(third.ack.unwrap().to_string(), "Y+1");
    assert_eq!(sum(&story, 3), "ACK = SEQ Y + 1 (SYN) = Y+1");
}

#[test]
fn the_client_knows_after_two_segments_and_the_server_after_three() {
    let story = Fixture::textbook().tell();
    assert_eq!(says(&story, 1), ["syn-opens"]);
    assert_eq!(says(&story, 2), ["syn-ack-agrees", "opener-knows"]);
    assert_eq!(says(&story, 3), ["handshake-ack", "answerer-knows"]);
    let knows = &story
        .steps
        .iter()
        .find(|step| step.says.len() == 2)
        .unwrap()
        .says[1];
    assert_eq!(knows, &Sentence::OpenerKnows { opener: Side::A });
}

#[test]
fn the_passive_closer_waits_in_last_ack() {
    let story = Fixture::textbook().tell();
    let fin = nth(&story, 8);
    assert_eq!(fin.from, Side::B);
    assert_eq!(fin.sender.unwrap().after, Phase::LastAck);
    assert_eq!(says(&story, 8), ["fin-of-second"]);
    assert_eq!(nth(&story, 9).receiver.unwrap().before, Phase::LastAck);
    assert_eq!(nth(&story, 9).receiver.unwrap().after, Phase::Closed);
    assert_eq!(
        story.ends.each_ref().map(|end| end.last),
        [Phase::TimeWait, Phase::Closed]
    );
}

#[test]
fn numbers_count_from_the_initial_one_across_the_wrap() {
    let story = Fixture::textbook().tell();
    let data = &nth(&story, 4).segment;
    assert_eq!((data.seq.to_string(), data.len), ("X+1".to_owned(), 1460));
    assert!(
        data.raw_seq.raw() > 0xffff_0000,
        "the number on the wire is about to wrap"
    );
    assert_eq!(sum(&story, 5), "ACK = SEQ X+1 + LEN 1460 = X+1461");
    assert_eq!(sum(&story, 7), "ACK = SEQ X+1461 + 1 (FIN) = X+1462");
    assert_eq!(sum(&story, 9), "ACK = SEQ Y+1 + 1 (FIN) = Y+2");
}

#[test]
fn the_four_segments_of_a_close_each_have_their_sentence() {
    let story = Fixture::textbook().tell();
    assert_eq!(says(&story, 6), ["fin-closes"]);
    assert_eq!(says(&story, 7), ["fin-acknowledged"]);
    assert_eq!(says(&story, 9), ["last-ack"]);
}

#[test]
fn a_fin_that_acknowledges_a_fin_makes_it_three() {
    let mut fixture = Fixture::new();
    fixture
        .handshake()
        .call(Side::A, UserCall::Close, Phase::FinWait1)
        .segment(Side::A, FIN | ACK, 0, Phase::CloseWait)
        .call(Side::B, UserCall::Close, Phase::LastAck)
        .segment(Side::B, FIN | ACK, 0, Phase::TimeWait)
        .segment(Side::A, ACK, 0, Phase::Closed);
    let story = fixture.tell();
    assert_eq!(says(&story, 5), ["fin-merged"]);
    assert_eq!(sum(&story, 5), "ACK = SEQ X+1 + 1 (FIN) = X+2");
    assert_eq!(says(&story, 6), ["last-ack"]);
}

#[test]
fn a_lost_syn_is_lost_and_sent_again() {
    let mut fixture = Fixture::new();
    fixture
        .call(Side::A, UserCall::Open, Phase::SynSent)
        .lost(Side::A, SYN, 0)
        .wait_ms(980)
        .segment(Side::A, SYN, 0, Phase::SynReceived);
    let story = fixture.tell();
    assert_eq!(nth(&story, 1).fate, Fate::Lost);
    assert_eq!(says(&story, 1), ["syn-opens", "lost"]);
    assert_eq!(nth(&story, 2).resent, 1);
    assert_eq!(says(&story, 2), ["repeated-after-timeout"]);
}

#[test]
fn traces_alone_tell_the_same_story() {
    let fixture = Fixture::textbook();
    let (seen, inferred) = (fixture.tell(), fixture.tell_from_traces());
    assert_eq!(seen.steps.len(), inferred.steps.len());
    for (seen, inferred) in seen.segments().zip(inferred.segments()) {
        assert_eq!(seen.segment, inferred.segment);
        assert_eq!(seen.fate, inferred.fate);
        assert_eq!(seen.arithmetic, inferred.arithmetic);
    }
}

#[test]
fn a_segment_that_arrives_in_no_trace_is_inferred_to_be_lost() {
    let mut fixture = Fixture::new();
    fixture
        .handshake()
        .lost(Side::A, ACK, 1460)
        .wait_ms(300)
        .segment(Side::A, ACK, 1460, Phase::Established);
    let story = fixture.tell_from_traces();
    let fates: Vec<bool> = story
        .segments()
        .map(|step| step.fate == Fate::Lost)
        .collect();
    assert_eq!(fates, [false, false, false, true, false]);
}

#[test]
fn calls_come_before_the_segments_they_cause() {
    let story = Fixture::textbook().tell();
    assert!(matches!(story.steps[0].what, What::Local(_)));
    let close = story
        .steps
        .iter()
        .position(|step| step.says == [Sentence::CallClose { side: Side::A }]);
    let fin = &story.steps[close.unwrap() + 1];
    assert!(matches!(&fin.what, What::Segment(segment) if segment.number == 6));
}

#[test]
fn only_the_first_text_of_many_is_told_at_length() {
    let mut fixture = Fixture::new();
    fixture.handshake();
    for _ in 0..5 {
        fixture
            .segment(Side::A, ACK, 1460, Phase::Established)
            .segment(Side::B, ACK, 0, Phase::Established);
    }
    let story = fixture.tell();
    let weights: Vec<Weight> = story.steps.iter().map(|step| step.weight).collect();
    assert_eq!(weights[..6], [Weight::Key; 6]);
    assert_eq!(weights[6..], [Weight::Bulk; 8]);
}

#[test]
fn pieces_of_a_super_segment_find_the_entry_that_sent_them_all() {
    let mut fixture = Fixture::new();
    fixture
        .handshake()
        .segment(Side::A, ACK, 2920, Phase::Established);
    let whole = fixture.transits.pop().unwrap();
    for half in 0..2 {
        let mut piece = whole.clone();
        piece.header.seq += half * 1460;
        piece.payload_len = 1460;
        fixture.transits.push(piece);
    }
    let story = fixture.tell();
    let pieces: Vec<_> = story.segments().skip(3).collect();
    assert_eq!(pieces.len(), 2);
    for (piece, seq) in pieces.iter().zip(["X+1", "X+1461"]) {
        assert_eq!(piece.segment.seq.to_string(), seq);
        assert_eq!(piece.reason, Some(SendReason::Data));
        assert_eq!(piece.resent, 0);
    }
}

#[test]
fn variables_are_told_relative_to_the_initial_numbers() {
    let story = Fixture::textbook().tell();
    let vars = |number| nth(&story, number).receiver.unwrap().vars.unwrap();
    assert_eq!(vars(4).rcv_nxt.unwrap().to_string(), "X+1461");
    assert_eq!(vars(6).rcv_nxt.unwrap().to_string(), "X+1462");
    assert!(
        nth(&story, 9).receiver.unwrap().vars.is_none(),
        "CLOSED has no variables"
    );
    assert!(
        nth(&story, 1)
            .sender
            .unwrap()
            .vars
            .unwrap()
            .rcv_nxt
            .is_none(),
        "no SYN came yet"
    );
}
