//! [`Builder`]: from a device and some addresses to a stack that runs.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use handwave_device::{Device, Medium};
use handwave_stack::{InterfaceConfig, Prefix, Route, Shard, StackConfig};
use handwave_tcp::{Config, Secrets};
use handwave_wire::ethernet::MacAddr;

use crate::ahead::Ahead;
#[cfg(all(unix, feature = "control"))]
use crate::control::{Control, ControlOptions};
use crate::driver::{BusyPoll, Driver};
use crate::error::Error;
use crate::forwarder::Sessions;
use crate::runtime::{Runtime, TokioRuntime};
use crate::shards::{Group, Handles};
use crate::shared::{Handle, Inner, Shared};
use crate::stack::Stack;
use crate::waiting::Waiting;

/// The largest super-segment that fits behind its headers into the length field of IP.
const SUPER_SEGMENT_MAX: u32 = 65_535 - 120;

/// How to build a [`Stack`]; made by [`Stack::builder`].
pub struct Builder {
    devices: Vec<Box<dyn Device + Send>>,
    addresses: Vec<Prefix>,
    gateways: Vec<IpAddr>,
    mac: Option<MacAddr>,
    config: StackConfig,
    secrets: Option<Secrets>,
    runtime: Option<Arc<dyn Runtime>>,
    busy_poll: BusyPoll,
    #[cfg(all(unix, feature = "control"))]
    control: Option<ControlOptions>,
}

impl Builder {
    pub(crate) fn new() -> Self {
        Self {
            devices: Vec::new(),
            addresses: Vec::new(),
            gateways: Vec::new(),
            mac: None,
            config: StackConfig::default(),
            secrets: None,
            runtime: None,
            busy_poll: BusyPoll::Adaptive,
            #[cfg(all(unix, feature = "control"))]
            control: None,
        }
    }

    /// Where packets come from and go to. Its MTU is the stack's.
    #[must_use]
    pub fn device(mut self, device: impl Device + Send + 'static) -> Self {
        self.devices = vec![Box::new(device)];
        self
    }

    /// The queues of one device, each of which gets a *shard*: a stack and a driver of its own, so that several cores share the
    /// work. Together they are one stack for the program.
    ///
    /// A shard has the connections that a keyed hash of their addresses and ports gives it, whichever queue their packets come from: what arrives
    /// at another is carried over. Listeners and UDP sockets are at all of them. The limits of
    /// [`config`](Self::config) are shared out, those of a listener hold for all shards together.
    ///
    /// With one queue this is [`device`](Self::device). On Ethernet all have one link address, and what one shard learns of a neighbour all
    /// know.
    ///
    /// ```no_run
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use handwave::{Stack, device::TunBuilder};
    ///
    /// let queues = TunBuilder::new().address("10.7.0.1/24".parse()?).create_queues(2)?;
    /// let stack = Stack::builder().queues(queues).address([10, 7, 0, 2], 24).spawn()?;
    /// assert_eq!(stack.shards(), 2);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn queues<D: Device + Send + 'static>(
        mut self,
        queues: impl IntoIterator<Item = D>,
    ) -> Self {
        let queues = queues.into_iter();
        self.devices = queues.map(|queue| Box::new(queue) as _).collect();
        self
    }

    /// An address of the stack, IPv4 or IPv6, with the length of its network's prefix. There may be several.
    #[must_use]
    pub fn address(mut self, address: impl Into<IpAddr>, prefix_len: u8) -> Self {
        self.addresses.push(Prefix::new(address.into(), prefix_len));
        self
    }

    /// Where packets to other networks go, one for each family. A device without link addresses (TUN, a tunnel) needs none: it gets
    /// them all.
    #[must_use]
    pub fn gateway(mut self, gateway: impl Into<IpAddr>) -> Self {
        self.gateways.push(gateway.into());
        self
    }

    /// The link address, on an Ethernet device that has none of its own to receive for.
    #[must_use]
    pub fn mac(mut self, mac: MacAddr) -> Self {
        self.mac = Some(mac);
        self
    }

    /// Every limit of the stack, and the settings of its connections.
    #[must_use]
    pub fn config(mut self, config: StackConfig) -> Self {
        self.config = config;
        self
    }

    /// The settings of connections that say nothing else, for instance those of a [`Profile`](handwave_tcp::Profile).
    #[must_use]
    pub fn tcp(mut self, config: impl Into<Arc<Config>>) -> Self {
        self.config.tcp = config.into();
        self
    }

    /// The keys that make sequence numbers and ports unguessable, instead of fresh ones from the operating system.
    #[must_use]
    pub fn secrets(mut self, secrets: Secrets) -> Self {
        self.secrets = Some(secrets);
        self
    }

    /// The runtime, instead of the tokio runtime that the stack is built in.
    #[must_use]
    pub fn runtime(mut self, runtime: impl Runtime) -> Self {
        self.runtime = Some(Arc::new(runtime));
        self
    }

    /// How long to go on asking the device after something has arrived before waiting for it (busy polling), as `SO_BUSY_POLL` has the
    /// kernel do; zero waits at once.
    ///
    /// An answer that comes within this time costs nobody a way through the scheduler, which is most of the time that a small
    /// message takes. The price is a processor for as long as messages keep coming, and for this time after the last. Other tasks of the
    /// runtime have their turns in between.
    ///
    /// By default the driver decides by what it has seen, as the kernel does where it polls for interrupts or for halted guests. It asks
    /// for at most 50 microseconds, and only while packets keep coming within that time: a conversation back and forth or a stream hardly
    /// sleeps, traffic with longer pauses costs what it does without asking, and a stack at rest costs nothing. It does not ask at all where the
    /// process has no more processors than the stack has queues, nor on devices without a descriptor. Set a span where the time that the first messages after a pause take
    /// matters more than the processor, and zero where its power does.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// use std::time::Duration;
    /// use handwave::{Stack, device};
    ///
    /// let (wire, _other_end) = device::pair(1_500, 64);
    /// let stack = Stack::builder().device(wire).busy_poll(Duration::from_micros(50)).spawn()?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn busy_poll(mut self, span: Duration) -> Self {
        self.busy_poll = BusyPoll::Fixed(span);
        self
    }

    /// Opens a control socket, for as long as the stack exists, through which `handwave ss`, `stats` and `top` see it.
    ///
    /// [`Control::open`] does it later, and says where the socket is.
    #[cfg(all(unix, feature = "control"))]
    #[must_use]
    pub fn control(mut self, options: ControlOptions) -> Self {
        self.control = Some(options);
        self
    }

    /// Builds the stack and runs its driver, or that of each queue, on the runtime.
    ///
    /// # Errors
    ///
    /// As [`build`](Self::build), but for the number of queues.
    pub fn spawn(self) -> io::Result<Stack> {
        let (stack, drivers) = self.build_queues()?;
        for driver in drivers {
            stack.runtime().spawn(Box::pin(async move {
                // Whoever uses the stack meets the error there.
                let _end = driver.await;
            }));
        }
        Ok(stack)
    }

    /// Builds the stack, and the driver for the caller to run. Nothing moves until it does.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::InvalidInput`] without a device or with several queues, or with an impossible address, MTU or gateway; what the
    /// runtime says when there is none; what the operating system says when it has no entropy.
    pub fn build(self) -> io::Result<(Stack, Driver)> {
        if self.devices.len() > 1 {
            return Err(invalid("a stack with several queues has several drivers"));
        }
        let (stack, mut drivers) = self.build_queues()?;
        let driver = drivers.pop();
        Ok((stack, driver.ok_or_else(|| invalid(NO_DEVICE))?))
    }

    /// Builds the stack, and the driver of each queue for the caller to run: the stack needs all of them. When one ends, they
    /// all do, and with the same error.
    ///
    /// # Errors
    ///
    /// As [`build`](Self::build); several queues are none, unless they are not alike or more than 65,535.
    pub fn build_queues(mut self) -> io::Result<(Stack, Vec<Driver>)> {
        handwave_simd::install();
        let devices = std::mem::take(&mut self.devices);
        let count = u16::try_from(devices.len()).map_err(|_| invalid("too many queues"))?;
        let like = |device: &dyn Device| (device.medium(), device.mtu(), device.mac());
        let first = devices.first().ok_or_else(|| invalid(NO_DEVICE))?;
        if devices.iter().any(|other| like(&**other) != like(&**first)) {
            return Err(invalid(
                "the queues of one device have one medium, one MTU and one link address",
            ));
        }
        let runtime = match self.runtime.take() {
            Some(runtime) => runtime,
            None => Arc::new(TokioRuntime::current()?),
        };
        let secrets = match self.secrets.take() {
            Some(secrets) => secrets,
            None => fresh_secrets()?,
        };
        let group = Group::new(devices.len());
        let mut shards = Vec::with_capacity(devices.len());
        for (shard, device) in Shard::all(count).zip(&devices) {
            let inner = self.shard(shard, &**device, &secrets, &*runtime)?;
            let (runtime, group) = (Arc::clone(&runtime), Arc::clone(&group));
            shards.push(Shared::new(inner, runtime, group, shard.index().into()));
        }
        #[cfg(all(unix, feature = "control"))]
        if let (Some(options), [first, ..]) = (self.control, &*shards) {
            let control = Control::open_for(shards.iter().map(Arc::downgrade).collect(), options)?;
            first.look(|inner| inner.control = Some(control));
        }
        let handles = Handles::new(shards.iter().cloned().map(Handle::new));
        let drivers = shards.into_iter().zip(devices);
        let busy_poll = self
            .busy_poll
            .where_there_are(processors(), usize::from(count));
        let drivers = drivers.map(|(shared, device)| Driver::new(shared, device, busy_poll));
        Ok((Stack::new(handles), drivers.collect()))
    }

    /// One shard with its interface and routes.
    fn shard(
        &self,
        shard: Shard,
        device: &dyn Device,
        secrets: &Secrets,
        runtime: &dyn Runtime,
    ) -> io::Result<Inner> {
        let interface = self.interface(device)?;
        let is_ip = device.medium() == Medium::Ip;
        let config = self.config.for_shard(shard);
        let mut stack = handwave_stack::Stack::new(config, secrets.clone(), runtime.now());
        let interface = stack.add_interface(interface).map_err(Error::from)?;
        for (any, gateway) in default_routes(is_ip, &self.gateways) {
            let route = Route {
                destination: Prefix::new(any, 0),
                gateway,
                interface,
            };
            stack.add_route(route).map_err(Error::from)?;
        }
        Ok(Inner {
            stack,
            interface,
            waiting: Waiting::default(),
            ahead: Ahead::default(),
            sessions: Sessions::default(),
            next_port: first_port(secrets),
            driver: None,
            ended: false,
            #[cfg(all(unix, feature = "control"))]
            control: None,
        })
    }

    fn interface(&self, device: &dyn Device) -> io::Result<InterfaceConfig> {
        let addresses = self.addresses.iter().copied();
        let medium = match device.medium() {
            Medium::Ip => InterfaceConfig::ip(device.mtu(), addresses),
            Medium::Ethernet => {
                let mac = self.mac.or_else(|| device.mac());
                let mac = mac.ok_or_else(|| invalid("a stack on Ethernet needs a link address"))?;
                InterfaceConfig::ethernet(mac, addresses)
            }
        };
        // Any packet may be a super-segment, cut by whoever can do it best.
        Ok(InterfaceConfig {
            mtu: device.mtu(),
            super_segment_max: SUPER_SEGMENT_MAX,
            checksum_offload: true,
            ..medium
        })
    }
}

impl std::fmt::Debug for Builder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Builder")
            .field("addresses", &self.addresses)
            .field("gateways", &self.gateways)
            .finish_non_exhaustive()
    }
}

/// Processors that this process may use.
fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

const NO_DEVICE: &str = "a stack needs a device";

fn invalid(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, what)
}

/// The route to everywhere, for each family that has one.
fn default_routes(is_ip: bool, gateways: &[IpAddr]) -> Vec<(IpAddr, Option<IpAddr>)> {
    let any = |is_ipv4| match is_ipv4 {
        true => IpAddr::from([0; 4]),
        false => IpAddr::from([0; 16]),
    };
    let given = gateways.iter();
    let mut routes: Vec<_> = given.map(|hop| (any(hop.is_ipv4()), Some(*hop))).collect();
    for is_ipv4 in [true, false] {
        if is_ip && !gateways.iter().any(|hop| hop.is_ipv4() == is_ipv4) {
            routes.push((any(is_ipv4), None));
        }
    }
    routes
}

fn fresh_secrets() -> io::Result<Secrets> {
    let mut keys = [[0; 16]; 2];
    for key in &mut keys {
        getrandom::fill(key).map_err(io::Error::other)?;
    }
    let [isn_key, table_key] = keys;
    Ok(Secrets { isn_key, table_key })
}

/// Where listeners without a port of their own begin to look, in the range of dynamic ports (RFC 6335 6).
fn first_port(secrets: &Secrets) -> u16 {
    let [a, b, ..] = secrets.table_key;
    0xC000 | u16::from_be_bytes([a, b])
}
