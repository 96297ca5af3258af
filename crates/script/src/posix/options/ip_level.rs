//! `SOL_IP` and `SOL_IPV6`.

use super::numbers;
use super::value::OptionValue;
use crate::posix::Errno;
use crate::posix::address::Domain;
use crate::posix::constants::*;
use crate::posix::socket::Socket;

/// The hop limit where a program asks for the usual one.
const HOPS: u8 = 64;
/// `SO_PRIORITY` by the two upper bits of the type of service: best effort, bulk, interactive, interactive bulk (RFC 1349).
const PRIORITIES: [i32; 4] = [0, 2, 6, 4];
/// Smallest MTU of IPv6 (RFC 8200 5).
const MTU_MIN: i32 = 1280;

pub(super) fn set_v4(socket: &mut Socket, name: i32, value: &OptionValue) -> Result<(), Errno> {
    let connection = &mut socket.options.connection;
    match name {
        // The two low bits are the congestion mark, which belongs to TCP.
        IP_TOS => {
            let tos = (value.int()? & 0xff).cast_unsigned().to_le_bytes()[0];
            connection.dscp = tos >> 2;
            // What the octet asks for decides the packet's place in queues, too.
            let priority = PRIORITIES[usize::from(tos >> 3 & 3)];
            socket
                .options
                .kept
                .insert((SOL_SOCKET, SO_PRIORITY), priority);
        }
        IP_TTL => {
            connection.hop_limit = match value.int()? {
                -1 => HOPS,
                ttl => u8::try_from(ttl)
                    .ok()
                    .filter(|ttl| *ttl > 0)
                    .ok_or(Errno::EINVAL)?,
            }
        }
        _ => return numbers::keep(&mut socket.options.kept, (SOL_IP, name), value),
    }
    Ok(())
}

pub(super) fn get_v4(socket: &Socket, name: i32) -> Result<OptionValue, Errno> {
    let connection = &socket.options.connection;
    match name {
        IP_TOS => Ok(OptionValue::Int(i32::from(connection.dscp) << 2)),
        IP_TTL => Ok(OptionValue::Int(i32::from(connection.hop_limit))),
        _ => numbers::kept(&socket.options.kept, SOL_IP, name),
    }
}

pub(super) fn set_v6(socket: &mut Socket, name: i32, value: &OptionValue) -> Result<(), Errno> {
    if socket.domain != Domain::Inet6 {
        return Err(Errno::ENOPROTOOPT);
    }
    match name {
        IPV6_V6ONLY if socket.holds_port => return Err(Errno::EINVAL),
        IPV6_V6ONLY => socket.options.v6_only = value.flag()?,
        IPV6_TCLASS => match value.int()? {
            -1 => socket.options.connection.dscp = 0,
            class => {
                let class = u8::try_from(class).map_err(|_| Errno::EINVAL)?;
                socket.options.connection.dscp = class >> 2;
            }
        },
        IPV6_UNICAST_HOPS => {
            socket.options.connection.hop_limit = match value.int()? {
                -1 => HOPS,
                hops => u8::try_from(hops).map_err(|_| Errno::EINVAL)?,
            }
        }
        // It limits the fragments of datagrams, of which none are made of segments.
        IPV6_MTU => match value.int()? {
            0 | MTU_MIN.. => {}
            _ => return Err(Errno::EINVAL),
        },
        _ => return numbers::keep(&mut socket.options.kept, (SOL_IPV6, name), value),
    }
    Ok(())
}

pub(super) fn get_v6(socket: &Socket, name: i32) -> Result<OptionValue, Errno> {
    let connection = &socket.options.connection;
    match name {
        IPV6_V6ONLY => Ok(OptionValue::Int(i32::from(socket.options.v6_only))),
        IPV6_TCLASS => Ok(OptionValue::Int(i32::from(connection.dscp) << 2)),
        IPV6_UNICAST_HOPS => Ok(OptionValue::Int(i32::from(connection.hop_limit))),
        _ => numbers::kept(&socket.options.kept, SOL_IPV6, name),
    }
}
