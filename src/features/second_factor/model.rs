//! The second factor of an account: codes that change every 30 seconds (RFC 6238), and recovery codes.

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use data_encoding::{BASE32_NOPAD, BASE32_NOPAD_VISUAL};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use totp_rs::{Builder, Totp};

use crate::kernel::{Secret, Timestamp, text};
use crate::platform::audit::Action;
use crate::platform::store::{Class, Document, Keep, Owner, Personal, PersonalField};

/// A leader got a secret for an authenticator app.
pub const SECOND_FACTOR_ENROLLED: Action = Action::new("second-factor.enrolled");

/// A leader turned on their second factor.
pub const SECOND_FACTOR_ON: Action = Action::new("second-factor.on");

/// A leader turned off their second factor.
pub const SECOND_FACTOR_OFF: Action = Action::new("second-factor.off");

/// An administrator turned off the second factor of somebody else.
pub const SECOND_FACTOR_RESET: Action = Action::new("second-factor.reset");

/// A leader got new recovery codes.
pub const RECOVERY_CODES_RENEWED: Action = Action::new("recovery-codes.renewed");

/// A leader signed in with a recovery code.
pub const RECOVERY_CODE_USED: Action = Action::new("recovery-code.used");

/// Number of recovery codes that are made at a time.
pub const RECOVERY_CODES: usize = 10;

/// Digits of a TOTP code.
const DIGITS: usize = 6;

/// Bytes of a TOTP secret: the length that RFC 4226 recommends, and that all authenticator apps support.
const SECRET_BYTES: usize = 20;

/// Bytes of a recovery code: 80 bits can't be guessed, even with the hashes at hand.
const RECOVERY_BYTES: usize = 10;

/// Letters of a recovery code between two hyphens.
const GROUP: usize = 4;

/// Maximum lengths of the names in a URI, in code points, so that every URI fits into a QR code. Apps show even less.
const ISSUER_MAX: usize = 40;
const LABEL_MAX: usize = 100;

/// The secret that the service and an authenticator app share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TotpSecret(Secret<[u8; SECRET_BYTES]>);

impl TotpSecret {
    /// A new secret, from [`Ids::secret`](crate::kernel::Ids::secret).
    pub fn new(random: [u8; 32]) -> Self {
        Self::read(&random[..SECRET_BYTES]).expect("the random bytes are longer")
    }

    /// The secret of these bytes; `None` if it has another length.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        Some(Self(Secret::new(bytes.try_into().ok()?)))
    }

    /// Its bytes.
    pub fn bytes(&self) -> &[u8] {
        self.0.expose()
    }

    /// Its bytes in base32, for people who can't scan the QR code.
    pub fn base32(&self) -> String {
        BASE32_NOPAD.encode(self.bytes())
    }

    /// The URI that authenticator apps read from a QR code. `issuer` and `account` are how the app shows the account;
    /// long ones are cut.
    pub fn uri(&self, issuer: &str, account: &str) -> String {
        let encoded = |text: &str, max| {
            let text: String = text.chars().take(max).collect();
            utf8_percent_encode(&text, NON_ALPHANUMERIC).to_string()
        };
        // Apps split the label at the first colon.
        let issuer = encoded(&issuer.replace(':', " "), ISSUER_MAX);
        let (account, secret) = (encoded(account, LABEL_MAX), self.base32());
        format!(
            "otpauth://totp/{issuer}:{account}?secret={secret}&issuer={issuer}&algorithm=SHA1&digits=6&period=30"
        )
    }

    /// The time step of `code` if it is the current one, or the one before or after, because clocks differ. Takes the
    /// same time for every wrong code.
    pub fn step_of(&self, code: &str, now: Timestamp) -> Option<i64> {
        let step = self.totp().check(code, u64::try_from(now.as_secs()).ok()?)?;
        i64::try_from(step).ok()
    }

    /// With the parameters that every authenticator app supports: SHA-1, 6 digits, 30 seconds, a drift of one step.
    fn totp(&self) -> Totp {
        Builder::new().with_secret(*self.0.expose()).build().expect("the secret has the recommended length")
    }
}

/// A code as somebody typed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Code {
    /// Six digits from an authenticator app.
    Totp(String),
    /// A recovery code.
    Recovery(RecoveryCode),
}

impl Code {
    /// Reads a code; `None` if it is neither. Only letters and digits count, because people group codes with spaces and
    /// hyphens.
    pub fn read(typed: &str) -> Option<Self> {
        let code: String = text::identifier(typed).chars().filter(char::is_ascii_alphanumeric).collect();
        if code.len() == DIGITS && code.bytes().all(|byte| byte.is_ascii_digit()) {
            return Some(Self::Totp(code));
        }
        RecoveryCode::read(&code).map(Self::Recovery)
    }
}

/// A code that replaces a TOTP code once, for somebody who has lost their phone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecoveryCode(Secret<[u8; RECOVERY_BYTES]>);

impl RecoveryCode {
    /// A new code, from [`Ids::secret`](crate::kernel::Ids::secret).
    pub fn new(random: [u8; 32]) -> Self {
        let bytes = random[..RECOVERY_BYTES].try_into().expect("the random bytes are longer");
        Self(Secret::new(bytes))
    }

    /// The code as it is shown: 16 letters and digits in groups of four.
    pub fn written(&self) -> String {
        let code = BASE32_NOPAD.encode(self.0.expose());
        let groups: Vec<_> = (0..code.len()).step_by(GROUP).map(|at| &code[at..at + GROUP]).collect();
        groups.join("-")
    }

    /// Upper and lower case are the same, and the digits 0, 1 and 8, which no code has, are the letters O, I and B.
    fn read(code: &str) -> Option<Self> {
        let bytes = BASE32_NOPAD_VISUAL.decode(code.to_ascii_uppercase().as_bytes()).ok()?;
        Some(Self(Secret::new(bytes.try_into().ok()?)))
    }

    /// What is stored of it, for this account: the SHA-256, in base64url.
    fn hash(&self, account: &str) -> String {
        let hash = Sha256::new().chain_update(account).chain_update([0]).chain_update(self.0.expose());
        BASE64_URL_SAFE_NO_PAD.encode(hash.finalize())
    }
}

/// The second factor of a leader. It is on once a code has confirmed that the authenticator app has the secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SecondFactor {
    /// Id of the account.
    pub id: String,
    /// The [`TotpSecret`], encrypted for this id by the keys of [`Keys::second_factors`], so that a copy of the store
    /// yields no codes.
    ///
    /// [`Keys::second_factors`]: crate::platform::keys::Keys::second_factors
    pub secret: String,
    /// When it was enrolled.
    pub created_at: Timestamp,
    /// When it was turned on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirmed_at: Option<Timestamp>,
    /// Time step of the latest code that was accepted. No code of this or an earlier step is accepted again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_step: Option<i64>,
    /// Hashes of the recovery codes that are left.
    #[serde(default)]
    pub recovery_codes: Vec<String>,
}

impl Document for SecondFactor {
    const COLLECTION: &'static str = "second_factors";
    const PERSONAL: Personal = Personal::Of(
        Owner::Account("id"),
        &[
            PersonalField::new("createdAt", Class::Activity),
            PersonalField::new("confirmedAt", Class::Activity),
            PersonalField::new("lastStep", Class::Activity),
            PersonalField::new("secret", Class::Secret),
            PersonalField::new("recoveryCodes", Class::Secret),
        ],
    );
    const KEEP: Keep = Keep::with_account("signing in needs its codes; its owner can turn it off");

    fn id(&self) -> &str {
        &self.id
    }
}

/// A code that was accepted, and can't be used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accepted {
    /// A code of the authenticator app.
    Totp,
    /// A recovery code.
    RecoveryCode {
        /// Number of codes that are left.
        left: usize,
    },
}

impl SecondFactor {
    /// A second factor that is not on yet.
    pub fn enrolled(account: &str, secret: String, now: Timestamp) -> Self {
        Self {
            id: account.to_owned(),
            secret,
            created_at: now,
            confirmed_at: None,
            last_step: None,
            recovery_codes: vec![],
        }
    }

    /// Whether signing in needs a code.
    pub fn is_on(&self) -> bool {
        self.confirmed_at.is_some()
    }

    /// Turns it on.
    pub fn confirm(&mut self, now: Timestamp) {
        self.confirmed_at = Some(now);
    }

    /// Accepts a TOTP code, if it is valid at `now` and later than every code that was accepted before.
    pub fn accept_totp(&mut self, secret: &TotpSecret, code: &str, now: Timestamp) -> Option<Accepted> {
        let step = secret.step_of(code, now).filter(|step| self.last_step.is_none_or(|last| *step > last))?;
        self.last_step = Some(step);
        Some(Accepted::Totp)
    }

    /// Accepts a recovery code that was not used yet.
    pub fn accept_recovery_code(&mut self, code: &RecoveryCode) -> Option<Accepted> {
        let hash = code.hash(&self.id);
        let is_it = |known: &String| bool::from(known.as_bytes().ct_eq(hash.as_bytes()));
        let place = self.recovery_codes.iter().position(is_it)?;
        self.recovery_codes.remove(place);
        Some(Accepted::RecoveryCode { left: self.recovery_codes.len() })
    }

    /// Replaces the recovery codes. Earlier ones are no longer accepted.
    pub fn set_recovery_codes(&mut self, codes: &[RecoveryCode]) {
        self.recovery_codes = codes.iter().map(|code| code.hash(&self.id)).collect();
    }
}

#[cfg(test)]
#[path = "model_tests.rs"]
mod tests;
