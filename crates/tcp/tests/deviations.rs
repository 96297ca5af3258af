//! The figures in `docs/deviations.md` are the figures in the code.
//!
//! Each row of the first table that names a setting is compared with [`Config::default`] and [`Profile::linux`], and each setting
//! on which the two differ has a row.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use handwave_tcp::{BufferSize, Config, ListenerConfig, Profile};

/// A figure as the page writes it.
trait Figure {
    fn figure(&self) -> String;
}

impl Figure for Duration {
    fn figure(&self) -> String {
        match (self.as_millis(), self.subsec_millis()) {
            (_, 0) => format!("{} s", self.as_secs()),
            (0..1000, millis) => format!("{millis} ms"),
            _ => format!("{:.1} s", self.as_secs_f64()),
        }
    }
}

impl Figure for bool {
    fn figure(&self) -> String {
        if *self { "yes" } else { "no" }.to_owned()
    }
}

impl Figure for BufferSize {
    fn figure(&self) -> String {
        self.to_string()
    }
}

macro_rules! numbers {
    ($($number:ty),+) => {
        $(impl Figure for $number {
            fn figure(&self) -> String {
                self.to_string()
            }
        })+
    };
}
numbers!(u8, u16, u32, usize);

impl<T: Figure> Figure for Option<T> {
    fn figure(&self) -> String {
        self.as_ref()
            .map_or_else(|| "off".to_owned(), Figure::figure)
    }
}

/// Every setting of `$value` by name. The pattern is exhaustive, so that a setting added to the struct has to be named here.
macro_rules! figures {
    ($value:expr, $type:ident { $($shown:ident),+ $(; $($debug:ident),+)? }) => {{
        let $type { $($shown,)+ $($($debug),+)? } = $value;
        let mut figures = BTreeMap::new();
        $(figures.insert(stringify!($shown), $shown.figure());)+
        $($(figures.insert(stringify!($debug), format!("{:?}", $debug));)+)?
        figures
    }};
}

fn figures(profile: &Profile) -> BTreeMap<&'static str, String> {
    let Profile {
        name: _,
        connection,
        listener,
    } = profile;
    let mut all = figures!(connection, Config {
        send_buffer, receive_buffer, timestamps, sack, window_scaling, mss_max, nagle, initial_window, delayed_ack, quick_acks,
        rto_initial, rto_min, rto_max, r1, r2, r2_syn, user_timeout, persist_max, time_wait, time_wait_ignores_rst,
        fin_wait2_timeout, orphan_retries, challenge_interval, accept_missing_timestamps, hard_icmp_aborts, soft_icmp_aborts_opening, dscp, hop_limit,
        cork, slow_start_segments, pacing, tail_loss_probe, restart_after_idle, syn_retries, syn_linear_timeouts, window_scale_for, window_clamp;
        congestion, keepalive, segmentation, resets, window_probe, acknowledging, receive_window, rtt_variation, sequence_check, option_order
    });
    all.append(&mut figures!(
        listener,
        ListenerConfig {
            syn_queue_max,
            accept_queue_max,
            synack_retries,
            synack_timeout,
            reset_on_overflow,
            defer_accept;
            cookies,
            blind_acks,
            limits,
            flood
        }
    ));
    all
}

/// The rows that name a setting: setting, default, Linux.
fn rows(page: &str) -> BTreeMap<String, (String, String)> {
    page.lines()
        .filter_map(|line| {
            let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
            let setting = cells.get(4)?.strip_prefix('`')?.strip_suffix('`')?;
            Some((
                setting.to_owned(),
                (cells[2].to_owned(), cells[3].to_owned()),
            ))
        })
        .collect()
}

#[test]
fn the_page_has_the_figures_of_the_code() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/deviations.md");
    let page = fs::read_to_string(path).unwrap();
    let rows = rows(&page);
    let (ours, linux) = (figures(&Profile::handwave()), figures(&Profile::linux()));
    for (setting, written) in &rows {
        let name = setting.as_str();
        let coded = (ours.get(name).cloned(), linux.get(name).cloned());
        assert_eq!(
            (Some(written.0.clone()), Some(written.1.clone())),
            coded,
            "the row of `{setting}`"
        );
    }
    for (setting, ours) in &ours {
        assert!(
            rows.contains_key(*setting) || *ours == linux[setting],
            "`{setting}` differs and has no row"
        );
    }
}
