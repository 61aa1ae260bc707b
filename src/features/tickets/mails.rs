//! The email *registration complete*, with the ticket.

use std::sync::Arc;

use async_trait::async_trait;

use super::model::{Line, Ticket};
use super::service::{PrintError, TicketError, Tickets};
use crate::base::Base;
use crate::features::registration::{AboutOrder, TICKET};
use crate::platform::mail::{Attachment, Email, EmailKind, EmailLayout, Mail, RenderError};

/// The email `ticket:<order>`.
pub struct TicketEmail {
    tickets: Arc<Tickets>,
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
        Self { tickets: tickets.clone(), layout: base.email_layout.clone() }
    }

    fn write(&self, facts: &Facts, pdf: Vec<u8>) -> Result<Email, RenderError> {
        let layout = &self.layout;
        let text = Text { layout, facts };
        let email = layout.render(&text.as_subject(), &text, &Html { layout, facts })?;
        let (name, content_type) = ("ticket.pdf".into(), "application/pdf".into());
        Ok(email.attach(Attachment { name, content_type, bytes: pdf }))
    }
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
            paid_on: tickets.local(ticket.issued_at),
            how_to_find_us: tickets.how_to_find_us(),
        }
    }

    fn group_with_symbol(&self) -> String {
        format!("{} {}", self.group, self.symbol)
    }
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
        let layout = &EmailLayout {
            event: "Orientation Week 2027".into(),
            faculty: "Faculty of Applied Science & Engineering".into(),
            contact: "orientation@example.org".into(),
            postal_address: vec!["35 St. George Street, Toronto".into()],
            rehearsal: false,
        };
        let facts = &facts;
        let text = Text { layout, facts };
        let email = layout.render(&text.as_subject(), &text, &Html { layout, facts }).unwrap();
        insta::assert_snapshot!("ticket.subject", email.subject);
        insta::assert_snapshot!("ticket.txt", email.text);
        insta::assert_snapshot!("ticket.html", email.html);
    }
}
