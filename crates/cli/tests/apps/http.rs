//! HTTP (RFC 9112): nginx, with curl for large bodies in both directions and wrk for many connections at once.

use crate::support::handwave::{self, ADDRESS};
use crate::support::world::{FOLDER, Protocol, World};
use crate::support::{Outcome, octets, same};

const SIZE: usize = 16 << 20;

pub(crate) fn play(world: &mut World) -> Outcome {
    let sent = octets(80, SIZE);
    world.write("www/down", &sent)?;
    world.write("www/index.html", b"Hello, world!")?;
    world.run(&["chmod", "-R", "a+rwX", "www"])?;
    let configuration = world.write("nginx.conf", configuration().as_bytes())?;
    world.start("nginx", &["nginx", "-e", "stderr", "-c", &configuration])?;
    world.wait_for_port(Protocol::Tcp, 80)?;
    handwave::serve(world, &["80=127.0.0.1:80"])?;

    let curl = ["curl", "--silent", "--show-error", "--fail"];
    let down = format!("http://{ADDRESS}/down");
    let fetched = world.feed(&[&curl[..], &[&down]].concat(), b"")?;
    same("GET", &sent, &fetched)?;
    let up = format!("http://{ADDRESS}/up");
    let file = format!("{FOLDER}/www/down");
    world.run(&[&curl[..], &["--upload-file", &file, &up]].concat())?;
    same("PUT", &sent, &world.read("www/up")?)?;

    let hello = format!("http://{ADDRESS}/");
    let keep_alive = ["wrk", "-t1", "-c50", "-d3s", "--timeout", "20s", &hello];
    let no_keep_alive = [&keep_alive[..], &["-H", "Connection: close"]].concat();
    for wrk in [&keep_alive[..], &no_keep_alive] {
        let report = world.run(wrk)?;
        let bad = ["Socket errors", "Non-2xx"];
        if bad.iter().any(|bad| report.contains(bad)) || !report.contains("Requests/sec") {
            return Err(format!("`{}` reports:\n{report}", wrk.join(" ")));
        }
    }
    Ok(())
}

fn configuration() -> String {
    format!(
        "daemon off;
user guest guest;
pid {FOLDER}/nginx.pid;
worker_processes 1;
events {{ worker_connections 512; }}
http {{
    access_log off;
    client_body_temp_path {FOLDER}/www/incoming;
    client_max_body_size 64m;
    server {{
        listen 127.0.0.1:80;
        root {FOLDER}/www;
        dav_methods PUT;
    }}
}}
"
    )
}
