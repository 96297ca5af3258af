//! `docs/states.md` is the transition table of the code, as a page.
//!
//! The page is made from [`Phase::next`] and compared with the file; `UPDATE=1 cargo test -p handwave-tcp --test transition_page`
//! writes it.
#![expect(clippy::unwrap_used, reason = "a test that cannot unwrap has failed")]

use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs};

use handwave_tcp::{Cause, Phase};

/// What a cause is called on the page.
fn words(cause: Cause) -> &'static str {
    match cause {
        Cause::ActiveOpen => "active OPEN",
        Cause::PassiveOpen => "passive OPEN",
        Cause::SynArrived => "SYN arrived",
        Cause::SynAckArrived => "SYN+ACK arrived",
        Cause::SynAcknowledged => "our SYN acknowledged",
        Cause::Close => "CLOSE",
        Cause::FinArrived => "FIN arrived",
        Cause::FinAcknowledged => "our FIN acknowledged",
        Cause::TimeWaitElapsed => "2 MSL elapsed",
        Cause::FinWait2Elapsed => "FIN-WAIT-2 limit elapsed",
        Cause::Reset => "RST",
        Cause::HandshakeAbandoned => "handshake abandoned",
        Cause::Abort => "ABORT",
        Cause::GaveUp => "gave up",
    }
}

const HEAD: &str = "\
# The states of a connection

Every change of state goes through one exhaustive match, `Phase::next` in `crates/tcp/src/phase.rs` (RFC 9293 figure 5 and
3.10). This page is made from it and compared with it by a test: `UPDATE=1 cargo test -p handwave-tcp --test transition_page`
writes it anew. A segment with two consequences makes two changes, one after the other: a FIN that also acknowledges ours
takes FIN-WAIT-1 through FIN-WAIT-2 to TIME-WAIT.

RST, ABORT and giving up end every state the same way and are left out of the graph; the table has them.
";

/// Leads to CLOSED from nearly everywhere, and would bury the graph.
fn ends_everything(cause: Cause) -> bool {
    matches!(cause, Cause::Reset | Cause::Abort | Cause::GaveUp)
}

fn graph() -> String {
    let id = |phase: Phase| phase.name().replace('-', "_");
    let mut out = String::from("```mermaid\nstateDiagram-v2\n");
    for phase in Phase::ALL {
        writeln!(out, "    state \"{phase}\" as {}", id(phase)).unwrap();
    }
    writeln!(out, "    [*] --> {}", id(Phase::Closed)).unwrap();
    for phase in Phase::ALL {
        for cause in Cause::ALL
            .into_iter()
            .filter(|cause| !ends_everything(*cause))
        {
            if let Some(next) = phase.next(cause) {
                writeln!(out, "    {} --> {}: {}", id(phase), id(next), words(cause)).unwrap();
            }
        }
    }
    out.push_str("```\n");
    out
}

fn table() -> String {
    let mut out = String::from("| Cause |");
    for phase in Phase::ALL {
        write!(out, " {phase} |").unwrap();
    }
    writeln!(out, "\n|---|{}", "---|".repeat(Phase::ALL.len())).unwrap();
    for cause in Cause::ALL {
        write!(out, "| {} |", words(cause)).unwrap();
        for phase in Phase::ALL {
            write!(out, " {} |", phase.next(cause).map_or("", Phase::name)).unwrap();
        }
        out.push('\n');
    }
    out
}

#[test]
fn the_page_is_what_the_code_does() {
    let page = format!(
        "{HEAD}\n{}\nAn empty cell: the cause does not occur in that state, or changes nothing.\n\n{}",
        graph(),
        table()
    );
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/states.md");
    if env::var_os("UPDATE").is_some() {
        fs::write(&path, &page).unwrap();
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == page,
        "docs/states.md is out of date: UPDATE=1 cargo test -p handwave-tcp --test transition_page"
    );
}

/// What the figure of RFC 9293 says, arrow by arrow, written down apart from the code (3.3.2, figure 5).
#[test]
fn the_code_has_the_arrows_of_figure_5() {
    use Cause as C;
    use Phase as P;
    let arrows = [
        (P::Closed, C::PassiveOpen, P::Listen),
        (P::Closed, C::ActiveOpen, P::SynSent),
        (P::Listen, C::SynArrived, P::SynReceived),
        (P::Listen, C::Close, P::Closed),
        (P::SynSent, C::SynArrived, P::SynReceived),
        (P::SynSent, C::SynAckArrived, P::Established),
        (P::SynSent, C::Close, P::Closed),
        (P::SynReceived, C::HandshakeAbandoned, P::Listen),
        (P::SynReceived, C::SynAcknowledged, P::Established),
        (P::SynReceived, C::Close, P::FinWait1),
        (P::Established, C::Close, P::FinWait1),
        (P::Established, C::FinArrived, P::CloseWait),
        (P::FinWait1, C::FinAcknowledged, P::FinWait2),
        (P::FinWait1, C::FinArrived, P::Closing),
        (P::FinWait2, C::FinArrived, P::TimeWait),
        (P::Closing, C::FinAcknowledged, P::TimeWait),
        (P::CloseWait, C::Close, P::LastAck),
        (P::LastAck, C::FinAcknowledged, P::Closed),
        (P::TimeWait, C::TimeWaitElapsed, P::Closed),
    ];
    for (from, cause, to) in arrows {
        assert_eq!(from.next(cause), Some(to), "{from} on {}", words(cause));
    }
    let drawn = |from: Phase, cause: Cause| {
        arrows
            .iter()
            .any(|arrow| (arrow.0, arrow.1) == (from, cause))
    };
    for from in Phase::ALL {
        for cause in Cause::ALL {
            let beyond_the_figure = ends_everything(cause) || cause == C::FinWait2Elapsed;
            if !beyond_the_figure && !drawn(from, cause) {
                assert_eq!(from.next(cause), None, "{from} on {}", words(cause));
            }
        }
    }
}

/// No state is a trap: from each, some chain of causes without RST, ABORT or giving up leads back to CLOSED.
#[test]
fn every_state_leads_to_closed() {
    for start in Phase::ALL {
        let mut reached = vec![start];
        let mut index = 0;
        while index < reached.len() {
            for cause in Cause::ALL
                .into_iter()
                .filter(|cause| !ends_everything(*cause))
            {
                if let Some(next) = reached[index].next(cause)
                    && !reached.contains(&next)
                {
                    reached.push(next);
                }
            }
            index += 1;
        }
        assert!(reached.contains(&Phase::Closed), "{start}");
    }
}
