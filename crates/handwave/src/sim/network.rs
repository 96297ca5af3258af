//! [`Network`]: what a program in virtual time holds of its surroundings.

use std::fmt;
use std::io::{self, Write};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use handwave_device::Tap;
use handwave_sim::{LinkConfig, LinkStats, Rng};
use handwave_tcp::{Instant, Secrets};

use super::clock::Universe;
use super::paths::HostId;
use super::port::Port;
use super::seam::SimRuntime;
use crate::builder::Builder;
use crate::stack::Stack;

/// The hosts and links of a run; [`Sim::run`](super::Sim::run) hands it to the program. Clones mean the same network.
///
/// Between any two hosts there is a link each way. Addresses are the hosts' own: there are no networks to be routed between, and
/// IPv4 and IPv6 go side by side.
#[derive(Clone)]
pub struct Network {
    universe: Arc<Universe>,
    records: Arc<Mutex<Vec<(HostId, Record)>>>,
}

impl Network {
    pub(super) fn new(universe: Arc<Universe>) -> Self {
        Self {
            universe,
            records: Arc::default(),
        }
    }

    /// Adds a host with one address and default settings.
    ///
    /// It is a part of the network for as long as its stack runs.
    ///
    /// # Errors
    ///
    /// [`AddrInUse`](io::ErrorKind::AddrInUse) if another host has the address.
    pub fn host(&self, address: impl Into<IpAddr>) -> io::Result<Stack> {
        self.builder([address.into()])?.spawn()
    }

    /// Adds a host whose settings are made before it is [spawned](Builder::spawn), or with several addresses.
    ///
    /// Device, addresses, secrets and runtime are set already.
    ///
    /// ```
    /// # use handwave::sim::Sim;
    /// # use handwave::{Config, Profile};
    /// # Sim::from_seed(1).run(async |net| {
    /// let addresses = ["10.0.0.1".parse().unwrap(), "2001:db8::1".parse().unwrap()];
    /// let stack = net.builder(addresses)?.tcp(Config { nagle: false, ..Config::default() }).spawn()?;
    /// # Ok(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    ///
    /// [`AddrInUse`](io::ErrorKind::AddrInUse) if another host has one of the addresses.
    pub fn builder(&self, addresses: impl IntoIterator<Item = IpAddr>) -> io::Result<Builder> {
        let addresses: Vec<IpAddr> = addresses.into_iter().collect();
        let (host, secrets) = {
            let mut state = self.universe.lock();
            let added = state.paths.add_host(&addresses);
            let host = added.map_err(in_use)?;
            (host, Secrets::from_seed(state.rng.next_u64()))
        };
        let port = Port::new(Arc::clone(&self.universe), host);
        let mut builder = Stack::builder().secrets(secrets).runtime(self.runtime());
        for addr in &addresses {
            builder = builder.address(*addr, if addr.is_ipv4() { 32 } else { 128 });
        }
        if !self.universe.settings.recording {
            return Ok(builder.device(port));
        }
        let record = Record::default();
        self.lock_records().push((host, record.clone()));
        let name = addresses
            .first()
            .map_or_else(String::new, IpAddr::to_string);
        let universe = Arc::clone(&self.universe);
        let clock = move || since_start(universe.now());
        let tap = Tap::new(port, record, &name, clock).map_err(io::Error::other)?;
        Ok(builder.device(tap))
    }

    /// What has passed through a host's device so far, as a pcapng file. Times count from the start of the run.
    ///
    /// # Errors
    ///
    /// [`NotFound`](io::ErrorKind::NotFound) if no host has the address, or if the run is not a
    /// [recording](super::Sim::recording) one.
    pub fn pcapng(&self, host: impl Into<IpAddr>) -> io::Result<Vec<u8>> {
        let addr = host.into();
        let host = self.find(addr)?;
        let records = self.lock_records();
        match records.iter().find(|(id, _)| *id == host) {
            Some((_, record)) => Ok(record.lock().clone()),
            None => Err(io::Error::new(
                io::ErrorKind::NotFound,
                "this run is not recorded: `Sim::recording` asks for it",
            )),
        }
    }

    /// Changes the conditions for packets from one host to another, from here on; the way back has conditions of its own.
    ///
    /// [`Loss::Random(1.0)`](super::Loss::Random) cuts the link.
    ///
    /// # Errors
    ///
    /// [`NotFound`](io::ErrorKind::NotFound) if no host has one of the addresses.
    pub fn set_link(
        &self,
        from: impl Into<IpAddr>,
        to: impl Into<IpAddr>,
        config: LinkConfig,
    ) -> io::Result<()> {
        let way = (self.find(from.into())?, self.find(to.into())?);
        self.universe.lock().paths.set_link(way, config);
        Ok(())
    }

    /// What the link from one host to another has carried, lost and turned away.
    ///
    /// # Errors
    ///
    /// [`NotFound`](io::ErrorKind::NotFound) if no host has one of the addresses.
    pub fn link_stats(
        &self,
        from: impl Into<IpAddr>,
        to: impl Into<IpAddr>,
    ) -> io::Result<LinkStats> {
        let way = (self.find(from.into())?, self.find(to.into())?);
        Ok(self.universe.lock().paths.link_stats(way))
    }

    /// Lets a host have the packets for addresses that no host has, for instance to [forward](crate::Forwarder) them.
    ///
    /// # Errors
    ///
    /// [`NotFound`](io::ErrorKind::NotFound) if no host has this address.
    pub fn set_gateway(&self, host: impl Into<IpAddr>) -> io::Result<()> {
        let host = self.find(host.into())?;
        self.universe.lock().paths.set_gateway(Some(host));
        Ok(())
    }

    /// Packets that were dropped because no host has their destination, or because their host did not take them.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.universe.lock().paths.dropped()
    }

    /// Waits until for `span` no packet has been under way.
    ///
    /// At the end of a program this lets connections close before the run is over.
    pub async fn quiet(&self, span: Duration) {
        loop {
            let now = self.universe.now();
            let busy = self.universe.lock().paths.last_busy(now);
            if busy + span <= now {
                return;
            }
            tokio::time::sleep((busy + span) - now).await;
        }
    }

    /// The time since the start of the run.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        since_start(self.universe.now())
    }

    /// A source of chance for the program itself, from the run's seed. Each call gives another.
    #[must_use]
    pub fn rng(&self) -> Rng {
        self.universe.lock().rng.fork()
    }

    /// The runtime of this run, for stacks on devices of the program's own.
    #[must_use]
    pub fn runtime(&self) -> SimRuntime {
        SimRuntime::new(Arc::clone(&self.universe))
    }

    fn find(&self, addr: IpAddr) -> io::Result<HostId> {
        let host = self.universe.lock().paths.owner(addr);
        host.ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::NotFound,
                format!("no host has the address {addr}"),
            )
        })
    }

    fn lock_records(&self) -> MutexGuard<'_, Vec<(HostId, Record)>> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn in_use(addr: IpAddr) -> io::Error {
    io::Error::new(
        io::ErrorKind::AddrInUse,
        format!("another host has the address {addr}"),
    )
}

fn since_start(now: Instant) -> Duration {
    Duration::from_nanos(now.as_nanos())
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Network")
            .field("elapsed", &self.elapsed())
            .finish_non_exhaustive()
    }
}

/// A capture that grows while it can be read.
#[derive(Clone, Default)]
struct Record(Arc<Mutex<Vec<u8>>>);

impl Record {
    fn lock(&self) -> MutexGuard<'_, Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Write for Record {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.lock().write(octets)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
