//! The second factor of leaders: TOTP codes (RFC 6238) of an authenticator app, and recovery codes.
//!
//! Enrolling makes a secret. The second factor is on when a code has confirmed that the app has it; from then on
//! sign-in needs a code, which [`SecondFactors::check_in`] checks in the transaction that opens the session, so that each
//! code opens one session. Ten recovery codes replace codes of a lost phone, each of them once. An administrator can
//! reset somebody's second factor.
//!
//! The store holds secrets encrypted and recovery codes as hashes.

mod controller;
mod mails;
mod model;
mod service;
#[cfg(test)]
mod tests;

use std::sync::Arc;

pub use controller::SecondFactorController;
pub use model::{RecoveryCode, SecondFactor, TotpSecret};
pub use service::{
    CodeError, ConfirmTotpError, DisableTotpError, EnrolTotpError, Enrolment, RenewRecoveryCodesError,
    ResetTotpError, SecondFactors,
};

use super::Feature;
use crate::base::Base;
use crate::platform::store::{Schema, schema};

/// What second factors add to the service.
pub fn feature(base: &Base, factors: &Arc<SecondFactors>) -> Feature<SecondFactorController> {
    Feature::new().serves(SecondFactorController::new(factors.clone())).writes(mails::templates(base))
}

/// The documents of this feature.
pub fn schemas() -> Vec<Schema> {
    vec![schema::<SecondFactor>()]
}
