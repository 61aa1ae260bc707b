//! The products in `event.toml`: prices, sale windows, places, and who may buy.

use std::time::Duration;

use chrono_tz::Tz;
use serde::Deserialize;
use toml::Spanned;
use toml::value::Datetime;

use super::check::Check;
use super::event::NAME_LENGTH;
use crate::kernel::{Money, Timestamp};

/// The most places of a product.
pub const CAPACITY_MAX: u32 = 1_000_000;

/// How long a checkout of a product with a capacity can be paid, if the file doesn't say otherwise. Stripe's minimum; the
/// checkout of an order lasts two minutes longer at least, for clock skew.
const HOLD_MINUTES: u32 = 30;

/// How long a checkout of any other product can be paid: Stripe's maximum.
const LONGEST_HOLD_MINUTES: u32 = 24 * 60;

/// Something that is sold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Product {
    /// Stable identifier for programs. Unique.
    pub id: String,
    /// Name for people.
    pub name: String,
    /// Price of one.
    pub price: Money,
    /// Id of the price at Stripe. Without it, name and price are sent with each checkout.
    pub stripe_price: Option<String>,
    /// Lower price for early orders.
    pub early_bird: Option<EarlyBird>,
    /// Start of the sale, inclusive. Without it, the sale is open from the beginning.
    pub opens: Option<Timestamp>,
    /// End of the sale, exclusive. Without it, the sale doesn't end.
    pub closes: Option<Timestamp>,
    /// Number of places at first; an administrator can change it. Without it, there is no limit.
    pub capacity: Option<u32>,
    /// How long a checkout can be paid and keeps a place.
    pub hold: Duration,
    /// Who may buy it.
    pub buyers: Buyers,
}

/// Who may buy a product. Nobody buys more than one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Buyers {
    /// The kind of person.
    pub who: BuyerKind,
    /// Disciplines of which a student must have one. Empty for all.
    pub disciplines: Vec<String>,
    /// Groups of which a student must be a member of one. Empty for all.
    pub groups: Vec<String>,
}

/// The kind of person who may buy a product.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BuyerKind {
    /// Registered students.
    #[default]
    Students,
    /// Approved leaders.
    Leaders,
    /// Both.
    Everyone,
}

/// A lower price for early orders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EarlyBird {
    /// Id of the coupon at Stripe.
    pub coupon: String,
    /// Amount left to pay with the coupon.
    pub price: Money,
    /// End of the offer, exclusive.
    pub until: Timestamp,
}

impl Product {
    /// Id of the orientation ticket. A student who has paid for it is registered.
    pub const ORIENTATION: &str = "orientation";

    /// The price of an order that is made now.
    pub fn price_at(&self, now: Timestamp) -> Money {
        self.early_bird.as_ref().filter(|early| now < early.until).map_or(self.price, |early| early.price)
    }

    /// A product without limits, as a line with only these three keys configures it.
    pub fn of(id: &str, name: &str, price: Money) -> Self {
        Self {
            id: id.into(),
            name: name.into(),
            price,
            stripe_price: None,
            early_bird: None,
            opens: None,
            closes: None,
            capacity: None,
            hold: minutes(LONGEST_HOLD_MINUTES),
            buyers: Buyers::default(),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WrittenProduct {
    id: Spanned<String>,
    name: Spanned<String>,
    price: Spanned<String>,
    stripe_price: Option<Spanned<String>>,
    early_bird: Option<WrittenEarlyBird>,
    opens: Option<Spanned<Datetime>>,
    closes: Option<Spanned<Datetime>>,
    capacity: Option<Spanned<u32>>,
    hold_minutes: Option<Spanned<u32>>,
    buyers: Option<WrittenBuyers>,
}

impl WrittenProduct {
    fn has_rules_of_its_sale(&self) -> bool {
        self.opens.is_some() || self.closes.is_some() || self.capacity.is_some() || self.buyers.is_some()
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenBuyers {
    #[serde(default)]
    who: BuyerKind,
    #[serde(default)]
    disciplines: Vec<Spanned<String>>,
    #[serde(default)]
    groups: Vec<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenEarlyBird {
    coupon: Spanned<String>,
    price: Spanned<String>,
    until: Spanned<Datetime>,
}

/// The names that the other parts of the file define.
pub(super) struct Names<'a> {
    pub disciplines: &'a [String],
    pub groups: Vec<&'a str>,
}

impl Check<'_> {
    pub(super) fn products(
        &mut self,
        zone: Option<Tz>,
        names: &Names<'_>,
        written: &Spanned<Vec<WrittenProduct>>,
    ) -> Vec<Product> {
        let all = written.get_ref();
        self.bounded("products", written, 1);
        self.unique("products.id", all.iter().map(|product| &product.id));
        if !all.iter().any(|product| product.id.get_ref() == Product::ORIENTATION) {
            self.error("products", written.span(), "no product has the id \"orientation\"");
        }
        all.iter().filter_map(|one| self.product(zone, names, one)).collect()
    }

    fn product(&mut self, zone: Option<Tz>, names: &Names<'_>, written: &WrittenProduct) -> Option<Product> {
        let id = written.id.get_ref();
        let of_id = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if !(1..=32).contains(&id.len()) || !id.bytes().all(of_id) {
            let detail = "it is not 1 to 32 lowercase letters a to z, digits and hyphens";
            self.error("products.id", written.id.span(), detail);
        }
        let name = self.line("products.name", &written.name, NAME_LENGTH);
        let price = self.price("products.price", &written.price);
        let stripe_price = written.stripe_price.as_ref();
        let stripe_price = stripe_price.and_then(|one| self.id_at_stripe("products.stripe_price", one));
        if id == Product::ORIENTATION && written.has_rules_of_its_sale() {
            let detail = "the ticket is ordered with the registration form: `registration` says when, and every student can";
            self.error("products", written.id.span(), detail);
        }
        let early = written.early_bird.as_ref().map(|one| self.early_bird(zone?, price?, one));
        let (opens, closes) = self.sale_window(zone, written);
        let capacity = self.bounded_number("products.capacity", written.capacity.as_ref(), 0, CAPACITY_MAX);
        let hold = self.bounded_number(
            "products.hold_minutes",
            written.hold_minutes.as_ref(),
            HOLD_MINUTES,
            LONGEST_HOLD_MINUTES,
        );
        let hold = hold.unwrap_or(if capacity.is_some() { HOLD_MINUTES } else { LONGEST_HOLD_MINUTES });
        let buyers = written.buyers.as_ref().map(|buyers| self.buyers(names, buyers));
        Some(Product {
            stripe_price,
            early_bird: early.flatten(),
            opens,
            closes,
            capacity,
            hold: minutes(hold),
            buyers: buyers.unwrap_or_default(),
            ..Product::of(id, &name, price?)
        })
    }

    fn sale_window(
        &mut self,
        zone: Option<Tz>,
        written: &WrittenProduct,
    ) -> (Option<Timestamp>, Option<Timestamp>) {
        let opens = written.opens.as_ref().and_then(|at| self.local_time("products.opens", zone?, at));
        let closes = written.closes.as_ref().and_then(|at| self.local_time("products.closes", zone?, at));
        if let (Some(opens), Some(closes), Some(at)) = (opens, closes, &written.closes)
            && closes <= opens
        {
            self.error("products.closes", at.span(), "it is not after `opens`");
        }
        (opens, closes)
    }

    fn bounded_number(
        &mut self,
        key: &str,
        written: Option<&Spanned<u32>>,
        least: u32,
        most: u32,
    ) -> Option<u32> {
        let written = written?;
        if !(least..=most).contains(written.get_ref()) {
            self.error(key, written.span(), format!("it is not {least} to {most}"));
        }
        Some(*written.get_ref())
    }

    fn buyers(&mut self, names: &Names<'_>, written: &WrittenBuyers) -> Buyers {
        let mut known = |key: &str, listed: &[Spanned<String>], names: &dyn Fn(&str) -> bool| {
            for one in listed.iter().filter(|one| !names(one.get_ref())) {
                self.error(key, one.span(), format!("`{}` is not in the list of this file", one.get_ref()));
            }
            listed.iter().map(|one| one.get_ref().clone()).collect()
        };
        let disciplines = known("products.buyers.disciplines", &written.disciplines, &|name| {
            names.disciplines.iter().any(|one| one == name)
        });
        let groups = known("products.buyers.groups", &written.groups, &|name| names.groups.contains(&name));
        if let (BuyerKind::Leaders, Some(first)) =
            (written.who, written.disciplines.first().or(written.groups.first()))
        {
            self.error("products.buyers", first.span(), "leaders have no discipline and no group");
        }
        Buyers { who: written.who, disciplines, groups }
    }

    fn price(&mut self, key: &str, written: &Spanned<String>) -> Option<Money> {
        let parsed = written.get_ref().parse::<Money>().map_err(|bad| bad.to_string());
        let price =
            parsed.and_then(|price| price.check_chargeable().map(|()| price).map_err(|bad| bad.to_string()));
        price.map_err(|bad| self.error(key, written.span(), bad)).ok()
    }

    fn early_bird(&mut self, zone: Tz, full: Money, written: &WrittenEarlyBird) -> Option<EarlyBird> {
        let coupon = self.id_at_stripe("products.early_bird.coupon", &written.coupon);
        let price = self.price("products.early_bird.price", &written.price);
        let until = self.local_time("products.early_bird.until", zone, &written.until);
        let early = EarlyBird { coupon: coupon?, price: price?, until: until? };
        if early.price.currency != full.currency || early.price.amount >= full.amount {
            let detail = "it is not less than the price of the product, in the same currency";
            self.error("products.early_bird.price", written.price.span(), detail);
        }
        Some(early)
    }

    /// An id at Stripe, which is sent to Stripe as it is written.
    fn id_at_stripe(&mut self, key: &str, written: &Spanned<String>) -> Option<String> {
        let id = written.get_ref();
        let of_id = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
        if (1..=64).contains(&id.len()) && id.bytes().all(of_id) {
            return Some(id.clone());
        }
        let detail = "it is not 1 to 64 letters a to z, digits, hyphens and underscores";
        self.error(key, written.span(), detail);
        None
    }
}

fn minutes(number: u32) -> Duration {
    Duration::from_mins(number.into())
}
