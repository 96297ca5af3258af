//! What we write is what Wireshark reads. Skipped, visibly, where `tshark` is not installed.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use handwave_capture::{Direction, LinkType, Packet, Writer};

/// An IPv4 packet with an empty TCP segment: a SYN from 10.0.0.1:49152 to 10.0.0.2:80.
const SYN: [u8; 40] = [
    0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, 6, 0x26, 0xce, 10, 0, 0, 1, 10, 0, 0, 2, //
    0xc0, 0, 0, 80, 0, 0, 0, 100, 0, 0, 0, 0, 0x50, 0x02, 0xff, 0xff, 0xdb, 0x2b, 0, 0,
];

#[test]
fn tshark_sees_times_names_directions_and_comments() {
    if Command::new("tshark").arg("--version").output().is_err() {
        let _ = writeln!(std::io::stderr(), "SKIPPED: tshark is not installed");
        return;
    }
    let mut writer = Writer::new(Vec::new(), LinkType::RawIp, "client").unwrap();
    let server = writer.add_interface(LinkType::RawIp, "server").unwrap();
    let sent = Packet::new(Duration::new(0, 1), &SYN[..])
        .with_direction(Direction::Outbound)
        .with_comment("握手 begins");
    let arrived = Packet::new(Duration::new(20, 5), &SYN[..])
        .with_interface(server)
        .with_direction(Direction::Inbound);
    writer.write(&sent).unwrap();
    writer.write(&arrived).unwrap();
    let file = writer.finish().unwrap();

    let mut tshark = Command::new("tshark")
        .args(["-r", "-", "-T", "fields", "-o", "tcp.check_checksum:TRUE"])
        .args(["-e", "frame.time_epoch", "-e", "frame.interface_name"])
        .args(["-e", "frame.packet_flags_direction", "-e", "frame.comment"])
        .args([
            "-e",
            "ip.src",
            "-e",
            "tcp.checksum.status",
            "-e",
            "_ws.malformed",
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    tshark.stdin.take().unwrap().write_all(&file).unwrap();
    let output = tshark.wait_with_output().unwrap();
    assert!(output.status.success());
    assert_eq!(
        String::from_utf8(output.stdout).unwrap(),
        "0.000000001\tclient\t0x00000002\t握手 begins\t10.0.0.1\t1\t\n\
         20.000000005\tserver\t0x00000001\t\t10.0.0.1\t1\t\n"
    );
}
