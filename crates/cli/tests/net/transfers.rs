//! Whole files both ways, with curl.

use std::io::{Read as _, Write as _};
use std::time::{Duration, Instant};

use crate::common::{
    Running, command, connect, directory_with_file, in_namespace, ip, run, sha256,
};

const ADDRESSES: &str = "--addr 10.7.0.1/24 --addr fd07::1/64";

#[test]
fn two_queues_serve_as_one_stack() {
    in_namespace(&["curl"], || {
        let (served, file) = directory_with_file(1 << 20);
        let _server = Running::handwave(&format!(
            "serve {ADDRESSES} --queues 2 --echo 7 --http 80={}",
            served.path().display()
        ));
        assert!(ip("-d link show dev hw0").contains("multi_queue"));
        // The kernel forgets in 3 seconds which queue a flow was at; here it never knew any other.
        let mut idle: Vec<_> = (0..8).map(|_| connect("10.7.0.1:7")).collect();
        let began = Instant::now();
        let whole = std::fs::read(&file).unwrap();
        let one = "-sSgf --max-time 90 -o - http://10.7.0.1/file";
        let all = format!("{one} -o - http://[fd07::1]/file");
        for _ in 0..10 {
            let output = command("curl", &all).output().unwrap();
            assert!(output.status.success());
            assert!(output.stdout == [&whole[..], &whole].concat());
        }
        std::thread::sleep(Duration::from_secs(4).saturating_sub(began.elapsed()));
        for stream in &mut idle {
            stream.write_all(b"awake").unwrap();
            let mut back = [0; 5];
            stream.read_exact(&mut back).unwrap();
            assert_eq!(&back, b"awake");
        }
    });
}

#[test]
fn curl_fetches_and_uploads_64_mib_over_both_families() {
    in_namespace(&["curl"], || {
        let (served, file) = directory_with_file(64 << 20);
        let here = tempfile::tempdir().unwrap();
        let (from, to) = (served.path(), here.path());
        let _server = Running::handwave(&format!("serve {ADDRESSES} --http 80={}", from.display()));
        let expected = sha256(&file);
        for (name, host) in [("v4", "10.7.0.1"), ("v6", "[fd07::1]")] {
            let fetched = to.join(name);
            let curl = "-sSgf --max-time 90";
            run(
                "curl",
                &format!("{curl} -o {} http://{host}/file", fetched.display()),
            );
            assert_eq!(sha256(&fetched), expected, "fetched over {name}");
            run(
                "curl",
                &format!("{curl} -T {} http://{host}/", fetched.display()),
            );
            assert_eq!(sha256(&from.join(name)), expected, "uploaded over {name}");
        }
        // Nothing but whole files: the one that was there, and two uploads.
        assert_eq!(std::fs::read_dir(from).unwrap().count(), 3);
    });
}
