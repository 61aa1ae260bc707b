//! Requests for rights, and changes of all rights at once.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashSet};

use serde::{Deserialize, Serialize};

use crate::config::Event;
use crate::features::accounts::Account;
use crate::features::registration;
use crate::kernel::{FieldError, Reach, Right, Scope, StudentField, Timestamp};
use crate::platform::audit::Action;
use crate::platform::store::{Class, Document, Index, Keep, Owner, Personal, PersonalField};

/// A leader asked for a right.
pub const RIGHT_REQUESTED: Action = Action::new("right.requested");

/// An administrator granted a right that a leader had asked for.
pub const RIGHT_GRANTED: Action = Action::new("right.granted");

/// An administrator declined to grant it.
pub const RIGHT_DECLINED: Action = Action::new("right.declined");

/// An administrator replaced all rights of a leader.
pub const RIGHTS_SET: Action = Action::new("rights.set");

/// The [`RightsRequest::slot`] of an open request.
const OPEN: &str = "open";

/// State of a request for a right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum RequestState {
    /// Not decided yet.
    Open,
    /// The leader got the right.
    Granted,
    /// The leader did not get it, and can ask again.
    Declined,
}

impl RequestState {
    /// Its name, as it is stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Granted => "granted",
            Self::Declined => "declined",
        }
    }
}

/// A leader's request for one right.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RightsRequest {
    pub id: String,
    /// Id of the leader's account.
    pub account: String,
    pub right: Right,
    /// Why the leader needs it. Can have several lines.
    pub reason: String,
    pub state: RequestState,
    /// `open`, or the request's id once it is decided. With it, the unique index allows one open request for a right, and
    /// any number of decided ones.
    pub slot: String,
    pub requested_at: Timestamp,
    /// Absent while it is open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<Decision>,
}

/// An administrator's decision about a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Decision {
    /// The administrator's reason, for the leader. Can have several lines.
    pub reason: String,
    pub at: Timestamp,
}

impl Document for RightsRequest {
    const COLLECTION: &'static str = "rights_requests";
    const INDEXES: &'static [Index] = &[
        Index::unique("rights_requests_open", &["account", "right.kind", "right.name", "slot"]),
        Index::on("rights_requests_by_account", &["account", "id"]),
        Index::on("rights_requests_by_state", &["state", "id"]),
    ];
    const PERSONAL: Personal = Personal::Of(
        Owner::Account("account"),
        &[
            PersonalField::new("right", Class::Activity),
            PersonalField::new("reason", Class::Content),
            PersonalField::new("state", Class::Activity),
            PersonalField::new("requestedAt", Class::Activity),
            PersonalField::new("decision", Class::Content),
        ],
    );
    const KEEP: Keep =
        Keep::with_account("the leader and the administrators see what was asked for and decided");

    fn id(&self) -> &str {
        &self.id
    }
}

impl RightsRequest {
    /// A request that is made at `now`.
    pub fn open(id: String, account: &str, right: Right, reason: String, now: Timestamp) -> Self {
        let (account, state, slot) = (account.to_owned(), RequestState::Open, OPEN.to_owned());
        Self { id, account, right, reason, state, slot, requested_at: now, decision: None }
    }

    /// The request after a decision.
    pub fn decided(self, state: RequestState, reason: &str, now: Timestamp) -> Self {
        let decision = Some(Decision { reason: reason.to_owned(), at: now });
        Self { state, slot: self.id.clone(), decision, ..self }
    }
}

/// A change of all rights of a leader at once. Never changed.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RightsChange {
    pub id: String,
    /// Id of the leader's account.
    pub account: String,
    /// The rights that the leader got.
    pub added: BTreeSet<Right>,
    /// The rights that the leader lost.
    pub removed: BTreeSet<Right>,
    /// The administrator's reason, for the leader. Can have several lines.
    pub reason: String,
    pub changed_at: Timestamp,
}

impl Document for RightsChange {
    const COLLECTION: &'static str = "rights_changes";
    const INDEXES: &'static [Index] = &[Index::on("rights_changes_by_account", &["account", "id"])];
    const PERSONAL: Personal = Personal::Of(
        Owner::Account("account"),
        &[
            PersonalField::new("added", Class::Activity),
            PersonalField::new("removed", Class::Activity),
            PersonalField::new("reason", Class::Content),
            PersonalField::new("changedAt", Class::Activity),
        ],
    );
    const KEEP: Keep = Keep::with_account("the email about the change is written from it");

    fn id(&self) -> &str {
        &self.id
    }
}

impl RightsChange {
    /// The change from the rights of `before` to those of `after`; `None` if they are the same.
    pub fn between(
        id: &str,
        before: &Account,
        after: &Account,
        reason: &str,
        now: Timestamp,
    ) -> Option<Self> {
        let (old, new) = (rights_of(before), rights_of(after));
        let change = Self {
            id: id.to_owned(),
            account: after.id.clone(),
            added: new.difference(&old).cloned().collect(),
            removed: old.difference(&new).cloned().collect(),
            reason: reason.to_owned(),
            changed_at: now,
        };
        (old != new).then_some(change)
    }
}

/// Everything that the account holds.
fn rights_of(account: &Account) -> BTreeSet<Right> {
    let scopes = account.scopes.iter().copied().map(Right::Scope);
    let fields = account.student_fields.iter().cloned().map(Right::StudentField);
    scopes.chain(fields).chain(account.reach.iter().cloned().map(Right::Reach)).collect()
}

/// The kind of a right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RightKind {
    Scope,
    StudentField,
    Reach,
}

impl RightKind {
    /// The kind of this right.
    pub fn of(right: &Right) -> Self {
        match right {
            Right::Scope(_) => Self::Scope,
            Right::StudentField(_) => Self::StudentField,
            Right::Reach(_) => Self::Reach,
        }
    }

    /// The right of this kind and name, as far as the event has it. `pointer` is where the name is in the body.
    ///
    /// # Errors
    /// A [`FieldError`] if there is none.
    pub fn right(self, name: &str, event: &Event, pointer: &str) -> Result<Right, FieldError> {
        let (right, detail) = match self {
            Self::Scope => (
                Scope::parse(name).map(Right::Scope),
                "There is no such scope. `listScopes` lists all scopes.",
            ),
            Self::StudentField => (
                StudentField::parse(name).map(Right::StudentField),
                "The form has no such field. `listScopes` lists all fields.",
            ),
            Self::Reach => (
                Reach::parse(name).map(Right::Reach),
                "There is no such reach. `listScopes` lists the groups; a hunt team is `hunt-team:` and its number.",
            ),
        };
        let right = right.ok().filter(|right| exists(right, event));
        right.ok_or_else(|| FieldError::new(pointer, "not-an-option", detail))
    }
}

/// Whether the event has the field or the group. Answers to retired questions can still be read. Teams of the hunt are not
/// known in advance.
pub fn exists(right: &Right, event: &Event) -> bool {
    match right {
        Right::StudentField(StudentField::Answer(id)) => event.form.question(id).is_some(),
        Right::StudentField(built_in) => event.form.asks(built_in),
        Right::Reach(Reach::Group(name)) => event.group(name).is_some(),
        Right::Scope(_) | Right::Reach(Reach::AllGroups | Reach::HuntTeam(_)) => true,
    }
}

/// What a right allows: a sentence for people.
pub fn description(right: &Right) -> String {
    match right {
        Right::Scope(scope) => scope.description().to_owned(),
        Right::StudentField(field) => format!("Read about students: {}.", label(field)),
        Right::Reach(Reach::AllGroups) => "Read about the students of all groups.".to_owned(),
        Right::Reach(Reach::Group(name)) => format!("Read about the students of the group {name}."),
        Right::Reach(Reach::HuntTeam(number)) => format!("Read about the students of hunt team {number}."),
    }
}

/// The field's name for people. An answer is named by its question's id: the event may no longer have the question.
fn label(field: &StudentField) -> Cow<'static, str> {
    match field {
        StudentField::Answer(id) => format!("the answer to the question `{id}`").into(),
        field => registration::label(field).into(),
    }
}

/// A right that a leader asks for, by its kind and name.
#[derive(Clone, Debug)]
pub struct AskedRight {
    pub kind: RightKind,
    pub name: String,
    /// Why the leader needs it.
    pub reason: String,
}

/// The rights that are asked for. Their pointers begin with `/rights`.
///
/// # Errors
/// All validation errors.
pub fn check_asked(asked: &[AskedRight], event: &Event) -> Result<Vec<(Right, String)>, Vec<FieldError>> {
    let (mut rights, mut errors, mut seen) = (vec![], vec![], HashSet::new());
    for (i, one) in asked.iter().enumerate() {
        match one.kind.right(&one.name, event, &format!("/rights/{i}/name")) {
            Ok(right) if !seen.insert(right.clone()) => {
                errors.push(FieldError::new(format!("/rights/{i}"), "repeated", "Duplicate entry."));
            }
            Ok(right) => rights.push((right, one.reason.clone())),
            Err(error) => errors.push(error),
        }
    }
    if errors.is_empty() { Ok(rights) } else { Err(errors) }
}

/// All rights that a leader should hold, by kind and name.
#[derive(Clone, Debug, Default)]
pub struct WantedRights {
    pub scopes: Vec<String>,
    pub student_fields: Vec<String>,
    pub reach: Vec<String>,
}

impl WantedRights {
    /// The rights. Repeated names count once.
    ///
    /// # Errors
    /// All validation errors.
    pub fn check(&self, event: &Event) -> Result<Vec<Right>, Vec<FieldError>> {
        let lists = [
            (RightKind::Scope, "/scopes", &self.scopes),
            (RightKind::StudentField, "/studentFields", &self.student_fields),
            (RightKind::Reach, "/reach", &self.reach),
        ];
        let checked = lists.into_iter().flat_map(|(kind, list, names)| {
            names.iter().enumerate().map(move |(i, name)| kind.right(name, event, &format!("{list}/{i}")))
        });
        let (rights, errors): (Vec<_>, Vec<_>) = checked.partition(Result::is_ok);
        if errors.is_empty() {
            return Ok(rights.into_iter().flatten().collect());
        }
        Err(errors.into_iter().filter_map(Result::err).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Question, QuestionKind};

    fn asked(kind: RightKind, name: &str) -> AskedRight {
        AskedRight { kind, name: name.into(), reason: "I need it.".into() }
    }

    fn codes(errors: &[FieldError]) -> Vec<(&str, &str)> {
        errors.iter().map(|error| (error.pointer.as_str(), error.code)).collect()
    }

    #[test]
    fn names_that_are_unknown_or_of_another_kind_and_duplicates_are_refused_together() {
        let event = Event::shipped();
        let group = format!("group:{}", event.groups[0].name);
        let rights = [
            asked(RightKind::Scope, "scanner:food"),
            asked(RightKind::Scope, "dietary"),
            asked(RightKind::StudentField, "scanner:food"),
            asked(RightKind::Reach, "group:Nowhere"),
            asked(RightKind::Reach, &group),
            asked(RightKind::Scope, "scanner:food"),
            asked(RightKind::Reach, "hunt-team:07"),
        ];
        assert_eq!(
            codes(&check_asked(&rights, &event).unwrap_err()),
            [
                ("/rights/1/name", "not-an-option"),
                ("/rights/2/name", "not-an-option"),
                ("/rights/3/name", "not-an-option"),
                ("/rights/5", "repeated"),
                ("/rights/6/name", "not-an-option"),
            ]
        );
        let rights = check_asked(&[rights[0].clone(), rights[4].clone()], &event).unwrap();
        assert_eq!(rights[1].0, Right::Reach(Reach::Group(event.groups[0].name.clone())));
    }

    #[test]
    fn fields_and_questions_of_the_events_form_can_be_granted() {
        let mut event = Event::shipped();
        let bus = asked(RightKind::StudentField, "answers.bus");
        let errors = check_asked(std::slice::from_ref(&bus), &event).unwrap_err();
        assert_eq!(codes(&errors), [("/rights/0/name", "not-an-option")]);
        assert!(errors[0].detail.contains("`listScopes`"), "{}", errors[0].detail);
        event.form.without = [StudentField::Dietary].into();
        let dietary = asked(RightKind::StudentField, "dietary");
        let errors = check_asked(&[dietary], &event).unwrap_err();
        assert_eq!(codes(&errors), [("/rights/0/name", "not-an-option")]);
        event.form.questions = vec![Question::for_tests("bus", QuestionKind::YesNo)];
        let rights = check_asked(&[bus], &event).unwrap();
        assert_eq!(rights[0].0, Right::StudentField(StudentField::Answer("bus".into())));
    }

    #[test]
    fn whole_sets_are_checked_as_a_whole() {
        let event = Event::shipped();
        let mut wanted = WantedRights {
            scopes: vec!["admin:all".into(), "admin:all".into(), "admin:some".into()],
            student_fields: vec!["dietary".into(), "password".into()],
            reach: vec!["hunt-team:3".into(), "group:all".into(), "all".into()],
        };
        let errors = wanted.check(&event).unwrap_err();
        let pointers: Vec<_> = errors.iter().map(|error| error.pointer.as_str()).collect();
        assert_eq!(pointers, ["/scopes/2", "/studentFields/1", "/reach/2"]);
        for list in [&mut wanted.scopes, &mut wanted.student_fields, &mut wanted.reach] {
            list.pop();
        }
        let rights: BTreeSet<_> = wanted.check(&event).unwrap().into_iter().collect();
        assert_eq!(rights.len(), 4);
    }

    #[test]
    fn every_right_is_described_in_a_sentence() {
        let fields = registration::FIELDS
            .iter()
            .map(|field| field.field.clone())
            .chain([StudentField::Answer("bus".into())]);
        let fields = fields.map(Right::StudentField);
        let reach = ["group:all", "group:Alpha", "hunt-team:3"];
        let reach = reach.into_iter().map(|name| Right::Reach(Reach::parse(name).unwrap()));
        for right in Scope::all().map(Right::Scope).chain(fields).chain(reach) {
            let sentence = description(&right);
            assert!(sentence.ends_with('.') && !sentence.contains(": ."), "{sentence}");
        }
    }
}
