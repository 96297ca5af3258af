//! Sockets as a POSIX program sees them: descriptors, calls and errnos over a [`Stack`](handwave_stack::Stack).
