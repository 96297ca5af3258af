//! Queues: descriptors that share an interface, and the offloads they agree on with the kernel.
//!
//! Offloads belong to the interface and not to a descriptor, and the kernel keeps them beyond the end of the program that has
//! set them. So they are set on every attach, also to nothing, and the last queue to be dropped takes them back.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use super::ioctl::{
    self, IFF_MULTI_QUEUE, IFF_NO_PI, IFF_TUN, IFF_TUN_EXCL, IFF_VNET_HDR, OFFLOAD_TCP, OFFLOAD_UDP,
};
use super::{Offload, Tun, TunBuilder, TunError, check_name, find};
use crate::exchange::Framing;
use crate::netlink::Link;

pub(super) const DEVICE: &str = "/dev/net/tun";
/// `MAX_TAP_QUEUES`.
pub(super) const QUEUES_MAX: usize = 256;
/// More than any transmit queue of a TUN interface is long (500 unless somebody changed it).
const STALE_MAX: usize = 100_000;

/// Creates the interface with so many queues, and configures it.
pub(super) fn create(builder: &TunBuilder, count: usize) -> Result<Vec<Tun>, TunError> {
    check_count(count)?;
    let several = if count > 1 { IFF_MULTI_QUEUE } else { 0 };
    let flags = IFF_TUN | IFF_NO_PI | offload_flag(builder.offload) | several;
    let refused = |errno, name: &str| match errno {
        Errno::PERM => TunError::no_privilege("create", name),
        Errno::BUSY | Errno::EXIST => TunError::Exists { name: name.into() },
        errno => TunError::system("create the TUN interface", name, Errno::into(errno)),
    };
    let first = open()?;
    let name = ioctl::set_interface(first.as_fd(), &builder.name, flags | IFF_TUN_EXCL)
        .map_err(|errno| refused(errno, &builder.name))?;
    let mut descriptors = vec![first];
    for _ in 1..count {
        let next = open()?;
        ioctl::set_interface(next.as_fd(), &name, flags).map_err(|errno| refused(errno, &name))?;
        descriptors.push(next);
    }
    set_offloads(&descriptors, builder.offload, &name)?;
    builder.configure(&name)?;
    Ok(tuns(descriptors, builder, builder.mtu, &name))
}

/// Attaches to so many queues of an interface that exists.
pub(super) fn attach(builder: &TunBuilder, count: usize) -> Result<Vec<Tun>, TunError> {
    let name = &builder.name;
    check_name(name)?;
    check_count(count)?;
    let not_found = || TunError::NotFound { name: name.clone() };
    let link = find(name)?.ok_or_else(not_found)?;
    let several = attach_flags(&link)?;
    if count > 1 && several == 0 {
        return Err(TunError::SingleQueue {
            name: name.clone(),
            asked: count,
        });
    }
    let flags = IFF_TUN | IFF_NO_PI | offload_flag(builder.offload) | several;
    let mut descriptors = Vec::with_capacity(count);
    for _ in 0..count {
        let descriptor = open()?;
        ioctl::set_interface(descriptor.as_fd(), name, flags).map_err(|errno| match errno {
            Errno::PERM => TunError::no_privilege("attach to", name),
            Errno::BUSY => TunError::Busy { name: name.clone() },
            Errno::INVAL => TunError::not_a_tun(&link, name),
            errno => TunError::system("attach to the TUN interface", name, errno.into()),
        })?;
        descriptors.push(descriptor);
    }
    // The call creates what does not exist. If the interface went away just before, this one is ours, and goes away again.
    let attached = find(name)?.ok_or_else(not_found)?;
    if attached.index != link.index {
        return Err(not_found());
    }
    set_offloads(&descriptors, builder.offload, name)?;
    descriptors
        .iter()
        .for_each(|descriptor| discard_stale(descriptor.as_fd()));
    let mtu = u16::try_from(attached.mtu).unwrap_or(u16::MAX);
    Ok(tuns(descriptors, builder, mtu, name))
}

fn check_count(count: usize) -> Result<(), TunError> {
    if (1..=QUEUES_MAX).contains(&count) {
        return Ok(());
    }
    Err(TunError::BadQueues {
        asked: count,
        at_most: QUEUES_MAX,
    })
}

const fn offload_flag(offload: Offload) -> u16 {
    match offload {
        Offload::Auto | Offload::On => IFF_VNET_HDR,
        Offload::Off => 0,
    }
}

/// What the flags must repeat of how the interface was made; an error where no flags would do.
fn attach_flags(link: &Link) -> Result<u16, TunError> {
    if link.kind.as_deref() != Some("tun") || link.tun.is_some_and(|tun| tun.is_tap) {
        return Err(TunError::not_a_tun(link, &link.name));
    }
    let Some(tun) = link.tun.filter(|tun| tun.multi_queue) else {
        return Ok(0);
    };
    // The kernel would let us in, and give each program some of the packets.
    if tun.queues > 0 {
        return Err(TunError::Busy {
            name: link.name.clone(),
        });
    }
    Ok(IFF_MULTI_QUEUE)
}

pub(super) fn open() -> Result<OwnedFd, TunError> {
    let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC;
    rustix::fs::open(DEVICE, flags, Mode::empty()).map_err(|errno| match errno {
        Errno::NOENT | Errno::NODEV | Errno::NXIO | Errno::NOTDIR => TunError::NoTunDevice,
        Errno::ACCESS | Errno::PERM => TunError::TunDeviceForbidden,
        errno => TunError::system("open /dev/net/tun for", "a TUN interface", errno.into()),
    })
}

/// Sets the offloads of the interface, whatever an earlier program has left.
fn set_offloads(descriptors: &[OwnedFd], offload: Offload, name: &str) -> Result<(), TunError> {
    let Some(descriptor) = descriptors.first().map(AsFd::as_fd) else {
        return Ok(());
    };
    let doing = match offload {
        Offload::On => "turn on the offloads of",
        Offload::Auto | Offload::Off => "turn off the offloads of",
    };
    let refused = |errno: Errno| TunError::system(doing, name, errno.into());
    ioctl::set_vnet_header_len(descriptor, ioctl::VNET_HEADER_LEN).map_err(refused)?;
    let kinds: &[u32] = match offload {
        Offload::Auto => &[OFFLOAD_TCP | OFFLOAD_UDP, OFFLOAD_TCP, 0],
        Offload::On => &[OFFLOAD_TCP | OFFLOAD_UDP, OFFLOAD_TCP],
        Offload::Off => &[0],
    };
    let mut result = Ok(());
    for kind in kinds {
        result = ioctl::set_offload(descriptor, *kind);
        if result.is_ok() {
            break;
        }
    }
    result.map_err(refused)
}

/// Drops what was queued before the offloads were set.
fn discard_stale(descriptor: BorrowedFd<'_>) {
    // The kernel throws away what does not fit, so a short read takes out a packet. An error shows again at the first receive.
    let mut front = [0; ioctl::VNET_HEADER_LEN as usize + 1];
    for _ in 0..STALE_MAX {
        if !matches!(
            rustix::io::read(descriptor, &mut front),
            Ok(_) | Err(Errno::INTR)
        ) {
            return;
        }
    }
}

fn tuns(descriptors: Vec<OwnedFd>, builder: &TunBuilder, mtu: u16, name: &str) -> Vec<Tun> {
    let framing = match builder.offload {
        Offload::Auto | Offload::On => Framing::VirtioNet,
        Offload::Off => Framing::Plain,
    };
    let attachment = Attachment(Arc::new(AtomicUsize::new(descriptors.len())));
    let tun = |descriptor| {
        let mut tun = Tun::new(descriptor, mtu, framing);
        tun.name = Some(name.to_owned());
        tun.attachment = Some(attachment.clone());
        tun
    };
    descriptors.into_iter().map(tun).collect()
}

/// That offloads were set on an interface which may outlive its queues; counts the queues.
#[derive(Clone, Debug)]
pub(in crate::tun) struct Attachment(Arc<AtomicUsize>);

impl Attachment {
    /// Takes the offloads back if this was the last queue. The interface may be gone already, which is as well.
    pub(in crate::tun) fn leave(self, descriptor: BorrowedFd<'_>) {
        if self.0.fetch_sub(1, Ordering::AcqRel) == 1 {
            let _done = ioctl::set_offload(descriptor, 0);
            let _done = ioctl::set_vnet_header_len(descriptor, ioctl::VNET_HEADER_LEN);
        }
    }
}
