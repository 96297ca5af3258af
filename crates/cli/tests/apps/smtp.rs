//! SMTP (RFC 5321): aiosmtpd, which stores into a maildir, and swaks.

use std::fs;

use crate::support::handwave::{self, ADDRESS};
use crate::support::world::{FOLDER, Protocol, World};
use crate::support::{Outcome, contains, same};

/// How many lines the long body has: some 500 KiB.
const LINES: usize = 10_000;

pub(crate) fn play(world: &mut World) -> Outcome {
    let maildir = format!("{FOLDER}/mail");
    let handler = ["-c", "aiosmtpd.handlers.Mailbox", &maildir];
    let server = ["aiosmtpd", "--nosetuid", "--listen", "127.0.0.1:25"];
    world.start("aiosmtpd", &[&server[..], &handler].concat())?;
    world.wait_for_port(Protocol::Tcp, 25)?;
    handwave::serve(world, &["25=127.0.0.1:25"])?;

    let mut body =
        String::from("Hello.\n.a line that begins with a dot\n..\n.\nthe end is not there\n");
    for number in 0..LINES {
        body += &format!("line {number} of a mail that takes many segments\n");
    }
    let file = world.write("body", body.as_bytes())?;
    let said = world.run(&[
        "swaks",
        "--server",
        ADDRESS,
        "--from",
        "hand@wave.example",
        "--to",
        "guest@wave.example",
        "--header",
        "Subject: three-way handshake",
        "--body",
        &format!("@{file}"),
    ])?;
    contains("what swaks saw", &said, "221 Bye")?;

    let folder = world.outside("mail/new");
    let mails: Vec<_> = fs::read_dir(folder)
        .map_err(|error| format!("no maildir: {error}"))?
        .flatten()
        .collect();
    let [mail] = &mails[..] else {
        return Err(format!("{} mails in the maildir, not one", mails.len()));
    };
    let mail = fs::read_to_string(mail.path()).map_err(|error| error.to_string())?;
    let (head, stored) = mail
        .split_once("\n\n")
        .ok_or("a mail without an empty line")?;
    contains("the head", head, "Subject: three-way handshake")?;
    contains("the head", head, "X-RcptTo: guest@wave.example")?;
    let stored = stored.trim_end_matches('\n').to_owned() + "\n";
    same("the body", body.as_bytes(), stored.as_bytes())
}
