//! Finds the program to look into.

use std::io;
use std::path::{Path, PathBuf};

use handwave::control::{Client, candidates, directories};

use crate::args::LookArgs;
use crate::failure::{Failure, Kind};

/// A connection to the program asked for, or else to the only one there is.
pub(crate) fn client(args: &LookArgs) -> Result<Client, Failure> {
    if let Some(path) = &args.control {
        return Client::connect(path).map_err(|error| cannot_ask(path, &error));
    }
    let mut unusable = None;
    let mut found = Vec::new();
    for path in candidates() {
        match Client::connect(&path) {
            Ok(client) => found.push(client),
            Err(error) if is_gone(&error) => {}
            Err(error) => unusable = Some((path, error)),
        }
    }
    match (found.len(), unusable) {
        (0, Some((path, error))) => Err(cannot_ask(&path, &error)),
        (0, None) => Err(nobody(&directories())),
        (1, _) => Ok(found.remove(0)),
        _ => Err(several(&found)),
    }
}

/// Whether the process has ended or is about to.
fn is_gone(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound | io::ErrorKind::UnexpectedEof
    )
}

fn cannot_ask(path: &Path, error: &io::Error) -> Failure {
    let kind = match error.kind() {
        io::ErrorKind::PermissionDenied => Kind::Privilege,
        _ => Kind::Failed,
    };
    let place = path.display();
    let failure = Failure::new(kind, format!("cannot look into the program at {place}"));
    match error.kind() {
        io::ErrorKind::PermissionDenied => failure
            .because("the socket is another user's, and only that user may look")
            .hint("the same command as that user, or with sudo"),
        io::ErrorKind::NotFound => failure
            .because("there is no such socket")
            .hint("the path that was given to handwave serve --control"),
        io::ErrorKind::ConnectionRefused => failure
            .because("its process has ended")
            .hint("without --control, which finds one that runs"),
        _ => failure.because(error),
    }
}

fn nobody(looked_in: &[PathBuf]) -> Failure {
    let looked_in = looked_in.iter().map(|path| path.display().to_string());
    let looked_in: Vec<_> = looked_in.collect();
    Failure::new(Kind::Failed, "there is no program to look into")
        .because(format!("nobody answers in {}", looked_in.join(" or ")))
        .hint("handwave serve --addr 10.7.0.1/24 --echo 7   (which lets itself be looked into)")
        .hint("the same command with sudo, if the program was started with sudo")
        .hint("--control PATH, if the program was started with that")
}

fn several(found: &[Client]) -> Failure {
    let what = format!("there are {} programs to look into", found.len());
    let failure = Failure::new(Kind::Usage, what).because("which one is not said");
    found.iter().fold(failure, |failure, client| {
        let (path, hello) = (client.path().display(), client.hello());
        let (program, pid) = (&hello.program, hello.pid);
        failure.hint(format!("--control {path}   ({program}, process {pid})"))
    })
}

/// A failure after the beginning.
pub(crate) fn lost(path: &Path, error: &io::Error) -> Failure {
    let place = path.display();
    let what = format!("the program at {place} does not answer any more");
    let failure = Failure::new(Kind::Failed, what);
    match error.kind() {
        io::ErrorKind::UnexpectedEof => failure.because("it has hung up, or ended"),
        _ => failure.because(error),
    }
}
