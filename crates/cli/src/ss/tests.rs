//! Every form of output, from one of everything.

use super::*;
use crate::args::{Args, Command};

fn args(text: &str) -> SsArgs {
    use clap::Parser as _;

    let words = ["handwave", "ss"]
        .into_iter()
        .chain(text.split_whitespace());
    match Args::try_parse_from(words).map(|args| args.command) {
        Ok(Command::Ss(args)) => args,
        other => panic!("{text}: {other:?}"),
    }
}

/// What is printed with these switches.
fn shown(switches: &str) -> String {
    let args = args(switches);
    let query = Query::new(&args).unwrap();
    let hello = Hello {
        protocol: String::new(),
        version: 1,
        program: "handwave serve on hw0".to_owned(),
        pid: 4711,
    };
    let mut view = View::new(&args, &query, &hello);
    let mut text = view.begin();
    for netid in query.netids {
        let here = sample::all().into_iter().filter(|it| it.netid == *netid);
        for socket in here.filter(|it| query.wants(it)) {
            text.extend(view.add(socket).unwrap());
        }
    }
    text + &view.end()
}

#[test]
fn sockets_look_as_in_ss() {
    insta::assert_snapshot!("plain", shown("-n"));
    insta::assert_snapshot!("all", shown("-an"));
    insta::assert_snapshot!("listening", shown("-ltn"));
    insta::assert_snapshot!("everything", shown("-tanpoemi"));
    insta::assert_snapshot!("one_line_each", shown("-tnOoemi"));
    insta::assert_snapshot!("half_open", shown("-tno state syn-recv"));
    insta::assert_snapshot!("json", shown("-an --json"));
    insta::assert_snapshot!(
        "json_with_everything",
        shown("-tnoim --json state established")
    );
}

#[test]
fn sockets_look_as_in_netstat() {
    insta::assert_snapshot!("netstat", shown("--netstat -n"));
    insta::assert_snapshot!("netstat_all", shown("--netstat -an"));
    insta::assert_snapshot!("netstat_listening", shown("--netstat -lnt"));
    insta::assert_snapshot!("netstat_timers", shown("--netstat -anto"));
    let counted = shown("--netstat -n");
    let counted = counted.lines().filter(|line| line.contains("SYN_RECV"));
    assert_eq!(counted.count(), 2);
}

#[test]
fn families_states_and_titles_are_chosen() {
    let lines = |switches| shown(switches).lines().count();
    // What listens on any address counts as IPv6.
    assert_eq!(
        (lines("-Hltn4"), lines("-Hltn6"), lines("-Hltn46")),
        (2, 2, 4)
    );
    assert_eq!(
        shown("-Hltn sport = :80 ! src 10.0.0.0/8"),
        "LISTEN 3 128 *:80 *:*\n"
    );
    assert_eq!(lines("-Hun"), 0);
    assert_eq!(lines("-Huan"), 1);
    // States that are named come before -l and -a.
    assert_eq!(lines("-Hltan state syn-recv"), 2);
    assert_eq!(lines("-Htn exclude established"), lines("-Htan") - 1);
}

#[test]
fn switches_that_exclude_each_other_are_refused() {
    use clap::Parser as _;

    for text in [
        "-s --netstat",
        "-s state all",
        "--netstat -i",
        "--netstat --json",
    ] {
        let words = ["handwave", "ss"]
            .into_iter()
            .chain(text.split_whitespace());
        let error = Args::try_parse_from(words).unwrap_err();
        assert!(error.to_string().contains("cannot be used with"), "{text}");
    }
}
