//! The packetdrill language: text to [`Script`] and back.
//!
//! A script is a time line of system calls, packets injected (`<`) and packets expected (`>`), shell commands in backticks and
//! Python assertions between `%{` and `}%`. The grammar is Google's dialect; it stands in `packetdrill.pest`, and reads as its
//! documentation. What a script means is the business of [`runner`](crate::runner).
//!
//! - [`ast`]: what a script is made of. Everything in it has a `Display` that writes it as a script does, so that parsing what was
//!   printed gives the same script again.
//! - [`Diagnostic`]: what is wrong with a text, where, and what was expected there.
//!
//! ```
//! use handwave_script::language::Script;
//!
//! let script = Script::parse("0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n+.1 > S 0:0(0) <mss 1460>", &[]).unwrap();
//! assert_eq!(script.events.len(), 2);
//! assert_eq!(script.events[1].to_string(), "+0.1 > S 0:0(0) <mss 1460>");
//!
//! let error = Script::parse("0 socket(..., SOCK_STREAM", &[]).unwrap_err();
//! assert_eq!((error.line, error.column), (1, 26));
//! ```

pub mod ast;

mod defines;
mod diagnostic;
mod parse;
pub(crate) mod print;
#[cfg(test)]
mod tests;

pub use ast::Script;
pub use diagnostic::Diagnostic;
