//! Handwave.

fn main() {}
