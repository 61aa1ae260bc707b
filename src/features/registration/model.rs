//! The document of this feature: a student's registration.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::fields::PERSONAL_FIELDS;
use super::form::Form;
use super::search::SearchIndex;
use crate::features::accounts::Account;
use crate::kernel::{EmailAddress, Timestamp};
use crate::platform::store::{Document, Index, Keep, Migration, Owner, Personal};

/// State of a registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum RegistrationState {
    /// The form is submitted and the student has a group. The ticket is neither paid nor waived.
    Submitted,
    /// The ticket is paid or waived.
    Registered,
}

/// A student's registration. Its id is that of the account: each has one at most.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Registration {
    /// The account's id.
    pub id: String,
    /// [`Form::student_key`]. Unique.
    pub student_key: String,
    /// The account's address, for staff who search and sort by it. `None` until the job that copies it has run, in documents
    /// of version 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<EmailAddress>,
    /// The account's preferred name, in the same way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preferred_name: Option<String>,
    pub form: Form,
    /// What follows from the others: see [`Registration::set_form`].
    pub search: SearchIndex,
    /// The group's name.
    pub group: String,
    pub state: RegistrationState,
    /// The order of the orientation ticket.
    pub order_id: String,
    pub submitted_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registered_at: Option<Timestamp>,
    /// When the ticket was issued anew, if it was: see [`Registration::reissue_ticket`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket_issued_at: Option<Timestamp>,
}

/// The index that keeps student ids unique.
pub const BY_STUDENT_ID: &str = "registrations_by_student_id";

impl Document for Registration {
    const COLLECTION: &'static str = "registrations";
    const VERSION: u32 = 2;
    const MIGRATIONS: &'static [Migration] = &[with_search_index];
    const INDEXES: &'static [Index] = &[
        Index::unique(BY_STUDENT_ID, &["studentKey"]),
        Index::on("registrations_by_group", &["group"]),
        Index::on("registrations_by_name", &["search.keys.legalName"]),
        Index::on("registrations_by_email", &["search.keys.email"]),
        Index::words("registrations_by_word", &["search.words"]),
    ];
    const PERSONAL: Personal = Personal::Of(Owner::Account("id"), &PERSONAL_FIELDS);
    const KEEP: Keep = Keep::until_disposal("the week is planned and run with it");

    fn id(&self) -> &str {
        &self.id
    }
}

/// Version 2 has an index to search and sort by. A job copies the account's data.
pub(super) fn with_search_index(mut registration: serde_json::Value) -> serde_json::Value {
    let form: Form = serde_json::from_value(registration["form"].clone()).unwrap_or_default();
    registration["search"] = serde_json::json!(SearchIndex::new(&form, None, None));
    registration
}

impl Registration {
    /// The registration of a student who submits `form`, which has been checked.
    pub fn submit(account: &str, form: Form, group: String, order_id: &str, now: Timestamp) -> Self {
        Self {
            id: account.to_owned(),
            student_key: form.student_key(),
            email: None,
            preferred_name: None,
            search: SearchIndex::new(&form, None, None),
            form,
            group,
            state: RegistrationState::Submitted,
            order_id: order_id.to_owned(),
            submitted_at: now,
            registered_at: None,
            ticket_issued_at: None,
        }
    }

    /// Replaces the form. Every change of the form is made by this, so that the search index follows it.
    pub fn set_form(&mut self, form: Form) {
        self.student_key = form.student_key();
        self.form = form;
        self.index();
    }

    /// Copies the address and the preferred name of the student's account.
    pub fn copy_account(&mut self, account: &Account) {
        self.email = Some(account.email.clone());
        self.preferred_name.clone_from(&account.preferred_name);
        self.index();
    }

    fn index(&mut self) {
        self.search = SearchIndex::new(&self.form, self.email.as_ref(), self.preferred_name.as_deref());
    }

    /// Registers the student, whose ticket is paid or waived. Returns whether anything changed.
    pub fn register(&mut self, now: Timestamp) -> bool {
        let changed = self.state == RegistrationState::Submitted;
        if changed {
            self.state = RegistrationState::Registered;
            self.registered_at = Some(now);
        }
        changed
    }

    /// Takes back that the student is registered. Returns whether anything changed.
    pub fn withdraw(&mut self) -> bool {
        let registered = self.state == RegistrationState::Registered;
        self.state = RegistrationState::Submitted;
        (self.registered_at, self.ticket_issued_at) = (None, None);
        registered
    }

    /// When the valid ticket was issued. `None` as long as there is none.
    pub fn ticket_time(&self) -> Option<Timestamp> {
        self.ticket_issued_at.or(self.registered_at)
    }

    /// Issues the ticket anew, if there is one: those with an earlier time are replaced. Tickets carry whole seconds, so
    /// the new one is at least a second younger.
    pub fn reissue_ticket(&mut self, now: Timestamp) {
        if let Some(former) = self.ticket_time() {
            self.ticket_issued_at = Some(now.max(former.plus(Duration::from_secs(1))));
        }
    }

    /// Puts the student into another group, which the ticket names.
    pub fn move_to(&mut self, group: &str, now: Timestamp) {
        group.clone_into(&mut self.group);
        self.reissue_ticket(now);
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

    #[test]
    fn a_ticket_that_is_issued_anew_is_younger_than_each_one_before() {
        let at = Timestamp::from_millis;
        let mut registration = Registration::submit("a", Form::default(), "A".into(), "o", at(0));
        registration.move_to("B", at(1_000));
        assert_eq!((registration.group.as_str(), registration.ticket_time()), ("B", None), "it is not paid");
        registration.register(at(2_100));
        assert_eq!(registration.ticket_time(), Some(at(2_100)));
        for (now, issued) in [(2_900, 3_100), (2_900, 4_100), (9_000, 9_000)] {
            registration.move_to("C", at(now));
            assert_eq!(registration.ticket_time(), Some(at(issued)));
        }
        assert_eq!(registration.registered_at, Some(at(2_100)));
        registration.withdraw();
        assert_eq!(registration.ticket_time(), None);
        registration.register(at(9_500));
        assert_eq!(registration.ticket_time(), Some(at(9_500)), "another order pays for another ticket");
    }
}
