//! Pictures of made-up stacks, and what the keys do to them.

use std::net::IpAddr;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use handwave::control::protocol::{
    Flood, Info, Memory, Netid, Place, Queues, Rates, RunningTimer, Socket, State, Summary,
    TopSource,
};
use handwave_story::Language;

use super::keys::{Outcome, press};
use super::model::{Mode, Model, ORDERS, Sample};
use super::picture;

fn place(addr: Option<&str>, port: u16) -> Place {
    Place {
        addr: addr.map(|addr| addr.parse::<IpAddr>().unwrap()),
        port,
    }
}

fn socket(state: State, local: Place, peer: Place) -> Socket {
    Socket {
        netid: Netid::Tcp,
        state,
        local,
        peer,
        recv_q: 0,
        send_q: 0,
        id: "7.1".to_owned(),
        orphan: false,
        queues: None,
        timers: Vec::new(),
        memory: None,
        info: None,
    }
}

fn listener(addr: Option<&str>, port: u16, queues: Queues) -> Socket {
    Socket {
        queues: Some(Queues {
            syn_queue_max: 1_024,
            accept_queue_max: 128,
            ..queues
        }),
        ..socket(State::Listen, place(addr, port), Place::default())
    }
}

/// Connections to port 80, each with other numbers.
fn connections(count: u32) -> Vec<Socket> {
    let one = |n: u32| {
        let state = match n % 5 {
            3 => State::FinWait2,
            4 => State::CloseWait,
            _ => State::Established,
        };
        let peer = match n % 4 {
            3 => place(Some(&format!("2001:db8:77:1:{n:x}:aa:bb:cc")), 50_000),
            _ => place(Some(&format!("10.7.0.{}", 100 + n)), 40_000),
        };
        Socket {
            send_q: u64::from(n) * 1_448,
            timers: vec![RunningTimer {
                timer: "retransmission".to_owned(),
                expires_ms: 204,
                retries: 1,
            }],
            memory: Some(Memory {
                held: 34_816,
                send_buffer: 4 << 20,
                receive_buffer: 6 << 20,
            }),
            info: Some(Box::new(Info {
                congestion: "cubic".to_owned(),
                timestamps: true,
                sack: true,
                snd_cwnd: 14_480 * (n + 1),
                snd_ssthresh: u32::MAX,
                rto_us: 204_000,
                rtt_us: Some(u64::from(n) * 731 + 87),
                rttvar_us: Some(40),
                min_rtt_us: Some(80),
                snd_mss: 1_448,
                rcv_mss: 1_448,
                pmtu: 1_500,
                total_retrans: count - n,
                bytes_acked: u64::from(n) * 1_000_000,
                ..Info::default()
            })),
            ..socket(state, place(Some("10.7.0.1"), 80), peer)
        }
    };
    (0..count).map(one).collect()
}

/// A web server on a day like any other.
fn quiet(language: Language) -> Model {
    let mut model = Model::new(language, "handwave serve on hw0".to_owned(), 4_711);
    let web = Queues {
        accept_queue: 2,
        rates: Rates {
            syns: 12,
            established: 12,
            ..Rates::default()
        },
        ..Queues::default()
    };
    let summary = Summary {
        uptime_ms: 751_000,
        states: [
            (State::Listen, 2),
            (State::Established, 3),
            (State::TimeWait, 40),
        ]
        .into(),
        memory_held: 3_200_000,
        memory_hard: 268_435_456,
        listeners: vec![
            listener(Some("fd07::1"), 443, Queues::default()),
            listener(None, 80, web),
        ],
        ..Summary::default()
    };
    model.take(Sample {
        summary,
        connections: connections(3),
    });
    model
}

/// The same under a flood that began two samples ago.
fn flooded(language: Language) -> Model {
    let mut model = quiet(language);
    let calm = model.sample.clone();
    for _ in 0..20 {
        model.take(calm.clone());
    }
    for (syns, for_ms) in [(20_000, 1_000), (48_213, 42_000)] {
        let web = Queues {
            syn_queue: 1_024,
            accept_queue: 70,
            rates: Rates {
                syns,
                established: 11,
                cookies_sent: syns - 1_024,
                cookies_failed: 3,
                drops: 17,
                ..Rates::default()
            },
            flood: Flood::Flooded { for_ms },
            top_sources: [
                ("198.51.100.7/32", 903.4),
                ("2001:db8:dead:beef::/64", 88.0),
                ("203.0.113.250/32", 0.3),
            ]
            .map(|(prefix, syns_per_second)| TopSource {
                prefix: prefix.to_owned(),
                syns_per_second,
            })
            .into(),
            ..Queues::default()
        };
        let mut summary = calm.summary.clone();
        summary.listeners[1] = listener(None, 80, web);
        summary.states = [
            (State::Listen, 2),
            (State::SynReceived, 1_024),
            (State::Established, 31),
            (State::FinWait2, 9),
            (State::CloseWait, 8),
            (State::TimeWait, 14_022),
        ]
        .into();
        model.take(Sample {
            summary,
            connections: connections(48),
        });
    }
    model
}

fn key(model: &mut Model, code: KeyCode) -> Outcome {
    press(model, KeyEvent::new(code, KeyModifiers::NONE))
}

fn types(model: &mut Model, text: &str) {
    for c in text.chars() {
        key(model, KeyCode::Char(c));
    }
}

#[test]
fn a_quiet_day() {
    insta::assert_snapshot!(picture(&quiet(Language::English), 80, 24));
    insta::assert_snapshot!(picture(&quiet(Language::English), 120, 40));
}

#[test]
fn a_flood() {
    insta::assert_snapshot!(picture(&flooded(Language::English), 80, 24));
    insta::assert_snapshot!(picture(&flooded(Language::English), 120, 40));
    insta::assert_snapshot!(picture(&flooded(Language::SimplifiedChinese), 80, 24));
}

#[test]
fn nothing_at_all() {
    let model = Model::new(Language::English, "an empty program".to_owned(), 1);
    insta::assert_snapshot!(picture(&model, 80, 24));
}

#[test]
fn a_small_terminal_says_so_and_what_matters_most() {
    let model = flooded(Language::English);
    for (columns, rows) in [(79, 24), (80, 23), (20, 6)] {
        let text = picture(&model, columns, rows);
        assert!(text.contains("FLOOD 0:42"), "{text}");
        assert!(
            text.contains("48.2k SYN/s") && text.contains("needs"),
            "{text}"
        );
    }
    for (columns, rows) in [(1, 1), (3, 2), (500, 1)] {
        picture(&model, columns, rows);
    }
}

#[test]
fn every_size_and_mode_can_be_drawn() {
    for mode in [Mode::Table, Mode::Filter, Mode::Detail, Mode::Help] {
        for (columns, rows) in [(80, 24), (110, 33), (300, 100), (81, 200)] {
            let mut model = flooded(Language::SimplifiedChinese);
            model.select_by(1);
            model.mode = mode;
            assert!(picture(&model, columns, rows).starts_with("handwave top"));
        }
    }
}

#[test]
fn listeners_that_have_no_row_are_counted() {
    let mut model = quiet(Language::English);
    let more = (1..=9).map(|n| listener(Some("10.7.0.1"), n, Queues::default()));
    let mut sample = model.sample.clone();
    sample.summary.listeners.extend(more);
    model.take(sample);
    let text = picture(&model, 80, 24);
    assert!(text.contains("+8 more"), "{text}");
    // What is busy or flooded comes first.
    assert!(text.lines().nth(2).unwrap().starts_with("*:80 "), "{text}");
}

#[test]
fn the_order_is_chosen_and_asked_for() {
    let mut model = quiet(Language::English);
    for n in 1..=ORDERS.len() {
        assert_eq!(key(&mut model, KeyCode::Char('s')), Outcome::Ask);
        let name = ORDERS[n % ORDERS.len()].1;
        assert_eq!(ORDERS[model.order].1, name);
        let text = picture(&model, 80, 24);
        assert!(
            text.contains(&format!("▼{}", name.to_uppercase())),
            "{text}"
        );
    }
    assert_eq!(key(&mut model, KeyCode::Char('S')), Outcome::Ask);
    assert_eq!(model.order, ORDERS.len() - 1);
}

#[test]
fn a_filter_is_typed_kept_and_cleared() {
    let mut model = flooded(Language::English);
    key(&mut model, KeyCode::Char('/'));
    types(&mut model, "Close 2001q");
    // q is a letter here.
    assert_eq!(model.mode, Mode::Filter);
    assert_eq!(key(&mut model, KeyCode::Backspace), Outcome::Ask);
    let shown = model.connections();
    assert!(!shown.is_empty());
    for socket in shown {
        assert_eq!(socket.state, State::CloseWait);
        assert!(socket.peer.addr.unwrap().is_ipv6());
    }
    key(&mut model, KeyCode::Enter);
    assert!(picture(&model, 80, 24).contains("filter: Close 2001"));
    assert_eq!(key(&mut model, KeyCode::Esc), Outcome::Ask);
    assert_eq!((model.filter.as_str(), model.connections().len()), ("", 48));
    key(&mut model, KeyCode::Char('/'));
    types(&mut model, &"nobody".repeat(20));
    assert!(model.filter.len() <= 64);
    assert!(picture(&model, 80, 24).contains("no connection passes"));
    key(&mut model, KeyCode::Esc);
    assert_eq!((model.filter.as_str(), model.mode), ("", Mode::Table));
}

#[test]
fn a_connection_is_selected_followed_and_shown() {
    let mut model = flooded(Language::English);
    key(&mut model, KeyCode::Down);
    assert_eq!(model.selected_row(), Some(0));
    key(&mut model, KeyCode::Down);
    key(&mut model, KeyCode::PageDown);
    assert_eq!(model.selected_row(), Some(11));
    key(&mut model, KeyCode::Up);
    let peer = model.selected().unwrap().peer;
    // In another order it is still the same one.
    let mut sample = model.sample.clone();
    sample.connections.reverse();
    model.take(sample);
    assert_eq!(model.selected_row(), Some(37));
    assert_eq!(model.selected().unwrap().peer, peer);
    key(&mut model, KeyCode::Home);
    assert_eq!(model.selected_row(), Some(0));
    key(&mut model, KeyCode::End);
    assert_eq!(model.selected_row(), Some(47));
    key(&mut model, KeyCode::Enter);
    assert_eq!(model.mode, Mode::Detail);
    insta::assert_snapshot!(picture(&model, 80, 24));
    // It ends while it is looked at.
    model.take(quiet(Language::English).sample);
    model.sample.connections.clear();
    assert!(picture(&model, 80, 24).contains("gone meanwhile"));
    assert_eq!(key(&mut model, KeyCode::Esc), Outcome::Draw);
    assert_eq!(model.mode, Mode::Table);
}

#[test]
fn there_are_three_ways_out_and_help_is_none() {
    let mut model = quiet(Language::English);
    key(&mut model, KeyCode::Char('?'));
    insta::assert_snapshot!(picture(&model, 80, 24));
    assert_eq!(key(&mut model, KeyCode::Esc), Outcome::Draw);
    for code in [KeyCode::Char('q'), KeyCode::Esc] {
        assert_eq!(key(&mut model, code), Outcome::Quit);
    }
    let interrupt = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
    for mode in [Mode::Table, Mode::Filter, Mode::Detail, Mode::Help] {
        model.mode = mode;
        assert_eq!(press(&mut model, interrupt), Outcome::Quit);
    }
}
