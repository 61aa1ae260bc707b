//! What the system does: one folder for each feature, with the same file names in each.

pub mod accounts;
pub mod announcements;
pub mod api_keys;
pub mod audit;
pub mod bursaries;
pub mod bursary_requests;
pub mod event;
pub mod faq;
mod feature;
pub mod grouping;
pub mod groups;
pub mod health;
pub mod jobs;
pub mod leaders;
#[cfg(test)]
mod lost_items;
pub mod mailings;
pub mod outbox;
pub mod payments;
pub mod previews;
pub mod products;
pub mod registration;
pub mod reports;
pub mod rights;
pub mod schedule;
pub mod second_factor;
pub mod sessions;
pub mod student_mails;
pub mod students;
pub mod subscriptions;
pub mod suppressions;
pub mod tickets;

pub use feature::Feature;
