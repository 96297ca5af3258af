//! Values of the little Python and what operators make of them.

use std::cmp::Ordering;
use std::fmt;

/// A value.
#[derive(Clone, Debug)]
pub(super) enum Value {
    None,
    Bool(bool),
    Int(i128),
    Float(f64),
    Text(String),
    Tuple(Vec<Self>),
}

impl Value {
    pub(super) fn is_true(&self) -> bool {
        match self {
            Self::None => false,
            Self::Bool(truth) => *truth,
            Self::Int(number) => *number != 0,
            Self::Float(number) => *number != 0.0,
            Self::Text(text) => !text.is_empty(),
            Self::Tuple(items) => !items.is_empty(),
        }
    }

    /// A boolean is a number too.
    const fn int(&self) -> Option<i128> {
        match self {
            Self::Bool(truth) => Some(*truth as i128),
            Self::Int(number) => Some(*number),
            _ => None,
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "as Python's own division does")]
    fn float(&self) -> Option<f64> {
        match self {
            Self::Float(number) => Some(*number),
            other => other.int().map(|number| number as f64),
        }
    }

    pub(super) fn compare(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Text(a), Self::Text(b)) => Some(a.cmp(b)),
            (Self::None, Self::None) => Some(Ordering::Equal),
            (Self::Tuple(a), Self::Tuple(b)) => {
                let pairs = a.iter().zip(b).map(|(a, b)| a.compare(b));
                let first = pairs
                    .into_iter()
                    .find(|order| *order != Some(Ordering::Equal));
                first.unwrap_or_else(|| Some(a.len().cmp(&b.len())))
            }
            _ => match (self.int(), other.int()) {
                (Some(a), Some(b)) => Some(a.cmp(&b)),
                _ => self.float()?.partial_cmp(&other.float()?),
            },
        }
    }

    pub(super) fn compared(&self, operator: &str, other: &Self) -> Result<bool, String> {
        let order = self.compare(other);
        match operator {
            "==" | "is" => return Ok(order == Some(Ordering::Equal)),
            "!=" | "is not" => return Ok(order != Some(Ordering::Equal)),
            "in" | "not in" => {
                let found = match other {
                    Self::Tuple(items) => items
                        .iter()
                        .any(|item| self.compare(item) == Some(Ordering::Equal)),
                    Self::Text(text) => matches!(self, Self::Text(part) if text.contains(part)),
                    _ => return Err(format!("nothing can be in {other}")),
                };
                return Ok(found == (operator == "in"));
            }
            _ => {}
        }
        let order = order.ok_or_else(|| format!("{self} and {other} have no order"))?;
        Ok(match operator {
            "<" => order.is_lt(),
            "<=" => order.is_le(),
            ">" => order.is_gt(),
            _ => order.is_ge(),
        })
    }

    /// Applies an operator of arithmetic or of bits.
    pub(super) fn with(&self, operator: &str, other: &Self) -> Result<Self, String> {
        let wrong = || format!("`{operator}` does not go with {self} and {other}");
        if let (Self::Text(a), Self::Text(b), "+") = (self, other, operator) {
            return Ok(Self::Text(format!("{a}{b}")));
        }
        if let (Self::Text(format), "%") = (self, operator) {
            return other.fill(format);
        }
        if let (Some(a), Some(b)) = (self.int(), other.int())
            && operator != "/"
        {
            let shift = u32::try_from(b).ok();
            let result = match operator {
                "+" => a.checked_add(b),
                "-" => a.checked_sub(b),
                "*" => a.checked_mul(b),
                "//" if b != 0 => Some(floor_div(a, b)),
                "%" if b != 0 => Some(a - b * floor_div(a, b)),
                "//" | "%" => return Err("division by zero".to_owned()),
                "**" if b >= 0 => shift.and_then(|power| a.checked_pow(power)),
                "**" => return self.float_with(operator, other).ok_or_else(wrong),
                "&" => Some(a & b),
                "|" => Some(a | b),
                "^" => Some(a ^ b),
                "<<" => shift
                    .filter(|shift| *shift < 64)
                    .and_then(|shift| a.checked_mul(1 << shift)),
                ">>" => shift.map(|shift| a >> shift.min(127)),
                _ => None,
            };
            return result.map(Self::Int).ok_or_else(wrong);
        }
        if matches!(operator, "/" | "//" | "%") && other.float() == Some(0.0) {
            return Err("division by zero".to_owned());
        }
        self.float_with(operator, other).ok_or_else(wrong)
    }

    fn float_with(&self, operator: &str, other: &Self) -> Option<Self> {
        let (a, b) = (self.float()?, other.float()?);
        Some(Self::Float(match operator {
            "+" => a + b,
            "-" => a - b,
            "*" => a * b,
            "/" => a / b,
            "//" => (a / b).floor(),
            "%" => a - b * (a / b).floor(),
            "**" => a.powf(b),
            _ => return None,
        }))
    }

    pub(super) fn unary(&self, operator: &str) -> Result<Self, String> {
        match (operator, self) {
            ("not", _) => Ok(Self::Bool(!self.is_true())),
            ("-", Self::Float(number)) => Ok(Self::Float(-number)),
            ("+", Self::Float(number)) => Ok(Self::Float(*number)),
            _ => {
                let number = self
                    .int()
                    .ok_or_else(|| format!("`{operator}` does not go with {self}"))?;
                Ok(Self::Int(match operator {
                    "-" => -number,
                    "~" => !number,
                    _ => number,
                }))
            }
        }
    }

    /// `'%d' % value`: fills each `%` of a text.
    fn fill(&self, format: &str) -> Result<Self, String> {
        let items = match self {
            Self::Tuple(items) => items.clone(),
            only => vec![only.clone()],
        };
        let mut items = items.into_iter();
        let mut out = String::new();
        let mut rest = format;
        while let Some((before, after)) = rest.split_once('%') {
            out += before;
            let kind = after.find(|c: char| c.is_ascii_alphabetic() || c == '%');
            let kind = kind.ok_or("an unfinished `%` in a text")?;
            if &after[kind..=kind] == "%" {
                out.push('%');
            } else {
                let item = items.next().ok_or("too few values for the text")?;
                out += &item.formatted(after[..=kind].trim_end_matches(['s', 'r', 'i', 'u']))?;
            }
            rest = &after[kind + 1..];
        }
        Ok(Self::Text(out + rest))
    }

    /// The value as a format such as `x`, `05d`, `>8` or `.3f` has it.
    pub(super) fn formatted(&self, how: &str) -> Result<String, String> {
        let (kind, rest) = match how.char_indices().next_back() {
            Some((at, kind)) if kind.is_ascii_alphabetic() => (Some(kind), &how[..at]),
            _ => (None, how),
        };
        let (shape, precision) = match rest.split_once('.') {
            Some((shape, precision)) => (shape, precision.parse::<usize>().ok()),
            None => (rest, None),
        };
        let wrong = || format!("`{how}` is no format for {self}");
        let number = || self.int().ok_or_else(wrong);
        let text = match (kind, self) {
            (Some('x'), _) => format!("{:x}", number()?),
            (Some('X'), _) => format!("{:X}", number()?),
            (Some('b'), _) => format!("{:b}", number()?),
            (Some('o'), _) => format!("{:o}", number()?),
            (Some('f' | 'g' | 'e'), _) | (None, Self::Float(_))
                if kind.is_some() || precision.is_some() =>
            {
                let number = self.float().ok_or_else(wrong)?;
                format!("{number:.*}", precision.unwrap_or(6))
            }
            (Some('d'), Self::Float(number)) => format!("{:.0}", number.trunc()),
            (Some('d'), _) => number()?.to_string(),
            (None, value) => value.to_string(),
            _ => return Err(wrong()),
        };
        let width = shape.trim_start_matches(['<', '>', '-', '+', ' ']);
        let width_max = 200;
        let missing = width
            .parse::<usize>()
            .unwrap_or(0)
            .min(width_max)
            .saturating_sub(text.chars().count());
        Ok(if shape.starts_with(['<', '-']) {
            text + &" ".repeat(missing)
        } else if width.starts_with('0') {
            "0".repeat(missing) + &text
        } else {
            " ".repeat(missing) + &text
        })
    }

    /// `'{} {1:x}'.format(...)`: fills each pair of braces.
    pub(super) fn filled(format: &str, arguments: &[Self]) -> Result<Self, String> {
        let mut out = String::new();
        let mut rest = format;
        let mut next = 0;
        while let Some((before, after)) = rest.split_once('{') {
            out += before;
            let (inside, behind) = after.split_once('}').ok_or("a `{` without its `}`")?;
            let (place, how) = inside.split_once(':').unwrap_or((inside, ""));
            let index = match place {
                "" => next,
                place => place
                    .parse()
                    .map_err(|_| format!("`{place}` is no place"))?,
            };
            next = index + 1;
            let value: &Self = arguments.get(index).ok_or("too few values for the text")?;
            out += &value.formatted(how)?;
            rest = behind;
        }
        Ok(Self::Text(out + rest))
    }

    /// What stands at `index`, from the end if that is negative.
    pub(super) fn item(&self, index: &Self) -> Result<Self, String> {
        let Self::Tuple(items) = self else {
            return Err(format!("there are no items in {self}"));
        };
        let wrong = || format!("there is no item {index} in {self}");
        let number = index.int().ok_or_else(wrong)?;
        let place = if number < 0 {
            number + items.len() as i128
        } else {
            number
        };
        let place = usize::try_from(place).map_err(|_| wrong())?;
        items.get(place).cloned().ok_or_else(wrong)
    }

    /// `range(3)`, `range(1, 3)`: bounded, since what goes through it costs time.
    fn range(arguments: &[Self]) -> Result<Self, String> {
        const ITEMS_MAX: i128 = 10_000;
        let numbers: Option<Vec<i128>> = arguments.iter().map(Self::int).collect();
        let (first, end) = match numbers.as_deref() {
            Some([end]) => (0, *end),
            Some([first, end]) => (*first, *end),
            _ => return Err("range() takes one or two numbers here".to_owned()),
        };
        if end.saturating_sub(first) > ITEMS_MAX {
            return Err(format!("a range of more than {ITEMS_MAX} numbers"));
        }
        Ok(Self::Tuple((first..end).map(Self::Int).collect()))
    }

    /// Calls a function by its name.
    #[expect(clippy::cast_possible_truncation, reason = "as Python's own int does")]
    pub(super) fn call(name: &str, arguments: &[Self]) -> Result<Self, String> {
        let wrong = || format!("{name}() does not take that");
        match (name, arguments) {
            ("abs", [value]) => match value.compare(&Self::Int(0)) {
                Some(Ordering::Less) => value.unary("-"),
                Some(_) => Ok(value.clone()),
                None => Err(wrong()),
            },
            ("min" | "max", [Self::Tuple(items)]) => Self::call(name, items),
            ("min" | "max", [first, rest @ ..]) => {
                let wanted = if name == "min" {
                    Ordering::Less
                } else {
                    Ordering::Greater
                };
                let best = rest.iter().fold(first, |best, item| {
                    if item.compare(best) == Some(wanted) {
                        item
                    } else {
                        best
                    }
                });
                Ok(best.clone())
            }
            ("int", [value]) => match value {
                Self::Float(number) => Ok(Self::Int(*number as i128)),
                Self::Text(text) => text.trim().parse().map(Self::Int).map_err(|_| wrong()),
                other => other.int().map(Self::Int).ok_or_else(wrong),
            },
            ("round", [value]) => {
                let number = value.float().ok_or_else(wrong)?;
                Ok(Self::Int(number.round_ties_even() as i128))
            }
            ("float", [value]) => value.float().map(Self::Float).ok_or_else(wrong),
            ("str", [value]) => Ok(Self::Text(value.to_string())),
            ("bool", [value]) => Ok(Self::Bool(value.is_true())),
            ("len", [Self::Text(text)]) => Ok(Self::Int(text.chars().count() as i128)),
            ("hex", [value]) => Ok(Self::Text(format!("{:#x}", value.int().ok_or_else(wrong)?))),
            ("sum", [Self::Tuple(items)]) => items
                .iter()
                .try_fold(Self::Int(0), |sum, item| sum.with("+", item)),
            ("range", arguments) => Self::range(arguments),
            ("len", [Self::Tuple(items)]) => Ok(Self::Int(items.len() as i128)),
            ("abs" | "int" | "float" | "round" | "str" | "bool" | "len" | "min" | "max", _) => {
                Err(wrong())
            }
            _ => Err(format!("there is no function `{name}` here")),
        }
    }
}

const fn floor_div(a: i128, b: i128) -> i128 {
    let quotient = a / b;
    if a % b != 0 && (a < 0) != (b < 0) {
        quotient - 1
    } else {
        quotient
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("None"),
            Self::Bool(true) => f.write_str("True"),
            Self::Bool(false) => f.write_str("False"),
            Self::Int(number) => number.fmt(f),
            Self::Float(number) => write!(f, "{number:?}"),
            Self::Text(text) => f.write_str(text),
            Self::Tuple(items) => {
                let texts: Vec<String> = items.iter().map(Self::to_string).collect();
                write!(f, "({})", texts.join(", "))
            }
        }
    }
}
