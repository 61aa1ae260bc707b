//! Payloads of the sandbox's jobs.

use serde::{Deserialize, Serialize};

use super::documents::SandboxEvent;
use crate::platform::jobs::Payload;

/// Sends one event about a sandbox checkout to the webhook.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeliverSandboxEvent {
    pub session: String,
    pub event: SandboxEvent,
}

impl DeliverSandboxEvent {
    pub(super) fn key_of(session: &str, event: SandboxEvent) -> String {
        format!("{session}:{event:?}")
    }
}

impl Payload for DeliverSandboxEvent {
    const KIND: &'static str = "sandbox.deliver";
    fn key(&self) -> Option<String> {
        Some(Self::key_of(&self.session, self.event))
    }
}

/// Expires the sandbox's checkouts whose time is over. Runs every minute.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SweepSandbox {}

impl Payload for SweepSandbox {
    const KIND: &'static str = "sandbox.sweep";
    fn key(&self) -> Option<String> {
        Some("all".into())
    }
}
