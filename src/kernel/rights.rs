//! Who acts, and what they may do.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

/// What an account is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Role {
    /// An incoming student.
    Student,
    /// A volunteer. An administrator is a leader with the scope `admin:all`.
    Leader,
}

/// One permission, written `area:action`. An administrator grants it to a leader or to a machine's key.
///
/// This is the closed list: a scope that is not in it can be neither granted nor stored.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Scope {
    /// Implies every other scope.
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
    StudentsUnregistered,
    TimelineCreate,
    TimelineEdit,
    TimelineDelete,
    /// Students of every group.
    AnyGroup,
    /// Students of the group with this name.
    Group(String),
    /// Students of the hunt team with this number.
    HuntTeam(u16),
}

/// A text is not a [`Scope`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no such scope")]
pub struct UnknownScope;

/// The name in the scope of all groups, `group:all`. No group can have it.
pub const ALL_GROUPS: &str = "all";

/// The longest name of a group in a scope, in characters: that of a group in `event.toml`.
const GROUP_NAME_MAX: usize = 100;

impl Scope {
    /// Every scope without a parameter.
    const PLAIN: [(Self, &'static str); 38] = [
        (Self::AdminAll, "admin:all"),
        (Self::AccountsRead, "accounts:read"),
        (Self::AccountsEdit, "accounts:edit"),
        (Self::AccountsDelete, "accounts:delete"),
        (Self::AnnouncementsCreate, "announcements:create"),
        (Self::AnnouncementsEdit, "announcements:edit"),
        (Self::AnnouncementsDelete, "announcements:delete"),
        (Self::AuditRead, "audit:read"),
        (Self::BursariesDecide, "bursaries:decide"),
        (Self::EmailSend, "email:send"),
        (Self::FaqEdit, "faq:edit"),
        (Self::FaqDelete, "faq:delete"),
        (Self::GroupsEdit, "groups:edit"),
        (Self::HuntCreateMissions, "hunt:create-missions"),
        (Self::HuntDeleteLedger, "hunt:delete-ledger"),
        (Self::HuntDeleteMissions, "hunt:delete-missions"),
        (Self::HuntHideMissions, "hunt:hide-missions"),
        (Self::HuntJudgeBonus, "hunt:judge-bonus"),
        (Self::HuntJudgeMissions, "hunt:judge-missions"),
        (Self::HuntPenalties, "hunt:penalties"),
        (Self::HuntRefillBonus, "hunt:refill-bonus"),
        (Self::HuntRenameTeams, "hunt:rename-teams"),
        (Self::HuntSettings, "hunt:settings"),
        (Self::HuntShowMissions, "hunt:show-missions"),
        (Self::HuntShuffleTeams, "hunt:shuffle-teams"),
        (Self::HuntViewLedger, "hunt:view-ledger"),
        (Self::JobsManage, "jobs:manage"),
        (Self::MailingsRead, "mailings:read"),
        (Self::PaymentsRead, "payments:read"),
        (Self::PaymentsRefund, "payments:refund"),
        (Self::ScannerFood, "scanner:food"),
        (Self::ScannerKits, "scanner:kits"),
        (Self::ScannerRegistration, "scanner:registration"),
        (Self::StudentsUnregistered, "students:unregistered"),
        (Self::TimelineCreate, "timeline:create"),
        (Self::TimelineEdit, "timeline:edit"),
        (Self::TimelineDelete, "timeline:delete"),
        (Self::AnyGroup, "group:all"),
    ];

    /// Name of the scope, as it is stored and shown.
    pub fn as_str(&self) -> Cow<'static, str> {
        match self {
            Self::Group(name) => format!("group:{name}").into(),
            Self::HuntTeam(number) => format!("hunt-team:{number}").into(),
            plain => Self::PLAIN.iter().find(|(scope, _)| scope == plain).map_or("", |(_, name)| name).into(),
        }
    }

    /// The scope with this name.
    ///
    /// # Errors
    /// [`UnknownScope`] if it is not in the list.
    pub fn parse(name: &str) -> Result<Self, UnknownScope> {
        if let Some((scope, _)) = Self::PLAIN.iter().find(|(_, known)| *known == name) {
            return Ok(scope.clone());
        }
        match name.split_once(':') {
            Some(("group", group)) if (1..=GROUP_NAME_MAX).contains(&group.chars().count()) => {
                Ok(Self::Group(group.to_owned()))
            }
            // Only the canonical form, so that one scope has one name.
            Some(("hunt-team", number)) => match number.parse() {
                Ok(parsed) if format!("{parsed}") == number => Ok(Self::HuntTeam(parsed)),
                _ => Err(UnknownScope),
            },
            _ => Err(UnknownScope),
        }
    }
}

impl TryFrom<String> for Scope {
    type Error = UnknownScope;

    fn try_from(name: String) -> Result<Self, UnknownScope> {
        Self::parse(&name)
    }
}

impl From<Scope> for String {
    fn from(scope: Scope) -> Self {
        scope.as_str().into_owned()
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.as_str())
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
}

impl Rights {
    /// The rights of a student.
    pub fn student() -> Self {
        Self { role: Role::Student, approved: true, scopes: BTreeSet::new() }
    }

    /// The rights of an approved leader with these scopes.
    pub fn leader(scopes: impl IntoIterator<Item = Scope>) -> Self {
        Self { role: Role::Leader, approved: true, scopes: scopes.into_iter().collect() }
    }

    /// Whether the caller holds `scope`: only an approved leader does, by that scope or by `admin:all`.
    pub fn may(&self, scope: &Scope) -> bool {
        let holds = self.scopes.contains(scope) || self.scopes.contains(&Scope::AdminAll);
        self.role == Role::Leader && self.approved && holds
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
#[serde(tag = "kind", content = "id", rename_all = "camelCase")]
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scope_has_one_name_that_reads_back() {
        let mut names = BTreeSet::new();
        for (scope, name) in Scope::PLAIN {
            assert_eq!(scope.as_str(), name);
            assert_eq!(Scope::parse(name), Ok(scope));
            assert!(names.insert(name), "{name} twice");
        }
        for name in ["group:Alpha Team", "group:Équipe", "hunt-team:7", "hunt-team:0"] {
            assert_eq!(Scope::parse(name).unwrap().to_string(), name);
        }
        assert_eq!(Scope::parse(&format!("group:{ALL_GROUPS}")), Ok(Scope::AnyGroup));
    }

    #[test]
    fn a_text_that_is_not_in_the_list_is_not_a_scope() {
        let long = format!("group:{}", "a".repeat(101));
        for name in [
            "",
            "admin",
            "admin:ALL",
            "accounts:*",
            "group:",
            &long,
            "hunt-team:07",
            "hunt-team:-1",
            "hunt-team:+1",
        ] {
            assert_eq!(Scope::parse(name), Err(UnknownScope), "{name}");
        }
        assert!(serde_json::from_str::<Scope>("\"accounts:own\"").is_err());
    }

    #[test]
    fn only_approved_leaders_hold_scopes() {
        let editor = Rights::leader([Scope::AccountsEdit]);
        assert!(editor.may(&Scope::AccountsEdit));
        assert!(!editor.may(&Scope::AccountsRead));
        let admin = Rights::leader([Scope::AdminAll]);
        assert!(admin.may(&Scope::HuntTeam(3)) && admin.may(&Scope::AdminAll));
        assert!(!Rights { approved: false, ..admin.clone() }.may(&Scope::AdminAll));
        assert!(!Rights { role: Role::Student, ..admin }.may(&Scope::AdminAll));
    }

    #[test]
    fn an_actor_is_stored_by_kind_and_id() {
        let stored = |actor| serde_json::to_value::<Actor>(actor).unwrap();
        assert_eq!(stored(Actor::Account("a".into())), serde_json::json!({ "kind": "account", "id": "a" }));
        assert_eq!(stored(Actor::Operator), serde_json::json!({ "kind": "operator" }));
    }
}
