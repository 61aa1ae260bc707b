//! The document of a report, and what it says.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

use crate::features::payments::{Order, OrderState};
use crate::kernel::{Money, Timestamp};
use crate::platform::store::{Document, Index, Keep, Personal};

/// The report of one day: counts only. Its id is the date in the event's time zone, so there is one a day.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DailyReport {
    /// `YYYY-MM-DD`.
    pub id: String,
    pub made_at: Timestamp,
    pub figures: Figures,
    /// The report before this one, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Earlier>,
}

/// What a report is compared with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Earlier {
    /// `YYYY-MM-DD`.
    pub date: String,
    pub figures: Figures,
}

impl Document for DailyReport {
    const COLLECTION: &'static str = "daily_reports";
    const INDEXES: &'static [Index] = &[];
    const PERSONAL: Personal = Personal::None;
    const KEEP: Keep = Keep::with_store("the committee compares days and years; it holds counts only");

    fn id(&self) -> &str {
        &self.id
    }
}

/// The counts of one moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Figures {
    pub students: Students,
    /// By product and currency, in the order of their ids.
    pub products: Vec<ProductFigures>,
    pub trouble: Trouble,
}

/// Students who have submitted the form.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Students {
    pub total: Tally,
    /// Those who take part in the hunt.
    pub hunt: Tally,
    pub pronouns: BTreeMap<String, Tally>,
    pub disciplines: BTreeMap<String, Tally>,
    pub bursaries: Bursaries,
}

/// A number of students.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Tally {
    /// All who have submitted the form.
    pub students: u64,
    /// Those of them who are registered.
    pub registered: u64,
}

/// Requests for a bursary.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Bursaries {
    /// Not decided yet.
    pub requested: u64,
    pub approved: u64,
    pub declined: u64,
}

/// The orders of a product in one currency.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProductFigures {
    /// The product's id.
    pub product: String,
    /// The product's name in its last order.
    pub name: String,
    /// Orders that are paid or waived, and not refunded in full.
    pub sold: u64,
    /// Orders that were waived.
    pub waived_orders: u64,
    /// All payments that were received.
    pub paid: Money,
    /// The prices of the orders that were waived.
    pub waived: Money,
    /// What was refunded of the payments.
    pub refunded: Money,
}

/// What the committee should look at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Trouble {
    pub dead_jobs: u64,
    pub failed_emails: u64,
    /// Addresses that get no emails because an email bounced.
    pub bounced_addresses: u64,
    /// Addresses that get no emails because their owners reported one as spam.
    pub complaints: u64,
    /// Frequent questions without an answer.
    #[serde(default)]
    pub unanswered_questions: u64,
}

impl DailyReport {
    /// The id of the report that is due at `tick`.
    pub fn id_at(tick: Timestamp, zone: Tz) -> String {
        tick.to_utc().with_timezone(&zone).date_naive().to_string()
    }

    /// The date in words: `Tuesday 1 September 2026`.
    pub fn day(&self) -> String {
        in_words(&self.id)
    }

    /// The date of the report before it in words.
    pub fn day_before(&self) -> Option<String> {
        self.before.as_ref().map(|before| in_words(&before.date))
    }

    /// How much a count is above that of the report before; `None` if there is none.
    pub fn change(&self, of: impl Fn(&Figures) -> u64) -> Option<i64> {
        let count = |figures: &Figures| i64::try_from(of(figures)).unwrap_or(i64::MAX);
        self.before.as_ref().map(|before| count(&self.figures) - count(&before.figures))
    }

    /// The same for an amount of a product in one currency.
    pub fn change_of(
        &self,
        product: &ProductFigures,
        of: impl Fn(&ProductFigures) -> Money,
    ) -> Option<Money> {
        let before = self.before.as_ref()?.figures.product(product);
        let now = of(product);
        Some(Money { amount: now.amount - before.map_or(0, |before| of(before).amount), ..now })
    }
}

fn in_words(date: &str) -> String {
    date.parse::<NaiveDate>().map_or_else(|_| date.to_owned(), |date| date.format("%A %-d %B %Y").to_string())
}

impl Figures {
    /// The same product in the same currency.
    pub fn product(&self, like: &ProductFigures) -> Option<&ProductFigures> {
        self.products
            .iter()
            .find(|other| other.product == like.product && other.paid.currency == like.paid.currency)
    }

    /// Counts an order.
    pub fn add(&mut self, order: &Order) {
        let entry = ProductFigures::of(order);
        let same = |other: &ProductFigures| {
            (other.product.as_str(), other.paid.currency.as_str())
                .cmp(&(entry.product.as_str(), entry.paid.currency.as_str()))
        };
        match self.products.binary_search_by(same) {
            Ok(found) => self.products[found].add(&entry),
            Err(place) => self.products.insert(place, entry),
        }
    }
}

impl ProductFigures {
    /// Those of one order.
    fn of(order: &Order) -> Self {
        let money = |amount| Money { amount, ..order.price };
        let received = order.payments.iter().filter_map(|payment| payment.money);
        let received = received.filter(|money| money.currency == order.price.currency);
        let is_paid = matches!(
            order.state,
            OrderState::Paid | OrderState::PartiallyRefunded | OrderState::Disputed | OrderState::Waived
        );
        let waived = order.is_waived();
        Self {
            product: order.product.clone(),
            name: order.product_name.clone(),
            sold: u64::from(is_paid || waived),
            waived_orders: u64::from(waived),
            paid: money(received.map(|money| money.amount).sum()),
            waived: money(if waived { order.price.amount } else { 0 }),
            refunded: money(order.reversals.iter().map(|reversal| reversal.refunded).sum()),
        }
    }

    fn add(&mut self, other: &Self) {
        self.name.clone_from(&other.name);
        self.sold += other.sold;
        self.waived_orders += other.waived_orders;
        self.paid.amount += other.paid.amount;
        self.waived.amount += other.waived.amount;
        self.refunded.amount += other.refunded.amount;
    }
}

impl DailyReport {
    /// A report with sample data.
    pub fn sample() -> Self {
        let tally = |students, registered| Tally { students, registered };
        let by = |entries: &[(&str, u64, u64)]| -> BTreeMap<String, Tally> {
            let entry = |(name, students, registered): &(&str, _, _)| {
                ((*name).to_owned(), tally(*students, *registered))
            };
            entries.iter().map(entry).collect()
        };
        let money = |amount| Money { amount, currency: "CAD".to_owned().try_into().expect("a currency") };
        let product = |id: &str, name: &str, sold: u32, waived: u32, price: i64, refunded| ProductFigures {
            product: id.into(),
            name: name.into(),
            sold: sold.into(),
            waived_orders: waived.into(),
            paid: money(price * i64::from(sold - waived)),
            waived: money(price * i64::from(waived)),
            refunded: money(refunded),
        };
        let figures = |total, disciplines: &[_], pronouns: &[_], products, dead_jobs| Figures {
            students: Students {
                total,
                hunt: tally(total.students - 40, total.registered - 35),
                pronouns: by(pronouns),
                disciplines: by(disciplines),
                bursaries: Bursaries { requested: 3, approved: 5, declined: 1 },
            },
            products,
            trouble: Trouble {
                dead_jobs,
                failed_emails: 0,
                bounced_addresses: 2,
                complaints: 0,
                unanswered_questions: 4,
            },
        };
        let now = figures(
            tally(132, 104),
            &[
                ("Chemical", 31, 26),
                ("Civil", 24, 17),
                ("Electrical & Computer", 58, 46),
                ("Mechanical", 19, 15),
            ],
            &[("he/him", 54, 44), ("she/her", 56, 45), ("they/them", 9, 7), ("Prefer not to say", 13, 8)],
            vec![
                product("orientation", "Orientation ticket", 104, 5, 13_000, 26_000),
                product("retreat", "Retreat ticket", 20, 0, 9_500, 0),
            ],
            0,
        );
        let before = figures(
            tally(120, 95),
            &[
                ("Chemical", 28, 24),
                ("Civil", 21, 15),
                ("Electrical & Computer", 53, 42),
                ("Mechanical", 18, 14),
            ],
            &[("he/him", 49, 40), ("she/her", 51, 41), ("they/them", 8, 6), ("Prefer not to say", 12, 8)],
            vec![product("orientation", "Orientation ticket", 95, 5, 13_000, 26_000)],
            1,
        );
        Self {
            id: "2026-09-01".into(),
            made_at: Timestamp::parse("2026-09-01T13:00:00Z").expect("a time"),
            figures: now,
            before: Some(Earlier { date: "2026-08-31".into(), figures: before }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Event;
    use crate::features::payments::{Payment, Reversal};

    const TORONTO: Tz = chrono_tz::America::Toronto;

    fn time(text: &str) -> Timestamp {
        Timestamp::parse(text).unwrap()
    }

    #[test]
    fn the_day_is_that_of_the_event() {
        for (tick, day) in [
            ("2026-09-01T13:00:00Z", "2026-09-01"),
            ("2026-09-02T03:59:59Z", "2026-09-01"),
            ("2026-11-01T14:00:00Z", "2026-11-01"),
        ] {
            assert_eq!(DailyReport::id_at(time(tick), TORONTO), day);
        }
    }

    fn order(change: impl FnOnce(&mut Order)) -> Order {
        let event = Event::parse(include_str!("../../../event.toml")).unwrap();
        let mut order = Order::sample(&event, time("2026-09-01T13:00:00Z"));
        change(&mut order);
        order
    }

    fn payment(order: &Order) -> Payment {
        Payment {
            session: "cs".into(),
            event: "evt".into(),
            money: Some(order.price),
            received_at: order.created_at,
            intent: Some("pi".into()),
            flag: None,
        }
    }

    #[test]
    fn orders_are_added_up_by_product() {
        let paid = order(|order| {
            order.state = OrderState::Paid;
            order.payments.push(payment(order));
        });
        let price = paid.price.amount;
        let refunded = order(|order| {
            order.state = OrderState::Refunded;
            order.payments.push(payment(order));
            order.reversals.push(Reversal { intent: "pi".into(), refunded: price, disputed: false });
        });
        let waived = order(|order| {
            (order.state, order.waived_at) = (OrderState::Waived, Some(order.created_at));
        });
        let retreat = Order { product: "retreat".into(), ..paid.clone() };
        let mut figures = Figures::default();
        for order in [&retreat, &paid, &refunded, &waived, &order(|_| {})] {
            figures.add(order);
        }
        let ids: Vec<_> = figures.products.iter().map(|product| product.product.as_str()).collect();
        assert_eq!(ids, ["orientation", "retreat"]);
        let ticket = &figures.products[0];
        assert_eq!((ticket.sold, ticket.waived_orders), (2, 1));
        assert_eq!(
            [ticket.paid, ticket.waived, ticket.refunded].map(|money| money.amount),
            [2 * price, price, price]
        );
        assert_eq!((figures.products[1].sold, figures.products[1].paid.amount), (1, price));
    }

    #[test]
    fn a_report_shows_what_has_changed() {
        let report = DailyReport::sample();
        assert_eq!(report.change(|figures| figures.students.total.students), Some(12));
        assert_eq!(report.change(|figures| figures.trouble.dead_jobs), Some(-1));
        let ticket = &report.figures.products[0];
        assert_eq!(
            report.change_of(ticket, |of| of.paid).map(|money| money.to_string()),
            Some("CAD 1170.00".into())
        );
        let retreat = &report.figures.products[1];
        assert_eq!(
            report.change_of(retreat, |of| of.paid),
            Some(retreat.paid),
            "there was none the day before"
        );
        let first = DailyReport { before: None, ..report.clone() };
        assert_eq!(first.change(|figures| figures.students.total.students), None);
        assert_eq!(first.change_of(ticket, |of| of.paid), None);
    }
}
