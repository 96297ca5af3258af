//! The benchmarks run, briefly, and print what they promise: one JSON object a line with all its fields.

use std::process::Command;

fn figures(arguments: &[&str]) -> Vec<serde_json::Value> {
    let run = Command::new(env!("CARGO_BIN_EXE_handwave-bench"))
        .args(arguments)
        .output()
        .expect("the benchmark starts");
    assert!(
        run.status.success(),
        "{arguments:?}: {}",
        String::from_utf8_lossy(&run.stderr)
    );
    let lines = String::from_utf8(run.stdout).expect("JSON is UTF-8");
    lines
        .lines()
        .map(|line| serde_json::from_str(line).expect("each line is one JSON object"))
        .collect()
}

fn check(figure: &serde_json::Value, bench: &str) {
    assert_eq!(figure["bench"], bench);
    for field in ["case", "unit", "peer_name"] {
        assert!(figure[field].is_string(), "{field} of {figure}");
    }
    for field in ["ours", "peer", "ratio"] {
        let number = figure[field].as_f64();
        assert!(
            number.is_some_and(|number| number > 0.0),
            "{field} of {figure}"
        );
    }
}

#[test]
fn bulk_compares_with_smoltcp_and_with_idle_neighbours() {
    let figures = figures(&["bulk", "--rounds", "1", "--millis", "3", "--idle", "0,20"]);
    figures.iter().for_each(|figure| check(figure, "bulk"));
    let has = |case: &str, peer: &str| {
        figures.iter().any(|figure| {
            figure["case"] == case
                && figure["peer_name"]
                    .as_str()
                    .is_some_and(|name| name.contains(peer))
        })
    };
    assert!(has("mtu1500-idle0", "smoltcp"), "{figures:?}");
    assert!(has("mtu1500-idle20", "no idle connections"), "{figures:?}");
    for case in ["", "-slices", "-chunks", "-chunks-slices"] {
        let case = format!("mtu1500-super-segments{case}");
        assert!(has(&case, "smoltcp"), "{figures:?}");
    }
    assert!(has("mtu1500-limit-chunks", "two sums"), "{figures:?}");
    assert!(has("mtu1500-memcpy", "one copy"), "{figures:?}");
}

#[test]
fn idle_measures_memory_against_the_budget() {
    let figures = figures(&["idle", "--connections", "200"]);
    figures.iter().for_each(|figure| check(figure, "idle"));
}

#[test]
fn handshakes_are_counted_against_the_aim() {
    let figures = figures(&["handshakes", "--rounds", "1", "--millis", "1"]);
    figures
        .iter()
        .for_each(|figure| check(figure, "handshakes"));
    assert_eq!(figures.len(), 2);
}

#[test]
fn scale_compares_crowds_and_losses_with_one_connection() {
    let figures = figures(&[
        "scale",
        "--rounds",
        "1",
        "--millis",
        "3",
        "--connections",
        "50",
    ]);
    figures.iter().for_each(|figure| check(figure, "scale"));
    // Huge pages are measured where the C library and the kernel have them.
    let cases: Vec<&str> = figures
        .iter()
        .filter_map(|figure| figure["case"].as_str())
        .filter(|case| !case.ends_with("-huge-pages"))
        .collect();
    assert_eq!(
        cases,
        [
            "idle-50",
            "active-50",
            "loss-1-in-1000",
            "loss-1-in-100",
            "loss-1-in-20"
        ]
    );
}

#[test]
fn timers_are_counted_against_the_budget() {
    let figures = figures(&["timers", "--rounds", "1", "--connections", "50"]);
    figures.iter().for_each(|figure| check(figure, "timers"));
}

#[cfg(target_os = "linux")]
#[test]
fn everybody_has_a_turn_over_a_real_tun_or_the_benchmark_says_why_not() {
    for (bench, cases) in [
        ("tun", ["mtu1500-in", "offload-out"]),
        ("rr", ["mtu1500", "offload-p99"]),
        ("conn", ["1-at-a-time", "plain-64-at-a-time"]),
    ] {
        let run = Command::new(env!("CARGO_BIN_EXE_handwave-bench"))
            .args([bench, "--rounds", "1", "--millis", "20"])
            .output()
            .expect("the benchmark starts");
        let said = String::from_utf8_lossy(&run.stderr).into_owned();
        assert!(run.status.success(), "{bench}: {said}");
        if let Some(skipped) = said.lines().find(|line| line.starts_with("SKIPPED")) {
            use std::io::Write;
            let _told = writeln!(std::io::stderr(), "{skipped}");
            continue;
        }
        let lines = String::from_utf8(run.stdout).expect("JSON is UTF-8");
        let figures: Vec<serde_json::Value> = lines
            .lines()
            .map(|line| serde_json::from_str(line).expect("each line is one JSON object"))
            .collect();
        figures.iter().for_each(|figure| check(figure, bench));
        for case in cases {
            for peer in ["floor", "the kernel, two TUNs"] {
                let has = figures
                    .iter()
                    .any(|figure| figure["case"] == case && figure["peer_name"] == peer);
                assert!(has, "{bench} {case} beside {peer}: {said}");
            }
        }
    }
}

#[test]
fn a_syn_flood_is_answered_without_memory_while_honest_clients_are_served() {
    let figures = figures(&["syn-flood", "--syns", "20000", "--rounds", "1"]);
    for figure in &figures {
        assert_eq!(figure["bench"], "syn-flood");
        assert!(figure["ours"].is_number(), "{figure}");
    }
    let of = |case: &str| {
        figures
            .iter()
            .find(|figure| {
                figure["case"]
                    .as_str()
                    .is_some_and(|name| name.starts_with(case))
            })
            .unwrap_or_else(|| panic!("{case} in {figures:?}"))
    };
    assert_eq!(of("cookies")["unit"], "SYN/s");
    assert_eq!(of("honest-served")["ours"], 100.0);
}

/// Runs `markdown` on `input`.
fn markdown(input: &str) -> std::process::Output {
    use std::io::Write;
    use std::process::Stdio;
    let mut run = Command::new(env!("CARGO_BIN_EXE_handwave-bench"))
        .arg("markdown")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the benchmark starts");
    let mut pipe = run.stdin.take().expect("a pipe");
    pipe.write_all(input.as_bytes()).expect("it reads");
    drop(pipe);
    run.wait_with_output().expect("it ends")
}

#[test]
fn a_run_becomes_tables_and_what_is_none_is_refused() {
    let run = figures(&["timers", "--rounds", "1", "--connections", "50"]);
    let lines: String = run.iter().map(|figure| format!("{figure}\n")).collect();
    let tables = markdown(&lines);
    assert_eq!(tables.status.code(), Some(0));
    let text = String::from_utf8(tables.stdout).expect("Markdown is UTF-8");
    assert!(text.contains("of 2 aims are reached"), "{text}");
    assert!(text.contains("### `timers`"), "{text}");

    let refused = markdown("no run\n");
    assert_eq!(refused.status.code(), Some(3));
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("line 1"), "{said}");
}
