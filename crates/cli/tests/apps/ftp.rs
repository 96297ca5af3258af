//! FTP (RFC 959): vsftpd with passive data connections, and curl.
//!
//! The command connection and the data connections are separate, and the server names the port of each of the latter: with EPSV
//! (RFC 2428) the port alone, with PASV an address too, which has to be the one the client sees.

use crate::support::handwave::{self, ADDRESS};
use crate::support::world::{GUEST, PASSWORD, Protocol, World};
use crate::support::{Outcome, contains, octets, same};

/// The ports of data connections; the server takes any of them, so all are forwarded.
const PASSIVE_PORTS: [u16; 4] = [30_021, 30_022, 30_023, 30_024];

const SIZE: usize = 8 << 20;

pub(crate) fn play(world: &mut World) -> Outcome {
    let configuration = world.write("vsftpd.conf", configuration().as_bytes())?;
    world.start("vsftpd", &["vsftpd", &configuration])?;
    world.wait_for_port(Protocol::Tcp, 21)?;
    let mut forwards = vec!["21=127.0.0.1:21".to_owned()];
    forwards.extend(PASSIVE_PORTS.map(|port| format!("{port}=127.0.0.1:{port}")));
    handwave::serve(world, &forwards)?;

    let account = format!("{GUEST}:{PASSWORD}");
    let curl = ["curl", "--silent", "--show-error", "--user", &account];
    for (manner, options) in [("EPSV", &[][..]), ("PASV", &["--disable-epsv"][..])] {
        let sent = octets(21, SIZE);
        let local = world.write(&format!("{manner}.up"), &sent)?;
        let url = format!("ftp://{ADDRESS}/{manner}.bin");
        world.run(&[&curl[..], options, &["--upload-file", &local, &url]].concat())?;
        let stored = world.read(&format!("home/{manner}.bin"))?;
        same(&format!("upload after {manner}"), &sent, &stored)?;

        let fetched = world.feed(&[&curl[..], options, &[&url]].concat(), b"")?;
        same(&format!("download after {manner}"), &sent, &fetched)?;
    }
    let listing = world.run(&[&curl[..], &[&format!("ftp://{ADDRESS}/")]].concat())?;
    contains("the listing", &listing, &format!("{SIZE}"))?;
    contains("the listing", &listing, "EPSV.bin")
}

fn configuration() -> String {
    let [first, .., last] = PASSIVE_PORTS;
    format!(
        "listen=YES
listen_ipv6=NO
listen_address=127.0.0.1
background=NO
anonymous_enable=NO
local_enable=YES
write_enable=YES
pam_service_name=vsftpd
secure_chroot_dir=/run/vsftpd/empty
seccomp_sandbox=NO
pasv_min_port={first}
pasv_max_port={last}
pasv_address={ADDRESS}
"
    )
}
