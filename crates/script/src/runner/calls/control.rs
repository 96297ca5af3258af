//! Ancillary data of `recvmsg` against what a script says of it.

use super::arguments::{integer, members};
use crate::language::ast::Expression;
use crate::posix::Control;
use crate::runner::START;

/// What `control` says under the name of a member.
fn member(control: &Control, name: &str) -> Option<i64> {
    let (level, kind) = control.kind();
    match (name, control) {
        ("cmsg_level", _) => Some(level.into()),
        ("cmsg_type", _) => Some(kind.into()),
        ("cmsg_data", Control::Inq(octets)) => Some((*octets).into()),
        (_, Control::Inq(_)) => None,
        (_, Control::Timestamping(at)) => {
            let since = at.saturating_since(START);
            match name {
                "scm_sec" => i64::try_from(since.as_secs()).ok(),
                "scm_nsec" => Some(since.subsec_nanos().into()),
                _ => None,
            }
        }
        (
            _,
            Control::Error {
                errno,
                origin,
                kind,
                code,
                info,
                data,
                ..
            },
        ) => match name {
            "ee_errno" => Some((*errno).into()),
            "ee_origin" => Some((*origin).into()),
            "ee_type" => Some((*kind).into()),
            "ee_code" => Some((*code).into()),
            "ee_info" => Some((*info).into()),
            "ee_data" => Some((*data).into()),
            _ => None,
        },
    }
}

/// The members in which `got` is not what `wanted` says.
pub(super) fn differences(wanted: &Expression, got: &[Control]) -> Vec<String> {
    let items = match wanted {
        Expression::List(items) => &items[..],
        Expression::Ellipsis => return Vec::new(),
        only => std::slice::from_ref(only),
    };
    if items.len() != got.len() {
        return vec![format!(
            "msg_control: expected {} items, got {}: {got:?}",
            items.len(),
            got.len()
        )];
    }
    let mut found = Vec::new();
    for (item, control) in items.iter().zip(got) {
        compare(item, control, &mut found);
    }
    found
}

fn compare(wanted: &Expression, got: &Control, found: &mut Vec<String>) {
    let fields = match members(Some(wanted)) {
        Ok(fields) => fields,
        Err(wrong) => return found.push(wrong),
    };
    for (name, value) in fields {
        match value {
            Expression::Structure(_) => compare(value, got, found),
            Expression::Ellipsis => {}
            _ if name == "cmsg_len" => {}
            // Names that stand for those of whichever IP the script runs over.
            Expression::Symbol(of_ip)
                if of_ip == "CMSG_LEVEL_IP" || of_ip == "CMSG_TYPE_RECVERR" =>
            {
                if !matches!(got, Control::Error { .. }) {
                    found.push(format!("{name}: expected {of_ip}, got {got:?}"));
                }
            }
            _ => match (integer(value), member(got, name)) {
                (Ok(wanted), Some(got)) if wanted == got => {}
                (Ok(wanted), Some(got)) => {
                    found.push(format!("{name}: expected {wanted}, got {got}"))
                }
                (Ok(_), None) => found.push(format!("{name} is no member of {got:?}")),
                (Err(wrong), _) => found.push(format!("{name}: {wrong}")),
            },
        }
    }
}
