//! What is sent: a file, standard input, or generated octets; with its SHA-256.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;

use bytes::Bytes;
use handwave_sim::Rng;
use sha2::{Digest as _, Sha256};

use crate::args::PayloadArgs;
use crate::failure::{Failure, Kind};

/// The lab keeps the header of every segment, so the data has a limit.
const OCTETS_MAX: u64 = 256 << 20;
const OCTETS_DEFAULT: u64 = 16 << 20;
const CHUNK: usize = 64 * 1024;

/// A SHA-256.
pub(crate) type Hash = [u8; 32];

/// Everything that is to be sent, in pieces.
pub(crate) struct Payload {
    pub(crate) chunks: Vec<Bytes>,
    pub(crate) octets: u64,
    pub(crate) hash: Hash,
    /// What it is, for the summary.
    pub(crate) origin: Origin,
}

/// Where the data comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    Generated,
    File(String),
    Stdin,
}

impl Payload {
    /// Reads or makes what the command line asks for.
    pub(crate) fn from_args(args: &PayloadArgs, seed: u64) -> Result<Self, Failure> {
        if let Some(path) = &args.file {
            let name = path.display().to_string();
            let file = open(path, &name)?;
            return Self::read(file, &format!("cannot read {name}"), Origin::File(name));
        }
        if args.stdin {
            return Self::read(
                std::io::stdin().lock(),
                "cannot read standard input",
                Origin::Stdin,
            );
        }
        let size = args.size.unwrap_or(OCTETS_DEFAULT);
        if size > OCTETS_MAX {
            return Err(Failure::new(Kind::Usage, "--size is too large for the lab").because(LIMIT));
        }
        Ok(Self::generated(size, seed))
    }

    /// Octets that look random and are the same for the same seed.
    pub(crate) fn generated(size: u64, seed: u64) -> Self {
        let mut rng = Rng::from_seed(seed ^ 0x7061_796c_6f61_6400);
        let mut left = usize::try_from(size).unwrap_or(usize::MAX);
        let mut chunks = Vec::new();
        while left > 0 {
            let mut chunk = vec![0; left.min(CHUNK)];
            for word in chunk.chunks_mut(8) {
                let random = rng.next_u64().to_le_bytes();
                word.copy_from_slice(&random[..word.len()]);
            }
            left -= chunk.len();
            chunks.push(Bytes::from(chunk));
        }
        Self::new(chunks, Origin::Generated)
    }

    fn read(mut source: impl Read, what: &str, origin: Origin) -> Result<Self, Failure> {
        let mut chunks = Vec::new();
        let mut octets = 0;
        loop {
            let mut chunk = Vec::with_capacity(CHUNK);
            let read = source.by_ref().take(CHUNK as u64).read_to_end(&mut chunk);
            let n = read.map_err(|error| unreadable(what, &error))?;
            if n == 0 {
                return Ok(Self::new(chunks, origin));
            }
            octets += n as u64;
            if octets > OCTETS_MAX {
                return Err(Failure::new(Kind::Input, what).because(LIMIT));
            }
            chunks.push(Bytes::from(chunk));
        }
    }

    fn new(chunks: Vec<Bytes>, origin: Origin) -> Self {
        let mut hash = Sha256::new();
        for chunk in &chunks {
            hash.update(chunk);
        }
        let octets = chunks.iter().map(|chunk| chunk.len() as u64).sum();
        Self {
            chunks,
            octets,
            hash: hash.finalize().into(),
            origin,
        }
    }
}

const LIMIT: &str = "the lab keeps every segment in memory and takes at most 256 MiB";

fn open(path: &Path, name: &str) -> Result<File, Failure> {
    let what = format!("cannot read {name}");
    let file = File::open(path).map_err(|error| unreadable(&what, &error))?;
    let metadata = file.metadata().map_err(|error| unreadable(&what, &error))?;
    if metadata.is_dir() {
        return Err(Failure::new(Kind::Input, what)
            .because("it is a directory")
            .hint("name a file in it, or leave --file out to send generated data"));
    }
    Ok(file)
}

fn unreadable(what: &str, error: &std::io::Error) -> Failure {
    let hint = match error.kind() {
        ErrorKind::NotFound => "check the path, or leave --file out to send generated data",
        ErrorKind::PermissionDenied => "give yourself the right to read it, or choose another file",
        _ => "choose another file, or leave --file out to send generated data",
    };
    Failure::new(Kind::Input, what).because(error).hint(hint)
}

/// A hash in hexadecimal.
pub(crate) fn hex(hash: &Hash) -> String {
    hash.iter().map(|octet| format!("{octet:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generated_data_depends_on_the_seed_alone() {
        let (one, again, other) = (
            Payload::generated(100_000, 1),
            Payload::generated(100_000, 1),
            Payload::generated(100_000, 2),
        );
        assert_eq!(one.octets, 100_000);
        assert_eq!(one.hash, again.hash);
        assert_ne!(one.hash, other.hash);
    }

    #[test]
    fn nothing_is_a_payload_too() {
        let nothing = Payload::generated(0, 1);
        assert!(nothing.chunks.is_empty());
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(hex(&nothing.hash), empty);
    }
}
