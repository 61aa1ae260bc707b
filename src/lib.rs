//! The backend of a university's orientation week.
//!
//! [`features`] holds what the system does, [`platform`] what it is built on. Data flows one way:
//! controller → service → model → store. See `docs/architecture.md`.

#![deny(unsafe_code)]

pub mod app;
pub mod base;
pub mod cli;
pub mod config;
pub mod features;
pub mod http;
pub mod kernel;
pub mod platform;
