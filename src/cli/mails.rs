//! `orientation mails`: failed emails, for operators.

use std::sync::Arc;

use comfy_table::{ContentArrangement, Table, presets};

use super::{Failed, run};
use crate::kernel::{Actor, SystemClock};
use crate::platform::mail::{FailedEmails, Mail, Which};
use crate::platform::store::{Access, StoreError};

/// The most emails that are shown.
const SHOWN: usize = 200;

/// Prints these failed emails.
///
/// # Errors
/// If the store can't be opened or read.
pub(super) async fn list(which: &Which) -> Result<(), Failed> {
    println!("{}", report(&emails().await?, which).await.map_err(Failed::because)?);
    Ok(())
}

/// Sends these failed emails again, and prints their number.
///
/// # Errors
/// If the store can't be opened or fails.
pub(super) async fn retry(which: &Which) -> Result<(), Failed> {
    let retried = emails().await?.retry(&Actor::Operator, which).await.map_err(Failed::because)?;
    println!("Emails to be sent again: {retried}.");
    Ok(())
}

/// The emails of the configured store. Running workers find the jobs of retried emails within a second.
async fn emails() -> Result<FailedEmails, Failed> {
    let app = run::assemble(run::configuration()?, Access::Beside).await?;
    Ok(FailedEmails::new(app.store, Arc::new(SystemClock)))
}

async fn report(emails: &FailedEmails, which: &Which) -> Result<String, StoreError> {
    let (shown, all) = emails.list(which, SHOWN).await?;
    Ok(match shown.len() {
        0 => "There are no such failed emails.".to_owned(),
        shown_count if (shown_count as u64) < all => {
            format!("{}\nFailed emails: {all}; the oldest {shown_count} are shown.", table(&shown))
        }
        _ => format!("{}\nFailed emails: {all}.", table(&shown)),
    })
}

fn table(emails: &[Mail]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(["kind", "to", "posted", "reason"]);
    for mail in emails {
        // The text may come from another server. Control characters could move the cursor.
        let reason = mail.reason.as_deref().unwrap_or_default().replace(char::is_control, " ");
        table.add_row([&mail.template, mail.to.as_str(), &mail.created_at.rfc3339(), &reason]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::{EmailAddress, Timestamp};
    use crate::platform::audit;
    use crate::platform::jobs::{self, Job, JobState};
    use crate::platform::mail::{self, EMAIL_RETRIED, MailState, Outcome};
    use crate::platform::store::testing::TestStore;
    use crate::platform::store::{Filter, Query};

    fn time(hour: i64) -> Timestamp {
        Timestamp::from_millis(1_788_246_000_000 + hour * 3_600_000)
    }

    fn failed(id: &str, kind: &'static str, to: &str, hour: i64) -> Mail {
        let mut mail = Mail::new(id.into(), kind, &EmailAddress::parse(to).unwrap(), [], time(hour));
        mail.start_sending();
        mail.finish_sending(Outcome::Failed("SMTP: 550 5.1.1\u{1b} unknown".into()), false, time(hour));
        mail
    }

    /// Five emails, of which four have failed; their first jobs are done and still kept.
    async fn emails() -> (TestStore, FailedEmails) {
        let store = TestStore::with(&[jobs::schemas(), audit::schemas(), mail::schemas()].concat()).await;
        let queued =
            Mail::new("e".into(), "welcome", &EmailAddress::parse("e@example.org").unwrap(), [], time(0));
        for mail in [
            failed("a", "welcome", "ana@example.org", 0),
            failed("b", "welcome", "bo@example.org", 1),
            failed("c", "ticket", "Ana@EXAMPLE.org", 1),
            failed("d", "ticket", "bo@example.org", 2),
            queued,
        ] {
            store.insert(&mail).await.unwrap();
            let mut job =
                Job::new(format!("mail:{}", mail.id), &mail::SendMail { mail: mail.id.clone() }, time(0));
            (job.state, job.waiting_key) = (JobState::Done, None);
            store.insert(&job).await.unwrap();
        }
        let emails = FailedEmails::new(store.clone(), Arc::new(SystemClock));
        (store, emails)
    }

    async fn selected(which: Which) -> Vec<String> {
        let (_store, emails) = emails().await;
        let (shown, all) = emails.list(&which, 10).await.unwrap();
        assert_eq!(shown.len() as u64, all);
        shown.into_iter().map(|mail| mail.id).collect()
    }

    #[tokio::test]
    async fn failed_emails_are_selected_by_kind_recipient_and_time() {
        let all = Which::default;
        assert_eq!(selected(all()).await, ["a", "b", "c", "d"]);
        assert_eq!(selected(Which { kind: Some("ticket".into()), ..all() }).await, ["c", "d"]);
        let ana = EmailAddress::parse("ANA@example.org").unwrap();
        assert_eq!(selected(Which { to: Some(ana.clone()), ..all() }).await, ["a", "c"]);
        assert_eq!(selected(Which { since: Some(time(1)), ..all() }).await, ["b", "c", "d"]);
        assert_eq!(selected(Which { until: Some(time(1)), ..all() }).await, ["a"]);
        let one =
            Which { kind: Some("ticket".into()), to: Some(ana), since: Some(time(0)), until: Some(time(2)) };
        assert_eq!(selected(one).await, ["c"]);
        assert_eq!(selected(Which { kind: Some("none".into()), ..all() }).await, [""; 0]);
    }

    #[tokio::test]
    async fn a_list_shows_kind_recipient_time_and_reason() {
        let (_store, emails) = emails().await;
        let said = report(&emails, &Which::default()).await.unwrap();
        for word in ["welcome", "bo@example.org", "2026-09-01T09:00:00.000Z", "550 5.1.1  unknown"] {
            assert!(said.contains(word), "{word} in {said}");
        }
        assert!(said.ends_with("\nFailed emails: 4."), "{said}");
        let none = Which { kind: Some("none".into()), ..Which::default() };
        assert_eq!(report(&emails, &none).await.unwrap(), "There are no such failed emails.");
    }

    #[tokio::test]
    async fn retried_emails_are_queued_once_with_a_job_and_an_audit_entry() {
        let (store, emails) = emails().await;
        let which = Which { kind: Some("ticket".into()), ..Which::default() };
        assert_eq!(emails.retry(&Actor::Operator, &which).await.unwrap(), 2);
        assert_eq!(emails.retry(&Actor::Operator, &which).await.unwrap(), 0);
        for (id, state) in [("a", MailState::Failed), ("c", MailState::Queued), ("d", MailState::Queued)] {
            assert_eq!(store.get::<Mail>(id).await.unwrap().unwrap().state, state);
        }
        let waiting = Query::new(Filter::eq("state", JobState::Waiting.as_str())).limit(10);
        let mut jobs: Vec<_> =
            store.find::<Job>(waiting).await.unwrap().into_iter().map(|job| job.id).collect();
        jobs.sort();
        assert_eq!(jobs, ["mail:c:1", "mail:d:1"]);
        let entry = |id: &str| (Actor::Operator, EMAIL_RETRIED, Some(id.to_owned()));
        assert_eq!(audit::testing::trail(&store).await, [entry("c"), entry("d")]);
    }

    #[tokio::test]
    async fn more_than_a_page_is_retried_and_counted() {
        let (store, emails) = emails().await;
        for n in 0..250 {
            store.insert(&failed(&format!("many:{n}"), "report", "many@example.org", 3)).await.unwrap();
        }
        let which = Which { kind: Some("report".into()), ..Which::default() };
        let said = report(&emails, &which).await.unwrap();
        assert!(said.ends_with("\nFailed emails: 250; the oldest 200 are shown."), "{said}");
        assert_eq!(emails.retry(&Actor::Operator, &which).await.unwrap(), 250);
    }
}
