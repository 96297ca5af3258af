//! `struct tcp_info` by the names of its members.

use std::collections::BTreeMap;

use crate::posix::constants::{SOL_TCP, TCP_INFO};
use crate::posix::{Fd, LinuxTcpInfo, OptionValue};
use crate::runner::{Host, Runner};

/// Names and values of the members.
pub(super) fn members(info: &LinuxTcpInfo) -> BTreeMap<&'static str, i64> {
    info.fields()
        .map(|(name, value)| (name, value.cast_signed()))
        .collect()
}

impl<H: Host> Runner<H> {
    /// What `%{ }%` can look at: the `struct tcp_info` of the current connection.
    pub(in crate::runner) fn information(&mut self) -> BTreeMap<&'static str, i64> {
        let Some(fd) = self.information_fd() else {
            return BTreeMap::new();
        };
        match self.host.option(fd, SOL_TCP, TCP_INFO) {
            Ok(OptionValue::Info(info)) => members(&info),
            _ => BTreeMap::new(),
        }
    }

    fn information_fd(&self) -> Option<Fd> {
        let current = self.current.and_then(|index| self.connections[index].fd);
        current
            .map(|script| self.files.live(script))
            .or_else(|| self.files.newest())
    }
}
