//! What a socket has to tell of what it has sent: `MSG_ERRQUEUE`.
//!
//! Each write that asks for it leaves a mark at its last octet. When that octet has left, or has been acknowledged, the mark becomes
//! a notice that `recvmsg` takes.

use super::call::Control;
use super::constants::{
    MSG_ERRQUEUE, MSG_TRUNC, SCM_TSTAMP_ACK, SCM_TSTAMP_SCHED, SCM_TSTAMP_SND,
    SO_EE_CODE_ZEROCOPY_COPIED, SO_EE_ORIGIN_TIMESTAMPING, SO_EE_ORIGIN_ZEROCOPY,
    SOF_TIMESTAMPING_OPT_ID, SOF_TIMESTAMPING_OPT_TSONLY, SOF_TIMESTAMPING_SOFTWARE,
    SOF_TIMESTAMPING_TX_ACK, SOF_TIMESTAMPING_TX_SCHED, SOF_TIMESTAMPING_TX_SOFTWARE,
};
use super::{Errno, Received};
use handwave_tcp::Instant;
use std::collections::VecDeque;

/// Marks, and notices, that one socket keeps.
const KEPT_MAX: usize = 1024;

/// Notices of one socket, and the marks they will come from.
#[derive(Debug, Default)]
pub(super) struct ErrorQueue {
    notices: VecDeque<Notice>,
    marks: VecDeque<Mark>,
    /// The number of the next write with `MSG_ZEROCOPY`.
    next_zerocopy: u32,
    /// Octets written since the connection began.
    written: u64,
    /// The octet that `SOF_TIMESTAMPING_OPT_ID` counts from.
    key_base: u64,
}

/// The last octet of a write, and what is wanted of it.
#[derive(Clone, Copy, Debug)]
struct Mark {
    end: u64,
    wanted: Wanted,
}

#[derive(Clone, Copy, Debug)]
enum Wanted {
    /// The writes with these numbers, first and last.
    Zerocopy(u32, u32),
    /// `SOF_TIMESTAMPING_TX_*` not yet told.
    Stamps(i32),
}

#[derive(Clone, Copy, Debug)]
enum Notice {
    Zerocopy(u32, u32),
    Stamp { kind: i32, key: u64, at: Instant },
}

/// How far a connection has come with what was written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Progress {
    /// Octets that have left at least once.
    pub(super) sent: u64,
    pub(super) acknowledged: u64,
}

impl ErrorQueue {
    /// Whether something can be taken: `POLLERR`.
    pub(super) fn has_notices(&self) -> bool {
        !self.notices.is_empty()
    }

    /// Whether something is waited for.
    pub(super) fn has_marks(&self) -> bool {
        !self.marks.is_empty()
    }

    /// Octets written since the connection began.
    pub(super) const fn written(&self) -> u64 {
        self.written
    }

    /// `SOF_TIMESTAMPING_OPT_ID` counts from here.
    pub(super) const fn begin_keys(&mut self, at: u64) {
        self.key_base = at;
    }

    /// Whether another mark can be kept.
    pub(super) fn has_room(&self) -> bool {
        self.marks.len() < KEPT_MAX
    }

    /// Notes that `count` octets were written; `unsent`: not all that was written before has left.
    pub(super) fn on_write(&mut self, count: usize, zerocopy: bool, stamps: i32, unsent: bool) {
        let before = self.written;
        self.written += count as u64;
        if count == 0 || !self.has_room() {
            return;
        }
        let end = self.written;
        if zerocopy {
            let number = self.next_zerocopy;
            self.next_zerocopy = number.wrapping_add(1);
            match self.marks.back_mut() {
                // What is appended to a segment that waits is told together with it.
                Some(Mark {
                    end: known,
                    wanted: Wanted::Zerocopy(_, last),
                }) if *known == before && unsent => {
                    (*known, *last) = (end, number);
                }
                _ => self.marks.push_back(Mark {
                    end,
                    wanted: Wanted::Zerocopy(number, number),
                }),
            }
        }
        let stamps = stamps
            & (SOF_TIMESTAMPING_TX_SCHED | SOF_TIMESTAMPING_TX_SOFTWARE | SOF_TIMESTAMPING_TX_ACK);
        if stamps != 0 {
            self.marks.push_back(Mark {
                end,
                wanted: Wanted::Stamps(stamps),
            });
        }
    }

    /// Turns marks that the connection has passed into notices.
    pub(super) fn settle(&mut self, now: Instant, progress: Progress) {
        let mut kept = VecDeque::new();
        while let Some(mut mark) = self.marks.pop_front() {
            let (sent, acknowledged) =
                (progress.sent >= mark.end, progress.acknowledged >= mark.end);
            let done = match &mut mark.wanted {
                Wanted::Zerocopy(first, last) => {
                    if acknowledged {
                        self.tell_zerocopy(*first, *last);
                    }
                    acknowledged
                }
                Wanted::Stamps(stamps) => {
                    for (flag, kind, due) in [
                        (SOF_TIMESTAMPING_TX_SCHED, SCM_TSTAMP_SCHED, sent),
                        (SOF_TIMESTAMPING_TX_SOFTWARE, SCM_TSTAMP_SND, sent),
                        (SOF_TIMESTAMPING_TX_ACK, SCM_TSTAMP_ACK, acknowledged),
                    ] {
                        if *stamps & flag != 0 && due {
                            *stamps &= !flag;
                            // The key is that of the last octet.
                            let key = (mark.end - 1).wrapping_sub(self.key_base);
                            self.tell(Notice::Stamp { kind, key, at: now });
                        }
                    }
                    *stamps == 0
                }
            };
            if !done {
                kept.push_back(mark);
            }
        }
        self.marks = kept;
    }

    /// Completions that follow on each other are told as one range.
    fn tell_zerocopy(&mut self, first: u32, last: u32) {
        if let Some(Notice::Zerocopy(_, known)) = self.notices.back_mut()
            && known.wrapping_add(1) == first
        {
            *known = last;
            return;
        }
        self.tell(Notice::Zerocopy(first, last));
    }

    fn tell(&mut self, notice: Notice) {
        if self.notices.len() < KEPT_MAX {
            self.notices.push_back(notice);
        }
    }

    /// Whatever was written will not be sent any more.
    pub(super) fn give_up(&mut self, now: Instant) {
        let (sent, acknowledged) = (0, self.written);
        for mark in &mut self.marks {
            if let Wanted::Stamps(stamps) = &mut mark.wanted {
                *stamps = 0;
            }
        }
        self.settle(now, Progress { sent, acknowledged });
    }

    /// Takes the oldest notice; `flags` are those of `SO_TIMESTAMPING`.
    pub(super) fn take(&mut self, ipv6: bool, flags: i32) -> Result<Received, Errno> {
        let notice = self.notices.pop_front().ok_or(Errno::EAGAIN)?;
        let mut control = Vec::new();
        let mut message_flags = MSG_ERRQUEUE;
        let error = |errno, origin: i32, code: i32, (info, data)| Control::Error {
            ipv6,
            errno,
            origin: origin.to_le_bytes()[0],
            kind: 0,
            code: code.to_le_bytes()[0],
            info,
            data,
            offender: None,
        };
        match notice {
            Notice::Zerocopy(first, last) => control.push(error(
                0,
                SO_EE_ORIGIN_ZEROCOPY,
                // The octets are always copied here, as Linux does where a packet goes to a program on the same host.
                SO_EE_CODE_ZEROCOPY_COPIED,
                (first, last),
            )),
            Notice::Stamp { kind, key, at } => {
                if flags & SOF_TIMESTAMPING_SOFTWARE != 0 {
                    control.push(Control::Timestamping(at));
                }
                let key = if flags & SOF_TIMESTAMPING_OPT_ID == 0 {
                    0
                } else {
                    // The key has 32 bits and wraps.
                    (key & u64::from(u32::MAX)).try_into().unwrap_or(0)
                };
                if flags & SOF_TIMESTAMPING_OPT_TSONLY == 0 {
                    // Linux hands the packet back too, of which nothing is copied here.
                    message_flags |= MSG_TRUNC;
                }
                control.push(error(
                    Errno::ENOMSG.number(),
                    SO_EE_ORIGIN_TIMESTAMPING,
                    0,
                    (kind.cast_unsigned(), key),
                ));
            }
        }
        Ok(Received {
            flags: message_flags,
            control,
            ..Received::default()
        })
    }
}
