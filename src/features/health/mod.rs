//! Whether the service lives and whether it can do its work, for those who watch over it.
//!
//! *Live* means that the process answers; whoever gets no answer restarts it. *Ready* means that the store can be
//! read and that jobs are carried out: until then a load balancer sends people elsewhere. Readiness also tells how
//! old the oldest due job is, because a queue that grows is seen there first.

mod controller;
mod service;

pub use controller::HealthController;
pub use service::Health;
