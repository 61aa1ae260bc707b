//! Corrections that the committee makes of what is fixed for the student after submission.

use super::answers::{self, AnswerChanges};
use super::fields::FIELDS;
use super::form::Form;
use super::model::{BY_STUDENT_ID, Registration};
use super::service::Registrations;
use crate::config::Event;
use crate::kernel::{FieldError, Invalid, StudentField, Timestamp};
use crate::platform::store::{StoreError, Tx};

/// Corrections of a submitted form. `None` leaves a property as it is, and `Some(None)` removes it.
#[derive(Clone, Debug, Default)]
pub struct Corrections {
    pub legal_name: Option<String>,
    pub pronouns: Option<String>,
    pub pronouns_other: Option<Option<String>>,
    pub birth_date: Option<String>,
    pub student_id: Option<String>,
    pub discipline: Option<String>,
    pub shirt_size: Option<String>,
    pub accessibility: Option<Option<String>>,
    pub photo_consent: Option<bool>,
    /// Answers to questions, also to those that the student can change.
    pub answers: AnswerChanges,
}

/// Why a form is not corrected.
#[derive(Debug, thiserror::Error)]
pub enum CorrectError {
    #[error(transparent)]
    Invalid(#[from] Invalid),
    #[error("another registration has this student id")]
    StudentIdTaken,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Corrections {
    /// The fields that are named.
    pub fn fields(&self) -> Vec<StudentField> {
        use StudentField as F;
        let named = [
            (F::LegalName, self.legal_name.is_some()),
            (F::Pronouns, self.pronouns.is_some()),
            (F::PronounsOther, self.pronouns_other.is_some()),
            (F::BirthDate, self.birth_date.is_some()),
            (F::StudentId, self.student_id.is_some()),
            (F::Discipline, self.discipline.is_some()),
            (F::ShirtSize, self.shirt_size.is_some()),
            (F::Accessibility, self.accessibility.is_some()),
            (F::PhotoConsent, self.photo_consent.is_some()),
        ];
        let named = named.into_iter().filter(|(_, is_named)| *is_named).map(|(field, _)| field);
        named.chain(self.answers.keys().cloned().map(F::Answer)).collect()
    }
}

impl Form {
    /// The form after `corrections`.
    ///
    /// # Errors
    /// Every validation error of what is corrected at once. What stays is not checked again: the event may have changed.
    pub fn corrected(&self, corrections: Corrections, event: &Event) -> Result<Self, Vec<FieldError>> {
        let named: Vec<_> = corrections.fields().iter().map(|field| format!("/{field}")).collect();
        let mut form = self.clone();
        let mut errors = vec![];
        if !corrections.answers.is_empty() {
            match answers::corrected(&self.answers, corrections.answers, &event.form) {
                Ok(answers) => form.answers = answers,
                Err(wrong) => errors.extend(wrong),
            }
        }
        form.legal_name = corrections.legal_name.unwrap_or(form.legal_name);
        form.pronouns = corrections.pronouns.unwrap_or(form.pronouns);
        form.pronouns_other = corrections.pronouns_other.unwrap_or(form.pronouns_other);
        form.birth_date = corrections.birth_date.unwrap_or(form.birth_date);
        form.student_id = corrections.student_id.unwrap_or(form.student_id);
        form.discipline = corrections.discipline.unwrap_or(form.discipline);
        form.shirt_size = corrections.shirt_size.or(form.shirt_size);
        form.accessibility = corrections.accessibility.unwrap_or(form.accessibility);
        form.photo_consent = corrections.photo_consent.or(form.photo_consent);
        // Other pronouns depend on the pronouns: correcting one can make the other wrong.
        let depends =
            |pointer: &str| pointer == "/pronounsOther" && named.iter().any(|one| one == "/pronouns");
        let is_named = |error: &FieldError| named.contains(&error.pointer) || depends(&error.pointer);
        errors.extend(form.errors_of_fixed(event).into_iter().filter(is_named));
        if errors.is_empty() { Ok(form) } else { Err(errors) }
    }

    /// The fields of the form in which it differs from `other`.
    fn differences(&self, other: &Self) -> Vec<StudentField> {
        let differs = |field: &&super::fields::Field| (field.value)(self) != (field.value)(other);
        let fields = FIELDS.iter().filter(differs).map(|field| field.field.clone());
        let ids =
            self.answers.keys().chain(other.answers.keys().filter(|id| !self.answers.contains_key(*id)));
        let answers = ids.filter(|id| self.answers.get(*id) != other.answers.get(*id));
        fields.chain(answers.cloned().map(StudentField::Answer)).collect()
    }
}

impl Registrations {
    /// Corrects a registration in this transaction, which holds [`Groups::GUARD`](crate::features::groups::Groups::GUARD).
    /// The ticket is issued anew if the name on it changes. Returns the fields that changed.
    ///
    /// # Errors
    /// [`CorrectError`].
    pub async fn correct(
        &self,
        tx: &Tx,
        registration: &mut Registration,
        corrections: Corrections,
        now: Timestamp,
    ) -> Result<Vec<StudentField>, CorrectError> {
        let before = registration.form.clone();
        let form = before.corrected(corrections, self.event()).map_err(Invalid)?;
        let changed = form.differences(&before);
        if changed.is_empty() {
            return Ok(changed);
        }
        if form.traits() != before.traits() {
            self.groups().reclassify(tx, &registration.group, before.traits(), form.traits()).await?;
        }
        registration.set_form(form);
        if changed.contains(&StudentField::LegalName) {
            registration.reissue_ticket(now);
        }
        tx.put(registration).await.map_err(|error| match error {
            StoreError::Duplicate { index } if index == BY_STUDENT_ID => CorrectError::StudentIdTaken,
            error => error.into(),
        })?;
        Ok(changed)
    }
}

#[cfg(test)]
#[path = "corrections_tests.rs"]
mod tests;
