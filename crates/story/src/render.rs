//! Pictures of a story. [`Ladder`] draws for terminals, [`json`](crate::json) writes for programs.

pub(crate) mod json;
pub(crate) mod ladder;
pub(crate) mod text;
