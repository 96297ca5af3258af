//! Scripts that pass must not pass any more once one expected thing in them is another, and must fail at that very line.

use std::fs;
use std::path::Path;

use handwave_script::language::Script;
use handwave_script::language::ast::{
    Action, Body, Call, CallResult, Direction, Event, Expression, Moment, Segment, TcpOption, Time,
};
use handwave_script::runner::{Settings, run};
use handwave_tcp::Profile;

use crate::common::scripts;

const SYN: u16 = 2;
const PUSH: u16 = 8;
const ACK: u16 = 16;

/// One script in so many is changed: all of them would take a minute.
const STRIDE: usize = 5;

type Mutation = (&'static str, fn(&mut Event) -> bool);

/// Each change, and whether there was something to change.
const MUTATIONS: &[Mutation] = &[
    ("flags", |event| {
        segment(event).is_some_and(|segment| {
            segment.flags ^= PUSH;
            true
        })
    }),
    // The first sequence number of the stack is whatever the script says.
    ("sequence number", |event| {
        let segment = segment(event).filter(|segment| segment.flags & SYN == 0);
        segment.is_some_and(|segment| {
            segment.seq = segment.seq.wrapping_add(1);
            true
        })
    }),
    ("acknowledgment number", |event| {
        let segment = segment(event).filter(|segment| segment.flags & ACK != 0);
        segment.is_some_and(|segment| {
            segment.ack = Some(segment.ack.unwrap_or(0).wrapping_add(1));
            true
        })
    }),
    ("window", |event| {
        segment(event).is_some_and(|segment| {
            segment.window = Some(segment.window.unwrap_or(12_344) ^ 1);
            true
        })
    }),
    ("options", |event| {
        let options = segment(event).and_then(|segment| segment.options.as_mut());
        options.is_some_and(|options| {
            options.push(TcpOption::Nop);
            true
        })
    }),
    ("blocks", |event| {
        let options = segment(event).and_then(|segment| segment.options.as_mut());
        options.is_some_and(|options| {
            options.iter_mut().any(|option| match option {
                TcpOption::Sack(blocks) => {
                    blocks[0].1 += 1;
                    true
                }
                _ => false,
            })
        })
    }),
    ("time", |event| {
        let expects = segment(event).is_some();
        match &mut event.time {
            Time::At(Moment { micros, .. }) if expects => {
                *micros += 1_000_000;
                true
            }
            _ => false,
        }
    }),
    ("result", |event| {
        let call = call(event).filter(|call| {
            // What these return is what the script calls it.
            !matches!(
                call.name.as_str(),
                "socket" | "accept" | "accept4" | "epoll_create"
            )
        });
        match call.map(|call| &mut call.result) {
            Some(CallResult::Exactly(Expression::Integer(number))) if number.value >= 0 => {
                number.value += 1;
                true
            }
            _ => false,
        }
    }),
    ("errno", |event| {
        let errno = call(event).and_then(|call| call.errno.as_mut());
        errno.is_some_and(|errno| {
            "EXDEV".clone_into(errno);
            true
        })
    }),
];

fn segment(event: &mut Event) -> Option<&mut Segment> {
    match &mut event.action {
        Action::Packet(packet) if packet.direction == Direction::Outbound => match &mut packet.body
        {
            Body::Tcp(segment) => Some(segment),
            _ => None,
        },
        _ => None,
    }
}

fn call(event: &mut Event) -> Option<&mut Call> {
    match &mut event.action {
        Action::Call(call) => Some(call),
        _ => None,
    }
}

#[test]
fn every_change_fails_at_its_line() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/scripts");
    let mut paths = Vec::new();
    scripts(&root, &mut paths);
    let mut made = vec![0; MUTATIONS.len()];
    let mut survived = Vec::new();
    for path in paths.iter().step_by(STRIDE) {
        let script = Script::parse(&fs::read_to_string(path).unwrap(), &[]).unwrap();
        for index in 0..script.events.len() {
            for (at, (what, mutate)) in MUTATIONS.iter().enumerate() {
                let mut changed = script.clone();
                if !mutate(&mut changed.events[index]) {
                    continue;
                }
                made[at] += 1;
                let text = changed.to_string();
                let line = Script::parse(&text, &[]).unwrap().events[index].place.line;
                let outcome = run(&text, &Settings::new(Profile::linux())).unwrap();
                let failed_at = outcome.failure().map(|failure| failure.place.line);
                if failed_at != Some(line) {
                    let event = &changed.events[index];
                    survived.push(format!(
                        "{} ({what}): {event}: line {line}, failed at {failed_at:?}",
                        path.display()
                    ));
                }
            }
        }
    }
    assert!(
        made.iter().all(|made| *made >= 5),
        "too few changes: {made:?}"
    );
    let shown = survived.iter().take(10).cloned().collect::<Vec<_>>();
    assert!(
        survived.is_empty(),
        "{} of {} changes were not noticed where they are:\n{}",
        survived.len(),
        made.iter().sum::<usize>(),
        shown.join("\n")
    );
}
