//! Who acts, and what they may do.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::StudentField;

/// What an account is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Role {
    /// An incoming student.
    Student,
    /// A volunteer. An administrator is a leader with the scope `admin:all`.
    Leader,
}

impl Role {
    /// Its name, as it is stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Student => "student",
            Self::Leader => "leader",
        }
    }
}

/// One permission, written `area:action`. An administrator grants it to a leader or to a machine's key.
///
/// This is the closed list: a scope that is not in it can be neither granted nor stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Scope {
    /// Implies every other scope, every student field and all reach.
    AdminAll,
    AccountsRead,
    AccountsEdit,
    AccountsDelete,
    AnnouncementsCreate,
    AnnouncementsEdit,
    AnnouncementsDelete,
    AuditRead,
    BursariesDecide,
    EmailSend,
    FaqEdit,
    FaqDelete,
    GroupsEdit,
    HuntCreateMissions,
    HuntDeleteLedger,
    HuntDeleteMissions,
    HuntHideMissions,
    HuntJudgeBonus,
    HuntJudgeMissions,
    HuntPenalties,
    HuntRefillBonus,
    HuntRenameTeams,
    HuntSettings,
    HuntShowMissions,
    HuntShuffleTeams,
    HuntViewLedger,
    JobsManage,
    MailingsRead,
    PaymentsRead,
    PaymentsRefund,
    ScannerFood,
    ScannerKits,
    ScannerRegistration,
    StudentsNotes,
    StudentsUnregistered,
    TimelineCreate,
    TimelineEdit,
    TimelineDelete,
}

/// A text is not a [`Scope`], a [`Reach`] or a student field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no such right")]
pub struct UnknownRight;

/// A scope, its name, and what it allows.
type Described = (Scope, &'static str, &'static str);

impl Scope {
    /// Every scope, with its name and what it allows.
    const DESCRIBED: [Described; 38] = [
        (
            Self::AdminAll,
            "admin:all",
            "Do everything: it implies every scope, every student field and all reach.",
        ),
        (Self::AccountsRead, "accounts:read", "List accounts and read their rights."),
        (
            Self::AccountsEdit,
            "accounts:edit",
            "Approve and reject leaders, and correct what is fixed for students.",
        ),
        (Self::AccountsDelete, "accounts:delete", "Delete accounts."),
        (Self::AnnouncementsCreate, "announcements:create", "Publish announcements."),
        (Self::AnnouncementsEdit, "announcements:edit", "Edit announcements."),
        (Self::AnnouncementsDelete, "announcements:delete", "Delete announcements."),
        (Self::AuditRead, "audit:read", "Read the audit log."),
        (Self::BursariesDecide, "bursaries:decide", "Decide on bursaries."),
        (Self::EmailSend, "email:send", "Send emails to groups of people."),
        (Self::FaqEdit, "faq:edit", "Answer, edit and order frequent questions."),
        (Self::FaqDelete, "faq:delete", "Delete frequent questions."),
        (
            Self::GroupsEdit,
            "groups:edit",
            "Move students to other groups, even the groups out, and lock them.",
        ),
        (Self::HuntCreateMissions, "hunt:create-missions", "Create and edit missions of the hunt."),
        (Self::HuntDeleteLedger, "hunt:delete-ledger", "Reverse entries in a team's ledger."),
        (Self::HuntDeleteMissions, "hunt:delete-missions", "Delete missions of the hunt."),
        (Self::HuntHideMissions, "hunt:hide-missions", "Hide missions of the hunt."),
        (Self::HuntJudgeBonus, "hunt:judge-bonus", "Give bonus points to teams."),
        (Self::HuntJudgeMissions, "hunt:judge-missions", "Judge missions of the hunt."),
        (Self::HuntPenalties, "hunt:penalties", "Subtract points from teams."),
        (Self::HuntRefillBonus, "hunt:refill-bonus", "Refill the bonus points of judges."),
        (Self::HuntRenameTeams, "hunt:rename-teams", "Rename the teams of the hunt."),
        (Self::HuntSettings, "hunt:settings", "Change the settings of the hunt."),
        (Self::HuntShowMissions, "hunt:show-missions", "See hidden missions, and show them to everybody."),
        (
            Self::HuntShuffleTeams,
            "hunt:shuffle-teams",
            "Make the teams of the hunt and assign students to them.",
        ),
        (Self::HuntViewLedger, "hunt:view-ledger", "Read the ledgers of the hunt's teams."),
        (Self::JobsManage, "jobs:manage", "List, retry and drop background jobs."),
        (
            Self::MailingsRead,
            "mailings:read",
            "Read mailings, the emails to students, and the addresses that get no emails.",
        ),
        (Self::PaymentsRead, "payments:read", "Read orders and payments."),
        (Self::PaymentsRefund, "payments:refund", "Refund payments."),
        (Self::ScannerFood, "scanner:food", "Scan tickets at meals."),
        (Self::ScannerKits, "scanner:kits", "Scan tickets at the kit desk."),
        (Self::ScannerRegistration, "scanner:registration", "Scan tickets at the registration desk."),
        (Self::StudentsNotes, "students:notes", "Read and write internal notes on students."),
        (Self::StudentsUnregistered, "students:unregistered", "Read students who have not paid yet."),
        (Self::TimelineCreate, "timeline:create", "Add entries to the schedule."),
        (Self::TimelineEdit, "timeline:edit", "Edit entries of the schedule."),
        (Self::TimelineDelete, "timeline:delete", "Delete entries of the schedule."),
    ];

    /// Every scope.
    pub fn all() -> impl Iterator<Item = Self> {
        Self::DESCRIBED.into_iter().map(|(scope, ..)| scope)
    }

    /// Name of the scope, as it is stored and shown.
    pub fn as_str(self) -> &'static str {
        self.described().1
    }

    /// What the scope allows: one sentence.
    pub fn description(self) -> &'static str {
        self.described().2
    }

    fn described(self) -> Described {
        let described = Self::DESCRIBED.into_iter().find(|(scope, ..)| *scope == self);
        described.expect("a test finds each scope in the list")
    }

    /// The scope with this name.
    ///
    /// # Errors
    /// [`UnknownRight`] if it is not in the list.
    pub fn parse(name: &str) -> Result<Self, UnknownRight> {
        let known = Self::DESCRIBED.into_iter().find(|(_, known, _)| *known == name);
        known.map(|(scope, ..)| scope).ok_or(UnknownRight)
    }
}

impl TryFrom<String> for Scope {
    type Error = UnknownRight;

    fn try_from(name: String) -> Result<Self, UnknownRight> {
        Self::parse(&name)
    }
}

impl From<Scope> for String {
    fn from(scope: Scope) -> Self {
        scope.as_str().to_owned()
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whose data may be read: students of a group, or of a team of the hunt.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Reach {
    /// Students of every group, and those who have none.
    AllGroups,
    /// Students of the group with this name.
    Group(String),
    /// Students of the hunt team with this number.
    HuntTeam(u16),
}

/// The name in the reach of all groups, `group:all`. No group can have it.
pub const ALL_GROUPS: &str = "all";

/// The longest name of a group in a reach, in characters: that of a group in `event.toml`.
const GROUP_NAME_MAX: usize = 100;

impl Reach {
    /// Name of the reach, as it is stored and shown: `group:all`, `group:<name>` or `hunt-team:<number>`.
    pub fn as_str(&self) -> Cow<'static, str> {
        match self {
            Self::AllGroups => format!("group:{ALL_GROUPS}").into(),
            Self::Group(name) => format!("group:{name}").into(),
            Self::HuntTeam(number) => format!("hunt-team:{number}").into(),
        }
    }

    /// The reach with this name.
    ///
    /// # Errors
    /// [`UnknownRight`] if it is not written like one. Whether there is such a group or team is not checked.
    pub fn parse(name: &str) -> Result<Self, UnknownRight> {
        match name.split_once(':') {
            Some(("group", ALL_GROUPS)) => Ok(Self::AllGroups),
            Some(("group", group)) if (1..=GROUP_NAME_MAX).contains(&group.chars().count()) => {
                Ok(Self::Group(group.to_owned()))
            }
            // Only the canonical form, so that one reach has one name.
            Some(("hunt-team", number)) => match number.parse() {
                Ok(parsed) if format!("{parsed}") == number => Ok(Self::HuntTeam(parsed)),
                _ => Err(UnknownRight),
            },
            _ => Err(UnknownRight),
        }
    }
}

impl TryFrom<String> for Reach {
    type Error = UnknownRight;

    fn try_from(name: String) -> Result<Self, UnknownRight> {
        Self::parse(&name)
    }
}

impl From<Reach> for String {
    fn from(reach: Reach) -> Self {
        reach.as_str().into_owned()
    }
}

impl fmt::Display for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.as_str())
    }
}

/// One thing that a leader asks for, and that an administrator grants.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", content = "name", rename_all = "camelCase")]
pub enum Right {
    /// To do something.
    Scope(Scope),
    /// To read this property of registration forms, of students within reach.
    StudentField(StudentField),
    /// To read about these students.
    Reach(Reach),
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Scope(scope) => scope.fmt(f),
            Self::StudentField(field) => field.fmt(f),
            Self::Reach(reach) => reach.fmt(f),
        }
    }
}

/// What a caller may do, as read for one request. Never cached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rights {
    /// What the account is for. A machine's key acts as a leader.
    pub role: Role,
    /// Whether the committee approved a leader. Students need no approval.
    pub approved: bool,
    /// Granted scopes. A student's are ignored.
    pub scopes: BTreeSet<Scope>,
    /// Granted properties of registration forms.
    pub student_fields: BTreeSet<StudentField>,
    /// Whose registrations the caller may read.
    pub reach: BTreeSet<Reach>,
    /// Whether the caller must set up a second factor first: an administrator without one, where the event demands it.
    pub must_enrol: bool,
}

impl Rights {
    /// The rights of a student.
    pub fn student() -> Self {
        Self { role: Role::Student, ..Self::leader([]) }
    }

    /// The rights of an approved leader with these scopes, without student fields and reach.
    pub fn leader(scopes: impl IntoIterator<Item = Scope>) -> Self {
        Self {
            role: Role::Leader,
            approved: true,
            scopes: scopes.into_iter().collect(),
            student_fields: BTreeSet::new(),
            reach: BTreeSet::new(),
            must_enrol: false,
        }
    }

    /// Whether the caller is a leader whom the committee approved, and who has set up what the event demands.
    pub fn is_approved_leader(&self) -> bool {
        self.role == Role::Leader && self.approved && !self.must_enrol
    }

    /// Whether the caller holds `admin:all`.
    pub fn is_administrator(&self) -> bool {
        self.is_approved_leader() && self.scopes.contains(&Scope::AdminAll)
    }

    /// Whether the caller holds `scope`: only an approved leader does, by that scope or by `admin:all`.
    pub fn may(&self, scope: Scope) -> bool {
        self.is_approved_leader() && (self.scopes.contains(&scope) || self.scopes.contains(&Scope::AdminAll))
    }

    /// Whether the caller may read this property of registration forms, of students within [reach](Self::reaches).
    pub fn may_read(&self, field: &StudentField) -> bool {
        self.is_administrator() || self.is_approved_leader() && self.student_fields.contains(field)
    }

    /// Whether the caller may read about a student of this group and this team of the hunt.
    pub fn reaches(&self, group: Option<&str>, team: Option<u16>) -> bool {
        let reached = |reach: &Reach| match reach {
            Reach::AllGroups => true,
            Reach::Group(name) => group == Some(name),
            Reach::HuntTeam(number) => team == Some(*number),
        };
        self.is_administrator() || self.is_approved_leader() && self.reach.iter().any(reached)
    }

    /// Whether `other` allows everything that these rights allow.
    pub fn are_within(&self, other: &Self) -> bool {
        if !self.is_approved_leader() || other.is_administrator() {
            return true;
        }
        other.is_approved_leader()
            && self.scopes.is_subset(&other.scopes)
            && self.student_fields.is_subset(&other.student_fields)
            && self.reach.is_subset(&other.reach)
    }
}

/// The signed-in account behind a request, read anew for each request.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Id of the account.
    pub account_id: String,
    /// Id of the session.
    pub session_id: String,
    /// What the account may do.
    pub rights: Rights,
}

impl Caller {
    /// A signed-in student, for tests.
    #[cfg(test)]
    pub fn student(account_id: &str) -> Self {
        Self { account_id: account_id.into(), session_id: "session".into(), rights: Rights::student() }
    }

    /// The caller as the one who makes a change.
    pub fn actor(&self) -> Actor {
        Actor::Account(self.account_id.clone())
    }
}

/// Who is behind a request, whether an account or a machine, and what they may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// Who makes the changes of this request.
    pub actor: Actor,
    /// What they may do.
    pub rights: Rights,
}

impl From<Caller> for Principal {
    fn from(caller: Caller) -> Self {
        Self { actor: caller.actor(), rights: caller.rights }
    }
}

/// Who makes a change. Use cases that change something take it, or the [`Caller`], as their first parameter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "id", rename_all = "camelCase", deny_unknown_fields)]
pub enum Actor {
    /// A signed-in account, by its id.
    Account(String),
    /// A machine, by the id of its key.
    Machine(String),
    /// The service, by the kind of the job or the webhook.
    System(String),
    /// A person who runs a command on the machine.
    Operator,
}

impl Actor {
    /// The kind, as it is stored.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Account(_) => "account",
            Self::Machine(_) => "machine",
            Self::System(_) => "system",
            Self::Operator => "operator",
        }
    }

    /// The id; the operator has none.
    pub fn id(&self) -> Option<&str> {
        match self {
            Self::Account(id) | Self::Machine(id) | Self::System(id) => Some(id),
            Self::Operator => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scope_has_one_name_that_reads_back_and_a_sentence() {
        let mut names = BTreeSet::new();
        for (scope, name, sentence) in Scope::DESCRIBED {
            assert_eq!((scope.as_str(), Scope::parse(name)), (name, Ok(scope)));
            assert!(names.insert(name), "{name} twice");
            assert!(sentence.ends_with('.') && sentence.len() < 100, "{sentence}");
        }
        // The last one of the enum: the array has as many.
        assert_eq!(Scope::TimelineDelete as usize + 1, names.len());
    }

    #[test]
    fn a_reach_has_one_name_that_reads_back() {
        for name in ["group:Alpha Team", "group:Équipe", "hunt-team:7", "hunt-team:0", "group:all"] {
            assert_eq!(Reach::parse(name).unwrap().to_string(), name);
        }
        assert_eq!(Reach::parse(&format!("group:{ALL_GROUPS}")), Ok(Reach::AllGroups));
        let long = format!("group:{}", "a".repeat(101));
        for name in
            ["group:", &long, "hunt-team:07", "hunt-team:-1", "hunt-team:+1", "hunt-team:all", "all", ""]
        {
            assert_eq!(Reach::parse(name), Err(UnknownRight), "{name}");
        }
    }

    #[test]
    fn a_text_that_is_not_in_the_list_is_not_a_scope() {
        for name in ["", "admin", "admin:ALL", "accounts:*", "group:all", "hunt-team:1"] {
            assert_eq!(Scope::parse(name), Err(UnknownRight), "{name}");
        }
        assert!(serde_json::from_str::<Scope>("\"accounts:own\"").is_err());
    }

    #[test]
    fn only_approved_leaders_hold_scopes() {
        let editor = Rights::leader([Scope::AccountsEdit]);
        assert!(editor.may(Scope::AccountsEdit));
        assert!(!editor.may(Scope::AccountsRead));
        let admin = Rights::leader([Scope::AdminAll]);
        assert!(admin.may(Scope::FaqEdit) && admin.may(Scope::AdminAll));
        assert!(!Rights { approved: false, ..admin.clone() }.may(Scope::AdminAll));
        assert!(!Rights { must_enrol: true, ..admin.clone() }.may(Scope::AdminAll));
        assert!(!Rights { role: Role::Student, ..admin }.may(Scope::AdminAll));
    }

    #[test]
    fn a_leader_reads_granted_fields_of_students_within_reach() {
        let mut rights = Rights::leader([]);
        rights.student_fields.insert(StudentField::Dietary);
        rights.reach.extend([Reach::Group("Alpha".into()), Reach::HuntTeam(3)]);
        assert!(rights.may_read(&StudentField::Dietary) && !rights.may_read(&StudentField::Phone));
        assert!(rights.reaches(Some("Alpha"), None) && rights.reaches(Some("Beta"), Some(3)));
        assert!(!rights.reaches(Some("Beta"), Some(4)) && !rights.reaches(None, None));
        rights.approved = false;
        assert!(!rights.may_read(&StudentField::Dietary) && !rights.reaches(Some("Alpha"), None));
        let admin = Rights::leader([Scope::AdminAll]);
        assert!(admin.may_read(&StudentField::Medication) && admin.reaches(None, None));
    }

    #[test]
    fn rights_that_grow_are_not_within_the_earlier_ones() {
        let none = Rights::leader([]);
        let scanner = Rights::leader([Scope::ScannerFood]);
        let admin = Rights::leader([Scope::AdminAll]);
        let waiting = Rights { approved: false, ..admin.clone() };
        let reaching = Rights { reach: [Reach::AllGroups].into(), ..none.clone() };
        assert!(none.are_within(&scanner) && scanner.are_within(&admin) && waiting.are_within(&none));
        assert!(!scanner.are_within(&none) && !admin.are_within(&scanner) && !reaching.are_within(&scanner));
        assert!(!none.are_within(&waiting) && !admin.are_within(&waiting));
        let must_enrol = Rights { must_enrol: true, ..admin.clone() };
        assert!(!admin.are_within(&must_enrol) && must_enrol.are_within(&none));
    }

    #[test]
    fn an_actor_is_stored_by_kind_and_id() {
        let stored = |actor| serde_json::to_value::<Actor>(actor).unwrap();
        assert_eq!(stored(Actor::Account("a".into())), serde_json::json!({ "kind": "account", "id": "a" }));
        assert_eq!(stored(Actor::Operator), serde_json::json!({ "kind": "operator" }));
        for actor in [Actor::Account("a".into()), Actor::Machine("a".into()), Actor::System("a".into())] {
            let (kind, id) = (actor.kind(), actor.id().map(str::to_owned));
            assert_eq!(stored(actor), serde_json::json!({ "kind": kind, "id": id }));
        }
    }

    #[test]
    fn a_right_is_stored_by_kind_and_name() {
        for (right, kind, name) in [
            (Right::Scope(Scope::FaqEdit), "scope", "faq:edit"),
            (Right::StudentField(StudentField::ShirtSize), "studentField", "shirtSize"),
            (Right::Reach(Reach::Group("Alpha".into())), "reach", "group:Alpha"),
        ] {
            let stored = serde_json::json!({ "kind": kind, "name": name });
            assert_eq!(serde_json::to_value(&right).unwrap(), stored);
            assert_eq!(
                (right.to_string().as_str(), serde_json::from_value(stored).ok()),
                (name, Some(right))
            );
        }
    }
}
