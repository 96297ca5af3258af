//! One connection with all its numbers, named as in Linux's `tcp_info`.

use handwave::control::protocol::{Info, Socket};
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

use super::{DIM, window};
use crate::top::format::{micros, place};
use crate::top::model::Model;
use crate::top::words::Words;

pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, model: &Model, words: &Words) {
    let Some(socket) = model.selected() else {
        let inner = window(frame, area, words.gone.to_owned(), 40, 3);
        frame.render_widget(Line::styled(words.gone, DIM), inner);
        return;
    };
    let title = format!("{} - {}", place(&socket.local), place(&socket.peer));
    let numbers = numbers(socket);
    let half = numbers.len().div_ceil(2);
    let rows = u16::try_from(half).unwrap_or(u16::MAX).saturating_add(2);
    let inner = window(frame, area, title, 78, rows);
    let halves = Layout::horizontal([Constraint::Fill(1), Constraint::Fill(1)]).areas::<2>(inner);
    for (area, part) in halves.into_iter().zip(numbers.chunks(half.max(1))) {
        let lines = part.iter().map(|(name, value)| {
            Line::from(vec![
                Span::styled(format!("{name:<16}"), DIM),
                Span::raw(value.clone()),
            ])
        });
        frame.render_widget(Paragraph::new(lines.collect::<Vec<_>>()), area);
    }
}

fn numbers(socket: &Socket) -> Vec<(&'static str, String)> {
    let mut all = vec![
        ("state", socket.state.name().to_owned()),
        ("id", socket.id.clone()),
        ("recv-q", socket.recv_q.to_string()),
        ("send-q", socket.send_q.to_string()),
    ];
    if let Some(info) = &socket.info {
        all.extend(of_info(info));
    }
    if let Some(memory) = &socket.memory {
        all.push(("held", memory.held.to_string()));
        all.push(("send_buffer", memory.send_buffer.to_string()));
        all.push(("receive_buffer", memory.receive_buffer.to_string()));
    }
    for timer in &socket.timers {
        let expires = micros(timer.expires_ms.saturating_mul(1_000));
        all.push(("timer", format!("{} {expires}", timer.timer)));
    }
    all
}

fn of_info(info: &Info) -> [(&'static str, String); 22] {
    let time = |value: Option<u64>| value.map_or_else(|| "-".to_owned(), micros);
    let ssthresh = match info.snd_ssthresh {
        u32::MAX => "-".to_owned(),
        ssthresh => ssthresh.to_string(),
    };
    [
        ("congestion", info.congestion.clone()),
        ("snd_cwnd", info.snd_cwnd.to_string()),
        ("snd_ssthresh", ssthresh),
        (
            "rtt/rttvar",
            format!("{}/{}", time(info.rtt_us), time(info.rttvar_us)),
        ),
        ("min_rtt", time(info.min_rtt_us)),
        ("rto", micros(info.rto_us)),
        ("backoff", info.backoff.to_string()),
        (
            "snd_mss/rcv_mss",
            format!("{}/{}", info.snd_mss, info.rcv_mss),
        ),
        ("pmtu", info.pmtu.to_string()),
        ("wscale", format!("{}/{}", info.snd_wscale, info.rcv_wscale)),
        ("options", options(info)),
        ("snd_wnd", info.snd_wnd.to_string()),
        ("rcv_wnd", info.rcv_wnd.to_string()),
        (
            "unacked/sacked",
            format!("{}/{}", info.unacked, info.sacked),
        ),
        ("notsent", info.notsent.to_string()),
        ("bytes_acked", info.bytes_acked.to_string()),
        ("bytes_received", info.bytes_received.to_string()),
        ("segs_out", info.segs_out.to_string()),
        ("segs_in", info.segs_in.to_string()),
        ("total_retrans", info.total_retrans.to_string()),
        ("timeouts", info.timeouts.to_string()),
        ("probes", info.probes.to_string()),
    ]
}

fn options(info: &Info) -> String {
    let named = [(info.timestamps, "timestamps"), (info.sack, "sack")];
    let on: Vec<_> = named
        .iter()
        .filter(|(on, _)| *on)
        .map(|(_, name)| *name)
        .collect();
    if on.is_empty() {
        return "-".to_owned();
    }
    on.join(" ")
}
