//! The congestion control of one connection, as its TCB keeps it.

use alloc::boxed::Box;
use core::ops::{Deref, DerefMut};

use super::{CongestionControl, Cubic, Reno};

/// An algorithm of this crate in its place; anybody else's in a box.
#[derive(Debug)]
pub(crate) enum Controller {
    Cubic(Cubic),
    Reno(Reno),
    Custom(Box<dyn CongestionControl>),
}

impl Deref for Controller {
    type Target = dyn CongestionControl;

    fn deref(&self) -> &Self::Target {
        match self {
            Self::Cubic(cubic) => cubic,
            Self::Reno(reno) => reno,
            Self::Custom(custom) => &**custom,
        }
    }
}

impl DerefMut for Controller {
    fn deref_mut(&mut self) -> &mut Self::Target {
        match self {
            Self::Cubic(cubic) => cubic,
            Self::Reno(reno) => reno,
            Self::Custom(custom) => &mut **custom,
        }
    }
}
