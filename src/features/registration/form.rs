//! The registration form: what it holds, and the rules that its schema can't express.

use std::collections::BTreeMap;

use chrono::{Datelike, NaiveDate};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::answers::{self, AnswerChanges, Answers};
use super::fields;
use crate::config::{Event, OTHER_PRONOUNS};
use crate::features::groups::Traits;
use crate::kernel::{EmailAddress, FieldError, e164, is_country};

/// Plausible years of birth.
const BIRTH_YEARS: std::ops::RangeInclusive<i32> = 1920..=2020;
/// The first and the last day of these years.
pub const BIRTH_DATES: (&str, &str) = ("1920-01-01", "2020-12-31");
/// Number of letters and digits in a student id.
const STUDENT_ID_LENGTH: std::ops::RangeInclusive<usize> = 5..=9;

/// The form. [`super::FIELDS`] describes each property, and `event.toml` the questions of `answers`. An event can leave
/// out some of the properties, which are absent then.
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
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shirt_size: Option<String>,
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
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub joins_hunt: Option<bool>,
    /// Email addresses.
    #[serde(default)]
    pub hunt_teammates: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summer_city: Option<String>,
    /// ISO 3166 alpha-2, or one of the codes beside it that [`is_country`] accepts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summer_country: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moving_month: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub photo_consent: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bursary_requested: Option<bool>,
    /// Answers to the event's own questions.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub answers: Answers,
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
    pub joins_hunt: Option<Option<bool>>,
    pub hunt_teammates: Option<Vec<String>>,
    pub summer_city: Option<Option<String>>,
    pub summer_country: Option<Option<String>>,
    pub moving_month: Option<Option<String>>,
    pub bursary_requested: Option<Option<bool>>,
    /// Changes of answers. `Some(None)` removes all answers.
    pub answers: Option<Option<AnswerChanges>>,
    /// The properties as they were sent, those that can't be changed among them.
    pub sent: Value,
}

impl Form {
    /// What the student counts as in a group.
    pub fn traits(&self) -> Traits<'_> {
        Traits { discipline: &self.discipline, pronouns: &self.pronouns }
    }

    /// Whether the student asks for a bursary.
    pub fn asks_for_bursary(&self) -> bool {
        self.bursary_requested == Some(true)
    }

    /// The form as it is stored, with phone numbers in E.164.
    ///
    /// # Errors
    /// Every validation error at once.
    pub fn checked(mut self, event: &Event) -> Result<Self, Vec<FieldError>> {
        let mut check = Check(self.errors_of_fixed(event));
        check.phone("/phone", &mut self.phone);
        check.phone("/emergencyContact/phone", &mut self.emergency_contact.phone);
        check.dietary(&self.dietary, event);
        check.teammates(&mut self.hunt_teammates);
        check.country(self.summer_country.as_deref());
        check.choice("/movingMonth", self.moving_month.as_deref(), &event.moving_months);
        match answers::submitted(std::mem::take(&mut self.answers), &event.form) {
            Ok(answers) => self.answers = answers,
            Err(errors) => check.0.extend(errors),
        }
        check.result(self)
    }

    /// The validation errors of the properties that are fixed after submission, and of those that are missing or not asked
    /// for.
    pub(super) fn errors_of_fixed(&self, event: &Event) -> Vec<FieldError> {
        let mut check = Check(fields::misplaced(self, &event.form));
        check.pronouns(&self.pronouns, self.pronouns_other.as_deref(), event);
        check.birth_date(&self.birth_date);
        check.student_id(&self.student_id);
        check.choice("/discipline", Some(&self.discipline), &event.disciplines);
        check.choice("/shirtSize", self.shirt_size.as_deref(), &event.shirt_sizes);
        check.0
    }

    /// The form after `changes`.
    ///
    /// # Errors
    /// Every validation error of the changes at once. What stays is not checked again: the event may have changed.
    pub fn changed(&self, changes: Changes, event: &Event) -> Result<Self, Vec<FieldError>> {
        let mut form = self.clone();
        let mut check = Check(fields::refused(&changes.sent, &event.form));
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
            check.country(country.as_deref());
            form.summer_country = country;
        }
        if let Some(month) = changes.moving_month {
            check.choice("/movingMonth", month.as_deref(), &event.moving_months);
            form.moving_month = month;
        }
        if let Some(sent) = changes.answers {
            match answers::changed(&self.answers, sent.unwrap_or_else(|| self.without_answers()), &event.form)
            {
                Ok(answers) => form.answers = answers,
                Err(errors) => check.0.extend(errors),
            }
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

    /// The changes that remove every answer.
    fn without_answers(&self) -> AnswerChanges {
        self.answers.keys().map(|id| (id.clone(), None)).collect()
    }

    /// What student ids are compared by: letter case does not matter.
    pub fn student_key(&self) -> String {
        self.student_id.to_ascii_lowercase()
    }
}

/// The validation errors found so far.
struct Check(Vec<FieldError>);

impl Check {
    fn result(self, form: Form) -> Result<Form, Vec<FieldError>> {
        if self.0.is_empty() { Ok(form) } else { Err(self.0) }
    }

    fn error(&mut self, pointer: &str, code: &'static str, detail: impl Into<String>) {
        self.0.push(FieldError::new(pointer, code, detail));
    }

    /// Without options the event doesn't ask for it, which is an error already.
    fn choice(&mut self, pointer: &str, choice: Option<&str>, options: &[String]) {
        let Some(choice) = choice else { return };
        if !options.is_empty() && !options.iter().any(|option| option == choice) {
            self.error(pointer, "not-an-option", format!("Choose one of: {}.", options.join(", ")));
        }
    }

    fn pronouns(&mut self, pronouns: &str, other: Option<&str>, event: &Event) {
        let mut options = event.pronouns.clone();
        options.push(OTHER_PRONOUNS.into());
        self.choice("/pronouns", Some(pronouns), &options);
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
            self.choice(&format!("/dietary/{i}"), Some(one), &event.dietary);
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

    fn country(&mut self, code: Option<&str>) {
        if code.is_some_and(|code| !is_country(code)) {
            let detail =
                "Write the country's two-letter code in capitals, such as CA (ISO 3166, and XK for Kosovo).";
            self.error("/summerCountry", "not-a-country", detail);
        }
    }
}

#[cfg(test)]
#[path = "form_tests.rs"]
mod tests;
