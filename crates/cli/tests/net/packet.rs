//! `--packet`: a station on an Ethernet interface, one end of a `veth` pair whose other end is the kernel's.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener};
use std::process::Stdio;
use std::thread;

use crate::common::{HANDWAVE, Running, command, connect, handwave, in_namespace, ip, octets};

fn cable() {
    ip("link add left type veth peer name right");
    ip("link set dev left up");
    ip("link set dev right up");
    ip("addr add 10.7.0.9/24 dev right");
    ip("addr add 10.8.0.9/32 dev right");
}

#[test]
fn a_station_on_ethernet_serves_and_connects_by_its_router() {
    in_namespace(&[], || {
        cable();
        for more in ["--offload auto", "--offload off", "--queues 2"] {
            let station = format!("--packet left --addr 10.7.0.1/24 {more}");
            let server = Running::handwave(&format!("serve {station} --echo 7"));
            let banner = &server.banner;
            assert!(
                banner.starts_with("handwave serves on left as "),
                "{banner}"
            );
            assert!(banner.contains(", beside this machine"), "{banner}");
            let mut stream = connect("10.7.0.1:7");
            let text = octets(200_000);
            stream.write_all(&text).unwrap();
            stream.shutdown(Shutdown::Write).unwrap();
            let mut back = Vec::new();
            stream.read_to_end(&mut back).unwrap();
            assert!(back == text, "other octets came back");
            drop(server);
        }
        let listener = TcpListener::bind("10.8.0.9:80").unwrap();
        let answering = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.write_all(b"from beyond the router").unwrap();
        });
        let station = "--packet left --mac 02:00:00:00:00:2a --addr 10.7.0.2/24";
        let arguments = format!("connect {station} --gateway 10.7.0.9 10.8.0.9:80");
        let mut client = command(HANDWAVE, &arguments);
        let output = client.stdin(Stdio::null()).output().unwrap();
        let heard = String::from_utf8_lossy(&output.stdout);
        assert_eq!(heard, "from beyond the router", "{output:?}");
        answering.join().unwrap();
        assert!(ip("neigh show dev right").contains("02:00:00:00:00:2a"));
    });
}

#[test]
fn what_is_in_the_way_is_said() {
    in_namespace(&["setpriv"], || {
        cable();
        ip("link add below type veth peer name above");
        for (arguments, expected) in [
            ("--packet middle", "there is no interface called middle"),
            ("--packet lo", "lo does not carry Ethernet frames"),
            (
                "--packet left --mac ff:ff:ff:ff:ff:ff",
                "cannot be the address of one station",
            ),
            ("--packet below --queues 2", "sudo ip link set dev below up"),
            ("--packet left --mac 2a", "six octets in hexadecimal"),
            ("--packet left --tun hw0", "cannot be used with"),
            ("--gateway 10.7.0.9", "--packet <NAME>"),
        ] {
            let output = handwave(&format!("serve {arguments} --addr 10.7.0.1/24 --echo 7"));
            let errors = String::from_utf8_lossy(&output.stderr);
            assert!(
                !output.status.success() && errors.contains(expected),
                "{arguments}: {errors}"
            );
        }
        let dropped = format!(
            "--inh-caps -net_raw --bounding-set -net_raw {HANDWAVE} serve --packet left --addr 10.7.0.1/24 --echo 7"
        );
        let output = command("setpriv", &dropped).output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(4), "{errors}");
        assert!(errors.contains("sudo setcap cap_net_raw+ep /"), "{errors}");
    });
}
