//! The side that asks.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::protocol::{Hello, Reply, Request, Select, Socket, Summary, VERSION};

/// The longest line that a client reads, in octets.
const LINE_MAX: u64 = 16 << 20;
/// How long a server may take for the next line.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A connection to the control socket of another process.
///
/// ```no_run
/// use handwave::control::{Client, candidates};
/// use handwave::control::protocol::Select;
///
/// for path in candidates() {
///     let mut client = Client::connect(&path)?;
///     println!("{} ({})", client.hello().program, client.hello().pid);
///     client.sockets(Select::default(), |socket| {
///         println!("{:?} {}", socket.state, socket.local.port);
///         Ok(())
///     })?;
/// }
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Client {
    stream: BufReader<UnixStream>,
    hello: Hello,
    path: PathBuf,
}

impl Client {
    /// Connects to the control socket at `path`.
    ///
    /// # Errors
    ///
    /// [`ConnectionRefused`](io::ErrorKind::ConnectionRefused) if its process is gone,
    /// [`PermissionDenied`](io::ErrorKind::PermissionDenied) if it is another user's,
    /// [`InvalidData`](io::ErrorKind::InvalidData) if whoever answers does not speak this protocol.
    pub fn connect(path: &Path) -> io::Result<Self> {
        let stream = UnixStream::connect(path)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        stream.set_write_timeout(Some(TIMEOUT))?;
        let mut stream = BufReader::new(stream);
        let hello: Hello = read(&mut stream).map_err(|error| match error.kind() {
            io::ErrorKind::InvalidData => {
                invalid(format!("no control socket of handwave: {error}"))
            }
            _ => error,
        })?;
        if hello.protocol != super::PROTOCOL {
            return Err(invalid("no control socket of handwave"));
        }
        if hello.version != VERSION {
            return Err(invalid(format!(
                "it speaks version {} of the protocol, and this program version {VERSION}",
                hello.version
            )));
        }
        Ok(Self {
            stream,
            hello,
            path: path.to_owned(),
        })
    }

    /// What the server said first.
    #[must_use]
    pub fn hello(&self) -> &Hello {
        &self.hello
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Shows every socket asked for to `visit`, as it arrives; returns their number.
    ///
    /// # Errors
    ///
    /// What `visit` returns, what the server refuses, and the loss of the connection. The client is of no use after any.
    pub fn sockets(
        &mut self,
        select: Select,
        mut visit: impl FnMut(Socket) -> io::Result<()>,
    ) -> io::Result<u64> {
        self.ask(&Request::Sockets(select))?;
        loop {
            match self.reply()? {
                Reply::Socket(socket) => visit(*socket)?,
                Reply::End { count } => return Ok(count),
                _ => return Err(invalid("an answer to another question")),
            }
        }
    }

    /// Every counter.
    ///
    /// # Errors
    ///
    /// What the server refuses, and the loss of the connection.
    pub fn counters(&mut self) -> io::Result<std::collections::BTreeMap<String, u64>> {
        self.ask(&Request::Counters)?;
        let mut found = None;
        loop {
            match self.reply()? {
                Reply::Counters { counters } => found = Some(counters),
                Reply::End { .. } => return found.ok_or_else(|| invalid("no counters")),
                _ => return Err(invalid("an answer to another question")),
            }
        }
    }

    /// The whole at a glance.
    ///
    /// # Errors
    ///
    /// What the server refuses, and the loss of the connection.
    pub fn summary(&mut self) -> io::Result<Summary> {
        self.ask(&Request::Summary)?;
        let mut found = None;
        loop {
            match self.reply()? {
                Reply::Summary(summary) => found = Some(*summary),
                Reply::End { .. } => return found.ok_or_else(|| invalid("no summary")),
                _ => return Err(invalid("an answer to another question")),
            }
        }
    }

    fn ask(&mut self, request: &Request) -> io::Result<()> {
        let mut octets = serde_json::to_vec(request)?;
        octets.push(b'\n');
        self.stream.get_mut().write_all(&octets)
    }

    fn reply(&mut self) -> io::Result<Reply> {
        match read(&mut self.stream)? {
            Reply::Error { message, .. } => Err(io::Error::other(message)),
            reply => Ok(reply),
        }
    }
}

fn read<T: serde::de::DeserializeOwned>(from: &mut BufReader<UnixStream>) -> io::Result<T> {
    let mut line = Vec::new();
    from.by_ref().take(LINE_MAX).read_until(b'\n', &mut line)?;
    if line.is_empty() {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    serde_json::from_slice(&line).map_err(|error| invalid(error.to_string()))
}

fn invalid(why: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why.into())
}
