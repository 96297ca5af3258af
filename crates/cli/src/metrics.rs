//! `--metrics`: what Prometheus scrapes.
//!
//! It is served by the sockets of the host, not by the stack it tells of, so that it can be read whatever the stack goes through.

mod exposition;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use handwave::Stack;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::failure::{Failure, Kind};
use crate::live::Tasks;

/// What the text is, by RFC 6838 and the OpenMetrics specification.
const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// A place where metrics will be served.
#[derive(Debug)]
pub(crate) struct Metrics {
    listener: TcpListener,
    at: SocketAddr,
}

impl Metrics {
    /// Takes the place, so that it is known at once if it cannot be had.
    pub(crate) async fn bind(at: SocketAddr) -> Result<Self, Failure> {
        let listener = TcpListener::bind(at)
            .await
            .map_err(|error| cannot_serve(at, &error))?;
        if !at.ip().is_loopback() {
            tracing::warn!("the metrics at {at} can be read by other hosts");
        }
        Ok(Self { listener, at })
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/metrics", self.at)
    }

    /// Serves them until the program ends.
    pub(crate) fn start(self, stack: &Stack, tasks: &Tasks) {
        let source = Source {
            stack: stack.clone(),
            turn: Arc::new(Semaphore::new(1)),
        };
        let app = Router::new()
            .route("/metrics", get(scrape))
            .fallback(elsewhere)
            .with_state(source);
        let stopped = tasks.clone();
        tasks.spawn(async move {
            let stop = async move { stopped.stopped().await };
            // It ends without an error, whatever its signature says.
            let _ = axum::serve(self.listener, app)
                .with_graceful_shutdown(stop)
                .await;
        });
    }
}

fn cannot_serve(at: SocketAddr, error: &io::Error) -> Failure {
    let kind = match error.kind() {
        io::ErrorKind::PermissionDenied => Kind::Privilege,
        _ => Kind::Failed,
    };
    let failure = Failure::new(kind, format!("cannot serve metrics at {at}")).because(error);
    match error.kind() {
        io::ErrorKind::AddrInUse => failure.hint("another port for --metrics").hint(format!(
            "ss -ltnp 'sport = :{}'   (shows who has this one)",
            at.port()
        )),
        io::ErrorKind::AddrNotAvailable => failure.hint("an address of this host for --metrics"),
        io::ErrorKind::PermissionDenied => failure.hint("a port from 1024 on for --metrics"),
        _ => failure,
    }
}

/// What a scrape needs.
#[derive(Clone, Debug)]
struct Source {
    stack: Stack,
    /// One scrape at a time: each looks at every socket.
    turn: Arc<Semaphore>,
}

async fn scrape(State(source): State<Source>) -> Response {
    let Ok(turn) = source.turn.acquire_owned().await else {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    };
    let text = tokio::task::spawn_blocking(move || {
        let text = exposition::of(&source.stack);
        drop(turn);
        text
    });
    match text.await {
        Ok(Ok(text)) => ([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response(),
        _ => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

async fn elsewhere() -> (StatusCode, &'static str) {
    (StatusCode::NOT_FOUND, "metrics are at /metrics\n")
}
