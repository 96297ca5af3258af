//! SSH (RFC 4253): sshd with keys made for this run, ssh and scp.

use crate::support::handwave::{self, ADDRESS};
use crate::support::world::{FOLDER, GUEST, Protocol, World};
use crate::support::{Outcome, octets, same};

const SIZE: usize = 8 << 20;

pub(crate) fn play(world: &mut World) -> Outcome {
    for key in ["host_key", "guest_key"] {
        let file = format!("{FOLDER}/{key}");
        world.run(&["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", &file])?;
    }
    let authorized = world.read("guest_key.pub")?;
    world.write("authorized_keys", &authorized)?;
    let configuration = world.write("sshd_config", configuration().as_bytes())?;
    world.start(
        "sshd",
        &["/usr/sbin/sshd", "-D", "-e", "-f", &configuration],
    )?;
    world.wait_for_port(Protocol::Tcp, 22)?;
    handwave::serve(world, &["22=127.0.0.1:22"])?;

    // The client believes only the host key that was made here, so it has reached this sshd and no other.
    let host_key = String::from_utf8_lossy(&world.read("host_key.pub")?).into_owned();
    world.write("known_hosts", format!("{ADDRESS} {host_key}").as_bytes())?;
    let options = [
        "-F/dev/null",
        "-oBatchMode=yes",
        "-oStrictHostKeyChecking=yes",
        &format!("-oUserKnownHostsFile={FOLDER}/known_hosts"),
        &format!("-oIdentityFile={FOLDER}/guest_key"),
        "-oIdentitiesOnly=yes",
        "-oConnectTimeout=20",
    ];
    let target = format!("{GUEST}@{ADDRESS}");

    let sent = octets(22, SIZE);
    let echo = [&["ssh"], &options[..], &[&target, "cat"]].concat();
    same("through `ssh cat`", &sent, &world.feed(&echo, &sent)?)?;

    let local = world.write("file", &sent)?;
    let remote = format!("{target}:stored");
    world.run(&[&["scp", "-q"], &options[..], &[&local, &remote]].concat())?;
    same("scp to the server", &sent, &world.read("home/stored")?)?;
    let back = format!("{FOLDER}/back");
    world.run(&[&["scp", "-q"], &options[..], &[&remote, &back]].concat())?;
    same("scp from the server", &sent, &world.read("back")?)
}

fn configuration() -> String {
    format!(
        "ListenAddress 127.0.0.1
HostKey {FOLDER}/host_key
AuthorizedKeysFile {FOLDER}/authorized_keys
PidFile none
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
AllowUsers {GUEST}
Subsystem sftp internal-sftp
"
    )
}
