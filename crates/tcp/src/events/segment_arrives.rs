//! SEGMENT ARRIVES (RFC 9293 3.10.7): one room per state, and the eight checks of "other states", one file each.

mod check_ack;
mod check_fin;
mod check_rst;
mod check_sequence;
mod check_syn;
mod check_text;
mod check_urg;
pub(crate) mod closed;
pub(crate) mod loss_recovery;
pub(crate) mod other_states;
mod repair_on_ack;
pub(crate) mod syn_sent;

pub(crate) use check_sequence::is_acceptable;
