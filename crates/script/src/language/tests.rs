//! What the language takes, what it says of what it does not take, and that printing is the inverse of parsing.

use super::{Script, ast::*};

fn parse(text: &str) -> Script {
    Script::parse(text, &[]).unwrap_or_else(|error| panic!("{}", error.render("test.pkt", false)))
}

/// Every form of the language, each on its line as it is printed.
const FORMS: &str = r#"--tolerance_usecs=100000
--ip_version=ipv6
--non_fatal
--init_scripts="a b.sh"
`sysctl -q net.ipv4.tcp_sack=0`
0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
+0 setsockopt(3, SOL_SOCKET, SO_REUSEADDR, [1], 4) = 0
+0.1 bind(3, {sa_family=AF_INET, sin_port=htons(8080), sin_addr=inet_addr("192.0.2.1")}, ...) = 0
+0...+0.2 accept(3, ..., ...) = 4
1.5...2 read(4, ..., 1000) = ?
0.1~0.2 > . 1:1(0) ack 1
+0.1~+0.2 > . 1:1(0) ack 1
* > R 1:1(0)
+0 < S 0:0(0) win 65535 <mss 1460,sackOK,TS val 100 ecr 0,nop,wscale 7>
+0 < SEWA 0:0(0) win 65535 <FO,FOEXP f00d,md5 00112233,eol,raw 4b04dead>
+0 < SFRPUEWA. 0:0(0) ack 1 win 65535 urg 7
+0 < - 1:1(0) win 0
+0 > . 1:1(0) ack 1 <nop,nop,sack 1001:2001 3001:4001>
+0 > S. 0:0(0) ack 1 win 65535 <...>
+0 > S 0:0(0) <mss 1460,...>
+0 > S 0:0(0) <...,nop,...,wscale 7>
+0 > . 1:1(0) ack 1 <ECN e1b 1 ceb 0 e0b 1,nop>
+0 < . 1:1(0) ack 1 win 1 <ECN e0b 1 ceb 2>
+0 > [tos 0x10, ect0, ttl 64, flowlabel 0x12345] P. 1:11(10) ack 1
+0 > [ect01] P. 1:11(10) ack 1
+0 < sock(4) (1234 > 80) . 1:1(0) ack 1 win 100
+0 < (192.0.2.7:1234 > [2001:db8::1]:80) . 1:1(0) ack 1 win 100
+0 < udp (1000)
+0 < icmp unreachable frag_needed mtu 1400 [1:1001(1000)]
+0 > icmp echo_reply id 7
+0 < icmp unreachable port_unreachable [udp (1000)]
+0 poll([{fd=4, events=POLLIN|POLLOUT, revents=0}], 1, -1) = 1
+0 sendmsg(4, {msg_name(...)=..., msg_iov(2)=[{..., 10}, {..., 20}], msg_flags=0}, MSG_DONTWAIT) = 30
+0 read(4, ..., 1000) = -1 EAGAIN (Resource temporarily unavailable)
+0 fcntl(4, F_GETFL) = 0x802 (flags O_RDWR|O_NONBLOCK)
+0 write(4, "a \"quoted\"\ntext", 15) = 10...15
+0 setsockopt(4, SOL_SOCKET, SO_LINGER, {onoff=1, linger=0}, 8) = 0
+0 `true`
+0 %{ assert tcpi_state == 1 }%
"#;

#[test]
fn every_form_is_printed_as_it_was_read() {
    let script = parse(FORMS);
    assert_eq!(script.to_string(), FORMS);
    assert_eq!(parse(&script.to_string()), script);
}

/// Forms that mean what others do, each with the usual one.
#[test]
fn other_spellings_mean_the_same() {
    let pairs = [
        (
            "+0 > (flowlabel 0x1) . 1:1(0)",
            "+0 > [flowlabel 0x1] . 1:1(0)",
        ),
        (
            "+0 > [flowlabel 0x1, ect0] . 1:1(0)",
            "+0 > [ect0, flowlabel 0x1] . 1:1(0)",
        ),
        (
            "+0 > [tos 0x2 (ect0)] . 1:1(0)",
            "+0 > [tos 0x02, ect0] . 1:1(0)",
        ),
        (
            "0.000 > S 0:0(0) <mss 1460 , ...>",
            "0 > S 0:0(0) <mss 1460,...>",
        ),
        ("+0~+.1 > . 1:1(0)", "+0~+0.1 > . 1:1(0)"),
        ("+0~.1 > . 1:1(0)", "+0~+0.1 > . 1:1(0)"),
        (
            "+0.1...0.3 read(4, ..., 1) = 1",
            "+0.1...+0.3 read(4, ..., 1) = 1",
        ),
        (
            "+0 < [1:1001(1000)] icmp unreachable frag_needed mtu 1200",
            "+0 < icmp unreachable frag_needed mtu 1200 [1:1001(1000)]",
        ),
        (
            "+0 < 1234 > 80: . 1:1(0) win 1",
            "+0 < (1234 > 80) . 1:1(0) win 1",
        ),
        (
            "+0 < . 1:1(0) win 1 <MD5 nomd5>",
            "+0 < . 1:1(0) win 1 <md5>",
        ),
        (
            "+0 < . 1:1(0) win 1 <exp-FO 01>",
            "+0 < . 1:1(0) win 1 <FOEXP 01>",
        ),
        (
            "+0 < . 1:1(0) win 1 <sack 1:2, 3:4>",
            "+0 < . 1:1(0) win 1 <sack 1:2 3:4>",
        ),
        (
            "+0 write(4, ..., 1) = -1 EPIPE (Broken pipe) // note",
            "+0 write(4, ..., 1) = -1 EPIPE (Broken pipe)",
        ),
        ("+0 f(\"\\x41\\n\") = 0", "+0 f(\"A\\n\") = 0"),
        (
            "+0 %{\nassert tcpi_rto, (\n1)\n}%",
            "+0 %{\nassert tcpi_rto, (\n1)\n}%",
        ),
        (
            "+0 `sysctl -q a=1\nsysctl -q b=2`",
            "+0 `sysctl -q a=1\nsysctl -q b=2`",
        ),
    ];
    for (text, usual) in pairs {
        assert_eq!(parse(text).to_string(), format!("{usual}\n"), "{text}");
    }
}

#[test]
fn definitions_have_four_spellings() {
    for head in ["-D A=7", "-DA=7", "--define=A=7", "--define A=7"] {
        let script = parse(&format!("{head}\n+0 close(A) = 0"));
        assert_eq!(script.events[0].to_string(), "+0 close(7) = 0", "{head}");
        assert_eq!(script.options[0].name, "define", "{head}");
    }
}

#[test]
fn white_space_and_comments_do_not_matter() {
    let spaced = "// a comment with `backticks`\n# another\n/* and\n one more */\n\n\n \
        0   socket ( ... , SOCK_STREAM,IPPROTO_TCP )=3 // three\n\
        +0 <\n S 0:0(0)\n win 10 < mss 1460 , nop >\n+.1 close(3)=0";
    let plain = "0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n\
        +0 < S 0:0(0) win 10 <mss 1460,nop>\n+0.1 close(3) = 0\n";
    assert_eq!(parse(spaced).to_string(), plain);
    let lines: Vec<usize> = parse(spaced)
        .events
        .iter()
        .map(|event| event.place.line)
        .collect();
    assert_eq!(lines, [7, 8, 11]);
}

#[test]
fn defined_words_stand_for_their_values() {
    let text = "-D LEN=20\n--define=WIN=300\n// LEN stays\n\
        0 < . 1:21(LEN) ack 1 win WIN\n0 write(3, \"LEN\", LEN) = SENT\n";
    let defines = [("SENT".to_owned(), "7".to_owned())];
    let script = Script::parse(text, &defines).expect("it is a script");
    let events: Vec<String> = script.events.iter().map(Event::to_string).collect();
    assert_eq!(
        events,
        [
            "0 < . 1:21(20) ack 1 win 300",
            "0 write(3, \"LEN\", 20) = 7"
        ]
    );
}

#[test]
fn times_are_microseconds() {
    let of = |text: &str| match parse(&format!("{text} > . 1:1(0)")).events[0].time {
        Time::At(moment) => (moment.relative, moment.micros),
        other => panic!("{other:?}"),
    };
    assert_eq!(of("0"), (false, 0));
    assert_eq!(of("1"), (false, 1_000_000));
    assert_eq!(of("+.1"), (true, 100_000));
    assert_eq!(of("+0.000001"), (true, 1));
    assert_eq!(of("12.3456789"), (false, 12_345_678));
}

#[test]
fn numbers_have_three_bases() {
    let script = parse("0 f(10, 0x10, 010, -1, ~0) = 0");
    let Action::Call(call) = &script.events[0].action else {
        panic!("a call")
    };
    let wanted = [10, 16, 8, -1, -1].map(Expression::integer);
    assert_eq!(call.arguments, wanted);
}

#[test]
fn what_is_missing_at_the_end_is_missing_behind_the_last_word() {
    for text in [
        "0 close(3) = 0\n+0 close(4)",
        "0 close(3) = 0\n+0 close(4)\n\n \n",
    ] {
        let error = Script::parse(text, &[]).unwrap_err();
        assert_eq!((error.line, error.column), (2, 12), "{text:?}");
        assert!(
            error.message.ends_with("found the end of the script"),
            "{error}"
        );
    }
}

#[test]
fn mistakes_are_named_and_shown() {
    let mistakes = [
        "0 socket(..., SOCK_STREAM",
        "0 < S 0:0(0)",
        "0 < S 0:10(0) win 1",
        "0 < SS 0:0(0) win 1",
        "0 < SX 0:0(0) win 1",
        "0 < S 0:0(0) win 65536",
        "0 < S 0:0(0) win 1 <mss 1460,what 7>",
        "0 < S 0:0(0) win 1 <...>",
        "0 > S 0:0(0) <mss 1460",
        "+.2~+.1 > . 1:1(0)",
        "0...1 > . 1:1(0)",
        "0 close(3) = 3 EBADF",
        "0 close(3)",
        "socket(3) = 3",
        "0 < ipv4 1.1.1.1 > 2.2.2.2: . 1:1(0) win 1",
        "0 < icmp",
        "0 < gre: ipv4 1.1.1.1 > 2.2.2.2: . 1:1(0) win 1",
        "0 < mpls (label 0) . 1:1(0) win 1",
        "0 > sctp: INIT[...]",
        "0 < [ect01] . 1:1(0) win 1",
        "0 < . 1:1(0) win 1 <mss 1460,...>",
        "0 > . 1:1(0) <ECN ceb 1 e0b 1>",
        "0 close(3) = 0\n+0 close(4)",
        "0 < S 0:0(0) win 1 <FO 012>",
        "0 %{ assert True",
    ];
    let mut report = String::new();
    for text in mistakes {
        match Script::parse(text, &[]) {
            Ok(script) => panic!("taken: {script}"),
            Err(error) => report += &error.render("test.pkt", false),
        }
    }
    insta::assert_snapshot!(report);
}
