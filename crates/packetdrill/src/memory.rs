//! The structures that C passes by pointer, read into values and written from them.
//!
//! The functions that touch foreign memory are few and at the top; what stands below works on octets.
#![expect(unsafe_code, reason = "the octets belong to the C program that calls")]

use std::ffi::c_void;
use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::{ptr, slice};

use handwave_script::posix::constants::{AF_INET, AF_INET6, AF_UNSPEC};
use handwave_script::posix::{Address, Control, Errno, encode_address, encode_control};
use libc::{iovec, msghdr, sockaddr, socklen_t};

/// Copies `len` octets at `from`.
///
/// # Safety
///
/// `from` is null, or `len` octets there can be read.
pub(crate) unsafe fn read(from: *const c_void, len: usize) -> Result<Vec<u8>, Errno> {
    if from.is_null() {
        return if len == 0 {
            Ok(Vec::new())
        } else {
            Err(Errno::EFAULT)
        };
    }
    // SAFETY: by contract.
    Ok(unsafe { slice::from_raw_parts(from.cast::<u8>(), len) }.to_vec())
}

/// Copies what fits of `octets` to `to` and returns how many that were.
///
/// # Safety
///
/// `to` is null, or `room` octets there can be written.
pub(crate) unsafe fn write(to: *mut c_void, room: usize, octets: &[u8]) -> Result<usize, Errno> {
    let len = octets.len().min(room);
    if to.is_null() {
        return if len == 0 { Ok(0) } else { Err(Errno::EFAULT) };
    }
    // SAFETY: `len` is at most `room`, which can be written by contract; our slice overlaps with nothing of C's.
    unsafe { ptr::copy_nonoverlapping(octets.as_ptr(), to.cast::<u8>(), len) };
    Ok(len)
}

/// Reads a value; `None` from null.
///
/// # Safety
///
/// `from` is null, or a `T` can be read there, aligned or not.
pub(crate) unsafe fn value<T: Copy>(from: *const T) -> Option<T> {
    if from.is_null() {
        return None;
    }
    // SAFETY: by contract.
    Some(unsafe { from.read_unaligned() })
}

/// Writes a value; null takes none.
///
/// # Safety
///
/// `to` is null, or a `T` can be written there, aligned or not.
pub(crate) unsafe fn set<T>(to: *mut T, value: T) {
    if !to.is_null() {
        // SAFETY: by contract.
        unsafe { to.write_unaligned(value) };
    }
}

/// Stores an address as `accept` and its like do: as much as fits, and how long it is.
///
/// # Safety
///
/// `len` is null or can be read and written; `to` is null, or as many octets as `len` says can be written there.
pub(crate) unsafe fn write_address(
    to: *mut sockaddr,
    len: *mut socklen_t,
    address: Option<SocketAddr>,
) -> Result<(), Errno> {
    // SAFETY: by contract.
    let Some(room) = (unsafe { value(len) }) else {
        return Ok(());
    };
    let octets = address.map(encode_address).unwrap_or_default();
    // SAFETY: by contract.
    unsafe {
        write(
            to.cast(),
            if to.is_null() { 0 } else { room as usize },
            &octets,
        )
    }?;
    let whole = socklen_t::try_from(octets.len()).unwrap_or(socklen_t::MAX);
    // SAFETY: by contract.
    unsafe { set(len, whole) };
    Ok(())
}

/// The buffers that an array of `struct iovec` names.
///
/// # Safety
///
/// `count` structures can be read at `from`.
pub(crate) unsafe fn buffers(from: *const iovec, count: usize) -> Result<Vec<iovec>, Errno> {
    if count == 0 {
        return Ok(Vec::new());
    }
    if from.is_null() {
        return Err(Errno::EFAULT);
    }
    // SAFETY: by contract.
    Ok(unsafe { slice::from_raw_parts(from, count) }.to_vec())
}

/// Octets that the buffers hold together.
pub(crate) fn room(buffers: &[iovec]) -> usize {
    buffers
        .iter()
        .fold(0_usize, |sum, buffer| sum.saturating_add(buffer.iov_len))
}

/// What lies in the buffers, one after the other.
///
/// # Safety
///
/// Each buffer can be read.
pub(crate) unsafe fn gather(buffers: &[iovec]) -> Result<Vec<u8>, Errno> {
    let mut all = Vec::new();
    for buffer in buffers {
        // SAFETY: by contract.
        all.extend(unsafe { read(buffer.iov_base, buffer.iov_len) }?);
    }
    Ok(all)
}

/// Spreads octets over the buffers, in order.
///
/// # Safety
///
/// Each buffer can be written.
pub(crate) unsafe fn scatter(buffers: &[iovec], octets: &[u8]) -> Result<(), Errno> {
    let mut rest = octets;
    for buffer in buffers {
        // SAFETY: by contract.
        let taken = unsafe { write(buffer.iov_base, buffer.iov_len, rest) }?;
        rest = &rest[taken..];
    }
    Ok(())
}

/// Stores the address, the ancillary data and the flags of a `recvmsg`.
///
/// # Safety
///
/// `message` can be read and written, and so can what it points to, as far as its lengths say.
pub(crate) unsafe fn finish_message(
    message: *mut msghdr,
    from: Option<SocketAddr>,
    control: &[Control],
    flags: i32,
) -> Result<(), Errno> {
    // SAFETY: by contract.
    let mut header = unsafe { value(message) }.ok_or(Errno::EFAULT)?;
    let name_len = &raw mut header.msg_namelen;
    // SAFETY: by contract; the length is our copy's.
    unsafe { write_address(header.msg_name.cast(), name_len, from) }?;
    let (octets, cut) = encode_control(control, header.msg_controllen);
    // SAFETY: by contract; what was encoded fits the room that the header names.
    unsafe { write(header.msg_control, header.msg_controllen, &octets) }?;
    header.msg_controllen = octets.len();
    header.msg_flags = flags | if cut { libc::MSG_CTRUNC } else { 0 };
    // SAFETY: by contract.
    unsafe { set(message, header) };
    Ok(())
}

/// An address from a `struct sockaddr_in` or `sockaddr_in6`.
pub(crate) fn decode_address(octets: &[u8]) -> Result<Address, Errno> {
    let family = octets
        .first_chunk()
        .map(|family| i32::from(u16::from_ne_bytes(*family)))
        .ok_or(Errno::EINVAL)?;
    let port = || -> Option<u16> { Some(u16::from_be_bytes(octets.get(2..4)?.try_into().ok()?)) };
    let inet = || {
        let addr: [u8; 4] = octets.get(4..8)?.try_into().ok()?;
        Some(SocketAddr::new(IpAddr::from(addr), port()?))
    };
    let inet6 = || {
        let flow = u32::from_be_bytes(octets.get(4..8)?.try_into().ok()?);
        let addr: [u8; 16] = octets.get(8..24)?.try_into().ok()?;
        let scope = u32::from_ne_bytes(octets.get(24..28)?.try_into().ok()?);
        Some(SocketAddrV6::new(addr.into(), port()?, flow, scope).into())
    };
    match family {
        AF_UNSPEC => Ok(Address::Unspecified),
        AF_INET => inet().map(Address::Inet).ok_or(Errno::EINVAL),
        AF_INET6 => inet6().map(Address::Inet).ok_or(Errno::EINVAL),
        _ => Err(Errno::EAFNOSUPPORT),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_survive_the_way_through_c() {
        for text in ["192.0.2.1:80", "[2001:db8::1]:443"] {
            let address: SocketAddr = text.parse().unwrap();
            let decoded = decode_address(&encode_address(address));
            assert_eq!(decoded, Ok(Address::Inet(address)));
        }
    }

    #[test]
    fn addresses_that_are_none_are_refused() {
        assert_eq!(decode_address(&[]), Err(Errno::EINVAL));
        assert_eq!(decode_address(&[0, 0]), Ok(Address::Unspecified));
        assert_eq!(decode_address(&[2, 0, 0, 80, 192]), Err(Errno::EINVAL));
        assert_eq!(decode_address(&[99, 0, 0, 80]), Err(Errno::EAFNOSUPPORT));
    }
}
