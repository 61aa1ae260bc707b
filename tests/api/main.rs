//! The interface from outside: the whole service on a folder and a port of its own, asked over HTTP.
//!
//! Shaped like the URLs. Each test starts a service (it takes some milliseconds) and ends it with [`TestApp::finish`],
//! which fails if a job is left over.

mod layers;
mod newcomer;
mod support;
