//! What operations require of their callers: the list that a reviewer reads.

use std::borrow::Cow;

use poem::Request;

use super::kinds;
use super::problem::Problem;
use super::security::{Requirement, Visiting, principal, signed_in, visiting};
use crate::kernel::{Caller, Principal, Rights, Role, Scope};

/// Nothing: anybody, signed in or not.
pub struct Anybody;

/// Nothing: anybody. The operation shows more to somebody with a session; a cookie that opens none counts as none.
pub struct Visitor;

/// Any session, even that of an administrator who must set up a second factor first: for the few operations that lead
/// there.
pub struct AnySession;

/// Any session of a leader, even of one without approval and of an administrator who must set up a second factor first: for
/// their second factor.
pub struct LeaderSession;

/// Any signed-in account. An administrator who must set up a second factor first is refused.
pub struct SignedIn;

/// A signed-in student.
pub struct Student;

/// A signed-in leader whom the committee approved.
pub struct ApprovedLeader;

/// Everything: for the few operations that only administrators may use.
pub struct Administer;

/// Reading of accounts and their rights.
pub struct ReadAccounts;

/// Approval of leaders, and corrections of what is fixed for students.
pub struct EditAccounts;

/// Evening the groups out, moving students, and locking groups.
pub struct EditGroups;

/// Reading of students, for approved leaders and machines: each reads the granted fields of students within reach.
pub struct ReadStudents;

/// Reading and writing of notes on students.
pub struct NoteStudents;

/// Reading of the audit log.
pub struct ReadAudit;

/// Reading of mailings, and of the addresses that get no emails.
pub struct ReadMailings;

/// Decisions on bursaries.
pub struct DecideBursaries;

/// Publishing of announcements.
pub struct CreateAnnouncements;

/// Editing of announcements.
pub struct EditAnnouncements;

/// Deletion of announcements.
pub struct DeleteAnnouncements;

/// Answers to frequent questions, and their order.
pub struct EditFaq;

/// Deletion of frequent questions.
pub struct DeleteFaq;

/// New entries of the schedule.
pub struct CreateSchedule;

/// Changes of entries of the schedule.
pub struct EditSchedule;

/// Deletion of entries of the schedule.
pub struct DeleteSchedule;

/// Emails to groups of people.
pub struct SendEmails;

/// Reading, retrying and dropping of background jobs.
pub struct ManageJobs;

/// A scope. Leaders hold scopes, and so do machines.
pub trait Scoped: Send + Sync + 'static {
    /// The scope that the caller must hold.
    const SCOPE: Scope;
}

impl Scoped for Administer {
    const SCOPE: Scope = Scope::AdminAll;
}

impl Scoped for ReadAccounts {
    const SCOPE: Scope = Scope::AccountsRead;
}

impl Scoped for EditAccounts {
    const SCOPE: Scope = Scope::AccountsEdit;
}

impl Scoped for EditGroups {
    const SCOPE: Scope = Scope::GroupsEdit;
}

impl Scoped for NoteStudents {
    const SCOPE: Scope = Scope::StudentsNotes;
}

impl Scoped for ReadAudit {
    const SCOPE: Scope = Scope::AuditRead;
}

impl Scoped for DecideBursaries {
    const SCOPE: Scope = Scope::BursariesDecide;
}

impl Scoped for ReadMailings {
    const SCOPE: Scope = Scope::MailingsRead;
}

impl Scoped for CreateAnnouncements {
    const SCOPE: Scope = Scope::AnnouncementsCreate;
}

impl Scoped for EditAnnouncements {
    const SCOPE: Scope = Scope::AnnouncementsEdit;
}

impl Scoped for DeleteAnnouncements {
    const SCOPE: Scope = Scope::AnnouncementsDelete;
}

impl Scoped for EditFaq {
    const SCOPE: Scope = Scope::FaqEdit;
}

impl Scoped for DeleteFaq {
    const SCOPE: Scope = Scope::FaqDelete;
}

impl Scoped for CreateSchedule {
    const SCOPE: Scope = Scope::TimelineCreate;
}

impl Scoped for EditSchedule {
    const SCOPE: Scope = Scope::TimelineEdit;
}

impl Scoped for DeleteSchedule {
    const SCOPE: Scope = Scope::TimelineDelete;
}

impl Scoped for SendEmails {
    const SCOPE: Scope = Scope::EmailSend;
}

impl Scoped for ManageJobs {
    const SCOPE: Scope = Scope::JobsManage;
}

impl<R: Scoped> Requirement for R {
    type Caller = Principal;
    const SESSION: bool = true;
    // No machine is an administrator.
    const MACHINES: bool = !matches!(R::SCOPE, Scope::AdminAll);

    fn name() -> Cow<'static, str> {
        R::SCOPE.as_str().into()
    }

    async fn admit(request: &Request) -> Result<Principal, Problem> {
        let principal =
            if Self::MACHINES { principal(request).await? } else { signed_in(request).await?.into() };
        if principal.rights.may(R::SCOPE) {
            return Ok(principal);
        }
        check_standing(&principal.rights)?;
        Err(kinds::scope_missing(R::SCOPE))
    }
}

impl Requirement for ReadStudents {
    type Caller = Principal;
    const SESSION: bool = true;
    const MACHINES: bool = true;

    fn name() -> Cow<'static, str> {
        "leader-or-key".into()
    }

    async fn admit(request: &Request) -> Result<Principal, Problem> {
        let principal = principal(request).await?;
        check_standing(&principal.rights)?;
        match principal.rights.role {
            Role::Leader => Ok(principal),
            Role::Student => Err(kinds::leaders_only()),
        }
    }
}

impl Requirement for Anybody {
    type Caller = ();
    const SESSION: bool = false;

    fn name() -> Cow<'static, str> {
        "anybody".into()
    }

    async fn admit(_: &Request) -> Result<(), Problem> {
        Ok(())
    }
}

impl Requirement for Visitor {
    type Caller = Visiting;
    const SESSION: bool = true;
    const OPTIONAL: bool = true;

    fn name() -> Cow<'static, str> {
        "visitor".into()
    }

    async fn admit(request: &Request) -> Result<Visiting, Problem> {
        visiting(request).await
    }
}

impl Requirement for AnySession {
    type Caller = Caller;
    const SESSION: bool = true;

    fn name() -> Cow<'static, str> {
        "session".into()
    }

    async fn admit(request: &Request) -> Result<Caller, Problem> {
        signed_in(request).await
    }
}

impl Requirement for LeaderSession {
    type Caller = Caller;
    const SESSION: bool = true;

    fn name() -> Cow<'static, str> {
        "leader-session".into()
    }

    async fn admit(request: &Request) -> Result<Caller, Problem> {
        let caller = signed_in(request).await?;
        match caller.rights.role {
            Role::Leader => Ok(caller),
            Role::Student => Err(kinds::leaders_only()),
        }
    }
}

impl Requirement for SignedIn {
    type Caller = Caller;
    const SESSION: bool = true;

    fn name() -> Cow<'static, str> {
        "account".into()
    }

    async fn admit(request: &Request) -> Result<Caller, Problem> {
        let caller = signed_in(request).await?;
        if caller.rights.must_enrol { Err(kinds::must_enrol()) } else { Ok(caller) }
    }
}

impl Requirement for Student {
    type Caller = Caller;
    const SESSION: bool = true;

    fn name() -> Cow<'static, str> {
        "student".into()
    }

    async fn admit(request: &Request) -> Result<Caller, Problem> {
        let caller = signed_in(request).await?;
        if caller.rights.role == Role::Student {
            return Ok(caller);
        }
        Err(kinds::students_only())
    }
}

impl Requirement for ApprovedLeader {
    type Caller = Caller;
    const SESSION: bool = true;

    fn name() -> Cow<'static, str> {
        "leader".into()
    }

    async fn admit(request: &Request) -> Result<Caller, Problem> {
        let caller = signed_in(request).await?;
        check_standing(&caller.rights)?;
        match caller.rights.role {
            Role::Leader => Ok(caller),
            Role::Student => Err(kinds::leaders_only()),
        }
    }
}

/// Refuses leaders who can use no right yet: those without approval, and administrators who must enrol.
fn check_standing(rights: &Rights) -> Result<(), Problem> {
    if rights.must_enrol {
        return Err(kinds::must_enrol());
    }
    if rights.role == Role::Leader && !rights.approved {
        return Err(kinds::not_approved());
    }
    Ok(())
}
