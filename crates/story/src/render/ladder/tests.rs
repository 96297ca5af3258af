//! Ladders as a terminal shows them.

use handwave_tcp::Phase;
use handwave_tcp::trace::UserCall;

use super::*;
use crate::fixture::{ACK, FIN, Fixture};
use crate::model::Weight;

fn draw(fixture: &Fixture, ladder: Ladder) -> String {
    let lines = ladder.draw(&fixture.tell());
    lines.iter().map(|line| format!("{line}\n")).collect()
}

fn ladder(width: usize, language: Language) -> Ladder {
    Ladder {
        width,
        language,
        detail: Detail::All,
        explain: true,
        vars: false,
    }
}

#[test]
fn a_textbook_connection() {
    insta::assert_snapshot!(draw(&Fixture::textbook(), ladder(100, Language::English)));
}

#[test]
fn a_textbook_connection_in_chinese() {
    insta::assert_snapshot!(draw(
        &Fixture::textbook(),
        ladder(100, Language::SimplifiedChinese)
    ));
}

#[test]
fn a_narrow_terminal_has_its_times_between_the_lifelines() {
    let brief = Ladder {
        explain: false,
        ..ladder(72, Language::English)
    };
    insta::assert_snapshot!(draw(&Fixture::textbook(), brief));
}

#[test]
fn crossing_segments_cross() {
    let mut fixture = Fixture::new();
    fixture.handshake().cross(FIN | ACK, Phase::Closing);
    let brief = Ladder {
        explain: false,
        ..ladder(100, Language::English)
    };
    insta::assert_snapshot!(draw(&fixture, brief));
}

#[test]
fn what_is_left_out_is_counted() {
    let mut fixture = Fixture::new();
    fixture.handshake();
    for _ in 0..4 {
        fixture
            .segment(Side::A, ACK, 1460, Phase::Established)
            .segment(Side::B, ACK, 0, Phase::Established);
    }
    fixture
        .call(Side::A, UserCall::Close, Phase::FinWait1)
        .segment(Side::A, FIN | ACK, 0, Phase::CloseWait);
    let summary = Ladder {
        detail: Detail::Summary { troubles_max: 3 },
        explain: false,
        ..ladder(100, Language::English)
    };
    let text = draw(&fixture, summary);
    assert!(text.contains("→ 3 segments (4.3 KiB), ← 3 ACKs"), "{text}");
    assert!(text.contains("in 120.000 ms"), "{text}");
    assert_eq!(
        text.matches("LEN=1460").count(),
        1,
        "the first is shown:\n{text}"
    );
}

#[test]
fn every_line_has_the_width_it_was_given() {
    for language in Language::ALL {
        for columns in [60, 80, 100, 137] {
            let story = Fixture::textbook().tell();
            for line in ladder(columns, language).draw(&story) {
                assert!(
                    line.width() <= columns,
                    "{} columns in {columns}: {line}",
                    line.width()
                );
                let lifelines = line.to_string().matches(['│', '├', '┤', '●', '┊']).count();
                assert!(lifelines == 2 || lifelines == 0, "{line}");
            }
        }
    }
}

#[test]
fn times_never_run_upwards() {
    let mut fixture = Fixture::textbook();
    fixture
        .wait_ms(5)
        .call(Side::A, UserCall::Abort, Phase::Closed);
    let story = fixture.tell();
    assert!(story.steps.iter().all(|step| step.weight == Weight::Key));
    let text = draw(&fixture, ladder(100, Language::English));
    let column = |line: &str, start: usize| {
        let field: String = line.chars().skip(start).take(10).collect();
        field
            .trim()
            .strip_suffix(" ms")
            .and_then(|ms| ms.parse::<f64>().ok())
    };
    let left: Vec<f64> = text.lines().filter_map(|line| column(line, 0)).collect();
    assert!(left.len() > 5 && left.is_sorted(), "{left:?}\n{text}");
}
