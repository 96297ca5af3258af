//! The calls, by what they are for.

mod close;
mod names;
mod open;
mod receive;
mod send;
