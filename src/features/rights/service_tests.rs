use std::time::Duration;

use super::*;
use crate::base::TestBase;
use crate::features::accounts::{Account, Approval};
use crate::features::leaders::Leaders;
use crate::features::leaders::testing::{account, administrator, caller, leader, principal};
use crate::kernel::{Actor, Caller, Clock, Reach, Right, Role, Scope, StudentField};
use crate::platform::audit::AuditEntry;
use crate::platform::mail::{Email, Mail, Templates};
use crate::platform::store::{Dir, Document, Filter, Precondition, Query, Revision, Stale};

const FOOD: Right = Right::Scope(Scope::ScannerFood);
const DIETARY: Right = Right::StudentField(StudentField::Dietary);

struct Office {
    base: TestBase,
    requests: Arc<RightsRequests>,
    leaders: Leaders,
    admin: Actor,
}

impl Office {
    async fn open() -> Self {
        Self::on(Base::for_tests().await).await
    }

    async fn on(base: TestBase) -> Self {
        let (requests, leaders) = (Arc::new(RightsRequests::new(&base)), Leaders::new(&base));
        let admin = caller(&administrator(&base, "ada").await).actor();
        Self { base, requests, leaders, admin }
    }

    /// An approved leader without rights.
    async fn luz(&self) -> Caller {
        caller(&leader(&self.base, "luz", &[]).await)
    }

    async fn all<D: Document>(&self) -> Vec<D> {
        self.base.store.find(Query::new(Filter::All).sort("id", Dir::Asc).limit(1000)).await.unwrap()
    }

    async fn current(&self, id: &str) -> Account {
        self.base.store.get(id).await.unwrap().unwrap()
    }

    async fn ask(&self, caller: &Caller, rights: &[Right]) -> Vec<Requested> {
        let asked: Vec<_> = rights.iter().map(asked).collect();
        self.requests.request(caller, &asked).await.unwrap()
    }

    /// Asks for one right; the id of the request.
    async fn ask_for(&self, caller: &Caller, right: &Right) -> String {
        match self.ask(caller, std::slice::from_ref(right)).await.remove(0) {
            Requested::Open(request) => request.id,
            other => panic!("{other:?}"),
        }
    }

    async fn set(&self, id: &str, rights: WantedRights) -> Result<Account, SetRightsError> {
        let condition = Precondition::default();
        self.requests.set(&self.admin, id, &rights, "New tasks.", &condition).await
    }

    /// Names of the actions, with the detail and the reason of each.
    async fn trail(&self) -> Vec<String> {
        let line = |entry: AuditEntry| {
            let detail =
                entry.detail.iter().filter(|(name, _)| !["request", "change"].contains(&name.as_str()));
            let detail: Vec<_> = detail.map(|(name, value)| format!("{name}={value}")).collect();
            let reason = entry.reason.as_ref().and_then(|reason| reason.text()).unwrap_or_default();
            format!("{} {} {} {reason}", entry.action.as_str(), entry.subject.id.unwrap(), detail.join(" "))
        };
        self.all::<AuditEntry>().await.into_iter().map(line).collect()
    }

    async fn mails(&self) -> Vec<String> {
        self.all::<Mail>().await.into_iter().map(|mail| mail.template).collect()
    }

    /// The only email of this kind.
    async fn email(&self, template: &str) -> Email {
        let templates = Templates::new(feature(&self.base, &self.requests).emails).unwrap();
        let mail = self.all::<Mail>().await.into_iter().find(|mail| mail.template == template).unwrap();
        templates.render(&mail).await.unwrap()
    }
}

fn asked(right: &Right) -> AskedRight {
    AskedRight { kind: RightKind::of(right), name: right.to_string(), reason: "For my tasks.".into() }
}

fn outcomes(results: &[Requested]) -> Vec<&'static str> {
    let outcome = |result: &Requested| match result {
        Requested::Open(_) => "open",
        Requested::AlreadyOpen(_) => "already open",
        Requested::AlreadyHeld(_) => "already held",
    };
    results.iter().map(outcome).collect()
}

fn wanted(scopes: &[&str], student_fields: &[&str], reach: &[&str]) -> WantedRights {
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    WantedRights { scopes: owned(scopes), student_fields: owned(student_fields), reach: owned(reach) }
}

// ---- asking ----

#[tokio::test]
async fn a_right_that_is_held_or_asked_for_is_not_asked_for_again() {
    let office = Office::open().await;
    let luz = caller(&leader(&office.base, "luz", &[Right::Reach(Reach::HuntTeam(3))]).await);
    let results = office.ask(&luz, &[FOOD, Right::Reach(Reach::HuntTeam(3))]).await;
    assert_eq!(outcomes(&results), ["open", "already held"]);
    let results = office.ask(&luz, &[DIETARY, FOOD]).await;
    assert_eq!(outcomes(&results), ["open", "already open"]);
    let ada = Caller { account_id: "ada".into(), ..luz.clone() };
    assert_eq!(outcomes(&office.ask(&ada, &[FOOD]).await), ["already held"], "admin:all implies it");
    assert_eq!(office.all::<RightsRequest>().await.len(), 2);
    assert_eq!(
        office.trail().await,
        [
            "right.requested luz right=scanner:food For my tasks.",
            "right.requested luz right=dietary For my tasks."
        ]
    );
}

#[tokio::test]
async fn a_right_that_was_declined_can_be_asked_for_again() {
    let office = Office::open().await;
    let luz = office.luz().await;
    for _ in 0..2 {
        let request = office.ask_for(&luz, &FOOD).await;
        office.requests.decline(&office.admin, &request, "No.").await.unwrap();
    }
    let states: Vec<_> = office.all::<RightsRequest>().await.iter().map(|request| request.state).collect();
    assert_eq!(states, [RequestState::Declined; 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_simultaneous_requests_for_one_right_make_one() {
    let office = Office::open().await;
    let luz = office.luz().await;
    let asks = (0..10).map(|_| office.ask(&luz, &[FOOD]));
    let results = futures_util::future::join_all(asks).await;
    assert_eq!(results.iter().filter(|results| outcomes(results) == ["open"]).count(), 1);
    assert_eq!(office.all::<RightsRequest>().await.len(), 1);
    assert_eq!(office.trail().await.len(), 1);
}

#[tokio::test]
async fn a_leader_has_a_hundred_open_requests_at_most() {
    let office = Office::open().await;
    let luz = office.luz().await;
    let teams =
        |from: u16| (from..from + 50).map(|team| Right::Reach(Reach::HuntTeam(team))).collect::<Vec<_>>();
    office.ask(&luz, &teams(0)).await;
    office.ask(&luz, &teams(50)).await;
    let more = office.requests.request(&luz, &[asked(&FOOD)]).await;
    assert!(matches!(more, Err(RequestRightsError::TooManyOpen)));
    assert_eq!(outcomes(&office.ask(&luz, &teams(50)).await), ["already open"; 50]);
}

#[tokio::test]
async fn requests_are_limited_in_number() {
    let office = Office::on(Base::for_tests().await.with_limits()).await;
    let luz = office.luz().await;
    for _ in 0..20 {
        office.ask(&luz, &[FOOD]).await;
    }
    let more = office.requests.request(&luz, &[asked(&FOOD)]).await;
    assert!(matches!(more, Err(RequestRightsError::TooMany(_))));
}

// ---- deciding ----

#[tokio::test]
async fn a_granted_right_is_held_and_the_leader_is_told_why() {
    let office = Office::open().await;
    let luz = office.luz().await;
    let request = office.ask_for(&luz, &FOOD).await;
    let granted = office.requests.grant(&office.admin, &request, "Welcome.").await.unwrap();
    assert_eq!(granted.request.decision.unwrap().reason, "Welcome.");
    assert!(office.current("luz").await.holds(&FOOD));
    for _ in 0..2 {
        let again = office.requests.grant(&office.admin, &request, "Again.").await;
        assert!(matches!(again, Err(GrantRightError::Decided)));
        let declined = office.requests.decline(&office.admin, &request, "No.").await;
        assert!(matches!(declined, Err(DeclineRightError::Decided)));
    }
    assert_eq!(office.trail().await[1..], ["right.granted luz right=scanner:food Welcome."]);
    assert_eq!(office.mails().await, ["right-granted"]);
}

#[tokio::test]
async fn a_declined_right_is_not_held() {
    let office = Office::open().await;
    let luz = office.luz().await;
    let request = office.ask_for(&luz, &DIETARY).await;
    office.requests.decline(&office.admin, &request, "Not needed.").await.unwrap();
    assert!(!office.current("luz").await.holds(&DIETARY));
    assert_eq!(office.trail().await[1..], ["right.declined luz right=dietary Not needed."]);
    assert_eq!(office.mails().await, ["right-declined"]);
}

#[tokio::test]
async fn a_leader_whose_approval_was_withdrawn_is_granted_nothing() {
    let office = Office::open().await;
    let luz = office.luz().await;
    let request = office.ask_for(&luz, &FOOD).await;
    let ada = principal(&office.current("ada").await);
    office.leaders.withdraw(&ada, "luz").await.unwrap();
    let granted = office.requests.grant(&office.admin, &request, "Welcome.").await;
    assert!(matches!(granted, Err(GrantRightError::NotAnApprovedLeader)));
    assert!(!office.current("luz").await.holds(&FOOD));
    office.requests.decline(&office.admin, &request, "You are not a leader.").await.unwrap();
}

#[tokio::test]
async fn a_right_about_a_question_that_the_event_no_longer_has_is_not_granted() {
    let office = Office::open().await;
    office.luz().await;
    let (right, now) = (Right::StudentField(StudentField::Answer("bus".into())), office.base.clock.now());
    let request = RightsRequest::open("r".into(), "luz", right.clone(), "For the bus.".into(), now);
    office.base.store.insert(&request).await.unwrap();
    let granted = office.requests.grant(&office.admin, "r", "Welcome.").await;
    assert!(
        matches!(&granted, Err(GrantRightError::Invalid(errors)) if errors.to_string().contains("Decline")),
        "{granted:?}"
    );
    assert!(!office.current("luz").await.holds(&right));
    office.requests.decline(&office.admin, "r", "There is no bus.").await.unwrap();
}

/// Grants and declines one request at once; the number of decisions that took effect.
async fn two_decisions(office: &Office) -> usize {
    let luz = office.luz().await;
    let request = office.ask_for(&luz, &FOOD).await;
    let grant = office.requests.grant(&office.admin, &request, "Yes.");
    let decline = office.requests.decline(&office.admin, &request, "No.");
    let (granted, declined) = tokio::join!(grant, decline);
    let held = office.current("luz").await.holds(&FOOD);
    assert_eq!(held, granted.is_ok());
    let decisions = usize::from(granted.is_ok()) + usize::from(declined.is_ok());
    assert_eq!((office.trail().await.len() - 1, office.mails().await.len()), (decisions, decisions));
    decisions
}

#[tokio::test]
async fn of_two_simultaneous_decisions_one_takes_effect() {
    assert_eq!(two_decisions(&Office::open().await).await, 1);
}

#[cfg(feature = "faults")]
#[tokio::test]
async fn without_the_guard_both_decisions_take_effect() {
    let office = Office::open().await;
    assert_eq!(crate::kernel::faults::without("rights.decided-once", two_decisions(&office)).await, 2);
}

/// A grant and a withdrawal of the approval at once, each first in one of two rounds. The number of rounds after which
/// somebody without approval holds the right.
async fn grants_and_withdrawals(office: &Office) -> usize {
    let ada = principal(&office.current("ada").await);
    let mut wrong = 0;
    for (round, id) in ["luz", "mia"].into_iter().enumerate() {
        let request = office.ask_for(&caller(&leader(&office.base, id, &[]).await), &FOOD).await;
        let before = office.trail().await.len();
        let grant = office.requests.grant(&office.admin, &request, "Yes.");
        let withdraw = office.leaders.withdraw(&ada, id);
        let granted = if round == 0 {
            let (granted, withdrawn) = tokio::join!(grant, withdraw);
            withdrawn.unwrap();
            granted
        } else {
            let (withdrawn, granted) = tokio::join!(withdraw, grant);
            withdrawn.unwrap();
            granted
        };
        let account = office.current(id).await;
        assert_eq!(account.approval, Approval::Withdrawn);
        wrong += usize::from(account.holds(&FOOD));
        assert_eq!(
            office.trail().await.len() - before,
            1 + usize::from(granted.is_ok()),
            "an entry for each"
        );
    }
    wrong
}

#[tokio::test]
async fn a_grant_and_a_withdrawal_at_once_leave_no_right_without_approval() {
    assert_eq!(grants_and_withdrawals(&Office::open().await).await, 0);
}

#[cfg(feature = "faults")]
#[tokio::test]
async fn without_the_guard_a_right_is_granted_to_somebody_without_approval() {
    let office = Office::open().await;
    let wrong = crate::kernel::faults::without("rights.approved-only", grants_and_withdrawals(&office)).await;
    assert_eq!(wrong, 1);
}

// ---- setting ----

#[tokio::test]
async fn setting_rights_replaces_all_of_them_and_says_what_changed() {
    let office = Office::open().await;
    leader(&office.base, "luz", &[FOOD, DIETARY]).await;
    let rights = wanted(&["scanner:food", "scanner:kits"], &[], &["group:Alpha", "hunt-team:3"]);
    let luz = office.set("luz", rights.clone()).await.unwrap();
    assert_eq!(luz.scopes.len() + luz.student_fields.len() + luz.reach.len(), 4);
    assert!(!luz.holds(&DIETARY));
    office.set("luz", rights).await.unwrap();
    assert_eq!(
        office.trail().await,
        ["rights.set luz added=scanner:kits, group:Alpha, hunt-team:3 removed=dietary New tasks."],
        "once: the second time nothing changed"
    );
    assert_eq!(
        (office.mails().await, office.all::<RightsChange>().await.len()),
        (vec!["rights-set".into()], 1)
    );
}

#[tokio::test]
async fn setting_rights_grants_the_open_requests_for_them() {
    let office = Office::open().await;
    let luz = office.luz().await;
    let (food, dietary) = (office.ask_for(&luz, &FOOD).await, office.ask_for(&luz, &DIETARY).await);
    office.set("luz", wanted(&["scanner:food"], &[], &[])).await.unwrap();
    let requests = office.all::<RightsRequest>().await;
    let state = |id: &str| requests.iter().find(|request| request.id == id).unwrap().state;
    assert_eq!((state(&food), state(&dietary)), (RequestState::Granted, RequestState::Open));
    assert_eq!(
        office.trail().await[2..],
        ["rights.set luz added=scanner:food New tasks.", "right.granted luz right=scanner:food New tasks."]
    );
    assert_eq!(office.mails().await, ["rights-set"], "one email for one decision");
}

#[tokio::test]
async fn a_stale_edit_of_rights_is_refused() {
    let office = Office::open().await;
    let seen = leader(&office.base, "luz", &[]).await;
    let condition = Precondition::one_of([Revision::of(&seen).unwrap().as_str().to_owned()]);
    let edit = async |scope: &str| {
        office.requests.set(&office.admin, "luz", &wanted(&[scope], &[], &[]), "New.", &condition).await
    };
    edit("scanner:food").await.unwrap();
    assert!(matches!(edit("scanner:kits").await, Err(SetRightsError::Stale(Stale))));
    assert!(office.current("luz").await.holds(&FOOD));
}

#[tokio::test]
async fn only_approved_leaders_hold_rights() {
    let office = Office::open().await;
    account(&office.base, "ana", Role::Student).await;
    account(&office.base, "mia", Role::Leader).await;
    for id in ["ana", "mia"] {
        let set = office.set(id, wanted(&["scanner:food"], &[], &[])).await;
        assert!(matches!(set, Err(SetRightsError::NotAnApprovedLeader)), "{id}");
    }
    assert_eq!(office.trail().await, [""; 0]);
}

#[tokio::test]
async fn the_last_administrator_keeps_admin_all() {
    let office = Office::open().await;
    let set = office.set("ada", wanted(&["accounts:read"], &[], &[])).await;
    assert!(matches!(set, Err(SetRightsError::LastAdministrator)));
    office.set("ada", wanted(&["admin:all", "accounts:read"], &[], &[])).await.unwrap();
    administrator(&office.base, "bea").await;
    let ada = office.set("ada", wanted(&["accounts:read"], &[], &[])).await.unwrap();
    assert!(!ada.is_administrator());
}

// ---- lists and emails ----

#[tokio::test]
async fn requests_are_listed_with_their_leaders_the_oldest_first() {
    let office = Office::open().await;
    let luz = office.luz().await;
    let mia = caller(&leader(&office.base, "mia", &[]).await);
    let mut ids = vec![];
    for (caller, right) in [(&luz, FOOD), (&mia, FOOD), (&luz, DIETARY)] {
        ids.push(office.ask_for(caller, &right).await);
        office.base.clock.advance(Duration::from_secs(1));
    }
    let list = async |state, account: Option<&str>| {
        let which = RequestFilter { state, account: account.map(str::to_owned) };
        let page = office.requests.list(&which, None, 10).await.unwrap();
        let line = |of: RequestOf| (of.request.id, of.account.unwrap().id);
        page.items.into_iter().map(line).collect::<Vec<_>>()
    };
    let line = |n: usize, account: &str| (ids[n].clone(), account.to_owned());
    assert_eq!(list(RequestState::Open, None).await, [line(0, "luz"), line(1, "mia"), line(2, "luz")]);
    assert_eq!(list(RequestState::Open, Some("mia")).await, [line(1, "mia")]);
    office.requests.grant(&office.admin, &ids[0], "Yes.").await.unwrap();
    assert_eq!(list(RequestState::Granted, None).await, [line(0, "luz")]);
    assert_eq!(list(RequestState::Open, None).await, [line(1, "mia"), line(2, "luz")]);
    let own = office.requests.list_own("luz", None, 10).await.unwrap().items;
    let own: Vec<_> = own.into_iter().map(|request| request.id).collect();
    assert_eq!(own, [ids[2].clone(), ids[0].clone()], "the newest first");
}

#[tokio::test]
async fn the_emails_are_reviewed() {
    let office = Office::open().await;
    let luz = office.luz().await;
    let reason = "You are on the list for <b>Tuesday</b>.\nAsk again for other days.";
    let (food, dietary) = (office.ask_for(&luz, &FOOD).await, office.ask_for(&luz, &DIETARY).await);
    office.requests.grant(&office.admin, &food, reason).await.unwrap();
    office.requests.decline(&office.admin, &dietary, reason).await.unwrap();
    office.set("luz", wanted(&["scanner:kits"], &["dietary"], &["group:Alpha"])).await.unwrap();
    for name in ["right-granted", "right-declined", "rights-set"] {
        let email = office.email(name).await;
        insta::assert_snapshot!(format!("{name}.subject"), email.subject);
        insta::assert_snapshot!(format!("{name}.txt"), email.text);
        insta::assert_snapshot!(format!("{name}.html"), email.html);
    }
}
