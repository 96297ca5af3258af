//! Algorithms by name.

use alloc::boxed::Box;
use core::fmt;
use core::str::FromStr;

use super::controller::Controller;
use super::{CongestionControl, Cubic, Reno};

/// The algorithms there are, and room for those of others (RFC 9293 3.8.2 [MAY-18]).
///
/// ```
/// use handwave_tcp::congestion::{Algorithm, Reno};
///
/// let mine = Algorithm::Custom { name: "mine", build: |initial_window| Box::new(Reno::new(initial_window)) };
/// assert_eq!(mine.build(14_600).window(), 14_600);
/// ```
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub enum Algorithm {
    /// RFC 9438: [`Cubic`].
    #[default]
    Cubic,
    /// RFC 5681 with appropriate byte counting: [`Reno`].
    Reno,
    /// The program's own.
    Custom {
        /// What it is called; two algorithms of one name count as the same.
        name: &'static str,
        /// Makes an instance whose window is so many octets.
        build: fn(u32) -> Box<dyn CongestionControl>,
    },
}

impl PartialEq for Algorithm {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

impl Eq for Algorithm {}

impl Algorithm {
    /// Every algorithm that comes with the crate.
    pub const ALL: &[Self] = &[Self::Cubic, Self::Reno];

    /// Makes an instance whose window is `initial_window` octets.
    #[must_use]
    pub fn build(self, initial_window: u32) -> Box<dyn CongestionControl> {
        match self {
            Self::Cubic => Box::new(Cubic::new(initial_window)),
            Self::Reno => Box::new(Reno::new(initial_window)),
            Self::Custom { build, .. } => build(initial_window),
        }
    }

    /// Makes an instance as a connection keeps it.
    pub(crate) fn controller(self, initial_window: u32) -> Controller {
        match self {
            Self::Cubic => Controller::Cubic(Cubic::new(initial_window)),
            Self::Reno => Controller::Reno(Reno::new(initial_window)),
            Self::Custom { build, .. } => Controller::Custom(build(initial_window)),
        }
    }

    /// The name, in lower case, as [`FromStr`] reads it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cubic => "cubic",
            Self::Reno => "reno",
            Self::Custom { name, .. } => name,
        }
    }

    /// Finds an algorithm by its name, in any case; `None` if there is none.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|algorithm| algorithm.name().eq_ignore_ascii_case(name))
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Algorithm {
    type Err = UnknownAlgorithm;

    fn from_str(name: &str) -> Result<Self, UnknownAlgorithm> {
        Self::parse(name).ok_or(UnknownAlgorithm)
    }
}

/// No congestion control algorithm has this name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct UnknownAlgorithm;

impl fmt::Display for UnknownAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no such congestion control algorithm; known are")?;
        for algorithm in Algorithm::ALL {
            write!(f, " {algorithm}")?;
        }
        Ok(())
    }
}

impl core::error::Error for UnknownAlgorithm {}

#[cfg(test)]
mod tests {
    use super::{Algorithm, UnknownAlgorithm};
    use alloc::string::ToString;

    #[test]
    fn names_read_back() {
        for &algorithm in Algorithm::ALL {
            assert_eq!(algorithm.to_string().parse(), Ok(algorithm));
            assert_eq!(
                Algorithm::parse(&algorithm.name().to_uppercase()),
                Some(algorithm)
            );
            assert_eq!(algorithm.build(10).name(), algorithm.name());
            assert_eq!(algorithm.build(10).window(), 10);
        }
        assert_eq!("vegas".parse::<Algorithm>(), Err(UnknownAlgorithm));
        assert_eq!(
            UnknownAlgorithm.to_string(),
            "no such congestion control algorithm; known are cubic reno"
        );
    }
}
