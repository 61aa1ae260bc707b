//! The emails about orders.

use std::marker::PhantomData;
use std::sync::Arc;

use async_trait::async_trait;
use url::Url;

use crate::base::Base;
use crate::config::Event;
use crate::features::accounts::Account;
use crate::features::payments::{AboutOrder, Order, OrderState, PAYMENT_DECLINED};
use crate::kernel::{Clock, Money, Timestamp};
use crate::platform::mail::{Email, EmailKind, EmailLayout, Mail, RenderError, Sample, Template};
use crate::platform::store::{Store, StoreError, Tx};

/// An occasion on which a buyer gets an email.
pub(super) trait Occasion: Send + Sync + 'static {
    /// Name of the email.
    const NAME: &'static str;
    /// Follows the product's name in subject and heading.
    const NEWS: &'static str;
    /// Label of the amount.
    const AMOUNT: &'static str;
    /// What has happened, and what to do.
    const SENTENCES: &'static [&'static str];
    /// Label of the link to the order, if there is something to do.
    const LINK: Option<&'static str>;

    /// Whether the email is still true.
    fn holds(order: &Order) -> bool;

    /// The amount that it shows.
    fn amount(order: &Order) -> Money {
        order.price
    }
}

/// The order is paid.
pub(super) struct Bought;

impl Occasion for Bought {
    const NAME: &'static str = "order-confirmed";
    const NEWS: &'static str = "is yours";
    const AMOUNT: &'static str = "Paid";
    const SENTENCES: &'static [&'static str] = &["Your payment has arrived, and your order is complete."];
    const LINK: Option<&'static str> = None;

    fn holds(order: &Order) -> bool {
        matches!(order.state, OrderState::Paid | OrderState::PartiallyRefunded | OrderState::Waived)
    }
}

/// The checkout has ended unpaid, or the bank has declined the payment.
pub(super) struct HoldEnded;

impl Occasion for HoldEnded {
    const NAME: &'static str = "order-expired";
    const NEWS: &'static str = "isn't paid";
    const AMOUNT: &'static str = "Price";
    const SENTENCES: &'static [&'static str] = &[
        "The page on which you could pay has closed, and no payment has arrived. We don't keep a place for you any more.",
        "You can still order it as long as it is on sale and places are left: sign in, open your order, and start a new \
         checkout.",
        "If you have paid and still get this email, don't pay again: write to us.",
    ];
    const LINK: Option<&'static str> = Some("Go to my order");

    fn holds(order: &Order) -> bool {
        order.can_be_reopened()
    }
}

/// The whole payment was refunded.
pub(super) struct Refunded;

impl Occasion for Refunded {
    const NAME: &'static str = "order-refunded";
    const NEWS: &'static str = "was refunded";
    const AMOUNT: &'static str = "Refunded";
    const SENTENCES: &'static [&'static str] = &[
        "Your order has ended, and the whole payment is on its way back to you. Banks need up to ten days.",
        "If you didn't expect this, write to us.",
    ];
    const LINK: Option<&'static str> = None;

    fn holds(order: &Order) -> bool {
        order.state == OrderState::Refunded
    }
}

/// A payment arrived after the checkout had ended, and no place was left. `features::payments` posts it.
pub(super) struct Declined;

impl Occasion for Declined {
    const NAME: &'static str = PAYMENT_DECLINED;
    const NEWS: &'static str = "is sold out: we refund your payment";
    const AMOUNT: &'static str = "Refunded";
    const SENTENCES: &'static [&'static str] = &[
        "Your payment arrived after the checkout had ended. By then other people had taken the last places, so we can't \
         give you one.",
        "The whole payment is on its way back to you. You need not do anything. Banks need up to ten days.",
    ];
    const LINK: Option<&'static str> = None;

    fn holds(order: &Order) -> bool {
        !order.refunds.is_empty()
    }

    fn amount(order: &Order) -> Money {
        order.refunds.last().map_or(order.price, |refund| refund.amount)
    }
}

/// The emails that this feature renders.
pub(super) fn templates(base: &Base) -> Vec<Arc<dyn Template>> {
    vec![
        Arc::new(OrderMail::<Bought>::new(base)),
        Arc::new(OrderMail::<HoldEnded>::new(base)),
        Arc::new(OrderMail::<Refunded>::new(base)),
        Arc::new(OrderMail::<Declined>::new(base)),
    ]
}

/// The email to a buyer on an occasion.
pub(super) struct OrderMail<O> {
    store: Store,
    clock: Arc<dyn Clock>,
    event: Arc<Event>,
    layout: EmailLayout,
    pages: Url,
    occasion: PhantomData<O>,
}

/// What the templates need.
struct Words<'a> {
    name: &'a str,
    product: &'a str,
    news: &'a str,
    amount: &'a str,
    price: String,
    sentences: &'a [&'a str],
    /// Label and address.
    link: Option<(&'a str, Url)>,
}

#[derive(askama::Template)]
#[template(path = "features/products/templates/order.body.txt", blocks = ["subject"])]
struct Text<'a> {
    layout: &'a EmailLayout,
    words: &'a Words<'a>,
}

#[derive(askama::Template)]
#[template(path = "features/products/templates/order.body.html")]
struct Html<'a> {
    layout: &'a EmailLayout,
    words: &'a Words<'a>,
}

impl<O: Occasion> OrderMail<O> {
    fn new(base: &Base) -> Self {
        Self {
            store: base.store.clone(),
            clock: base.clock.clone(),
            event: base.event.clone(),
            layout: base.email_layout.clone(),
            pages: base.pages_url.clone(),
            occasion: PhantomData,
        }
    }

    /// Posts it to the present address of the buyer, in the transaction of what has happened; `once` for each `once`.
    pub(super) async fn post(tx: &Tx, order: &Order, once: &str, now: Timestamp) -> Result<(), StoreError> {
        let Some(account) = tx.get::<Account>(&order.account).await? else { return Ok(()) };
        let about = AboutOrder { account: account.id, order: order.id.clone() };
        tx.post(&Mail::of::<Self>(once, &account.email, &about, now)).await
    }

    fn write(&self, name: &str, order: &Order) -> Result<Email, RenderError> {
        let words = Words {
            name,
            product: &order.product_name,
            news: O::NEWS,
            amount: O::AMOUNT,
            price: O::amount(order).to_string(),
            sentences: O::SENTENCES,
            link: O::LINK.map(|label| (label, self.link(&order.id))),
        };
        let (layout, words) = (&self.layout, &words);
        let text = Text { layout, words };
        layout.render(&text.as_subject(), &text, &Html { layout, words })
    }

    fn link(&self, order: &str) -> Url {
        let mut link = self.pages.clone();
        link.set_path("/checkout/back");
        link.query_pairs_mut().append_pair("order", order);
        link
    }
}

#[async_trait]
impl<O: Occasion> EmailKind for OrderMail<O> {
    const NAME: &'static str = O::NAME;
    type About = AboutOrder;

    async fn render(&self, about: AboutOrder, _: &Mail) -> Result<Email, RenderError> {
        let order: Order = self.store.get(&about.order).await?.ok_or(RenderError::Obsolete("no order"))?;
        if !O::holds(&order) {
            return Err(RenderError::Obsolete("the order has another state now"));
        }
        let account: Option<Account> = self.store.get(&about.account).await?;
        self.write(account.ok_or(RenderError::Obsolete("no account"))?.greeting(), &order)
    }

    fn samples(&self) -> Result<Vec<Sample>, RenderError> {
        let mut order = Order::sample(&self.event, self.clock.now());
        order.product_name = "Retreat ticket".into();
        Ok(Sample::only(self.write(Sample::FIRST_NAME, &order)?))
    }
}
