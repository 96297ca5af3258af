//! Runs as Markdown, for `docs/performance.md`: first what was aimed at, then all figures.

use std::fmt::Write;
use std::io::{self, BufRead, Write as _};

use crate::aims;
use crate::report::Figure;

/// Reads JSON lines as the benchmarks print them and prints tables.
///
/// # Errors
///
/// What `lines` or standard output says; [`io::ErrorKind::InvalidData`], with the number of the line, for a line that is no figure.
pub(crate) fn print(lines: impl BufRead) -> io::Result<()> {
    let figures = read(lines)?;
    let mut out = io::stdout().lock();
    out.write_all(tables(&figures).as_bytes())?;
    out.flush()
}

fn read(lines: impl BufRead) -> io::Result<Vec<Figure>> {
    let mut figures = Vec::new();
    for (n, line) in (1..).zip(lines.lines()) {
        let line = line?;
        if line.trim().is_empty() {
            continue;
        }
        let figure = serde_json::from_str(&line).map_err(|error| {
            let said = format!("line {n} is no figure as the benchmarks print them: {error}");
            io::Error::new(io::ErrorKind::InvalidData, said)
        })?;
        figures.push(figure);
    }
    Ok(figures)
}

fn tables(figures: &[Figure]) -> String {
    let mut text = String::new();
    aimed_at(&mut text, figures);
    for figures in figures.chunk_by(|a, b| a.bench == b.bench) {
        let _infallible = writeln!(text, "\n### `{}`", figures[0].bench);
        if figures.windows(2).any(|pair| pair[0].case == pair[1].case) {
            by_peer(&mut text, figures);
        } else {
            by_case(&mut text, figures);
        }
    }
    text
}

/// Cases that have an aim, each beside the peer that comes closest, or that is ahead.
fn aimed_at(text: &mut String, figures: &[Figure]) {
    let mut rows: Vec<(&Figure, f64)> = Vec::new();
    for figure in figures {
        let Some(aim) = aims::ratio(&figure.bench, &figure.case, &figure.peer_name) else {
            continue;
        };
        let same = rows.iter_mut().find(|(known, wanted)| {
            known.bench == figure.bench && known.case == figure.case && *wanted == aim
        });
        match same {
            Some((closest, _)) if closest.ratio <= figure.ratio => {}
            Some((closest, _)) => *closest = figure,
            None => rows.push((figure, aim)),
        }
    }
    if rows.is_empty() {
        return;
    }
    let reached = rows.iter().filter(|(it, aim)| it.ratio >= *aim).count();
    let _infallible = writeln!(
        text,
        "{reached} of {} aims are reached.\n\n| case | beside | ratio | aim | |\n|---|---|---:|---:|---|",
        rows.len()
    );
    for (figure, aim) in rows {
        let verdict = if figure.ratio >= aim {
            "reached"
        } else {
            "**missed**"
        };
        let _infallible = writeln!(
            text,
            "| `{}` {} | {} | {:.3} | {aim:.2} | {verdict} |",
            figure.bench, figure.case, figure.peer_name, figure.ratio
        );
    }
}

/// One benchmark where each case has its own peer: a line for each figure.
fn by_case(text: &mut String, figures: &[Figure]) {
    text.push_str(
        "\n| case | ours | theirs | unit | peer | ratio |\n|---|---:|---:|---|---|---:|\n",
    );
    for figure in figures {
        let _infallible = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {:.2} |",
            figure.case,
            number(figure.ours),
            number(figure.peer),
            figure.unit,
            figure.peer_name,
            figure.ratio
        );
    }
}

/// One benchmark where the same peers are beside most cases: a line for each case, a column for each peer.
fn by_peer(text: &mut String, figures: &[Figure]) {
    let peers = peers(figures);
    let _infallible = writeln!(
        text,
        "\n| case | unit | ours | {} |\n|---|---|---:|{}",
        peers.join(" | "),
        "---:|".repeat(peers.len())
    );
    for case in figures.chunk_by(|a, b| a.case == b.case) {
        let ours = &case[0];
        let _infallible = write!(
            text,
            "| {} | {} | {} |",
            ours.case,
            ours.unit,
            number(ours.ours)
        );
        for peer in &peers {
            match case.iter().find(|figure| figure.peer_name == *peer) {
                Some(theirs) => {
                    let figure = number(theirs.peer);
                    let _infallible = write!(text, " {figure} ({:.2}) |", theirs.ratio);
                }
                None => text.push_str(" |"),
            }
        }
        text.push('\n');
    }
}

/// All peers, in the order in which they first appear.
fn peers(figures: &[Figure]) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    for figure in figures {
        if !names.contains(&figure.peer_name.as_str()) {
            names.push(&figure.peer_name);
        }
    }
    names
}

/// A figure as people read it: three digits, and groups of three from a thousand.
fn number(value: f64) -> String {
    if value < 100.0 {
        return format!("{value:.2}");
    }
    let digits = format!("{value:.0}");
    let mut grouped = String::new();
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUN: &str = r#"
{"bench":"tun","case":"mtu1500-in","unit":"Gbit/s","ours":12.3,"peer":15.0,"peer_name":"floor","ratio":0.82}
{"bench":"tun","case":"mtu1500-in","unit":"Gbit/s","ours":12.3,"peer":3.0,"peer_name":"gVisor","ratio":4.1}
{"bench":"tun","case":"mtu1500-in","unit":"Gbit/s","ours":12.3,"peer":9.84,"peer_name":"smoltcp 0.14","ratio":1.25}
{"bench":"tun","case":"offload-in","unit":"Gbit/s","ours":60.0,"peer":63.0,"peer_name":"floor","ratio":0.95}
{"bench":"handshakes","case":"both-ends","unit":"conn/s","ours":1022401.0,"peer":1000000.0,"peer_name":"aim","ratio":1.02}
"#;

    #[test]
    fn aims_come_first_then_tables_with_a_column_for_each_peer() {
        let figures = read(RUN.as_bytes()).expect("figures");
        let expected = "\
3 of 4 aims are reached.

| case | beside | ratio | aim | |
|---|---|---:|---:|---|
| `tun` mtu1500-in | floor | 0.820 | 0.90 | **missed** |
| `tun` mtu1500-in | smoltcp 0.14 | 1.250 | 1.00 | reached |
| `tun` offload-in | floor | 0.950 | 0.90 | reached |
| `handshakes` both-ends | aim | 1.020 | 1.00 | reached |

### `tun`

| case | unit | ours | floor | gVisor | smoltcp 0.14 |
|---|---|---:|---:|---:|---:|
| mtu1500-in | Gbit/s | 12.30 | 15.00 (0.82) | 3.00 (4.10) | 9.84 (1.25) |
| offload-in | Gbit/s | 60.00 | 63.00 (0.95) | | |

### `handshakes`

| case | ours | theirs | unit | peer | ratio |
|---|---:|---:|---|---|---:|
| both-ends | 1,022,401 | 1,000,000 | conn/s | aim | 1.02 |
";
        assert_eq!(tables(&figures), expected);
    }

    #[test]
    fn what_is_no_figure_is_named_by_its_line() {
        let error = read("\n{\"bench\":\"tun\"}\n".as_bytes()).expect_err("fields are missing");
        assert!(error.to_string().contains("line 2"), "{error}");
    }
}
