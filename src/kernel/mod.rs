//! Values that every part uses: times, ids, money, addresses, texts, secrets, rights. No I/O, no framework.

mod audience;
mod country;
mod email;
mod fault;
pub mod faults;
mod ids;
mod markdown;
mod money;
mod phone;
mod privacy;
mod rights;
mod secret;
mod student_field;
pub mod text;
mod time;

pub use audience::{Audience, Reader};
pub use country::is_country;
pub use email::{ADDRESS_MAX, BadEmailAddress, EmailAddress};
pub use fault::{FieldError, Invalid};
pub use ids::{Ids, RandomIds};
pub use markdown::Markdown;
pub use money::{BadCurrency, BadMoney, Currency, Money, NotChargeable};
pub use phone::{PHONE_MAX, e164};
pub use privacy::{Class, Retention};
pub use rights::{ALL_GROUPS, Actor, Caller, Principal, Reach, Right, Rights, Role, Scope, UnknownRight};
pub use secret::Secret;
pub use student_field::{QUESTION_ID_MAX, StudentField, is_question_id};
pub use time::{Clock, ManualClock, SystemClock, Timestamp};
