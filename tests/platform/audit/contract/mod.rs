//! What the audit log shows on every store.

mod histories;
mod sealing;
mod tampering;

use super::fresh;
