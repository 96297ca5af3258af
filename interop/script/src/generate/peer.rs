//! What the peer sends.

use super::{Author, Theme};

/// What a segment of the peer is about.
#[derive(Clone, Copy, Debug)]
enum Sends {
    Text,
    Ahead,
    Old,
    Overlap,
    Ack,
    PartialAck,
    DuplicateAck,
    Sack,
    OldAck,
    AckOfUnsent,
    Window,
    Fin,
    FinAhead,
    Reset,
    ResetElsewhere,
    Syn,
    Odd,
    Urgent,
    Beyond,
    Icmp,
    OldTimestamp,
}

// What the peer sends, as often as it is named.
const RECEIVING: &[Sends] = {
    use Sends as S;
    &[
        S::Text,
        S::Text,
        S::Text,
        S::Text,
        S::Ahead,
        S::Ahead,
        S::Ahead,
        S::Old,
        S::Overlap,
        S::Overlap,
        S::Fin,
        S::FinAhead,
        S::Urgent,
        S::Beyond,
        S::OldTimestamp,
        S::Ack,
    ]
};
const LOSS: &[Sends] = {
    use Sends as S;
    &[
        S::Ack,
        S::Ack,
        S::PartialAck,
        S::PartialAck,
        S::DuplicateAck,
        S::DuplicateAck,
        S::DuplicateAck,
        S::Sack,
        S::Sack,
        S::Sack,
        S::Sack,
        S::Text,
        S::OldAck,
    ]
};
const WINDOWS: &[Sends] = {
    use Sends as S;
    &[
        S::Window,
        S::Window,
        S::Window,
        S::Window,
        S::Ack,
        S::PartialAck,
        S::Text,
        S::Text,
        S::Beyond,
        S::DuplicateAck,
    ]
};
const CLOSING: &[Sends] = {
    use Sends as S;
    &[
        S::Fin,
        S::Fin,
        S::Fin,
        S::Ack,
        S::Ack,
        S::Text,
        S::Reset,
        S::FinAhead,
        S::ResetElsewhere,
        S::Syn,
        S::OldAck,
        S::Odd,
        S::AckOfUnsent,
    ]
};
const SENDING: &[Sends] = {
    use Sends as S;
    &[
        S::Ack,
        S::Ack,
        S::Ack,
        S::PartialAck,
        S::Text,
        S::Window,
        S::Sack,
        S::DuplicateAck,
        S::Fin,
    ]
};
const OPTIONS: &[Sends] = {
    use Sends as S;
    &[
        S::Text,
        S::Text,
        S::Ack,
        S::Ack,
        S::Window,
        S::Fin,
        S::Icmp,
        S::Reset,
    ]
};
const ANYTHING: &[Sends] = {
    use Sends as S;
    &[
        S::Text,
        S::Text,
        S::Text,
        S::Ahead,
        S::Old,
        S::Overlap,
        S::Ack,
        S::Ack,
        S::PartialAck,
        S::DuplicateAck,
        S::Sack,
        S::OldAck,
        S::AckOfUnsent,
        S::Window,
        S::Fin,
        S::Reset,
        S::ResetElsewhere,
        S::Syn,
        S::Odd,
        S::Urgent,
        S::Beyond,
        S::Icmp,
        S::OldTimestamp,
    ]
};

impl Author {
    pub(super) fn peer_acts(&mut self) {
        let choices = match self.theme {
            Theme::Receiving => RECEIVING,
            Theme::Loss => LOSS,
            Theme::Windows => WINDOWS,
            Theme::Closing => CLOSING,
            Theme::Sending => SENDING,
            Theme::Options => OPTIONS,
            Theme::Handshake | Theme::Anything => ANYTHING,
        };
        let sends = self.random.pick(choices);
        self.send(sends);
    }

    fn send(&mut self, sends: Sends) {
        use Sends::*;
        match sends {
            Text | Ahead | Old | Overlap | Beyond | Urgent | OldTimestamp => self.send_text(sends),
            Ack | PartialAck | DuplicateAck | Sack | OldAck | AckOfUnsent | Window => {
                self.send_ack(sends);
            }
            _ => self.send_control(sends),
        }
    }

    /// What the stack would have to be acknowledged at most.
    fn sent(&self) -> u32 {
        1 + self.written + u32::from(self.shut || self.closed)
    }

    fn text_len(&mut self) -> u32 {
        let mss = 1000;
        self.random.pick(&[1, 10, 100, 500, mss, mss, 1400])
    }

    fn send_text(&mut self, sends: Sends) {
        let len = self.text_len();
        let flags = self.random.pick(&[".", "P.", "P."]);
        let seq = match sends {
            Sends::Ahead => self.peer_next + self.random.between(1, 4) * 500,
            Sends::Old => self.peer_next.saturating_sub(len).max(1),
            Sends::Overlap => {
                let back = self.random.between(1, len);
                self.peer_next.saturating_sub(back).max(1)
            }
            Sends::Beyond => self.peer_next + self.random.pick(&[50_000, 70_000, 200_000]),
            _ => self.peer_next,
        };
        let (flags, urgent) = if matches!(sends, Sends::Urgent) {
            let pointer = self.random.pick(&[1, len, len + 1, 1000]);
            (
                flags.replace('.', ".U").replace(".U", "U."),
                format!(" urg {pointer}"),
            )
        } else {
            (flags.to_owned(), String::new())
        };
        let old_clock = self.clock;
        if matches!(sends, Sends::OldTimestamp) {
            self.clock = self.clock.saturating_sub(800).max(1);
        }
        let mut text = self.segment(&flags, (seq, len), Some(self.acked));
        if !urgent.is_empty() {
            let window = format!(" win {}", self.window);
            text = text.replacen(&window, &format!("{window}{urgent}"), 1);
        }
        self.clock = old_clock;
        if !self.peer_fin && !matches!(sends, Sends::Ahead | Sends::Beyond | Sends::OldTimestamp) {
            self.peer_next = self.peer_next.max(seq + len);
        }
        self.peer_max = self.peer_max.max(seq + len);
        self.line(&text);
    }

    fn send_ack(&mut self, sends: Sends) {
        let flight = self.sent() - self.acked.min(self.sent());
        let mut options = String::new();
        let ack = match sends {
            Sends::Ack => self.sent(),
            Sends::PartialAck => {
                let segments = self.random.between(1, 3);
                (self.acked + segments * self.mss.min(1000)).min(self.sent())
            }
            Sends::OldAck => self
                .acked
                .saturating_sub(self.random.pick(&[1, 1000, 5000]))
                .max(1),
            Sends::AckOfUnsent => self.sent() + self.random.pick(&[1, 1000, 100_000]),
            _ => self.acked,
        };
        if matches!(sends, Sends::Sack) && self.sack && flight > self.mss {
            let segments = flight / self.mss;
            let first = self.random.between(1, segments.min(8));
            let start = self.acked + first * self.mss;
            let end = (start + self.random.between(1, 3) * self.mss).min(1 + self.written);
            if end > start {
                options = format!("sack {start}:{end}");
            }
        }
        if matches!(sends, Sends::Window) || self.random.chance(10) {
            self.window = self
                .random
                .pick(&[0, 0, 1, 10, 500, 1000, 2000, 10_000, 65_535]);
        }
        if ack <= self.sent() {
            self.acked = self.acked.max(ack);
        }
        let text = self.segment_with(".", (self.peer_next, 0), Some(ack), &options);
        let times = if matches!(sends, Sends::DuplicateAck) {
            self.random.between(1, 4)
        } else {
            1
        };
        self.line(&text);
        for _ in 1..times {
            self.after(0, &text);
        }
    }

    fn send_control(&mut self, sends: Sends) {
        let next = self.peer_next;
        let ack = Some(self.acked);
        let text = match sends {
            Sends::Fin => {
                let len = self.random.pick(&[0, 0, 0, 10, 1000]);
                let flags = self.random.pick(&["F.", "F.", "FP."]);
                let ack = if self.random.chance(50) {
                    Some(self.sent())
                } else {
                    ack
                };
                let text = self.segment(flags, (next, len), ack);
                if !self.peer_fin {
                    self.peer_next += len + 1;
                }
                self.peer_fin = true;
                self.acked = ack.unwrap_or(1);
                text
            }
            Sends::FinAhead => self.segment("F.", (next + 1000, 0), ack),
            Sends::Reset => {
                let flags = self.random.pick(&["R", "R."]);
                self.segment(flags, (next, 0), ack.filter(|_| flags == "R."))
            }
            Sends::ResetElsewhere => {
                let off = self.random.pick(&[1, 1000, 100_000]);
                self.segment("R", (next + off, 0), None)
            }
            Sends::Syn => {
                let seq = self.random.pick(&[0, next, next + 1000, next + 200_000]);
                match self.random.below(2) {
                    0 => format!("< S {seq}:{seq}(0) win 1000 <mss 1000>"),
                    _ => format!("< S. {seq}:{seq}(0) ack {} win 1000 <mss 1000>", self.acked),
                }
            }
            Sends::Icmp => self.icmp(),
            _ => match self.random.below(5) {
                0 => format!("< - {next}:{}(10) win 1000", next + 10),
                1 => format!("< F {next}:{next}(0) win 1000"),
                2 => format!("< SF {next}:{next}(0) win 1000"),
                3 => format!("< SR. {next}:{next}(0) ack {} win 1000", self.acked),
                _ => format!("< FSRPU. {next}:{next}(0) ack {} win 1000", self.acked),
            },
        };
        self.line(&text);
    }

    fn icmp(&mut self) -> String {
        let code = if self.ipv6 {
            self.random.pick(&["addr_unreachable", "port_unreachable"])
        } else {
            self.random.pick(&[
                "net_unreachable",
                "host_unreachable",
                "port_unreachable",
                "frag_needed mtu 1200",
            ])
        };
        format!(
            "< icmp unreachable {code} [{}:{}(1000)]",
            self.acked,
            self.acked + 1000
        )
    }

    // ----- segments -----

    /// A SYN with the options of this script.
    pub(super) fn syn(&mut self, flags: &str, ack: &str) -> String {
        let mut options = vec![format!("mss {}", self.mss)];
        if self.sack && self.timestamps {
            options.push("sackOK".to_owned());
        } else if self.sack {
            options.push("nop,nop,sackOK".to_owned());
        }
        if self.timestamps {
            let echo = u32::from(flags == "S.");
            options.push(format!("TS val {} ecr {echo}", self.clock));
        }
        if let Some(scale) = self.scale {
            options.push(format!("nop,wscale {scale}"));
        }
        self.window = self.random.pick(&[65_535, 32_792, 20_000]);
        format!(
            "< {flags} 0:0(0){ack} win {} <{}>",
            self.window,
            options.join(",")
        )
    }

    pub(super) fn segment(&mut self, flags: &str, text: (u32, u32), ack: Option<u32>) -> String {
        self.segment_with(flags, text, ack, "")
    }

    fn segment_with(
        &self,
        flags: &str,
        (seq, len): (u32, u32),
        ack: Option<u32>,
        more: &str,
    ) -> String {
        let mut options = Vec::new();
        if self.timestamps {
            options.push(format!("nop,nop,TS val {} ecr 1", self.clock));
        }
        if !more.is_empty() {
            options.push(format!("nop,nop,{more}"));
        }
        let mut packet = format!("< {flags} {seq}:{}({len})", seq + len);
        if let Some(ack) = ack {
            packet += &format!(" ack {ack}");
        }
        packet += &format!(" win {}", self.window);
        if !options.is_empty() {
            packet += &format!(" <{}>", options.join(","));
        }
        packet
    }

    /// Segments that do not belong into a handshake, before its last one.
    pub(super) fn trouble_in_the_handshake(&mut self) {
        for _ in 0..self.random.between(1, 4) {
            let text = match self.random.below(16) {
                0 | 1 => self.syn("S", ""),
                2 => "< S 0:0(0) win 1000 <mss 500>".to_owned(),
                3 => "< S 100:100(0) win 1000 <mss 1000>".to_owned(),
                4 => "< S. 0:0(0) ack 1 win 1000 <mss 1000>".to_owned(),
                5 => "< S. 0:0(0) ack 2 win 1000 <mss 1000>".to_owned(),
                6 => "< . 1:1(0) ack 2 win 1000".to_owned(),
                7 => "< . 1:1(0) ack 0 win 1000".to_owned(),
                8 => "< . 100:100(0) ack 1 win 1000".to_owned(),
                9 => "< R 1:1(0) win 0".to_owned(),
                10 => "< R 100:100(0) win 0".to_owned(),
                11 => "< R. 1:1(0) ack 1 win 0".to_owned(),
                12 => "< R. 0:0(0) ack 2 win 0".to_owned(),
                13 => "< F 1:1(0) win 1000".to_owned(),
                14 => "< F. 1:1(0) ack 1 win 1000".to_owned(),
                _ => "< P. 1:101(100) ack 1 win 1000".to_owned(),
            };
            self.line(&text);
            if self.random.chance(30) {
                let fd = self.random.pick(&[3, 4]);
                let text = format!(
                    "poll([{{fd={fd}, events=POLLIN|POLLOUT|POLLRDHUP, revents=0}}], 1, 0) = 0"
                );
                self.after(0, &text);
            }
        }
    }
}
