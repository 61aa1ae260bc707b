//! What must be true of the store at the end of a test.

use std::collections::BTreeMap;

use orientation::features::groups::GroupBook;
use orientation::features::outbox::StoredEmail;
use orientation::features::payments::{Order, OrderState};
use orientation::features::registration::{Registration, RegistrationState};
use orientation::platform::mail::{Mail, MailState};
use orientation::platform::store::{Document, Filter, Query, Store};

use crate::program::neglected;
use crate::students::Student;
use crate::way::Told;

/// Everybody is registered as acknowledged and has paid once; the group book's counts are exact; no job is left.
pub async fn all_is_well(store: &Store, students: &[Student], told: &BTreeMap<String, Told>) {
    let registrations: Vec<Registration> = all(store).await;
    assert_eq!(registrations.len(), students.len(), "registrations");
    for registration in &registrations {
        assert_eq!(registration.state, RegistrationState::Registered, "{}", registration.id);
        if let Some(told) = told.get(&registration.id) {
            let kept = Told { order: registration.order_id.clone(), group: registration.group.clone() };
            assert_eq!(*told, kept, "what was told with 201 is what is kept");
        }
    }
    paid_once(store, students).await;
    groups_are_exact(store, &registrations).await;
    assert_eq!(neglected(store).await, Vec::<String>::new(), "jobs that are late or dead");
}

/// Everybody has exactly one email with their ticket in the outbox.
pub async fn one_ticket_each(store: &Store, students: &[Student]) {
    let registrations: Vec<Registration> = all(store).await;
    let mails: Vec<Mail> = all(store).await;
    let emails: Vec<StoredEmail> = all(store).await;
    assert_eq!((mails.len(), emails.len()), (students.len(), students.len()), "mails and emails");
    for registration in registrations {
        let id = format!("ticket:{}", registration.order_id);
        let mail = mails.iter().find(|mail| mail.id == id).expect("who paid has a mail");
        assert_eq!(mail.state, MailState::Sent, "{id}");
        let email = emails.iter().find(|email| email.id == id).expect("it went to the outbox");
        let student = students.iter().find(|student| student.id == registration.id).expect("one of ours");
        assert_eq!(email.to.as_str(), student.email, "{id}");
    }
}

async fn paid_once(store: &Store, students: &[Student]) {
    let orders: Vec<Order> = all(store).await;
    assert_eq!(orders.len(), students.len(), "orders");
    for order in &orders {
        assert_eq!(order.state, OrderState::Paid, "{}", order.id);
        assert_eq!((order.attempts.len(), order.payments.len()), (1, 1), "{}", order.id);
    }
}

async fn groups_are_exact(store: &Store, registrations: &[Registration]) {
    let book: GroupBook = store.get(GroupBook::ID).await.expect("readable").expect("somebody registered");
    let mut members = BTreeMap::<_, u32>::new();
    for registration in registrations {
        *members.entry(registration.group.as_str()).or_default() += 1;
    }
    for group in &book.groups {
        let expected = members.get(group.name.as_str()).copied().unwrap_or(0);
        assert_eq!((group.members, group.registered), (expected, expected), "{}", group.name);
        assert_eq!(group.by_discipline.iter().sum::<u32>(), expected, "{}", group.name);
        assert_eq!(group.by_pronouns.iter().sum::<u32>(), expected, "{}", group.name);
    }
    assert!(members.keys().all(|group| book.groups.iter().any(|tally| tally.name == **group)));
}

/// All documents of a collection.
pub async fn all<D: Document>(store: &Store) -> Vec<D> {
    store.find(Query::new(Filter::All).limit(100_000)).await.expect("the store can be read")
}
