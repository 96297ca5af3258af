//! Handwave: tcp.
#![no_std]
#![forbid(unsafe_code)]
