//! Everything a story can say, as data. The words are in [`lang`](crate::lang).

use crate::model::{Number, Side};

/// One sentence of the story. [`text`](crate::Sentence::text) says it in a language.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    missing_docs,
    reason = "the fields are named for what they are: an end or a number"
)]
pub enum Sentence {
    /// A first SYN, from the end that opens.
    SynOpens { from: Side },
    /// A SYN while the other end's SYN is under way.
    SynCrosses { from: Side },
    /// SYN+ACK of the passive end.
    SynAckAgrees { from: Side },
    /// SYN+ACK of an end that had sent a SYN of its own.
    SynAckAfterCrossing { from: Side },
    /// After the second segment: what each end has learnt.
    OpenerKnows { opener: Side },
    /// The third segment.
    HandshakeAck { from: Side },
    /// After the third segment: what the passive end has learnt.
    AnswererKnows { answerer: Side },
    /// A simultaneous open is complete for this end.
    CrossedOpenDone { at: Side },
    /// A SYN+ACK whose ACK names a number that was never sent.
    SynAckForOldSyn { from: Side, ack: Number },
    /// The RST that answers it.
    RstRefusesOldSyn { from: Side },
    /// The half-open connection that the RST removes.
    BackToListen { at: Side },

    /// Text.
    Data {
        from: Side,
        first: Number,
        last: Number,
    },
    /// Text after the peer's FIN.
    DataHalfClosed { from: Side, len: u32 },
    /// An acknowledgment of text.
    PureAck { from: Side, ack: Number },
    /// An acknowledgment that says the same again.
    AckStays { from: Side, ack: Number },
    /// An acknowledgment repeated because what was acknowledged came again.
    SaysAgain { from: Side, ack: Number },
    /// The segment arrived before one that left earlier.
    OutOfOrder { at: Side, expected: Number },
    /// The octets were there already.
    AlreadyHad { at: Side },
    /// The receiver has a window again.
    WindowReopens { from: Side, window: u32 },
    /// The receiver has no room left.
    WindowShut { from: Side },
    /// A probe of a shut window.
    WindowProbe { from: Side },
    /// The window is open: text flows again, from the octet of the probe on.
    ResumesAfterProbe { from: Side },
    /// The window is still shut.
    ProbeAnswered { from: Side },
    /// A keep-alive probe.
    KeepAlive { from: Side },

    /// Sent again because the timer ran out.
    RepeatedAfterTimeout { from: Side, times: u32 },
    /// Sent again because acknowledgments told of a hole.
    RepeatedAfterAcks { from: Side },
    /// Never arrived.
    Lost,
    /// An acknowledgment in the midst of others never arrived.
    LostAck,
    /// Arrived damaged.
    Corrupted { at: Side },
    /// The network made a copy.
    Copied { at: Side },

    /// The FIN of the end that closes first.
    FinCloses { from: Side },
    /// The acknowledgment of that FIN, with the other direction still open.
    FinAcknowledged { from: Side },
    /// The FIN of the end that closes second.
    FinOfSecond { from: Side },
    /// The same, when it acknowledges the first FIN as well.
    FinMerged { from: Side },
    /// A FIN while the other end's FIN is under way.
    FinsCross { from: Side },
    /// The last acknowledgment.
    LastAck { from: Side },
    /// The acknowledgment of a FIN that crossed ours.
    AckOfCrossedFin { from: Side },
    /// A FIN sent again out of LAST-ACK.
    FinRepeated { from: Side },
    /// TIME-WAIT answers a FIN that came again.
    TimeWaitAnswers { from: Side },

    /// A RST of an application that gives up.
    RstAborts { from: Side },
    /// A RST that answers a segment for which there is no connection.
    RstNoConnection { from: Side },
    /// A believed RST has removed the connection.
    ResetDone { at: Side },
    /// A RST that is not believed.
    RstIgnored { at: Side },
    /// A RST that TIME-WAIT does not heed.
    RstInTimeWait { at: Side },
    /// A segment of an older connection enters.
    OldDuplicate { from: Side },
    /// A segment with a number outside the window is dropped.
    OutsideWindow { at: Side, expected: Number },
    /// A timestamp proves the segment old (PAWS).
    OldTimestamp { at: Side },
    /// The receiver says what it expects, after a segment it does not believe.
    Challenge { from: Side, ack: Number },
    /// Dropped for another reason.
    Dropped { at: Side },

    /// The application opens actively.
    CallOpen { side: Side },
    /// The application closes.
    CallClose { side: Side },
    /// The application lets go.
    CallRelease { side: Side },
    /// The application aborts.
    CallAbort { side: Side },
    /// The retransmission timer ran out.
    TimerRetransmission { side: Side },
    /// The persist timer ran out.
    TimerPersist { side: Side },
    /// Two maximum segment lifetimes passed.
    TimerTimeWait { side: Side },
    /// FIN-WAIT-2 lasted too long.
    TimerFinWait2 { side: Side },
    /// The user timeout ran out, or keep-alive probes went unanswered.
    TimerGivesUp { side: Side },
    /// The network reported an error.
    Icmp { side: Side },
}

impl Sentence {
    /// A name for programs: stable, and never translated.
    #[rustfmt::skip]
    pub const fn key(&self) -> &'static str {
        match self {
            Self::SynOpens { .. } => "syn-opens",
            Self::SynCrosses { .. } => "syn-crosses",
            Self::SynAckAgrees { .. } => "syn-ack-agrees",
            Self::SynAckAfterCrossing { .. } => "syn-ack-after-crossing",
            Self::OpenerKnows { .. } => "opener-knows",
            Self::HandshakeAck { .. } => "handshake-ack",
            Self::AnswererKnows { .. } => "answerer-knows",
            Self::CrossedOpenDone { .. } => "crossed-open-done",
            Self::SynAckForOldSyn { .. } => "syn-ack-for-old-syn",
            Self::RstRefusesOldSyn { .. } => "rst-refuses-old-syn",
            Self::BackToListen { .. } => "back-to-listen",
            Self::Data { .. } => "data",
            Self::DataHalfClosed { .. } => "data-half-closed",
            Self::PureAck { .. } => "pure-ack",
            Self::AckStays { .. } => "ack-stays",
            Self::SaysAgain { .. } => "says-again",
            Self::OutOfOrder { .. } => "out-of-order",
            Self::AlreadyHad { .. } => "already-had",
            Self::WindowReopens { .. } => "window-reopens",
            Self::WindowShut { .. } => "window-shut",
            Self::WindowProbe { .. } => "window-probe",
            Self::ResumesAfterProbe { .. } => "resumes-after-probe",
            Self::ProbeAnswered { .. } => "probe-answered",
            Self::KeepAlive { .. } => "keep-alive",
            Self::RepeatedAfterTimeout { .. } => "repeated-after-timeout",
            Self::RepeatedAfterAcks { .. } => "repeated-after-acks",
            Self::Lost => "lost",
            Self::LostAck => "lost-ack",
            Self::Corrupted { .. } => "corrupted",
            Self::Copied { .. } => "copied",
            Self::FinCloses { .. } => "fin-closes",
            Self::FinAcknowledged { .. } => "fin-acknowledged",
            Self::FinOfSecond { .. } => "fin-of-second",
            Self::FinMerged { .. } => "fin-merged",
            Self::FinsCross { .. } => "fins-cross",
            Self::LastAck { .. } => "last-ack",
            Self::AckOfCrossedFin { .. } => "ack-of-crossed-fin",
            Self::FinRepeated { .. } => "fin-repeated",
            Self::TimeWaitAnswers { .. } => "time-wait-answers",
            Self::RstAborts { .. } => "rst-aborts",
            Self::RstNoConnection { .. } => "rst-no-connection",
            Self::ResetDone { .. } => "reset-done",
            Self::RstIgnored { .. } => "rst-ignored",
            Self::RstInTimeWait { .. } => "rst-in-time-wait",
            Self::OldDuplicate { .. } => "old-duplicate",
            Self::OutsideWindow { .. } => "outside-window",
            Self::OldTimestamp { .. } => "old-timestamp",
            Self::Challenge { .. } => "challenge",
            Self::Dropped { .. } => "dropped",
            Self::CallOpen { .. } => "call-open",
            Self::CallClose { .. } => "call-close",
            Self::CallRelease { .. } => "call-release",
            Self::CallAbort { .. } => "call-abort",
            Self::TimerRetransmission { .. } => "timer-retransmission",
            Self::TimerPersist { .. } => "timer-persist",
            Self::TimerTimeWait { .. } => "timer-time-wait",
            Self::TimerFinWait2 { .. } => "timer-fin-wait-2",
            Self::TimerGivesUp { .. } => "timer-gives-up",
            Self::Icmp { .. } => "icmp",
        }
    }
}

impl Sentence {
    /// Whether it tells what happens where the segment arrives, rather than where it leaves.
    pub(crate) const fn is_about_arrival(&self) -> bool {
        matches!(
            self,
            Self::OpenerKnows { .. }
                | Self::AnswererKnows { .. }
                | Self::CrossedOpenDone { .. }
                | Self::BackToListen { .. }
                | Self::OutOfOrder { .. }
                | Self::AlreadyHad { .. }
                | Self::Copied { .. }
                | Self::ResetDone { .. }
                | Self::RstIgnored { .. }
                | Self::RstInTimeWait { .. }
                | Self::OutsideWindow { .. }
                | Self::OldTimestamp { .. }
                | Self::Dropped { .. }
        )
    }

    /// Whether it tells of an acknowledgment whose sum is worth showing.
    pub(crate) const fn is_about_ack(&self) -> bool {
        matches!(
            self,
            Self::SynAckAgrees { .. }
                | Self::SynAckAfterCrossing { .. }
                | Self::SynAckForOldSyn { .. }
                | Self::HandshakeAck { .. }
                | Self::PureAck { .. }
                | Self::FinAcknowledged { .. }
                | Self::FinMerged { .. }
                | Self::LastAck { .. }
                | Self::AckOfCrossedFin { .. }
                | Self::TimeWaitAnswers { .. }
                | Self::WindowShut { .. }
        )
    }
}
