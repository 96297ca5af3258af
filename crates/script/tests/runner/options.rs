//! Options at the head of scripts.

use handwave_script::runner::{Settings, run};
use handwave_tcp::Profile;

use crate::harness::{ESTABLISHED, assert_passes, play, verdict};

/// A script of an active open whose SYN has `options`.
fn syn(head: &str, syn: &str) -> String {
    format!(
        "{head}\n0 socket(..., SOCK_STREAM|SOCK_NONBLOCK, IPPROTO_TCP) = 3\n\
         +0 connect(3, ..., ...) = -1 EINPROGRESS (Operation now in progress)\n+0 > {syn}\n"
    )
}

#[test]
fn the_mtu_can_be_set_in_four_ways() {
    for head in [
        "--mtu=1040",
        "--mss=1000",
        "`ip link set dev tun0 mtu 1040`",
        "`ifconfig tun0 mtu 1040 up > /dev/null 2>&1`",
    ] {
        assert_passes(&syn(head, "S 0:0(0) <mss 1000,...>"));
    }
    assert_passes(&syn(
        "--mss=1000\n--ip_version=ipv6",
        "S 0:0(0) <mss 1000,...>",
    ));
}

#[test]
fn every_ip_version_opens_a_connection() {
    for version in ["ipv4", "ipv6", "ipv4-mapped-ipv6"] {
        let head = format!("--ip_version={version}\n");
        let mss = if version == "ipv6" { "1440" } else { "1460" };
        assert_passes(&(head + &ESTABLISHED.replace("<mss 1460>", &format!("<mss {mss}>"))));
    }
}

#[test]
fn addresses_and_ports_are_those_of_the_options() {
    let head = "--local_ip=10.1.2.3\n--remote_ip=10.9.9.9\n--gateway_ip=10.1.0.1\n\
        --netmask_ip=255.255.0.0\n--connect_port=7777";
    assert_passes(&syn(head, "(10.1.2.3:49152 > 10.9.9.9:7777) S 0:0(0) <...>").replace(
        "+0 connect(3, ..., ...)",
        "+0 bind(3, {sa_family=AF_INET, sin_port=htons(49152), sin_addr=inet_addr(\"10.1.2.3\")}, ...) = 0\n\
         +0 connect(3, ..., ...)",
    ));
    let named = ESTABLISHED.replace("bind(3, ..., ...)", "bind(3, ..., ...) = 0\n+0 getsockname(3, {sa_family=AF_INET, sin_port=htons(9999), sin_addr=inet_addr(\"192.168.0.1\")}, [16])");
    assert_passes(&format!("--bind_port=9999\n{named}"));
}

#[test]
fn options_about_wires_and_processes_are_passed_over() {
    let head = "--verbose\n--so_filename=/x.so\n--speed=1000000\n--wire_client\n--wire_server_ip=1.2.3.4\n\
        --wire_client_dev=eth0 --strict_segments\n";
    assert_passes(&format!("{head}{ESTABLISHED}"));
}

#[test]
fn a_tolerance_lets_packets_be_late() {
    let late = ESTABLISHED.replace("+0 > S.", "+.006 > S.");
    assert!(verdict(&play(&late)).is_some());
    assert_passes(&format!("--tolerance_usecs=7000\n{late}"));
    let percent = ESTABLISHED.replace("+0 > S.", "+.1 > S.");
    assert!(verdict(&play(&percent)).is_some());
    assert_passes(&format!("--tolerance_percent=100\n{percent}"));
}

#[test]
fn a_dry_run_reads_and_runs_nothing() {
    let wrong = ESTABLISHED.replace("ack 1 <mss", "ack 7 <mss");
    assert_passes(&format!("--dry_run\n{wrong}"));
}

#[test]
fn what_is_not_fatal_is_a_warning() {
    let wrong = ESTABLISHED
        .replace("ack 1 <mss", "ack 7 <mss")
        .replace("listen(3, 1) = 0", "listen(3, 1) = 7");
    let lines = |head: &str| {
        let outcome = play(&format!("{head}{wrong}"));
        let warnings: Vec<usize> = outcome
            .warnings
            .iter()
            .map(|warning| warning.place.line)
            .collect();
        (
            warnings,
            outcome.failure().map(|failure| failure.place.line),
        )
    };
    assert_eq!(lines("--non_fatal=packet,syscall\n"), (vec![4, 6], None));
    assert_eq!(lines("--non_fatal\n"), (vec![4, 6], None));
    assert_eq!(lines("--non_fatal=syscall\n"), (vec![4], Some(6)));
    assert_eq!(lines("--non_fatal=packet\n"), (vec![], Some(4)));
    assert_eq!(lines("\n"), (vec![], Some(4)));
}

#[test]
fn wrong_options_are_shown_where_they_stand() {
    let table = [
        (
            "--mtu=40",
            "2:1: `40` is not an MTU from 68 to 65535, which --mtu needs",
        ),
        (
            "--mss=x",
            "2:1: `x` is not a segment size from 28 to 65475, which --mss needs",
        ),
        (
            "--ip_version=ipx",
            "2:1: `ipx` is not ipv4, ipv6 or ipv4-mapped-ipv6, which --ip_version needs",
        ),
        (
            "--non_fatal=all",
            "2:1: `all` is not packet, syscall or both with a comma, which --non_fatal needs",
        ),
        (
            "--profile=vms",
            "2:1: `vms` is not the name of a profile, which --profile needs",
        ),
        (
            "--local_ip=here",
            "2:1: `here` is not an IP address, which --local_ip needs",
        ),
        ("--sped=1", "2:1: there is no option --sped"),
    ];
    for (option, wanted) in table {
        let wrong = run(
            &format!("// head\n{option}\n"),
            &Settings::new(Profile::linux()),
        );
        assert_eq!(wrong.unwrap_err().to_string(), wanted);
    }
}
