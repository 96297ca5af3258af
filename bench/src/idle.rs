//! `idle`: what a connection costs that nobody uses, tables and timers included: established (below and above the async layer), half
//! open, in TIME-WAIT.
//!
//! Everything is the growth of the process's resident memory, beside the limit that the design sets.

use std::io;
use std::pin::Pin;
use std::task::{Context, Waker};

use handwave::{ListenerConfig, StackConfig, TcpListener, TcpStream, device};
use handwave_tcp::Config;
use tokio::io::{AsyncRead, ReadBuf};

use crate::crowd::Crowd;
use crate::report::{Better, Report};
use crate::syn_flood;

/// Octets that an idle connection may take, all in (no buffers).
const BUDGET: f64 = 640.0;
/// Octets of a half-open connection, and of one in TIME-WAIT.
const RECORD_BUDGET: f64 = 96.0;
/// Connections to one port: well below the number of ephemeral ports.
const PER_PORT: usize = 10_000;
const SERVER: [u8; 4] = [10, 0, 0, 2];

/// What can be measured, and its budget.
const CASES: [(&str, f64); 4] = [
    ("established", BUDGET),
    ("established-async", BUDGET),
    ("half-open", RECORD_BUDGET),
    ("time-wait", RECORD_BUDGET),
];

/// Measures each case in a process of its own: memory that another has freed would be used again, and not be seen.
pub(crate) fn run(report: &mut Report, connections: &[usize]) {
    if resident().is_none() {
        eprintln!(
            "idle: the resident memory cannot be read on this system (no /proc/self/statm); skipped"
        );
        return;
    }
    for &count in connections {
        for (case, budget) in CASES {
            match alone(case, count) {
                Ok(each) => {
                    let name = format!("{case}-{count}");
                    let figures = (each, budget, "budget");
                    report.add("idle", name, "octets", Better::Less, figures);
                }
                Err(error) => eprintln!("idle: {case} with {count}: {error}"),
            }
        }
    }
}

fn alone(case: &str, count: usize) -> io::Result<f64> {
    let output = std::process::Command::new(std::env::current_exe()?)
        .args(["idle", "--case", case, "--connections", &count.to_string()])
        .stderr(std::process::Stdio::inherit())
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    text.trim().parse().map_err(io::Error::other)
}

/// Measures one case in this process and prints its figure.
pub(crate) fn print(case: &str, connections: &[usize]) {
    let &[count] = connections else { return };
    let each = match case {
        "established" => established(count),
        "established-async" => with_sockets(count).ok().flatten(),
        "half-open" => syn_flood::half_open(count as u64),
        "time-wait" => in_time_wait(count),
        _ => None,
    };
    if let Some(each) = each {
        println!("{each}");
    }
}

/// What each end takes in a stack that its owner drives himself.
fn established(count: usize) -> Option<f64> {
    let mut crowd = Crowd::new(count, Config::default());
    let before = resident()?;
    crowd.open(count);
    Some(growth(before, 2 * count))
}

fn in_time_wait(count: usize) -> Option<f64> {
    let mut crowd = Crowd::new(count, Config::default());
    // What all connections need at a time that are not over yet.
    crowd.pass(64);
    let before = resident()?;
    crowd.pass(count);
    let each = growth(before, count);
    assert_eq!(crowd.time_waits(), count + 64, "none has run out");
    Some(each)
}

/// What each end takes as a stream that somebody waits at to read.
fn with_sockets(count: usize) -> io::Result<Option<f64>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let (left, right) = device::pair(1_500, 256);
        let stack = |device, last| {
            let config = StackConfig {
                connections_max: count + 64,
                ..StackConfig::default()
            };
            handwave::Stack::builder()
                .device(device)
                .address([10, 0, 0, last], 24)
                .config(config)
                .spawn()
        };
        let (client, server) = (stack(left, 1)?, stack(right, 2)?);
        let listeners = (0..=count / PER_PORT)
            .map(|_| {
                let any_port = (SERVER, 0).into();
                TcpListener::bind_with(&server, any_port, ListenerConfig::default())
            })
            .collect::<io::Result<Vec<_>>>()?;
        let mut streams = Vec::with_capacity(2 * count);
        let Some(before) = resident() else {
            return Ok(None);
        };
        for n in 0..count {
            let listener = &listeners[n / PER_PORT];
            streams.push(TcpStream::connect(&client, listener.local_addr()?).await?);
            streams.push(listener.accept().await?.0);
        }
        let mut cx = Context::from_waker(Waker::noop());
        for stream in &mut streams {
            let mut octet = [0];
            let read = Pin::new(stream).poll_read(&mut cx, &mut ReadBuf::new(&mut octet));
            assert!(read.is_pending(), "nothing comes");
        }
        Ok(Some(growth(before, streams.len())))
    })
}

/// By how much resident memory has grown for each of so many.
#[expect(clippy::cast_precision_loss, reason = "memory sizes fit 52 bits")]
fn growth(before: u64, count: usize) -> f64 {
    let after = resident().unwrap_or(before);
    after.saturating_sub(before) as f64 / count as f64
}

/// Octets of resident memory.
pub(crate) fn resident() -> Option<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split_whitespace().nth(1)?.parse().ok()?;
    Some(pages * 4096)
}
