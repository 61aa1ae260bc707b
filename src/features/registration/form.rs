//! The registration form: what is checked, and how it is kept.

use chrono::{Datelike, NaiveDate};
use serde::{Deserialize, Serialize};

use crate::config::{Event, OTHER_PRONOUNS};
use crate::kernel::{EmailAddress, FieldError, e164, is_country, text};

/// The longest legal name, in code points.
pub const LEGAL_NAME_MAX: usize = 120;
/// The longest other name, place, or word of one's own, in code points.
pub const NAME_MAX: usize = 100;
/// The longest remark, in code points.
pub const REMARK_MAX: usize = 4000;
/// The most team-mates that can be wished for.
pub const TEAMMATES_MAX: usize = 20;
/// Years of birth that are no slip of the pen.
const BIRTH_YEARS: std::ops::RangeInclusive<i32> = 1920..=2020;
/// Letters and digits of a student id.
const STUDENT_ID_LENGTH: std::ops::RangeInclusive<usize> = 5..=9;

/// The form, as it is written or, once [`checked`](Form::checked), as it is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Form {
    pub legal_name: String,
    /// One of the event's, or [`OTHER_PRONOUNS`].
    pub pronouns: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pronouns_other: Option<String>,
    /// `YYYY-MM-DD`.
    pub birth_date: String,
    pub student_id: String,
    pub discipline: String,
    pub shirt_size: String,
    /// E.164.
    pub phone: String,
    pub emergency_contact: EmergencyContact,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub medical_information: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub medication: Option<String>,
    #[serde(default)]
    pub dietary: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dietary_other: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accessibility: Option<String>,
    /// May be contacted about `accessibility`.
    #[serde(default)]
    pub accessibility_contact: bool,
    pub joins_hunt: bool,
    /// E-mail addresses, as they were written.
    #[serde(default)]
    pub hunt_teammates: Vec<String>,
    pub summer_city: String,
    /// ISO 3166 alpha-2.
    pub summer_country: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moving_month: Option<String>,
    pub photo_consent: bool,
    pub bursary_requested: bool,
}

/// Whom to call.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EmergencyContact {
    pub name: String,
    pub relationship: String,
    /// E.164.
    pub phone: String,
}

/// What a student changes afterwards; `None` stays. An empty text takes an optional one away.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    pub phone: Option<String>,
    pub emergency_contact: Option<EmergencyContact>,
    pub medical_information: Option<String>,
    pub medication: Option<String>,
    pub dietary: Option<Vec<String>>,
    pub dietary_other: Option<String>,
    pub accessibility_contact: Option<bool>,
    pub joins_hunt: Option<bool>,
    pub hunt_teammates: Option<Vec<String>>,
    pub summer_city: Option<String>,
    pub summer_country: Option<String>,
    pub moving_month: Option<String>,
    pub bursary_requested: Option<bool>,
    /// Properties that were sent although they are fixed after submitting.
    pub fixed: Vec<&'static str>,
    /// Properties that were to be taken away although the form needs them.
    pub removed: Vec<&'static str>,
}

impl Form {
    /// The form as it is kept: texts without white space at their ends and in NFC, phones in E.164, empty texts
    /// left out.
    ///
    /// # Errors
    /// Every fault at once.
    pub fn checked(self, event: &Event) -> Result<Self, Vec<FieldError>> {
        let mut check = Check::default();
        let form = Self {
            legal_name: check.line("/legalName", &self.legal_name, LEGAL_NAME_MAX),
            pronouns_other: check.pronouns_other(&self),
            pronouns: check.pronouns(&self.pronouns, event),
            birth_date: check.birth_date(&self.birth_date),
            student_id: check.student_id(&self.student_id),
            discipline: check.choice("/discipline", &self.discipline, &event.disciplines),
            shirt_size: check.choice("/shirtSize", &self.shirt_size, &event.shirt_sizes),
            phone: check.phone("/phone", &self.phone),
            emergency_contact: check.emergency_contact(&self.emergency_contact),
            medical_information: check.remark("/medicalInformation", self.medical_information),
            medication: check.remark("/medication", self.medication),
            dietary: check.dietary(&self.dietary, event),
            dietary_other: check.optional_line("/dietaryOther", self.dietary_other),
            accessibility: check.remark("/accessibility", self.accessibility),
            accessibility_contact: self.accessibility_contact,
            joins_hunt: self.joins_hunt,
            hunt_teammates: check.teammates(&self.hunt_teammates),
            summer_city: check.line("/summerCity", &self.summer_city, NAME_MAX),
            summer_country: check.country(&self.summer_country),
            moving_month: check.optional_choice("/movingMonth", self.moving_month, &event.moving_months),
            photo_consent: self.photo_consent,
            bursary_requested: self.bursary_requested,
        };
        if check.0.is_empty() { Ok(form) } else { Err(check.0) }
    }

    /// The form after `changes`.
    ///
    /// # Errors
    /// Every fault of the changes at once; what stays is not looked at again.
    pub fn changed(&self, changes: Changes, event: &Event) -> Result<Self, Vec<FieldError>> {
        let mut check = Check::default();
        for name in &changes.fixed {
            let detail = "This is fixed once the form has been submitted. Ask the committee to change it.";
            check.fault(&format!("/{name}"), "fixed-after-submitting", detail);
        }
        for name in &changes.removed {
            check.fault(&format!("/{name}"), "missing", "This is needed: it can be changed, not taken away.");
        }
        let mut form = self.clone();
        if let Some(phone) = changes.phone {
            form.phone = check.phone("/phone", &phone);
        }
        if let Some(contact) = changes.emergency_contact {
            form.emergency_contact = check.emergency_contact(&contact);
        }
        if let Some(remark) = changes.medical_information {
            form.medical_information = check.remark("/medicalInformation", Some(remark));
        }
        if let Some(remark) = changes.medication {
            form.medication = check.remark("/medication", Some(remark));
        }
        if let Some(dietary) = changes.dietary {
            form.dietary = check.dietary(&dietary, event);
        }
        if let Some(other) = changes.dietary_other {
            form.dietary_other = check.optional_line("/dietaryOther", Some(other));
        }
        if let Some(teammates) = changes.hunt_teammates {
            form.hunt_teammates = check.teammates(&teammates);
        }
        if let Some(city) = changes.summer_city {
            form.summer_city = check.line("/summerCity", &city, NAME_MAX);
        }
        if let Some(country) = changes.summer_country {
            form.summer_country = check.country(&country);
        }
        if let Some(month) = changes.moving_month {
            form.moving_month = check.optional_choice("/movingMonth", Some(month), &event.moving_months);
        }
        form.accessibility_contact = changes.accessibility_contact.unwrap_or(form.accessibility_contact);
        form.joins_hunt = changes.joins_hunt.unwrap_or(form.joins_hunt);
        form.bursary_requested = changes.bursary_requested.unwrap_or(form.bursary_requested);
        if check.0.is_empty() { Ok(form) } else { Err(check.0) }
    }

    /// What student ids are compared by: case doesn't count.
    pub fn student_key(&self) -> String {
        self.student_id.to_ascii_lowercase()
    }
}

/// The faults found so far.
#[derive(Default)]
struct Check(Vec<FieldError>);

impl Check {
    fn fault(&mut self, pointer: &str, code: &'static str, detail: impl Into<String>) {
        self.0.push(FieldError::new(pointer, code, detail));
    }

    /// One line that must be there.
    fn line(&mut self, pointer: &str, written: &str, longest: usize) -> String {
        let clean = text::clean(written);
        if clean.is_empty() {
            self.fault(pointer, "empty", "This must not be empty.");
        }
        self.short(pointer, &clean, longest);
        clean
    }

    /// One line that may be left out.
    fn optional_line(&mut self, pointer: &str, written: Option<String>) -> Option<String> {
        let clean = text::clean(&written?);
        self.short(pointer, &clean, NAME_MAX);
        Some(clean).filter(|clean| !clean.is_empty())
    }

    fn short(&mut self, pointer: &str, clean: &str, longest: usize) {
        if text::length(clean) > longest {
            self.fault(pointer, "too-long", format!("This may have at most {longest} characters."));
        }
        if text::has_control(clean) {
            let detail = "This must not hold line breaks or other control characters.";
            self.fault(pointer, "control-character", detail);
        }
    }

    fn remark(&mut self, pointer: &str, written: Option<String>) -> Option<String> {
        let clean = text::clean(&written?);
        if text::length(&clean) > REMARK_MAX {
            self.fault(pointer, "too-long", format!("This may have at most {REMARK_MAX} characters."));
        }
        if text::has_control_but_breaks(&clean) {
            let detail = "This must not hold control characters other than line breaks and tabs.";
            self.fault(pointer, "control-character", detail);
        }
        Some(clean).filter(|clean| !clean.is_empty())
    }

    fn choice(&mut self, pointer: &str, written: &str, offered: &[String]) -> String {
        let clean = text::clean(written);
        if !offered.contains(&clean) {
            let detail = format!("This must be one of: {}.", offered.join(", "));
            self.fault(pointer, "not-an-option", detail);
        }
        clean
    }

    fn optional_choice(
        &mut self,
        pointer: &str,
        written: Option<String>,
        offered: &[String],
    ) -> Option<String> {
        let written = written.filter(|written| !written.trim().is_empty())?;
        Some(self.choice(pointer, &written, offered))
    }

    fn pronouns(&mut self, written: &str, event: &Event) -> String {
        match text::clean(written) {
            other if other == OTHER_PRONOUNS => other,
            clean if event.pronouns.contains(&clean) => clean,
            clean => {
                let offered = event.pronouns.join(", ");
                let detail = format!("This must be one of: {offered}, {OTHER_PRONOUNS}.");
                self.fault("/pronouns", "not-an-option", detail);
                clean
            }
        }
    }

    fn pronouns_other(&mut self, form: &Form) -> Option<String> {
        let other = self.optional_line("/pronounsOther", form.pronouns_other.clone());
        let wanted = text::clean(&form.pronouns) == OTHER_PRONOUNS;
        if wanted && other.is_none() {
            self.fault("/pronounsOther", "missing", "Say which pronouns, or choose another option.");
        }
        if !wanted && other.is_some() {
            let detail = format!("This is only for the pronouns {OTHER_PRONOUNS}.");
            self.fault("/pronounsOther", "not-asked", detail);
        }
        other
    }

    fn birth_date(&mut self, written: &str) -> String {
        let clean = text::clean(written);
        let date = NaiveDate::parse_from_str(&clean, "%Y-%m-%d").ok();
        match date.filter(|date| date.to_string() == clean) {
            Some(date) if BIRTH_YEARS.contains(&date.year()) => {}
            Some(_) => {
                let (from, to) = (BIRTH_YEARS.start(), BIRTH_YEARS.end());
                self.fault("/birthDate", "out-of-range", format!("The year must be from {from} to {to}."));
            }
            None => {
                self.fault("/birthDate", "not-a-date", "This must be a date that exists, such as 2008-02-29.")
            }
        }
        clean
    }

    fn student_id(&mut self, written: &str) -> String {
        let clean = text::identifier(written);
        let right = STUDENT_ID_LENGTH.contains(&clean.len())
            && clean.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if !right {
            let detail = "A student id has 5 to 9 letters a to z and digits.";
            self.fault("/studentId", "not-a-student-id", detail);
        }
        clean
    }

    fn phone(&mut self, pointer: &str, written: &str) -> String {
        let number = e164(written);
        number.unwrap_or_else(|| {
            let detail =
                "Write a phone number that exists, with + and its country code, such as +1 416 978 2011.";
            self.fault(pointer, "not-a-phone-number", detail);
            String::new()
        })
    }

    fn emergency_contact(&mut self, written: &EmergencyContact) -> EmergencyContact {
        EmergencyContact {
            name: self.line("/emergencyContact/name", &written.name, NAME_MAX),
            relationship: self.line("/emergencyContact/relationship", &written.relationship, NAME_MAX),
            phone: self.phone("/emergencyContact/phone", &written.phone),
        }
    }

    fn dietary(&mut self, written: &[String], event: &Event) -> Vec<String> {
        let choose = |(i, one): (usize, &String)| {
            let pointer = format!("/dietary/{i}");
            if written[..i].contains(one) {
                self.fault(&pointer, "repeated", "This stands here already.");
            }
            self.choice(&pointer, one, &event.dietary)
        };
        // More than are offered can't all be right: no need to say so for each.
        written.iter().take(event.dietary.len() + 1).enumerate().map(choose).collect()
    }

    fn teammates(&mut self, written: &[String]) -> Vec<String> {
        if written.len() > TEAMMATES_MAX {
            let detail = format!("There may be at most {TEAMMATES_MAX} of these.");
            self.fault("/huntTeammates", "too-many", detail);
        }
        let mut seen: Vec<String> = Vec::new();
        let mut addresses = Vec::new();
        for (i, one) in written.iter().enumerate().take(TEAMMATES_MAX).filter(|(_, one)| !one.is_empty()) {
            let pointer = format!("/huntTeammates/{i}");
            match EmailAddress::parse(one) {
                Err(_) => self.fault(
                    &pointer,
                    "not-an-email-address",
                    "Write an email address, such as name@example.org.",
                ),
                Ok(address) if seen.contains(&address.key()) => {
                    self.fault(&pointer, "repeated", "This stands here already.");
                }
                Ok(address) => {
                    seen.push(address.key());
                    addresses.push(address.into());
                }
            }
        }
        addresses
    }

    fn country(&mut self, written: &str) -> String {
        let clean = text::clean(written);
        if !is_country(&clean) {
            let detail = "Write the country's two-letter code in capitals (ISO 3166, and XK), such as CA.";
            self.fault("/summerCountry", "not-a-country", detail);
        }
        clean
    }
}

#[cfg(test)]
#[path = "form_tests.rs"]
mod tests;
