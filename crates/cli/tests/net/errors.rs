//! Everything that can be wrong before the first packet, each with its own message and exit code.

use crate::common::{HANDWAVE, Running, command, handwave, in_namespace, ip};

fn failure(arguments: &str) -> (Option<i32>, String) {
    let output = handwave(arguments);
    (
        output.status.code(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    )
}

#[test]
fn impossible_wishes_are_told_apart() {
    in_namespace(&[], || {
        let (directory, file) = crate::common::directory_with_file(1);
        let missing = directory.path().join("missing");
        for (arguments, code, reason) in [
            ("--addr 10.7.0.1/24".to_owned(), 2, "--http"),
            ("--echo 7".to_owned(), 2, "--addr"),
            (
                "--addr 10.7.0.1/33 --echo 7".to_owned(),
                2,
                "is not an address",
            ),
            ("--addr 10.7.0.255/24 --echo 7".to_owned(), 2, "broadcast"),
            (
                "--addr 10.7.0.1/24 --echo 7 --sink 7".to_owned(),
                2,
                "tcp port 7 is in use twice",
            ),
            ("--addr 10.7.0.1/24 --echo 0".to_owned(), 2, "is no port"),
            (
                format!("--addr 10.7.0.1/24 --http 80={}", missing.display()),
                3,
                "cannot serve",
            ),
            (
                format!("--addr 10.7.0.1/24 --http 80={}", file.display()),
                3,
                "cannot serve",
            ),
            (
                "--addr 10.7.0.1/24 --echo 7 --tun far/away".to_owned(),
                2,
                "cannot be the name",
            ),
            (
                "--addr 10.7.0.1/24 --echo 7 --tun hw0@nowhere".to_owned(),
                3,
                "there is no network namespace",
            ),
            (
                "--addr 10.7.0.1/24 --echo 7 --tun lo".to_owned(),
                1,
                "is not a TUN",
            ),
        ] {
            let (got, errors) = failure(&format!("serve {arguments}"));
            assert_eq!(got, Some(code), "{arguments}: {errors}");
            assert!(errors.contains(reason), "{arguments}: {errors}");
        }
        let (code, errors) = failure("connect [fd07::2]:80 --addr 10.7.0.1/24");
        assert_eq!(code, Some(2), "{errors}");
        assert!(errors.contains("IPv6 only"), "{errors}");
        assert!(!ip("link").contains("hw"));
    });
}

#[test]
fn the_environment_is_checked() {
    in_namespace(&[], || {
        for (name, value) in [
            ("HANDWAVE_RXBUF", "lots"),
            ("HANDWAVE_CC", "best"),
            ("HANDWAVE_BACKLOG", "0"),
        ] {
            let output = command(HANDWAVE, "serve --addr 10.7.0.1/24 --echo 7")
                .env(name, value)
                .output()
                .unwrap();
            let errors = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(3), "{errors}");
            assert!(errors.contains(name) && errors.contains("try:"), "{errors}");
        }
    });
}

#[test]
fn a_directory_that_may_not_be_read_is_told() {
    in_namespace(&[], || {
        use std::os::unix::fs::PermissionsExt as _;
        let directory = tempfile::tempdir().unwrap();
        let closed = directory.path().join("closed");
        std::fs::create_dir(&closed).unwrap();
        std::fs::set_permissions(&closed, std::fs::Permissions::from_mode(0o000)).unwrap();
        // Root without the privilege to pass over permissions.
        let arguments = format!(
            "--bounding-set -dac_override,-dac_read_search {HANDWAVE} serve --addr 10.7.0.1/24 --http 80={}",
            closed.display()
        );
        let output = command("setpriv", &arguments).output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(3), "{errors}");
        assert!(errors.contains("Permission denied"), "{errors}");
        assert!(!ip("link").contains("hw0"), "no interface is made for it");
    });
}

#[test]
fn an_interface_with_one_queue_is_told_from_one_with_several() {
    in_namespace(&[], || {
        ip("tuntap add dev one mode tun");
        ip("tuntap add dev many mode tun multi_queue");
        let serve = |more: &str| format!("serve --addr 10.7.0.1/24 --echo 7 {more}");
        let (code, errors) = failure(&serve("--tun one --queues 2"));
        assert_eq!(code, Some(2), "{errors}");
        assert!(errors.contains("one has one queue and not 2"), "{errors}");
        assert!(errors.contains("multi_queue"), "what to do: {errors}");
        let (code, errors) = failure(&serve("--queues 0"));
        assert_eq!(code, Some(2), "{errors}");
        drop(Running::handwave(&serve("--tun many --queues 2")));
        drop(Running::handwave(&serve("--tun many --offload off")));
        drop(Running::handwave(&serve("--tun one --queues 1")));
    });
}

#[test]
fn a_busy_interface_is_told() {
    in_namespace(&[], || {
        let _server = Running::handwave("serve --addr 10.7.0.1/24 --echo 7");
        let (code, errors) = failure("serve --addr 10.7.0.1/24 --echo 7");
        assert_eq!(code, Some(1), "{errors}");
        assert!(errors.contains("hw0 is in use"), "{errors}");
    });
}

#[test]
fn without_privilege_the_command_that_helps_is_shown() {
    in_namespace(&[], || {
        let arguments =
            format!("--bounding-set -net_admin {HANDWAVE} serve --addr 10.7.0.1/24 --echo 7");
        let output = command("setpriv", &arguments).output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(4), "{errors}");
        for line in [
            format!("try: sudo {HANDWAVE} serve --addr 10.7.0.1/24 --echo 7"),
            format!("try: sudo setcap cap_net_admin+ep {HANDWAVE}"),
        ] {
            assert!(errors.contains(&line), "{errors}");
        }
    });
}

#[test]
fn without_the_device_that_is_what_is_told() {
    in_namespace(&["sh", "mount"], || {
        let folder = tempfile::tempdir().unwrap();
        let script = folder.path().join("run.sh");
        // A mount namespace in which the directory of the device is empty.
        let text = format!(
            "mount -t tmpfs none /dev/net && exec {HANDWAVE} serve --addr 10.7.0.1/24 --echo 7\n"
        );
        std::fs::write(&script, text).unwrap();
        let output = command("unshare", &format!("--mount sh {}", script.display()))
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{errors}");
        assert!(errors.contains("there is no /dev/net/tun"), "{errors}");
    });
}
