//! `--http`: the files of a directory, and uploads into it.

mod upload;

use std::path::{Path, PathBuf};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::serve::ListenerExt as _;
use handwave::TcpListener;
use tower::ServiceExt as _;
use tower_http::services::ServeDir;

use crate::args::ServedDirectory;
use crate::failure::{Failure, Kind};
use crate::live::Tasks;

/// A directory that can be served.
#[derive(Clone, Debug)]
pub(super) struct Directory {
    port: u16,
    /// Without symbolic links.
    path: PathBuf,
}

impl Directory {
    /// Makes sure that it is a directory, and that it can be read.
    pub(super) fn open(served: &ServedDirectory) -> Result<Self, Failure> {
        let path = std::fs::canonicalize(&served.path);
        let readable = path.and_then(|path| std::fs::read_dir(&path).map(|_| path));
        let path = readable.map_err(|error| {
            let failure = Failure::new(
                Kind::Input,
                format!("cannot serve {}", served.path.display()),
            );
            let failure = failure.because(&error);
            match error.kind() {
                std::io::ErrorKind::NotFound => failure.hint("the path of a directory that exists"),
                std::io::ErrorKind::NotADirectory => failure.hint("the directory the file is in"),
                std::io::ErrorKind::PermissionDenied => {
                    failure.hint("a directory this user may list, or another user")
                }
                _ => failure,
            }
        })?;
        Ok(Self {
            port: served.port,
            path,
        })
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

/// Serves until asked to end; answers that have begun are completed.
pub(super) async fn serve(listener: TcpListener, directory: Directory, tasks: Tasks) {
    let app = Router::new().fallback(answer).with_state(directory);
    let listener = listener.tap_io(|stream| {
        // Fails only if the stack is gone, which whoever reads from the stream learns, too.
        let _ = stream.set_nodelay(true);
    });
    let stop = async move { tasks.stopped().await };
    // It ends without an error, whatever its signature says.
    let _ = axum::serve(listener, app)
        .with_graceful_shutdown(stop)
        .await;
}

async fn answer(State(directory): State<Directory>, request: Request) -> Response {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let response = match method {
        Method::PUT => upload::receive(&directory.path, &path, request.into_body()).await,
        Method::GET | Method::HEAD => fetch(&directory.path, request).await,
        _ => {
            let allowed = HeaderValue::from_static("GET, HEAD, PUT");
            (StatusCode::METHOD_NOT_ALLOWED, [(header::ALLOW, allowed)]).into_response()
        }
    };
    tracing::info!("{method} {path}: {}", response.status());
    response
}

async fn fetch(directory: &Path, request: Request) -> Response {
    match ServeDir::new(directory).oneshot(request).await {
        Ok(response) => response.map(Body::new),
        Err(never) => match never {},
    }
}
