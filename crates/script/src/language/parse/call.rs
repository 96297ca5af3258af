//! System calls and the values they are passed.

use super::{Pair, Parsed, Rule, Wrong, inner_text, integer};
use crate::language::ast::{Call, CallResult, Expression, Field, Integer};

pub(super) fn call(pair: Pair<'_>, _blocking: bool) -> Parsed<Call> {
    let mut call = Call {
        name: String::new(),
        arguments: Vec::new(),
        result: CallResult::Unknown,
        errno: None,
        note: None,
    };
    let whole = pair.clone();
    for part in pair.into_inner() {
        match part.as_rule() {
            Rule::call_name => part.as_str().clone_into(&mut call.name),
            Rule::arguments => call.arguments = all(part)?,
            Rule::call_result => call.result = result(part)?,
            Rule::errno => call.errno = Some(part.as_str().to_owned()),
            Rule::note => call.note = Some(inner_text(part)),
            _ => {}
        }
    }
    if call.errno.is_some() && call.result != CallResult::Exactly(Expression::integer(-1)) {
        return Err(Wrong::new(
            &whole,
            "only a call that returns -1 sets an errno",
        ));
    }
    Ok(call)
}

fn result(pair: Pair<'_>) -> Parsed<CallResult> {
    let mut values = Vec::new();
    for part in pair.into_inner() {
        match part.as_rule() {
            Rule::expression => values.push(expression(part)?),
            _ => continue,
        }
    }
    let mut values = values.into_iter();
    Ok(match (values.next(), values.next()) {
        (None, _) => CallResult::Unknown,
        (Some(Expression::Ellipsis), None) => CallResult::Unknown,
        (Some(only), None) => CallResult::Exactly(only),
        (Some(least), Some(most)) => CallResult::Between(least, most),
    })
}

/// The expressions in `pair`.
fn all(pair: Pair<'_>) -> Parsed<Vec<Expression>> {
    pair.into_inner().map(expression).collect()
}

fn expression(pair: Pair<'_>) -> Parsed<Expression> {
    match pair.as_rule() {
        Rule::expression => {
            let mut terms = all(pair)?;
            if terms.len() > 1 {
                return Ok(Expression::Or(terms));
            }
            // The grammar has at least one term in an expression.
            Ok(terms.pop().unwrap_or(Expression::Ellipsis))
        }
        Rule::list => Ok(Expression::List(all(pair)?)),
        Rule::structure => {
            let fields = pair.into_inner().map(field);
            Ok(Expression::Structure(fields.collect::<Parsed<_>>()?))
        }
        Rule::string => Ok(Expression::Text(unescape(&inner_text(pair)))),
        Rule::signed => signed(&pair),
        Rule::function => {
            let mut name = String::new();
            let mut arguments = Vec::new();
            for part in pair.into_inner() {
                match part.as_rule() {
                    Rule::arguments => arguments = all(part)?,
                    _ => part.as_str().clone_into(&mut name),
                }
            }
            Ok(Expression::Function(name, arguments))
        }
        Rule::symbol => Ok(Expression::Symbol(pair.as_str().to_owned())),
        _ => Ok(Expression::Ellipsis),
    }
}

fn field(pair: Pair<'_>) -> Parsed<Field> {
    let mut field = Field {
        name: None,
        size: None,
        value: Expression::Ellipsis,
    };
    for part in pair.into_inner() {
        match part.as_rule() {
            Rule::field_name => field.name = Some(part.as_str().to_owned()),
            Rule::field_size => {
                field.size = part.into_inner().next().map(expression).transpose()?;
            }
            _ => field.value = expression(part)?,
        }
    }
    Ok(field)
}

fn signed(pair: &Pair<'_>) -> Parsed<Expression> {
    let text = pair.as_str();
    let Some(digits) = pair.clone().into_inner().next() else {
        return Err(Wrong::new(pair, "expected a number"));
    };
    let Integer {
        mut value,
        is_hexadecimal,
    } = integer(&digits)?;
    if text.contains('-') {
        value = -value;
    }
    if text.starts_with('~') {
        value = !value;
    }
    Ok(Expression::Integer(Integer {
        value,
        is_hexadecimal: is_hexadecimal && value >= 0,
    }))
}

fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        out.push(match c {
            '\\' => match chars.next() {
                Some('n') => '\n',
                Some('r') => '\r',
                Some('t') => '\t',
                Some('0') => '\0',
                Some('x') => {
                    let digits: String = chars.clone().take(2).collect();
                    match u8::from_str_radix(&digits, 16) {
                        // Octets beyond ASCII have no place in a text of characters.
                        Ok(octet) if octet.is_ascii() && digits.len() == 2 => {
                            chars.nth(1);
                            char::from(octet)
                        }
                        _ => 'x',
                    }
                }
                Some(other) => other,
                None => '\\',
            },
            other => other,
        });
    }
    out
}
