//! Both languages say everything, with the same numbers.

use std::collections::BTreeSet;

use super::*;
use crate::model::Number;

/// One of each sentence. `Sentence::key` matches on all of them, and the count below fails when one is missing here.
#[rustfmt::skip]
fn all() -> Vec<Sentence> {
    let (from, at, side, opener, answerer) = (Side::A, Side::B, Side::A, Side::A, Side::B);
    let number = |offset| Number { side: Side::B, offset };
    let (ack, expected, first, last) = (number(71), number(72), number(73), number(74));
    vec![
        Sentence::SynOpens { from }, Sentence::SynCrosses { from },
        Sentence::SynAckAgrees { from }, Sentence::SynAckAfterCrossing { from },
        Sentence::OpenerKnows { opener }, Sentence::HandshakeAck { from },
        Sentence::AnswererKnows { answerer }, Sentence::CrossedOpenDone { at },
        Sentence::SynAckForOldSyn { from, ack }, Sentence::RstRefusesOldSyn { from },
        Sentence::BackToListen { at }, Sentence::Data { from, first, last },
        Sentence::DataHalfClosed { from, len: 81 }, Sentence::PureAck { from, ack },
        Sentence::AckStays { from, ack }, Sentence::OutOfOrder { at, expected },
        Sentence::AlreadyHad { at }, Sentence::WindowReopens { from, window: 82 },
        Sentence::WindowShut { from }, Sentence::WindowProbe { from },
        Sentence::ResumesAfterProbe { from }, Sentence::ProbeAnswered { from }, Sentence::KeepAlive { from },
        Sentence::RepeatedAfterTimeout { from, times: 3 }, Sentence::RepeatedAfterAcks { from },
        Sentence::Lost, Sentence::LostAck, Sentence::Corrupted { at }, Sentence::Copied { at },
        Sentence::FinCloses { from }, Sentence::FinAcknowledged { from },
        Sentence::FinOfSecond { from }, Sentence::FinMerged { from },
        Sentence::FinsCross { from }, Sentence::LastAck { from },
        Sentence::AckOfCrossedFin { from }, Sentence::FinRepeated { from },
        Sentence::TimeWaitAnswers { from }, Sentence::RstAborts { from },
        Sentence::RstNoConnection { from }, Sentence::ResetDone { at },
        Sentence::RstIgnored { at }, Sentence::RstInTimeWait { at }, Sentence::SaysAgain { from, ack }, Sentence::OldDuplicate { from },
        Sentence::OutsideWindow { at, expected }, Sentence::OldTimestamp { at },
        Sentence::Challenge { from, ack }, Sentence::Dropped { at },
        Sentence::CallOpen { side }, Sentence::CallClose { side },
        Sentence::CallRelease { side }, Sentence::CallAbort { side },
        Sentence::TimerRetransmission { side }, Sentence::TimerPersist { side },
        Sentence::TimerTimeWait { side }, Sentence::TimerFinWait2 { side },
        Sentence::TimerGivesUp { side }, Sentence::Icmp { side },
    ]
}

fn say(sentence: &Sentence, language: Language) -> String {
    let role = |side| {
        if side == Side::A {
            Role::Client
        } else {
            Role::Server
        }
    };
    sentence.spoken(language, role)
}

/// Numbers with their letter, and the names that no language translates.
fn untranslated(text: &str) -> BTreeSet<String> {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || "+-()".contains(c)))
        .map(|word| word.trim_matches(['(', ')']))
        .filter(|word| {
            let numbered = word.contains('+') && word.chars().any(|c| c.is_ascii_digit());
            let state = [
                "ESTABLISHED",
                "CLOSE-WAIT",
                "LAST-ACK",
                "TIME-WAIT",
                "CLOSING",
                "CLOSED",
            ];
            numbered || state.contains(word) || (word.len() > 1 && word.parse::<u32>().is_ok())
        })
        .map(str::to_owned)
        .collect()
}

#[test]
fn the_list_of_sentences_is_complete() {
    let keys: BTreeSet<_> = all().iter().map(Sentence::key).collect();
    assert_eq!(
        keys.len(),
        all().len(),
        "a sentence stands in the list twice"
    );
    let source = include_str!("../sentence.rs");
    let declared = source.matches("=> \"").count();
    assert_eq!(
        declared,
        keys.len(),
        "a sentence is missing from the list of this test"
    );
}

#[test]
fn both_languages_say_everything() {
    for sentence in all() {
        let english = say(&sentence, Language::English);
        let chinese = say(&sentence, Language::SimplifiedChinese);
        assert!(english.is_ascii(), "{english}");
        assert!(
            chinese
                .chars()
                .any(|c| ('\u{4e00}'..'\u{a000}').contains(&c)),
            "{chinese}"
        );
        assert!(
            !chinese.contains([',', '?', '!', ';']),
            "a western comma in: {chinese}"
        );
        assert_eq!(
            untranslated(&english),
            untranslated(&chinese),
            "{english}\n{chinese}"
        );
    }
}

#[test]
fn english_sentences_begin_large_and_end_with_a_stop() {
    for sentence in all() {
        let text = say(&sentence, Language::English);
        // Calls and timers are labels, not sentences.
        if sentence.key().starts_with("call") || sentence.key().starts_with("timer") {
            assert!(!text.ends_with('.'), "{text}");
        } else if sentence != (Sentence::Icmp { side: Side::A }) {
            assert!(
                text.starts_with(char::is_uppercase) && text.ends_with('.'),
                "{text}"
            );
        }
    }
}

#[test]
fn peers_have_no_article() {
    let role = |side| {
        if side == Side::A {
            Role::PeerA
        } else {
            Role::PeerB
        }
    };
    let text = Sentence::OpenerKnows { opener: Side::A }.spoken(Language::English, role);
    assert!(text.starts_with("On its arrival peer A knows"), "{text}");
    assert!(text.contains("Peer B knows only"), "{text}");
}

#[test]
fn tags_and_locales_are_understood() {
    for language in Language::ALL {
        assert_eq!(language.tag().parse(), Ok(language));
    }
    assert_eq!("fr".parse::<Language>(), Err(UnknownLanguage));
    assert_eq!(
        Language::from_locale("zh-Hans"),
        Language::SimplifiedChinese
    );
    assert_eq!(Language::from_locale("de_DE.UTF-8"), Language::English);
}
