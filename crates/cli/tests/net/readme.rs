//! What README tells the reader to type with root, typed.

use std::io::Write as _;
use std::net::TcpListener;
use std::path::Path;
use std::thread;

use crate::common::{HANDWAVE, Running, command, in_namespace, ip, octets, run};

/// The `sh` block of README's section with that number, from 0, each line without its `sudo`.
fn block(number: usize) -> Vec<&'static str> {
    let page = include_str!("../../../../README.md");
    let section = page
        .split("## ")
        .find_map(|section| section.strip_prefix("With root"));
    let blocks: Vec<_> = section
        .unwrap()
        .split("```sh\n")
        .skip(1)
        .map(|block| block.split("```").next().unwrap())
        .filter(|block| !block.starts_with("cargo "))
        .collect();
    assert_eq!(blocks.len(), 5, "a test here for each block of README");
    let lines = blocks[number].lines();
    lines
        .map(|line| line.strip_prefix("sudo ").unwrap_or(line))
        .collect()
}

#[test]
fn serving_a_directory_as_readme_shows_it() {
    in_namespace(&["curl"], || {
        let [serve] = block(0)[..] else {
            panic!("README shows one command that goes on");
        };
        let [upload, fetch] = block(1)[..] else {
            panic!("README shows an upload and a download");
        };
        let served = tempfile::tempdir().unwrap();
        let here = tempfile::tempdir().unwrap();
        let file = octets(300_000);
        std::fs::write(here.path().join("FILE"), &file).unwrap();
        let mut server = command(HANDWAVE, serve.strip_prefix("handwave ").unwrap());
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
fn shell(lines: &[&str], folder: &Path) -> String {
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
        let lines: Vec<_> = block(2)
            .into_iter()
            .map(|line| {
                line.replace("HOST", "198.51.100.1")
                    .replace("curl ", "curl -sSf ")
            })
            .collect();
        let lines: Vec<_> = lines.iter().map(String::as_str).collect();
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(shell(&lines, folder.path()), "the host");
    });
}

#[test]
fn a_bad_line_as_readme_shows_it() {
    in_namespace(&["mount", "ping"], || {
        let folder = tempfile::tempdir().unwrap();
        let printed = shell(&block(3), folder.path());
        assert!(printed.contains("5 packets transmitted"), "{printed}");
        // There and back again.
        assert!(printed.contains("time=4"), "{printed}");
    });
}

#[test]
fn a_connection_as_readme_shows_it() {
    in_namespace(&[], || {
        let [connect] = block(4)[..] else {
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
        let arguments = connect.strip_prefix("handwave ").unwrap();
        assert_eq!(run(HANDWAVE, arguments), "SSH-2.0-test\r\n");
    });
}
