//! English.

use super::{Label, Omitted};
use crate::model::{Role, Side};
use crate::quantity;
use crate::sentence::Sentence;

pub(super) const fn role(role: Role) -> &'static str {
    match role {
        Role::Client => "client",
        Role::Server => "server",
        Role::PeerA => "peer A",
        Role::PeerB => "peer B",
    }
}

pub(super) const fn label(label: Label) -> &'static str {
    match label {
        Label::Lost => "lost",
        Label::Corrupted => "bad checksum",
        Label::InFlight => "on its way",
        Label::Again => "again",
    }
}

pub(super) fn omitted(omitted: &Omitted) -> Vec<String> {
    let mut parts = Vec::new();
    for (side, arrow) in [(Side::A, "→"), (Side::B, "←")] {
        let data = omitted.data[side.index()];
        if data > 0 {
            let octets = quantity::octets(omitted.octets[side.index()]);
            parts.push(format!("{arrow} {} ({octets})", count(data, "segment")));
        }
        let acks = omitted.acks[side.index()];
        if acks > 0 {
            parts.push(format!("{arrow} {}", count(acks, "ACK")));
        }
    }
    let mut rest = Vec::new();
    if omitted.repeated > 0 {
        rest.push(format!("{} sent again", quantity::number(omitted.repeated)));
    }
    if omitted.lost > 0 {
        rest.push(format!("{} lost", quantity::number(omitted.lost)));
    }
    if !omitted.span.is_zero() {
        rest.push(format!("in {}", quantity::time(omitted.span)));
    }
    vec![parts.join(", "), rest.join(", ")]
}

fn count(n: u64, what: &str) -> String {
    format!(
        "{} {what}{}",
        quantity::number(n),
        if n == 1 { "" } else { "s" }
    )
}

#[expect(
    clippy::too_many_lines,
    reason = "one arm per sentence; splitting would scatter the language"
)]
pub(super) fn sentence(sentence: &Sentence, name: impl Fn(Side) -> &'static str) -> String {
    // "the client", but "peer A".
    let the = |side: Side| match name(side) {
        peer if peer.starts_with("peer") => peer.to_owned(),
        name => format!("the {name}"),
    };
    let cap = |side: Side| match name(side) {
        peer if peer.starts_with("peer") => format!("P{}", &peer[1..]),
        name => format!("The {name}"),
    };
    match *sentence {
        Sentence::SynOpens { from } => {
            let x = from.letter();
            format!(
                "{} asks to open and announces its first number, {x}. The SYN itself takes that number: \
                 the first octet of text will be {x}+1.",
                cap(from)
            )
        }
        Sentence::SynCrosses { from } => format!(
            "{} opens at the same time: neither has seen the other's SYN yet.",
            cap(from)
        ),
        Sentence::SynAckAgrees { from } => format!(
            "{} agrees, announces its own first number, {}, and acknowledges the SYN.",
            cap(from),
            from.letter()
        ),
        Sentence::SynAckAfterCrossing { from } => format!(
            "{} has met a SYN where it expected SYN+ACK. It repeats its own SYN, number {} as before, \
             and acknowledges the other's.",
            cap(from),
            from.letter()
        ),
        Sentence::OpenerKnows { opener } => format!(
            "On its arrival {} knows that its sending and its receiving both work. {} knows only that it \
             can receive.",
            the(opener),
            cap(opener.other())
        ),
        Sentence::HandshakeAck { from } => format!(
            "The third segment: SEQ is {0}+1, because the SYN took {0}; ACK is {1}+1, because {2}'s SYN \
             took {1}.",
            from.letter(),
            from.other().letter(),
            the(from.other())
        ),
        Sentence::AnswererKnows { answerer } => format!(
            "Only this tells {} that what it sends arrives.",
            the(answerer)
        ),
        Sentence::CrossedOpenDone { at } => {
            format!("{} sees its own SYN acknowledged: ESTABLISHED.", cap(at))
        }
        Sentence::SynAckForOldSyn { from, ack } => format!(
            "{} cannot know that the SYN was old. It answers with ACK={ack}, a number the other end never \
             led up to.",
            cap(from)
        ),
        Sentence::RstRefusesOldSyn { from } => format!(
            "{} has sent no such SYN: this ACK is not in its numbers. It answers with RST. That is what \
             the third segment is for.",
            cap(from)
        ),
        Sentence::BackToListen { at } => format!(
            "{} forgets the half-open connection and listens again; the application never heard of it.",
            cap(at)
        ),
        Sentence::Data { from, first, last } => {
            format!("{} sends octets {first} to {last}.", cap(from))
        }
        Sentence::DataHalfClosed { from, len } => format!(
            "Half closed: {} may still send, here {len} octets, and {} still acknowledges.",
            the(from),
            the(from.other())
        ),
        Sentence::PureAck { from, ack } => {
            format!(
                "{} has everything before {ack} and expects {ack} next.",
                cap(from)
            )
        }
        Sentence::AckStays { from, ack } => format!(
            "{} still expects {ack}: something before what arrived is missing.",
            cap(from)
        ),
        Sentence::SaysAgain { from, ack } => {
            format!("{} says again that it expects {ack}.", cap(from))
        }
        Sentence::OutOfOrder { at, expected } => format!(
            "{} expected {expected}. It keeps these octets aside and waits for those before them.",
            cap(at)
        ),
        Sentence::AlreadyHad { at } => format!(
            "{} has these octets already. It drops them and repeats what it expects.",
            cap(at)
        ),
        Sentence::WindowReopens { from, window } => format!(
            "The application has read: {} offers {window} octets again.",
            the(from)
        ),
        Sentence::WindowShut { from } => format!(
            "Window 0: {}'s buffer is full, since the application does not read. {} must stop.",
            the(from),
            cap(from.other())
        ),
        Sentence::WindowProbe { from } => format!(
            "A probe: {} asks whether the window is still shut, since a lost window update would \
             otherwise leave both waiting for ever.",
            the(from)
        ),
        Sentence::ResumesAfterProbe { from } => format!(
            "The window is open: {} sends on, beginning with the octet of its probe.",
            the(from)
        ),
        Sentence::ProbeAnswered { from } => {
            format!("{} answers: it is there, and still has no room.", cap(from))
        }
        Sentence::KeepAlive { from } => {
            format!(
                "A keep-alive: {} asks whether the other end is still there.",
                the(from)
            )
        }
        Sentence::RepeatedAfterTimeout { from, times: 1 } => format!(
            "No acknowledgment came in time, so {} sends it again and doubles its timeout.",
            the(from)
        ),
        Sentence::RepeatedAfterTimeout { from, times } => format!(
            "Still no acknowledgment: {} sends it for the {} time and doubles its timeout again.",
            the(from),
            ordinal(times + 1)
        ),
        Sentence::RepeatedAfterAcks { from } => format!(
            "Acknowledgments told {} of a hole: it fills it at once, without waiting for the timeout.",
            the(from)
        ),
        Sentence::Lost => {
            "The network loses it. Nobody is told; the sender can only notice the silence."
                .to_owned()
        }
        Sentence::LostAck => {
            "The network loses it. No harm: the next ACK says the same and more.".to_owned()
        }
        Sentence::Corrupted { at } => format!(
            "Bits flipped on the way. The checksum tells {}, which drops it: as good as lost.",
            the(at)
        ),
        Sentence::Copied { at } => {
            format!("The network made a copy: {} receives it twice.", the(at))
        }
        Sentence::FinCloses { from } => format!(
            "{} has nothing more to send. The FIN takes one number, as the SYN did. It still receives.",
            cap(from)
        ),
        Sentence::FinAcknowledged { from } => format!(
            "{} acknowledges the FIN and tells its application. CLOSE-WAIT: its own direction is still \
             open, for as long as the application likes.",
            cap(from)
        ),
        Sentence::FinOfSecond { from } => format!(
            "{} closes its direction too and waits in LAST-ACK for the acknowledgment of this FIN.",
            cap(from)
        ),
        Sentence::FinMerged { from } => format!(
            "{} had nothing left to send either: one segment acknowledges the FIN and carries its own. \
             Three segments instead of four; it waits in LAST-ACK.",
            cap(from)
        ),
        Sentence::FinsCross { from } => format!(
            "{} closes at the same time: the two FINs cross on the way.",
            cap(from)
        ),
        Sentence::LastAck { from } => format!(
            "The last ACK: {} is done. {} stays in TIME-WAIT, in case this ACK is lost and the FIN \
             comes again.",
            the(from.other()),
            cap(from)
        ),
        Sentence::AckOfCrossedFin { from } => format!(
            "{} acknowledges the FIN that crossed its own. Each end was in CLOSING, and each will wait \
             in TIME-WAIT.",
            cap(from)
        ),
        Sentence::FinRepeated { from } => format!(
            "{} is still in LAST-ACK: its FIN was not acknowledged, so it sends it again.",
            cap(from)
        ),
        Sentence::TimeWaitAnswers { from } => format!(
            "This is what TIME-WAIT is for: {} still knows the connection, acknowledges the FIN again \
             and begins its wait anew.",
            the(from)
        ),
        Sentence::RstAborts { from } => format!(
            "{} aborts: RST instead of FIN. What was queued is thrown away and no answer is expected.",
            cap(from)
        ),
        Sentence::RstNoConnection { from } => format!(
            "{} knows no such connection and says so with RST.",
            cap(from)
        ),
        Sentence::ResetDone { at } => format!(
            "SEQ is exactly the number {} expects, so it believes the RST: CLOSED at once, and the \
             application gets an error.",
            the(at)
        ),
        Sentence::RstIgnored { at } => format!(
            "{} does not believe this RST: its numbers do not fit.",
            cap(at)
        ),
        Sentence::RstInTimeWait { at } => format!(
            "In TIME-WAIT {} ignores a RST: nothing may cut the wait short (RFC 1337).",
            the(at)
        ),
        Sentence::OldDuplicate { from } => format!(
            "A duplicate from an older connection, late on its way, arrives with {}'s address.",
            the(from)
        ),
        Sentence::OutsideWindow { at, expected } => format!(
            "{} expects {expected}; this lies outside its window. It is dropped, its octets never reach \
             the application.",
            cap(at)
        ),
        Sentence::OldTimestamp { at } => format!(
            "Its timestamp is older than the last one {} accepted (PAWS): dropped.",
            the(at)
        ),
        Sentence::Challenge { from, ack } => format!(
            "{} says what it expects: {ack}. An honest peer will know what to do with it.",
            cap(from)
        ),
        Sentence::Dropped { at } => format!("{} drops it.", cap(at)),
        Sentence::CallOpen { .. } => "connect()".to_owned(),
        Sentence::CallClose { .. } => "close()".to_owned(),
        Sentence::CallRelease { .. } => "the application lets go".to_owned(),
        Sentence::CallAbort { .. } => "abort()".to_owned(),
        Sentence::TimerRetransmission { .. } => "retransmission timer runs out".to_owned(),
        Sentence::TimerPersist { .. } => "persist timer runs out".to_owned(),
        Sentence::TimerTimeWait { .. } => "2 MSL passed: all old segments are gone".to_owned(),
        Sentence::TimerFinWait2 { .. } => "waited long enough for the peer's FIN".to_owned(),
        Sentence::TimerGivesUp { .. } => "no sign of the peer: given up".to_owned(),
        Sentence::Icmp { .. } => "the network reports an error".to_owned(),
    }
}

fn ordinal(n: u32) -> String {
    let suffix = match (n % 10, n % 100) {
        (_, 11..=13) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    };
    format!("{n}{suffix}")
}
