//! What a call returned against what the script says it returns.

use super::arguments::{self, integer, members};
use super::{Reply, control, information};
use crate::language::ast::{Call, CallResult, Expression};
use crate::posix::{Answer, Control, Errno, OptionValue, Received};
use crate::runner::{Host, Runner};

type Differences = Result<(), Vec<String>>;

impl<H: Host> Runner<H> {
    pub(super) fn compare_result(
        &mut self,
        call: &Call,
        got: &Result<Reply, Errno>,
    ) -> Differences {
        let accepted = self.accepting.take();
        match got {
            Err(errno) => failed(call, *errno),
            Ok(reply) => {
                if let Some(errno) = &call.errno {
                    return Err(vec![format!("expected {errno}, got no error")]);
                }
                if let Reply::Descriptor(fd) = reply {
                    return self.learn_descriptor(call, *fd, accepted);
                }
                let mut found = Vec::new();
                found.extend(self.value_differs(call, value_of(call, reply)));
                match self.outputs(call, reply) {
                    Ok(more) => found.extend(more),
                    Err(wrong) => found.push(wrong),
                }
                if found.is_empty() { Ok(()) } else { Err(found) }
            }
        }
    }

    /// A descriptor is called what the script says.
    fn learn_descriptor(&mut self, call: &Call, fd: i32, accepted: Option<usize>) -> Differences {
        let wanted = match &call.result {
            CallResult::Exactly(value) => integer(value).map_err(|wrong| vec![wrong])?,
            _ => i64::from(fd),
        };
        if wanted < 0 {
            return Err(vec![format!("expected {wanted}, got a descriptor")]);
        }
        self.files.learn(wanted, fd);
        if let Some(index) = accepted {
            self.connections[index].fd = Some(wanted);
        }
        Ok(())
    }

    fn value_differs(&self, call: &Call, got: i64) -> Option<String> {
        match &call.result {
            CallResult::Unknown => None,
            CallResult::Exactly(value) => match integer(value) {
                Ok(wanted) if wanted == got => None,
                Ok(wanted) => Some(format!("return value: expected {wanted}, got {got}")),
                Err(wrong) => Some(wrong),
            },
            CallResult::Between(least, most) => match (integer(least), integer(most)) {
                (Ok(least), Ok(most)) if (least..=most).contains(&got) => None,
                (Ok(least), Ok(most)) => Some(format!(
                    "return value: expected {least} to {most}, got {got}"
                )),
                (Err(wrong), _) | (_, Err(wrong)) => Some(wrong),
            },
        }
    }

    /// What the call stored through its pointers.
    fn outputs(&self, call: &Call, reply: &Reply) -> Result<Vec<String>, String> {
        let argument = |index: usize| call.arguments.get(index);
        match reply {
            Reply::Option(value) => option(argument(3), value),
            Reply::Stored(stored) => match argument(2) {
                Some(Expression::List(items)) if items.len() == 1 && call.name == "ioctl" => {
                    Ok(number("value", items.first(), i64::from(*stored)))
                }
                _ => Ok(Vec::new()),
            },
            Reply::Name(name) => {
                let usual = crate::posix::Address::Inet(*name);
                let wanted = arguments::address(argument(1), usual)?;
                Ok(if wanted == usual {
                    Vec::new()
                } else {
                    vec![format!("address: expected {wanted:?}, got {name}")]
                })
            }
            Reply::Answer(Answer::Polled { fds, .. }) => {
                let Some(Expression::List(items)) = argument(0) else {
                    return Ok(Vec::new());
                };
                let mut found = Vec::new();
                for (item, fd) in items.iter().zip(fds) {
                    let item = members(Some(item))?;
                    found.extend(number(
                        "revents",
                        item.get("revents").copied(),
                        fd.revents.into(),
                    ));
                }
                Ok(found)
            }
            Reply::Answer(Answer::Events(events)) => epoll(argument(1), events),
            Reply::Answer(Answer::Received(received)) => self.received(call, received),
            Reply::Answer(_) | Reply::Value(_) | Reply::Descriptor(_) => Ok(Vec::new()),
        }
    }

    fn received(&self, call: &Call, received: &Received) -> Result<Vec<String>, String> {
        if call.name != "recvmsg" {
            return Ok(match call.arguments.get(1) {
                Some(Expression::Text(text)) if text.as_bytes() != received.data => {
                    vec![format!(
                        "data: expected {text:?}, got {:?}",
                        String::from_utf8_lossy(&received.data)
                    )]
                }
                _ => Vec::new(),
            });
        }
        let message = members(call.arguments.get(1))?;
        let mut found = Vec::new();
        found.extend(number(
            "msg_flags",
            message.get("msg_flags").copied(),
            received.flags.into(),
        ));
        if let Some(wanted) = message.get("msg_control") {
            found.extend(control::differences(wanted, &received.control));
        }
        Ok(found)
    }

    /// The call with what it returned.
    pub(super) fn show(&self, call: &Call, got: &Result<Reply, Errno>) -> String {
        let head = call.to_string();
        let head = head
            .rsplit_once(" = ")
            .map_or(head.as_str(), |(head, _)| head);
        match got {
            Err(errno) => format!("{} = -1 {errno}", self.short(call, head)),
            Ok(reply) => {
                let value = match reply {
                    Reply::Descriptor(fd) => self.files.script(*fd),
                    other => value_of(call, other),
                };
                let more = match reply {
                    Reply::Option(OptionValue::Octets(_)) => " with a structure".to_owned(),
                    Reply::Option(value) => format!(" with {value:?}"),
                    Reply::Stored(stored) => format!(" with {stored}"),
                    Reply::Name(name) => format!(" with {name}"),
                    Reply::Answer(Answer::Polled { fds, .. }) => {
                        let bits: Vec<String> =
                            fds.iter().map(|fd| format!("{:#x}", fd.revents)).collect();
                        format!(" with revents {}", bits.join(", "))
                    }
                    Reply::Answer(Answer::Events(events)) => format!(" with {events:x?}"),
                    Reply::Answer(Answer::Received(received)) => beside(received),
                    _ => String::new(),
                };
                format!("{} = {value}{more}", self.short(call, head))
            }
        }
    }

    fn short(&self, call: &Call, head: &str) -> String {
        if call.arguments.is_empty() {
            return format!("{}()", call.name);
        }
        head.to_owned()
    }
}

/// What came beside the octets.
fn beside(received: &Received) -> String {
    let mut text = String::new();
    if received.flags != 0 {
        text = format!(" with flags {:#x}", received.flags);
    }
    for control in &received.control {
        text += &match control {
            // When it was, and who said it, is nothing that a script can know.
            Control::Timestamping(_) => " with a time".to_owned(),
            Control::Error {
                errno,
                origin,
                kind,
                code,
                info,
                data,
                ..
            } => format!(
                " with error {errno} origin {origin} type {kind}.{code} info {info} data {data}"
            ),
            Control::Inq(left) => format!(" with {left} left"),
        };
    }
    text
}

/// The number a call returns.
fn value_of(call: &Call, reply: &Reply) -> i64 {
    match reply {
        Reply::Value(value) => *value,
        Reply::Descriptor(fd) => i64::from(*fd),
        Reply::Answer(answer) => answer.value(),
        // Of `fcntl`-like calls, only `ioctl` stores; all of them return 0.
        Reply::Option(_) | Reply::Stored(_) | Reply::Name(_) => {
            let _ = call;
            0
        }
    }
}

fn failed(call: &Call, errno: Errno) -> Differences {
    match &call.errno {
        Some(name) => match Errno::by_name(name) {
            Some(wanted) if wanted == errno => Ok(()),
            Some(_) => Err(vec![format!("errno: expected {name}, got {errno}")]),
            None => Err(vec![format!(
                "`{name}` is no errno that is known here; got {errno}"
            )]),
        },
        None if call.result == CallResult::Unknown
            || call.result == CallResult::Exactly(Expression::integer(-1)) =>
        {
            Ok(())
        }
        None => Err(vec![format!("expected no error, got {errno}")]),
    }
}

fn number(name: &str, wanted: Option<&Expression>, got: i64) -> Vec<String> {
    match wanted {
        None | Some(Expression::Ellipsis) => Vec::new(),
        Some(value) => match integer(value) {
            Ok(wanted) if wanted == got => Vec::new(),
            Ok(wanted) => vec![format!("{name}: expected {wanted:#x}, got {got:#x}")],
            Err(wrong) => vec![format!("{name}: {wrong}")],
        },
    }
}

fn option(wanted: Option<&Expression>, got: &OptionValue) -> Result<Vec<String>, String> {
    let wanted = match wanted {
        None | Some(Expression::Ellipsis) => return Ok(Vec::new()),
        Some(Expression::List(items)) if items.len() == 1 => &items[0],
        Some(other) => other,
    };
    match (wanted, got) {
        (Expression::Ellipsis, _) => Ok(Vec::new()),
        (Expression::Structure(_), OptionValue::Info(info)) => {
            let known = information::members(info);
            let mut found = Vec::new();
            for (name, value) in members(Some(wanted))? {
                match known.get(name) {
                    Some(got) => found.extend(number(name, Some(value), *got)),
                    None => found.push(format!("{name} is no member of the structure")),
                }
            }
            Ok(found)
        }
        (Expression::Structure(_), OptionValue::Linger(got)) => {
            let fields = members(Some(wanted))?;
            let get = |a: &str, b: &str| fields.get(a).or_else(|| fields.get(b)).copied();
            let seconds = got.unwrap_or_default().as_secs();
            let mut found = number("onoff", get("onoff", "l_onoff"), i64::from(got.is_some()));
            found.extend(number(
                "linger",
                get("linger", "l_linger"),
                seconds.cast_signed(),
            ));
            Ok(found)
        }
        (Expression::Structure(_), OptionValue::Timeout(got)) => {
            let fields = members(Some(wanted))?;
            let get = |name: &str| fields.get(name).copied();
            let mut found = number("tv_sec", get("tv_sec"), got.as_secs().cast_signed());
            found.extend(number(
                "tv_usec",
                get("tv_usec"),
                i64::from(got.subsec_micros()),
            ));
            Ok(found)
        }
        (Expression::Text(wanted), OptionValue::Name(got)) => Ok(if wanted == got {
            Vec::new()
        } else {
            vec![format!("value: expected {wanted:?}, got {got:?}")]
        }),
        (_, OptionValue::Int(got)) => Ok(number("value", Some(wanted), i64::from(*got))),
        _ => Ok(vec![format!("value: expected {wanted}, got {got:?}")]),
    }
}

fn epoll(wanted: Option<&Expression>, got: &[(i32, u64)]) -> Result<Vec<String>, String> {
    let items = match wanted {
        None | Some(Expression::Ellipsis) => return Ok(Vec::new()),
        Some(Expression::List(items)) => &items[..],
        Some(only) => std::slice::from_ref(only),
    };
    let mut found = Vec::new();
    for (item, (events, data)) in items.iter().zip(got) {
        if *item == Expression::Ellipsis {
            continue;
        }
        let item = members(Some(item))?;
        let bits = i64::from(events.cast_unsigned());
        found.extend(number("events", item.get("events").copied(), bits));
        for name in ["fd", "ptr", "u32", "u64"] {
            found.extend(number(name, item.get(name).copied(), data.cast_signed()));
        }
    }
    Ok(found)
}
