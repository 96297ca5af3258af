//! Was the network to blame? The proof that a connection which was given up had every reason to.
//!
//! The journal knows of each segment whether it arrived. An end was stuck at the lowest octet for which no acknowledgment
//! reached it. It had reason to give up if each of its tries to send that octet was lost, or arrived and was answered, and
//! each answer was lost. A try that arrived and was not answered speaks against the peer; too few tries, or too long a
//! pause between two, against the end itself.

use super::failure::Failure;
use super::journal::{Entry, Journal};
use super::talk::Talk;
use crate::HostId;
use core::time::Duration;
use handwave_tcp::time::Instant;
use handwave_tcp::{Config, ConnectionError};
use handwave_wire::{SeqNum, TcpFlags};

/// How long an answer may take: a delayed acknowledgment waits less than 500 ms (RFC 9293 3.8.6.3).
const ANSWER_WITHIN: Duration = Duration::from_millis(500);
/// How long a cookie is good at least, and a record is kept.
const COOKIE_AGE: Duration = Duration::from_secs(60);
/// Tries below which nobody may give up.
const TRIES_MIN: usize = 3;

/// Decides whether the network is to blame for a conversation that did not finish.
///
/// `told` is the end whose application was told of an error, and which. Some end must have given up with reason; the other
/// may then be reset by it, or be left waiting.
pub(super) fn examine(
    journal: &Journal,
    hosts: [HostId; 2],
    talk: &Talk,
    told: Option<(usize, ConnectionError)>,
) -> Result<(), Failure> {
    journal.with(|entries| {
        let mut against = Vec::new();
        for end in 0..2 {
            match (Case {
                entries,
                hosts,
                talk,
                end,
            })
            .verdict()
            {
                Ok(()) => return Ok(()),
                Err(why) => against.push(format!("end {end}: {why}")),
            }
        }
        let (end, error) = told.map_or((0, None), |(end, error)| (end, Some(error)));
        Err(Failure::Unjustified {
            conversation: talk.number,
            end,
            error,
            why: against.join("; "),
        })
    })
}

/// Whether the second end had a connection: of what has arrived by `now`, it sent an acknowledgment of something behind the SYN before
/// any reset. One that was sent before is the answer to a segment that overtook the first acknowledgment.
pub(super) fn was_served(journal: &Journal, hosts: [HostId; 2], talk: &Talk, now: Instant) -> bool {
    journal.with(|entries| {
        let case = Case::of_client(entries, hosts, talk);
        let mut opened = case.sent_by(0);
        let opened = opened.find(|entry| entry.flags.contains(TcpFlags::SYN));
        let Some(opened) = opened else {
            return false;
        };
        let resets = |answer: &Entry| answer.flags.contains(TcpFlags::RST);
        let serves = |answer: &Entry| {
            answer.flags.contains(TcpFlags::ACK) && answer.ack.after(opened.seq + 1)
        };
        let mut answers = case.sent_by(1).filter(|answer| {
            let arrived = answer.arrived.is_some_and(|arrived| arrived <= now);
            arrived && (resets(answer) || serves(answer))
        });
        answers.next().is_some_and(|first| !resets(first))
    })
}

/// Whether the first acknowledgment of a SYN+ACK arrived in time and before anything else of the connection, so that not even a server
/// that keeps nothing may reset the first end.
pub(super) fn had_its_chance(journal: &Journal, hosts: [HostId; 2], talk: &Talk) -> bool {
    if talk.apps[0].lost() != Some(ConnectionError::Reset) {
        return false;
    }
    journal.with(|entries| {
        let case = Case::of_client(entries, hosts, talk);
        let is_syn = |entry: &&Entry| entry.flags.contains(TcpFlags::SYN);
        let (Some(opened), Some(answered)) =
            (case.sent_by(0).find(is_syn), case.sent_by(1).find(is_syn))
        else {
            return false;
        };
        let later = case.sent_by(0).filter(|entry| !is_syn(entry));
        let first = later.min_by_key(|entry| (entry.arrived.is_none(), entry.arrived));
        first.is_some_and(|first| {
            let in_time = first
                .arrived
                .is_some_and(|arrived| arrived - answered.sent < COOKIE_AGE);
            in_time && first.seq == opened.seq + 1
        })
    })
}

/// Whether either end has sent a RST.
pub(super) fn was_reset(journal: &Journal, hosts: [HostId; 2], talk: &Talk) -> bool {
    journal.with(|entries| {
        let sent_by = |end| {
            let case = Case {
                entries,
                hosts,
                talk,
                end,
            };
            case.sent_by(end)
                .any(|entry| entry.flags.contains(TcpFlags::RST))
        };
        sent_by(0) || sent_by(1)
    })
}

/// One end's tries and the other's answers.
struct Case<'a> {
    entries: &'a [Entry],
    hosts: [HostId; 2],
    talk: &'a Talk,
    end: usize,
}

impl<'a> Case<'a> {
    fn of_client(entries: &'a [Entry], hosts: [HostId; 2], talk: &'a Talk) -> Self {
        Self {
            entries,
            hosts,
            talk,
            end: 0,
        }
    }

    fn verdict(&self) -> Result<(), String> {
        let stuck_at = self.stuck_at().ok_or("it never sent anything")?;
        let tries: Vec<&Entry> = self
            .sent_by(self.end)
            .filter(|entry| entry.covers(stuck_at))
            .collect();
        if tries.len() < TRIES_MIN {
            return Err(format!(
                "octet {stuck_at} was tried only {} times",
                tries.len()
            ));
        }
        for pair in tries.windows(2) {
            let (pause, limit) = (pair[1].sent - pair[0].sent, self.longest_pause());
            if pause > limit {
                return Err(format!(
                    "it paused for {pause:?} between two tries of octet {stuck_at}"
                ));
            }
        }
        match tries.iter().find(|entry| self.was_ignored(entry, stuck_at)) {
            Some(entry) => Err(format!("the peer did not answer: {entry}")),
            None => Ok(()),
        }
    }

    fn config(&self, end: usize) -> &Config {
        &self.talk.plan.ends[end].config
    }

    fn sent_by(&self, end: usize) -> impl DoubleEndedIterator<Item = &Entry> {
        let ports = [
            self.talk.endpoints[end].port,
            self.talk.endpoints[1 - end].port,
        ];
        self.entries.iter().filter(move |entry| {
            let ours = entry.from == self.hosts[end] && entry.sent >= self.talk.since;
            ours && [entry.source_port, entry.destination_port] == ports
        })
    }

    /// The lowest octet for which no acknowledgment has reached this end.
    fn stuck_at(&self) -> Option<SeqNum> {
        let opened = self
            .sent_by(self.end)
            .rfind(|entry| entry.flags.contains(TcpFlags::SYN))?;
        let reached = self.sent_by(1 - self.end).filter(|entry| {
            let acks = entry.flags.contains(TcpFlags::ACK) && !entry.flags.contains(TcpFlags::RST);
            acks && entry.arrived.is_some()
        });
        Some(reached.fold(opened.seq, |highest, entry| highest.later(entry.ack)))
    }

    fn longest_pause(&self) -> Duration {
        // A lost connection's timers double up to the maximum; the time a full queue or a closed window took is its own.
        self.config(self.end).rto_max + Duration::from_secs(2)
    }

    /// Whether a try arrived and the peer sent nothing in answer that acknowledges it.
    fn was_ignored(&self, entry: &Entry, stuck_at: SeqNum) -> bool {
        let Some(arrived) = entry.arrived else {
            return false;
        };
        let until: Instant = arrived + ANSWER_WITHIN;
        let is_over = self.entries.last().is_some_and(|last| last.sent < until);
        let mut answers = self
            .sent_by(1 - self.end)
            .filter(|answer| answer.sent >= arrived && answer.sent <= until);
        !is_over
            && !answers.any(|answer| {
                let acknowledges =
                    answer.flags.contains(TcpFlags::ACK) && answer.ack.after(stuck_at);
                acknowledges || answer.flags.contains(TcpFlags::RST)
            })
    }
}
