//! The control socket of a running program, and who looks into it.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use crate::common::{HANDWAVE, Running, command, handwave, in_namespace};

const SERVE: &str = "serve --addr 10.7.0.1/24 --echo 7";

/// A program whose control socket is where programs find it by themselves, in a directory of this test's own.
fn serve(runtime: &tempfile::TempDir, arguments: &str) -> Running {
    let mut serve = command(HANDWAVE, arguments);
    serve.env("XDG_RUNTIME_DIR", runtime.path());
    Running::start(serve)
}

/// The control sockets in such a directory.
fn sockets(runtime: &tempfile::TempDir) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(runtime.path().join("handwave"));
    let entries = entries.into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}

#[test]
fn a_socket_is_there_while_the_program_runs_unless_it_is_not_wished() {
    in_namespace(&[], || {
        let runtime = tempfile::tempdir().unwrap();
        let server = serve(&runtime, SERVE);
        let there = sockets(&runtime);
        assert_eq!(there.len(), 1, "{there:?}");
        let mode = std::fs::metadata(&there[0]).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        server.signal("INT");
        assert_eq!(server.end(), (Some(0), String::new()));
        assert!(sockets(&runtime).is_empty());

        let _server = serve(&runtime, &format!("{SERVE} --no-control"));
        assert_eq!(sockets(&runtime).len(), 0);
    });
}

#[test]
fn a_path_that_cannot_be_had_is_an_error_only_where_it_was_asked_for() {
    in_namespace(&["sh", "mount"], || {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("control.sock");
        let with_path = format!("{SERVE} --control {}", path.display());
        let first = Running::handwave(&with_path);
        assert!(path.exists());
        let second = handwave(&with_path.replace("--echo", "--tun hw1 --echo"));
        let errors = String::from_utf8_lossy(&second.stderr);
        assert_eq!(second.status.code(), Some(1), "{errors}");
        for part in [
            "cannot open the control socket",
            "is in use",
            "handwave ss --control",
        ] {
            assert!(errors.contains(part), "{errors}");
        }
        drop(first);
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, "precious").unwrap();
        let third = handwave(&with_path);
        let errors = String::from_utf8_lossy(&third.stderr);
        assert_eq!(third.status.code(), Some(2), "{errors}");
        assert!(errors.contains("is no socket"), "{errors}");
        assert_eq!(std::fs::read(&path).unwrap(), b"precious");

        // Nothing can be written to where sockets are by themselves.
        let script = folder.path().join("run.sh");
        let text = format!(
            "mount -t tmpfs -o ro none /run && mount -t tmpfs -o ro none /tmp && exec {HANDWAVE} {SERVE}\n"
        );
        std::fs::write(&script, text).unwrap();
        let arguments = format!("--mount sh {}", script.display());
        let mut fourth = command("unshare", &arguments);
        fourth.env_remove("XDG_RUNTIME_DIR");
        let fourth = Running::start(fourth);
        fourth.signal("INT");
        let (code, errors) = fourth.end();
        assert_eq!(code, Some(0), "{errors}");
        let warning = "there is no control socket for `handwave ss`";
        assert!(errors.contains(warning), "{errors}");
    });
}
