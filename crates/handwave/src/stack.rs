//! [`Stack`]: the handle that programs hold.

use std::net::SocketAddr;
use std::sync::Arc;

use handwave_stack::{Counters, InterfaceId};

use crate::builder::Builder;
use crate::runtime::Runtime;
use crate::shards::Handles;

/// A TCP/IP stack on one device, with a driver of its own; or on several queues of one device, with as many
/// [shards](crate::Builder::queues) behind it.
///
/// It is a handle: cloning it is cheap, and all clones mean the same stack. Sockets made from it hold it too, so it may be
/// dropped while they are in use. Once nothing holds it any more, what was written is still delivered and connections are closed in
/// order; then the [`Driver`](crate::Driver) ends. A driver that ends before, because its runtime is shut down, resets
/// every connection that is left.
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// use handwave::{Stack, TcpListener, TcpStream, device};
/// use tokio::io::{AsyncReadExt, AsyncWriteExt};
///
/// let (left, right) = device::pair(1_500, 256);
/// let client = Stack::builder().device(left).address([10, 0, 0, 1], 24).spawn()?;
/// let server = Stack::builder().device(right).address([10, 0, 0, 2], 24).spawn()?;
///
/// let mut listener = TcpListener::bind(&server, ([10, 0, 0, 2], 7).into())?;
/// tokio::spawn(async move {
///     let (mut stream, _) = listener.accept().await?;
///     let (mut from, mut to) = stream.split();
///     tokio::io::copy(&mut from, &mut to).await
/// });
///
/// let mut stream = TcpStream::connect(&client, ([10, 0, 0, 2], 7).into()).await?;
/// stream.write_all(b"hello").await?;
/// stream.shutdown().await?;
/// let mut back = String::new();
/// stream.read_to_string(&mut back).await?;
/// assert_eq!(back, "hello");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Stack {
    handles: Handles,
}

impl Stack {
    /// Begins a stack: give it a device and an address, then [`spawn`](Builder::spawn) it.
    #[must_use]
    pub fn builder() -> Builder {
        Builder::new()
    }

    pub(crate) fn new(handles: Handles) -> Self {
        Self { handles }
    }

    pub(crate) fn handles(&self) -> &Handles {
        &self.handles
    }

    /// How many shards there are; 1 unless the stack was built with [`queues`](crate::Builder::queues).
    #[must_use]
    pub fn shards(&self) -> usize {
        self.handles.len()
    }

    pub(crate) fn runtime(&self) -> &Arc<dyn Runtime> {
        &self.handles.first().runtime
    }

    /// What the stack has counted, all shards together.
    #[must_use]
    pub fn counters(&self) -> Counters {
        let mut total = Counters::default();
        for handle in self.handles.iter() {
            total.add(&handle.look(|inner| *inner.stack.counters()));
            total.strays_dropped += handle.group.dropped(handle.shard);
        }
        total
    }

    /// Looks into the stack below, or changes what has no method here: routes, addresses, a tracer.
    ///
    /// Nobody else gets at the stack meanwhile, packets included: be short, and call nothing of this library. Of several shards
    /// this is the first: see [`with_each`](Self::with_each).
    pub fn with<R>(&self, look: impl FnOnce(&mut handwave_stack::Stack) -> R) -> R {
        self.handles.first().call(|inner, _| look(&mut inner.stack))
    }

    /// Does what [`with`](Self::with) does at each shard, one after the other. Routes and addresses have to stay the same in all.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// use handwave::{Stack, device};
    ///
    /// let (queues, _peers): (Vec<_>, Vec<_>) = (0..2).map(|_| device::pair(1_500, 64)).unzip();
    /// let stack = Stack::builder().queues(queues).address([10, 0, 0, 2], 24).spawn()?;
    /// let mut received = Vec::new();
    /// stack.with_each(|shard| received.push(shard.counters().ip_received));
    /// assert_eq!(received, [0, 0]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn with_each(&self, mut look: impl FnMut(&mut handwave_stack::Stack)) {
        for handle in self.handles.iter() {
            handle.call(|inner, _| look(&mut inner.stack));
        }
    }

    /// What the stack below calls the interface that the device is at.
    #[must_use]
    pub fn interface(&self) -> InterfaceId {
        self.handles.first().look(|inner| inner.interface)
    }

    /// Whether the driver has ended, so that nothing moves any more.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        let mut handles = self.handles.iter();
        handles.any(|handle| handle.look(|inner| inner.ended))
    }
}

/// An address of a socket as the stack below has it: unspecified means any.
pub(crate) fn specified(addr: SocketAddr) -> Option<std::net::IpAddr> {
    Some(addr.ip()).filter(|ip| !ip.is_unspecified())
}
