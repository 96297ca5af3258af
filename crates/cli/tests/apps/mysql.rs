//! The MySQL protocol: mariadbd on a database made for this run, and the client mariadb.

use std::fmt::Write as _;

use crate::support::handwave::{self, ADDRESS};
use crate::support::world::{FOLDER, GUEST, PASSWORD, Protocol, World};
use crate::support::{Outcome, digest, octets, same};

const BLOB: usize = 1 << 20;

/// Rows of the small table.
const ROWS: usize = 1_000;

pub(crate) fn play(world: &mut World) -> Outcome {
    start(world)?;
    handwave::serve(world, &["3306=127.0.0.1:3306"])?;

    let password = format!("--password={PASSWORD}");
    let host = format!("--host={ADDRESS}");
    let client = [
        "mariadb",
        "--no-defaults",
        "--protocol=tcp",
        &host,
        "--user",
        GUEST,
        &password,
        "--batch",
        "--skip-column-names",
        "--max-allowed-packet=16M",
        "wave",
    ];
    let ask = |statement: &str| {
        let answer = world.feed(&client, statement.as_bytes())?;
        Ok::<_, String>(String::from_utf8_lossy(&answer).trim_end().to_owned())
    };

    let mut statements = "CREATE TABLE states (n INT PRIMARY KEY, name TEXT);\n".to_owned();
    let mut wanted = String::new();
    for n in 0..ROWS {
        let _ = writeln!(statements, "INSERT INTO states VALUES ({n}, 'STATE-{n}');");
        let _ = writeln!(wanted, "{n}\tSTATE-{n}");
    }
    ask(&statements)?;
    let answer = ask("SELECT n, name FROM states ORDER BY n;")?;
    same("the rows", wanted.trim_end().as_bytes(), answer.as_bytes())?;

    let blob = octets(3_306, BLOB);
    let hex = blob.iter().fold(String::new(), |mut hex, octet| {
        let _ = write!(hex, "{octet:02X}");
        hex
    });
    ask("CREATE TABLE blobs (content LONGBLOB);")?;
    ask(&format!("INSERT INTO blobs VALUES (X'{hex}');"))?;
    let stored = ask("SELECT SHA2(content, 256) FROM blobs;")?;
    if stored != digest(&blob) {
        return Err(format!("the server's SHA-256 of the blob is {stored}"));
    }
    let answer = ask("SELECT HEX(content) FROM blobs;")?;
    same("the blob", hex.as_bytes(), answer.as_bytes())
}

/// Makes the database and starts its server.
fn start(world: &mut World) -> Outcome {
    let folder = format!("--datadir={FOLDER}/database");
    let user = format!("--user={GUEST}");
    let no_defaults = "--no-defaults";
    // In memory, so asynchronous writes are not to be had and a large log would only cost.
    let sparing = ["--innodb-use-native-aio=0", "--innodb-log-file-size=8M"];
    let install = ["mariadb-install-db", no_defaults, &folder, &user];
    let options = ["--skip-test-db", "--auth-root-authentication-method=normal"];
    world.run(&[&install[..], &options, &sparing].concat())?;
    let account = format!(
        "CREATE DATABASE wave;
CREATE USER {GUEST}@'%' IDENTIFIED BY '{PASSWORD}';
GRANT ALL ON wave.* TO {GUEST}@'%';
"
    );
    let account = world.write("account.sql", account.as_bytes())?;
    let server = ["mariadbd", no_defaults, &folder, &user];
    let options = [
        "--bind-address=127.0.0.1",
        "--port=3306",
        &format!("--socket={FOLDER}/database/socket"),
        &format!("--init-file={account}"),
        "--max-allowed-packet=16M",
    ];
    world.start("mariadbd", &[&server[..], &options, &sparing].concat())?;
    world.wait_for_port(Protocol::Tcp, 3306)
}
