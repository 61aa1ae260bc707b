//! The registration form: what it holds, and the rules that its schema can't express.

use chrono::{Datelike, NaiveDate};
use serde::{Deserialize, Serialize};

use crate::config::{Event, OTHER_PRONOUNS};
use crate::features::groups::Traits;
use crate::kernel::{EmailAddress, FieldError, e164, is_country};

/// Plausible years of birth.
const BIRTH_YEARS: std::ops::RangeInclusive<i32> = 1920..=2020;
/// Number of letters and digits in a student id.
const STUDENT_ID_LENGTH: std::ops::RangeInclusive<usize> = 5..=9;

/// The form. [`super::FIELDS`] describes each property.
///
/// Its texts are clean and as long as the schema allows. [`checked`](Self::checked) makes it the form that is stored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Form {
    pub legal_name: String,
    /// One of the event's, or [`OTHER_PRONOUNS`].
    pub pronouns: String,
    /// With [`OTHER_PRONOUNS`] only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pronouns_other: Option<String>,
    /// `YYYY-MM-DD`.
    pub birth_date: String,
    pub student_id: String,
    pub discipline: String,
    pub shirt_size: String,
    /// Stored in E.164.
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
    /// Whether the committee may contact the student about `accessibility`.
    #[serde(default)]
    pub accessibility_contact: bool,
    pub joins_hunt: bool,
    /// Email addresses.
    #[serde(default)]
    pub hunt_teammates: Vec<String>,
    pub summer_city: String,
    /// ISO 3166 alpha-2, or one of the codes beside it that [`is_country`] accepts.
    pub summer_country: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moving_month: Option<String>,
    pub photo_consent: bool,
    pub bursary_requested: bool,
}

/// Whom to call in an emergency.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EmergencyContact {
    pub name: String,
    pub relationship: String,
    /// Stored in E.164.
    pub phone: String,
}

/// Changes of a submitted form. `None` leaves a property as it is, and `Some(None)` removes it.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    pub phone: Option<String>,
    pub emergency_contact: Option<EmergencyContact>,
    pub medical_information: Option<Option<String>>,
    pub medication: Option<Option<String>>,
    pub dietary: Option<Vec<String>>,
    pub dietary_other: Option<Option<String>>,
    pub accessibility_contact: Option<bool>,
    pub joins_hunt: Option<bool>,
    pub hunt_teammates: Option<Vec<String>>,
    pub summer_city: Option<String>,
    pub summer_country: Option<String>,
    pub moving_month: Option<Option<String>>,
    pub bursary_requested: Option<bool>,
    /// Properties that were sent although they are fixed after submission.
    pub fixed: Vec<&'static str>,
    /// Properties that were cleared although the form needs them.
    pub cleared: Vec<&'static str>,
}

impl Form {
    /// What the student counts as in a group.
    pub fn traits(&self) -> Traits<'_> {
        Traits { discipline: &self.discipline, pronouns: &self.pronouns }
    }

    /// The form as it is stored, with phone numbers in E.164.
    ///
    /// # Errors
    /// Every validation error at once.
    pub fn checked(mut self, event: &Event) -> Result<Self, Vec<FieldError>> {
        let mut check = Check::default();
        check.pronouns(&self.pronouns, self.pronouns_other.as_deref(), event);
        check.birth_date(&self.birth_date);
        check.student_id(&self.student_id);
        check.choice("/discipline", &self.discipline, &event.disciplines);
        check.choice("/shirtSize", &self.shirt_size, &event.shirt_sizes);
        check.phone("/phone", &mut self.phone);
        check.phone("/emergencyContact/phone", &mut self.emergency_contact.phone);
        check.dietary(&self.dietary, event);
        check.teammates(&mut self.hunt_teammates);
        check.country(&self.summer_country);
        check.moving_month(self.moving_month.as_deref(), event);
        check.result(self)
    }

    /// The form after `changes`.
    ///
    /// # Errors
    /// Every validation error of the changes at once. What stays is not checked again: the event may have changed.
    pub fn changed(&self, changes: Changes, event: &Event) -> Result<Self, Vec<FieldError>> {
        let mut form = self.clone();
        let mut check = Check::default();
        check.may_change(&changes);
        if let Some(phone) = changes.phone {
            form.phone = phone;
            check.phone("/phone", &mut form.phone);
        }
        if let Some(contact) = changes.emergency_contact {
            form.emergency_contact = contact;
            check.phone("/emergencyContact/phone", &mut form.emergency_contact.phone);
        }
        if let Some(dietary) = changes.dietary {
            check.dietary(&dietary, event);
            form.dietary = dietary;
        }
        if let Some(teammates) = changes.hunt_teammates {
            form.hunt_teammates = teammates;
            check.teammates(&mut form.hunt_teammates);
        }
        if let Some(country) = changes.summer_country {
            check.country(&country);
            form.summer_country = country;
        }
        if let Some(month) = changes.moving_month {
            check.moving_month(month.as_deref(), event);
            form.moving_month = month;
        }
        form.medical_information = changes.medical_information.unwrap_or(form.medical_information);
        form.medication = changes.medication.unwrap_or(form.medication);
        form.dietary_other = changes.dietary_other.unwrap_or(form.dietary_other);
        form.summer_city = changes.summer_city.unwrap_or(form.summer_city);
        form.accessibility_contact = changes.accessibility_contact.unwrap_or(form.accessibility_contact);
        form.joins_hunt = changes.joins_hunt.unwrap_or(form.joins_hunt);
        form.bursary_requested = changes.bursary_requested.unwrap_or(form.bursary_requested);
        check.result(form)
    }

    /// What student ids are compared by: letter case does not matter.
    pub fn student_key(&self) -> String {
        self.student_id.to_ascii_lowercase()
    }
}

/// The validation errors found so far.
#[derive(Default)]
struct Check(Vec<FieldError>);

impl Check {
    fn result(self, form: Form) -> Result<Form, Vec<FieldError>> {
        if self.0.is_empty() { Ok(form) } else { Err(self.0) }
    }

    fn error(&mut self, pointer: &str, code: &'static str, detail: impl Into<String>) {
        self.0.push(FieldError::new(pointer, code, detail));
    }

    fn may_change(&mut self, changes: &Changes) {
        for name in &changes.fixed {
            let detail = "This is fixed after submission. Ask the committee to change it.";
            self.error(&format!("/{name}"), "fixed-after-submitting", detail);
        }
        for name in &changes.cleared {
            self.error(
                &format!("/{name}"),
                "missing",
                "This is required. You can change it but not remove it.",
            );
        }
    }

    fn choice(&mut self, pointer: &str, choice: &str, options: &[String]) {
        if !options.iter().any(|option| option == choice) {
            self.error(pointer, "not-an-option", format!("Choose one of: {}.", options.join(", ")));
        }
    }

    fn moving_month(&mut self, month: Option<&str>, event: &Event) {
        if let Some(month) = month {
            self.choice("/movingMonth", month, &event.moving_months);
        }
    }

    fn pronouns(&mut self, pronouns: &str, other: Option<&str>, event: &Event) {
        let mut options = event.pronouns.clone();
        options.push(OTHER_PRONOUNS.into());
        self.choice("/pronouns", pronouns, &options);
        match (pronouns == OTHER_PRONOUNS, other) {
            (true, None) => {
                let detail = "Write your pronouns here, or choose another option.";
                self.error("/pronounsOther", "missing", detail);
            }
            (false, Some(_)) => {
                let detail = format!("Leave this empty unless you choose the pronouns {OTHER_PRONOUNS}.");
                self.error("/pronounsOther", "not-asked", detail);
            }
            _ => {}
        }
    }

    fn birth_date(&mut self, written: &str) {
        match NaiveDate::parse_from_str(written, "%Y-%m-%d") {
            Ok(date) if BIRTH_YEARS.contains(&date.year()) => {}
            Ok(_) => {
                let (from, to) = (BIRTH_YEARS.start(), BIRTH_YEARS.end());
                self.error("/birthDate", "out-of-range", format!("The year must be from {from} to {to}."));
            }
            Err(_) => {
                self.error("/birthDate", "not-a-date", "Write a date that exists, such as 2008-02-29.");
            }
        }
    }

    fn student_id(&mut self, id: &str) {
        let valid =
            STUDENT_ID_LENGTH.contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if !valid {
            let detail = "A student id has 5 to 9 letters a to z and digits.";
            self.error("/studentId", "not-a-student-id", detail);
        }
    }

    /// Brings a phone number into E.164.
    fn phone(&mut self, pointer: &str, phone: &mut String) {
        match e164(phone) {
            Some(number) => *phone = number,
            None => {
                let detail = "Write a phone number that exists, with + and its country code, such as \
                              +1 416 978 2011.";
                self.error(pointer, "not-a-phone-number", detail);
            }
        }
    }

    fn dietary(&mut self, dietary: &[String], event: &Event) {
        // A longer list has an error among these: its entries differ, and there are not that many options.
        for (i, one) in dietary.iter().enumerate().take(event.dietary.len() + 1) {
            self.choice(&format!("/dietary/{i}"), one, &event.dietary);
        }
    }

    /// Leaves out empty entries. Two addresses that reach one mailbox are a duplicate.
    fn teammates(&mut self, teammates: &mut Vec<String>) {
        let mut seen: Vec<String> = Vec::new();
        for (i, one) in teammates.iter_mut().enumerate().filter(|(_, one)| !one.is_empty()) {
            let pointer = format!("/huntTeammates/{i}");
            match EmailAddress::parse(one) {
                Err(_) => {
                    let detail = "Write an email address, such as name@example.org.";
                    self.error(&pointer, "not-an-email-address", detail);
                }
                Ok(address) if seen.contains(&address.key()) => {
                    self.error(&pointer, "repeated", "Duplicate entry.");
                }
                Ok(address) => {
                    seen.push(address.key());
                    *one = address.into();
                }
            }
        }
        teammates.retain(|one| !one.is_empty());
    }

    fn country(&mut self, code: &str) {
        if !is_country(code) {
            let detail =
                "Write the country's two-letter code in capitals, such as CA (ISO 3166, and XK for Kosovo).";
            self.error("/summerCountry", "not-a-country", detail);
        }
    }
}

#[cfg(test)]
#[path = "form_tests.rs"]
mod tests;
