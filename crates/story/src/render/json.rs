//! The story for programs. Keys, states and control bits are the same in every language; only `text` is translated.

use handwave_tcp::Instant;
use handwave_tcp::trace::Verdict;
use serde_json::{Value, json};

use crate::lang::Language;
use crate::model::{
    Change, End, Fate, LocalEvent, LocalStep, Role, SegmentStep, Side, Step, Story, Trigger,
    Weight, What,
};

/// Writes the story as one JSON value: `{"ends": [..], "steps": [..]}`.
///
/// Times are nanoseconds since the start, sequence numbers come as they were on the wire (`raw`) and as distances from the
/// initial ones.
pub fn story(story: &Story, language: Language) -> Value {
    let steps: Vec<Value> = story
        .steps
        .iter()
        .map(|step| json_step(story, step, language))
        .collect();
    json!({
        "language": language.tag(),
        "ends": [json_end(&story.ends[0], Side::A, language), json_end(&story.ends[1], Side::B, language)],
        "steps": steps,
    })
}

fn json_end(end: &End, side: Side, language: Language) -> Value {
    json!({
        "side": side_name(side),
        "role": match end.role {
            Role::Client => "client",
            Role::Server => "server",
            Role::PeerA => "peer-a",
            Role::PeerB => "peer-b",
        },
        "name": language.role(end.role),
        "endpoint": end.endpoint.to_string(),
        "isn": end.isn.map(|isn| isn.raw()),
        "first_state": end.first.name(),
        "last_state": end.last.name(),
    })
}

fn json_step(story: &Story, step: &Step, language: Language) -> Value {
    let says: Vec<Value> = step
        .says
        .iter()
        .map(|says| json!({ "key": says.key(), "text": says.text(language, story) }))
        .collect();
    let mut value = match &step.what {
        What::Segment(segment) => json_segment(segment),
        What::Local(local) => json_local(local),
    };
    value["at_ns"] = json!(step.at.as_nanos());
    value["weight"] = json!(match step.weight {
        Weight::Bulk => "bulk",
        Weight::Notable => "notable",
        Weight::Key => "key",
    });
    value["says"] = Value::Array(says);
    value
}

fn json_segment(step: &SegmentStep) -> Value {
    let segment = &step.segment;
    let (fate, copies): (&str, &[Instant]) = match &step.fate {
        Fate::Arrived { copies, .. } => ("arrived", copies),
        Fate::Lost => ("lost", &[]),
        Fate::Corrupted => ("corrupted", &[]),
        Fate::InFlight => ("in-flight", &[]),
    };
    json!({
        "kind": "segment",
        "number": step.number,
        "from": side_name(step.from),
        "flags": segment.flags.to_string(),
        "seq": segment.seq.offset,
        "ack": segment.ack.map(|ack| ack.offset),
        "raw_seq": segment.raw_seq.raw(),
        "raw_ack": segment.ack.map(|_| segment.raw_ack.raw()),
        "len": segment.len,
        "window": segment.window,
        "fate": fate,
        "arrived_at_ns": step.arrived_at().map(Instant::as_nanos),
        "copies_at_ns": copies.iter().map(|at| at.as_nanos()).collect::<Vec<_>>(),
        "injected": step.injected,
        "resent": step.resent,
        "trigger": step.trigger.map(|trigger| match trigger {
            Trigger::Timeout => "timeout",
            Trigger::Acknowledgments => "acknowledgments",
        }),
        "reason": step.reason.map(|reason| format!("{reason:?}")),
        "sender": step.sender.map(change),
        "receiver": step.receiver.map(change),
        "verdict": step.verdict.map(verdict),
        "arithmetic": step.arithmetic.map(|sum| sum.to_string()),
    })
}

fn json_local(local: &LocalStep) -> Value {
    let event = match local.event {
        LocalEvent::Call(call) => format!("{call:?}"),
        LocalEvent::Timeout(timer) => format!("{timer:?}"),
        LocalEvent::Icmp => "Icmp".to_owned(),
    };
    json!({
        "kind": match local.event {
            LocalEvent::Call(_) => "call",
            LocalEvent::Timeout(_) => "timeout",
            LocalEvent::Icmp => "icmp",
        },
        "side": side_name(local.side),
        "event": event,
        "state": change(local.change),
    })
}

const fn side_name(side: Side) -> &'static str {
    match side {
        Side::A => "a",
        Side::B => "b",
    }
}

fn change(change: Change) -> Value {
    json!({
        "before": change.before.name(),
        "after": change.after.name(),
        "vars": change.vars.map(|vars| json!({
            "snd_una": vars.snd_una.offset,
            "snd_nxt": vars.snd_nxt.offset,
            "snd_wnd": vars.snd_wnd,
            "cwnd": vars.cwnd,
            "ssthresh": vars.ssthresh,
            "pipe": vars.pipe,
            "rcv_nxt": vars.rcv_nxt.map(|number| number.offset),
            "rcv_wnd": vars.rcv_wnd,
        })),
    })
}

fn verdict(verdict: Verdict) -> Value {
    let (name, reason) = match verdict {
        Verdict::Accepted => ("accepted", None),
        Verdict::Dropped(reason) => ("dropped", Some(reason)),
        Verdict::Acknowledged(reason) => ("acknowledged", Some(reason)),
        Verdict::Challenged(reason) => ("challenged", Some(reason)),
        Verdict::ResetSent(reason) => ("reset-sent", Some(reason)),
        Verdict::ConnectionReset => ("connection-reset", None),
    };
    json!({ "name": name, "reason": reason.map(|reason| format!("{reason:?}")) })
}
