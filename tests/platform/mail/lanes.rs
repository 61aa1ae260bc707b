//! Direct emails overtake bulk emails, on both stores.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use orientation::kernel::{Clock, RandomIds, SystemClock};
use orientation::platform::jobs::{self, Crons, Subscribers, Workers};
use orientation::platform::mail::{
    self, BulkMailer, Email, Mail, MailClass, Mailer, SendError, Templates, Transport,
};
use orientation::platform::signals::InProcess;
use orientation::platform::store::{Access, Store};
use tokio::sync::watch;

use super::rate::{Hello, event, mail_to};
use crate::store::mongo::Database;

const RATE: f64 = 50.0;
/// Bulk emails that are queued before the direct one.
const MAILING: usize = 200;
/// The slots of half a second.
const HALF_A_SECOND: usize = 25;

/// A transport that only records the order of the emails.
struct Recorder {
    sent: Mutex<Vec<String>>,
    count: watch::Sender<usize>,
}

#[async_trait]
impl Transport for Recorder {
    async fn send(&self, mail: &Mail, _: &Email) -> Result<(), SendError> {
        self.sent.lock().expect("not poisoned").push(mail.id.clone());
        self.count.send_modify(|count| *count += 1);
        Ok(())
    }

    fn is_idempotent(&self) -> bool {
        false
    }
}

/// How many emails of a mailing in this class are sent between the posting of a direct email and its sending.
async fn emails_before_a_direct_one(store: Store, class: MailClass) -> usize {
    store.prepare(&[jobs::schemas(), mail::schemas()].concat()).await.expect("it is new");
    let mailing: Vec<_> = (0..MAILING).map(|n| mail_to(n).in_class(class)).collect();
    store.transact(async |tx| tx.post_all(&mailing).await).await.expect("new");

    let transport = Arc::new(Recorder { sent: Mutex::default(), count: watch::Sender::new(0) });
    let mut count = transport.count.subscribe();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let templates = Templates::new(vec![Arc::new(Hello)]).expect("one");
    let mailer =
        Arc::new(Mailer::new(store.clone(), clock.clone(), templates, transport.clone()).at_rate(RATE));
    let subscribers = Subscribers::new().with(Arc::new(BulkMailer(mailer.clone()))).with(mailer);
    let (crons, signals) = (Crons::new(event().time_zone, []), Arc::new(InProcess::new(0.0)));
    let workers =
        Workers::new(store.clone(), signals, clock, Arc::new(RandomIds), subscribers, crons).start();

    count.wait_for(|count| *count >= 10).await.expect("the transport lives");
    let direct = mail_to(MAILING);
    store.transact(async |tx| tx.post(&direct).await).await.expect("new");
    let before = *count.borrow();
    let sent = loop {
        count.changed().await.expect("the transport lives");
        let sent = transport.sent.lock().expect("not poisoned").clone();
        if let Some(place) = sent.iter().position(|id| *id == direct.id) {
            break place;
        }
    };
    drop(workers);
    sent.saturating_sub(before)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_direct_email_overtakes_a_mailing_on_sqlite() {
    let folder = tempfile::tempdir().expect("there is room for it");
    let open = |name: &str| Store::sqlite(&folder.path().join(name), Access::Serving).expect("it opens");
    let waited = emails_before_a_direct_one(open("bulk.db"), MailClass::Bulk).await;
    assert!(waited <= HALF_A_SECOND, "{waited} emails were sent before");
    // Without lanes it waits for all jobs that are due before its own.
    let waited = emails_before_a_direct_one(open("direct.db"), MailClass::Direct).await;
    assert!(waited > MAILING / 2, "{waited}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_direct_email_overtakes_a_mailing_on_mongodb() {
    let database = Database::new();
    let waited = emails_before_a_direct_one(database.open().await, MailClass::Bulk).await;
    assert!(waited <= HALF_A_SECOND, "{waited} emails were sent before");
}
