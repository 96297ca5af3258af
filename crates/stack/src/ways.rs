//! The way to a peer, found once for connections that begin one after another.
//!
//! Each handshake asks for it several times, with the SYN, the SYN+ACK and the ACK, and neighbours in time mostly have the same peer: a
//! client its server, a server its proxy. So the last answer is kept until a route, an address or a path MTU changes. Connections that
//! stand remember theirs themselves.

use crate::input::Way;
use crate::routes::NextHop;
use crate::stack::Stack;
use core::net::IpAddr;
use handwave_tcp::Path;

/// What was found out about the way to an address.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KnownWay {
    to: IpAddr,
    hop: NextHop,
    path: Path,
    /// The local address for connections to it that name none, once there was one.
    source: Option<IpAddr>,
}

impl Stack {
    /// The next stop on the way to `destination`, and what a connection must know of the path; `None` without a route.
    #[inline]
    pub(crate) fn way_to(&mut self, destination: IpAddr) -> Option<(NextHop, Path)> {
        match &self.last_way {
            Some(way) if way.to == destination => Some((way.hop, way.path)),
            _ => self.find_way(destination),
        }
    }

    #[inline(never)]
    fn find_way(&mut self, destination: IpAddr) -> Option<(NextHop, Path)> {
        let hop = self.route_to(destination)?;
        let path = self.path_to(destination, &hop);
        self.last_way = Some(KnownWay {
            to: destination,
            hop,
            path,
            source: None,
        });
        Some((hop, path))
    }

    /// The way to somebody who reached us: as the routes say, or else back where it came from.
    #[inline]
    pub(crate) fn way_back(&mut self, way: &Way) -> (NextHop, Path) {
        let addr = way.tuple.remote.addr;
        let known = self.way_to(addr);
        known.unwrap_or_else(|| {
            let hop = NextHop {
                interface: way.interface,
                addr,
                is_local: false,
            };
            (hop, self.path_to(addr, &hop))
        })
    }

    /// The local address that the last connection to `remote` was given, if nothing has changed since. It says too that a connection to
    /// there makes sense.
    #[inline]
    pub(crate) fn usual_source(&self, remote: IpAddr) -> Option<IpAddr> {
        let way = self.last_way.filter(|way| way.to == remote)?;
        way.source
    }

    /// Remembers which local address suits connections to `remote`.
    pub(crate) fn set_usual_source(&mut self, remote: IpAddr, source: IpAddr) {
        if let Some(way) = &mut self.last_way
            && way.to == remote
        {
            way.source = Some(source);
        }
    }

    /// Forgets the last answer, and makes every connection look at its route and path MTU again before it sends.
    pub(crate) const fn paths_changed(&mut self) {
        self.paths_generation = self.paths_generation.wrapping_add(1);
        self.last_way = None;
    }
}
