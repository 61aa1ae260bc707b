//! The backend of a university's orientation week.
//!
//! Two wings: [`features`] is what the system does, [`platform`] is what it stands on. Data flows one way:
//! controller → service → model → store. `docs/architecture.md` has the picture.

#![deny(unsafe_code)]

pub mod app;
pub mod base;
pub mod cli;
pub mod config;
pub mod features;
pub mod http;
pub mod kernel;
pub mod platform;
