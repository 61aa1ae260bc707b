//! The rights that operations ask for: the list that a reviewer reads.

use super::security::Right;
use crate::kernel::Scope;

/// Everything: for the few operations that only administrators may use.
pub struct Administer;

impl Right for Administer {
    const SCOPE: Scope = Scope::AdminAll;
}

/// Reading of mailings, and of the addresses that get no emails.
pub struct ReadMailings;

impl Right for ReadMailings {
    const SCOPE: Scope = Scope::MailingsRead;
}
