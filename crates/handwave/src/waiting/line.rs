//! [`Line`]: those who wait for things of which each goes to one of them.
//!
//! Waking all for one thing would have all but one run for nothing. So as many are called as there are things, longest wait first, and
//! a call stands until whoever was called has come, or has left: then it goes to the next.

use std::collections::VecDeque;
use std::task::Waker;

use super::Ticket;

/// Who waits, in the order of arrival, and who was called.
#[derive(Debug, Default)]
pub(super) struct Line {
    queue: VecDeque<(Ticket, Waker)>,
    called: Vec<Ticket>,
}

impl Line {
    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty() && self.called.is_empty()
    }

    /// Joins at the end, or replaces the waker of one who stands in line; returns the one replaced.
    pub(super) fn join(&mut self, ticket: Ticket, waker: &Waker) -> Option<Waker> {
        let mut all = self.queue.iter_mut();
        match all.find(|(own, _)| *own == ticket) {
            Some((_, old)) if old.will_wake(waker) => None,
            Some((_, old)) => Some(std::mem::replace(old, waker.clone())),
            None => {
                self.queue.push_back((ticket, waker.clone()));
                None
            }
        }
    }

    /// Leaves without having been called.
    pub(super) fn leave(&mut self, ticket: Ticket) -> Option<Waker> {
        let at = self.queue.iter().position(|(own, _)| *own == ticket)?;
        self.queue.remove(at).map(|(_, waker)| waker)
    }

    /// Calls one for each thing that nobody was called for.
    ///
    /// Who waits by polling is called on top: whether he ever polls again is not known.
    pub(super) fn call(&mut self, things: usize, woken: &mut Vec<Waker>) {
        if things > 0 {
            woken.extend(self.leave(Ticket::POLL));
        }
        while self.called.len() < things
            && let Some((ticket, waker)) = self.queue.pop_front()
        {
            self.called.push(ticket);
            woken.push(waker);
        }
    }

    /// Notes that the holder of `ticket` came, or will never; returns whether he was called.
    pub(super) fn came(&mut self, ticket: Ticket) -> bool {
        let at = self.called.iter().position(|own| *own == ticket);
        at.map(|at| self.called.swap_remove(at)).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tickets() -> [Ticket; 3] {
        [1, 2, 3].map(Ticket)
    }

    #[test]
    fn one_is_called_for_each_thing_the_longest_wait_first() {
        let mut line = Line::default();
        for ticket in tickets() {
            assert!(line.join(ticket, Waker::noop()).is_none());
        }
        let [first, second, third] = tickets();
        let mut woken = Vec::new();
        line.call(1, &mut woken);
        line.call(1, &mut woken);
        assert_eq!((woken.len(), line.called.as_slice()), (1, &[first][..]));
        line.call(2, &mut woken);
        assert_eq!((woken.len(), line.called.len()), (2, 2));
        assert!(line.came(second) && !line.came(second) && !line.came(third));
        line.call(2, &mut woken);
        assert_eq!(woken.len(), 3);
        assert!(line.came(first) && line.came(third) && line.is_empty());
    }

    #[test]
    fn who_polls_is_called_on_top_and_owes_nothing() {
        let mut line = Line::default();
        let [first, ..] = tickets();
        let mut woken = Vec::new();
        for ticket in [Ticket::POLL, first] {
            assert!(line.join(ticket, Waker::noop()).is_none());
        }
        line.call(0, &mut woken);
        assert!(woken.is_empty());
        line.call(1, &mut woken);
        assert_eq!((woken.len(), line.called.as_slice()), (2, &[first][..]));
    }
}
