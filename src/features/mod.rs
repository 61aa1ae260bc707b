//! What the system does, a folder a feature; inside, the file names are the layers.

pub mod accounts;
pub mod health;
pub mod outbox;
pub mod payments;
