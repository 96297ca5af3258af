//! Results: JSON lines for machines as they come, a table for people at the end.

use serde::{Deserialize, Serialize};

use crate::aims;

/// One figure, beside its peer's or its limit's from the same run.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Figure {
    pub(crate) bench: String,
    pub(crate) case: String,
    pub(crate) unit: String,
    pub(crate) ours: f64,
    pub(crate) peer: f64,
    pub(crate) peer_name: String,
    pub(crate) ratio: f64,
}

/// Which way is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Better {
    More,
    Less,
}

#[derive(Debug, Default)]
pub(crate) struct Report {
    figures: Vec<Figure>,
}

impl Report {
    /// Prints one JSON line and remembers it for the table.
    pub(crate) fn add(
        &mut self,
        bench: &'static str,
        case: String,
        unit: &'static str,
        better: Better,
        (ours, peer, peer_name): (f64, f64, &str),
    ) {
        let ratio = match better {
            Better::More => ours / peer,
            Better::Less => peer / ours,
        };
        let rounded = |value: f64| (value * 1000.0).round() / 1000.0;
        let figure = Figure {
            bench: bench.to_owned(),
            case,
            unit: unit.to_owned(),
            ours: rounded(ours),
            peer: rounded(peer),
            peer_name: peer_name.to_owned(),
            ratio: rounded(ratio),
        };
        match serde_json::to_string(&figure) {
            Ok(line) => println!("{line}"),
            Err(error) => eprintln!("cannot print a figure: {error}"),
        }
        self.figures.push(figure);
    }

    /// Prints the table, if there is anything in it.
    pub(crate) fn table(&self) {
        if self.figures.is_empty() {
            return;
        }
        let width = |of: fn(&Figure) -> usize, title: &str| {
            self.figures
                .iter()
                .map(of)
                .max()
                .unwrap_or(0)
                .max(title.len())
        };
        let case = width(|f| f.bench.len() + 1 + f.case.len(), "case");
        let peer = width(|f| f.peer_name.len(), "peer");
        eprintln!(
            "\n{:case$}  {:>10}  {:>10}  {:6}  {:peer$}  {:>7}  aim",
            "case", "ours", "theirs", "unit", "peer", "ratio"
        );
        for figure in &self.figures {
            let name = format!("{} {}", figure.bench, figure.case);
            let aim = aims::ratio(&figure.bench, &figure.case, &figure.peer_name);
            let aim = aim.map_or_else(String::new, |aim| match figure.ratio >= aim {
                true => format!("  {aim:.2}"),
                false => format!("  {aim:.2} missed"),
            });
            eprintln!(
                "{name:case$}  {:>10.3}  {:>10.3}  {:6}  {:peer$}  {:>6.2}x{aim}",
                figure.ours, figure.peer, figure.unit, figure.peer_name, figure.ratio
            );
        }
    }
}

/// The median of an unordered sample.
pub(crate) fn median(sample: &mut [f64]) -> f64 {
    sample.sort_by(f64::total_cmp);
    sample.get(sample.len() / 2).copied().unwrap_or(f64::NAN)
}
