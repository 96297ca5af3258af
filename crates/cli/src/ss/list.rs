//! ss's lines: a socket each.

use std::net::IpAddr;

use handwave::control::protocol::{Netid, Place, Socket};

use super::filter::is_ipv6;
use super::names::Names;
use super::table::{Column, Row, Table};
use super::{details, states};

/// What is shown of a socket.
#[derive(Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a part that is shown or not"
)]
pub(super) struct Look {
    pub(super) names: Names,
    /// Where both protocols may come.
    pub(super) netid: bool,
    /// Where more than one state may come.
    pub(super) state: bool,
    pub(super) timer: bool,
    pub(super) extended: bool,
    pub(super) memory: bool,
    pub(super) info: bool,
    pub(super) oneline: bool,
    /// `users:(("handwave serve",pid=4711))`, if that is asked for.
    pub(super) users: Option<String>,
}

impl Look {
    pub(super) fn table(&self, header: bool) -> Table {
        let mut columns = Vec::new();
        if self.netid {
            columns.push(Column::left("Netid"));
        }
        if self.state {
            columns.push(Column::left("State"));
        }
        columns.extend([
            Column::left("Recv-Q"),
            Column::left("Send-Q"),
            Column::address("Local Address:"),
            Column::left("Port"),
            Column::address("Peer Address:"),
            Column::left("Port"),
            Column::left("Process"),
        ]);
        Table::new(columns, header)
    }

    pub(super) fn row(&self, socket: &Socket) -> Row {
        let mut cells = Vec::with_capacity(9);
        if self.netid {
            let netid = match socket.netid {
                Netid::Tcp => "tcp",
                Netid::Udp => "udp",
            };
            cells.push(netid.to_owned());
        }
        if self.state {
            cells.push(states::shown(socket.state).to_owned());
        }
        cells.push(socket.recv_q.to_string());
        cells.push(socket.send_q.to_string());
        for place in [socket.local, socket.peer] {
            cells.push(address(place, socket));
            cells.push(self.names.port(socket.netid, place.port).into_owned());
        }
        let below = self.below(socket);
        let mut beside = self.beside(socket);
        if self.oneline && !below.is_empty() {
            beside.push(below.join(" "));
        }
        cells.push(beside.join(" "));
        // Even if it is empty: who joins the lines two by two can rely on it.
        let below = match self.oneline || !(self.memory || self.info) {
            true => String::new(),
            false => {
                format!("\t {}", below.join(" "))
                    .trim_end_matches(' ')
                    .to_owned()
                    + "\n"
            }
        };
        Row { cells, below }
    }

    fn beside(&self, socket: &Socket) -> Vec<String> {
        let timer = self.timer.then(|| details::timer_text(socket));
        let extended = self.extended.then(|| details::extended(socket));
        let parts = [self.users.clone(), timer, extended];
        parts
            .into_iter()
            .flatten()
            .filter(|it| !it.is_empty())
            .collect()
    }

    fn below(&self, socket: &Socket) -> Vec<String> {
        let memory = self.memory.then(|| details::memory(socket));
        let queues = self.info.then(|| details::queues(socket));
        let info = socket.info.as_ref().filter(|_| self.info);
        let info = info.map(|info| details::info(info));
        let parts = [memory, queues, info];
        parts
            .into_iter()
            .flatten()
            .filter(|it| !it.is_empty())
            .collect()
    }
}

/// With the colon between it and the port. Any address is `*` where the socket takes both families.
fn address(place: Place, socket: &Socket) -> String {
    match (place.addr, socket.local.addr) {
        (Some(IpAddr::V6(addr)), _) => format!("[{addr}]:"),
        (Some(addr), _) => format!("{addr}:"),
        (None, None) => "*:".to_owned(),
        (None, Some(_)) if is_ipv6(socket) => "[::]:".to_owned(),
        (None, Some(_)) => "0.0.0.0:".to_owned(),
    }
}
