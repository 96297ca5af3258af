//! What a stack of a command stands on: a TUN interface, or a packet socket on an interface of this machine.

use std::fmt::Write as _;
use std::net::IpAddr;

use handwave::{Builder, Stack};
use handwave_device::{InterfaceAddress, PacketSocket, PacketSocketBuilder, PacketSocketError};

use crate::args::{BusyPoll, InterfaceName, OffloadArg, PacketArgs, TunArgs};
use crate::failure::{Failure, Kind};
use crate::tun::{self, OpenTun};

/// An interface, open, and how it is asked for packets.
#[derive(Debug)]
pub(crate) struct Interface {
    kind: InterfaceKind,
    busy_poll: BusyPoll,
}

#[derive(Debug)]
enum InterfaceKind {
    Tun(OpenTun),
    Packet(OpenPacketSockets),
}

/// A packet socket for each queue, open.
#[derive(Debug)]
pub(crate) struct OpenPacketSockets {
    sockets: Vec<PacketSocket>,
    name: InterfaceName,
    gateways: Vec<IpAddr>,
}

impl Interface {
    /// Opens what the command line asks for; `ours` are the addresses of Handwave's end.
    pub(crate) fn open(
        tun: &TunArgs,
        packet: &PacketArgs,
        ours: &[InterfaceAddress],
    ) -> Result<Self, Failure> {
        let kind = match &packet.packet {
            None => InterfaceKind::Tun(tun::open(tun, ours)?),
            Some(name) => InterfaceKind::Packet(open_packet_socket(name, tun, packet, ours)?),
        };
        Ok(Self {
            kind,
            busy_poll: tun.busy_poll,
        })
    }

    /// Stands on an open TUN.
    pub(crate) const fn on_tun(tun: OpenTun, busy_poll: BusyPoll) -> Self {
        let kind = InterfaceKind::Tun(tun);
        Self { kind, busy_poll }
    }

    pub(crate) const fn name(&self) -> &InterfaceName {
        match &self.kind {
            InterfaceKind::Tun(tun) => &tun.name,
            InterfaceKind::Packet(packet) => &packet.name,
        }
    }

    /// How it came to be and how it is reached, as the rest of a text that has named it.
    pub(crate) fn origin(&self, ours: &[InterfaceAddress]) -> String {
        match &self.kind {
            InterfaceKind::Tun(tun) => {
                let mut text = format!("{}\n", tun.origin());
                let kernel = tun.created.as_ref();
                if kernel.is_none_or(Vec::is_empty) {
                    let name = &tun.name.name;
                    for address in ours.iter().map(InterfaceAddress::address) {
                        let _ = writeln!(
                            text,
                            "  the kernel needs a route: ip route add {address} dev {name}"
                        );
                    }
                }
                text
            }
            InterfaceKind::Packet(packet) => {
                let station = packet.sockets.first().map(PacketSocket::mac);
                let station = station.map_or_else(String::new, |mac| format!(" as {mac}"));
                format!("{station}, beside this machine, which does not reach it there\n")
            }
        }
    }

    /// A stack that stands on it.
    pub(crate) fn stack(self) -> Builder {
        let builder = match self.kind {
            InterfaceKind::Tun(tun) => Stack::builder().queues(tun.queues),
            InterfaceKind::Packet(packet) => {
                let builder = Stack::builder().queues(packet.sockets);
                packet.gateways.into_iter().fold(builder, Builder::gateway)
            }
        };
        match self.busy_poll {
            BusyPoll::Auto => builder,
            BusyPoll::For(span) => builder.busy_poll(span),
        }
    }
}

/// Opens a packet socket on the interface of this name.
fn open_packet_socket(
    name: &InterfaceName,
    tun: &TunArgs,
    packet: &PacketArgs,
    ours: &[InterfaceAddress],
) -> Result<OpenPacketSockets, Failure> {
    tun::check(tun, ours)?;
    let mut builder =
        PacketSocketBuilder::new(&name.name).offload(!matches!(tun.offload, OffloadArg::Off));
    if let Some(mac) = packet.mac {
        builder = builder.mac(mac.0);
    }
    let open = || builder.open_queues(tun.queues.into());
    let opened = match &name.namespace {
        None => open(),
        Some(namespace) => tun::within(namespace, open)?,
    };
    Ok(OpenPacketSockets {
        sockets: opened.map_err(|error| failure(name, &error))?,
        name: name.clone(),
        gateways: packet.gateways.clone(),
    })
}

/// What a user needs to know, and to do, when a packet socket cannot be had.
fn failure(name: &InterfaceName, error: &PacketSocketError) -> Failure {
    let what = format!("cannot be a station on {name}");
    match error {
        PacketSocketError::NoPrivilege { program, .. } => {
            let program = tun::shell_word(program.as_os_str());
            Failure::new(
                Kind::Privilege,
                format!("no privilege to open a packet socket on {name}"),
            )
            .because("that takes root or CAP_NET_RAW")
            .hint(tun::sudo_again())
            .hint(format!(
                "sudo setcap cap_net_raw+ep {program}   (once; then without sudo)"
            ))
        }
        PacketSocketError::BadMac { .. }
        | PacketSocketError::BadQueues { .. }
        | PacketSocketError::NotEthernet { .. } => Failure::new(Kind::Usage, what).because(error),
        _ => Failure::new(Kind::Failed, what).because(error),
    }
}
