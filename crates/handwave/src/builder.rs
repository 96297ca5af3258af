//! [`Builder`]: from a device and some addresses to a stack that runs.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use handwave_device::{Device, Medium};
use handwave_stack::{InterfaceConfig, Prefix, Route, StackConfig};
use handwave_tcp::{Config, Secrets};
use handwave_wire::ethernet::MacAddr;

#[cfg(all(unix, feature = "control"))]
use crate::control::{Control, ControlOptions};
use crate::driver::Driver;
use crate::error::Error;
use crate::forwarder::Sessions;
use crate::runtime::{Runtime, TokioRuntime};
use crate::shared::{Handle, Inner, Shared};
use crate::stack::Stack;
use crate::waiting::Waiting;

/// The largest super-segment that fits behind its headers into the length field of IP.
const SUPER_SEGMENT_MAX: u32 = 65_535 - 120;

/// How to build a [`Stack`]; made by [`Stack::builder`].
pub struct Builder {
    device: Option<Box<dyn Device + Send>>,
    addresses: Vec<Prefix>,
    gateways: Vec<IpAddr>,
    mac: Option<MacAddr>,
    config: StackConfig,
    secrets: Option<Secrets>,
    runtime: Option<Arc<dyn Runtime>>,
    #[cfg(all(unix, feature = "control"))]
    control: Option<ControlOptions>,
}

impl Builder {
    pub(crate) fn new() -> Self {
        Self {
            device: None,
            addresses: Vec::new(),
            gateways: Vec::new(),
            mac: None,
            config: StackConfig::default(),
            secrets: None,
            runtime: None,
            #[cfg(all(unix, feature = "control"))]
            control: None,
        }
    }

    /// Where packets come from and go to. Its MTU is the stack's.
    #[must_use]
    pub fn device(mut self, device: impl Device + Send + 'static) -> Self {
        self.device = Some(Box::new(device));
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

    /// The link address, on an Ethernet device.
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

    /// Opens a control socket, for as long as the stack exists, through which `handwave ss`, `stats` and `top` see it.
    ///
    /// [`Control::open`] does it later, and says where the socket is.
    #[cfg(all(unix, feature = "control"))]
    #[must_use]
    pub fn control(mut self, options: ControlOptions) -> Self {
        self.control = Some(options);
        self
    }

    /// Builds the stack and runs its driver on the runtime.
    ///
    /// # Errors
    ///
    /// As [`build`](Self::build).
    pub fn spawn(self) -> io::Result<Stack> {
        let (stack, driver) = self.build()?;
        stack.runtime().spawn(Box::pin(async move {
            // Whoever uses the stack meets the error there.
            let _end = driver.await;
        }));
        Ok(stack)
    }

    /// Builds the stack, and the driver for the caller to run. Nothing moves until it does.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::InvalidInput`] without a device, or with an impossible address, MTU or gateway; what the runtime says
    /// when there is none; what the operating system says when it has no entropy.
    pub fn build(mut self) -> io::Result<(Stack, Driver)> {
        let device = self
            .device
            .take()
            .ok_or_else(|| invalid("a stack needs a device"))?;
        let runtime = match self.runtime.take() {
            Some(runtime) => runtime,
            None => Arc::new(TokioRuntime::current()?),
        };
        let secrets = match self.secrets.take() {
            Some(secrets) => secrets,
            None => fresh_secrets()?,
        };
        let first_port = first_port(&secrets);
        let interface = self.interface(&*device)?;
        let is_ip = device.medium() == Medium::Ip;
        let mut stack = handwave_stack::Stack::new(self.config, secrets, runtime.now());
        let interface = stack.add_interface(interface).map_err(Error::from)?;
        for (any, gateway) in default_routes(is_ip, &self.gateways) {
            let route = Route {
                destination: Prefix::new(any, 0),
                gateway,
                interface,
            };
            stack.add_route(route).map_err(Error::from)?;
        }
        let inner = Inner {
            stack,
            interface,
            waiting: Waiting::default(),
            sessions: Sessions::default(),
            next_port: first_port,
            driver: None,
            ended: false,
            #[cfg(all(unix, feature = "control"))]
            control: None,
        };
        let shared = Shared::new(inner, runtime);
        #[cfg(all(unix, feature = "control"))]
        if let Some(options) = self.control {
            let control = Control::open_for(Arc::downgrade(&shared), options)?;
            shared.look(|inner| inner.control = Some(control));
        }
        let stack = Stack::new(Handle::new(Arc::clone(&shared)));
        Ok((stack, Driver::new(shared, device)))
    }

    fn interface(&self, device: &dyn Device) -> io::Result<InterfaceConfig> {
        let addresses = self.addresses.iter().copied();
        let mut interface = match device.medium() {
            // On such a device any packet may be a super-segment, cut by whoever can do it best.
            Medium::Ip => InterfaceConfig {
                super_segment_max: SUPER_SEGMENT_MAX,
                checksum_offload: true,
                ..InterfaceConfig::ip(device.mtu(), addresses)
            },
            Medium::Ethernet => {
                let mac = self.mac;
                let mac = mac.ok_or_else(|| invalid("a stack on Ethernet needs a link address"))?;
                InterfaceConfig::ethernet(mac, addresses)
            }
        };
        interface.mtu = device.mtu();
        Ok(interface)
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
    let mut keys = [[0; 16]; 3];
    for key in &mut keys {
        getrandom::fill(key).map_err(io::Error::other)?;
    }
    let [isn_key, timestamp_key, table_key] = keys;
    Ok(Secrets {
        isn_key,
        timestamp_key,
        table_key,
    })
}

/// Where listeners without a port of their own begin to look, in the range of dynamic ports (RFC 6335 6).
fn first_port(secrets: &Secrets) -> u16 {
    let [a, b, ..] = secrets.table_key;
    0xC000 | u16::from_be_bytes([a, b])
}
