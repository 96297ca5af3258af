//! TFTP (RFC 1350): tftpd-hpa and tftp-hpa, through `handwave forward`.
//!
//! The server answers a request from a port that it takes for this transfer, and expects the client's port in all of it. So no
//! single port can be forwarded: the client lives in a network namespace whose only way out is Handwave's TUN, and every flow that
//! enters there is re-made outside.

use crate::support::handwave::{self, CLIENT};
use crate::support::world::{FOLDER, GUEST, Protocol, World};
use crate::support::{Outcome, octets, same};

/// The server's address, which the client knows.
const SERVER: &str = "192.0.2.69";

/// 2,000 blocks, each acknowledged before the next is sent, and a last one that is not full.
const SIZE: usize = 2_000 * 512 + 69;

pub(crate) fn play(world: &mut World) -> Outcome {
    let sent = octets(69, SIZE);
    world.write("files/down", &sent)?;
    world.run(&["chmod", "777", "files"])?;
    world.run(&["ip", "address", "add", SERVER, "dev", "lo"])?;
    let folder = format!("{FOLDER}/files");
    let local = format!("{SERVER}:69");
    let server = ["in.tftpd", "--foreground", "--create", "--secure"];
    let options = ["--user", GUEST, "--address", &local, &folder];
    world.start("tftpd", &[&server[..], &options].concat())?;
    world.wait_for_port(Protocol::Udp, 69)?;
    handwave::forward(world)?;

    let inside = ["ip", "netns", "exec", CLIENT];
    let tftp = ["tftp", "-m", "binary", SERVER, "-c"];
    let tftp = [&inside[..], &tftp].concat();
    world.run(&[&tftp[..], &["get", "down", "fetched"]].concat())?;
    same("download", &sent, &world.read("fetched")?)?;
    world.run(&[&tftp[..], &["put", "fetched", "up"]].concat())?;
    same("upload", &sent, &world.read("files/up")?)
}
