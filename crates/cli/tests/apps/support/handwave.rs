//! Puts Handwave between a client and a server.

use std::env;

use super::world::World;

/// Where clients find what Handwave forwards. No interface of the kernel has this address: it lies behind the TUN.
pub(crate) const ADDRESS: &str = "10.7.0.1";

/// The network namespace that [`forward`] makes for clients.
pub(crate) const CLIENT: &str = "client";

/// Starts `handwave serve` with such `--forward`s, and waits until it serves.
pub(crate) fn serve<S: AsRef<str>>(world: &mut World, forwards: &[S]) -> Result<(), String> {
    let address = format!("{ADDRESS}/24");
    let mut arguments = vec!["serve", "--addr", &address];
    for forward in forwards {
        arguments.extend(["--forward", forward.as_ref()]);
    }
    start(world, &arguments)
}

/// Starts `handwave forward` for a network namespace that has no other way out.
pub(crate) fn forward(world: &mut World) -> Result<(), String> {
    world.run(&["ip", "netns", "add", CLIENT])?;
    let address = format!("{ADDRESS}/24");
    let tun = format!("hw0@{CLIENT}");
    start(world, &["forward", "--tun", &tun, "--addr", &address])?;
    let route = ["route", "add", "default", "dev", "hw0"];
    world.run(&[&["ip", "-n", CLIENT], &route[..]].concat())?;
    Ok(())
}

fn start(world: &mut World, arguments: &[&str]) -> Result<(), String> {
    let binary = binary();
    world.start("handwave", &[&[&*binary], arguments].concat())?;
    // Its first words are what it serves, said when all of it is served.
    world.wait_until("handwave said what it serves", |world| {
        world.read("log/handwave").is_ok_and(|log| !log.is_empty())
    })
}

/// The program under test: this build, or another one to be tried.
fn binary() -> String {
    env::var("HANDWAVE_APPS_BINARY").unwrap_or_else(|_| env!("CARGO_BIN_EXE_handwave").to_owned())
}
