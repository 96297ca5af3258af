//! A shared library through which packetdrill drives Handwave instead of the kernel.
//!
//! packetdrill can test a stack that lives in a library: `packetdrill --so_filename=libhandwave_packetdrill.so --so_flags=... test.pkt`.
//! It calls [`packetdrill_interface_init`](interface), which hands it a table of functions: the socket calls, a wire to put packets
//! on and take them from, and a clock. Behind them stands [`handwave_script::posix`], the sockets that our own script runner
//! uses, here in real time: a call that has to wait sleeps until a packet or a timer wakes it.
//!
//! - [`interface`]: the table, as C has it, and its entry point.
//! - [`calls`]: the functions of the table: C's arguments in, a value or `errno` out.
//! - [`world`]: one stack behind a lock, its clock, its timers, and what it has sent.
//! - [`descriptors`]: real descriptors that stand for sockets, since packetdrill closes what is left open by itself.
//! - [`flags`]: the settings in `--so_flags`.
//! - [`memory`]: the structures that C passes by pointer.
//! - [`hook`]: `getsockopt` and `system` for programs that do not ask through the table; in force with `LD_PRELOAD`.
//!
//! The interface is Linux's, and elsewhere the library is empty.
#![cfg(target_os = "linux")]
#![allow(
    rustdoc::private_intra_doc_links,
    reason = "a shared library has no other reader than that of its source"
)]

mod calls;
mod descriptors;
mod flags;
mod hook;
mod interface;
mod memory;
mod world;
