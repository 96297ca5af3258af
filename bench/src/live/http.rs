//! `http`: the same axum application over our TCP and over the kernel's, loaded by `wrk`.

use std::io;
use std::net::Ipv4Addr;
use std::process::Command;

use axum::Router;
use axum::routing::get;

use super::contestant::{HTTP, Mode, Running, SERVER, client_tun, control_as_usual};
use super::{Settings, handwave_async, ready, two_tuns};
use crate::report::{Better, Report, median};

/// Connections that `wrk` keeps open.
const CONNECTIONS: [u32; 2] = [1, 64];

/// Runs all cases.
pub(crate) fn run(report: &mut Report, settings: &Settings) {
    if Command::new("wrk").arg("-v").output().is_err() {
        eprintln!("SKIPPED http: there is no program `wrk`");
        return;
    }
    if !ready("http") {
        return;
    }
    for connections in CONNECTIONS {
        let (mut ours, mut kernels) = (Vec::new(), Vec::new());
        for _ in 0..settings.rounds {
            ours.extend(turn(over_handwave, settings, connections));
            kernels.extend(turn(over_the_kernel, settings, connections));
        }
        let figures = (
            median(&mut ours),
            median(&mut kernels),
            "axum on the kernel, two TUNs",
        );
        let case = format!("axum-{connections}-connections");
        report.add("http", case, "req/s", Better::More, figures);
    }
}

fn turn(start: fn() -> io::Result<Running>, settings: &Settings, connections: u32) -> Option<f64> {
    let running = start();
    let figure = running.and_then(|_running| wrk(settings, connections));
    figure
        .inspect_err(|error| eprintln!("a turn was missed: {error}"))
        .ok()
}

/// Requests a second, as `wrk` counts them.
fn wrk(settings: &Settings, connections: u32) -> io::Result<f64> {
    let output = Command::new("wrk")
        .args(["-t", "1", "-c", &connections.to_string()])
        .args(["-d", &settings.span.as_secs().max(1).to_string()])
        .arg(format!("http://{}:{HTTP}/", Ipv4Addr::from(SERVER)))
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let rate = text
        .lines()
        .find_map(|line| line.trim().strip_prefix("Requests/sec:"))
        .and_then(|rate| rate.trim().parse().ok());
    rate.ok_or_else(|| io::Error::other(format!("wrk says no rate: {text}")))
}

fn application() -> Router {
    Router::new().route("/", get(|| async { "Hello, world!" }))
}

fn over_handwave() -> io::Result<Running> {
    let tun = client_tun(Mode::Offload)?;
    handwave_async::run(|| async move {
        let stack = handwave_async::stack([tun])?;
        let listener = handwave::TcpListener::bind(&stack, (SERVER, HTTP).into())?;
        tokio::spawn(async move { axum::serve(listener, application()).await });
        Ok(stack)
    })
}

fn over_the_kernel() -> io::Result<Running> {
    let near = client_tun(Mode::Offload)?;
    two_tuns::on_runtime(
        near,
        || {},
        async |_| {
            let listener = tokio::net::TcpListener::bind((Ipv4Addr::from(SERVER), HTTP)).await?;
            control_as_usual(&listener)?;
            tokio::spawn(async move { axum::serve(listener, application()).await });
            Ok(())
        },
    )
}
