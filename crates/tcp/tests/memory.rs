//! What a connection costs: sizes pinned, so that growth is a decision.

use std::mem::size_of;

use handwave_tcp::{Connection, TimeWait, Tuple};

#[test]
fn structures_stay_within_their_budgets() {
    let connection = size_of::<Connection>();
    let time_wait = size_of::<TimeWait>();
    println!(
        "connection {connection}, TIME-WAIT {time_wait}, tuple {}",
        size_of::<Tuple>()
    );
    assert!(
        connection <= 520,
        "an idle connection takes {connection} octets"
    );
    assert!(
        time_wait <= 68,
        "a TIME-WAIT record takes {time_wait} octets"
    );
}
