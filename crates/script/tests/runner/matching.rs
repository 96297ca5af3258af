//! What an expected packet leaves open, and what it does not.

use crate::harness::{ESTABLISHED, assert_passes, play, verdict};

/// Whether `line` is what the stack sends after `before`.
fn matches(before: &str, line: &str) -> bool {
    verdict(&play(&format!("{ESTABLISHED}{before}{line}\n"))).is_none()
}

#[test]
fn what_is_not_named_is_open() {
    let write = "+0 write(4, ..., 10) = 10\n";
    for line in [
        "+0 > P. 1:11(10) ack 1",
        "+0 > P. 1:11(10) ack 1 <...>",
        "+0 > P. 1:11(10) ack 1 win 64240",
        "* > P. 1:11(10) ack 1",
        "+0~+.1 > P. 1:11(10) ack 1",
        "+.003 > P. 1:11(10) ack 1",
        "0.1 > P. 1:11(10) ack 1",
        "+0 > [noecn] P. 1:11(10) ack 1",
        "+0 > [tos 0x0] P. 1:11(10) ack 1",
        "+0 > [ttl 64] P. 1:11(10) ack 1",
        "+0 > sock(4) P. 1:11(10) ack 1",
        "+0 > (192.168.0.1:8080 > 192.0.2.1:50000) P. 1:11(10) ack 1",
    ] {
        assert!(matches(write, line), "{line}");
    }
    for line in [
        "+.006 > P. 1:11(10) ack 1",
        "+.005~+.1 > P. 1:11(10) ack 1",
        "+0 > P. 1:11(10) ack 1 win 64241",
        "+0 > P. 1:11(10) ack 1 <nop>",
        "+0 > P. 1:11(10)",
        "+0 > P. 1:10(9) ack 1",
        "+0 > . 1:11(10) ack 1",
        "+0 > [ect0] P. 1:11(10) ack 1",
        "+0 > [ect01] P. 1:11(10) ack 1",
        "+0 > [tos 0x10] P. 1:11(10) ack 1",
        "+0 > [ttl 63] P. 1:11(10) ack 1",
        "+0 > (192.168.0.1:8080 > 192.0.2.1:50001) P. 1:11(10) ack 1",
        "+0 > udp (10)",
        "+0 > icmp echo_reply",
    ] {
        assert!(!matches(write, line), "{line}");
    }
}

/// The SYN of an active open, its options matched with `<...>` in places.
#[test]
fn open_ends_in_lists_stand_for_any_options() {
    let syn = |options: &str| {
        let text = format!(
            "0 socket(..., SOCK_STREAM|SOCK_NONBLOCK, IPPROTO_TCP) = 3\n\
             +0 connect(3, ..., ...) = -1 EINPROGRESS\n+0 > S 0:0(0) {options}\n"
        );
        verdict(&play(&text)).is_none()
    };
    for options in [
        "<...>",
        "<mss 1460,...>",
        "<...,wscale 10>",
        "<mss 1460,...,nop,...>",
        "<mss 1460,sackOK,TS val 7 ecr 0,nop,wscale 10,...>",
        "<...,mss 1460,sackOK,TS val 1 ecr 0,nop,wscale 10>",
    ] {
        assert!(syn(options), "{options}");
    }
    for options in [
        "",
        "<mss 1461,...>",
        "<...,mss 1460>",
        "<sackOK,...>",
        "<mss 1460,sackOK,TS val 1 ecr 1,...>",
        "<...,nop,...,nop,...>",
    ] {
        assert!(!syn(options), "{options}");
    }
}

#[test]
fn the_blocks_of_a_selective_acknowledgment_are_compared() {
    let handshake = ESTABLISHED
        .replace("<mss 1000>", "<mss 1000,sackOK>")
        .replace("<mss 1460>", "<mss 1460,nop,nop,sackOK>");
    let arrives = "+0 < . 1001:2001(1000) ack 1 win 65535\n+0 > . 1:1(0) ack 1 <nop,nop,sack 1001:2001>\n\
        +0 < . 3001:4001(1000) ack 1 win 65535\n";
    let says = |blocks: &str| {
        let text = format!("{handshake}{arrives}+0 > . 1:1(0) ack 1 <nop,nop,sack {blocks}>\n");
        verdict(&play(&text)).is_none()
    };
    assert!(says("3001:4001 1001:2001"));
    assert!(!says("1001:2001 3001:4001"));
    assert!(!says("3001:4001"));
    assert!(!says("3001:4001 1001:2002"));
}

#[test]
fn a_waiting_call_has_to_return_at_its_time() {
    let reads = |time: &str| {
        let text = format!(
            "{ESTABLISHED}{time} read(4, ..., 100) = 10\n+.1 < P. 1:11(10) ack 1 win 65535\n\
             * > . 1:1(0) ack 11\n"
        );
        verdict(&play(&text))
    };
    assert_eq!(reads("+0...0.1"), None);
    assert_eq!(reads("+0...+0.101"), None);
    let wanted = "8: the call returned at another time than expected";
    assert_eq!(reads("+0...0.2").as_deref(), Some(wanted));
    assert!(reads("+0...0.05").unwrap().starts_with("8: "));
}

#[test]
fn results_may_be_ranges_or_anything() {
    for result in ["10", "5...10", "?", "..."] {
        assert_passes(&format!("{ESTABLISHED}+0 write(4, ..., 10) = {result}\n"));
    }
    for result in ["9", "1...9", "-1 EAGAIN"] {
        let outcome = play(&format!("{ESTABLISHED}+0 write(4, ..., 10) = {result}\n"));
        assert_eq!(
            verdict(&outcome).as_deref(),
            Some("8: write returned something else")
        );
    }
}

#[test]
fn a_ladder_shows_both_sides_up_to_the_failing_line() {
    let outcome = play(&format!(
        "{ESTABLISHED}+0 write(4, ..., 10) = 10\n+0 > P. 1:11(10) ack 2\n+0 %{{ assert 1 }}%\n"
    ));
    insta::assert_snapshot!(format!("{outcome}\n{}", outcome.ladder(5)));
}
