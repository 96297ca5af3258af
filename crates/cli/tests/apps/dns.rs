//! DNS (RFC 1035, RFC 7766): dnsmasq and dig, over UDP, over TCP, and over both after a truncated answer.

use crate::support::handwave::{self, ADDRESS};
use crate::support::world::{Protocol, World};
use crate::support::{Outcome, contains};

/// Names asked for over one TCP connection and in a run over UDP.
const HOSTS: usize = 50;

pub(crate) fn play(world: &mut World) -> Outcome {
    let hosts = (0..HOSTS).fold(String::new(), |hosts, n| {
        hosts + &format!("host-record=h{n}.wave.test,192.0.2.{n},2001:db8::{n:x}\n")
    });
    let long = long_text();
    let text = long.join(",");
    let configuration = format!(
        "port=53\nlisten-address=127.0.0.1\nbind-interfaces\nno-resolv\nno-hosts\nuser=root\n\
         pid-file=\ntxt-record=long.wave.test,{text}\n{hosts}"
    );
    let file = world.write("dnsmasq.conf", configuration.as_bytes())?;
    let file = format!("--conf-file={file}");
    world.start(
        "dnsmasq",
        &["dnsmasq", "--keep-in-foreground", "--log-facility=-", &file],
    )?;
    world.wait_for_port(Protocol::Tcp, 53)?;
    world.wait_for_port(Protocol::Udp, 53)?;
    handwave::serve(world, &["53=127.0.0.1:53", "53=127.0.0.1:53/udp"])?;

    let server = format!("@{ADDRESS}");
    let dig = ["dig", &server, "+time=10", "+tries=1"];
    for transport in ["+notcp", "+tcp"] {
        let questions: Vec<String> = (0..HOSTS)
            .flat_map(|n| ["A", "AAAA"].map(|kind| format!("h{n}.wave.test {kind} +short")))
            .collect();
        let questions: Vec<&str> = questions.iter().flat_map(|line| line.split(' ')).collect();
        let keep = ["+keepopen", transport];
        let answers = world.run(&[&dig[..], &keep, &questions].concat())?;
        let wanted = (0..HOSTS).fold(String::new(), |wanted, n| {
            wanted + &format!("192.0.2.{n}\n2001:db8::{n:x}\n")
        });
        if answers.replace("2001:db8::\n", "2001:db8::0\n") != wanted {
            return Err(format!("wrong answers with {transport}:\n{answers}"));
        }
    }

    // Over UDP the answer does not fit the 512 octets offered: dig is told so and asks again over TCP.
    let question = ["+bufsize=512", "+notcp", "long.wave.test", "TXT"];
    let answer = world.run(&[&dig[..], &question].concat())?;
    contains("dig", &answer, "Truncated, retrying in TCP mode")?;
    let quoted: Vec<String> = long.iter().map(|text| format!("\"{text}\"")).collect();
    contains("the long answer", &answer, &quoted.join(" "))
}

/// More text than a datagram without EDNS may hold, and less than dnsmasq reads of one line.
fn long_text() -> Vec<String> {
    (0..4).map(|n| format!("{n}-").repeat(100)).collect()
}
