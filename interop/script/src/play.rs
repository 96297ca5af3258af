//! The command: which scripts, one process for each, and what is said in the end.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use clap::Parser;
use handwave_script::runner::{Settings, run, run_on};
use handwave_tcp::Profile;
use serde::{Deserialize, Serialize};

use crate::compare;
use crate::generate;
use crate::kernel::Kernel;
use crate::plan::Plan;
use crate::report;

/// Events of a failed run that are shown.
const TRACED: usize = 24;
/// By how much a timer may be late: the kernel's wheel keeps an eighth of the time.
const TIMER_PERCENT: u32 = 13;
/// What a script may take on top of its own time.
const GRACE: Duration = Duration::from_secs(45);

/// Plays packetdrill scripts against the Linux kernel, each in a network namespace of its own.
#[allow(
    clippy::struct_excessive_bools,
    reason = "each is a flag of the command line"
)]
#[derive(Parser, Debug)]
#[command(name = "handwave-interop-script", version)]
struct Arguments {
    /// Scripts, or directories with scripts (*.pkt) in them.
    #[arg(required_unless_present = "random", value_name = "FILE|DIR")]
    paths: Vec<PathBuf>,
    /// Scripts at a time: they wait most of the time.
    #[arg(long, default_value_t = 4, value_name = "N")]
    jobs: usize,
    /// By how much an event may be early or late, in milliseconds, where the script allows less.
    #[arg(long, default_value_t = 10, value_name = "MS")]
    tolerance: u64,
    /// Pass over scripts that take longer, in seconds.
    #[arg(long, default_value_t = 40, value_name = "S")]
    longest: u64,
    /// How often a script that fails is played again: a busy machine is late.
    #[arg(long, default_value_t = 2, value_name = "N")]
    retries: u32,
    /// Run shell commands that may reach beyond the namespace.
    #[arg(long)]
    allow_shell: bool,
    /// Show what happened in scripts that fail.
    #[arg(long)]
    trace: bool,
    /// Run each script on our own stack too, in virtual time, and say how that went.
    #[arg(long)]
    both: bool,
    /// Write the table of differences to this file.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Expect nothing; do what each script does on Linux and on our stack, and compare what came of it.
    #[arg(long)]
    compare: bool,
    /// Compare with scripts that these seeds write.
    #[arg(long, value_name = "FIRST..LAST", value_parser = seeds)]
    random: Option<Seeds>,
    /// How long both are watched after the last event of a script that is compared, in milliseconds.
    #[arg(long, default_value_t = 700, value_name = "MS")]
    tail: u64,
    /// Make scripts that differ as short as they can be.
    #[arg(long)]
    shrink: bool,
    /// Scripts that are shown of each class of differences.
    #[arg(long, default_value_t = 1, value_name = "N")]
    examples: usize,
    /// Print the scripts of the seeds and do nothing else.
    #[arg(long)]
    print: bool,
    /// Play one script in this process and write what happened as JSON; for the program itself.
    #[arg(long, hide = true)]
    alone: bool,
}

/// Seeds from the first to the last.
#[derive(Clone, Copy, Debug)]
struct Seeds(u64, u64);

fn seeds(text: &str) -> Result<Seeds, String> {
    let (first, last) = text.split_once("..").unwrap_or((text, text));
    let number = |text: &str| text.parse().map_err(|_| format!("`{text}` is no seed"));
    Ok(Seeds(number(first)?, number(last)?))
}

/// How a script fared.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Fate {
    Passed,
    /// Where, what was expected, what came instead, the single differences.
    Failed(Box<Fault>),
    /// It cannot be played here; why.
    Unusable(String),
    /// It is about another profile, or takes too long.
    PassedOver(String),
}

/// The first thing that was not as the script says.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Fault {
    pub(crate) line: usize,
    pub(crate) text: String,
    pub(crate) message: String,
    pub(crate) expected: Option<String>,
    pub(crate) actual: Option<String>,
    pub(crate) differences: Vec<String>,
    pub(crate) ladder: String,
}

/// A script, what is known of it, and how it fared.
#[derive(Debug)]
pub(crate) struct Played {
    pub(crate) path: PathBuf,
    pub(crate) reason: Option<String>,
    pub(crate) fate: Fate,
    /// What our own stack made of it.
    pub(crate) ours: Option<String>,
}

pub(crate) fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.alone && arguments.compare {
        return compare::alone(Duration::from_millis(arguments.tail));
    }
    if arguments.alone {
        return alone(&arguments);
    }
    let mut paths = Vec::new();
    for path in &arguments.paths {
        if let Err(error) = collect(path, &mut paths) {
            eprintln!("error: cannot read {}: {error}", path.display());
            return ExitCode::from(3);
        }
    }
    if arguments.compare || arguments.random.is_some() {
        return compare_all(&arguments, &paths);
    }
    let played = play_all(&arguments, &paths);
    let written = match &arguments.report {
        Some(file) => report::write(file, &played),
        None => Ok(()),
    };
    if let Err(error) = written {
        eprintln!("error: the table cannot be written: {error}");
        return ExitCode::from(1);
    }
    println!("{}", report::counts(&played));
    let wrong = |played: &Played| match &played.fate {
        Fate::Unusable(_) => true,
        Fate::Failed(_) => played.reason.is_none(),
        Fate::Passed | Fate::PassedOver(_) => false,
    };
    ExitCode::from(u8::from(played.iter().any(wrong)))
}

fn compare_all(arguments: &Arguments, paths: &[PathBuf]) -> ExitCode {
    let mut scripts = Vec::new();
    for path in paths {
        match fs::read_to_string(path) {
            Ok(text) => scripts.push((path.display().to_string(), text)),
            Err(error) => {
                eprintln!("error: cannot read {}: {error}", path.display());
                return ExitCode::from(3);
            }
        }
    }
    if let Some(Seeds(first, last)) = arguments.random {
        scripts.extend((first..=last).map(|seed| (seed.to_string(), generate::script(seed))));
    }
    if arguments.print {
        scripts.iter().for_each(|(_, text)| print!("{text}"));
        return ExitCode::SUCCESS;
    }
    let plan = compare::Plan {
        jobs: arguments.jobs,
        tail: Duration::from_millis(arguments.tail),
        retries: arguments.retries,
        shrink: arguments.shrink,
        examples: arguments.examples,
    };
    compare::main(plan, &scripts)
}

/// Adds `path`, or the scripts under it.
fn collect(path: &Path, found: &mut Vec<PathBuf>) -> std::io::Result<()> {
    if !fs::metadata(path)?.is_dir() {
        found.push(path.to_owned());
        return Ok(());
    }
    let mut inside = fs::read_dir(path)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<std::io::Result<Vec<_>>>()?;
    inside.sort();
    for path in inside {
        if path.is_dir() || path.extension().is_some_and(|extension| extension == "pkt") {
            collect(&path, found)?;
        }
    }
    Ok(())
}

fn play_all(arguments: &Arguments, paths: &[PathBuf]) -> Vec<Played> {
    let next = AtomicUsize::new(0);
    let (done, results) = channel();
    let mut played = thread::scope(|scope| {
        for _ in 0..arguments.jobs.max(1) {
            let (done, next) = (done.clone(), &next);
            scope.spawn(move || {
                while let Some(path) = paths.get(next.fetch_add(1, Ordering::Relaxed)) {
                    // The one who collects is there until all are done.
                    let _ = done.send(play(arguments, path));
                }
            });
        }
        drop(done);
        let told = results
            .iter()
            .inspect(|played| report::tell(played, arguments.trace));
        told.collect::<Vec<_>>()
    });
    played.sort_by(|a, b| a.path.cmp(&b.path));
    played
}

fn play(arguments: &Arguments, path: &Path) -> Played {
    let mut played = Played {
        path: path.to_owned(),
        reason: None,
        fate: Fate::Passed,
        ours: None,
    };
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => {
            played.fate = Fate::Unusable(error.to_string());
            return played;
        }
    };
    let plan = match Plan::new(&text) {
        Ok(plan) => plan,
        Err(wrong) => {
            played.fate = Fate::Unusable(wrong);
            return played;
        }
    };
    played.reason = plan.reason;
    if arguments.both {
        played.ours = Some(match run(&text, &settings(arguments)) {
            Ok(outcome) => match outcome.failure() {
                None => "passed".to_owned(),
                Some(failure) if arguments.trace => {
                    format!("{failure}\n{}", outcome.ladder(TRACED))
                }
                Some(failure) => failure.to_string(),
            },
            Err(wrong) => wrong.to_string(),
        });
    }
    played.fate = match plan.profile.as_deref() {
        Some(profile) if profile != "linux" => {
            Fate::PassedOver(format!("about the profile {profile}"))
        }
        _ if plan.length > Duration::from_secs(arguments.longest) => {
            Fate::PassedOver(format!("takes {} s", plan.length.as_secs()))
        }
        _ => {
            let mut fate = apart(arguments, path, plan.length);
            for _ in 0..arguments.retries {
                if matches!(fate, Fate::Passed) {
                    break;
                }
                fate = apart(arguments, path, plan.length);
            }
            fate
        }
    };
    played
}

fn settings(arguments: &Arguments) -> Settings {
    Settings {
        allow_shell: arguments.allow_shell,
        ..Settings::new(Profile::linux())
    }
}

/// Plays a script in a process of its own: what it leaves behind, blocked calls included, goes with it.
fn apart(arguments: &Arguments, path: &Path, length: Duration) -> Fate {
    let outcome = std::env::current_exe().and_then(|program| {
        let mut command = Command::new("timeout");
        command
            .arg((length + GRACE).as_secs().to_string())
            .arg(program)
            .arg("--alone")
            .arg(format!("--tolerance={}", arguments.tolerance))
            .arg(path)
            .stdin(Stdio::null())
            .stderr(Stdio::inherit());
        if arguments.allow_shell {
            command.arg("--allow-shell");
        }
        command.output()
    });
    match outcome {
        Ok(output) => serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
            Fate::Unusable(format!(
                "the process ended early ({}): {error}",
                output.status
            ))
        }),
        Err(error) => Fate::Unusable(format!("no process: {error}")),
    }
}

fn alone(arguments: &Arguments) -> ExitCode {
    let fate = match arguments.paths.first().map(fs::read_to_string) {
        Some(Ok(text)) => play_here(&text, arguments),
        Some(Err(error)) => Fate::Unusable(error.to_string()),
        None => Fate::Unusable("no script".to_owned()),
    };
    let text = serde_json::to_string(&fate).unwrap_or_default();
    let written = std::io::stdout().write_all(text.as_bytes());
    // A call that still waits would hold up an orderly end.
    std::process::exit(i32::from(written.is_err()));
}

fn play_here(text: &str, arguments: &Arguments) -> Fate {
    let least = Duration::from_millis(arguments.tolerance);
    let settings = Settings {
        tolerance: least,
        tolerance_least: least,
        tolerance_percent: TIMER_PERCENT,
        ..settings(arguments)
    };
    let outcome = match run_on(text, &settings, Kernel::new) {
        Ok(outcome) => outcome,
        Err(wrong) => return Fate::Unusable(wrong.to_string()),
    };
    let Some(failure) = outcome.failure() else {
        return Fate::Passed;
    };
    let line = failure.place.line;
    let said = text.lines().nth(line.saturating_sub(1)).unwrap_or_default();
    Fate::Failed(Box::new(Fault {
        line,
        text: said.trim().to_owned(),
        message: failure.message.clone(),
        expected: failure.expected.as_deref().map(str::to_owned),
        actual: failure.actual.as_deref().map(str::to_owned),
        differences: failure.differences.clone(),
        ladder: outcome.ladder(TRACED),
    }))
}
