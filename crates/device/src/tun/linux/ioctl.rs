//! The calls of `/dev/net/tun` (`linux/if_tun.h`), each in a safe function.
#![expect(unsafe_code, reason = "these ioctls have no safe wrapper elsewhere")]

use std::ffi::{c_int, c_uint};
use std::os::fd::BorrowedFd;

use rustix::io::{Errno, Result};
use rustix::ioctl::{IntegerSetter, Opcode, Setter, Updater, ioctl, opcode};

/// Packets begin with the IP header.
pub(super) const IFF_TUN: u16 = 0x0001;
/// No packet information in front of it.
pub(super) const IFF_NO_PI: u16 = 0x1000;
/// Several descriptors share the interface.
pub(super) const IFF_MULTI_QUEUE: u16 = 0x0100;
/// A `struct virtio_net_hdr` stands in front of each packet.
pub(super) const IFF_VNET_HDR: u16 = 0x4000;
/// Create the interface, or fail if there is one of that name.
pub(super) const IFF_TUN_EXCL: u16 = 0x8000;

/// `struct virtio_net_hdr` without the field that only mergeable buffers have.
pub(super) const VNET_HEADER_LEN: i32 = 10;

/// `TUN_F_CSUM`, `TUN_F_TSO4`, `TUN_F_TSO6`, `TUN_F_TSO_ECN`: checksums may be left to us, and TCP super-segments.
pub(super) const OFFLOAD_TCP: u32 = 0x01 | 0x02 | 0x04 | 0x08;
/// `TUN_F_USO4`, `TUN_F_USO6`: datagrams that travel as one; since Linux 6.2.
pub(super) const OFFLOAD_UDP: u32 = 0x20 | 0x40;

const TUNSETIFF: Opcode = opcode::write::<c_int>(b'T', 202);
const TUNSETOFFLOAD: Opcode = opcode::write::<c_uint>(b'T', 208);
const TUNSETVNETHDRSZ: Opcode = opcode::write::<c_int>(b'T', 216);

/// `struct ifreq` as `TUNSETIFF` uses it: the name, flags, and the rest of a union whose largest member has 24 octets.
#[repr(C)]
struct InterfaceRequest {
    name: [u8; 16],
    flags: u16,
    rest: [u8; 22],
}

/// Makes the descriptor the other end of the interface, creating it if need be; returns the interface's name.
pub(super) fn set_interface(descriptor: BorrowedFd<'_>, name: &str, flags: u16) -> Result<String> {
    let mut request = InterfaceRequest {
        name: [0; 16],
        flags,
        rest: [0; 22],
    };
    // The last octet stays zero, which ends the name.
    let field = request.name[..15]
        .get_mut(..name.len())
        .ok_or(Errno::NAMETOOLONG)?;
    field.copy_from_slice(name.as_bytes());
    // SAFETY: TUNSETIFF copies a `struct ifreq` in and out, which is what the request is laid out as and no longer than.
    let call = unsafe { Updater::<TUNSETIFF, InterfaceRequest>::new(&mut request) };
    // SAFETY: the same; the request outlives the call.
    unsafe { ioctl(descriptor, call) }?;
    let end = request.name.iter().position(|&octet| octet == 0);
    let name = &request.name[..end.unwrap_or(request.name.len())];
    Ok(String::from_utf8_lossy(name).into_owned())
}

/// Says which kinds of packet the kernel may leave to us to segment and to complete the checksum of (`TUN_F_*`).
pub(super) fn set_offload(descriptor: BorrowedFd<'_>, kinds: u32) -> Result<()> {
    // SAFETY: TUNSETOFFLOAD takes its argument as a number, touches no memory of ours, and returns nothing.
    let call = unsafe { IntegerSetter::<TUNSETOFFLOAD>::new_usize(kinds as usize) };
    // SAFETY: the same.
    unsafe { ioctl(descriptor, call) }
}

/// Sets the length of the header in front of each packet of a descriptor with `IFF_VNET_HDR`.
pub(super) fn set_vnet_header_len(descriptor: BorrowedFd<'_>, octets: i32) -> Result<()> {
    // SAFETY: TUNSETVNETHDRSZ reads an `int` through the pointer.
    let call = unsafe { Setter::<TUNSETVNETHDRSZ, c_int>::new(octets) };
    // SAFETY: the same; the number lives in `call`.
    unsafe { ioctl(descriptor, call) }
}
