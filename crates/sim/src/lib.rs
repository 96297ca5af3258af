//! Handwave: sim.
