//! `handwave stats`: what a running stack has counted, as nstat shows what the kernel has.

mod history;
mod pattern;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::process::ExitCode;

use handwave::control::Client;
use handwave::control::protocol::Hello;

use self::history::{History, Seen};
use crate::args::{Common, StatsArgs};
use crate::control;
use crate::failure::{Failure, Kind};
use crate::screen::Screen;

/// Runs the subcommand.
pub(crate) fn run(args: &StatsArgs, common: &Common) -> Result<ExitCode, Failure> {
    let mut client = control::client(&args.look)?;
    let (place, pid) = (client.path().display().to_string(), client.hello().pid);
    let now = ask(&mut client, place, pid)?;
    let mut history = History::open();
    if args.reset {
        history.forget(&now);
    }
    let before = history.before(&now).filter(|_| !args.absolute);
    if !args.nooutput {
        let counted = Counted::between(before, &now).only(&args.patterns, args.zeros);
        let mut screen = Screen::new(common.color.choice(), None);
        screen.text(&match args.json {
            true => counted.json()?,
            false => counted.text(client.hello()),
        })?;
        screen.flush()?;
    }
    if args.noupdate {
        return Ok(ExitCode::SUCCESS);
    }
    history.remember(now).map(|()| ExitCode::SUCCESS)
}

fn ask(client: &mut Client, control: String, pid: u32) -> Result<Seen, Failure> {
    let summary = client.summary();
    let summary = summary.map_err(|error| control::lost(client.path(), &error))?;
    Ok(Seen {
        control,
        pid,
        uptime_ms: summary.uptime_ms,
        counters: summary.counters,
    })
}

/// What has been counted in some time.
#[derive(Debug)]
struct Counted {
    counters: BTreeMap<String, u64>,
    millis: u64,
}

impl Counted {
    /// Since the last call, if there was any, and since the start otherwise.
    fn between(before: Option<&Seen>, now: &Seen) -> Self {
        let value_before = |name: &String| before.and_then(|it| it.counters.get(name));
        let grown = |name: &String, value: &u64| {
            let before = value_before(name).copied().unwrap_or(0);
            value.saturating_sub(before)
        };
        let counters = now.counters.iter();
        Self {
            counters: counters
                .map(|(name, value)| (name.clone(), grown(name, value)))
                .collect(),
            millis: now.uptime_ms - before.map_or(0, |it| it.uptime_ms),
        }
    }

    fn only(mut self, patterns: &[String], zeros: bool) -> Self {
        self.counters.retain(|name, value| {
            let asked = patterns.is_empty() || patterns.iter().any(|it| pattern::fits(it, name));
            asked && (zeros || *value > 0)
        });
        self
    }

    fn text(&self, hello: &Hello) -> String {
        let mut text = format!("#{} (process {})\n", hello.program, hello.pid);
        for (name, value) in &self.counters {
            // In tenths, rounded.
            let rate = u128::from(*value) * 10_000 + u128::from(self.millis) / 2;
            let rate = rate / u128::from(self.millis.max(1));
            let rate = format!("{}.{}", rate / 10, rate % 10);
            let _ = writeln!(text, "{name:<31} {value:<15} {rate:>6}");
        }
        text
    }

    fn json(&self) -> Result<String, Failure> {
        let object = BTreeMap::from([("handwave", &self.counters)]);
        let text = serde_json::to_string(&object);
        let text = text.map_err(|error| {
            Failure::new(Kind::Failed, "cannot write the answer").because(error)
        })?;
        Ok(text + "\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(uptime_ms: u64, counters: &[(&str, u64)]) -> Seen {
        let owned = counters.iter();
        Seen {
            control: "/run/handwave/4711.sock".to_owned(),
            pid: 4711,
            uptime_ms,
            counters: owned
                .map(|(name, value)| ((*name).to_owned(), *value))
                .collect(),
        }
    }

    #[test]
    fn counters_look_as_in_nstat() {
        let before = seen(
            10_000,
            &[("TcpInSegs", 1000), ("TcpExtSyncookiesSent", 200)],
        );
        let now = seen(
            12_500,
            &[
                ("TcpInSegs", 1010),
                ("TcpExtSyncookiesSent", 120_200),
                ("TcpExtListenOverflows", 0),
                ("AVeryLongNameThatFillsItsColumnAndMore", 7),
            ],
        );
        let hello = Hello {
            protocol: String::new(),
            version: 1,
            program: "handwave serve on hw0".to_owned(),
            pid: 4711,
        };
        let since_start = || Counted::between(None, &now);
        let since_then = || Counted::between(Some(&before), &now);
        insta::assert_snapshot!("absolute", since_start().only(&[], true).text(&hello));
        insta::assert_snapshot!("since_then", since_then().only(&[], false).text(&hello));
        let patterns = ["TcpExt*".to_owned()];
        let chosen = since_then().only(&patterns, true);
        let expected = r#"{"handwave":{"TcpExtListenOverflows":0,"TcpExtSyncookiesSent":120000}}"#;
        assert_eq!(chosen.json().unwrap().trim_end(), expected);
    }

    #[test]
    fn no_time_is_no_division_by_zero() {
        let now = seen(5, &[("TcpInSegs", 3)]);
        assert_eq!(Counted::between(Some(&now), &now).millis, 0);
        let counted = Counted {
            counters: now.counters.clone(),
            millis: 0,
        };
        let hello = Hello {
            protocol: String::new(),
            version: 1,
            program: "p".to_owned(),
            pid: 1,
        };
        assert!(counted.text(&hello).contains("TcpInSegs"));
    }
}
