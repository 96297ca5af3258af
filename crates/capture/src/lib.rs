//! Handwave: capture.
