//! Shell lines: those that set something, those that change nothing, and the others.

use handwave_script::runner::{Settings, run};
use handwave_tcp::Profile;

use crate::harness::{ESTABLISHED, assert_passes, play, verdict};

/// A script whose SYN carries `options` after `setup`.
fn syn(setup: &str, options: &str) -> String {
    format!(
        "`{setup}`\n0 socket(..., SOCK_STREAM|SOCK_NONBLOCK, IPPROTO_TCP) = 3\n\
         +0 connect(3, ..., ...) = -1 EINPROGRESS (Operation now in progress)\n\
         +0 > S 0:0(0) <{options}>\n"
    )
}

#[test]
fn settings_are_made_in_every_way_a_shell_has() {
    let sack_only = "mss 1460,nop,nop,sackOK,nop,wscale 10";
    for setup in [
        "sysctl -q net.ipv4.tcp_timestamps=0",
        "sudo sysctl -w net.ipv4.tcp_timestamps = 0 > /dev/null 2>&1",
        "sysctl -q \\\n   net.ipv4.tcp_timestamps=0",
        "sysctl net.ipv4.tcp_retries2=15; sysctl -q 'net.ipv4.tcp_timestamps'=0",
        "sysctl -q net.ipv4.tcp_retries2=15 net.ipv4.tcp_timestamps=0",
        "true && sysctl -q net.ipv4.tcp_timestamps=0",
        "echo 0 > /proc/sys/net/ipv4/tcp_timestamps",
        "../../common/set_sysctls.py /proc/sys/net/ipv4/tcp_timestamps=0",
        "./common/defaults.sh\n../common/set_sysctls.py /proc/sys/net/ipv4/tcp_retries2=15 \\\n\
           /proc/sys/net/ipv4/tcp_timestamps=0",
    ] {
        assert_passes(&syn(setup, sack_only));
    }
}

#[test]
fn values_of_several_words_are_one_value() {
    // SO_RCVBUF may ask for more than tcp_rmem does: the scale has to do for both.
    let scale = "mss 1460,sackOK,TS val 1 ecr 0,nop,wscale 9";
    for setup in [
        "sysctl -q net.ipv4.tcp_rmem=\"4096 131072 33554431\"",
        "sysctl -q net.ipv4.tcp_rmem='4096 131072 33554431'",
        "echo 4096 131072 33554431 > /proc/sys/net/ipv4/tcp_rmem",
        "../common/set_sysctls.py \"/proc/sys/net/ipv4/tcp_rmem=4096 131072 33554431\"",
    ] {
        assert_passes(&syn(setup, scale));
    }
}

#[test]
fn lines_that_change_nothing_here_are_taken() {
    for setup in [
        "../common/defaults.sh",
        "tc qdisc replace dev tun0 root fq",
        "tc qdisc add dev tun0 root pfifo limit 100",
        "tc qdisc del dev tun0 root",
        "ip tcp_metrics flush all > /dev/null 2>&1",
        "ip link set dev tun0 up",
        "ethtool -K tun0 tso off gso off",
        "modprobe tcp_bbr; sleep 0.1; sync",
        "nstat > /dev/null",
        "# only a comment",
        "sysctl net.ipv4.tcp_sack",
        "sysctl -q net.ipv4.tcp_plb_enabled=0",
    ] {
        assert_passes(&format!("`{setup}`\n{ESTABLISHED}"));
        assert_passes(&format!("{ESTABLISHED}+0 `{setup}`\n"));
    }
}

#[test]
fn init_scripts_run_first() {
    assert_passes(&format!(
        "--init_scripts=./common/defaults.sh,x/set_sysctls.py\n{ESTABLISHED}"
    ));
    let unknown = play(&format!("--init_scripts=./prepare.sh\n{ESTABLISHED}"));
    let message = verdict(&unknown).unwrap();
    assert!(
        message.contains("`./prepare.sh` is not known here"),
        "{message}"
    );
}

#[test]
fn what_is_not_known_is_an_error_unless_it_is_allowed() {
    let table = [
        (
            "iptables -A INPUT -j DROP",
            "the command `iptables -A INPUT -j DROP` is not known here; --allow-shell passes over such commands",
        ),
        (
            "tc qdisc add dev tun0 root netem delay 1ms",
            "the command `tc qdisc add dev tun0 root netem delay 1ms` is not known here; --allow-shell passes over such commands",
        ),
        (
            "./mine.sh",
            "the command `./mine.sh` is not known here; --allow-shell passes over such commands",
        ),
        (
            "sysctl -q net.ipv4.tcp_telepathy=1",
            "the setting `net.ipv4.tcp_telepathy` is not offered; --allow-shell passes over it",
        ),
        (
            "sysctl -q net.ipv4.tcp_plb_enabled=1",
            "`net.ipv4.tcp_plb_enabled` is not offered and can only be 0; --allow-shell passes over it",
        ),
        (
            "sysctl -q net.ipv4.tcp_sack=maybe",
            "tcp_sack=maybe: expected a number in range",
        ),
    ];
    for (setup, wanted) in table {
        let text = format!("// setup\n`{setup}`\n{ESTABLISHED}");
        assert_eq!(verdict(&play(&text)), Some(format!("2: {wanted}")));
        let settings = Settings {
            allow_shell: true,
            ..Settings::new(Profile::linux())
        };
        assert!(
            run(&text, &settings).unwrap().failure().is_none(),
            "{setup}"
        );
    }
}

#[test]
fn the_mtu_stays_once_the_time_line_has_begun() {
    let text = format!("{ESTABLISHED}+0 `ip link set dev tun0 mtu 1400`\n");
    let wanted = "8: the MTU can only be set before the first event";
    assert_eq!(verdict(&play(&text)).as_deref(), Some(wanted));
}

#[test]
fn a_route_has_an_initial_window_and_a_least_timeout() {
    assert_passes(&format!(
        "`ip route change default via 192.168.0.2 dev tun0 initcwnd 2 rto_min 500ms`\n{ESTABLISHED}\
         +0 write(4, ..., 5000) = 5000\n+0 > . 1:2001(2000) ack 1\n+.6 > . 1:1001(1000) ack 1\n"
    ));
}
