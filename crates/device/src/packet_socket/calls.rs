//! The calls of packet sockets (`linux/if_packet.h`, packet(7)), each in a safe function.
#![expect(unsafe_code, reason = "these calls have no safe wrapper elsewhere")]

use std::ffi::{c_int, c_uint, c_void};
use std::os::fd::{AsRawFd, BorrowedFd};

use handwave_wire::ethernet::MacAddr;
use rustix::io::{Errno, Result};

/// The largest part of a packet that a filter lets through: all of it.
const WHOLE: u32 = u32::MAX;

/// Every protocol: what has not been filtered out is the stack's to judge.
const ALL_PROTOCOLS: u16 = short(libc::ETH_P_ALL).to_be();

/// The kernel's headers give as `int` what fields of 16 bits hold.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "all of these numbers are small"
)]
const fn short(number: c_int) -> u16 {
    number as u16
}

fn set_option<T>(socket: BorrowedFd<'_>, level: c_int, name: c_int, value: &T) -> Result<()> {
    let len = libc::socklen_t::try_from(size_of::<T>()).map_err(|_| Errno::INVAL)?;
    let pointer = std::ptr::from_ref(value).cast::<c_void>();
    // SAFETY: the kernel reads `len` octets at the pointer, which is as much as `value` has, and keeps nothing of it.
    let code = unsafe { libc::setsockopt(socket.as_raw_fd(), level, name, pointer, len) };
    answer(code)
}

fn answer(code: c_int) -> Result<()> {
    match code {
        0 => Ok(()),
        _ => Err(Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)),
    }
}

fn set_flag(socket: BorrowedFd<'_>, name: c_int) -> Result<()> {
    set_option(socket, libc::SOL_PACKET, name, &(1 as c_int))
}

/// A `struct virtio_net_hdr` stands in front of each frame, both ways.
pub(super) fn set_vnet_header(socket: BorrowedFd<'_>) -> Result<()> {
    set_flag(socket, libc::PACKET_VNET_HDR)
}

/// How the sockets of a group share what arrives: all frames of a flow, both ways, go to one of them, and what this machine sends to none.
const GROUP: c_uint = libc::PACKET_FANOUT_HASH | libc::PACKET_FANOUT_FLAG_IGNORE_OUTGOING;

/// Begins a group of sockets that share what arrives at an interface, which has to be up; returns its number.
pub(super) fn begin_group(socket: BorrowedFd<'_>) -> Result<u16> {
    join(socket, GROUP | libc::PACKET_FANOUT_FLAG_UNIQUEID, 0)?;
    let mut value: c_uint = 0;
    let mut len = libc::socklen_t::try_from(size_of_val(&value)).map_err(|_| Errno::INVAL)?;
    let pointer = std::ptr::from_mut(&mut value).cast::<c_void>();
    let (fd, name) = (socket.as_raw_fd(), libc::PACKET_FANOUT);
    // SAFETY: the kernel writes at most `len` octets at the pointer, which is as much as `value` has.
    let code = unsafe { libc::getsockopt(fd, libc::SOL_PACKET, name, pointer, &raw mut len) };
    answer(code)?;
    let [low, high, ..] = value.to_le_bytes();
    Ok(u16::from_le_bytes([low, high]))
}

/// Makes a socket one of a group.
pub(super) fn join_group(socket: BorrowedFd<'_>, group: u16) -> Result<()> {
    join(socket, GROUP, group)
}

fn join(socket: BorrowedFd<'_>, kind: c_uint, group: u16) -> Result<()> {
    let value = kind << 16 | c_uint::from(group);
    set_option(socket, libc::SOL_PACKET, libc::PACKET_FANOUT, &value)
}

/// What this machine sends by the interface is not received.
pub(super) fn ignore_outgoing(socket: BorrowedFd<'_>) -> Result<()> {
    set_flag(socket, libc::PACKET_IGNORE_OUTGOING)
}

/// Has the interface take frames for every address, for as long as the socket exists.
pub(super) fn take_all(socket: BorrowedFd<'_>, index: c_int) -> Result<()> {
    let membership = libc::packet_mreq {
        mr_ifindex: index,
        mr_type: short(libc::PACKET_MR_PROMISC),
        mr_alen: 0,
        mr_address: [0; 8],
    };
    let name = libc::PACKET_ADD_MEMBERSHIP;
    set_option(socket, libc::SOL_PACKET, name, &membership)
}

/// Lets only frames for `mac` and for groups in, and none of a VLAN: their tags are taken off on the way to the socket.
pub(super) fn filter_for(socket: BorrowedFd<'_>, mac: MacAddr) -> Result<()> {
    let [a, b, c, d, e, f] = mac.octets();
    let (front, rest) = (u32::from_be_bytes([a, b, c, d]), u16::from_be_bytes([e, f]));
    let vlan_present = (libc::SKF_AD_OFF + libc::SKF_AD_VLAN_TAG_PRESENT).cast_unsigned();
    let load = |size: u32, at: u32| instruction(libc::BPF_LD | size | libc::BPF_ABS, (0, 0), at);
    let jump = |test: u32, to, value| instruction(libc::BPF_JMP | test | libc::BPF_K, to, value);
    let program = [
        load(libc::BPF_B, vlan_present),
        jump(libc::BPF_JEQ, (0, 7), 0),
        load(libc::BPF_B, 0),
        jump(libc::BPF_JSET, (4, 0), 1),
        load(libc::BPF_W, 0),
        jump(libc::BPF_JEQ, (0, 3), front),
        load(libc::BPF_H, 4),
        jump(libc::BPF_JEQ, (0, 1), rest.into()),
        end(WHOLE),
        end(0),
    ];
    attach(socket, program)
}

/// Lets nothing in.
pub(super) fn filter_all(socket: BorrowedFd<'_>) -> Result<()> {
    attach(socket, [end(0)])
}

fn end(len: u32) -> libc::sock_filter {
    instruction(libc::BPF_RET | libc::BPF_K, (0, 0), len)
}

/// Puts a filter in the place of the one that was there.
fn attach<const N: usize>(
    socket: BorrowedFd<'_>,
    mut program: [libc::sock_filter; N],
) -> Result<()> {
    let program = libc::sock_fprog {
        len: u16::try_from(N).map_err(|_| Errno::INVAL)?,
        // The kernel copies the instructions during the call, in which `program` is alive.
        filter: program.as_mut_ptr(),
    };
    set_option(socket, libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, &program)
}

fn instruction(code: u32, (if_true, if_false): (u8, u8), value: u32) -> libc::sock_filter {
    libc::sock_filter {
        code: short(code.cast_signed()),
        jt: if_true,
        jf: if_false,
        k: value,
    }
}

/// Begins to receive at the interface, and sends there.
pub(super) fn bind(socket: BorrowedFd<'_>, index: c_int) -> Result<()> {
    let address = libc::sockaddr_ll {
        sll_family: short(libc::AF_PACKET),
        sll_protocol: ALL_PROTOCOLS,
        sll_ifindex: index,
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 0,
        sll_addr: [0; 8],
    };
    let len = libc::socklen_t::try_from(size_of_val(&address)).map_err(|_| Errno::INVAL)?;
    let pointer = std::ptr::from_ref(&address).cast::<libc::sockaddr>();
    // SAFETY: the kernel reads `len` octets at the pointer, which is as much as `address` has.
    let code = unsafe { libc::bind(socket.as_raw_fd(), pointer, len) };
    answer(code)
}
