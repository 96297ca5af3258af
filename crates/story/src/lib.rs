//! Traces of both ends in, the story of their connection out.
//!
//! A trace says what one host saw: segments that left and arrived, calls, timers, states. A network says what it did with
//! each segment. [`tell`] joins them to a [`Story`]: one [`Step`] for every segment from its departure to its fate, with
//! both ends' states, the numbers relative to the initial ones, the [`Arithmetic`] behind each ACK, and [`Sentence`]s that
//! say in English or Chinese what happened and why.
//!
//! Then a renderer makes something to look at: [`Ladder`] for terminals, [`json`] for programs.
//!
//! What does not live here: running anything (`handwave-sim` and the `handwave` program do) and colours, which belong to
//! whoever knows the terminal; a [`Span`] only says what it is.
#![forbid(unsafe_code)]

mod arithmetic;
mod build;
mod explain;
#[cfg(test)]
mod fixture;
mod lang;
mod model;
pub mod quantity;
mod render;
mod sentence;
mod transit;

pub use arithmetic::Arithmetic;
pub use build::{Witness, tell};
pub use lang::{Language, UnknownLanguage};
pub use model::{
    Change, End, Fate, LocalEvent, LocalStep, Number, Role, Segment, SegmentStep, Side, Step,
    Story, Trigger, Vars, Weight, What,
};
pub use render::json::story as json;
pub use render::ladder::{Detail, Ladder};
pub use render::text::{Line, Span, Style, width, wrap};
pub use sentence::Sentence;
pub use transit::{Transit, infer};
