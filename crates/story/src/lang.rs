//! The languages of the story. All words of one language stand in one file; both files match on every [`Sentence`], so a
//! missing text does not compile. State names, control bits and JSON keys are never translated.

mod en;
mod zh;

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::model::{Role, Side, Story};
use crate::sentence::Sentence;

/// A language the story can be told in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Language {
    /// English (`en`).
    #[default]
    English,
    /// 简体中文 (`zh-CN`).
    SimplifiedChinese,
}

impl Language {
    /// All languages.
    pub const ALL: [Self; 2] = [Self::English, Self::SimplifiedChinese];

    /// The language's tag (BCP 47).
    pub const fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::SimplifiedChinese => "zh-CN",
        }
    }

    /// The language a locale such as `zh_CN.UTF-8` asks for; English for those without texts.
    ///
    /// # Examples
    ///
    /// ```
    /// use handwave_story::Language;
    ///
    /// assert_eq!(Language::from_locale("zh_CN.UTF-8"), Language::SimplifiedChinese);
    /// assert_eq!(Language::from_locale("C"), Language::English);
    /// ```
    pub fn from_locale(locale: &str) -> Self {
        if locale.to_ascii_lowercase().starts_with("zh") {
            Self::SimplifiedChinese
        } else {
            Self::English
        }
    }

    /// What an end is called.
    pub const fn role(self, role: Role) -> &'static str {
        match self {
            Self::English => en::role(role),
            Self::SimplifiedChinese => zh::role(role),
        }
    }

    /// A short label of a picture.
    pub(crate) const fn label(self, label: Label) -> &'static str {
        match self {
            Self::English => en::label(label),
            Self::SimplifiedChinese => zh::label(label),
        }
    }

    /// What is said of segments that a picture leaves out.
    pub(crate) fn omitted(self, omitted: &Omitted) -> Vec<String> {
        match self {
            Self::English => en::omitted(omitted),
            Self::SimplifiedChinese => zh::omitted(omitted),
        }
    }
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.tag())
    }
}

impl FromStr for Language {
    type Err = UnknownLanguage;

    fn from_str(tag: &str) -> Result<Self, Self::Err> {
        match tag.to_ascii_lowercase().as_str() {
            "en" => Ok(Self::English),
            "zh-cn" | "zh" | "zh-hans" => Ok(Self::SimplifiedChinese),
            _ => Err(UnknownLanguage),
        }
    }
}

/// The tag names no language that the story is told in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownLanguage;

impl fmt::Display for UnknownLanguage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the languages are en and zh-CN")
    }
}

impl std::error::Error for UnknownLanguage {}

/// Short words a picture needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Label {
    /// At the place where a segment vanished.
    Lost,
    /// At a segment whose checksum failed.
    Corrupted,
    /// At a segment that the story's end overtook.
    InFlight,
    /// Before the label of a segment that leaves again.
    Again,
}

/// Segments that a picture leaves out between two that it shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Omitted {
    /// Segments with text, per sending side.
    pub(crate) data: [u64; 2],
    /// Octets of text, per sending side.
    pub(crate) octets: [u64; 2],
    /// Pure acknowledgments, per sending side.
    pub(crate) acks: [u64; 2],
    /// Of the segments with text, those that were repeated.
    pub(crate) repeated: u64,
    /// Segments that did not arrive.
    pub(crate) lost: u64,
    /// From the first to the last of them.
    pub(crate) span: Duration,
}

impl Sentence {
    /// Says the sentence. The story's ends give the names.
    pub fn text(&self, language: Language, story: &Story) -> String {
        self.spoken(language, |side| story.end(side).role)
    }

    pub(crate) fn spoken(&self, language: Language, role: impl Fn(Side) -> Role) -> String {
        let name = |side| language.role(role(side));
        match language {
            Language::English => en::sentence(self, name),
            Language::SimplifiedChinese => zh::sentence(self, name),
        }
    }
}

#[cfg(test)]
mod tests;
