//! What is said about the scripts: a line for each that needs one, and the table.

use std::fmt::Write as _;
use std::path::Path;

use crate::play::{Fate, Fault, Played};

/// Says how one script fared, if that needs to be said.
pub(crate) fn tell(played: &Played, trace: bool) {
    let path = played.path.display();
    match &played.fate {
        Fate::Passed | Fate::PassedOver(_) => {}
        Fate::Unusable(why) => println!("{path}: unusable: {why}"),
        Fate::Failed(fault) => {
            let known = if played.reason.is_some() {
                " (known)"
            } else {
                ""
            };
            println!("{path}:{}: {}{known}", fault.line, fault.message);
            print!("{}", details(fault));
            if trace {
                print!("{}", fault.ladder);
            }
        }
    }
    if let Some(ours) = played.ours.as_deref().filter(|ours| *ours != "passed") {
        println!("{path}: on our stack: {ours}");
    }
}

fn details(fault: &Fault) -> String {
    let mut text = String::new();
    for (name, value) in [("script", &fault.expected), ("Linux ", &fault.actual)] {
        if let Some(value) = value {
            let _ = writeln!(text, "    {name}: {value}");
        }
    }
    for difference in &fault.differences {
        let _ = writeln!(text, "      {difference}");
    }
    text
}

/// How many fared how.
pub(crate) fn counts(all: &[Played]) -> String {
    let count = |is: fn(&Played) -> bool| all.iter().filter(|played| is(played)).count();
    let failed = |played: &Played| matches!(played.fate, Fate::Failed(_));
    let known = all
        .iter()
        .filter(|played| failed(played) && played.reason.is_some());
    format!(
        "{} as Linux does it, {} otherwise ({} for a reason given), {} passed over, {} unusable",
        count(|played| matches!(played.fate, Fate::Passed)),
        count(|played| matches!(played.fate, Fate::Failed(_))),
        known.count(),
        count(|played| matches!(played.fate, Fate::PassedOver(_))),
        count(|played| matches!(played.fate, Fate::Unusable(_))),
    )
}

/// Writes the table.
pub(crate) fn write(file: &Path, all: &[Played]) -> std::io::Result<()> {
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(file, page(all))
}

fn page(all: &[Played]) -> String {
    let system = rustix::system::uname();
    let mut text = format!(
        "# Where Linux and we differ\n\n\
         The scripts of `tests/scripts`, played against Linux {} over a TUN device: the same scripts that our stack passes in \
         virtual time.\n\n\
         Made by `handwave-interop-script tests/scripts --report docs/evidence/linux.md`; do not edit.\nA script says why Linux \
         does something else in a comment that begins with `Linux differs:`.\n\n{}.\n\n",
        system.release().to_string_lossy(),
        counts(all),
    );
    text += "| script | line | it expects | Linux | why |\n|---|---|---|---|---|\n";
    for played in all {
        if let Fate::Failed(fault) = &played.fate {
            let _ = writeln!(
                text,
                "| {} | {} | `{}` | {} | {} |",
                name(&played.path),
                fault.line,
                cell(&fault.text),
                cell(&summary(fault)),
                cell(played.reason.as_deref().unwrap_or("**not explained**")),
            );
        }
    }
    text += "\n## Passed over\n\n| script | why |\n|---|---|\n";
    for played in all {
        if let Fate::PassedOver(why) | Fate::Unusable(why) = &played.fate {
            let why = played
                .reason
                .as_ref()
                .map_or_else(|| why.clone(), |reason| format!("{why}: {reason}"));
            let _ = writeln!(text, "| {} | {} |", name(&played.path), cell(&why));
        }
    }
    text
}

/// The script's path below the folder of all of them.
fn name(path: &Path) -> String {
    let path = path.display().to_string();
    let below = path.split_once("tests/scripts/").map(|(_, below)| below);
    format!("`{}`", below.unwrap_or(&path))
}

fn summary(fault: &Fault) -> String {
    if fault.differences.is_empty() {
        let actual = fault.actual.as_deref().unwrap_or(&fault.message);
        return actual.to_owned();
    }
    fault.differences.join("; ")
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}
