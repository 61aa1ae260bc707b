//! The keys of machines, and their rules.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::key::Key;
use crate::kernel::{Actor, FieldError, Reach, Right, Rights, Scope, StudentField, Timestamp};
use crate::platform::audit::Action;
use crate::platform::store::{Class, Document, Index, Keep, Owner, Personal, PersonalField};

/// An administrator created a key.
pub const API_KEY_CREATED: Action = Action::new("api-key.created");

/// An administrator revoked a key.
pub const API_KEY_REVOKED: Action = Action::new("api-key.revoked");

/// Maximum lifetime of a key: a season and a little more, so that forgotten keys end.
pub const MAX_LIFETIME: Duration = Duration::from_hours(400 * 24);

/// The precision of the time of the last use, and how often it is stored at most.
const LAST_USED_TO: Duration = Duration::from_mins(1);

/// The key of a machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ApiKey {
    /// [`Key::hash`]: a copy of the store contains no usable key.
    pub id: String,
    /// Id in lists and in the audit log, which says nothing about the key; unique.
    pub key_id: String,
    /// What the key is for, as an administrator named it.
    pub name: String,
    /// First characters of the key, by which people recognise it.
    pub start: String,
    /// Never `admin:all`: a machine is no administrator.
    pub scopes: BTreeSet<Scope>,
    pub student_fields: BTreeSet<StudentField>,
    pub reach: BTreeSet<Reach>,
    /// The administrator who created it.
    pub created_by: Actor,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<Timestamp>,
    /// The minute of its latest request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used_at: Option<Timestamp>,
}

impl Document for ApiKey {
    const COLLECTION: &'static str = "api_keys";
    const INDEXES: &'static [Index] = &[Index::unique("api_keys_by_key_id", &["keyId"])];
    const PERSONAL: Personal = Personal::Of(
        Owner::Account("createdBy.id"),
        &[
            PersonalField::new("createdBy", Class::Activity),
            PersonalField::new("createdAt", Class::Activity),
            PersonalField::new("id", Class::Secret),
        ],
    );
    const KEEP: Keep = Keep::with_store("the audit log names the key that made a change");

    fn id(&self) -> &str {
        &self.id
    }
}

/// What an administrator wants of a key.
#[derive(Clone, Debug)]
pub struct ApiKeyForm {
    pub name: String,
    /// Scopes, student fields and reach.
    pub rights: Vec<Right>,
    pub expires_at: Timestamp,
}

impl ApiKeyForm {
    /// All validation errors of rights and expiry.
    pub fn errors(&self, now: Timestamp) -> Vec<FieldError> {
        let mut errors = Vec::new();
        if self.rights.contains(&Right::Scope(Scope::AdminAll)) {
            let detail = "A machine can't be an administrator. Give it the scopes that it needs.";
            errors.push(FieldError::new("/scopes", "not-for-machines", detail));
        }
        if self.expires_at <= now || self.expires_at > now.plus(MAX_LIFETIME) {
            let detail = "Choose a time in the future, at most 400 days from now.";
            errors.push(FieldError::new("/expiresAt", "out-of-range", detail));
        }
        errors
    }
}

impl ApiKey {
    /// The document of `key`, made at `now` by this administrator.
    pub fn new(key: &Key, key_id: String, form: &ApiKeyForm, created_by: &Actor, now: Timestamp) -> Self {
        let mut document = Self {
            id: key.hash(),
            key_id,
            name: form.name.clone(),
            start: key.start().to_owned(),
            scopes: BTreeSet::new(),
            student_fields: BTreeSet::new(),
            reach: BTreeSet::new(),
            created_by: created_by.clone(),
            created_at: now,
            expires_at: form.expires_at,
            revoked_at: None,
            last_used_at: None,
        };
        for right in form.rights.iter().cloned() {
            match right {
                Right::Scope(scope) => document.scopes.insert(scope),
                Right::StudentField(field) => document.student_fields.insert(field),
                Right::Reach(reach) => document.reach.insert(reach),
            };
        }
        document
    }

    /// Whether requests can be made with it at `now`.
    pub fn is_valid(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && now < self.expires_at
    }

    /// What the machine may do: what an approved leader with these rights may, and never what an administrator may.
    pub fn rights(&self) -> Rights {
        Rights {
            student_fields: self.student_fields.clone(),
            reach: self.reach.clone(),
            ..Rights::leader(self.scopes.iter().copied().filter(|scope| *scope != Scope::AdminAll))
        }
    }

    /// What the audit log keeps of the key: its rights and its end.
    pub fn detail(&self) -> [(&'static str, String); 4] {
        [
            ("scopes", words(&self.scopes)),
            ("studentFields", words(&self.student_fields)),
            ("reach", words(&self.reach)),
            ("expiresAt", self.expires_at.rfc3339()),
        ]
    }

    /// Whether a use at `now` has to be stored.
    pub fn is_unseen_since(&self, now: Timestamp) -> bool {
        self.last_used_at < Some(minute(now))
    }

    /// Stores that it was used at `now`.
    pub fn used(&mut self, now: Timestamp) {
        self.last_used_at = Some(minute(now));
    }
}

fn words<T: ToString>(rights: &BTreeSet<T>) -> String {
    rights.iter().map(T::to_string).collect::<Vec<_>>().join(", ")
}

/// The minute that the time is in.
fn minute(time: Timestamp) -> Timestamp {
    let minute = LAST_USED_TO.as_secs() as i64 * 1000;
    Timestamp::from_millis(time.as_millis().div_euclid(minute) * minute)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 24 * 3600 * 1000;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    fn form(rights: Vec<Right>, expires_at: i64) -> ApiKeyForm {
        ApiKeyForm { name: "Chat bot".into(), rights, expires_at: at(expires_at) }
    }

    fn key(form: &ApiKeyForm) -> ApiKey {
        ApiKey::new(&Key::new([7; 32]), "k".into(), form, &Actor::Account("admin".into()), at(0))
    }

    fn codes(form: &ApiKeyForm) -> Vec<(String, &'static str)> {
        form.errors(at(0)).into_iter().map(|error| (error.pointer, error.code)).collect()
    }

    #[test]
    fn a_machine_is_no_administrator_and_its_key_ends_within_400_days() {
        let food = vec![Right::Scope(Scope::ScannerFood)];
        for expires_at in [1, DAY, 400 * DAY] {
            assert_eq!(codes(&form(food.clone(), expires_at)), []);
        }
        for expires_at in [-1, 0, 400 * DAY + 1] {
            assert_eq!(codes(&form(food.clone(), expires_at)), [("/expiresAt".into(), "out-of-range")]);
        }
        let admin = form(vec![Right::Scope(Scope::AdminAll)], 0);
        assert_eq!(
            codes(&admin),
            [("/scopes".into(), "not-for-machines"), ("/expiresAt".into(), "out-of-range")]
        );
    }

    #[test]
    fn a_key_has_its_rights_until_it_expires_or_is_revoked() {
        let rights = vec![
            Right::Scope(Scope::ScannerFood),
            Right::StudentField(StudentField::Dietary),
            Right::Reach(Reach::HuntTeam(3)),
        ];
        let mut key = key(&form(rights, DAY));
        let rights = key.rights();
        assert!(rights.may(Scope::ScannerFood) && !rights.may(Scope::ScannerKits));
        assert!(rights.may_read(&StudentField::Dietary) && !rights.may_read(&StudentField::Phone));
        assert!(rights.reaches(None, Some(3)) && !rights.reaches(None, Some(4)));
        assert!(key.is_valid(at(DAY - 1)) && !key.is_valid(at(DAY)));
        key.revoked_at = Some(at(1));
        assert!(!key.is_valid(at(2)));
    }

    #[test]
    fn a_stored_admin_scope_makes_no_administrator() {
        let mut key = key(&form(vec![Right::Scope(Scope::ScannerFood)], DAY));
        key.scopes.insert(Scope::AdminAll);
        let rights = key.rights();
        assert!(
            rights.may(Scope::ScannerFood) && !rights.may(Scope::ScannerKits) && !rights.is_administrator()
        );
    }

    #[test]
    fn the_audit_log_keeps_rights_and_end() {
        let rights = vec![Right::Scope(Scope::ScannerKits), Right::Scope(Scope::ScannerFood)];
        let detail = key(&form(rights, DAY)).detail();
        assert_eq!(detail[0], ("scopes", "scanner:food, scanner:kits".to_owned()));
        assert_eq!(detail[3], ("expiresAt", "1970-01-02T00:00:00.000Z".to_owned()));
    }

    #[test]
    fn the_last_use_is_known_to_the_minute() {
        let mut key = key(&form(vec![], DAY));
        assert!(key.is_unseen_since(at(61_234)));
        key.used(at(61_234));
        assert_eq!(key.last_used_at, Some(at(60_000)));
        assert!(!key.is_unseen_since(at(119_999)));
        assert!(key.is_unseen_since(at(120_000)));
    }
}
