//! The little Python that stands between `%{` and `}%`: assertions over `tcpi_*`.
//!
//! Statements are `assert`, `print`, assignments to names, `pass`, and expressions, on lines or behind semicolons, and the blocks
//! of `if`, `elif`, `else` and `for`. There are integers, floats, strings, booleans, `None` and tuples; `or`, `and`, `not`,
//! comparisons and their chains, `in`, `if`-`else`, the bit operators and arithmetic; `%`, `format` and `f''`; `abs`, `min`, `max`,
//! `int`, `float`, `round`, `len`, `str`, `hex`, `sum`, `range`. Names keep their values from one block to the next. What is not
//! there is an error, never a silent pass.

mod parse;
#[cfg(test)]
mod tests;
mod value;

use std::collections::BTreeMap;

use crate::posix::constants;
use parse::{Block, Statement};
use value::Value;

/// What went wrong, and on which line of the block, from 0.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Error {
    pub(super) line: usize,
    pub(super) message: String,
}

/// The names that blocks have given values to, and what they have printed.
#[derive(Debug, Default)]
pub(super) struct Scope {
    names: BTreeMap<String, Value>,
    printed: Vec<String>,
}

/// The names that the connection gives values to.
type Information = BTreeMap<&'static str, i64>;

impl Scope {
    pub(super) fn into_printed(self) -> Vec<String> {
        self.printed
    }

    /// Runs a block.
    pub(super) fn run(&mut self, code: &str, information: &Information) -> Result<(), Error> {
        self.run_block(&parse::statements(code)?, information)
    }

    fn run_block(&mut self, block: &Block, information: &Information) -> Result<(), Error> {
        for (line, statement) in block {
            let at_line = |message| Error {
                line: *line,
                message,
            };
            match statement {
                Statement::If(branches, otherwise) => {
                    let mut taken = otherwise;
                    for (condition, block) in branches {
                        let condition = self.evaluate(condition, information).map_err(at_line)?;
                        if condition.is_true() {
                            taken = block;
                            break;
                        }
                    }
                    self.run_block(taken, information)?;
                }
                Statement::For(name, values, block) => {
                    let values = self.evaluate(values, information).map_err(at_line)?;
                    let Value::Tuple(values) = values else {
                        return Err(at_line(format!(
                            "there is nothing to go through in {values}"
                        )));
                    };
                    for value in values {
                        self.names.insert(name.clone(), value);
                        self.run_block(block, information)?;
                    }
                }
                statement => self.execute(statement, information).map_err(at_line)?,
            }
        }
        Ok(())
    }

    fn execute(&mut self, statement: &Statement, information: &Information) -> Result<(), String> {
        match statement {
            Statement::Pass | Statement::If(..) | Statement::For(..) => {}
            Statement::Evaluate(value) => {
                self.evaluate(value, information)?;
            }
            Statement::Assign(name, value) => {
                let value = self.evaluate(value, information)?;
                self.names.insert(name.clone(), value);
            }
            Statement::Print(values) => {
                let texts = values.iter().map(|value| self.evaluate(value, information));
                let texts: Vec<String> = texts
                    .map(|value| value.map(|value| value.to_string()))
                    .collect::<Result<_, _>>()?;
                self.printed.push(texts.join(" "));
            }
            Statement::Assert(condition, message) => {
                if !self.evaluate(condition, information)?.is_true() {
                    return Err(self.refuted(condition, message.as_ref(), information));
                }
            }
        }
        Ok(())
    }

    fn evaluate(&self, value: &parse::Node, information: &Information) -> Result<Value, String> {
        value.evaluate(&|name| self.look_up(name, information))
    }

    fn look_up(&self, name: &str, information: &Information) -> Option<Value> {
        let known = self.names.get(name).cloned();
        known
            .or_else(|| {
                information
                    .get(name)
                    .map(|number| Value::Int((*number).into()))
            })
            .or_else(|| constants::by_name(name).map(|number| Value::Int(number.into())))
    }

    /// A false assertion with the values of the names in it.
    fn refuted(
        &self,
        condition: &parse::Node,
        message: Option<&parse::Node>,
        information: &Information,
    ) -> String {
        let mut names = Vec::new();
        condition.names(&mut names);
        names.dedup();
        let values: Vec<String> = names
            .iter()
            .filter_map(|name| Some(format!("{name} = {}", self.look_up(name, information)?)))
            .collect();
        let mut text = format!("assertion failed: {condition}");
        if !values.is_empty() {
            text += &format!(" ({})", values.join(", "));
        }
        if let Some(Ok(message)) = message.map(|message| self.evaluate(message, information)) {
            text += &format!(": {message}");
        }
        text
    }
}
