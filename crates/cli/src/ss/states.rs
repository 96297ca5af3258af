//! Sets of states, with the names and groups that ss has for them.

use handwave::control::protocol::State;

/// A set of states.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct States(u16);

impl States {
    pub(super) const NONE: Self = Self(0);
    pub(super) const ALL: Self = Self::of(&State::ALL);
    /// Listeners, and what has no peer. To ss, both CLOSED and a UDP socket without a peer are closed.
    pub(super) const LISTENING: Self =
        Self::of(&[State::Listen, State::Closed, State::Unconnected]);
    const CLOSED: Self = Self::of(&[State::Closed, State::Unconnected]);
    const CONNECTED: Self = Self::ALL.without(Self::LISTENING);
    const BUCKET: Self = Self::of(&[State::SynReceived, State::TimeWait]);
    /// What is shown if nothing is asked for.
    pub(super) const OPEN: Self = Self::CONNECTED.without(Self::BUCKET);
    /// What netstat shows if nothing is asked for.
    pub(super) const WITH_PEER: Self = Self::CONNECTED;

    const fn of(states: &[State]) -> Self {
        let (mut bits, mut rest) = (0, states);
        while let [state, others @ ..] = rest {
            bits |= bit(*state);
            rest = others;
        }
        Self(bits)
    }

    /// The state or group of this name.
    pub(super) fn named(name: &str) -> Option<Self> {
        let one = |state| Self::of(&[state]);
        Some(match name.to_ascii_lowercase().as_str() {
            "established" => one(State::Established),
            "syn-sent" => one(State::SynSent),
            "syn-recv" | "syn-rcv" => one(State::SynReceived),
            "fin-wait-1" => one(State::FinWait1),
            "fin-wait-2" => one(State::FinWait2),
            "time-wait" => one(State::TimeWait),
            "close" | "closed" | "unconnected" => Self::CLOSED,
            "close-wait" => one(State::CloseWait),
            "last-ack" => one(State::LastAck),
            "listen" | "listening" => one(State::Listen),
            "closing" => one(State::Closing),
            "all" => Self::ALL,
            "connected" => Self::CONNECTED,
            "synchronized" => Self::CONNECTED.without(one(State::SynSent)),
            "bucket" => Self::BUCKET,
            "big" => Self::ALL.without(Self::BUCKET),
            _ => return None,
        })
    }

    pub(super) const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(super) const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    pub(super) const fn contains(self, state: State) -> bool {
        self.0 & bit(state) != 0
    }

    /// All look the same, so that a column for them would tell nothing.
    pub(super) fn is_one(self) -> bool {
        self == Self::CLOSED || self.0.count_ones() == 1
    }

    /// As the protocol has them: none is any.
    pub(super) fn to_vec(self) -> Vec<State> {
        if self == Self::ALL {
            return Vec::new();
        }
        let all = State::ALL.into_iter();
        all.filter(|state| self.contains(*state)).collect()
    }
}

const fn bit(state: State) -> u16 {
    1 << state as u16
}

/// What ss calls a state.
pub(super) const fn shown(state: State) -> &'static str {
    match state {
        State::Listen => "LISTEN",
        State::SynSent => "SYN-SENT",
        State::SynReceived => "SYN-RECV",
        State::Established => "ESTAB",
        State::FinWait1 => "FIN-WAIT-1",
        State::FinWait2 => "FIN-WAIT-2",
        State::CloseWait => "CLOSE-WAIT",
        State::Closing => "CLOSING",
        State::LastAck => "LAST-ACK",
        State::TimeWait => "TIME-WAIT",
        State::Closed | State::Unconnected => "UNCONN",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_those_of_ss() {
        use State::{Closed, Listen, SynReceived, SynSent, TimeWait, Unconnected};
        for (name, missing) in [
            ("all", &[][..]),
            ("connected", &[Listen, Closed, Unconnected]),
            ("synchronized", &[Listen, SynSent, Closed, Unconnected]),
            ("big", &[SynReceived, TimeWait]),
        ] {
            let group = States::named(name).unwrap();
            let absent: Vec<_> = State::ALL
                .into_iter()
                .filter(|state| !group.contains(*state))
                .collect();
            assert_eq!(absent, missing, "{name}");
        }
        let bucket = States::named("bucket").unwrap().to_vec();
        assert_eq!(bucket, [SynReceived, TimeWait]);
        assert_eq!(States::ALL.to_vec(), [], "none is any");
        assert_eq!(States::named("half-open"), None);
    }

    #[test]
    fn every_name_that_is_shown_is_understood() {
        for state in State::ALL {
            let name = match state {
                State::Established => "established",
                other => shown(other),
            };
            let name = if name == "UNCONN" {
                "unconnected"
            } else {
                name
            };
            assert!(States::named(name).unwrap().contains(state), "{name}");
        }
    }

    #[test]
    fn one_state_needs_no_column() {
        for (name, one) in [("syn-recv", true), ("closed", true), ("bucket", false)] {
            assert_eq!(States::named(name).unwrap().is_one(), one, "{name}");
        }
        assert!(!States::NONE.is_one());
    }
}
