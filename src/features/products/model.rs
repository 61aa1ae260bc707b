//! The state of a sale, who may buy, and which order of a product an account has.

use serde::{Deserialize, Serialize};

use crate::config::{BuyerKind, Buyers, Product};
use crate::features::payments::Stock;
use crate::features::registration::{Registration, RegistrationState};
use crate::kernel::{Rights, Timestamp};
use crate::platform::audit::Action;
use crate::platform::store::{Class, Document, Keep, Owner, Personal, PersonalField};

/// An administrator changed the number of places of a product.
pub const CAPACITY_SET: Action = Action::new("product.capacity-set");

/// Whether a product can be ordered now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SaleState {
    /// The sale has not begun.
    NotYet,
    /// It can be ordered.
    Open,
    /// All places are taken.
    SoldOut,
    /// The sale is over.
    Ended,
}

impl SaleState {
    /// The state at `now`; `stock` has the places of a product with a capacity.
    pub fn of(product: &Product, stock: Option<&Stock>, now: Timestamp) -> Self {
        if product.opens.is_some_and(|opens| now < opens) {
            Self::NotYet
        } else if product.closes.is_some_and(|closes| closes <= now) {
            Self::Ended
        } else if stock.is_some_and(|stock| stock.free() == 0) {
            Self::SoldOut
        } else {
            Self::Open
        }
    }
}

/// Why an account can't buy a product.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotEligible {
    #[error("the registration form orders it")]
    ByForm,
    #[error("only registered students can buy it")]
    NotRegistered,
    #[error("only leaders can buy it")]
    NotALeader,
    #[error("only students of some disciplines can buy it")]
    Discipline,
    #[error("only members of some groups can buy it")]
    Group,
}

/// Whether these rights and this registration allow somebody to buy a product.
///
/// # Errors
/// [`NotEligible`]
pub fn check_buyer(
    buyers: &Buyers,
    rights: &Rights,
    registration: Option<&Registration>,
) -> Result<(), NotEligible> {
    let leader = rights.is_approved_leader();
    let student = registration.filter(|registration| registration.state == RegistrationState::Registered);
    match (buyers.who, student) {
        (BuyerKind::Leaders, _) if !leader => Err(NotEligible::NotALeader),
        (BuyerKind::Students, None) => Err(NotEligible::NotRegistered),
        (BuyerKind::Everyone, None) if !leader => Err(NotEligible::NotRegistered),
        (BuyerKind::Leaders, _) | (BuyerKind::Everyone, None) => Ok(()),
        (BuyerKind::Students | BuyerKind::Everyone, Some(student)) => check_student(buyers, student),
    }
}

fn check_student(buyers: &Buyers, student: &Registration) -> Result<(), NotEligible> {
    let is_one_of = |list: &[String], value: &str| list.is_empty() || list.iter().any(|one| one == value);
    if !is_one_of(&buyers.disciplines, &student.form.discipline) {
        Err(NotEligible::Discipline)
    } else if !is_one_of(&buyers.groups, &student.group) {
        Err(NotEligible::Group)
    } else {
        Ok(())
    }
}

/// The order of a product that an account has. It makes an account buy a product once: the transaction that orders it
/// reads and writes this document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Purchase {
    /// `<product>:<account>`.
    pub id: String,
    pub account: String,
    /// The latest order's id.
    pub order: String,
}

impl Purchase {
    /// The id of an account's purchase of a product.
    pub fn id_of(product: &str, account: &str) -> String {
        format!("{product}:{account}")
    }
}

impl Document for Purchase {
    const COLLECTION: &'static str = "purchases";
    const PERSONAL: Personal =
        Personal::Of(Owner::Account("account"), &[PersonalField::new("order", Class::Payment)]);
    const KEEP: Keep = Keep::until_disposal("an account buys each product once");

    fn id(&self) -> &str {
        &self.id
    }
}
