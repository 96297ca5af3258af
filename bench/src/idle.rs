//! `idle`: what an established connection costs that nobody uses, tables and timers included.

use crate::ours::{Crossing, Pair};
use crate::report::{Better, Report};

/// Octets that an idle connection may take, all in (no buffers).
const BUDGET: f64 = 640.0;

/// Opens the connections and reads the process's resident memory before and after; both ends count.
pub(crate) fn run(report: &mut Report, connections: &[usize]) {
    for &count in connections {
        let Some(before) = resident() else {
            eprintln!(
                "idle: the resident memory cannot be read on this system (no /proc/self/statm); skipped"
            );
            return;
        };
        let pair = Pair::new(1500, 64 << 10, count, Crossing::Contiguous);
        let after = resident().unwrap_or(before);
        #[expect(clippy::cast_precision_loss, reason = "memory sizes fit 52 bits")]
        let each = (after - before) as f64 / (2 * pair.idle()) as f64;
        drop(pair);
        report.add(
            "idle",
            format!("established-{count}"),
            "octets",
            Better::Less,
            (each, BUDGET, "budget"),
        );
    }
}

/// Octets of resident memory.
pub(crate) fn resident() -> Option<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split_whitespace().nth(1)?.parse().ok()?;
    Some(pages * 4096)
}
