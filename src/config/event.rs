//! `event.toml`: what belongs to a faculty, read with the line at fault.

use std::collections::HashSet;
use std::fmt;
use std::ops::Range;

use chrono::{NaiveDate, NaiveDateTime, TimeZone, Utc};
use chrono_tz::Tz;
use serde::Deserialize;
use toml::Spanned;
use toml::value::Datetime;

use crate::kernel::{EmailAddress, Money, Timestamp, text};

/// The pronouns that stand for a text of one's own; always offered.
pub const OTHER_PRONOUNS: &str = "Other";

/// The longest name of a group, a product or an option, in code points.
pub const NAME_LENGTH: usize = 100;
/// The longest text of several lines, in code points: it has to fit on a ticket.
const LINES_LENGTH: usize = 500;
/// The longest symbol of a group, in code points.
const SYMBOL_LENGTH: usize = 8;
/// The most entries of one list.
pub const LIST_LENGTH: usize = 200;

/// What belongs to a faculty: `event.toml`.
#[derive(Clone, Debug)]
pub struct Event {
    /// Such as `Orientation Week 2027`.
    pub name: String,
    /// Such as `Faculty of Applied Science & Engineering`.
    pub faculty: String,
    /// In which people read times.
    pub time_zone: Tz,
    /// When students can register.
    pub registration: Window,
    /// What students come to study.
    pub disciplines: Vec<String>,
    /// Without [`OTHER_PRONOUNS`], which is always there.
    pub pronouns: Vec<String>,
    /// From small to large.
    pub shirt_sizes: Vec<String>,
    /// Diets and allergies to choose from.
    pub dietary: Vec<String>,
    /// When students move to town.
    pub moving_months: Vec<String>,
    /// The orientation groups; the order decides the last tie.
    pub groups: Vec<GroupConfig>,
    /// What is sold; [`Product::ORIENTATION`] is among them.
    pub products: Vec<Product>,
    /// Where people write to for help.
    pub contact: EmailAddress,
    /// Postal address, printed at the foot of letters and on the ticket.
    pub postal_address: String,
    /// How to find us: a few lines, printed on the ticket.
    pub how_to_find_us: String,
    /// Who gets the daily report.
    pub report_recipients: Vec<EmailAddress>,
}

/// From `opens` until before `closes`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    pub opens: Timestamp,
    pub closes: Timestamp,
}

impl Window {
    /// Whether `now` is within.
    pub fn is_open(&self, now: Timestamp) -> bool {
        self.opens <= now && now < self.closes
    }
}

/// An orientation group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupConfig {
    /// Such as `Alpha`; unique.
    pub name: String,
    /// Such as `α`.
    pub symbol: String,
}

/// Something that is sold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Product {
    /// A word for programs; unique.
    pub id: String,
    /// For people.
    pub name: String,
    /// What one costs.
    pub price: Money,
    /// The id of this price at Stripe, if it is kept there; otherwise name and price are sent with each checkout.
    pub stripe_price: Option<String>,
    /// A lower price for those who are early.
    pub early_bird: Option<EarlyBird>,
}

/// A lower price for those who are early.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EarlyBird {
    /// The id of the coupon at Stripe.
    pub coupon: String,
    /// What is left to pay with it.
    pub price: Money,
    /// It counts before this time.
    pub until: Timestamp,
}

impl Product {
    /// The id of the ticket that registers.
    pub const ORIENTATION: &str = "orientation";
}

/// One fault of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventError {
    /// From 1.
    pub line: usize,
    /// Such as `products.price`; empty where the text isn't TOML.
    pub key: String,
    /// What is wrong and what would be right.
    pub detail: String,
}

/// Everything that is wrong with the file; what isn't TOML, or has a key too many or too few, is told alone.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct BadEvent(pub Vec<EventError>);

impl BadEvent {
    /// A line a fault, each with the file's name, line and key.
    pub fn in_file(&self, file: &str) -> String {
        let line = |fault: &EventError| match fault.key.as_str() {
            "" => format!("{file}:{}: {}", fault.line, fault.detail),
            key => format!("{file}:{}: {key}: {}", fault.line, fault.detail),
        };
        self.0.iter().map(line).collect::<Vec<_>>().join("\n    ")
    }
}

impl fmt::Display for BadEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.in_file("event.toml"))
    }
}

impl Event {
    /// Reads the text of an `event.toml`.
    ///
    /// # Errors
    /// [`BadEvent`] with all that is wrong, and where.
    pub fn parse(text: &str) -> Result<Self, BadEvent> {
        let written: WrittenEvent =
            toml::from_str(text).map_err(|error| BadEvent(vec![not_readable(text, error)]))?;
        let mut check = Check { text, faults: vec![] };
        let event = check.event(written);
        match event {
            Some(event) if check.faults.is_empty() => Ok(event),
            _ => Err(BadEvent(check.faults)),
        }
    }

    /// The one that the repository ships.
    pub fn shipped() -> Self {
        Self::parse(include_str!("../../event.toml")).expect("a test holds that it is right")
    }

    /// The product of this id.
    pub fn product(&self, id: &str) -> Option<&Product> {
        self.products.iter().find(|product| product.id == id)
    }

    /// The group of this name.
    pub fn group(&self, name: &str) -> Option<&GroupConfig> {
        self.groups.iter().find(|group| group.name == name)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenEvent {
    name: Spanned<String>,
    faculty: Spanned<String>,
    time_zone: Spanned<String>,
    contact: Spanned<String>,
    postal_address: Spanned<String>,
    how_to_find_us: Spanned<String>,
    report_recipients: Spanned<Vec<Spanned<String>>>,
    registration: WrittenWindow,
    form: WrittenForm,
    products: Spanned<Vec<WrittenProduct>>,
    groups: Spanned<Vec<WrittenGroup>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenWindow {
    opens: Spanned<Datetime>,
    closes: Spanned<Datetime>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenForm {
    disciplines: Spanned<Vec<Spanned<String>>>,
    pronouns: Spanned<Vec<Spanned<String>>>,
    shirt_sizes: Spanned<Vec<Spanned<String>>>,
    dietary: Spanned<Vec<Spanned<String>>>,
    moving_months: Spanned<Vec<Spanned<String>>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenProduct {
    id: Spanned<String>,
    name: Spanned<String>,
    price: Spanned<String>,
    stripe_price: Option<Spanned<String>>,
    early_bird: Option<WrittenEarlyBird>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenEarlyBird {
    coupon: Spanned<String>,
    price: Spanned<String>,
    until: Spanned<Datetime>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenGroup {
    name: Spanned<String>,
    symbol: Spanned<String>,
}

/// Turns what is written into an [`Event`] and keeps what is wrong.
struct Check<'a> {
    text: &'a str,
    faults: Vec<EventError>,
}

impl Check<'_> {
    /// `None` only beside a fault.
    fn event(&mut self, written: WrittenEvent) -> Option<Event> {
        let form = written.form;
        let time_zone = self.time_zone(&written.time_zone);
        let name = self.line("name", &written.name, NAME_LENGTH);
        let faculty = self.line("faculty", &written.faculty, NAME_LENGTH);
        let contact = self.address("contact", &written.contact);
        let postal_address = self.lines("postal_address", &written.postal_address);
        let how_to_find_us = self.lines("how_to_find_us", &written.how_to_find_us);
        let report_recipients = self.addresses(&written.report_recipients);
        let registration = time_zone.and_then(|zone| self.window(zone, &written.registration));
        let event = Event {
            name,
            faculty,
            time_zone: time_zone.unwrap_or_default(),
            registration: registration
                .unwrap_or(Window { opens: Timestamp::from_millis(0), closes: Timestamp::from_millis(0) }),
            disciplines: self.choices("form.disciplines", &form.disciplines),
            pronouns: self.pronouns(&form.pronouns),
            shirt_sizes: self.choices("form.shirt_sizes", &form.shirt_sizes),
            dietary: self.choices("form.dietary", &form.dietary),
            moving_months: self.choices("form.moving_months", &form.moving_months),
            groups: self.groups(&written.groups),
            products: self.products(time_zone, &written.products),
            contact: contact?,
            postal_address,
            how_to_find_us,
            report_recipients,
        };
        Some(event)
    }

    fn fault(&mut self, key: &str, at: Range<usize>, detail: impl Into<String>) {
        let line = line_of(self.text, at.start);
        self.faults.push(EventError { line, key: key.into(), detail: detail.into() });
    }

    /// One line of text.
    fn line(&mut self, key: &str, written: &Spanned<String>, longest: usize) -> String {
        let clean = text::clean(written.get_ref());
        if clean.is_empty() {
            self.fault(key, written.span(), "it is empty");
        } else if text::length(&clean) > longest {
            self.fault(key, written.span(), format!("it is longer than {longest} characters"));
        } else if text::has_control(&clean) {
            self.fault(key, written.span(), "it holds a line break or another control character");
        }
        clean
    }

    /// A few lines of text.
    fn lines(&mut self, key: &str, written: &Spanned<String>) -> String {
        let clean = text::clean(written.get_ref());
        if clean.is_empty() {
            self.fault(key, written.span(), "it is empty");
        } else if text::length(&clean) > LINES_LENGTH {
            self.fault(key, written.span(), format!("it is longer than {LINES_LENGTH} characters"));
        } else if text::has_control_but_breaks(&clean) {
            self.fault(key, written.span(), "it holds a control character");
        }
        clean
    }

    fn address(&mut self, key: &str, written: &Spanned<String>) -> Option<EmailAddress> {
        EmailAddress::parse(written.get_ref())
            .map_err(|bad| self.fault(key, written.span(), bad.to_string()))
            .ok()
    }

    fn addresses(&mut self, written: &Spanned<Vec<Spanned<String>>>) -> Vec<EmailAddress> {
        self.bounded("report_recipients", written, 0);
        written.get_ref().iter().filter_map(|one| self.address("report_recipients", one)).collect()
    }

    fn time_zone(&mut self, written: &Spanned<String>) -> Option<Tz> {
        let wanted = "it is no name of the time zone database, such as America/Toronto";
        written.get_ref().parse().map_err(|_| self.fault("time_zone", written.span(), wanted)).ok()
    }

    fn window(&mut self, zone: Tz, written: &WrittenWindow) -> Option<Window> {
        let opens = self.local_time("registration.opens", zone, &written.opens);
        let closes = self.local_time("registration.closes", zone, &written.closes);
        let window = Window { opens: opens?, closes: closes? };
        if window.closes <= window.opens {
            self.fault("registration.closes", written.closes.span(), "it is not after `opens`");
        }
        Some(window)
    }

    fn local_time(&mut self, key: &str, zone: Tz, written: &Spanned<Datetime>) -> Option<Timestamp> {
        let Some(local) = naive(written.get_ref()) else {
            let wanted =
                "a date and time of the time zone above, such as 2027-07-01T09:00:00, without an offset";
            self.fault(key, written.span(), format!("it is not {wanted}"));
            return None;
        };
        // Where the clocks are put back a time comes twice: the first is meant.
        let time = zone.from_local_datetime(&local).earliest();
        if time.is_none() {
            self.fault(key, written.span(), "the clocks are put forward then: there is no such time");
        }
        time.map(|time| time.with_timezone(&Utc).into())
    }

    /// Choices that a form offers.
    fn choices(&mut self, key: &str, written: &Spanned<Vec<Spanned<String>>>) -> Vec<String> {
        self.bounded(key, written, 1);
        let all = written.get_ref();
        let choices = all.iter().map(|one| self.line(key, one, NAME_LENGTH)).collect();
        self.unique(key, all);
        choices
    }

    fn pronouns(&mut self, written: &Spanned<Vec<Spanned<String>>>) -> Vec<String> {
        for one in written.get_ref() {
            if one.get_ref().trim().eq_ignore_ascii_case(OTHER_PRONOUNS) {
                self.fault("form.pronouns", one.span(), "it is always offered: take it out");
            }
        }
        self.choices("form.pronouns", written)
    }

    fn groups(&mut self, written: &Spanned<Vec<WrittenGroup>>) -> Vec<GroupConfig> {
        self.bounded("groups", written, 1);
        self.unique("groups.name", written.get_ref().iter().map(|group| &group.name));
        let mut group = |one: &WrittenGroup| GroupConfig {
            name: self.line("groups.name", &one.name, NAME_LENGTH),
            symbol: self.line("groups.symbol", &one.symbol, SYMBOL_LENGTH),
        };
        written.get_ref().iter().map(&mut group).collect()
    }

    fn products(&mut self, zone: Option<Tz>, written: &Spanned<Vec<WrittenProduct>>) -> Vec<Product> {
        let all = written.get_ref();
        self.bounded("products", written, 1);
        self.unique("products.id", all.iter().map(|product| &product.id));
        if !all.iter().any(|product| product.id.get_ref() == Product::ORIENTATION) {
            self.fault("products", written.span(), "no product has the id \"orientation\"");
        }
        all.iter().filter_map(|one| self.product(zone, one)).collect()
    }

    fn product(&mut self, zone: Option<Tz>, written: &WrittenProduct) -> Option<Product> {
        let id = written.id.get_ref();
        let of_id = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if !(1..=32).contains(&id.len()) || !id.bytes().all(of_id) {
            let wanted = "it is not 1 to 32 small letters a to z, digits and hyphens";
            self.fault("products.id", written.id.span(), wanted);
        }
        let name = self.line("products.name", &written.name, NAME_LENGTH);
        let price = self.price("products.price", &written.price);
        let stripe_price = written.stripe_price.as_ref();
        let stripe_price = stripe_price.and_then(|one| self.id_at_stripe("products.stripe_price", one));
        let early = written.early_bird.as_ref().map(|one| self.early_bird(zone?, price?, one));
        let early_bird = early.flatten();
        Some(Product { id: id.clone(), name, price: price?, stripe_price, early_bird })
    }

    fn price(&mut self, key: &str, written: &Spanned<String>) -> Option<Money> {
        let parsed = written.get_ref().parse::<Money>().map_err(|bad| bad.to_string());
        let price =
            parsed.and_then(|price| price.check_chargeable().map(|()| price).map_err(|bad| bad.to_string()));
        price.map_err(|bad| self.fault(key, written.span(), bad)).ok()
    }

    fn early_bird(&mut self, zone: Tz, full: Money, written: &WrittenEarlyBird) -> Option<EarlyBird> {
        let coupon = self.id_at_stripe("products.early_bird.coupon", &written.coupon);
        let price = self.price("products.early_bird.price", &written.price);
        let until = self.local_time("products.early_bird.until", zone, &written.until);
        let early = EarlyBird { coupon: coupon?, price: price?, until: until? };
        if early.price.currency != full.currency || early.price.amount >= full.amount {
            let wanted = "it is not less than the product's own price, in the same currency";
            self.fault("products.early_bird.price", written.price.span(), wanted);
        }
        Some(early)
    }

    /// What Stripe names something by: it goes to Stripe as it stands here.
    fn id_at_stripe(&mut self, key: &str, written: &Spanned<String>) -> Option<String> {
        let id = written.get_ref();
        let of_id = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
        if (1..=64).contains(&id.len()) && id.bytes().all(of_id) {
            return Some(id.clone());
        }
        let wanted = "it is not 1 to 64 letters a to z, digits, hyphens and underscores";
        self.fault(key, written.span(), wanted);
        None
    }

    fn bounded<T>(&mut self, key: &str, written: &Spanned<Vec<T>>, fewest: usize) {
        if written.get_ref().len() < fewest {
            self.fault(key, written.span(), "it is empty");
        } else if written.get_ref().len() > LIST_LENGTH {
            self.fault(key, written.span(), format!("it has more than {LIST_LENGTH} entries"));
        }
    }

    /// Two entries that differ in case only would be taken for one another.
    fn unique<'s>(&mut self, key: &str, all: impl IntoIterator<Item = &'s Spanned<String>>) {
        let mut seen = HashSet::new();
        for one in all {
            if !seen.insert(text::clean(one.get_ref()).to_lowercase()) {
                self.fault(key, one.span(), "it stands there twice");
            }
        }
    }
}

/// What the TOML reader refused: no TOML, a key too many or too few, a value of another type.
fn not_readable(text: &str, mut error: toml::de::Error) -> EventError {
    let line = line_of(text, error.span().map_or(0, |span| span.start));
    error.set_input(None);
    let told = error.to_string();
    let (detail, key) = match told.trim_end().rsplit_once("\nin `") {
        Some((detail, key)) => (detail, key.trim_end_matches('`')),
        None => (told.trim_end(), ""),
    };
    EventError { line, key: key.into(), detail: detail.replace('\n', ", ") }
}

fn line_of(text: &str, at: usize) -> usize {
    1 + text.bytes().take(at).filter(|b| *b == b'\n').count()
}

fn naive(written: &Datetime) -> Option<NaiveDateTime> {
    let (date, time, None) = (written.date?, written.time?, written.offset) else { return None };
    NaiveDate::from_ymd_opt(date.year.into(), date.month.into(), date.day.into())?.and_hms_opt(
        time.hour.into(),
        time.minute.into(),
        time.second.unwrap_or(0).into(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHIPPED: &str = include_str!("../../event.toml");

    /// What is wrong once `from` stands there as `to`: the line's text and what is said.
    fn wrong(from: &str, to: &str) -> Vec<(String, String)> {
        assert!(SHIPPED.contains(from), "{from}");
        let text = SHIPPED.replacen(from, to, 1);
        let faults = Event::parse(&text).unwrap_err().0;
        let line = |fault: &EventError| text.lines().nth(fault.line - 1).unwrap_or_default().to_owned();
        faults.iter().map(|fault| (line(fault), format!("{}: {}", fault.key, fault.detail))).collect()
    }

    #[test]
    fn the_shipped_one_is_right() {
        let event = Event::shipped();
        assert_eq!((event.groups.len(), event.disciplines.len(), event.pronouns.len()), (20, 9, 4));
        assert_eq!(event.group("Omicron").unwrap().symbol, "ο");
        assert_eq!(event.product(Product::ORIENTATION).unwrap().price.to_string(), "CAD 130.00");
        assert_eq!(event.registration.opens.rfc3339(), "2020-01-01T05:00:00.000Z");
    }

    #[test]
    fn text_is_read_as_editors_write_it() {
        let text = SHIPPED.replacen("orientation@example.edu", "\u{2068}orientation@example.edu\u{2069}", 1);
        let event = Event::parse(&format!("\u{feff}{}", text.replace('\n', "\r\n"))).unwrap();
        assert_eq!(event.contact.as_str(), "orientation@example.edu");
        let empty = ("name = \"Alpha\"", "name = \"\u{200b}\"");
        assert!(SHIPPED.contains(empty.0) && wrong(empty.0, empty.1)[0].1.ends_with("it is empty"));
    }

    #[test]
    fn a_fault_is_told_with_its_line_and_key() {
        for (from, to, key) in [
            ("\"America/Toronto\"", "\"Toronto\"", "time_zone"),
            ("price = \"CAD 130.00\"", "price = \"130\"", "products.price"),
            ("price = \"CAD 130.00\"", "price = \"CAD 0.00\"", "products.price"),
            ("\"orientation@example.edu\"", "\"orientation\"", "contact"),
            ("closes = 2100-", "closes = 2019-", "registration.closes"),
            ("00:00:00\ncloses", "00:00:00Z\ncloses", "registration.opens"),
            ("opens = 2020-01-01T00:00:00", "opens = 2027-03-14T02:30:00", "registration.opens"),
            ("\"they/them\"", "\"they/them\", \"other\"", "form.pronouns"),
            ("\"Vegan\"", "\"vegetarian\"", "form.dietary"),
            ("name = \"Beta\"", "name = \"ALPHA\"", "groups.name"),
            ("id = \"retreat\"", "id = \"Re treat\"", "products.id"),
            ("price = \"CAD 95.00\"", "stripe_price = \"\"\nprice = \"CAD 95.00\"", "products.stripe_price"),
            ("symbol = \"ο\"", "symbol = \"\"", "groups.symbol"),
        ] {
            let faults = wrong(from, to);
            assert_eq!(faults.len(), 1, "{to}: {faults:?}");
            assert!(faults[0].1.starts_with(key), "{to}: {faults:?}");
            let last_of_to = to.lines().next().unwrap();
            assert!(faults[0].0.contains(last_of_to), "{to}: {faults:?}");
        }
    }

    #[test]
    fn a_price_is_written_as_people_write_it_and_is_one_that_stripe_charges() {
        let with = |price: &str| SHIPPED.replace("\"CAD 130.00\"", &format!("{price:?}"));
        for (written, sent) in
            [("ISK 13000", 1_300_000), ("UGX 1000", 100_000), ("KWD 13.010", 13_010), ("JPY 13000", 13_000)]
        {
            let event = Event::parse(&with(written)).unwrap();
            assert_eq!(
                event.product(Product::ORIENTATION).unwrap().price.gateway_amount(),
                sent,
                "{written}"
            );
        }
        for (written, detail) in [
            ("ISK 13000.50", "ISK has no decimals"),
            ("KWD 13.005", "steps of KWD 0.010"),
            ("CAD 0.00", "greater than zero"),
            ("CAD 1000000.00", "the maximum is CAD 999999.99"),
        ] {
            let faults = Event::parse(&with(written)).unwrap_err().0;
            assert!(faults.len() == 1 && faults[0].detail.contains(detail), "{written}: {faults:?}");
        }
    }

    #[test]
    fn an_early_bird_pays_less_and_until_a_time_that_there_is() {
        let with = |coupon: &str, price: &str, until: &str| {
            format!(
                "price = \"CAD 95.00\"\nearly_bird = {{ coupon = \"{coupon}\", price = \"{price}\", until = {until} }}"
            )
        };
        let good = with("EARLY-2027", "CAD 80.00", "2027-06-01T00:00:00");
        let event = Event::parse(&SHIPPED.replace("price = \"CAD 95.00\"", &good)).unwrap();
        let early = event.product("retreat").unwrap().early_bird.clone().unwrap();
        assert_eq!((early.coupon.as_str(), early.price.amount), ("EARLY-2027", 8_000));
        assert_eq!(early.until.rfc3339(), "2027-06-01T04:00:00.000Z");
        for (bad, key) in [
            (with("a b", "CAD 80.00", "2027-06-01T00:00:00"), "coupon"),
            (with("EARLY", "CAD 95.00", "2027-06-01T00:00:00"), "price"),
            (with("EARLY", "USD 80.00", "2027-06-01T00:00:00"), "price"),
            (with("EARLY", "80", "2027-06-01T00:00:00"), "price"),
            (with("EARLY", "CAD 80.00", "2027-03-14T02:30:00"), "until"),
        ] {
            let faults = wrong("price = \"CAD 95.00\"", &bad);
            assert_eq!(faults.len(), 1, "{bad}: {faults:?}");
            assert!(faults[0].1.starts_with(&format!("products.early_bird.{key}")), "{bad}: {faults:?}");
        }
    }

    #[test]
    fn several_faults_are_told_at_once() {
        let text = SHIPPED.replace("CAD ", "$").replace("America/", "");
        assert_eq!(Event::parse(&text).unwrap_err().0.len(), 3);
    }

    #[test]
    fn unknown_keys_other_types_and_what_is_no_toml_are_refused_with_their_line() {
        for (from, to, told) in [
            ("faculty = ", "facculty = ", "unknown field `facculty`"),
            ("symbol = \"ψ\"", "symbl = \"ψ\"", "unknown field `symbl`"),
            ("price = \"CAD 95.00\"", "price = 95.00", "products"),
            ("name = \"Psi\"", "name = \"Psi", "string"),
        ] {
            let faults = wrong(from, to);
            assert!(faults[0].1.contains(told), "{to}: {faults:?}");
            assert!(faults[0].0.contains(to), "{to}: {faults:?}");
        }
    }

    #[test]
    fn the_ticket_that_registers_must_be_sold() {
        assert_eq!(wrong("id = \"orientation\"", "id = \"week\"").len(), 1);
    }
}
