//! What a mailing says to one recipient: subject and text with the placeholders filled.
//!
//! The Markdown is rendered before the placeholders are filled, and what fills them is escaped. So nothing in somebody's
//! name becomes markup or a link.

use crate::config::Event;
use crate::features::accounts::Account;
use crate::features::registration::Registration;
use crate::kernel::{FieldError, Markdown, StudentField};
use crate::platform::mail::{EmailLayout, Sample};

/// A word in braces that is filled with something about the recipient: the closed list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Placeholder {
    /// The preferred name, or else the first name.
    FirstName,
    /// The name as in the passport.
    LegalName,
    /// The student's group.
    Group,
    /// The student's discipline.
    Discipline,
}

impl Placeholder {
    /// Every one.
    pub const ALL: [Self; 4] = [Self::FirstName, Self::LegalName, Self::Group, Self::Discipline];

    /// Its name, without the braces.
    pub fn name(self) -> &'static str {
        match self {
            Self::FirstName => "firstName",
            Self::LegalName => "legalName",
            Self::Group => "group",
            Self::Discipline => "discipline",
        }
    }

    /// The field that must be granted to its author. Everybody who reaches a student sees the group.
    pub fn grant(self) -> Option<StudentField> {
        match self {
            Self::FirstName => Some(StudentField::PreferredName),
            Self::LegalName => Some(StudentField::LegalName),
            Self::Group => None,
            Self::Discipline => Some(StudentField::Discipline),
        }
    }

    /// Whether it needs the recipient's registration.
    pub fn is_of_registration(self) -> bool {
        self != Self::FirstName
    }

    fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|placeholder| placeholder.name() == name)
    }
}

/// A piece of a text.
enum Piece<'a> {
    Text(&'a str),
    /// A word in braces.
    Word(&'a str),
}

/// The text in pieces. Braces around anything but a word of ASCII letters and digits are text.
fn pieces(text: &str) -> Vec<Piece<'_>> {
    let (mut pieces, mut rest) = (vec![], text);
    while let Some(begin) = rest.find('{') {
        let word = &rest[begin + 1..];
        let end = word.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(word.len());
        let is_word = word[end..].starts_with('}') && word.starts_with(|c: char| c.is_ascii_alphabetic());
        let text_end = if is_word { begin } else { begin + 1 };
        pieces.push(Piece::Text(&rest[..text_end]));
        rest = if is_word { &word[end + 1..] } else { word };
        if is_word {
            pieces.push(Piece::Word(&word[..end]));
        }
    }
    pieces.push(Piece::Text(rest));
    pieces
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    pieces(text).into_iter().filter_map(|piece| match piece {
        Piece::Word(word) => Some(word),
        Piece::Text(_) => None,
    })
}

/// The most placeholders of a subject. What fills one has at most 100 characters, so the line stays within the 998 that emails
/// can have.
const OF_SUBJECT_MAX: usize = 3;

/// The most placeholders of a text, so that it doesn't grow to many times its length.
const OF_TEXT_MAX: usize = 50;

/// The errors of a subject about placeholders that don't exist or are too many.
pub fn errors_of_subject(subject: &str) -> Vec<FieldError> {
    let too_many = too_many("/subject", words(subject).count(), OF_SUBJECT_MAX);
    unknown("/subject", words(subject)).into_iter().chain(too_many).collect()
}

fn too_many(pointer: &str, placeholders: usize, most: usize) -> Option<FieldError> {
    let detail = format!("Use at most {most} placeholders here.");
    (placeholders > most).then(|| FieldError::new(pointer, "too-many-placeholders", detail))
}

/// The errors of a text about placeholders that don't exist or are too many, and about those in the address of a link, which would not be
/// filled. What counts is the rendered text: Markdown has several ways to write a brace.
pub fn errors_of_text(text: &Markdown) -> Vec<FieldError> {
    let (html, plain) = (text.html(), text.unwrapped());
    let unknown = unknown("/text", words(html).chain(words(&plain)));
    let lower = html.to_ascii_lowercase();
    let in_link =
        |known: &Placeholder| lower.contains(&format!("%7b{}%7d", known.name().to_ascii_lowercase()));
    let in_link = Placeholder::ALL.iter().any(in_link).then(|| {
        let detail = "A placeholder can't be a part of the address of a link.";
        FieldError::new("/text", "placeholder-in-link", detail)
    });
    let too_many = too_many("/text", words(html).count().max(words(&plain).count()), OF_TEXT_MAX);
    unknown.into_iter().chain(too_many).chain(in_link).collect()
}

fn unknown<'a>(pointer: &str, words: impl Iterator<Item = &'a str>) -> Option<FieldError> {
    let mut unknown: Vec<_> = words.filter(|word| Placeholder::named(word).is_none()).collect();
    unknown.sort_unstable();
    unknown.dedup();
    // A mistyped word is short; a longer one is not repeated.
    let named = |word: &&str| if word.len() <= 40 { format!("{{{word}}}") } else { "{…}".into() };
    let named: Vec<_> = unknown.iter().map(named).collect();
    let known = Placeholder::ALL.map(|placeholder| format!("{{{}}}", placeholder.name())).join(", ");
    let detail = format!("There is no placeholder {}. There are {known}.", named.join(", "));
    (!unknown.is_empty()).then(|| FieldError::new(pointer, "unknown-placeholder", detail))
}

/// What fills the placeholders for one recipient.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Values {
    pub first_name: Option<String>,
    pub legal_name: Option<String>,
    pub group: Option<String>,
    pub discipline: Option<String>,
}

impl Values {
    /// What is known about a recipient.
    pub fn of(account: &Account, registration: Option<&Registration>) -> Self {
        let given = |text: &str| Some(one_line(text)).filter(|text| !text.is_empty());
        Self {
            first_name: given(account.greeting()),
            legal_name: registration.and_then(|student| given(&student.form.legal_name)),
            group: registration.and_then(|student| given(&student.group)),
            discipline: registration.and_then(|student| given(&student.form.discipline)),
        }
    }

    /// Samples, for somebody without a registration.
    pub fn sample(event: &Event) -> Self {
        Self {
            first_name: Some(Sample::FIRST_NAME.into()),
            legal_name: Some(Sample::FULL_NAME.into()),
            group: event.groups.first().map(|group| group.name.clone()),
            discipline: event.disciplines.first().cloned(),
        }
    }

    /// The same with what `others` has where there is no value.
    pub fn or(self, others: Self) -> Self {
        Self {
            first_name: self.first_name.or(others.first_name),
            legal_name: self.legal_name.or(others.legal_name),
            group: self.group.or(others.group),
            discipline: self.discipline.or(others.discipline),
        }
    }

    /// The values of these placeholders, without the others.
    fn only(&self, used: &[Placeholder]) -> Self {
        let value =
            |placeholder| self.get(placeholder).filter(|_| used.contains(&placeholder)).map(str::to_owned);
        Self {
            first_name: value(Placeholder::FirstName),
            legal_name: value(Placeholder::LegalName),
            group: value(Placeholder::Group),
            discipline: value(Placeholder::Discipline),
        }
    }

    /// What fills this placeholder.
    pub fn get(&self, placeholder: Placeholder) -> Option<&str> {
        match placeholder {
            Placeholder::FirstName => self.first_name.as_deref(),
            Placeholder::LegalName => self.legal_name.as_deref(),
            Placeholder::Group => self.group.as_deref(),
            Placeholder::Discipline => self.discipline.as_deref(),
        }
    }
}

/// The text on one line, without control characters.
fn one_line(text: &str) -> String {
    let words = text.split(|c: char| c.is_whitespace() || c.is_control());
    words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

/// A mailing's subject and text, rendered once for all recipients.
#[derive(Clone, Debug)]
pub struct Prepared {
    subject: String,
    html: String,
    plain: String,
    /// Whether the text has placeholders.
    fills: bool,
    placeholders: Vec<Placeholder>,
}

/// What one recipient reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filled {
    pub subject: String,
    pub html: String,
    pub plain: String,
}

impl Prepared {
    /// A subject with placeholders, and a text with placeholders if `fills`.
    pub fn new(subject: &str, text: &Markdown, fills: bool) -> Self {
        let (html, plain) = (EmailLayout::markdown(text), text.unwrapped());
        // Of the very texts that are filled: Markdown has several ways to write a brace.
        let of_text = words(&html).chain(words(&plain)).filter(|_| fills);
        let mut placeholders: Vec<_> = words(subject).chain(of_text).filter_map(Placeholder::named).collect();
        placeholders.sort();
        placeholders.dedup();
        Self { subject: subject.into(), html, plain, fills, placeholders }
    }

    /// The placeholders that it uses.
    pub fn placeholders(&self) -> &[Placeholder] {
        &self.placeholders
    }

    /// What somebody with these values reads. A placeholder without a value is left out. Only values of
    /// [`placeholders`](Self::placeholders), which are checked against the grants, are used.
    pub fn fill(&self, values: &Values) -> Filled {
        let values = &values.only(&self.placeholders);
        let body = |text: &str, write: fn(&str) -> String| match self.fills {
            true => filled(text, values, write),
            false => text.to_owned(),
        };
        Filled {
            subject: filled(&self.subject, values, str::to_owned),
            html: body(&self.html, escaped),
            plain: body(&self.plain, str::to_owned),
        }
    }
}

/// In one pass, so that a value in braces is not filled in its turn.
fn filled(text: &str, values: &Values, write: fn(&str) -> String) -> String {
    let piece = |piece| match piece {
        Piece::Text(text) => text.to_owned(),
        Piece::Word(word) => match Placeholder::named(word) {
            Some(placeholder) => values.get(placeholder).map(write).unwrap_or_default(),
            None => format!("{{{word}}}"),
        },
    };
    pieces(text).into_iter().map(piece).collect()
}

/// The text as HTML.
fn escaped(text: &str) -> String {
    let Ok(escaped) = askama::filters::escape(text, askama::filters::Html);
    escaped.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(name: &str) -> Values {
        Values { first_name: Some(name.into()), group: Some("Alpha".into()), ..Values::default() }
    }

    fn read(subject: &str, text: &str, values: &Values) -> Filled {
        Prepared::new(subject, &Markdown::new(text), true).fill(values)
    }

    #[test]
    fn placeholders_are_filled_in_subject_html_and_text() {
        let filled = read("Hi {firstName}", "Dear **{firstName}** of {group}{discipline}!", &values("Ana"));
        assert_eq!(filled.subject, "Hi Ana");
        assert_eq!(filled.html.trim(), "<p>Dear <strong>Ana</strong> of Alpha!</p>");
        assert_eq!(filled.plain, "Dear Ana of Alpha!");
    }

    #[test]
    fn a_placeholder_is_filled_wherever_a_line_would_break() {
        for text in [
            format!("{}{{firstName}}同学你好", "汉".repeat(34)),
            format!("{}{{firstName}}", "a".repeat(76)),
            format!("{}|\n{}|\n{}|", "|a".repeat(10), "|-".repeat(10), "|{firstName}".repeat(10)),
        ] {
            let filled = read("Hi", &text, &values("Ana"));
            assert!(filled.plain.contains("Ana") && !filled.plain.contains('{'), "{}", filled.plain);
        }
    }

    #[test]
    fn a_name_becomes_neither_markup_nor_a_link_nor_a_placeholder() {
        for name in
            ["<b>x</b>", "**x**", "[x](https://evil.example)", "{group}", "`x`\" onclick='y'", "&amp;"]
        {
            let filled = read("{firstName}", "Dear {firstName}, [map](https://a.example)", &values(name));
            let expected = format!("<p>Dear {}, <a href=\"https://a.example\"", escaped(name));
            assert!(filled.html.starts_with(&expected), "{}", filled.html);
            assert!(filled.plain.contains(name) && filled.subject == name, "{}", filled.plain);
        }
        assert_eq!(escaped("<a href=\"x\">&'"), "&#60;a href=&#34;x&#34;&#62;&#38;&#39;");
    }

    #[test]
    fn unknown_placeholders_are_listed_once_and_other_braces_are_text() {
        let errors = |text: &str| errors_of_text(&Markdown::new(text));
        assert_eq!(errors("{ x } {} {a b} {1} {{firstName}} {legalName} { "), []);
        let found = errors("{firstname} {x} {x}");
        assert_eq!((found.len(), found[0].code), (1, "unknown-placeholder"));
        let detail = &found[0].detail;
        for part in ["{firstname}, {x}.", "{firstName}", "{legalName}", "{group}", "{discipline}"] {
            assert!(detail.contains(part), "{part}: {detail}");
        }
    }

    #[test]
    fn the_number_of_placeholders_is_limited() {
        let codes = |errors: Vec<FieldError>| errors.into_iter().map(|error| error.code).collect::<Vec<_>>();
        for (number, expected) in [(3, vec![]), (4, vec!["too-many-placeholders"])] {
            assert_eq!(codes(errors_of_subject(&"{group} ".repeat(number))), expected);
        }
        for (number, expected) in [(50, vec![]), (51, vec!["too-many-placeholders"])] {
            assert_eq!(codes(errors_of_text(&Markdown::new("{group} ".repeat(number)))), expected);
        }
    }

    #[test]
    fn a_placeholder_in_the_address_of_a_link_is_refused() {
        let errors = |text: &str| errors_of_text(&Markdown::new(text));
        assert_eq!(errors("[x](https://a.example/?n={firstName})")[0].code, "placeholder-in-link");
        assert_eq!(errors("[{firstName}](https://a.example/)"), []);
        assert_eq!(errors_of_subject("[x](https://a.example/{firstName})"), [], "a subject is not Markdown");
    }

    #[test]
    fn a_placeholder_is_found_however_its_braces_are_written() {
        for text in [r"\{legalName\}", "&#123;legalName&#125;", "&lbrace;legalName}", "`{legalName}`"] {
            let prepared = Prepared::new("x", &Markdown::new(text), true);
            let values = Values { legal_name: Some("Ana García".into()), ..Values::default() };
            let filled = prepared.fill(&values);
            let shows = filled.html.contains("Ana") || filled.plain.contains("Ana");
            assert_eq!(shows, prepared.placeholders() == [Placeholder::LegalName], "{text}");
        }
        let found = errors_of_text(&Markdown::new(r"\{shoeSize\}"));
        assert_eq!(found[0].code, "unknown-placeholder");
    }

    #[test]
    fn the_text_of_an_announcement_is_left_as_it_is() {
        let prepared = Prepared::new("{group}", &Markdown::new("{firstName} {x}"), false);
        assert_eq!(prepared.placeholders(), [Placeholder::Group]);
        let filled = prepared.fill(&values("Ana"));
        assert_eq!((filled.subject.as_str(), filled.plain.as_str()), ("Alpha", "{firstName} {x}"));
    }

    #[test]
    fn every_text_is_its_pieces() {
        for text in ["", "{", "}", "{}", "a{b}c{d", "{{a}}", "é{ü}{firstName}"] {
            let joined: String = pieces(text)
                .into_iter()
                .map(|piece| match piece {
                    Piece::Text(text) => text.to_owned(),
                    Piece::Word(word) => format!("{{{word}}}"),
                })
                .collect();
            assert_eq!(joined, text);
        }
    }
}
