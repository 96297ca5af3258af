//! Pointers to nowhere: `NULL` where a call wants memory, which ends in `EFAULT` if the call gets so far.

use super::arguments::{integer, members};
use crate::language::ast::{Call, Expression};
use crate::posix::{Answer, Errno};

/// How many octets of a call's buffers lie in front of a pointer to nowhere; `None` if there is no such pointer.
pub(super) fn before_null(call: &Call) -> Option<usize> {
    let argument = |index: usize| call.arguments.get(index);
    match call.name.as_str() {
        "write" | "send" | "sendto" | "read" | "recv" | "recvfrom" => {
            let len = argument(2).and_then(|len| integer(len).ok())?;
            (len > 0 && is_nowhere(argument(1)?)).then_some(0)
        }
        "writev" | "readv" => before_null_of(argument(1)?),
        "sendmsg" | "recvmsg" => {
            let message = members(argument(1)).ok()?;
            before_null_of(message.get("msg_iov")?)
        }
        _ => None,
    }
}

fn before_null_of(vector: &Expression) -> Option<usize> {
    let Expression::List(buffers) = vector else {
        return None;
    };
    let mut before = 0;
    for buffer in buffers {
        let Expression::Structure(fields) = buffer else {
            return None;
        };
        let [base, len, ..] = &fields[..] else {
            return None;
        };
        let len = usize::try_from(integer(&len.value).ok()?).ok()?;
        if len > 0 && is_nowhere(&base.value) {
            return Some(before);
        }
        before += len;
    }
    None
}

/// Whether a pointer is said to be none.
pub(super) fn is_nowhere(pointer: &Expression) -> bool {
    matches!(pointer, Expression::Symbol(name) if name == "NULL")
}

/// The answer of a call whose memory begins nowhere, given what it would be with memory for nothing, or of a mere look.
pub(super) fn fault(call: &Call, result: Result<Answer, Errno>) -> Result<Answer, Errno> {
    if before_null(call) != Some(0) {
        return result;
    }
    match result {
        Ok(Answer::Received(received)) if received.count == 0 => Ok(Answer::Received(received)),
        Ok(Answer::Received(_) | Answer::Count(_)) => Err(Errno::EFAULT),
        other => other,
    }
}
