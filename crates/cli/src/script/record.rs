//! `handwave script --record`: a captured connection as a script.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use handwave_capture::Reader;
use handwave_script::record::{Conversation, Seen, Side, conversations, ip_packet, record};

use crate::args::{RecordSide, ScriptArgs};
use crate::failure::{Failure, Kind};

/// Connections that an error lists.
const LISTED: usize = 20;

pub(crate) fn run(capture: &Path, args: &ScriptArgs) -> Result<ExitCode, Failure> {
    let found = conversations(read(capture)?);
    let conversation = choose(capture, &found, args.stream)?;
    let side = match args.side {
        RecordSide::Client => Side::Client,
        RecordSide::Server => Side::Server,
    };
    let recording = record(conversation, side).map_err(|why| {
        Failure::new(
            Kind::Input,
            format!("no script can be written from {}", capture.display()),
        )
        .because(why)
    })?;
    match &args.output {
        Some(path) => fs::write(path, &recording.text).map_err(|error| {
            Failure::new(Kind::Input, format!("cannot write {}", path.display()))
                .because(error)
                .hint("name a file in a directory you may write to")
        })?,
        None => std::io::stdout()
            .lock()
            .write_all(recording.text.as_bytes())
            .map_err(|error| Failure::output(&error))?,
    }
    match recording.failure {
        None => Ok(ExitCode::SUCCESS),
        Some(failure) => Err(Failure::new(
            Kind::Failed,
            format!(
                "the script is written and departs from our stack at line {}",
                failure.place.line
            ),
        )
        .because(failure.message)
        .hint("the capture may be another stack's, or may not show what made it send this; edit the script from there")),
    }
}

/// The IP packets of a capture.
fn read(path: &Path) -> Result<Vec<Seen>, Failure> {
    let wrong = |error| {
        Failure::new(
            Kind::Input,
            format!("cannot read {} as a capture", path.display()),
        )
        .because(error)
        .hint("a pcap or pcapng file, as tcpdump, Wireshark and handwave lab --pcap write it")
    };
    let mut reader = Reader::open(path).map_err(wrong)?;
    let mut seen = Vec::new();
    while let Some(packet) = reader.next() {
        let packet = packet.map_err(wrong)?;
        let link = reader.link_type(packet.interface);
        if let Some(octets) = link.and_then(|link| ip_packet(link, &packet.data)) {
            seen.push(Seen {
                micros: i64::try_from(packet.time.as_micros()).unwrap_or(i64::MAX),
                octets: octets.to_vec(),
            });
        }
    }
    Ok(seen)
}

/// The connection to write down: the only one, or the one that was asked for.
fn choose<'a>(
    capture: &Path,
    found: &'a [Conversation],
    stream: Option<usize>,
) -> Result<&'a Conversation, Failure> {
    let list = || {
        let lines = found.iter().take(LISTED).enumerate();
        let mut lines: Vec<String> = lines.map(|(at, one)| format!("{at}: {one}")).collect();
        if found.len() > LISTED {
            lines.push(format!("and {} more", found.len() - LISTED));
        }
        lines.join("\n")
    };
    let name = capture.display();
    match (found, stream) {
        ([], _) => Err(
            Failure::new(Kind::Input, format!("there is no TCP in {name}")).because(
                "none of its packets is a TCP segment over IP on a link that is known here",
            ),
        ),
        (_, Some(index)) => found.get(index).ok_or_else(|| {
            Failure::new(
                Kind::Usage,
                format!("there is no connection {index} in {name}"),
            )
            .because(list())
        }),
        ([only], None) => Ok(only),
        (_, None) => Err(Failure::new(
            Kind::Usage,
            format!("there are {} connections in {name}", found.len()),
        )
        .because(list())
        .hint("name one with --stream, such as --stream 0")),
    }
}
