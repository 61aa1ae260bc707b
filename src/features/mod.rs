//! What the system does, a folder a feature; inside, the file names are the layers.

pub mod accounts;
pub mod event;
pub mod health;
pub mod outbox;
pub mod payments;
pub mod registration;
pub mod suppressions;
pub mod tickets;
