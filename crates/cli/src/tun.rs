//! Opening a TUN interface for a command: which addresses its two ends get, and what to do when it fails.

mod namespace;

pub(crate) use namespace::within;

use std::ffi::OsStr;
use std::net::IpAddr;

use handwave_device::{InterfaceAddress, Offload, Tun, TunBuilder, TunError};

use crate::args::{InterfaceName, TunArgs};
use crate::failure::{Failure, Kind};

/// What IPv6 demands of a link (RFC 8200 5).
const MTU_MIN_V6: u16 = 1_280;
/// Addresses of ours, and so candidates that are taken.
const CANDIDATES_MAX: u128 = 1_024;

/// A TUN interface, open.
#[derive(Debug)]
pub(crate) struct OpenTun {
    /// One device for each queue.
    pub(crate) queues: Vec<Tun>,
    pub(crate) name: InterfaceName,
    /// The addresses of the kernel's end, if it was created by us.
    pub(crate) created: Option<Vec<InterfaceAddress>>,
}

impl OpenTun {
    /// How it came to be, as the end of a sentence that has named it.
    pub(crate) fn origin(&self) -> String {
        let Some(kernel) = &self.created else {
            return ", which was there before and keeps its addresses and routes".to_owned();
        };
        if kernel.is_empty() {
            return ", made for this run; the kernel has no address there".to_owned();
        }
        let kernel: Vec<_> = kernel.iter().map(ToString::to_string).collect();
        format!(
            ", made for this run; the kernel is {} there",
            kernel.join(" and ")
        )
    }
}

/// Attaches to the interface if there is one, and creates it otherwise, with addresses for the kernel's end.
///
/// `ours` are the addresses of Handwave's end, which the kernel does not get to know.
pub(crate) fn open(args: &TunArgs, ours: &[InterfaceAddress]) -> Result<OpenTun, Failure> {
    check(args, ours)?;
    let kernel = match args.host_addresses.is_empty() {
        true => kernel_addresses(ours),
        false => args.host_addresses.clone(),
    };
    let tun = open_with(
        &args.tun,
        args.mtu,
        args.offload.into(),
        args.queues,
        kernel,
    )?;
    if tun.created.is_some() || args.host_addresses.is_empty() {
        return Ok(tun);
    }
    let what = format!("{} exists, and keeps the addresses it has", args.tun);
    let remove = format!("sudo ip link delete dev {}", tun.name.name);
    Err(Failure::new(Kind::Usage, what)
        .because("--host-addr is for interfaces that are created")
        .hint(format!(
            "leave --host-addr out, or remove the interface: {remove}"
        )))
}

/// Attaches to an interface, or creates it with these addresses, in the namespace that its name says.
pub(crate) fn open_with(
    tun: &InterfaceName,
    mtu: u16,
    offload: Offload,
    queues: u16,
    kernel: Vec<InterfaceAddress>,
) -> Result<OpenTun, Failure> {
    let builder = || TunBuilder::new().name(&tun.name).offload(offload);
    let open = || match builder().attach_queues(queues.into()) {
        Err(TunError::NotFound { .. }) => {
            let builder = builder().mtu(mtu);
            let add = |builder: TunBuilder, address: &_| builder.address(*address);
            let builder = kernel.iter().fold(builder, add);
            Ok((builder.create_queues(queues.into())?, true))
        }
        attached => Ok((attached?, false)),
    };
    let opened = match &tun.namespace {
        None => open(),
        Some(namespace) => within(namespace, open)?,
    };
    let (queues, created) = opened.map_err(|error| failure(tun, &error))?;
    Ok(OpenTun {
        queues,
        name: tun.clone(),
        created: created.then_some(kernel),
    })
}

pub(crate) fn check(args: &TunArgs, ours: &[InterfaceAddress]) -> Result<(), Failure> {
    for address in ours {
        if let Some(why) = unusable(address) {
            return Err(Failure::new(Kind::Usage, format!("--addr {address} cannot be the address of a host"))
                .because(why)
                .hint("an address of a private network that this machine does not use, such as 10.7.0.1/24 or fd07::1/64"));
        }
    }
    let all = || ours.iter().chain(&args.host_addresses);
    if args.mtu < MTU_MIN_V6 && all().any(|address| address.address().is_ipv6()) {
        return Err(Failure::new(
            Kind::Usage,
            format!("--mtu {} is too small for IPv6", args.mtu),
        )
        .because("every IPv6 link carries at least 1280 octets (RFC 8200 5)")
        .hint("--mtu 1280 or more"));
    }
    Ok(())
}

/// Why nobody can be reached at this address, if so.
fn unusable(address: &InterfaceAddress) -> Option<&'static str> {
    let ip = address.address();
    if ip.is_unspecified() {
        return Some("it stands for any address");
    }
    if ip.is_multicast() {
        return Some("it is a multicast address");
    }
    if ip.is_loopback() {
        return Some("it is a loopback address, which never leaves its machine");
    }
    let IpAddr::V4(v4) = ip else {
        return None;
    };
    if v4.is_broadcast() {
        return Some("it is the broadcast address");
    }
    let network = Network::of(address);
    if address.prefix_len() >= 31 {
        return None;
    }
    match network.number(ip) - network.first {
        0 => Some("it is the number of the network itself"),
        offset if offset == network.size_less_one => {
            Some("it is the broadcast address of its network")
        }
        _ => None,
    }
}

/// For each network of ours, the first address in it that is not ours.
fn kernel_addresses(ours: &[InterfaceAddress]) -> Vec<InterfaceAddress> {
    let mut kernel: Vec<InterfaceAddress> = Vec::new();
    for address in ours {
        let network = Network::of(address);
        if kernel.iter().any(|chosen| Network::of(chosen) == network) {
            continue;
        }
        let free = network
            .hosts()
            .find(|host| !ours.iter().any(|address| address.address() == *host));
        kernel.extend(free.and_then(|host| InterfaceAddress::new(host, address.prefix_len())));
    }
    kernel
}

/// A network as numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Network {
    is_ipv4: bool,
    first: u128,
    size_less_one: u128,
}

impl Network {
    fn of(address: &InterfaceAddress) -> Self {
        let is_ipv4 = address.address().is_ipv4();
        let bits = if is_ipv4 { 32 } else { 128 };
        let host_bits = bits - u32::from(address.prefix_len());
        let size_less_one = 1_u128
            .checked_shl(host_bits)
            .map_or(u128::MAX, |size| size - 1);
        let mut network = Self {
            is_ipv4,
            first: 0,
            size_less_one,
        };
        network.first = network.number(address.address()) & !size_less_one;
        network
    }

    fn number(&self, address: IpAddr) -> u128 {
        match address {
            IpAddr::V4(v4) => u32::from(v4).into(),
            IpAddr::V6(v6) => v6.into(),
        }
    }

    /// The first addresses that a host may have: without the network's own and, for IPv4, its broadcast address.
    fn hosts(self) -> impl Iterator<Item = IpAddr> {
        let (from, to) = match (self.is_ipv4, self.size_less_one) {
            // Two hosts and nothing else (RFC 3021, RFC 6164).
            (_, 1) => (0, 1),
            (true, last) => (1, last.saturating_sub(1)),
            (false, last) => (1, last),
        };
        (from..=to.min(CANDIDATES_MAX)).filter_map(move |offset| {
            let number = self.first + offset;
            match self.is_ipv4 {
                true => u32::try_from(number).ok().map(|v4| IpAddr::V4(v4.into())),
                false => Some(IpAddr::V6(number.into())),
            }
        })
    }
}

/// What a user needs to know, and to do, when an interface cannot be had.
fn failure(name: &InterfaceName, error: &TunError) -> Failure {
    let kind = match error {
        TunError::NoPrivilege { .. } => return no_privilege(error),
        TunError::TunDeviceForbidden => Kind::Privilege,
        TunError::BadName { .. } | TunError::BadAddress { .. } | TunError::BadMtu { .. } => {
            Kind::Usage
        }
        TunError::SingleQueue { .. } | TunError::BadQueues { .. } => Kind::Usage,
        _ => Kind::Failed,
    };
    Failure::new(kind, format!("cannot open the TUN interface {name}")).because(error)
}

/// The commands that help are lines of their own, to be copied.
fn no_privilege(error: &TunError) -> Failure {
    let TunError::NoPrivilege {
        doing,
        name,
        program,
    } = error
    else {
        return Failure::new(Kind::Privilege, error.to_string());
    };
    let program = shell_word(program.as_os_str());
    Failure::new(
        Kind::Privilege,
        format!("no privilege to {doing} the TUN interface {name}"),
    )
    .because("that takes root or CAP_NET_ADMIN")
    .hint(sudo_again())
    .hint(format!(
        "sudo setcap cap_net_admin+ep {program}   (once; then without sudo)"
    ))
}

/// The command that runs this very program again, as root.
pub(crate) fn sudo_again() -> String {
    let program = std::env::current_exe().unwrap_or_else(|_| "handwave".into());
    let arguments = std::env::args_os().skip(1);
    let words = std::iter::once(program.into_os_string()).chain(arguments);
    let words: Vec<_> = words.map(|word| shell_word(&word)).collect();
    format!("sudo {}", words.join(" "))
}

pub(crate) fn shell_word(word: &OsStr) -> String {
    let word = word.to_string_lossy();
    shlex::try_quote(&word).map_or_else(|_| word.to_string(), std::borrow::Cow::into_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(texts: &[&str]) -> Vec<InterfaceAddress> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn the_kernel_gets_the_first_address_that_is_free() {
        for (ours, kernel) in [
            (&["10.7.0.1/24"][..], &["10.7.0.2/24"][..]),
            (&["10.7.0.2/24"], &["10.7.0.1/24"]),
            (&["10.7.0.1/24", "10.7.0.2/24"], &["10.7.0.3/24"]),
            (
                &["10.7.0.1/24", "fd07::1/64"],
                &["10.7.0.2/24", "fd07::2/64"],
            ),
            (&["10.7.0.0/31"], &["10.7.0.1/31"]),
            (&["10.7.0.1/30", "10.7.0.2/30"], &[]),
            (&["10.7.0.1/32", "fd07::1/128"], &[]),
            (&["10.200.0.7/8"], &["10.0.0.1/8"]),
        ] {
            assert_eq!(
                kernel_addresses(&addresses(ours)),
                addresses(kernel),
                "{ours:?}"
            );
        }
    }

    #[test]
    fn addresses_that_nobody_can_have_are_refused() {
        for text in [
            "0.0.0.0/0",
            "::/0",
            "127.0.0.1/8",
            "::1/128",
            "224.0.0.1/24",
            "ff02::1/64",
            "255.255.255.255/32",
            "10.7.0.0/24",
            "10.7.0.255/24",
        ] {
            assert!(unusable(&text.parse().unwrap()).is_some(), "{text}");
        }
        for text in [
            "10.7.0.1/24",
            "10.7.0.0/31",
            "10.7.0.0/32",
            "fd07::/64",
            "169.254.1.1/16",
        ] {
            assert_eq!(unusable(&text.parse().unwrap()), None, "{text}");
        }
    }
}
