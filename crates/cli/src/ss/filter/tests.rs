use handwave::control::protocol::State;

use super::*;
use crate::ss::sample::tcp;

fn services() -> Services {
    Services::parse("http 80/tcp\nssh 22/tcp\n")
}

fn parse(text: &str) -> Result<Filter, String> {
    let words: Vec<_> = text.split_whitespace().map(str::to_owned).collect();
    let apart = Filter::parse(&words, &services());
    // In quotes or not makes no difference.
    assert_eq!(
        apart,
        Filter::parse(&[text.to_owned()], &services()),
        "{text}"
    );
    apart
}

/// A condition, and whether it holds for a connection to port 80, one over IPv6 to port 22, and a listener on port 80.
type Row = (&'static str, [bool; 3]);

const PORTS_AND_HOSTS: &[Row] = &[
    ("", [true, true, true]),
    ("sport = :80", [true, false, true]),
    ("sport == 80", [true, false, true]),
    ("sport :http", [true, false, true]),
    ("sport 80", [true, false, true]),
    ("sport=:80", [true, false, true]),
    ("sport eq ssh", [false, true, false]),
    ("sport != :80", [false, true, false]),
    ("sport ne :80", [false, true, false]),
    ("sport neq :80", [false, true, false]),
    ("dport > :40000", [false, true, false]),
    ("dport gt :40000", [false, true, false]),
    ("dport >= :40000", [true, true, false]),
    ("dport ge :40000", [true, true, false]),
    ("dport geq 40000", [true, true, false]),
    ("dport<:40000", [false, false, true]),
    ("dport lt :40000", [false, false, true]),
    ("dport <= :40000", [true, false, true]),
    ("dport le :40000", [true, false, true]),
    ("dport leq :40000", [true, false, true]),
    ("dst 192.0.2.9", [true, false, false]),
    ("dst = 192.0.2.9", [true, false, false]),
    ("dst != 192.0.2.9", [false, true, true]),
    ("dst 192.0.2.9:40000", [true, false, false]),
    ("dst 192.0.2.9:40001", [false, false, false]),
    ("dst 192.0.2.9:*", [true, false, false]),
    ("dst :40000", [true, false, false]),
    ("dst *:40000", [true, false, false]),
    ("dst *", [true, true, true]),
    ("dst 192.0.2.0/24", [true, false, false]),
    ("dst 192.0.2.128/25", [false, false, false]),
    ("dst 192.0.2.0/24:40000", [true, false, false]),
    ("dst 0.0.0.0/0", [true, false, true]),
    ("dst ::/0", [false, true, true]),
    ("dst [2001:db8::9]", [false, true, false]),
    ("dst [2001:db8::9]:50000", [false, true, false]),
    ("dst [2001:db8::9]:50001", [false, false, false]),
    ("dst 2001:db8::9", [false, true, false]),
    ("dst 2001:db8::/32", [false, true, false]),
    ("dst [2001:db8::]/32:50000", [false, true, false]),
];

const COMBINATIONS: &[Row] = &[
    ("src 10.0.0.0/8", [true, false, false]),
    ("src 10.0.0.0/8 or src fd00::/8", [true, true, false]),
    ("src 10.0.0.0/8 | src fd00::/8", [true, true, false]),
    ("src 10.0.0.0/8||src fd00::/8", [true, true, false]),
    ("sport :80 and dport :40000", [true, false, false]),
    ("sport :80 & dport :40000", [true, false, false]),
    ("sport :80&&dport :40000", [true, false, false]),
    ("sport :80 dport :40000", [true, false, false]),
    ("not sport :80", [false, true, false]),
    ("! sport = :80", [false, true, false]),
    ("!sport=:80", [false, true, false]),
    ("not not sport :80", [true, false, true]),
    // And binds closer than or, not closer than and.
    (
        "sport :22 or sport :80 and dport :40000",
        [true, true, false],
    ),
    (
        "(sport :22 or sport :80) and dport :40000",
        [true, false, false],
    ),
    ("not sport :80 and dport :40000", [false, false, false]),
    ("not (sport :80 and dport :40000)", [false, true, true]),
    ("((sport :80))", [true, false, true]),
    (
        "( sport = :80 or sport = :22 ) !( dport ge 50000 )",
        [true, false, true],
    ),
];

#[test]
fn conditions_select_what_they_say() {
    let web = tcp(State::Established, "10.7.0.1:80", "192.0.2.9:40000");
    let shell = tcp(State::Established, "[fd07::1]:22", "[2001:db8::9]:50000");
    let listener = tcp(State::Listen, "*:80", "*:0");
    for (text, expected) in PORTS_AND_HOSTS.iter().chain(COMBINATIONS) {
        let filter = parse(text).unwrap();
        assert_eq!(filter.states, None, "{text}");
        let holds = [&web, &shell, &listener].map(|socket| filter.condition.holds(socket));
        assert_eq!(holds, *expected, "{text}");
    }
}

#[test]
fn states_are_added_and_taken_away_before_the_condition() {
    use State::{Established, SynReceived, TimeWait};
    for (text, expected) in [
        ("state established", &[Established][..]),
        ("state syn-recv state time-wait", &[SynReceived, TimeWait]),
        ("state bucket exclude time-wait", &[SynReceived]),
        ("state SYN-RECV sport = :80", &[SynReceived]),
    ] {
        let states = parse(text).unwrap().states.unwrap();
        assert_eq!(states.to_vec(), expected, "{text}");
    }
    let rest = parse("exclude listening excl closed")
        .unwrap()
        .states
        .unwrap();
    assert_eq!(Some(rest), States::named("connected"));
}

#[test]
fn what_cannot_be_read_is_told_how_to_be_written() {
    let deep = format!("{}sport 1", "(".repeat(100));
    let negated = format!("{}sport 1", "!".repeat(100));
    for (text, reason) in [
        ("state", "after \"state\" the name of a state is missing"),
        ("state half-open", "\"half-open\" is no state"),
        ("foo", "\"foo\" is no condition"),
        ("sport = :80 state listening", "\"state\" has to come first"),
        ("dport =", "after \"=\" a port, such as :80, is missing"),
        ("dport = :x", "\"x\" is no port"),
        ("dport = :70000", "\"70000\" is no port"),
        ("dst", "after \"dst\" an address"),
        ("dst 10.0.0.256", "\"10.0.0.256\" is no address"),
        ("dst 10.0.0.0/33", "at most 32 bits"),
        ("dst ::/129", "at most 128 bits"),
        ("dst 10.0.0.0/x", "is no address"),
        ("dst example.org", "is no address"),
        ("dst > 10.0.0.1", "equal or not"),
        ("(", "after \"(\" a condition is missing"),
        ("(sport 1", "a closing parenthesis is missing"),
        ("sport 1)", "nothing can follow here, but \")\" does"),
        ("sport 1 and", "after \"and\" a condition is missing"),
        ("or sport 1", "\"or\" is no condition"),
        ("not", "after \"not\" a condition is missing"),
        (&deep, "within each other"),
        (&negated, "follow each other"),
    ] {
        let error = parse(text).unwrap_err();
        assert!(error.contains(reason), "{text}: {error}");
    }
}
