//! The API from outside: the whole service with its own folder and port, over HTTP.
//!
//! The files follow the URLs. Each test starts a service, which takes some milliseconds, and stops it with
//! [`TestApp::finish`], which fails if a job is left over. The same tests run on the embedded adapters and on the real
//! ones (`support::parts`); tests of what only the embedded ones have are in [`embedded`].

mod adding_an_endpoint;
#[path = "../answers/mod.rs"]
mod answers;
mod bad_input;
mod checkout_pages;
mod contract;
mod documents;
#[path = "../doubles/mod.rs"]
mod doubles;
mod earlier_stores;
mod emails;
mod embedded;
mod health;
mod layers;
mod logs;
mod metrics;
mod mistakes;
mod newcomer;
mod pages;
mod races;
mod real_input;
mod rights_matrix;
#[path = "../servers/mod.rs"]
mod servers;
mod support;
mod v1_accounts;
mod v1_announcements;
mod v1_api_keys;
mod v1_audit_entries;
mod v1_bursaries;
mod v1_event;
mod v1_faq;
mod v1_groups;
mod v1_jobs;
mod v1_leaders;
mod v1_mailings;
mod v1_me;
mod v1_me_totp;
mod v1_orders;
mod v1_password_resets;
mod v1_products;
mod v1_registration;
mod v1_reports;
mod v1_rights_requests;
mod v1_schedule;
mod v1_scopes;
mod v1_session;
mod v1_sessions;
mod v1_student_mails;
mod v1_students;
mod v1_subscriptions;
mod v1_suppressions;
mod v1_ticket;
mod v1_webhooks_stripe;
