//! The emails with a ticket: *registration complete*, and that about a change by the committee.

use std::sync::Arc;

use async_trait::async_trait;

use super::model::{Line, Ticket};
use super::service::{PrintError, TicketError, Tickets};
use crate::base::Base;
use crate::config::Event;
use crate::features::accounts::Account;
use crate::features::payments::{AboutOrder, Order, OrderState};
use crate::features::registration::{AboutChange, REGISTRATION_CHANGED, Registration, TICKET};
use crate::kernel::Clock;
use crate::platform::mail::{Attachment, Email, EmailKind, EmailLayout, Mail, RenderError, Sample};
use crate::platform::store::Store;

/// The file of the samples: a page that says so.
const SAMPLE_PDF: &[u8] = include_bytes!("templates/sample.pdf");

/// The email `ticket:<order>`.
pub struct TicketEmail {
    tickets: Arc<Tickets>,
    event: Arc<Event>,
    clock: Arc<dyn Clock>,
    layout: EmailLayout,
}

#[derive(askama::Template)]
#[template(path = "features/tickets/templates/ticket.body.txt", blocks = ["subject"])]
struct Text<'a> {
    layout: &'a EmailLayout,
    facts: &'a Facts,
}

#[derive(askama::Template)]
#[template(path = "features/tickets/templates/ticket.body.html")]
struct Html<'a> {
    layout: &'a EmailLayout,
    facts: &'a Facts,
}

/// What the email says.
struct Facts {
    name: String,
    group: String,
    symbol: String,
    lines: Vec<Line>,
    total: String,
    receipt: String,
    paid_on: String,
    how_to_find_us: Vec<String>,
}

impl TicketEmail {
    /// The email with a ticket of `tickets`.
    pub fn new(base: &Base, tickets: &Arc<Tickets>) -> Self {
        let (event, clock, layout) = (base.event.clone(), base.clock.clone(), base.email_layout.clone());
        Self { tickets: tickets.clone(), event, clock, layout }
    }

    fn write(&self, facts: &Facts, pdf: Vec<u8>) -> Result<Email, RenderError> {
        let layout = &self.layout;
        let text = Text { layout, facts };
        let email = layout.render(&text.as_subject(), &text, &Html { layout, facts })?;
        Ok(email.attach(attachment(pdf)))
    }
}

fn attachment(pdf: Vec<u8>) -> Attachment {
    Attachment::file("ticket.pdf", "application/pdf", pdf)
}

#[async_trait]
impl EmailKind for TicketEmail {
    const NAME: &'static str = TICKET;
    type About = AboutOrder;

    async fn render(&self, about: AboutOrder, _: &Mail) -> Result<Email, RenderError> {
        let (holder, ticket) = self.tickets.of_holder(&about.account).await?;
        let facts = Facts::new(&ticket, holder.greeting(), &self.tickets);
        let pdf = self.tickets.print(ticket, &holder).await.map_err(PrintError::from)?;
        self.write(&facts, pdf)
    }

    fn samples(&self) -> Result<Vec<Sample>, RenderError> {
        let order = Order::sample(&self.event, self.clock.now());
        let waived = Order { state: OrderState::Waived, waived_at: Some(order.created_at), ..order.clone() };
        let email = |order| {
            let ticket = Ticket::sample(order, &self.tickets.symbol(Sample::GROUP));
            self.write(&Facts::new(&ticket, Sample::FIRST_NAME, &self.tickets), SAMPLE_PDF.to_vec())
        };
        Ok(vec![Sample::new("paid", email(order)?), Sample::new("with a bursary", email(waived)?)])
    }
}

impl Facts {
    fn new(ticket: &Ticket, name: &str, tickets: &Tickets) -> Self {
        Self {
            name: name.to_owned(),
            group: ticket.group.clone(),
            symbol: ticket.symbol.clone(),
            lines: ticket.lines(),
            total: ticket.paid().to_string(),
            receipt: ticket.order.id.clone(),
            paid_on: tickets.local(ticket.registered_at),
            how_to_find_us: tickets.how_to_find_us(),
        }
    }

    fn group_with_symbol(&self) -> String {
        with_symbol(&self.group, &self.symbol)
    }
}

/// The email `registration-changed:<change>`.
pub struct ChangeEmail {
    tickets: Arc<Tickets>,
    store: Store,
    event: Arc<Event>,
    layout: EmailLayout,
}

#[derive(askama::Template)]
#[template(path = "features/tickets/templates/registration-changed.body.txt", blocks = ["subject"])]
struct ChangeText<'a> {
    layout: &'a EmailLayout,
    change: &'a Change,
}

#[derive(askama::Template)]
#[template(path = "features/tickets/templates/registration-changed.body.html")]
struct ChangeHtml<'a> {
    layout: &'a EmailLayout,
    change: &'a Change,
}

/// What the email about a change says.
struct Change {
    name: String,
    /// The group and its symbol.
    group: String,
    /// Labels of the corrected fields. None if the group changed.
    corrected: Vec<String>,
    /// Whether the ticket is attached.
    ticket: bool,
}

impl ChangeEmail {
    /// The email with a ticket of `tickets`, if the student is registered.
    pub fn new(base: &Base, tickets: &Arc<Tickets>) -> Self {
        let (store, event, layout) = (base.store.clone(), base.event.clone(), base.email_layout.clone());
        Self { tickets: tickets.clone(), store, event, layout }
    }

    fn write(&self, change: &Change, pdf: Option<Vec<u8>>) -> Result<Email, RenderError> {
        let layout = &self.layout;
        let text = ChangeText { layout, change };
        let email = layout.render(&text.as_subject(), &text, &ChangeHtml { layout, change })?;
        Ok(match pdf {
            Some(pdf) => email.attach(attachment(pdf)),
            None => email,
        })
    }

    /// The ticket as a page to print. `None` if the student is not registered.
    async fn pdf(&self, account: &str) -> Result<Option<Vec<u8>>, PrintError> {
        match self.tickets.pdf(account).await {
            Ok(pdf) => Ok(Some(pdf)),
            Err(PrintError::NoTicket(TicketError::NotRegistered)) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

#[async_trait]
impl EmailKind for ChangeEmail {
    const NAME: &'static str = REGISTRATION_CHANGED;
    type About = AboutChange;

    async fn render(&self, about: AboutChange, _: &Mail) -> Result<Email, RenderError> {
        let account: Option<Account> = self.store.get(&about.account).await?;
        let account = account.ok_or(RenderError::Obsolete("no account"))?;
        let registration: Option<Registration> = self.store.get(&about.account).await?;
        let registration = registration.ok_or(RenderError::Obsolete("no registration"))?;
        let pdf = self.pdf(&about.account).await?;
        let change = Change {
            name: account.greeting().to_owned(),
            group: with_symbol(&registration.group, &self.tickets.symbol(&registration.group)),
            corrected: about.labels(&self.event.form),
            ticket: pdf.is_some(),
        };
        self.write(&change, pdf)
    }

    fn samples(&self) -> Result<Vec<Sample>, RenderError> {
        let email = |corrected: &[&str], ticket| {
            let change = Change {
                name: Sample::FIRST_NAME.into(),
                group: with_symbol(Sample::GROUP, &self.tickets.symbol(Sample::GROUP)),
                corrected: corrected.iter().map(ToString::to_string).collect(),
                ticket,
            };
            self.write(&change, ticket.then(|| SAMPLE_PDF.to_vec()))
        };
        Ok(vec![
            Sample::new("another group", email(&[], true)?),
            Sample::new("another group, not paid yet", email(&[], false)?),
            Sample::new("corrected answers", email(&["Legal name", "Birth date"], true)?),
        ])
    }
}

/// `Omega ω`, or the name alone.
fn with_symbol(group: &str, symbol: &str) -> String {
    format!("{group} {symbol}").trim_end().to_owned()
}

impl From<PrintError> for RenderError {
    fn from(error: PrintError) -> Self {
        match error {
            PrintError::NoTicket(error) => error.into(),
            PrintError::Draw(error) => Self::Failed(error.to_string()),
        }
    }
}

impl From<TicketError> for RenderError {
    fn from(error: TicketError) -> Self {
        match error {
            TicketError::NotRegistered => Self::Obsolete("no longer registered"),
            TicketError::Token(error) => Self::Failed(error.to_string()),
            TicketError::Store(error) => error.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::Money;

    fn layout() -> EmailLayout {
        EmailLayout {
            event: "Orientation Week 2027".into(),
            faculty: "Faculty of Applied Science & Engineering".into(),
            contact: "orientation@example.org".into(),
            postal_address: vec!["35 St. George Street, Toronto".into()],
            rehearsal: false,
        }
    }

    /// The email about a change: subject, text and HTML, in one text.
    fn change(corrected: &[&str], ticket: bool) -> String {
        let corrected = corrected.iter().map(ToString::to_string).collect();
        let (name, group) = ("Zoë <b>".into(), "Omicron ο".into());
        let (layout, change) = (&layout(), &Change { name, group, corrected, ticket });
        let text = ChangeText { layout, change };
        let email = layout.render(&text.as_subject(), &text, &ChangeHtml { layout, change }).unwrap();
        format!("{}\n\n{}\n\n{}", email.subject, email.text, email.html)
    }

    #[test]
    fn the_email_about_a_change_is_reviewed() {
        insta::assert_snapshot!("changed.group", change(&[], true));
        insta::assert_snapshot!("changed.group-unpaid", change(&[], false));
        insta::assert_snapshot!("changed.form", change(&["Legal name", "Birth date"], true));
    }

    #[test]
    fn the_email_is_reviewed() {
        let amount = Money { amount: 13_000, currency: "CAD".to_owned().try_into().unwrap() };
        let facts = Facts {
            name: "Zoë <b>".into(),
            group: "Omicron".into(),
            symbol: "ο".into(),
            lines: vec![Line { name: "Orientation ticket".into(), amount }],
            total: "CAD 130.00".into(),
            receipt: "01997c00-0000-7000-8000-00000000abcd".into(),
            paid_on: "1 September 2026, 03:00 EDT".into(),
            how_to_find_us: vec![
                "Registration desk: the front campus lawn.".into(),
                "Subway: St. George.".into(),
            ],
        };
        let (layout, facts) = (&layout(), &facts);
        let text = Text { layout, facts };
        let email = layout.render(&text.as_subject(), &text, &Html { layout, facts }).unwrap();
        insta::assert_snapshot!("ticket.subject", email.subject);
        insta::assert_snapshot!("ticket.txt", email.text);
        insta::assert_snapshot!("ticket.html", email.html);
    }
}
