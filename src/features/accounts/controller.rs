//! Operations on accounts.

use std::sync::Arc;
use std::time::Duration;

use poem_openapi::payload::Json;
use poem_openapi::types::{Example, MaybeUndefined, Password};
use poem_openapi::{ApiResponse, Enum, Object, OpenApi, Tags};
use serde_json::Value;

use super::errors::{
    AuthenticateError, ChangeCredentialsError, ConfirmAccountError, ConfirmEmailError, GetMeError,
    ResetPasswordError, SendLinkError, SignUpError, UpdateMeError,
};
use super::model::{self, Account, Approval, NamesChange, SignUpForm, TokenRefused};
use super::passwords::HashingOverloaded;
use super::service::Accounts;
use crate::http::rights::{AnySession, Anybody, SignedIn};
use crate::http::{
    By, Client, EmailText, Examples, Failure, JsonBody, Kind, Problem, Refusal, Rule, busy, not_signed_in,
};
use crate::kernel::{FieldError, Invalid, Role, Secret};
use crate::platform::signals::TooMany;
use crate::platform::store::StoreError;

#[derive(Tags)]
enum Tag {
    /// Signing up, signing in, and one's own account.
    Accounts,
}

const EMAIL: &str = "alex.student@example.org";
const PASSWORD: &str = "seven maple canoes drift";
const NEW_PASSWORD: &str = "eight copper kites rise";

// ---- requests ----

/// A sign-up.
#[derive(Object)]
#[oai(rename_all = "camelCase", deny_unknown_fields, example)]
pub struct SignUpBody {
    /// Email address, to be confirmed by a link in an email. Upper and lower case don't matter when you sign in.
    #[oai(validator(max_length = 254))]
    email: EmailText,
    /// Password of 8 to 128 characters. A few words are best; passwords that are easy to guess are refused. Stored only as a
    /// hash.
    #[oai(validator(min_length = 8, max_length = 128))]
    password: Password,
    /// First name, or the only name. 1 to 100 characters.
    #[oai(validator(min_length = 1, max_length = 100))]
    first_name: String,
    /// Last name, if you have one. At most 100 characters.
    #[oai(validator(max_length = 100))]
    last_name: Option<String>,
    /// Name to address you by, if it isn't your first name. At most 100 characters.
    #[oai(validator(max_length = 100))]
    preferred_name: Option<String>,
    /// Role of the account; `student` by default. The committee approves leaders before anything else works for them.
    role: Option<RoleBody>,
}

impl Example for SignUpBody {
    fn example() -> Self {
        Self {
            email: EMAIL.into(),
            password: Password(PASSWORD.into()),
            first_name: "Alexandra".into(),
            last_name: Some("Student".into()),
            preferred_name: Some("Alex".into()),
            role: Some(RoleBody::Student),
        }
    }
}

impl From<SignUpBody> for SignUpForm {
    fn from(body: SignUpBody) -> Self {
        Self {
            email: body.email.into_inner(),
            password: Secret::new(body.password.0),
            first_name: body.first_name,
            last_name: body.last_name,
            preferred_name: body.preferred_name,
            role: body.role.map_or(Role::Student, Role::from),
        }
    }
}

/// What an account is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename = "Role", rename_all = "camelCase")]
pub enum RoleBody {
    /// An incoming student.
    Student,
    /// A volunteer. An administrator is a leader with the scope `admin:all`.
    Leader,
}

impl From<Role> for RoleBody {
    fn from(role: Role) -> Self {
        match role {
            Role::Student => Self::Student,
            Role::Leader => Self::Leader,
        }
    }
}

impl From<RoleBody> for Role {
    fn from(role: RoleBody) -> Self {
        match role {
            RoleBody::Student => Self::Student,
            RoleBody::Leader => Self::Leader,
        }
    }
}

/// Token of a link in an email.
#[derive(Object)]
#[oai(rename_all = "camelCase", deny_unknown_fields, example)]
pub struct TokenBody {
    /// Token: everything after `?token=` in the link.
    #[oai(validator(max_length = 512))]
    token: String,
}

const TOKEN: &str = "k1.AAAAAAAAAAAAAAAAAAAAADAxOTlhMGIxLTAwMDAtNzAwMC04MDAwLTAwMDAwMDAwMDAwMA";

impl Example for TokenBody {
    fn example() -> Self {
        Self { token: TOKEN.into() }
    }
}

/// An email address.
#[derive(Object)]
#[oai(rename_all = "camelCase", deny_unknown_fields, example)]
pub struct AddressBody {
    /// Email address of the account. Upper and lower case don't matter.
    #[oai(validator(max_length = 254))]
    email: EmailText,
}

impl Example for AddressBody {
    fn example() -> Self {
        Self { email: EMAIL.into() }
    }
}

/// A new password, and the token from the email.
#[derive(Object)]
#[oai(rename_all = "camelCase", deny_unknown_fields, example)]
pub struct ResetPasswordBody {
    /// Token: everything after `?token=` in the link.
    #[oai(validator(max_length = 512))]
    token: String,
    /// New password of 8 to 128 characters. Passwords that are easy to guess are refused.
    #[oai(validator(min_length = 8, max_length = 128))]
    password: Password,
}

impl Example for ResetPasswordBody {
    fn example() -> Self {
        Self { token: TOKEN.into(), password: Password(NEW_PASSWORD.into()) }
    }
}

/// Names to change. Omitted properties keep their value.
#[derive(Object)]
#[oai(rename_all = "camelCase", deny_unknown_fields, example)]
pub struct UpdateMeBody {
    /// First name, or the only name. 1 to 100 characters. It can't be removed.
    #[oai(validator(max_length = 100), skip_serializing_if = "MaybeUndefined::is_undefined")]
    first_name: MaybeUndefined<String>,
    /// Last name. At most 100 characters; `null` removes it.
    #[oai(validator(max_length = 100), skip_serializing_if = "MaybeUndefined::is_undefined")]
    last_name: MaybeUndefined<String>,
    /// Name to address you by. At most 100 characters; `null` removes it, and we use your first name.
    #[oai(validator(max_length = 100), skip_serializing_if = "MaybeUndefined::is_undefined")]
    preferred_name: MaybeUndefined<String>,
}

impl Example for UpdateMeBody {
    fn example() -> Self {
        Self {
            first_name: MaybeUndefined::Value("Alexandra".into()),
            last_name: MaybeUndefined::Value("Student".into()),
            preferred_name: MaybeUndefined::Value("Lex".into()),
        }
    }
}

impl From<UpdateMeBody> for NamesChange {
    fn from(body: UpdateMeBody) -> Self {
        Self {
            first: change(body.first_name),
            last: change(body.last_name),
            preferred: change(body.preferred_name),
        }
    }
}

/// `None` leaves a value as it is, `Some(None)` removes it.
fn change<T>(sent: MaybeUndefined<T>) -> Option<Option<T>> {
    match sent {
        MaybeUndefined::Undefined => None,
        MaybeUndefined::Null => Some(None),
        MaybeUndefined::Value(value) => Some(Some(value)),
    }
}

/// A change of the password.
#[derive(Object)]
#[oai(rename_all = "camelCase", deny_unknown_fields, example)]
pub struct ChangePasswordBody {
    /// Current password.
    #[oai(validator(max_length = 512))]
    current_password: Password,
    /// New password of 8 to 128 characters. Passwords that are easy to guess are refused.
    #[oai(validator(min_length = 8, max_length = 128))]
    new_password: Password,
}

impl Example for ChangePasswordBody {
    fn example() -> Self {
        Self { current_password: Password(PASSWORD.into()), new_password: Password(NEW_PASSWORD.into()) }
    }
}

/// A change of the email address.
#[derive(Object)]
#[oai(rename_all = "camelCase", deny_unknown_fields, example)]
pub struct ChangeEmailBody {
    /// Current password.
    #[oai(validator(max_length = 512))]
    current_password: Password,
    /// New email address. It replaces the current one when you follow the link that we send to it.
    #[oai(validator(max_length = 254))]
    email: EmailText,
}

impl Example for ChangeEmailBody {
    fn example() -> Self {
        Self { current_password: Password(PASSWORD.into()), email: "alex@example.org".into() }
    }
}

// ---- responses ----

/// Your account.
#[derive(Clone, Debug, Object)]
#[oai(rename = "Account", rename_all = "camelCase", skip_serializing_if_is_none, example)]
pub struct AccountBody {
    /// Id of the account.
    id: String,
    /// Email address: where emails are sent, and what you sign in with.
    email: String,
    /// New email address that is not confirmed yet.
    pending_email: Option<String>,
    /// First name, or the only name.
    first_name: String,
    /// Last name, if there is one.
    last_name: Option<String>,
    /// Name to address you by, if it isn't your first name.
    preferred_name: Option<String>,
    /// Role of the account.
    role: RoleBody,
    /// Whether the committee approved the leader. Students need no approval. Without it, a leader holds no scopes.
    approved: bool,
    /// Scopes that an administrator granted, such as `scanner:food`. Students have none.
    scopes: Vec<String>,
    /// Properties of registration forms that an administrator granted, such as `dietary`. Students have none.
    student_fields: Vec<String>,
    /// Students about whom an administrator allowed you to read, such as `group:Alpha`. Students have none.
    reach: Vec<String>,
    /// Whether sign-in needs a code of your second factor.
    second_factor: bool,
    /// Whether you get announcements and mailings by email. `unsubscribe` and `subscribe` change it.
    subscribed: bool,
    /// Time when the account was created (RFC 3339, UTC).
    created_at: String,
}

impl From<&Account> for AccountBody {
    fn from(account: &Account) -> Self {
        Self {
            id: account.id.clone(),
            email: account.email.to_string(),
            pending_email: account.pending_email.as_ref().map(|pending| pending.email.to_string()),
            first_name: account.first_name.clone(),
            last_name: account.last_name.clone(),
            preferred_name: account.preferred_name.clone(),
            role: account.role.into(),
            approved: account.approval == Approval::Approved,
            scopes: account.scopes.iter().map(ToString::to_string).collect(),
            student_fields: account.student_fields.iter().map(ToString::to_string).collect(),
            reach: account.reach.iter().map(ToString::to_string).collect(),
            second_factor: account.second_factor_since.is_some(),
            subscribed: account.unsubscribed_at.is_none(),
            created_at: account.created_at.rfc3339(),
        }
    }
}

impl Example for AccountBody {
    fn example() -> Self {
        Self {
            id: "0199a0b1-3c4d-7e5f-8a6b-9c0d1e2f3a4b".into(),
            email: EMAIL.into(),
            pending_email: None,
            first_name: "Alexandra".into(),
            last_name: Some("Student".into()),
            preferred_name: Some("Alex".into()),
            role: RoleBody::Student,
            approved: true,
            scopes: vec![],
            student_fields: vec![],
            reach: vec![],
            second_factor: false,
            subscribed: true,
            created_at: "2027-06-01T14:03:00.000Z".into(),
        }
    }
}

/// An email may follow.
#[derive(ApiResponse)]
pub enum Accepted {
    /// Accepted. If there is anything to do, an email says so.
    #[oai(status = 202)]
    Accepted,
}

/// Done, without content.
#[derive(ApiResponse)]
pub enum Done {
    /// Done.
    #[oai(status = 204)]
    Done,
}

// ---- refusals ----

const TOKEN_INVALID: Kind = Kind::new(404, "token-invalid", "Invalid link");
const TOKEN_USED: Kind = Kind::new(410, "token-used", "Link already used");
const TOKEN_EXPIRED: Kind = Kind::new(410, "token-expired", "Link expired");
const ADDRESS_TAKEN: Kind = Kind::new(409, "address-taken", "Address already in use");
const WRONG_CREDENTIALS: Kind = Kind::new(401, "wrong-credentials", "Wrong credentials");
const NO_SUCH_ACCOUNT: Kind = Kind::new(404, "no-such-account", "No such account");
const LAST_ADMINISTRATOR: Kind = Kind::new(409, "last-administrator", "Last administrator");

/// 404: no account has this id.
pub fn no_such_account() -> Problem {
    NO_SUCH_ACCOUNT.says("There is no account with this id. `listAccounts` lists all accounts.")
}

/// 409: nobody would be an administrator any more.
pub fn last_administrator() -> Problem {
    LAST_ADMINISTRATOR
        .says("This is the only administrator. Make somebody else an administrator first, and try again.")
}

impl Refusal for TokenRefused {
    fn examples() -> Examples<Self> {
        Examples::of([Self::Invalid, Self::Used, Self::Expired])
    }

    fn problem(self) -> Problem {
        match self {
            Self::Invalid => TOKEN_INVALID.says(
                "We did not issue this token, or issued it for something else. The link may have been truncated when \
                 it was copied: use everything after `?token=`.",
            ),
            Self::Used => TOKEN_USED.says(
                "This link was used already, or a newer one replaced it. If it was to confirm your address, try to \
                 sign in; otherwise request another email.",
            ),
            Self::Expired => TOKEN_EXPIRED.says("This link has expired. Request another email."),
        }
    }
}

impl Refusal for HashingOverloaded {
    fn examples() -> Examples<Self> {
        Examples::of([Self { retry_after: Duration::from_secs(2) }])
    }

    fn problem(self) -> Problem {
        busy(self.retry_after)
    }
}

impl Refusal for SignUpError {
    fn examples() -> Examples<Self> {
        Examples::of([]).and::<Invalid>().and::<TooMany>().and::<StoreError>()
    }

    fn problem(self) -> Problem {
        match self {
            Self::Invalid(error) => error.problem(),
            Self::TooMany(error) => error.problem(),
            Self::HashingOverloaded(error) => error.problem(),
            Self::Store(error) => error.problem(),
        }
    }
}

impl Refusal for SendLinkError {
    fn examples() -> Examples<Self> {
        Examples::of([]).and::<Invalid>().and::<TooMany>().and::<StoreError>()
    }

    fn problem(self) -> Problem {
        match self {
            Self::Invalid(error) => error.problem(),
            Self::TooMany(error) => error.problem(),
            Self::Store(error) => error.problem(),
        }
    }
}

impl Refusal for ConfirmAccountError {
    fn examples() -> Examples<Self> {
        Examples::of([]).and::<TokenRefused>().and::<StoreError>()
    }

    fn problem(self) -> Problem {
        match self {
            Self::Token(why) => why.problem(),
            Self::Store(error) => error.problem(),
        }
    }
}

impl Refusal for AuthenticateError {
    fn examples() -> Examples<Self> {
        Examples::of([Self::WrongCredentials]).and::<Invalid>().and::<TooMany>().and::<StoreError>()
    }

    fn problem(self) -> Problem {
        match self {
            Self::WrongCredentials => WRONG_CREDENTIALS.says(
                "The address or the password is wrong, or the address is not confirmed yet. If you have just signed \
                 up, follow the link in our email; `resendConfirmation` sends it again. If you forgot your password, \
                 `requestPasswordReset` sends a link to set a new one.",
            ),
            Self::Invalid(error) => error.problem(),
            Self::TooMany(error) => error.problem(),
            Self::HashingOverloaded(error) => error.problem(),
            Self::Store(error) => error.problem(),
        }
    }
}

impl Refusal for ResetPasswordError {
    fn examples() -> Examples<Self> {
        Examples::of([]).and::<TokenRefused>().and::<Invalid>().and::<StoreError>()
    }

    fn problem(self) -> Problem {
        match self {
            Self::Token(why) => why.problem(),
            Self::Invalid(error) => error.problem(),
            Self::HashingOverloaded(error) => error.problem(),
            Self::Store(error) => error.problem(),
        }
    }
}

impl Refusal for GetMeError {
    fn examples() -> Examples<Self> {
        Examples::of([Self::SignedOut]).and::<StoreError>()
    }

    fn problem(self) -> Problem {
        match self {
            Self::SignedOut => not_signed_in(),
            Self::Store(error) => error.problem(),
        }
    }
}

impl Refusal for UpdateMeError {
    fn examples() -> Examples<Self> {
        Examples::of([Self::SignedOut]).and::<Invalid>().and::<StoreError>()
    }

    fn problem(self) -> Problem {
        match self {
            Self::SignedOut => not_signed_in(),
            Self::Invalid(error) => error.problem(),
            Self::Store(error) => error.problem(),
        }
    }
}

impl Refusal for ChangeCredentialsError {
    fn examples() -> Examples<Self> {
        Examples::of([Self::SignedOut]).and::<Invalid>().and::<TooMany>().and::<StoreError>()
    }

    fn problem(self) -> Problem {
        match self {
            Self::SignedOut => not_signed_in(),
            Self::Invalid(error) => error.problem(),
            Self::TooMany(error) => error.problem(),
            Self::HashingOverloaded(error) => error.problem(),
            Self::Store(error) => error.problem(),
        }
    }
}

impl Refusal for ConfirmEmailError {
    fn examples() -> Examples<Self> {
        Examples::of([Self::Taken]).and::<TokenRefused>().and::<StoreError>()
    }

    fn problem(self) -> Problem {
        match self {
            Self::Token(why) => why.problem(),
            Self::Taken => ADDRESS_TAKEN
                .says("An account has this address already. Sign in to it, or choose another address."),
            Self::Store(error) => error.problem(),
        }
    }
}

// ---- operations ----

/// The operations on accounts.
pub struct AccountsController(Arc<Accounts>);

impl AccountsController {
    /// The operations of `accounts`.
    pub fn new(accounts: Arc<Accounts>) -> Self {
        Self(accounts)
    }
}

#[OpenApi(tag = "Tag::Accounts")]
impl AccountsController {
    /// Sign up
    ///
    /// Sends an email with a link that confirms the address and creates the account. The link expires after 24 hours.
    /// The response is the same whether or not the address has an account: if it has one, its owner gets an email that
    /// says so. In the sandbox, emails are at `/outbox`.
    #[oai(path = "/v1/accounts", method = "post", operation_id = "signUp")]
    async fn sign_up(
        &self,
        _anybody: By<Anybody>,
        client: Client,
        body: JsonBody<SignUpBody>,
    ) -> Result<Accepted, Failure<SignUpError>> {
        self.0.sign_up(body.0.into(), client.0).await?;
        Ok(Accepted::Accepted)
    }

    /// Confirm an email address
    ///
    /// Creates the account of the sign-up that the token was sent for. Other sign-ups with the same address are
    /// deleted.
    #[oai(path = "/v1/accounts/confirm", method = "post", operation_id = "confirmAccount")]
    async fn confirm_account(
        &self,
        _anybody: By<Anybody>,
        body: JsonBody<TokenBody>,
    ) -> Result<Done, Failure<ConfirmAccountError>> {
        self.0.confirm_account(&body.0.token).await?;
        Ok(Done::Done)
    }

    /// Resend the confirmation email
    ///
    /// Sends another email for the latest sign-up of the address. The response is the same whether or not there is one.
    #[oai(path = "/v1/accounts/confirmation", method = "post", operation_id = "resendConfirmation")]
    async fn resend_confirmation(
        &self,
        _anybody: By<Anybody>,
        client: Client,
        body: JsonBody<AddressBody>,
    ) -> Result<Accepted, Failure<SendLinkError>> {
        self.0.resend_confirmation(body.0.email.as_ref(), client.0).await?;
        Ok(Accepted::Accepted)
    }

    /// Request a password reset
    ///
    /// Sends an email with a link that sets a new password. The link expires after an hour. The response is the same
    /// whether or not the address is known.
    #[oai(path = "/v1/password-resets", method = "post", operation_id = "requestPasswordReset")]
    async fn request_password_reset(
        &self,
        _anybody: By<Anybody>,
        client: Client,
        body: JsonBody<AddressBody>,
    ) -> Result<Accepted, Failure<SendLinkError>> {
        self.0.request_password_reset(body.0.email.as_ref(), client.0).await?;
        Ok(Accepted::Accepted)
    }

    /// Reset the password
    ///
    /// Sets a new password with the token from the email. All sessions end: sign in with the new password. If the
    /// address was not confirmed yet, it is now.
    #[oai(path = "/v1/password-resets/complete", method = "post", operation_id = "resetPassword")]
    async fn reset_password(
        &self,
        _anybody: By<Anybody>,
        body: JsonBody<ResetPasswordBody>,
    ) -> Result<Done, Failure<ResetPasswordError>> {
        let password = Secret::new(body.0.password.0);
        self.0.reset_password(&body.0.token, &password).await?;
        Ok(Done::Done)
    }

    /// Get your account
    ///
    /// Returns your names, email address, role and scopes.
    #[oai(path = "/v1/me", method = "get", operation_id = "getMe")]
    async fn get_me(&self, caller: By<AnySession>) -> Result<Json<AccountBody>, Failure<GetMeError>> {
        Ok(Json(AccountBody::from(&self.0.me(&caller.0).await?)))
    }

    /// Change your names
    ///
    /// Omitted properties keep their value. `changeEmail` and `changePassword` change the address and the password.
    #[oai(path = "/v1/me", method = "patch", operation_id = "updateMe")]
    async fn update_me(
        &self,
        caller: By<SignedIn>,
        body: JsonBody<UpdateMeBody>,
    ) -> Result<Json<AccountBody>, Failure<UpdateMeError>> {
        let account = self.0.update_me(&caller.0, &body.0.into()).await?;
        Ok(Json(AccountBody::from(&account)))
    }

    /// Change your password
    ///
    /// Your other sessions end, a pending change of the email address is cancelled, and you get an email about it.
    #[oai(path = "/v1/me/password", method = "put", operation_id = "changePassword")]
    async fn change_password(
        &self,
        caller: By<SignedIn>,
        body: JsonBody<ChangePasswordBody>,
    ) -> Result<Done, Failure<ChangeCredentialsError>> {
        let (current, new) = (Secret::new(body.0.current_password.0), Secret::new(body.0.new_password.0));
        self.0.change_password(&caller.0, &current, &new).await?;
        Ok(Done::Done)
    }

    /// Change your email address
    ///
    /// Sends an email with a link to the new address, and a notice to the current one, which remains valid until you
    /// follow the link. The link expires after 24 hours. The response is the same whether or not the new address has an
    /// account. Changing the password cancels a pending address change.
    #[oai(path = "/v1/me/email", method = "put", operation_id = "changeEmail")]
    async fn change_email(
        &self,
        caller: By<SignedIn>,
        body: JsonBody<ChangeEmailBody>,
    ) -> Result<Accepted, Failure<ChangeCredentialsError>> {
        let password = Secret::new(body.0.current_password.0);
        self.0.change_email(&caller.0, &password, body.0.email.as_ref()).await?;
        Ok(Accepted::Accepted)
    }

    /// Confirm a new email address
    ///
    /// Replaces the address of the account by the one that the token was sent to. It needs no session, because emails are
    /// often opened on another device.
    #[oai(path = "/v1/me/email/confirm", method = "post", operation_id = "confirmEmail")]
    async fn confirm_email(
        &self,
        _anybody: By<Anybody>,
        body: JsonBody<TokenBody>,
    ) -> Result<Done, Failure<ConfirmEmailError>> {
        self.0.confirm_email(&body.0.token).await?;
        Ok(Done::Done)
    }
}

/// Rules on addresses and names that schemas can't express. Password strength is not among them: it takes a millisecond to
/// compute, so only a body that is otherwise valid is worth it.
pub fn rules() -> Vec<Rule> {
    let bodies = ["SignUpBody", "AddressBody", "ChangeEmailBody", "UpdateMeBody"];
    bodies.map(|body| -> Rule { (body, Box::new(addresses_and_names)) }).into()
}

/// The rule on `email` of a body.
pub fn check_address(body: &Value) -> Vec<FieldError> {
    let written = body.get("email").and_then(Value::as_str);
    written.and_then(|email| model::address("/email", email).err()).into_iter().collect()
}

fn addresses_and_names(body: &Value) -> Vec<FieldError> {
    let written = |property: &str| body.get(property).and_then(Value::as_str);
    let names = ["firstName", "lastName", "preferredName"];
    let links = names.iter().filter_map(|name| model::link(&format!("/{name}"), written(name)?));
    links.chain(check_address(body)).collect()
}

#[cfg(test)]
mod tests {
    use poem::http::StatusCode;
    use poem::test::{TestClient, TestResponse};
    use poem::{Endpoint, Response, Route};
    use serde_json::{Value, json};
    use url::Url;

    use super::super::model::Purpose;
    use super::super::tests::World;
    use super::*;
    use crate::features::sessions::SessionsController;
    use crate::http::pages::PageLayout;
    use crate::http::testing::NoMachines;
    use crate::http::{Api, ApiParts};
    use poem_openapi::types::ToJSON;

    fn api(world: &World) -> TestClient<impl Endpoint<Output = Response>> {
        let accounts = AccountsController::new(world.accounts.clone());
        let sessions = SessionsController::new(&world.base, world.sessions.clone());
        let parts = ApiParts {
            public_url: Url::parse("http://127.0.0.1:3000").unwrap(),
            frontend_url: None,
            trusted_proxies: vec![],
            callers: world.sessions.clone(),
            machines: Arc::new(NoMachines),
            rules: rules(),
            any_origin: vec![],
            page_layout: Arc::new(PageLayout::sample()),
        };
        let api = Api::new((accounts, sessions), Route::new(), parts).into_endpoint();
        TestClient::new(api).default_header("host", "127.0.0.1:3000")
    }

    async fn json_of(answer: TestResponse) -> Value {
        serde_json::from_slice(&answer.0.into_body().into_vec().await.unwrap()).unwrap()
    }

    #[tokio::test]
    async fn the_examples_lead_from_sign_up_to_sign_out() {
        let world = World::new().await;
        let api = api(&world);
        let sign_up = SignUpBody::example().to_json().unwrap();
        api.post("/v1/accounts").body_json(&sign_up).send().await.assert_status(StatusCode::ACCEPTED);
        let sign_in = json!({ "email": EMAIL, "password": PASSWORD });
        let early = api.post("/v1/session").body_json(&sign_in).send().await;
        early.assert_status(StatusCode::UNAUTHORIZED);
        assert!(json_of(early).await["detail"].as_str().unwrap().contains("resendConfirmation"));

        let token = TokenBody::example().to_json().unwrap();
        let invented = api.post("/v1/accounts/confirm").body_json(&token).send().await;
        invented.assert_status(StatusCode::NOT_FOUND);
        assert_eq!(json_of(invented).await["type"], "/problems/token-invalid");
        let token = world.token("confirm-address", Purpose::ConfirmAccount, EMAIL).await;
        let confirm = api.post("/v1/accounts/confirm").body_json(&json!({ "token": token })).send().await;
        confirm.assert_status(StatusCode::NO_CONTENT);
        let again = api.post("/v1/accounts/confirm").body_json(&json!({ "token": token })).send().await;
        again.assert_status(StatusCode::GONE);

        let signed_in = api.post("/v1/session").body_json(&sign_in).send().await;
        signed_in.assert_status_is_ok();
        let cookie = signed_in.0.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
        assert!(cookie.starts_with("orientation_session="));
        let me = json_of(api.get("/v1/me").header("cookie", &cookie).send().await).await;
        assert_eq!(
            (&me["email"], &me["approved"], me.get("pendingEmail")),
            (&json!(EMAIL), &json!(true), None)
        );

        let patch = |body: Value| {
            api.patch("/v1/me")
                .header("cookie", &cookie)
                .header("origin", "http://127.0.0.1:3000")
                .body_json(&body)
                .send()
        };
        let renamed = json_of(patch(UpdateMeBody::example().to_json().unwrap()).await).await;
        assert_eq!(renamed["preferredName"], "Lex");
        let cleared = json_of(patch(json!({ "preferredName": null })).await).await;
        assert_eq!(cleared.get("preferredName"), None, "{cleared}");
        for theirs in ["scopes", "role", "approved", "email", "id"] {
            patch(json!({ theirs: "admin:all" })).await.assert_status(StatusCode::UNPROCESSABLE_ENTITY);
        }

        let wrong = json!({ "currentPassword": "nobody knows this one", "newPassword": NEW_PASSWORD });
        let change = api.put("/v1/me/password").header("cookie", &cookie).body_json(&wrong).send().await;
        change.assert_status(StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(json_of(change).await["errors"][0]["code"], "wrong-password");
        let change = ChangePasswordBody::example().to_json().unwrap();
        let change = api.put("/v1/me/password").header("cookie", &cookie).body_json(&change).send().await;
        change.assert_status(StatusCode::NO_CONTENT);
        let out = api.delete("/v1/session").header("cookie", &cookie).send().await;
        out.assert_status(StatusCode::NO_CONTENT);
        api.get("/v1/me").header("cookie", &cookie).send().await.assert_status(StatusCode::UNAUTHORIZED);
    }
}
