//! `PUT`: a file appears under its name once all of it has arrived, or not at all.

use std::io;
use std::path::{Component, Path, PathBuf};

use axum::body::Body;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use http_body_util::BodyExt as _;
use percent_encoding::percent_decode_str;
use tempfile::NamedTempFile;
use tokio::io::AsyncWriteExt as _;

/// What uploads are called until they are complete.
const PREFIX: &str = ".handwave-upload-";

/// Why there is no file.
#[derive(Debug)]
enum Refusal {
    /// The path leaves the directory, or is none.
    BadPath,
    /// The directory it should be in does not exist.
    NoParent,
    /// A directory has that name.
    IsDirectory,
    /// The client went away in the middle, or does not speak HTTP.
    Interrupted,
    /// The system does not take it.
    System(io::Error),
}

/// Receives a file into `directory`, in place of one of the same name.
pub(super) async fn receive(directory: &Path, path: &str, body: Body) -> Response {
    match store(directory, path, body).await {
        Ok(status) => status.into_response(),
        Err(refusal) => refusal.into_response(path),
    }
}

async fn store(directory: &Path, path: &str, body: Body) -> Result<StatusCode, Refusal> {
    let target = target(directory, path)?;
    let folder = target.parent().ok_or(Refusal::BadPath)?.to_owned();
    // Removed when dropped, wherever this ends.
    let file = blocking(move || {
        tempfile::Builder::new()
            .prefix(PREFIX)
            .permissions(permissions())
            .tempfile_in(folder)
    })
    .await?;
    write(&file, body).await?;
    blocking(move || {
        let is_new = !target.exists();
        file.persist(&target).map_err(|error| error.error)?;
        Ok(match is_new {
            true => StatusCode::CREATED,
            false => StatusCode::NO_CONTENT,
        })
    })
    .await
}

/// What an ordinary file gets, less the process's mask.
fn permissions() -> std::fs::Permissions {
    std::os::unix::fs::PermissionsExt::from_mode(0o666)
}

/// Where the file goes: inside `directory`, symbolic links followed.
fn target(directory: &Path, path: &str) -> Result<PathBuf, Refusal> {
    let decoded = percent_decode_str(path)
        .decode_utf8()
        .map_err(|_| Refusal::BadPath)?;
    let relative = Path::new(decoded.trim_start_matches('/'));
    let is_plain = |part| matches!(part, Component::Normal(_));
    if decoded.ends_with('/') || decoded.contains('\0') || !relative.components().all(is_plain) {
        return Err(Refusal::BadPath);
    }
    let name = relative.file_name().ok_or(Refusal::BadPath)?;
    let folder = directory.join(relative.parent().unwrap_or(Path::new("")));
    let folder = folder.canonicalize().map_err(|_| Refusal::NoParent)?;
    if !folder.starts_with(directory) {
        return Err(Refusal::BadPath);
    }
    if !folder.is_dir() {
        return Err(Refusal::NoParent);
    }
    let target = folder.join(name);
    match target.is_dir() {
        true => Err(Refusal::IsDirectory),
        false => Ok(target),
    }
}

async fn write(file: &NamedTempFile, mut body: Body) -> Result<(), Refusal> {
    let mut output = tokio::fs::File::from_std(file.reopen()?);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Refusal::Interrupted)?;
        if let Some(octets) = frame.data_ref() {
            output.write_all(octets).await?;
        }
    }
    Ok(output.flush().await?)
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, Refusal> {
    let done = tokio::task::spawn_blocking(work).await;
    Ok(done.map_err(io::Error::other)??)
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        Self::System(error)
    }
}

impl Refusal {
    fn into_response(self, path: &str) -> Response {
        let (status, text) = match self {
            Self::BadPath => (
                StatusCode::BAD_REQUEST,
                "this is no path of a file in the directory\n",
            ),
            Self::NoParent => (
                StatusCode::CONFLICT,
                "there is no such directory to put it in\n",
            ),
            Self::IsDirectory => (StatusCode::CONFLICT, "a directory has this name\n"),
            Self::Interrupted => (StatusCode::BAD_REQUEST, "the upload was interrupted\n"),
            Self::System(error) => {
                tracing::warn!("PUT {path}: {error}");
                let status = match error.kind() {
                    io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                        StatusCode::FORBIDDEN
                    }
                    io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                        StatusCode::INSUFFICIENT_STORAGE
                    }
                    io::ErrorKind::InvalidFilename => StatusCode::BAD_REQUEST,
                    _ => StatusCode::INTERNAL_SERVER_ERROR,
                };
                (status, "the file cannot be written here\n")
            }
        };
        (status, text).into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uploads_stay_in_their_directory() {
        let root = tempfile::tempdir().unwrap();
        let directory = root.path().canonicalize().unwrap().join("served");
        std::fs::create_dir_all(directory.join("inner")).unwrap();
        std::os::unix::fs::symlink("..", directory.join("outer")).unwrap();
        std::os::unix::fs::symlink("inner", directory.join("same")).unwrap();
        for (path, file) in [
            ("/file", "file"),
            ("/inner/file", "inner/file"),
            ("/same/file", "inner/file"),
            ("//file", "file"),
            ("/a%20b", "a b"),
        ] {
            assert_eq!(
                target(&directory, path).unwrap(),
                directory.join(file),
                "{path}"
            );
        }
        for path in [
            "/",
            "",
            "/..",
            "/../file",
            "/inner/../../file",
            "/%2e%2e/file",
            "/..%2ffile",
            "/outer/file",
            "/inner/",
            "/file%00",
            "/%ff",
        ] {
            let refused = target(&directory, path).unwrap_err();
            assert!(matches!(refused, Refusal::BadPath), "{path}: {refused:?}");
        }
        assert!(matches!(
            target(&directory, "/inner"),
            Err(Refusal::IsDirectory)
        ));
        assert!(matches!(
            target(&directory, "/none/file"),
            Err(Refusal::NoParent)
        ));
    }
}
