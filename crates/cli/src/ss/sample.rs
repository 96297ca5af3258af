//! Sockets for tests.

use handwave::control::protocol::{
    Info, Memory, Netid, Place, Queues, RunningTimer, Socket, State,
};

/// `10.7.0.1:80`, `[fd07::1]:80` or `*:80`.
pub(super) fn place(text: &str) -> Place {
    match text.rsplit_once(':') {
        Some(("*", port)) => Place {
            addr: None,
            port: port.parse().unwrap_or(0),
        },
        _ => {
            let addr: std::net::SocketAddr = text.parse().unwrap();
            Place {
                addr: Some(addr.ip()),
                port: addr.port(),
            }
        }
    }
}

pub(super) fn tcp(state: State, local: &str, peer: &str) -> Socket {
    Socket {
        netid: Netid::Tcp,
        state,
        local: place(local),
        peer: place(peer),
        recv_q: 0,
        send_q: 0,
        id: "1.0".to_owned(),
        orphan: false,
        queues: None,
        timers: Vec::new(),
        memory: None,
        info: None,
    }
}

fn timer(timer: &str, expires_ms: u64, retries: u32) -> Vec<RunningTimer> {
    vec![RunningTimer {
        timer: timer.to_owned(),
        expires_ms,
        retries,
    }]
}

/// One of everything.
pub(super) fn all() -> Vec<Socket> {
    let listener = Socket {
        recv_q: 3,
        send_q: 128,
        queues: Some(Queues {
            syn_queue: 17,
            syn_queue_max: 1024,
            accept_queue: 3,
            accept_queue_max: 128,
            ..Queues::default()
        }),
        ..tcp(State::Listen, "*:80", "*:0")
    };
    let busy = Socket {
        recv_q: 5,
        send_q: 20_000,
        id: "4.2".to_owned(),
        timers: timer("retransmission", 200, 0),
        memory: Some(Memory {
            held: 24_576,
            send_buffer: 2_097_152,
            receive_buffer: 1_048_576,
        }),
        info: Some(Box::new(info())),
        ..tcp(State::Established, "10.7.0.1:80", "10.7.0.2:51194")
    };
    let ipv6 = "[2001:db8:1234:5678:9abc:def0:1234:5678]:443";
    vec![
        Socket {
            netid: Netid::Udp,
            ..tcp(State::Unconnected, "10.7.0.1:53", "*:0")
        },
        listener,
        tcp(State::Listen, "10.7.0.1:2222", "*:0"),
        tcp(State::Listen, "[fd07::1]:2222", "*:0"),
        Socket {
            timers: timer("syn-ack", 1_500, 1),
            ..tcp(State::SynReceived, "10.7.0.1:80", "192.0.2.1:1024")
        },
        Socket {
            timers: timer("syn-ack", 800, 0),
            ..tcp(State::SynReceived, "10.7.0.1:80", "192.0.2.77:4242")
        },
        busy,
        Socket {
            timers: timer("keep-alive", 7_140_000, 0),
            ..tcp(State::CloseWait, "[fd07::1]:80", ipv6)
        },
        Socket {
            timers: timer("persist", 12_345, 3),
            ..tcp(State::FinWait1, "10.7.0.1:80", "10.7.0.2:51195")
        },
        Socket {
            orphan: true,
            timers: timer("fin-wait-2", 59_999, 0),
            ..tcp(State::FinWait2, "10.7.0.1:80", "10.7.0.2:51196")
        },
        tcp(State::LastAck, "10.7.0.1:80", "10.7.0.2:51197"),
        tcp(State::SynSent, "10.7.0.1:51198", "10.7.0.2:22"),
        tcp(State::Closing, "10.7.0.1:51199", "10.7.0.2:22"),
        Socket {
            timers: timer("time-wait", 61_000, 0),
            ..tcp(State::TimeWait, "10.7.0.1:80", "10.7.0.2:51200")
        },
        tcp(State::Closed, "10.7.0.1:80", "10.7.0.2:51201"),
    ]
}

/// A connection that has lost something.
fn info() -> Info {
    Info {
        congestion: "cubic".to_owned(),
        timestamps: true,
        sack: true,
        window_scaling: true,
        snd_wscale: 7,
        rcv_wscale: 10,
        rto_us: 204_000,
        ato_us: 40_000,
        rtt_us: Some(4_427),
        rttvar_us: Some(6_892),
        min_rtt_us: Some(81),
        snd_mss: 1448,
        rcv_mss: 536,
        advmss: 1460,
        pmtu: 1500,
        snd_cwnd: 14_480,
        snd_ssthresh: 10_136,
        snd_wnd: 64_256,
        rcv_wnd: 65_535,
        rcv_ssthresh: 65_535,
        unacked: 14_480,
        sacked: 2_896,
        lost: 1_448,
        retrans: 1_448,
        notsent: 5_520,
        backoff: 1,
        retransmits: 1,
        bytes_sent: 40_000,
        bytes_retrans: 2_896,
        bytes_acked: 22_625,
        bytes_received: 80,
        segs_out: 30,
        segs_in: 21,
        data_segs_out: 28,
        data_segs_in: 1,
        total_retrans: 2,
        timeouts: 1,
        pacing_rate: Some(6_541_676),
        last_data_sent_us: Some(12_700),
        last_ack_recv_us: Some(8_000),
        ..Info::default()
    }
}
