//! `--http-hello`: one small answer to each HTTP request, whatever it asks for, as benchmarks of connections want it.
//!
//! It is no HTTP server: a request is whatever ends with an empty line.

use std::io;

use handwave::TcpStream;
use tokio::io::AsyncWriteExt as _;

use super::service::Service;
use crate::streams;

const ANSWER: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 13\r\n\r\nHello, world!";
/// Answers written in one go, for requests that arrive together.
const BATCH_MAX: usize = 64;

#[derive(Clone, Copy, Debug)]
pub(super) struct Hello;

impl Service for Hello {
    async fn serve(&self, stream: &mut TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let mut end = EmptyLine::default();
        while let Some((mut count, after)) =
            streams::read(stream, |octets| end.count(octets)).await?
        {
            end = after;
            while count > 0 {
                let batch = count.min(BATCH_MAX);
                stream.write_all(&ANSWER.repeat(batch)).await?;
                count -= batch;
            }
        }
        stream.shutdown().await
    }
}

/// How much of `\r\n\r\n` has been seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct EmptyLine(usize);

impl EmptyLine {
    /// Counts the ends of requests, and says where that leaves us.
    fn count(self, octets: &[u8]) -> (usize, Self) {
        let mut seen = self.0;
        let mut count = 0;
        for octet in octets {
            seen = match (seen, octet) {
                (0 | 2, b'\r') | (1 | 3, b'\n') => seen + 1,
                (_, b'\r') => 1,
                _ => 0,
            };
            if seen == 4 {
                count += 1;
                seen = 0;
            }
        }
        (count, Self(seen))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_however_they_are_cut() {
        let text = b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\r\n\r\n\r\n\r\n\n\r\n";
        let (whole, _) = EmptyLine::default().count(text);
        assert_eq!(whole, 3);
        for cut in 0..text.len() {
            let (before, after) = text.split_at(cut);
            let (first, state) = EmptyLine::default().count(before);
            assert_eq!(first + state.count(after).0, whole, "cut at {cut}");
        }
    }
}
