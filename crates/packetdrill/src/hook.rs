//! `getsockopt` and `system` for programs that do not ask through the table.
//!
//! packetdrill reads `TCP_INFO` for its assertions with the C library's `getsockopt`, on the descriptor it was handed. With
//! `LD_PRELOAD=libhandwave_packetdrill.so` this function stands in front of that one: it answers for descriptors that are
//! sockets of ours and passes all others on to the kernel. So it is with the shell lines of a script, which packetdrill gives to
//! `system`: settings of the network are made in the stack, everything else is run.
#![expect(unsafe_code, reason = "this is called from C")]

use std::ffi::{CStr, c_char, c_int, c_void};
use std::os::unix::process::ExitStatusExt as _;
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use handwave_script::posix::{Environment, Posix};
use handwave_script::runner::carry_out_shell;
use handwave_tcp::{Instant, Profile};
use libc::socklen_t;

use crate::calls::options;
use crate::world::World;

/// The stacks there are.
static WORLDS: Mutex<Vec<Weak<World>>> = Mutex::new(Vec::new());

/// Shell lines that have made settings: stacks to come get them too, since packetdrill runs the first lines before it asks for one.
static LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Lets the hook answer for the sockets of `world`, and makes the settings that were asked for before it was there.
pub(crate) fn register(world: &Arc<World>) {
    let lines = LINES.lock().unwrap_or_else(PoisonError::into_inner);
    for line in lines.iter() {
        world.carry_out(line);
    }
    drop(lines);
    let mut worlds = WORLDS.lock().unwrap_or_else(PoisonError::into_inner);
    worlds.retain(|known| known.strong_count() > 0);
    worlds.push(Arc::downgrade(world));
}

/// The stack that `fd` is a socket of.
fn owner(fd: c_int) -> Option<Arc<World>> {
    let worlds = WORLDS.lock().unwrap_or_else(PoisonError::into_inner);
    let mut alive = worlds.iter().filter_map(Weak::upgrade);
    alive.find(|world| world.socket(fd).is_some())
}

/// Whether everything in a shell line is a setting that stacks know.
fn is_known(line: &str) -> bool {
    let scratch = Posix::new(Instant::ZERO, Environment::new(Profile::linux(), []));
    scratch.is_ok_and(|mut posix| carry_out_shell(&mut posix, line).is_ok())
}

/// The C library's function of this name; settings of the network are made in the stacks there are and will be, not on this machine.
///
/// # Safety
///
/// As in C: `command` is null or a C string.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn system(command: *const c_char) -> c_int {
    if command.is_null() {
        return 1;
    }
    // SAFETY: not null, so a C string by contract.
    let line = unsafe { CStr::from_ptr(command) }
        .to_string_lossy()
        .into_owned();
    if is_known(&line) {
        let worlds = WORLDS.lock().unwrap_or_else(PoisonError::into_inner);
        for world in worlds.iter().filter_map(Weak::upgrade) {
            world.carry_out(&line);
        }
        LINES
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(line);
        return 0;
    }
    let status = Command::new("/bin/sh").arg("-c").arg(&line).status();
    status.map_or(-1, |status| status.into_raw())
}

/// The C library's function of this name, for sockets of ours too.
///
/// # Safety
///
/// As in C: `len` can be read and written, and as many octets as it says can be written at `value`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn getsockopt(
    fd: c_int,
    level: c_int,
    name: c_int,
    value: *mut c_void,
    len: *mut socklen_t,
) -> c_int {
    if let Some(world) = owner(fd) {
        let userdata = Arc::as_ptr(&world).cast_mut().cast();
        // SAFETY: by contract; `world` is alive until this returns.
        return unsafe { options::getsockopt(userdata, fd, level, name, value, len) };
    }
    // SAFETY: by contract. The system call itself, because the library's function of this name is the one we are in.
    let answer = unsafe { libc::syscall(libc::SYS_getsockopt, fd, level, name, value, len) };
    c_int::try_from(answer).unwrap_or(-1)
}
