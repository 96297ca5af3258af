//! `SOL_SOCKET`.

use super::numbers;
use super::value::OptionValue;
use crate::posix::Errno;
use crate::posix::constants::*;
use crate::posix::socket::{Kind, Socket, State};
use handwave_tcp::{BufferSize, Phase};

/// What Linux tells of a send buffer that nobody has set.
const SEND_BUFFER_FIRST: i32 = 16_384;
/// Every `SOF_TIMESTAMPING_*` there is.
const TIMESTAMPING_ALL: i32 = (1 << 18) - 1;

/// Buffers are accounted with their overhead: what is asked for is doubled, and never less than a floor.
fn doubled(asked: i32, most: u32, floor: u32) -> u32 {
    // A negative number is a large one to the kernel.
    asked.cast_unsigned().min(most).saturating_mul(2).max(floor)
}

/// `acknowledged`: octets of text, where there is a connection.
pub(super) fn set(
    socket: &mut Socket,
    phase: Phase,
    acknowledged: Option<u64>,
    (name, value): (i32, &OptionValue),
) -> Result<(), Errno> {
    let options = &mut socket.options;
    match name {
        SO_REUSEADDR => options.reuse_address = value.flag()?,
        SO_REUSEPORT => options.reuse_port = value.flag()?,
        SO_KEEPALIVE => options.keepalive = value.flag()?,
        SO_OOBINLINE => options.oob_inline = value.flag()?,
        SO_SNDBUF | SO_SNDBUFFORCE => {
            let most = if name == SO_SNDBUF {
                options.buffer_limits.0
            } else {
                i32::MAX.cast_unsigned() / 2
            };
            options.send_buffer_set = true;
            options.connection.send_buffer = BufferSize::fixed(doubled(value.int()?, most, 4608));
        }
        SO_RCVBUF | SO_RCVBUFFORCE => {
            let most = if name == SO_RCVBUF {
                options.buffer_limits.1
            } else {
                i32::MAX.cast_unsigned() / 2
            };
            options.receive_buffer_set = true;
            let octets = doubled(value.int()?, most, 2304);
            let connection = &mut options.connection;
            // The scale need not express more than what was set.
            connection.window_scale_for = None;
            connection.receive_buffer = BufferSize::fixed(octets);
        }
        SO_LINGER => options.linger = value.linger()?,
        SO_RCVTIMEO => options.receive_timeout = value.timeout()?,
        SO_SNDTIMEO => options.send_timeout = value.timeout()?,
        SO_RCVLOWAT => {
            let asked = usize::try_from(value.int()?).unwrap_or(usize::MAX);
            // Never more than the buffer can come to hold.
            let most = options.largest_receive_buffer() / 2;
            options.receive_low_water = match socket.kind {
                Kind::Stream => asked.min(most as usize).max(1),
                Kind::Datagram => asked.max(1),
            };
        }
        SO_ZEROCOPY => match value.int()? {
            0 => options.zerocopy = false,
            1 => options.zerocopy = true,
            _ => return Err(Errno::EINVAL),
        },
        SO_TIMESTAMPING => return set_timestamping(socket, phase, acknowledged, value),
        SO_TYPE | SO_PROTOCOL | SO_DOMAIN | SO_ERROR | SO_ACCEPTCONN | SO_SNDLOWAT => {
            return Err(Errno::ENOPROTOOPT);
        }
        _ => return numbers::keep(&mut options.kept, (SOL_SOCKET, name), value),
    }
    Ok(())
}

/// Which moments of what is sent are told; writes are numbered from here where that is asked for.
fn set_timestamping(
    socket: &mut Socket,
    phase: Phase,
    acknowledged: Option<u64>,
    value: &OptionValue,
) -> Result<(), Errno> {
    let flags = value.int()?;
    let numbers = flags & SOF_TIMESTAMPING_OPT_ID != 0;
    let from_end = flags & SOF_TIMESTAMPING_OPT_ID_TCP != 0;
    if flags & !TIMESTAMPING_ALL != 0 || (from_end && !numbers) {
        return Err(Errno::EINVAL);
    }
    let begins = numbers && socket.options.timestamping & SOF_TIMESTAMPING_OPT_ID == 0;
    if begins && socket.kind == Kind::Stream {
        if matches!(phase, Phase::Closed | Phase::Listen) {
            return Err(Errno::EINVAL);
        }
        let written = socket.errors.written();
        let base = if from_end {
            written
        } else {
            acknowledged.unwrap_or(written)
        };
        socket.errors.begin_keys(base);
    }
    socket.options.timestamping = flags;
    Ok(())
}

pub(super) fn get(socket: &mut Socket, name: i32) -> Result<OptionValue, Errno> {
    let options = &socket.options;
    let flag = |on: bool| Ok(OptionValue::Int(i32::from(on)));
    let number = |n: u32| Ok(OptionValue::Int(i32::try_from(n).unwrap_or(i32::MAX)));
    match name {
        SO_REUSEADDR => flag(options.reuse_address),
        SO_REUSEPORT => flag(options.reuse_port),
        SO_KEEPALIVE => flag(options.keepalive),
        SO_OOBINLINE => flag(options.oob_inline),
        SO_ZEROCOPY => flag(options.zerocopy),
        SO_TIMESTAMPING => Ok(OptionValue::Int(options.timestamping)),
        SO_SNDBUF if options.send_buffer_set => number(options.connection.send_buffer.initial),
        SO_SNDBUF => Ok(OptionValue::Int(SEND_BUFFER_FIRST)),
        SO_RCVBUF => number(options.connection.receive_buffer.initial),
        SO_LINGER => Ok(OptionValue::Linger(options.linger)),
        SO_RCVTIMEO => Ok(OptionValue::Timeout(
            options.receive_timeout.unwrap_or_default(),
        )),
        SO_SNDTIMEO => Ok(OptionValue::Timeout(
            options.send_timeout.unwrap_or_default(),
        )),
        SO_RCVLOWAT => number(u32::try_from(options.receive_low_water).unwrap_or(u32::MAX)),
        SO_SNDLOWAT => number(1),
        SO_TYPE => Ok(OptionValue::Int(match socket.kind {
            Kind::Stream => SOCK_STREAM,
            Kind::Datagram => SOCK_DGRAM,
        })),
        SO_PROTOCOL => Ok(OptionValue::Int(match socket.kind {
            Kind::Stream => IPPROTO_TCP,
            Kind::Datagram => IPPROTO_UDP,
        })),
        SO_DOMAIN => Ok(OptionValue::Int(socket.domain.number())),
        SO_ACCEPTCONN => flag(matches!(socket.state, State::Listening(_))),
        SO_ERROR => {
            let errno = socket.error.take();
            Ok(OptionValue::Int(errno.map_or(0, Errno::number)))
        }
        // A rate of 64 bits, which a program may ask for as one of 32.
        SO_MAX_PACING_RATE => {
            let rate = numbers::kept(&options.kept, SOL_SOCKET, name)?.int()?;
            Ok(OptionValue::Octets(i64::from(rate).to_ne_bytes().to_vec()))
        }
        _ => numbers::kept(&options.kept, SOL_SOCKET, name),
    }
}
