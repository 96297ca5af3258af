//! The differential mode: scripts are played for what comes of them, on Linux and on our stack, and the two runs compared.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::process::{Command, ExitCode, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use handwave_script::posix::{Environment, Posix};
use handwave_script::runner::{START, Settings, observe};
use handwave_tcp::Profile;

use crate::kernel::Kernel;
use crate::transcript::{Difference, Entry, Kind, Run};

/// What a script may take on the kernel, in seconds.
const LONGEST: u32 = 60;
/// Lines of a run that are shown before the difference.
const SHOWN: usize = 14;

/// How scripts are compared.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) jobs: usize,
    /// How long both hosts are watched after the last event.
    pub(crate) tail: Duration,
    /// How often a difference has to show up again to count.
    pub(crate) retries: u32,
    /// Differing scripts are made as short as they can be.
    pub(crate) shrink: bool,
    /// Show so many scripts of each class.
    pub(crate) examples: usize,
}

/// A script and what came of it.
#[derive(Debug)]
struct Compared {
    name: String,
    text: String,
    outcome: Outcome,
}

#[derive(Debug)]
enum Outcome {
    Same,
    /// Two hosts in real time need not agree on it: something happens just when a timer ends.
    TooClose,
    Different(Box<(Difference, Run, Run)>),
}

/// Compares the scripts, named for the reader, and says how that went.
pub(crate) fn main(plan: Plan, scripts: &[(String, String)]) -> ExitCode {
    let next = AtomicUsize::new(0);
    let all = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..plan.jobs.max(1) {
            scope.spawn(|| {
                while let Some((name, text)) = scripts.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let compared = compare(plan, name, text);
                    if let Ok(mut all) = all.lock() {
                        all.push(compared);
                    }
                }
            });
        }
    });
    let mut all = all.into_inner().unwrap_or_default();
    all.sort_by(|a, b| a.name.cmp(&b.name));
    tell(plan, &all)
}

fn tell(plan: Plan, all: &[Compared]) -> ExitCode {
    let mut classes: BTreeMap<&str, Vec<&Compared>> = BTreeMap::new();
    let (mut same, mut close) = (0, 0);
    for compared in all {
        match &compared.outcome {
            Outcome::Same => same += 1,
            Outcome::TooClose => close += 1,
            Outcome::Different(found) => {
                classes.entry(&found.0.class).or_default().push(compared);
            }
        }
    }
    let mut classes: Vec<(&str, Vec<&Compared>)> = classes.into_iter().collect();
    classes.sort_by_key(|(_, of)| std::cmp::Reverse(of.len()));
    for (class, of) in &classes {
        println!("== {} times: {class}", of.len());
        let mut shortest = of.clone();
        shortest.sort_by_key(|compared| compared.text.len());
        for compared in shortest.iter().take(plan.examples) {
            show(compared);
        }
    }
    let different: usize = classes.iter().map(|(_, of)| of.len()).sum();
    println!(
        "{} scripts: {same} the same, {different} different in {} classes, {close} too close to a timer to tell",
        all.len(),
        classes.len(),
    );
    for (class, of) in &classes {
        let names: Vec<&str> = of
            .iter()
            .take(6)
            .map(|compared| compared.name.as_str())
            .collect();
        println!("{:6}  {class}  ({})", of.len(), names.join(" "));
    }
    ExitCode::from(u8::from(different > 0))
}

fn show(compared: &Compared) {
    let Outcome::Different(found) = &compared.outcome else {
        return;
    };
    let (difference, ours, linux) = &**found;
    println!("-- {}", compared.name);
    print!("{}", compared.text);
    for (name, run) in [("ours ", ours), ("Linux", linux)] {
        println!("  {name}");
        let until = difference.micros.saturating_add(60_000);
        let lines: Vec<&Entry> = run
            .entries
            .iter()
            .filter(|entry| entry.micros <= until)
            .collect();
        for entry in lines.iter().skip(lines.len().saturating_sub(SHOWN)) {
            let arrow = match entry.kind {
                Kind::Inbound => "|-->",
                Kind::Outbound => "|<--",
                Kind::Call => "    ",
                Kind::Check => continue,
            };
            println!("    {:>10} {arrow} {}", entry.micros, entry.text);
        }
    }
    println!(
        "  ours : {}\n  Linux: {}",
        difference.ours, difference.linux
    );
}

fn compare(plan: Plan, name: &str, text: &str) -> Compared {
    let mut text = text.to_owned();
    let mut outcome = outcome_of(plan, &text);
    if plan.shrink && matches!(outcome, Outcome::Different(_)) {
        (text, outcome) = shrunk(plan, text, outcome);
    }
    Compared {
        name: name.to_owned(),
        text,
        outcome,
    }
}

fn outcome_of(plan: Plan, text: &str) -> Outcome {
    let ours = on_ours(plan, text);
    if ours.is_close() {
        return Outcome::TooClose;
    }
    let mut outcome = Outcome::Same;
    for _ in 0..=plan.retries {
        let linux = on_linux(plan, text);
        let end = |run: &Run| run.entries.last().map_or(0, |entry| entry.micros);
        let acted = |run: &Run| {
            let acts = run
                .entries
                .iter()
                .filter(|entry| entry.kind != Kind::Outbound);
            acts.map(|entry| entry.micros).max().unwrap_or(0)
        };
        let tail = i64::try_from(plan.tail.as_micros()).unwrap_or(i64::MAX);
        let watched = acted(&ours).min(acted(&linux)).saturating_add(tail);
        let watched = watched.min(end(&ours).max(end(&linux)).saturating_add(tail));
        match ours.first_difference(&linux, watched) {
            None => return Outcome::Same,
            Some(difference) => {
                outcome = Outcome::Different(Box::new((difference, ours.clone(), linux)));
            }
        }
    }
    outcome
}

/// The same difference in as few lines as removing single ones leaves.
fn shrunk(plan: Plan, text: String, outcome: Outcome) -> (String, Outcome) {
    let Outcome::Different(found) = &outcome else {
        return (text, outcome);
    };
    let class = found.0.class.clone();
    let (mut text, mut outcome) = (text, outcome);
    let mut at = text.lines().count();
    while at > 0 {
        at -= 1;
        let lines: Vec<&str> = text.lines().collect();
        if lines.get(at).is_none_or(|line| line.starts_with("//")) {
            continue;
        }
        let mut shorter: Vec<&str> = lines;
        shorter.remove(at);
        let shorter = shorter.join("\n") + "\n";
        let attempt = outcome_of(Plan { retries: 0, ..plan }, &shorter);
        if let Outcome::Different(found) = &attempt
            && found.0.class == class
        {
            (text, outcome) = (shorter, attempt);
        }
    }
    (text, outcome)
}

fn settings() -> Settings {
    Settings::new(Profile::linux())
}

fn on_ours(plan: Plan, text: &str) -> Run {
    let run = observe(text, &settings(), plan.tail, |settings| {
        let mut environment =
            Environment::new(settings.profile.clone(), [settings.local_address()]);
        environment.interface.mtu = settings.mtu;
        Posix::new(START, environment).map_err(|error| error.to_string())
    });
    finished(run.map(Run::from).map_err(|wrong| wrong.to_string()))
}

fn finished(run: Result<Run, String>) -> Run {
    run.unwrap_or_else(|wrong| Run {
        entries: Vec::new(),
        broken: Some(wrong),
    })
}

/// Plays the script in a process of its own.
fn on_linux(plan: Plan, text: &str) -> Run {
    let run = || -> Result<Run, String> {
        let program = std::env::current_exe().map_err(|error| error.to_string())?;
        let mut child = Command::new("timeout")
            .arg(LONGEST.to_string())
            .arg(program)
            .arg("--alone")
            .arg("--compare")
            .arg(format!("--tail={}", plan.tail.as_millis()))
            .arg("-")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| error.to_string())?;
        if let Some(mut input) = child.stdin.take() {
            input
                .write_all(text.as_bytes())
                .map_err(|error| error.to_string())?;
        }
        let output = child
            .wait_with_output()
            .map_err(|error| error.to_string())?;
        serde_json::from_slice(&output.stdout)
            .map_err(|error| format!("the process ended early ({}): {error}", output.status))
    };
    finished(run())
}

/// Plays the script on the standard input in this process, on the kernel, and writes down what happened.
pub(crate) fn alone(tail: Duration) -> ExitCode {
    let mut text = String::new();
    let run = match std::io::stdin().read_to_string(&mut text) {
        Ok(_) => observe(&text, &settings(), tail, Kernel::new)
            .map(Run::from)
            .map_err(|wrong| wrong.to_string()),
        Err(error) => Err(error.to_string()),
    };
    let text = serde_json::to_string(&finished(run)).unwrap_or_default();
    let written = std::io::stdout().write_all(text.as_bytes());
    // A call that still waits would hold up an orderly end.
    std::process::exit(i32::from(written.is_err()));
}
