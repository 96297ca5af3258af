//! Where packets come from and go to.
//!
//! A [`Device`] moves packets in batches and never waits. What waits is a driver, on any runtime or in virtual time: it asks
//! the device's [`Readiness`] how to learn that there is something to do.
//!
//! | device | what is at the other end |
//! |---|---|
//! | [`Tun`] | the kernel: a TUN interface created or attached to on Linux, or a descriptor that somebody else opened (Android's `VpnService`, iOS's packet tunnel) |
//! | [`PacketSocket`] | the network of an Ethernet interface of this machine (Linux) |
//! | [`pair`] | another device in memory |
//! | [`channel`] | the program itself, for instance a VPN client with its own tunnel |
//! | [`Tap`] | any of these, with a pcapng file that records what passes |
//!
//! What does not live here: any idea of what a packet means (`handwave-wire`), and who waits for what (`handwave`).
//!
//! # What a driver does
//!
//! 1. [`receive`](Device::receive) up to a batch, hand each packet to the stack, and repeat while the batch was full.
//! 2. Drain the stack's output into a queue and [`send`](Device::send) it. What the device could not take stays in the queue.
//! 3. When the batch came back empty, wait until the device is receivable; when the queue did not empty, until it is sendable
//!    (and stop draining the stack meanwhile: the queue must not grow).
//!    - [`Readiness::Descriptor`]: register the descriptor with the runtime's reactor. Edge-triggered is fine, because both
//!      calls go on until the kernel says "would block" or `max` is reached.
//!    - [`Readiness::Wakers`]: leave a waker. If the device is ready already it is woken at once, so nothing is lost between
//!      trying and waiting.
//!
//! # Examples
//!
//! ```
//! use std::collections::VecDeque;
//! use handwave_device::{Device, pair};
//! use handwave_packet::PacketBuf;
//!
//! let (mut left, mut right) = pair(1_500, 64);
//! let mut queue = VecDeque::from([PacketBuf::from(vec![0x45; 20])]);
//! assert_eq!(left.send(&mut queue)?, 1);
//!
//! let mut batch = Vec::new();
//! assert_eq!(right.receive(32, &mut batch)?, 1);
//! assert_eq!(batch[0].len(), 20);
//! # Ok::<(), std::io::Error>(())
//! ```
#![deny(unsafe_op_in_unsafe_fn)]

mod channel;
mod device;
mod edge;
#[cfg(unix)]
mod exchange;
mod line;
mod memory;
#[cfg(target_os = "linux")]
mod netlink;
#[cfg(target_os = "linux")]
mod packet_socket;
#[cfg(target_os = "linux")]
mod shell_word;
mod tap;
#[cfg(test)]
mod testing;
#[cfg(unix)]
mod tun;

pub use channel::{PacketReceiver, PacketSender, TryReceiveError, TrySendError, channel};
pub use device::{Counters, Device, Medium, Readiness, Wakers};
#[cfg(unix)]
pub use exchange::{Framing, Trains};
pub use memory::{MemoryDevice, pair};
#[cfg(target_os = "linux")]
pub use packet_socket::{PacketSocket, PacketSocketBuilder, PacketSocketError};
pub use tap::Tap;
#[cfg(unix)]
pub use tun::Tun;
#[cfg(target_os = "linux")]
pub use tun::linux::{InterfaceAddress, Offload, TunBuilder, TunError};
