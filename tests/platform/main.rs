//! What the platform promises, held by every adapter: one binary, since each links the world.

#[path = "../doubles/mod.rs"]
mod doubles;
mod gateway;
mod jobs;
mod mail;
#[path = "../doubles/proxy.rs"]
#[allow(dead_code, reason = "each test binary uses another part of it")]
mod proxy;
#[path = "../servers/mod.rs"]
mod servers;
mod signals;
mod store;

#[path = "../doubles/ses.rs"]
#[allow(dead_code, reason = "each test binary uses another part of it")]
mod ses_double;

#[path = "../doubles/smtp.rs"]
#[allow(dead_code, reason = "each test binary uses another part of it")]
mod smtp_double;

#[path = "../doubles/sns.rs"]
#[allow(dead_code, reason = "each test binary uses another part of it")]
mod sns_double;
