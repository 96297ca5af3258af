//! `handwave lab`: two stacks in memory, a virtual network, and the story of what happened.

mod flood;
mod payload;
mod pcap;
mod play;
mod report;
mod scenario;
mod stray;
mod summary;
mod words;
mod world;

use std::process::ExitCode;

use handwave_story::{Side, Witness, tell};
use handwave_tcp::{BufferSize, Config};

pub(crate) use self::flood::Defence;
use self::payload::Payload;
pub(crate) use self::scenario::Scenario;
use self::summary::Summary;
use self::world::World;
use crate::args::{Common, LabArgs, LabCommand, NetworkArgs};
use crate::failure::{Failure, Kind};
use crate::screen::Screen;

/// Runs the subcommand.
pub(crate) fn run(args: &LabArgs, common: &Common) -> Result<ExitCode, Failure> {
    if let Some(LabCommand::Flood(flood)) = &args.command {
        return flood::run(flood, common);
    }
    check(args)?;
    let language = common.language();
    let payload = payload(args)?;
    // Before anything is played, so that a path that cannot be written costs no time.
    let capture = args.output.pcap.as_deref().map(pcap::create).transpose()?;
    let began = std::time::Instant::now();

    let mut world = World::new(&args.network, &config(args.scenario), capture.is_some());
    let progress = report::progress(args, &payload, language);
    let played = play::play(
        args.scenario,
        &mut world,
        &payload,
        (&args.network, &progress),
    );
    progress.finish_and_clear();

    let roles = args.scenario.roles();
    let endpoints = Side::BOTH.map(|side| world.endpoint(side));
    let (traces, transits, tapped) = world.into_records();
    let witnesses = Side::BOTH.map(|side| Witness {
        role: roles[side.index()],
        endpoint: endpoints[side.index()],
        trace: &traces[side.index()],
    });
    let story = tell(witnesses, &transits);
    let wall = began.elapsed();
    if let Some((writer, path)) = capture {
        pcap::write(writer, &path, &tapped, &story, language)?;
    }
    let summary = Summary::new(&story, &payload, &played, &traces[0], wall);
    let mut screen = Screen::new(common.color.choice(), args.output.width);
    if args.output.json {
        report::json(&mut screen, args, &story, &summary, language)?;
    } else {
        report::text(&mut screen, args, &story, &summary, language)?;
    }
    screen.flush()?;
    Ok(if summary.is_fine() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// What clap cannot check by itself.
fn check(args: &LabArgs) -> Result<(), Failure> {
    let NetworkArgs { ipv6, mtu, .. } = args.network;
    if ipv6 && mtu < 1280 {
        return Err(
            Failure::new(Kind::Usage, format!("--mtu {mtu} is too small for --ipv6"))
                .because("every IPv6 link carries at least 1280 octets (RFC 8200 5)")
                .hint("--mtu 1280 or more"),
        );
    }
    let data = args.payload.file.is_some() || args.payload.stdin || args.payload.size.is_some();
    if data && args.scenario != Scenario::Transfer {
        let name = args.scenario.name();
        return Err(
            Failure::new(Kind::Usage, format!("scenario {name} brings its own data"))
                .because("--file, --stdin and --size belong to the scenario transfer")
                .hint("handwave lab transfer --file PATH"),
        );
    }
    Ok(())
}

fn payload(args: &LabArgs) -> Result<Payload, Failure> {
    match play::own_data(args.scenario) {
        Some(octets) => Ok(Payload::generated(octets, args.network.seed)),
        None => Payload::from_args(&args.payload, args.network.seed),
    }
}

/// How the connections of a scenario behave: the defaults, with room for a fast path.
fn config(scenario: Scenario) -> Config {
    let roomy = Config {
        send_buffer: BufferSize::fixed(4 << 20),
        receive_buffer: BufferSize::fixed(4 << 20),
        ..Config::default()
    };
    match scenario {
        // Four segments fill it.
        Scenario::ZeroWindow => Config {
            receive_buffer: BufferSize::fixed(4 * 1448),
            ..roomy
        },
        // Timestamps would give an old segment away before its sequence number does.
        Scenario::OldDuplicate => Config {
            timestamps: false,
            ..roomy
        },
        _ => roomy,
    }
}
