//! [`channel`]: a device whose other end is the program itself.

use std::fmt;
use std::future::poll_fn;
use std::task::{Context, Poll};

use handwave_packet::PacketBuf;

use crate::MemoryDevice;
use crate::line::{Inlet, Outlet, line};

/// Makes a device together with the two ends a program holds: it sends what came out of its tunnel, and receives what has to
/// go into it.
///
/// Each direction holds at most `capacity` packets. The halves are separate so that two tasks can use them. What the device
/// sends is ready for a wire: segments of at most `mtu` octets with complete checksums.
///
/// # Panics
///
/// If `capacity` is zero: nothing could ever pass.
///
/// # Examples
///
/// ```
/// use std::collections::VecDeque;
/// use handwave_device::{Device, channel};
/// use handwave_packet::PacketBuf;
///
/// let (mut device, from_tunnel, to_tunnel) = channel(1_420, 256);
/// from_tunnel.try_send(PacketBuf::from(vec![0x45; 20])).expect("there is room for 256");
///
/// let mut batch = Vec::new();
/// assert_eq!(device.receive(64, &mut batch)?, 1);
/// // ... the stack answers ...
/// device.send(&mut VecDeque::from(batch))?;
/// assert_eq!(to_tunnel.try_receive().map(|packet| packet.len()), Ok(20));
/// # Ok::<(), std::io::Error>(())
/// ```
#[must_use]
pub fn channel(mtu: u16, capacity: usize) -> (MemoryDevice, PacketSender, PacketReceiver) {
    assert!(capacity > 0, "a channel without room carries nothing");
    let (program_inlet, device_outlet) = line(capacity);
    let (device_inlet, program_outlet) = line(capacity);
    (
        MemoryDevice::new(mtu, device_inlet, device_outlet),
        PacketSender(program_inlet),
        PacketReceiver(program_outlet),
    )
}

/// Puts packets into a [`channel`]'s device. Dropping it ends the device's input.
#[derive(Debug)]
pub struct PacketSender(Inlet);

/// Why a packet was not taken; it is handed back.
#[derive(Clone, Debug)]
pub enum TrySendError {
    /// The device has not yet received what is there. A tunnel drops the packet, or waits.
    Full(PacketBuf),
    /// The device is gone.
    Closed(PacketBuf),
}

impl TrySendError {
    /// The packet that was not taken.
    #[must_use]
    pub fn into_packet(self) -> PacketBuf {
        match self {
            Self::Full(packet) | Self::Closed(packet) => packet,
        }
    }
}

impl fmt::Display for TrySendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "the device's input queue is full",
            Self::Closed(_) => "the device is gone",
        })
    }
}

impl std::error::Error for TrySendError {}

impl PacketSender {
    /// Puts one packet in, if there is room.
    ///
    /// # Errors
    ///
    /// [`TrySendError`] hands the packet back and says why.
    #[expect(
        clippy::result_large_err,
        reason = "the caller gets the packet back, as large as it gave it"
    )]
    pub fn try_send(&self, packet: PacketBuf) -> Result<(), TrySendError> {
        let mut packet = Some(packet);
        let pushed = self.0.push_all(|| packet.take());
        match (packet, pushed) {
            (None, _) => Ok(()),
            (Some(packet), Ok(_)) => Err(TrySendError::Full(packet)),
            (Some(packet), Err(_)) => Err(TrySendError::Closed(packet)),
        }
    }

    /// Puts one packet in, and waits for room as long as it takes.
    ///
    /// Dropping the future before it is ready drops the packet.
    ///
    /// # Errors
    ///
    /// [`TrySendError::Closed`] when the device is gone.
    pub async fn send(&mut self, packet: PacketBuf) -> Result<(), TrySendError> {
        let mut packet = Some(packet);
        poll_fn(|cx| {
            let Some(taken) = packet.take() else {
                return Poll::Ready(Ok(()));
            };
            match self.try_send(taken) {
                Err(TrySendError::Full(back)) => {
                    packet = Some(back);
                    self.0.wake_when_sendable(cx.waker());
                    Poll::Pending
                }
                done => Poll::Ready(done),
            }
        })
        .await
    }

    /// Whether the device is gone.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.0.is_closed()
    }
}

/// Takes packets that a [`channel`]'s device sent. Dropping it makes the device's sending fail.
#[derive(Debug)]
pub struct PacketReceiver(Outlet);

/// Why there is no packet to take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TryReceiveError {
    /// The device has sent nothing that is not taken yet.
    Empty,
    /// The device is gone, and all it sent has been taken.
    Closed,
}

impl fmt::Display for TryReceiveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "the device has sent nothing",
            Self::Closed => "the device is gone",
        })
    }
}

impl std::error::Error for TryReceiveError {}

impl PacketReceiver {
    /// Takes one packet, if there is any.
    ///
    /// # Errors
    ///
    /// [`TryReceiveError`] says why there is none.
    pub fn try_receive(&self) -> Result<PacketBuf, TryReceiveError> {
        let mut taken = None;
        match self.0.take(1, |packet| taken = Some(packet)) {
            Ok(_) => taken.ok_or(TryReceiveError::Empty),
            Err(_) => Err(TryReceiveError::Closed),
        }
    }

    /// Takes one packet, and waits for it as long as it takes; `None` once the device is gone.
    ///
    /// Dropping the future loses nothing.
    pub async fn receive(&mut self) -> Option<PacketBuf> {
        poll_fn(|cx| self.poll_receive(cx)).await
    }

    /// Takes one packet, or has `cx` woken when there is one; `None` once the device is gone.
    pub fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<Option<PacketBuf>> {
        match self.try_receive() {
            Ok(packet) => Poll::Ready(Some(packet)),
            Err(TryReceiveError::Closed) => Poll::Ready(None),
            Err(TryReceiveError::Empty) => {
                self.0.wake_when_receivable(cx.waker());
                Poll::Pending
            }
        }
    }
}

#[cfg(test)]
mod tests;
