//! The control socket: how `handwave ss`, `stats` and `top`, or a program of one's own, look into a running stack.
//!
//! A Unix socket that only its user can open. [`Control::open`] serves it for a stack, [`Client`] asks it, [`protocol`]
//! says what both say. Nothing can be changed through it.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> std::io::Result<()> {
//! use handwave::control::{Client, ControlOptions, protocol::Select};
//! use handwave::{Stack, TcpListener, device};
//!
//! # let directory = std::env::temp_dir().join(format!("handwave-doc-{}", std::process::id()));
//! # std::fs::create_dir_all(&directory)?;
//! # let path = directory.join("control.sock");
//! let (device, _peer) = device::pair(1_500, 256);
//! let options = ControlOptions {
//!     path: Some(path.clone()), // or None for the place where `handwave ss` looks by itself
//!     program: "my server".to_owned(),
//! };
//! let stack = Stack::builder().device(device).address([10, 0, 0, 2], 24).control(options).spawn()?;
//! let _listener = TcpListener::bind(&stack, ([10, 0, 0, 2], 80).into())?;
//!
//! // In another process:
//! let mut client = Client::connect(&path)?;
//! let mut ports = Vec::new();
//! client.sockets(Select::default(), |socket| {
//!     ports.push(socket.local.port);
//!     Ok(())
//! })?;
//! assert_eq!(ports, [80]);
//! # std::fs::remove_dir_all(&directory)?;
//! # Ok(())
//! # }
//! ```

mod client;
mod counters;
mod look;
mod place;
pub mod protocol;
mod server;
mod survey;

pub use client::Client;
pub use place::{candidates, directories, directory};
pub use survey::summary;

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

use crate::shared::{Handle, Shared};
use crate::stack::Stack;
use server::{Bound, Server};

/// What a server calls the protocol in its first line.
const PROTOCOL: &str = "handwave-control";

/// How a control socket is opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ControlOptions {
    /// Where; `None` for a place of this process in the first of the [`directories`] that can be used.
    pub path: Option<PathBuf>,
    /// What the program calls itself.
    pub program: String,
}

/// An open control socket; closed and removed when this is dropped.
#[derive(Debug)]
pub struct Control {
    server: Arc<Server>,
    bound: Bound,
    /// The thread that waits for clients sees the end of this.
    _stop: UnixStream,
}

impl Control {
    /// Opens a control socket for `stack`, with permissions 0600, and serves it from threads of its own.
    ///
    /// A socket that a process left behind is replaced. The stack is not kept alive by it.
    ///
    /// # Errors
    ///
    /// [`AddrInUse`](io::ErrorKind::AddrInUse) if another process listens there,
    /// [`AlreadyExists`](io::ErrorKind::AlreadyExists) if there is something that is no socket, and what the operating
    /// system says.
    pub fn open(stack: &Stack, options: ControlOptions) -> io::Result<Self> {
        let shards = stack.handles().iter().map(Handle::downgrade);
        Self::open_for(shards.collect(), options)
    }

    pub(crate) fn open_for(stack: Vec<Weak<Shared>>, options: ControlOptions) -> io::Result<Self> {
        let path = match options.path {
            Some(path) => path,
            None => place::default_path()?,
        };
        let listener = place::bind(&path)?;
        let meta = std::fs::symlink_metadata(&path)?;
        let (stop, other_end) = UnixStream::pair()?;
        let server = Server::start(stack, options.program, listener, other_end)?;
        Ok(Self {
            server,
            bound: Bound {
                path,
                identity: (meta.dev(), meta.ino()),
            },
            _stop: stop,
        })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.bound.path
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        self.server.close();
        let Ok(meta) = std::fs::symlink_metadata(&self.bound.path) else {
            return;
        };
        if (meta.dev(), meta.ino()) == self.bound.identity {
            // If it cannot be removed, the next one replaces it.
            let _ = std::fs::remove_file(&self.bound.path);
        }
    }
}
