//! What stands in for others in tests: each a server of its own, with the faults that the real one has.

#![allow(dead_code, reason = "each test binary asks for some")]

pub mod proxy;
pub mod ses;
pub mod smtp;
pub mod sns;
pub mod stripe;
