//! What the platform promises, held by every adapter: one binary, since each links the world.

mod gateway;
mod jobs;
#[path = "../servers/mod.rs"]
mod servers;
mod signals;
mod store;

#[path = "../doubles/stripe.rs"]
#[allow(dead_code, reason = "each test binary uses another part of it")]
mod stripe;
