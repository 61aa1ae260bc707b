//! Operations on the second factor.

use std::sync::Arc;

use base64::prelude::{BASE64_STANDARD, Engine};
use poem_openapi::param::Path;
use poem_openapi::payload::Json;
use poem_openapi::types::{Example, Password};
use poem_openapi::{ApiResponse, Object, OpenApi, Tags};

use super::model::RecoveryCode;
use super::service::{
    CodeError, ConfirmTotpError, DisableTotpError, EnrolTotpError, Enrolment, RenewRecoveryCodesError,
    ResetTotpError, SecondFactors,
};
use crate::features::accounts::{ChangeCredentialsError, no_such_account};
use crate::http::rights::{Administer, LeaderSession};
use crate::http::{By, Client, Examples, Failure, JsonBody, Kind, Problem, Refusal, invalid};
use crate::kernel::{FieldError, Secret};
use crate::platform::signals::TooMany;
use crate::platform::store::StoreError;

#[derive(Tags)]
enum Tag {
    /// The second factor of leaders: codes of an authenticator app, and recovery codes.
    #[oai(rename = "Second factor")]
    SecondFactor,
}

const PASSWORD: &str = "seven maple canoes drift";

// ---- requests ----

/// The current password.
#[derive(Object)]
#[oai(rename_all = "camelCase", deny_unknown_fields, example)]
pub struct EnrolTotpBody {
    /// Current password.
    #[oai(validator(max_length = 512))]
    current_password: Password,
}

impl Example for EnrolTotpBody {
    fn example() -> Self {
        Self { current_password: Password(PASSWORD.into()) }
    }
}

/// A code of the authenticator app.
#[derive(Object)]
#[oai(rename_all = "camelCase", deny_unknown_fields, example)]
pub struct TotpCodeBody {
    /// The six digits that the authenticator app shows. Spaces don't matter.
    #[oai(validator(min_length = 1, max_length = 64))]
    code: String,
}

impl Example for TotpCodeBody {
    fn example() -> Self {
        Self { code: "287 082".into() }
    }
}

/// The current password and a code.
#[derive(Object)]
#[oai(rename_all = "camelCase", deny_unknown_fields, example)]
pub struct DisableTotpBody {
    /// Current password.
    #[oai(validator(max_length = 512))]
    current_password: Password,
    /// The six digits that the authenticator app shows, or a recovery code. Spaces and hyphens don't matter.
    #[oai(validator(min_length = 1, max_length = 64))]
    code: String,
}

impl Example for DisableTotpBody {
    fn example() -> Self {
        Self { current_password: Password(PASSWORD.into()), code: "LJNF-UWS2-LJNF-UWS2".into() }
    }
}

// ---- responses ----

/// What an authenticator app needs. Shown once.
#[derive(Object)]
#[oai(rename = "TotpEnrolment", rename_all = "camelCase", example)]
pub struct EnrolmentBody {
    /// Secret in base32, to be typed into the app where the QR code can't be scanned.
    secret: String,
    /// `otpauth://` URI: the content of the QR code. On a phone, a link to it opens the app.
    uri: String,
    /// QR code as a `data:` URI of an SVG, for the `src` of an image.
    qr_code: String,
}

impl From<Enrolment> for EnrolmentBody {
    fn from(enrolment: Enrolment) -> Self {
        let svg = BASE64_STANDARD.encode(enrolment.qr.svg("QR code for your authenticator app"));
        Self {
            secret: enrolment.secret.base32(),
            uri: enrolment.uri.expose().clone(),
            qr_code: format!("data:image/svg+xml;base64,{svg}"),
        }
    }
}

impl Example for EnrolmentBody {
    fn example() -> Self {
        Self {
            secret: "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ".into(),
            uri: "otpauth://totp/Orientation%20Week:sam%40example%2Eorg?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ\
                  &issuer=Orientation%20Week&algorithm=SHA1&digits=6&period=30"
                .into(),
            qr_code: "data:image/svg+xml;base64,PHN2Zy8+".into(),
        }
    }
}

/// Ten recovery codes. Shown once.
#[derive(Object)]
#[oai(rename = "RecoveryCodes", rename_all = "camelCase", example)]
pub struct RecoveryCodesBody {
    /// Recovery codes. Each of them replaces a code of the authenticator app once.
    recovery_codes: Vec<String>,
}

impl From<Vec<RecoveryCode>> for RecoveryCodesBody {
    fn from(codes: Vec<RecoveryCode>) -> Self {
        Self { recovery_codes: codes.iter().map(RecoveryCode::written).collect() }
    }
}

impl Example for RecoveryCodesBody {
    fn example() -> Self {
        Self { recovery_codes: vec!["LJNF-UWS2-LJNF-UWS2".into(), "OBQX-G43X-N5ZG-IYLT".into()] }
    }
}

/// The second factor is off.
#[derive(ApiResponse)]
pub enum TurnedOff {
    /// The second factor is off. Sign-in needs the password only.
    #[oai(status = 204)]
    TurnedOff,
}

// ---- refusals ----

const ALREADY_ON: Kind = Kind::new(409, "second-factor-on", "Second factor already on");
const NOT_ENROLLED: Kind = Kind::new(409, "totp-not-enrolled", "Nothing to confirm");
const NOT_ON: Kind = Kind::new(409, "second-factor-off", "No second factor");
const DEMANDED: Kind = Kind::new(409, "second-factor-demanded", "Administrators need a second factor");
const OWN: Kind = Kind::new(409, "own-second-factor", "Your own second factor");

const CODE_MISSING: Kind = Kind::new(401, "second-factor-code-missing", "Code missing");
const CODE_WRONG: Kind = Kind::new(401, "second-factor-code-wrong", "Wrong code");

/// What sign-in answers after the right password.
impl Refusal for CodeError {
    fn examples() -> Examples<Self> {
        Examples::of([Self::Missing, Self::Wrong]).and::<StoreError>()
    }

    fn problem(self) -> Problem {
        match self {
            Self::Missing => CODE_MISSING.says(
                "This account has a second factor. Send the code that your authenticator app shows, or a recovery code, \
                 as `code`.",
            ),
            Self::Wrong => CODE_WRONG.says(
                "This code is wrong or was used already. Send the code that your authenticator app shows now, or a \
                 recovery code.",
            ),
            Self::Store(error) => error.problem(),
        }
    }
}

/// The problem of a code in the body of another operation.
fn code_problem(error: CodeError) -> Problem {
    let detail =
        "This code is wrong or was used already. Enter the code that your authenticator app shows now.";
    match error {
        CodeError::Missing | CodeError::Wrong => {
            invalid(vec![FieldError::new("/code", "wrong-code", detail)])
        }
        CodeError::Store(error) => error.problem(),
    }
}

fn already_on() -> Problem {
    ALREADY_ON.says(
        "Your account has a second factor. To set up another app, turn it off with `disableTotp` first.",
    )
}

fn not_on() -> Problem {
    NOT_ON.says("Your account has no second factor. Set one up with `enrolTotp` and `confirmTotp`.")
}

impl Refusal for EnrolTotpError {
    fn examples() -> Examples<Self> {
        Examples::of([Self::AlreadyOn]).and::<ChangeCredentialsError>()
    }

    fn problem(self) -> Problem {
        match self {
            Self::AlreadyOn => already_on(),
            Self::Account(error) => error.problem(),
            Self::Store(error) => error.problem(),
        }
    }
}

impl Refusal for ConfirmTotpError {
    fn examples() -> Examples<Self> {
        Examples::of([Self::NotEnrolled, Self::AlreadyOn, CodeError::Wrong.into()])
            .and::<TooMany>()
            .and::<StoreError>()
    }

    fn problem(self) -> Problem {
        match self {
            Self::NotEnrolled => {
                NOT_ENROLLED.says("Call `enrolTotp` first, and set up your authenticator app.")
            }
            Self::AlreadyOn => already_on(),
            Self::Code(error) => code_problem(error),
            Self::TooMany(error) => error.problem(),
            Self::Store(error) => error.problem(),
        }
    }
}

impl Refusal for DisableTotpError {
    fn examples() -> Examples<Self> {
        Examples::of([Self::NotOn, Self::Demanded]).and::<ChangeCredentialsError>()
    }

    fn problem(self) -> Problem {
        match self {
            Self::NotOn => not_on(),
            Self::Demanded => DEMANDED.says(
                "This event demands a second factor of administrators. If you have lost your phone, another \
                 administrator can reset yours.",
            ),
            Self::Account(error) => error.problem(),
            Self::Code(error) => code_problem(error),
            Self::TooMany(error) => error.problem(),
            Self::Store(error) => error.problem(),
        }
    }
}

impl Refusal for RenewRecoveryCodesError {
    fn examples() -> Examples<Self> {
        Examples::of([Self::NotOn, CodeError::Wrong.into()]).and::<TooMany>().and::<StoreError>()
    }

    fn problem(self) -> Problem {
        match self {
            Self::NotOn => not_on(),
            Self::Code(error) => code_problem(error),
            Self::TooMany(error) => error.problem(),
            Self::Store(error) => error.problem(),
        }
    }
}

impl Refusal for ResetTotpError {
    fn examples() -> Examples<Self> {
        Examples::of([Self::NotFound, Self::NotOn, Self::Own]).and::<StoreError>()
    }

    fn problem(self) -> Problem {
        match self {
            Self::NotFound => no_such_account(),
            Self::NotOn => NOT_ON.says("This account has no second factor."),
            Self::Own => OWN.says("Turn off your own second factor with `disableTotp`."),
            Self::Store(error) => error.problem(),
        }
    }
}

// ---- operations ----

/// The operations on second factors.
pub struct SecondFactorController(Arc<SecondFactors>);

impl SecondFactorController {
    /// The operations on `factors`.
    pub fn new(factors: Arc<SecondFactors>) -> Self {
        Self(factors)
    }
}

#[OpenApi(tag = "Tag::SecondFactor")]
impl SecondFactorController {
    /// Enrol an authenticator app
    ///
    /// Makes a secret for your app. The second factor is on when `confirmTotp` has seen a code of it. Calling this again
    /// before that replaces the secret.
    #[oai(path = "/v1/me/totp", method = "post", operation_id = "enrolTotp")]
    async fn enrol_totp(
        &self,
        By(caller): By<LeaderSession>,
        body: JsonBody<EnrolTotpBody>,
    ) -> Result<Json<EnrolmentBody>, Failure<EnrolTotpError>> {
        let password = Secret::new(body.0.current_password.0);
        Ok(Json(self.0.enrol(&caller, &password).await?.into()))
    }

    /// Turn on the second factor
    ///
    /// Confirms with a code that your app has the secret of `enrolTotp`. From then on, `signIn` needs a code. Returns ten
    /// recovery codes for the case that you lose your phone, each good once: they are shown only now.
    #[oai(path = "/v1/me/totp/confirm", method = "post", operation_id = "confirmTotp")]
    async fn confirm_totp(
        &self,
        By(caller): By<LeaderSession>,
        client: Client,
        body: JsonBody<TotpCodeBody>,
    ) -> Result<Json<RecoveryCodesBody>, Failure<ConfirmTotpError>> {
        Ok(Json(self.0.confirm(&caller, client.0, &body.0.code).await?.into()))
    }

    /// Turn off the second factor
    ///
    /// The recovery codes no longer work. Administrators can't turn it off if the event demands it of them.
    #[oai(path = "/v1/me/totp/disable", method = "post", operation_id = "disableTotp")]
    async fn disable_totp(
        &self,
        By(caller): By<LeaderSession>,
        client: Client,
        body: JsonBody<DisableTotpBody>,
    ) -> Result<TurnedOff, Failure<DisableTotpError>> {
        let password = Secret::new(body.0.current_password.0);
        self.0.disable(&caller, client.0, &password, &body.0.code).await?;
        Ok(TurnedOff::TurnedOff)
    }

    /// Renew your recovery codes
    ///
    /// Returns ten new codes, which are shown only now. Earlier codes no longer work. Needs a code of the authenticator
    /// app; a recovery code is not enough.
    #[oai(path = "/v1/me/recovery-codes", method = "post", operation_id = "renewRecoveryCodes")]
    async fn renew_recovery_codes(
        &self,
        By(caller): By<LeaderSession>,
        client: Client,
        body: JsonBody<TotpCodeBody>,
    ) -> Result<Json<RecoveryCodesBody>, Failure<RenewRecoveryCodesError>> {
        Ok(Json(self.0.renew_recovery_codes(&caller, client.0, &body.0.code).await?.into()))
    }

    /// Reset somebody's second factor
    ///
    /// For somebody who has lost both phone and recovery codes. Verify first that the owner asks for
    /// it. The owner gets an email.
    /// Administrators turn off their own with `disableTotp`.
    #[oai(path = "/v1/accounts/:accountId/totp", method = "delete", operation_id = "resetTotp")]
    async fn reset_totp(
        &self,
        caller: By<Administer>,
        /// Id of the account.
        #[oai(name = "accountId", example = "an_account")]
        account_id: Path<String>,
    ) -> Result<TurnedOff, Failure<ResetTotpError>> {
        self.0.reset(&caller.0.actor, &account_id.0).await?;
        Ok(TurnedOff::TurnedOff)
    }
}

/// A well-formed id of no account.
fn an_account() -> String {
    "019f0000-0000-7000-8000-000000000000".into()
}
