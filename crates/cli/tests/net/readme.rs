//! What README tells the reader to type with root, typed.

use std::io::Write as _;
use std::net::TcpListener;
use std::path::Path;
use std::thread;

use crate::common::{HANDWAVE, Running, command, in_namespace, ip, octets, run};

/// The `sh` block with that number, from 0, of a section of README: its commands without their `sudo`.
fn block(section: &str, number: usize) -> Vec<String> {
    let page = include_str!("../../../../README.md");
    let mut sections = page.split("\n## ");
    let section = sections
        .find_map(|text| text.strip_prefix(section))
        .unwrap();
    let blocks: Vec<_> = section
        .split("```sh\n")
        .skip(1)
        .map(|block| block.split("```").next().unwrap())
        .filter(|block| !block.starts_with("cargo "))
        .collect();
    let block = blocks[number].replace("\\\n", " ");
    let lines = block
        .lines()
        .map(|line| line.strip_prefix("sudo ").unwrap_or(line));
    lines.map(str::to_owned).collect()
}

#[test]
fn there_is_a_test_here_for_each_block() {
    let page = include_str!("../../../../README.md");
    let blocks = page.split("```sh\n").skip(1);
    let with_root = blocks.filter(|block| block.starts_with("sudo ") || block.starts_with("curl "));
    assert_eq!(with_root.count(), 7);
}

/// The arguments of a command that runs the program.
fn arguments(line: &str) -> &str {
    line.strip_prefix("handwave ").unwrap()
}

#[test]
fn serving_a_directory_as_readme_shows_it() {
    in_namespace(&["curl"], || {
        let [serve] = &block("With root", 0)[..] else {
            panic!("README shows one command that goes on");
        };
        let [upload, fetch] = &block("With root", 1)[..] else {
            panic!("README shows an upload and a download");
        };
        let served = tempfile::tempdir().unwrap();
        let here = tempfile::tempdir().unwrap();
        let file = octets(300_000);
        std::fs::write(here.path().join("FILE"), &file).unwrap();
        let mut server = command(HANDWAVE, arguments(serve));
        server.current_dir(served.path());
        let server = Running::start(server);
        let curl = |line: &str| {
            let arguments = line.strip_prefix("curl ").unwrap();
            let mut curl = command("curl", &format!("-sSf --max-time 90 {arguments}"));
            let output = curl.current_dir(here.path()).output().unwrap();
            let errors = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "curl {arguments}: {errors}");
            output.stdout
        };
        curl(upload);
        let uploaded = std::fs::read(served.path().join("FILE")).unwrap();
        assert!(uploaded == file, "other octets were uploaded");
        assert!(curl(fetch) == file, "other octets were fetched");
        server.signal("INT");
        assert_eq!(server.end(), (Some(0), String::new()));
    });
}

/// Runs lines as a shell does, with names of network namespaces that nobody else sees, and returns what they print. `handwave` goes on
/// beside the lines after it and ends with the last.
fn shell(lines: &[String], folder: &Path) -> String {
    let mut script = "set -e\nmount -t tmpfs none /run\n".to_owned();
    for line in lines {
        script += &match line.strip_prefix("handwave ") {
            Some(arguments) => format!(
                "setpriv --pdeathsig KILL {HANDWAVE} {arguments} >{0}/banner &\nprogram=$!\n\
                 until grep -q Ctrl-C {0}/banner; do kill -0 $program; sleep 0.02; done\n",
                folder.display()
            ),
            None => format!("{line}\n"),
        };
    }
    script += "kill -INT $program\nwait $program\n";
    let file = folder.join("lines.sh");
    std::fs::write(&file, script).unwrap();
    run("unshare", &format!("--mount sh {}", file.display()))
}

#[test]
fn a_sandbox_as_readme_shows_it() {
    in_namespace(&["curl", "mount"], || {
        // Where the sandbox has no way of its own: the host's network.
        ip("addr add 198.51.100.1/32 dev lo");
        let server = TcpListener::bind("198.51.100.1:80").unwrap();
        thread::spawn(move || {
            let (mut stream, _) = server.accept().unwrap();
            let answer = b"HTTP/1.0 200 OK\r\nContent-Length: 8\r\n\r\nthe host";
            stream.write_all(answer).unwrap();
            let _ = std::io::copy(&mut stream, &mut std::io::sink());
        });
        let lines: Vec<_> = block("With root", 2)
            .into_iter()
            .map(|line| {
                line.replace("HOST", "198.51.100.1")
                    .replace("curl ", "curl -sSf ")
            })
            .collect();
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(shell(&lines, folder.path()), "the host");
    });
}

#[test]
fn a_bad_line_as_readme_shows_it() {
    in_namespace(&["mount", "ping"], || {
        let folder = tempfile::tempdir().unwrap();
        let printed = shell(&block("With root", 3), folder.path());
        assert!(printed.contains("5 packets transmitted"), "{printed}");
        // There and back again.
        assert!(printed.contains("time=4"), "{printed}");
    });
}

#[test]
fn a_connection_as_readme_shows_it() {
    in_namespace(&[], || {
        let [connect] = &block("With root", 4)[..] else {
            panic!("README shows one connection");
        };
        let server = TcpListener::bind("0.0.0.0:22").unwrap();
        thread::spawn(move || {
            server
                .accept()
                .unwrap()
                .0
                .write_all(b"SSH-2.0-test\r\n")
                .unwrap()
        });
        assert_eq!(run(HANDWAVE, arguments(connect)), "SSH-2.0-test\r\n");
    });
}

#[test]
fn what_an_operator_under_attack_types() {
    in_namespace(&["curl"], || {
        let [serve] = &block("Under attack", 1)[..] else {
            panic!("README shows one server");
        };
        // Other tests have servers, too, which would be found as well.
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("socket");
        let with_socket = |line: &str| {
            let mut command = command(HANDWAVE, arguments(line));
            command.arg("--control").arg(&socket);
            command
        };
        let _server = Running::start(with_socket(serve));
        let url = "http://10.8.0.1/ http://127.0.0.1:9100/metrics";
        let answers = run("curl", &format!("-sSf --max-time 90 {url}"));
        assert!(answers.starts_with("Hello, world!"), "{answers}");
        assert!(answers.contains("# HELP "), "{answers}");
        let looks = block("Under attack", 0);
        let expected = [
            "Local Address:Port",
            "Foreign Address",
            "TcpExtSyncookiesRecv",
            ":80",
        ];
        assert_eq!(looks.len(), expected.len());
        for (line, expected) in looks.iter().zip(expected) {
            let output = with_socket(line).output().unwrap();
            let errors = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{line}: {errors}");
            let printed = String::from_utf8_lossy(&output.stdout);
            assert!(printed.contains(expected), "{line}:\n{printed}");
        }
    });
}
