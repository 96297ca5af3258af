//! Handwave: tcp.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod buffer;
pub mod congestion;
pub mod recovery;
pub mod time;
