//! Metrics as a scraper of the host's own network gets them.

use std::net::TcpListener;

use crate::common::{Running, connect, handwave, in_namespace, ip, run};

#[test]
fn a_scraper_reads_what_the_stack_counts_and_no_peer_is_named() {
    in_namespace(&["curl"], || {
        let server =
            Running::handwave("serve --addr 10.7.0.1/24 --echo 7 --metrics [::1]:9100 --log info");
        let url = "http://[::1]:9100/metrics";
        assert!(server.banner.contains(url), "{}", server.banner);
        let stream = connect("10.7.0.1:7");
        let peer = stream.local_addr().unwrap().ip().to_string();
        let text = run("curl", &format!("-sSf -g -D - {url}"));
        assert!(text.contains("openmetrics-text"), "{text}");
        for line in [
            "# TYPE handwave_listener_syn_queue_length gauge",
            "handwave_listener_syn_queue_limit{address=\"any\",port=\"7\"} 1024",
            "handwave_listener_flood{address=\"any\",port=\"7\"} 0",
            "handwave_listener_established_total{address=\"any\",port=\"7\"} 1",
            "handwave_tcp_sockets{state=\"ESTABLISHED\"} 1",
            "# UNIT handwave_memory_held_bytes bytes",
        ] {
            assert!(text.contains(&format!("{line}\n")), "{line} in\n{text}");
        }
        assert!(
            text.contains("# HELP handwave_listener_syncookies_sent "),
            "{text}"
        );
        assert!(!text.contains(&peer), "{peer} in\n{text}");
        server.signal("INT");
        drop(stream);
        assert_eq!(server.end().0, Some(0));
    });
}

#[test]
fn a_place_that_cannot_be_had_is_told_before_anything_is_opened() {
    in_namespace(&[], || {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = taken.local_addr().unwrap();
        for (place, reason) in [
            (at.to_string(), "another port for --metrics"),
            ("192.0.2.1:9100".to_owned(), "an address of this host"),
        ] {
            let arguments = format!("serve --addr 10.7.0.1/24 --echo 7 --metrics {place}");
            let output = handwave(&arguments);
            let errors = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(1), "{errors}");
            assert!(
                errors.contains(&format!("cannot serve metrics at {place}")),
                "{errors}"
            );
            assert!(errors.contains(reason), "{errors}");
        }
        assert!(!ip("link").contains("hw"), "nothing was opened");
    });
}
