//! netstat's columns and spelling.

use handwave::control::protocol::{Netid, Place, Socket, State};

use super::details;
use super::filter::is_ipv6;
use super::names::Names;

/// Columns of an address and its port; longer addresses are cut, as netstat cuts them.
const ADDRESS_WIDTH: usize = 23;

/// Which sockets are shown, as the first line says it.
pub(super) fn title(listening: bool, all: bool) -> &'static str {
    match (listening, all) {
        (true, _) => "(only servers)",
        (false, true) => "(servers and established)",
        (false, false) => "(w/o servers)",
    }
}

/// Both lines above the sockets.
pub(super) fn header(title: &str, timers: bool) -> String {
    let columns = "Proto Recv-Q Send-Q Local Address           Foreign Address         State      ";
    let timer = if timers { " Timer" } else { "" };
    format!("Active Internet connections {title}\n{columns}{timer}\n")
}

/// A line.
pub(super) fn line(socket: &Socket, names: &Names, timers: bool) -> String {
    let ipv6 = is_ipv6(socket);
    let proto = match (socket.netid, ipv6) {
        (Netid::Tcp, false) => "tcp",
        (Netid::Tcp, true) => "tcp6",
        (Netid::Udp, false) => "udp",
        (Netid::Udp, true) => "udp6",
    };
    // The limit of the accept queue is something that only ss shows here.
    let send_q = match socket.state {
        State::Listen => 0,
        _ => socket.send_q,
    };
    let mut line = format!(
        "{proto:<4}  {:>6} {send_q:>6} {:<ADDRESS_WIDTH$} {:<ADDRESS_WIDTH$} {:<11}",
        socket.recv_q,
        address(socket.local, socket.netid, ipv6, names),
        address(socket.peer, socket.netid, ipv6, names),
        state(socket.state),
    );
    if timers {
        line.push(' ');
        line.push_str(&timer(socket));
    }
    line.push('\n');
    line
}

fn address(place: Place, netid: Netid, ipv6: bool, names: &Names) -> String {
    let port = names.port(netid, place.port);
    let mut addr = match (place.addr, ipv6) {
        (Some(addr), _) => addr.to_string(),
        (None, false) => "0.0.0.0".to_owned(),
        (None, true) if names.are_numbers() => "::".to_owned(),
        (None, true) => "[::]".to_owned(),
    };
    addr.truncate(ADDRESS_WIDTH.saturating_sub(port.len() + 1));
    format!("{addr}:{port}")
}

const fn state(state: State) -> &'static str {
    match state {
        State::Listen => "LISTEN",
        State::SynSent => "SYN_SENT",
        State::SynReceived => "SYN_RECV",
        State::Established => "ESTABLISHED",
        State::FinWait1 => "FIN_WAIT1",
        State::FinWait2 => "FIN_WAIT2",
        State::CloseWait => "CLOSE_WAIT",
        State::Closing => "CLOSING",
        State::LastAck => "LAST_ACK",
        State::TimeWait => "TIME_WAIT",
        State::Closed => "CLOSE",
        State::Unconnected => "",
    }
}

/// `on (0.20/0/0)`: seconds, retransmissions, probes.
fn timer(socket: &Socket) -> String {
    let Some((name, timer)) = details::timer(socket) else {
        return "off (0.00/0/0)".to_owned();
    };
    let (seconds, hundredths) = (timer.expires_ms / 1000, timer.expires_ms % 1000 / 10);
    let (name, again, probes) = match name {
        "persist" => ("probe", 0, timer.retries),
        "keepalive" => (name, 0, timer.retries),
        _ => (name, timer.retries, 0),
    };
    format!("{name} ({seconds}.{hundredths:02}/{again}/{probes})")
}
