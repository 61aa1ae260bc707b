//! The document of this feature: a student's registration.

use serde::{Deserialize, Serialize};

use super::form::Form;
use crate::kernel::Timestamp;
use crate::platform::store::{Class, Document, Index, Keep, Owner, Personal, PersonalField};

/// How far a registration has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum RegistrationState {
    /// The form is in, and the place in the group is kept; it isn't paid.
    Submitted,
    /// Paid.
    Registered,
}

/// A student's registration; its id is the account's: one each.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Registration {
    /// The account's id.
    pub id: String,
    /// [`Form::student_key`]; unique.
    pub student_key: String,
    pub form: Form,
    /// The group's name.
    pub group: String,
    pub state: RegistrationState,
    /// The order of the orientation ticket.
    pub order_id: String,
    pub submitted_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registered_at: Option<Timestamp>,
}

/// The index that keeps student ids unique.
pub const BY_STUDENT_ID: &str = "registrations_by_student_id";

impl Document for Registration {
    const COLLECTION: &'static str = "registrations";
    const INDEXES: &'static [Index] = &[Index::unique(BY_STUDENT_ID, &["studentKey"])];
    const PERSONAL: Personal = Personal::Of(
        Owner::Account("id"),
        &[
            PersonalField::new("studentKey", Class::Identity),
            PersonalField::new("form.legalName", Class::Identity),
            PersonalField::new("form.pronouns", Class::Identity),
            PersonalField::new("form.pronounsOther", Class::Identity),
            PersonalField::new("form.birthDate", Class::Identity),
            PersonalField::new("form.studentId", Class::Identity),
            PersonalField::new("form.phone", Class::Contact),
            PersonalField::new("form.emergencyContact", Class::Contact),
            PersonalField::new("form.medicalInformation", Class::Health),
            PersonalField::new("form.medication", Class::Health),
            PersonalField::new("form.dietary", Class::Health),
            PersonalField::new("form.dietaryOther", Class::Health),
            PersonalField::new("form.accessibility", Class::Health),
            PersonalField::new("form.accessibilityContact", Class::Health),
            PersonalField::new("form.discipline", Class::Logistics),
            PersonalField::new("form.shirtSize", Class::Logistics),
            PersonalField::new("form.joinsHunt", Class::Logistics),
            PersonalField::new("form.huntTeammates", Class::Logistics),
            PersonalField::new("form.summerCity", Class::Logistics),
            PersonalField::new("form.summerCountry", Class::Logistics),
            PersonalField::new("form.movingMonth", Class::Logistics),
            PersonalField::new("form.photoConsent", Class::Logistics),
            PersonalField::new("form.bursaryRequested", Class::Logistics),
            PersonalField::new("group", Class::Logistics),
            PersonalField::new("submittedAt", Class::Activity),
            PersonalField::new("registeredAt", Class::Activity),
        ],
    );
    const KEEP: Keep = Keep::until_disposal("the week is planned and run with it");

    fn id(&self) -> &str {
        &self.id
    }
}

impl Registration {
    /// A form that has been submitted; `form` as checked.
    pub fn submit(account: &str, form: Form, group: String, order_id: &str, now: Timestamp) -> Self {
        Self {
            id: account.to_owned(),
            student_key: form.student_key(),
            form,
            group,
            state: RegistrationState::Submitted,
            order_id: order_id.to_owned(),
            submitted_at: now,
            registered_at: None,
        }
    }

    /// The ticket is paid. Returns whether that is news.
    pub fn register(&mut self, now: Timestamp) -> bool {
        let news = self.state == RegistrationState::Submitted;
        if news {
            self.state = RegistrationState::Registered;
            self.registered_at = Some(now);
        }
        news
    }

    /// The ticket is no longer paid. Returns whether the student was registered.
    pub fn withdraw(&mut self) -> bool {
        let registered = self.state == RegistrationState::Registered;
        self.state = RegistrationState::Submitted;
        self.registered_at = None;
        registered
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registration_is_paid_once() {
        let now = Timestamp::from_millis(5);
        let mut registration = Registration::submit("a", Form::default(), "A".into(), "o", now);
        assert!(registration.register(now));
        assert!(!registration.register(Timestamp::from_millis(9)));
        assert_eq!(registration.registered_at, Some(now));
        assert!(registration.withdraw());
        assert!(!registration.withdraw());
        assert_eq!((registration.state, registration.registered_at), (RegistrationState::Submitted, None));
    }
}
