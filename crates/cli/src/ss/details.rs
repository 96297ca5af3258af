//! What -o, -e, -m, -i and -p add to a socket, spelled as ss spells it.

use std::fmt::Write as _;

use handwave::control::protocol::{Info, RunningTimer, Socket, State};

/// Slow-start thresholds from here on, in segments, stand for none, as in Linux.
const SSTHRESH_NONE: u32 = 0xffff;

/// The timer that ss would show, and its name there.
///
/// Of several, that which keeps the connection alive or ends it: retransmission before all others, keep-alive last.
/// Timers that Linux does not show, such as that of delayed acknowledgments, are left out.
pub(super) fn timer(socket: &Socket) -> Option<(&'static str, &RunningTimer)> {
    const SHOWN: [(&str, &str); 6] = [
        ("retransmission", "on"),
        ("syn-ack", "on"),
        ("persist", "persist"),
        ("time-wait", "timewait"),
        ("fin-wait-2", "timewait"),
        ("keep-alive", "keepalive"),
    ];
    SHOWN.iter().find_map(|(ours, shown)| {
        let running = socket.timers.iter().find(|it| it.timer == *ours)?;
        Some((*shown, running))
    })
}

/// `timer:(on,200ms,0)`; empty if none runs.
pub(super) fn timer_text(socket: &Socket) -> String {
    timer(socket).map_or_else(String::new, |(name, timer)| {
        format!(
            "timer:({name},{},{})",
            span(timer.expires_ms),
            timer.retries
        )
    })
}

/// A span as ss writes it: `200ms`, `1.500ms` (which is a second and a half), `59sec`, `1min30sec`, `119min`.
fn span(millis: u64) -> String {
    let (minutes, seconds, rest) = (millis / 60_000, millis / 1000 % 60, millis % 1000);
    let mut text = String::new();
    if minutes > 0 {
        let _ = write!(text, "{minutes}min");
    }
    let seconds_count = minutes <= 9 && seconds > 0;
    let rest_counts = minutes == 0 && seconds <= 9 && rest > 0;
    if seconds_count {
        let _ = write!(text, "{seconds}{}", if rest_counts { "." } else { "sec" });
    }
    if rest_counts {
        let _ = write!(text, "{rest:03}ms");
    }
    text
}

/// `sk:4.2 <->`: what the stack calls it, and which directions are open, `<` for receiving.
pub(super) fn extended(socket: &Socket) -> String {
    let (receives, sends) = match socket.state {
        State::CloseWait => (false, true),
        State::FinWait1 | State::FinWait2 => (true, false),
        State::Closing | State::LastAck | State::TimeWait => (false, false),
        _ => (true, true),
    };
    let arrow = [
        if receives { '<' } else { '-' },
        '-',
        if sends { '>' } else { '-' },
    ];
    let arrow: String = arrow.into_iter().collect();
    let orphan = if socket.orphan { "orphan " } else { "" };
    match socket.id.as_str() {
        "" => format!("{orphan}{arrow}"),
        id => format!("sk:{id} {orphan}{arrow}"),
    }
}

/// `skmem:(r0,rb131072,t0,tb16384,f0,w0,o0,bl0,d0)`; empty if nothing is known.
///
/// `r` and `w` are text that waits to be read and to be acknowledged, `rb` and `tb` how much may, `f` what is held beyond
/// that. What the others count does not exist here.
pub(super) fn memory(socket: &Socket) -> String {
    let Some(memory) = &socket.memory else {
        return String::new();
    };
    let (read, write) = match socket.state {
        State::Listen => (0, 0),
        _ => (socket.recv_q, socket.send_q),
    };
    let (rb, tb) = (memory.receive_buffer, memory.send_buffer);
    let beyond = memory.held.saturating_sub(read + write);
    format!("skmem:(r{read},rb{rb},t0,tb{tb},f{beyond},w{write},o0,bl0,d0)")
}

/// Both queues of a listener against their limits.
pub(super) fn queues(socket: &Socket) -> String {
    socket.queues.as_ref().map_or_else(String::new, |queues| {
        format!(
            "syn_queue:{}/{} accept_queue:{}/{}",
            queues.syn_queue, queues.syn_queue_max, queues.accept_queue, queues.accept_queue_max
        )
    })
}

/// tcp_info as ss prints it: in its order, windows and what is in flight in segments, without what is zero.
pub(super) fn info(info: &Info) -> String {
    let mut text = Words::default();
    text.flag(info.timestamps, "ts");
    text.flag(info.sack, "sack");
    text.flag(!info.congestion.is_empty(), &info.congestion);
    if info.window_scaling {
        text.add(format!("wscale:{},{}", info.snd_wscale, info.rcv_wscale));
    }
    text.millis("rto", info.rto_us);
    text.number("backoff", info.backoff);
    if let Some(rtt) = info.rtt_us {
        let rttvar = millis(info.rttvar_us.unwrap_or(0));
        text.add(format!("rtt:{}/{rttvar}", millis(rtt)));
    }
    text.millis("ato", info.ato_us);
    text.number("mss", info.snd_mss);
    text.number("pmtu", info.pmtu);
    text.number("rcvmss", info.rcv_mss);
    text.number("advmss", info.advmss);
    let segments = |octets: u32| octets.div_ceil(u32::from(info.snd_mss).max(1));
    text.number("cwnd", segments(info.snd_cwnd));
    if segments(info.snd_ssthresh) < SSTHRESH_NONE {
        text.number("ssthresh", segments(info.snd_ssthresh));
    }
    text.number("bytes_sent", info.bytes_sent);
    text.number("bytes_retrans", info.bytes_retrans);
    text.number("bytes_acked", info.bytes_acked);
    text.number("bytes_received", info.bytes_received);
    text.number("segs_out", info.segs_out);
    text.number("segs_in", info.segs_in);
    text.number("data_segs_out", info.data_segs_out);
    text.number("data_segs_in", info.data_segs_in);
    if let Some(rtt) = info.rtt_us.filter(|rtt| *rtt > 0) {
        let bits = u64::from(info.snd_cwnd) * 8_000_000 / rtt;
        text.add(format!("send {bits}bps"));
    }
    let since = |us: Option<u64>| us.map_or(0, |us| us / 1000);
    text.number("lastsnd", since(info.last_data_sent_us));
    text.number("lastack", since(info.last_ack_recv_us));
    if let Some(rate) = info.pacing_rate.filter(|rate| *rate > 0) {
        text.add(format!("pacing_rate {}bps", rate.saturating_mul(8)));
    }
    text.number("unacked", segments(info.unacked));
    if info.retrans > 0 || info.total_retrans > 0 {
        let now = segments(info.retrans);
        text.add(format!("retrans:{now}/{}", info.total_retrans));
    }
    text.number("lost", segments(info.lost));
    text.number("sacked", segments(info.sacked));
    text.number("rcv_ssthresh", info.rcv_ssthresh);
    text.number("notsent", info.notsent);
    text.millis("minrtt", info.min_rtt_us.unwrap_or(0));
    text.number("snd_wnd", info.snd_wnd);
    text.number("rcv_wnd", info.rcv_wnd);
    text.0
}

/// Words with spaces between them.
#[derive(Default)]
struct Words(String);

impl Words {
    fn add(&mut self, word: impl AsRef<str>) {
        if !self.0.is_empty() {
            self.0.push(' ');
        }
        self.0.push_str(word.as_ref());
    }

    fn flag(&mut self, set: bool, word: &str) {
        if set {
            self.add(word);
        }
    }

    fn number(&mut self, name: &str, value: impl Into<u64>) {
        let value = value.into();
        if value > 0 {
            self.add(format!("{name}:{value}"));
        }
    }

    fn millis(&mut self, name: &str, us: u64) {
        if us > 0 {
            self.add(format!("{name}:{}", millis(us)));
        }
    }
}

/// Milliseconds with six digits that count, without zeros at the end, as `%g` in C.
fn millis(us: u64) -> String {
    let whole = us / 1000;
    let digits = whole.checked_ilog10().map_or(1, |log| log + 1);
    let decimals = 6_u32.saturating_sub(digits).min(3);
    let unit = 10_u64.pow(3 - decimals);
    let rounded = us.saturating_add(unit / 2) / unit;
    let scale = 10_u64.pow(decimals);
    let (whole, part) = (rounded / scale, rounded % scale);
    if part == 0 {
        return whole.to_string();
    }
    let text = format!("{whole}.{part:0width$}", width = decimals as usize);
    text.trim_end_matches('0').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ss::sample;

    #[test]
    fn spans_are_written_as_ss_writes_them() {
        for (millis, text) in [
            (0, ""),
            (7, "007ms"),
            (200, "200ms"),
            (1_000, "1sec"),
            (1_500, "1.500ms"),
            (9_999, "9.999ms"),
            (12_345, "12sec"),
            (59_999, "59sec"),
            (60_000, "1min"),
            (90_500, "1min30sec"),
            (599_000, "9min59sec"),
            (600_000, "10min"),
            (7_199_000, "119min"),
        ] {
            assert_eq!(span(millis), text, "{millis}");
        }
    }

    #[test]
    fn milliseconds_have_six_digits_that_count() {
        for (us, text) in [
            (0, "0"),
            (1, "0.001"),
            (81, "0.081"),
            (500, "0.5"),
            (204_000, "204"),
            (4_427, "4.427"),
            (999_999, "999.999"),
            (1_234_567, "1234.57"),
            (12_345_678, "12345.7"),
            (123_456_789, "123457"),
            (1_999_999, "2000"),
        ] {
            assert_eq!(millis(us), text, "{us}");
        }
    }

    #[test]
    fn of_several_timers_the_most_telling_is_shown() {
        let mut socket = sample::tcp(State::Established, "10.7.0.1:80", "10.7.0.2:1");
        assert_eq!(timer_text(&socket), "");
        let names = ["delayed-ack", "keep-alive", "persist", "retransmission"];
        let shown = ["", "keepalive", "persist", "on"];
        for (name, shown) in names.into_iter().zip(shown) {
            socket.timers.push(RunningTimer {
                timer: name.to_owned(),
                expires_ms: 40,
                retries: 2,
            });
            let expected = match shown {
                "" => String::new(),
                shown => format!("timer:({shown},040ms,2)"),
            };
            assert_eq!(timer_text(&socket), expected);
        }
    }

    #[test]
    fn what_is_zero_is_not_said() {
        assert_eq!(info(&Info::default()), "");
    }
}
