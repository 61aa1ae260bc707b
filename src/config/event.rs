//! `event.toml`: the configuration of a faculty's event. Errors name the line.

use std::fmt;
use std::time::Duration;

use chrono::{NaiveDate, NaiveDateTime, TimeZone, Utc};
use chrono_tz::Tz;
use serde::Deserialize;
use toml::Spanned;
use toml::value::Datetime;

use super::check::{Check, WrittenList, line_of};
use super::form::{FormConfig, WrittenForm};
use super::product::{Names, Product, WrittenProduct};
use crate::kernel::{ALL_GROUPS, EmailAddress, Timestamp, text};

/// The option for pronouns in the student's own words. It is always offered.
pub const OTHER_PRONOUNS: &str = "Other";

/// The longest name of a group, a product or an option, in code points.
pub const NAME_LENGTH: usize = 100;
/// The longest symbol of a group, in code points.
const SYMBOL_LENGTH: usize = 8;
/// Days without a request after which a session ends, if the file doesn't say otherwise.
const IDLE_DAYS: u32 = 14;
/// The most entries of one list.
pub const LIST_LENGTH: usize = 200;
/// The most recipients of the daily report.
const RECIPIENTS_MAX: usize = 50;

/// A faculty's event, as `event.toml` configures it.
#[derive(Clone, Debug)]
pub struct Event {
    /// Name, such as `Orientation Week 2027`.
    pub name: String,
    /// Name of the faculty, such as `Faculty of Applied Science & Engineering`.
    pub faculty: String,
    /// Time zone in which times are shown.
    pub time_zone: Tz,
    /// Registration window.
    pub registration: Window,
    /// Disciplines that students choose from.
    pub disciplines: Vec<String>,
    /// Pronouns that students choose from, without [`OTHER_PRONOUNS`].
    pub pronouns: Vec<String>,
    /// Shirt sizes, from small to large; may be empty if the form leaves them out. The next two lists likewise.
    pub shirt_sizes: Vec<String>,
    /// Diets and allergies that students choose from.
    pub dietary: Vec<String>,
    /// Months in which students move to town.
    pub moving_months: Vec<String>,
    /// What the event changes about the registration form.
    pub form: FormConfig,
    /// The orientation groups. Among groups that are equally suitable, a student joins the first.
    pub groups: Vec<GroupConfig>,
    /// The products. [`Product::ORIENTATION`] is one of them.
    pub products: Vec<Product>,
    /// Address that people write to for help.
    pub contact: EmailAddress,
    /// Postal address, shown at the end of emails and on the ticket.
    pub postal_address: String,
    /// Directions, printed on the ticket: a few lines.
    pub how_to_find_us: String,
    /// Recipients of the daily report.
    pub report_recipients: Vec<EmailAddress>,
    /// Rules of signing in.
    pub sign_in: SignInRules,
    /// Rules of evening the groups out.
    pub grouping: GroupingRules,
}

/// Rules of evening the groups out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GroupingRules {
    /// Whether students of one group who named each other as team-mates for the hunt stay in it.
    pub keep_friends_together: bool,
}

/// Rules of signing in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignInRules {
    /// Time without a request after which a session ends.
    pub idle: Duration,
    /// Whether administrators can do nothing until they have set up a second factor.
    pub administrators_need_second_factor: bool,
}

impl Default for SignInRules {
    fn default() -> Self {
        Self { idle: days(IDLE_DAYS), administrators_need_second_factor: false }
    }
}

fn days(number: u32) -> Duration {
    Duration::from_hours(24 * u64::from(number))
}

/// A period of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Opening time, inclusive.
    pub opens: Timestamp,
    /// Closing time, exclusive.
    pub closes: Timestamp,
}

impl Window {
    /// Whether `now` is within the period.
    pub fn is_open(&self, now: Timestamp) -> bool {
        self.opens <= now && now < self.closes
    }
}

/// An orientation group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupConfig {
    /// Name, such as `Alpha`. Unique.
    pub name: String,
    /// Symbol, such as `α`.
    pub symbol: String,
}

/// One error in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventError {
    /// Line number, from 1.
    pub line: usize,
    /// Key, such as `products.price`. Empty if the text is not valid TOML.
    pub key: String,
    /// What is wrong, and what is expected.
    pub detail: String,
}

/// All errors in the file. Invalid TOML and unknown or missing keys are reported alone, because the rest can't be checked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct BadEvent(pub Vec<EventError>);

impl BadEvent {
    /// One line for each error, with the name of the file, the line and the key.
    pub fn in_file(&self, file: &str) -> String {
        let line = |error: &EventError| match error.key.as_str() {
            "" => format!("{file}:{}: {}", error.line, error.detail),
            key => format!("{file}:{}: {key}: {}", error.line, error.detail),
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
    /// [`BadEvent`] with every error and its line.
    pub fn parse(text: &str) -> Result<Self, BadEvent> {
        let written: WrittenEvent =
            toml::from_str(text).map_err(|error| BadEvent(vec![not_readable(text, error)]))?;
        let mut check = Check { text, errors: vec![] };
        let event = check.event(written);
        match event {
            Some(event) if check.errors.is_empty() => Ok(event),
            _ => Err(BadEvent(check.errors)),
        }
    }

    /// The event that the repository ships.
    pub fn shipped() -> Self {
        Self::parse(include_str!("../../event.toml")).expect("a test parses it")
    }

    /// The product with this id.
    pub fn product(&self, id: &str) -> Option<&Product> {
        self.products.iter().find(|product| product.id == id)
    }

    /// The group with this name.
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
    report_recipients: WrittenList,
    registration: WrittenWindow,
    sign_in: Option<WrittenSignIn>,
    grouping: Option<WrittenGrouping>,
    form: Spanned<WrittenForm>,
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
struct WrittenSignIn {
    idle_days: Option<Spanned<u32>>,
    administrators_need_second_factor: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenGrouping {
    keep_friends_together: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenGroup {
    name: Spanned<String>,
    symbol: Spanned<String>,
}

impl Check<'_> {
    /// `None` only if there is an error.
    fn event(&mut self, written: WrittenEvent) -> Option<Event> {
        let form = self.form(&written.form);
        let time_zone = self.time_zone(&written.time_zone);
        let name = self.line("name", &written.name, NAME_LENGTH);
        let faculty = self.line("faculty", &written.faculty, NAME_LENGTH);
        let contact = self.address("contact", &written.contact);
        let postal_address = self.lines("postal_address", &written.postal_address);
        let how_to_find_us = self.lines("how_to_find_us", &written.how_to_find_us);
        let report_recipients = self.recipients(&written.report_recipients);
        let registration = time_zone.and_then(|zone| self.window(zone, &written.registration));
        let groups = self.groups(&written.groups);
        let names = Names {
            disciplines: &form.disciplines,
            groups: groups.iter().map(|group| group.name.as_str()).collect(),
        };
        let products = self.products(time_zone, &names, &written.products);
        let event = Event {
            name,
            faculty,
            time_zone: time_zone.unwrap_or_default(),
            registration: registration
                .unwrap_or(Window { opens: Timestamp::from_millis(0), closes: Timestamp::from_millis(0) }),
            disciplines: form.disciplines,
            pronouns: form.pronouns,
            shirt_sizes: form.shirt_sizes,
            dietary: form.dietary,
            moving_months: form.moving_months,
            form: form.config,
            groups,
            products,
            contact: contact?,
            postal_address,
            how_to_find_us,
            report_recipients,
            sign_in: written.sign_in.map(|written| self.sign_in(&written)).unwrap_or_default(),
            grouping: GroupingRules {
                keep_friends_together: written
                    .grouping
                    .and_then(|grouping| grouping.keep_friends_together)
                    .unwrap_or(false),
            },
        };
        Some(event)
    }

    fn address(&mut self, key: &str, written: &Spanned<String>) -> Option<EmailAddress> {
        EmailAddress::parse(written.get_ref())
            .map_err(|bad| self.error(key, written.span(), bad.to_string()))
            .ok()
    }

    /// Different addresses.
    fn recipients(&mut self, written: &WrittenList) -> Vec<EmailAddress> {
        const KEY: &str = "report_recipients";
        if written.get_ref().len() > RECIPIENTS_MAX {
            self.error(KEY, written.span(), format!("it has more than {RECIPIENTS_MAX} entries"));
        }
        let mut recipients: Vec<EmailAddress> = vec![];
        for one in written.get_ref() {
            let Some(address) = self.address(KEY, one) else { continue };
            if recipients.iter().any(|other| other.key() == address.key()) {
                self.error(KEY, one.span(), "it is a duplicate");
            }
            recipients.push(address);
        }
        recipients
    }

    fn time_zone(&mut self, written: &Spanned<String>) -> Option<Tz> {
        let detail = "it is not a name from the time zone database, such as America/Toronto";
        written.get_ref().parse().map_err(|_| self.error("time_zone", written.span(), detail)).ok()
    }

    fn window(&mut self, zone: Tz, written: &WrittenWindow) -> Option<Window> {
        let opens = self.local_time("registration.opens", zone, &written.opens);
        let closes = self.local_time("registration.closes", zone, &written.closes);
        let window = Window { opens: opens?, closes: closes? };
        if window.closes <= window.opens {
            self.error("registration.closes", written.closes.span(), "it is not after `opens`");
        }
        Some(window)
    }

    fn sign_in(&mut self, written: &WrittenSignIn) -> SignInRules {
        let mut rules = SignInRules::default();
        if let Some(written) = &written.idle_days {
            // A session ends after 30 days in any case.
            if !(1..=30).contains(written.get_ref()) {
                self.error("sign_in.idle_days", written.span(), "it is not 1 to 30");
            }
            rules.idle = days(*written.get_ref());
        }
        rules.administrators_need_second_factor = written.administrators_need_second_factor.unwrap_or(false);
        rules
    }

    pub(super) fn local_time(
        &mut self,
        key: &str,
        zone: Tz,
        written: &Spanned<Datetime>,
    ) -> Option<Timestamp> {
        let Some(local) = naive(written.get_ref()) else {
            let detail = "it is not a date and time without an offset, such as 2027-07-01T09:00:00";
            self.error(key, written.span(), detail);
            return None;
        };
        // When clocks are set back, a time occurs twice: the first one is meant.
        let time = zone.from_local_datetime(&local).earliest();
        if time.is_none() {
            self.error(key, written.span(), "this time does not exist: clocks are set forward then");
        }
        time.map(|time| time.with_timezone(&Utc).into())
    }

    fn groups(&mut self, written: &Spanned<Vec<WrittenGroup>>) -> Vec<GroupConfig> {
        self.bounded("groups", written, 1);
        self.unique("groups.name", written.get_ref().iter().map(|group| &group.name));
        let is_all = |group: &&WrittenGroup| text::clean(group.name.get_ref()).to_lowercase() == ALL_GROUPS;
        for group in written.get_ref().iter().filter(is_all) {
            self.error(
                "groups.name",
                group.name.span(),
                "it is the name of the scope of all groups: choose another",
            );
        }
        let mut group = |one: &WrittenGroup| GroupConfig {
            name: self.line("groups.name", &one.name, NAME_LENGTH),
            symbol: self.line("groups.symbol", &one.symbol, SYMBOL_LENGTH),
        };
        written.get_ref().iter().map(&mut group).collect()
    }
}

/// The error of the TOML parser: invalid TOML, an unknown or missing key, or a value of the wrong type.
fn not_readable(text: &str, mut error: toml::de::Error) -> EventError {
    let line = line_of(text, error.span().map_or(0, |span| span.start));
    error.set_input(None);
    let message = error.to_string();
    let (detail, key) = match message.trim_end().rsplit_once("\nin `") {
        Some((detail, key)) => (detail, key.trim_end_matches('`')),
        None => (message.trim_end(), ""),
    };
    EventError { line, key: key.into(), detail: detail.replace('\n', ", ") }
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

    /// The errors after `from` is replaced by `to`: the text of the line, and the message.
    fn wrong(from: &str, to: &str) -> Vec<(String, String)> {
        assert!(SHIPPED.contains(from), "{from}");
        let text = SHIPPED.replacen(from, to, 1);
        let errors = Event::parse(&text).unwrap_err().0;
        let line = |error: &EventError| text.lines().nth(error.line - 1).unwrap_or_default().to_owned();
        errors.iter().map(|error| (line(error), format!("{}: {}", error.key, error.detail))).collect()
    }

    #[test]
    fn the_ticket_has_no_limits_of_a_product() {
        let errors = wrong("id = \"orientation\"", "capacity = 5\nid = \"orientation\"");
        assert!(errors[0].1.starts_with("products: the ticket is ordered with"), "{errors:?}");
    }

    #[test]
    fn the_shipped_event_is_valid() {
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
    fn recipients_of_the_report_are_different_addresses() {
        let shipped = r#"report_recipients = ["orientation@example.edu"]"#;
        let with = |list: &str| SHIPPED.replacen(shipped, &format!("report_recipients = [{list}]"), 1);
        let event = Event::parse(&with(r#"" ana@example.org", "Bo@example.org""#)).unwrap();
        let recipients: Vec<_> = event.report_recipients.iter().map(ToString::to_string).collect();
        assert_eq!(recipients, ["ana@example.org", "Bo@example.org"]);
        assert!(Event::parse(&with("")).unwrap().report_recipients.is_empty());
        let many: Vec<_> = (0..51).map(|number| format!("\"a{number}@example.org\"")).collect();
        for (list, why) in [
            (r#""ana@example.org", "ANA@example.org""#, "it is a duplicate"),
            (many.join(", ").as_str(), "it has more than 50 entries"),
        ] {
            assert_eq!(Event::parse(&with(list)).unwrap_err().0[0].detail, why);
        }
    }

    #[test]
    fn an_error_names_its_line_and_key() {
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
            ("name = \"Beta\"", "name = \"All\u{200b}\"", "groups.name"),
            ("id = \"retreat\"", "id = \"Re treat\"", "products.id"),
            ("capacity = 200", "capacity = 1000001", "products.capacity"),
            ("hold_minutes = 30", "hold_minutes = 29", "products.hold_minutes"),
            ("capacity = 200", "buyers = { groups = [\"Alfa\"] }", "products.buyers.groups"),
            ("capacity = 200", "buyers = { who = \"leaders\", groups = [\"Alpha\"] }", "products.buyers"),
            ("price = \"CAD 95.00\"", "stripe_price = \"\"\nprice = \"CAD 95.00\"", "products.stripe_price"),
            ("symbol = \"ο\"", "symbol = \"\"", "groups.symbol"),
        ] {
            let errors = wrong(from, to);
            assert_eq!(errors.len(), 1, "{to}: {errors:?}");
            assert!(errors[0].1.starts_with(key), "{to}: {errors:?}");
            let last_of_to = to.lines().next().unwrap();
            assert!(errors[0].0.contains(last_of_to), "{to}: {errors:?}");
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
            let errors = Event::parse(&with(written)).unwrap_err().0;
            assert!(errors.len() == 1 && errors[0].detail.contains(detail), "{written}: {errors:?}");
        }
    }

    #[test]
    fn an_early_bird_price_is_lower_and_ends_at_a_time_that_exists() {
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
            let errors = wrong("price = \"CAD 95.00\"", &bad);
            assert_eq!(errors.len(), 1, "{bad}: {errors:?}");
            assert!(errors[0].1.starts_with(&format!("products.early_bird.{key}")), "{bad}: {errors:?}");
        }
    }

    #[test]
    fn all_errors_are_reported_at_once() {
        let text = SHIPPED.replace("CAD ", "$").replace("America/", "");
        assert_eq!(Event::parse(&text).unwrap_err().0.len(), 3);
    }

    #[test]
    fn unknown_keys_wrong_types_and_invalid_toml_are_refused_with_their_line() {
        for (from, to, told) in [
            ("faculty = ", "facculty = ", "unknown field `facculty`"),
            ("symbol = \"ψ\"", "symbl = \"ψ\"", "unknown field `symbl`"),
            ("keep_friends_together", "keep_friends", "unknown field `keep_friends`"),
            ("keep_friends_together = false", "keep_friends_together = 1", "keep_friends_together"),
            ("price = \"CAD 95.00\"", "price = 95.00", "products"),
            ("name = \"Psi\"", "name = \"Psi", "string"),
        ] {
            let errors = wrong(from, to);
            assert!(errors[0].1.contains(told), "{to}: {errors:?}");
            assert!(errors[0].0.contains(to), "{to}: {errors:?}");
        }
    }

    #[test]
    fn the_orientation_ticket_is_required() {
        assert_eq!(wrong("id = \"orientation\"", "id = \"week\"").len(), 1);
    }
}
