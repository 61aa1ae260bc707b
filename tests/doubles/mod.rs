//! Doubles of other services for tests: servers with the faults of the real ones.

#![allow(dead_code, reason = "each test binary asks for some")]

pub mod proxy;
pub mod ses;
pub mod smtp;
pub mod sns;
pub mod stripe;
