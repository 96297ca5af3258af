//! Options as C passes them: octets and their length.

use super::value::OptionValue;
use crate::posix::constants::{SOL_IP, SOL_IPV6};
use crate::posix::{Errno, Fd, Posix};
use handwave_tcp::Instant;

impl Posix {
    /// `setsockopt` with the octets that C passes.
    ///
    /// # Errors
    ///
    /// Those of [`set_option`](Self::set_option), and `EINVAL` for too few octets.
    pub fn set_option_octets(
        &mut self,
        now: Instant,
        fd: Fd,
        (level, name): (i32, i32),
        octets: &[u8],
    ) -> Result<(), Errno> {
        self.place(fd)?;
        let value = match OptionValue::decode(level, name, octets) {
            Ok(value) => value,
            // IPv6 looks at the name first, others at the length.
            Err(_) if level == SOL_IPV6 => {
                let known = self.option(fd, level, name);
                let unknown = matches!(known, Err(Errno::ENOPROTOOPT | Errno::EOPNOTSUPP));
                return Err(if unknown {
                    Errno::ENOPROTOOPT
                } else {
                    Errno::EINVAL
                });
            }
            Err(errno) => return Err(errno),
        };
        self.set_option(now, fd, (level, name), &value)
    }

    /// `getsockopt` into a buffer of `room` octets: what is stored there.
    ///
    /// # Errors
    ///
    /// Those of [`option`](Self::option), and `EINVAL` for a negative length.
    pub fn option_octets(
        &mut self,
        fd: Fd,
        (level, name): (i32, i32),
        room: i32,
    ) -> Result<Vec<u8>, Errno> {
        self.place(fd)?;
        let room = usize::try_from(room).map_err(|_| Errno::EINVAL)?;
        let value = self.option(fd, level, name)?;
        let mut octets = value.encode();
        // Small numbers of IP fit into one octet, where there is no room for four.
        let short = level == SOL_IP && (1..4).contains(&room);
        if short && let OptionValue::Int(0..=255) = value {
            octets.truncate(1);
        }
        octets.truncate(room);
        Ok(octets)
    }
}
