//! A TUN for stacks that know no super-segments and no batches: what arrives is cut, what leaves is written one by one.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Mutex, MutexGuard, PoisonError};

use handwave_device::{Device, Tun};
use handwave_packet::{PacketBuf, split};
use tokio::io::unix::AsyncFd;

/// Packets that are read before they are handed over.
const BATCH: usize = 64;

pub(super) struct Wire {
    tun: Mutex<Tun>,
    /// The same descriptor, for the reactor.
    ready: AsyncFd<OwnedFd>,
}

impl Wire {
    pub(super) fn new(tun: Tun) -> io::Result<Self> {
        #[expect(
            deprecated,
            reason = "sound for an `OwnedFd`, which never changes its descriptor; the other constructors are unsafe"
        )]
        let ready = AsyncFd::new(tun.as_fd().try_clone_to_owned()?)?;
        Ok(Self {
            tun: Mutex::new(tun),
            ready,
        })
    }

    fn tun(&self) -> MutexGuard<'_, Tun> {
        self.tun.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for packets and takes them, each as a device without offload would have given it.
    pub(super) async fn receive(&self) -> io::Result<Vec<PacketBuf>> {
        let mut arrived = Vec::with_capacity(BATCH);
        while arrived.is_empty() {
            let mut guard = self.ready.readable().await?;
            if self.tun().receive(BATCH, &mut arrived)? < BATCH {
                guard.clear_ready();
            }
        }
        Ok(arrived.into_iter().flat_map(split::segments).collect())
    }

    /// Sends a packet, waiting while the TUN is full.
    pub(super) async fn send(&self, packet: PacketBuf) -> io::Result<()> {
        let mut queue = VecDeque::from([packet]);
        loop {
            self.tun().send(&mut queue)?;
            if queue.is_empty() {
                return Ok(());
            }
            self.ready.writable().await?.clear_ready();
        }
    }
}
