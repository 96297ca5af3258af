//! What README tells the reader to type with root, typed.

use crate::common::{HANDWAVE, Running, command, in_namespace, octets};

/// The lines of README.md that begin so.
fn lines(beginning: &str) -> Vec<&'static str> {
    let page = include_str!("../../../../README.md");
    page.lines()
        .filter_map(|line| line.strip_prefix(beginning))
        .collect()
}

#[test]
fn the_commands_that_need_root_work_as_readme_shows_them() {
    in_namespace(&["curl"], || {
        let [serve] = lines("sudo handwave ")[..] else {
            panic!("README shows one command that goes on");
        };
        let [upload, fetch] = lines("curl ")[..] else {
            panic!("README shows an upload and a download");
        };
        let served = tempfile::tempdir().unwrap();
        let here = tempfile::tempdir().unwrap();
        let file = octets(300_000);
        std::fs::write(here.path().join("FILE"), &file).unwrap();
        let mut server = command(HANDWAVE, serve);
        server.current_dir(served.path());
        let server = Running::start(server);
        let curl = |arguments: &str| {
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
