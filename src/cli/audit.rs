//! `orientation audit`: verifies the audit log, and prints the head of its chain.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use super::{Failed, run};
use crate::kernel::{Clock, SystemClock, Timestamp};
use crate::platform::audit::{self, AuditHead, ChainHead, Intact};
use crate::platform::store::{Access, Store};

/// Entries are sealed within three minutes. If one waits for this long, something is wrong.
const LATE: Duration = Duration::from_mins(10);

/// Compares all entries with the chain, and the chain with `kept`, and prints the result.
///
/// # Errors
/// If an entry was changed, removed or inserted, or the store can't be opened or read.
pub(super) async fn verify(kept: Option<&ChainHead>) -> Result<(), Failed> {
    let store = open().await?;
    let head = head_of(&store).await?;
    let bar = ProgressBar::new(head.number).with_style(
        ProgressStyle::with_template("{bar:40} {pos}/{len} entries, {per_sec}, {eta} left")
            .expect("the template is right"),
    );
    let verified = audit::verify(&store, kept, |number| bar.set_position(number)).await;
    bar.finish_and_clear();
    println!("{}", report(&verified.map_err(Failed::because)?, kept, SystemClock.now()));
    Ok(())
}

/// Prints the head of the chain.
///
/// # Errors
/// If the store can't be opened or read.
pub(super) async fn head() -> Result<(), Failed> {
    println!("{}", head_of(&open().await?).await?);
    Ok(())
}

async fn open() -> Result<Store, Failed> {
    Ok(run::assemble(run::configuration()?, Access::Beside).await?.store)
}

async fn head_of(store: &Store) -> Result<ChainHead, Failed> {
    let head: Option<AuditHead> = store.get(AuditHead::ID).await.map_err(Failed::because)?;
    Ok(head.unwrap_or_default().head)
}

fn report(intact: &Intact, kept: Option<&ChainHead>, now: Timestamp) -> String {
    let mut lines = vec![match intact.head.number {
        0 => "The chain has no entries yet.".to_owned(),
        number => format!("Entries 1 to {number} are intact."),
    }];
    lines.push(match kept {
        Some(kept) => format!("The kept head, number {}, is in the chain.", kept.number),
        None => "Without --head this does not show whether entries were removed from the end, or all hashes rewritten."
            .into(),
    });
    if intact.erased > 0 {
        lines.push(format!("Reasons and addresses that were erased: {}.", intact.erased));
    }
    if let Some(since) = intact.unsealed_since {
        let seconds = now.since(since).as_secs();
        lines.push(format!(
            "Entries that are not sealed yet: {}, the oldest of {seconds} seconds ago.",
            intact.unsealed
        ));
        if now.since(since) > LATE {
            lines.push("That is long: is the service running, and is the job `audit.seal` dead (`orientation jobs`)?".into());
        }
    }
    lines.push(format!("Head: {}", intact.head));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_says_what_was_compared_and_what_not() {
        let head = ChainHead { number: 7, hash: "a".repeat(64) };
        let now = Timestamp::from_millis(1_788_246_000_000);
        let intact = Intact { head: head.clone(), erased: 0, unsealed: 0, unsealed_since: None };
        let said = report(&intact, None, now);
        assert!(said.starts_with("Entries 1 to 7 are intact.\nWithout --head"), "{said}");
        assert!(said.ends_with(&format!("Head: 7:{}", "a".repeat(64))), "{said}");
        let kept = ChainHead { number: 3, ..head.clone() };
        assert!(report(&intact, Some(&kept), now).contains("The kept head, number 3, is in the chain."));
        let since = |seconds| Some(now.minus(Duration::from_secs(seconds)));
        let waiting = Intact { unsealed: 2, unsealed_since: since(20), ..intact.clone() };
        let said = report(&waiting, None, now);
        assert!(said.contains("not sealed yet: 2, the oldest of 20 seconds ago.\nHead"), "{said}");
        let late = report(&Intact { unsealed_since: since(601), ..waiting }, None, now);
        assert!(late.contains("`audit.seal`"), "{late}");
        let erased = report(&Intact { erased: 4, ..intact.clone() }, None, now);
        assert!(erased.contains("\nReasons and addresses that were erased: 4.\n"), "{erased}");
        assert!(!report(&intact, None, now).contains("erased"));
        let empty = Intact { head: ChainHead::empty(), ..intact };
        assert!(report(&empty, None, now).starts_with("The chain has no entries yet."));
    }
}
