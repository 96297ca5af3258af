//! `handwave script`: runs scripts and says which fail, where and why.

mod record;

use std::collections::BTreeMap;
use std::fs;
use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use handwave_script::runner::{Outcome, Settings, run as run_script};
use handwave_tcp::Profile;
use serde_json::{Value, json};

use crate::args::{Common, ScriptArgs};
use crate::failure::{Failure, Kind};

/// Events that `--trace` shows of a failed run.
const TRACED: usize = 16;

/// How one script fared.
enum Fate {
    Ran(Outcome),
    /// It cannot be run: the message, and the place in the text.
    Unusable(String, Option<(usize, usize)>),
}

impl Fate {
    fn word(&self) -> &'static str {
        match self {
            Self::Unusable(..) => "unusable",
            Self::Ran(outcome) if outcome.failure().is_some() => "failed",
            Self::Ran(_) => "passed",
        }
    }
}

pub(crate) fn run(args: &ScriptArgs, common: &Common) -> Result<ExitCode, Failure> {
    if let Some(capture) = &args.record {
        return record::run(capture, args);
    }
    let name = args.profile.name();
    let profile = Profile::by_name(name).ok_or_else(|| {
        Failure::new(Kind::Usage, format!("the profile {name} does not exist"))
            .hint("--profile linux, or --profile handwave")
    })?;
    let settings = Settings {
        allow_shell: args.allow_shell,
        defines: args.defines.clone(),
        ..Settings::new(profile)
    };
    let mut paths = Vec::new();
    for path in &args.paths {
        collect(path, &mut paths)?;
    }
    if paths.is_empty() {
        return Err(Failure::new(Kind::Input, "there are no scripts there")
            .because("no file under these directories ends in .pkt"));
    }
    let jobs = args.jobs.map(usize::from);
    let jobs = jobs.unwrap_or_else(|| thread::available_parallelism().map_or(1, usize::from));
    let colour = match common.color.choice() {
        anstream::ColorChoice::Never => false,
        anstream::ColorChoice::Auto => std::io::stdout().is_terminal(),
        anstream::ColorChoice::Always | anstream::ColorChoice::AlwaysAnsi => true,
    };
    let fates = run_all(&paths, &settings, jobs, colour);
    let text = if args.json {
        format!("{:#}\n", as_json(&paths, &fates))
    } else {
        report(args, &paths, &fates)
    };
    std::io::stdout()
        .lock()
        .write_all(text.as_bytes())
        .map_err(|error| Failure::output(&error))?;
    let has = |word| fates.iter().any(|fate| fate.word() == word);
    Ok(ExitCode::from(if has("unusable") {
        3
    } else {
        u8::from(has("failed"))
    }))
}

/// Adds `path`, or the scripts under it.
fn collect(path: &Path, found: &mut Vec<PathBuf>) -> Result<(), Failure> {
    let unreadable = |error: std::io::Error| {
        Failure::new(Kind::Input, format!("cannot read {}", path.display())).because(error)
    };
    if !fs::metadata(path).map_err(unreadable)?.is_dir() {
        found.push(path.to_owned());
        return Ok(());
    }
    let entries = fs::read_dir(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let mut inside: Vec<PathBuf> = entries
        .map_err(unreadable)?
        .iter()
        .map(fs::DirEntry::path)
        .collect();
    inside.sort();
    for path in inside {
        // A link to a directory above would never end.
        let is_directory = fs::symlink_metadata(&path).is_ok_and(|data| data.is_dir());
        if is_directory || path.extension().is_some_and(|extension| extension == "pkt") {
            collect(&path, found)?;
        }
    }
    Ok(())
}

fn run_all(paths: &[PathBuf], settings: &Settings, jobs: usize, colour: bool) -> Vec<Fate> {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut done = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(path) = paths.get(index) else {
                return done;
            };
            done.push((index, run_one(path, settings, colour)));
        }
    };
    let mut fates: Vec<(usize, Fate)> = thread::scope(|scope| {
        let workers: Vec<_> = (0..jobs.min(paths.len()).max(1))
            .map(|_| scope.spawn(work))
            .collect();
        workers
            .into_iter()
            .flat_map(|worker| match worker.join() {
                Ok(done) => done,
                Err(panic) => std::panic::resume_unwind(panic),
            })
            .collect()
    });
    fates.sort_by_key(|(index, _)| *index);
    fates.into_iter().map(|(_, fate)| fate).collect()
}

fn run_one(path: &Path, settings: &Settings, colour: bool) -> Fate {
    let name = path.display().to_string();
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => return Fate::Unusable(format!("{name}: cannot be read: {error}\n"), None),
    };
    match run_script(&text, settings) {
        Ok(outcome) => Fate::Ran(outcome),
        Err(wrong) => {
            let place = (wrong.line, wrong.column);
            let message = format!("{name}:{wrong}\n{}", wrong.render(&name, colour));
            Fate::Unusable(message, Some(place))
        }
    }
}

fn report(args: &ScriptArgs, paths: &[PathBuf], fates: &[Fate]) -> String {
    let mut text = String::new();
    let mut folders: BTreeMap<&Path, [usize; 3]> = BTreeMap::new();
    for (path, fate) in paths.iter().zip(fates) {
        let counts = folders.entry(path.parent().unwrap_or(path)).or_default();
        match fate {
            Fate::Unusable(message, _) => {
                counts[2] += 1;
                text += message;
            }
            Fate::Ran(outcome) => {
                counts[usize::from(outcome.failure().is_some())] += 1;
                if paths.len() == 1 {
                    text.extend(outcome.printed.iter().map(|line| format!("{line}\n")));
                }
                for warning in &outcome.warnings {
                    let line = warning.place.line;
                    text += &format!("{}:{line}: warning: {warning}\n", path.display());
                }
                if let Some(failure) = outcome.failure() {
                    text += &format!("{}:{}: {failure}\n", path.display(), failure.place.line);
                    if args.trace {
                        text += &outcome.ladder(TRACED);
                    }
                }
            }
        }
    }
    let mut all = [0; 3];
    for (folder, counts) in &folders {
        if folders.len() > 1 {
            text += &format!("{:<44} {}\n", folder.display(), counted(*counts));
        }
        for (sum, count) in all.iter_mut().zip(counts) {
            *sum += count;
        }
    }
    text + &format!("{}\n", counted(all))
}

fn counted([passed, failed, unusable]: [usize; 3]) -> String {
    let mut text = format!("{passed} passed");
    if failed > 0 {
        text += &format!(", {failed} failed");
    }
    if unusable > 0 {
        text += &format!(", {unusable} unusable");
    }
    text
}

fn as_json(paths: &[PathBuf], fates: &[Fate]) -> Value {
    let count = |word| fates.iter().filter(|fate| fate.word() == word).count();
    let scripts: Vec<Value> = paths
        .iter()
        .zip(fates)
        .map(|(path, fate)| {
            let mut entry = json!({ "file": path.display().to_string(), "result": fate.word() });
            match fate {
                Fate::Unusable(message, place) => {
                    entry["message"] = json!(message);
                    entry["line"] = json!(place.map(|(line, _)| line));
                    entry["column"] = json!(place.map(|(_, column)| column));
                }
                Fate::Ran(outcome) => {
                    if let Some(failure) = outcome.failure() {
                        entry["line"] = json!(failure.place.line);
                        entry["micros"] = json!(failure.micros);
                        entry["message"] = json!(failure.message);
                        entry["expected"] = json!(failure.expected);
                        entry["actual"] = json!(failure.actual);
                        entry["differences"] = json!(failure.differences);
                    }
                    entry["printed"] = json!(outcome.printed);
                }
            }
            entry
        })
        .collect();
    json!({
        "passed": count("passed"),
        "failed": count("failed"),
        "unusable": count("unusable"),
        "scripts": scripts,
    })
}
