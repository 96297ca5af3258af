//! Handwave: stack.
#![no_std]
#![forbid(unsafe_code)]
