//! Use cases: reading one's ticket, and printing it.

use std::sync::Arc;

use url::Url;

use super::drawing::{DrawError, Fonts, Item, Presses, Sheet};
use super::model::{Line, Ticket};
use super::token::{TicketClaims, TokenError};
use crate::base::Base;
use crate::config::Event;
use crate::features::accounts::Account;
use crate::features::payments::Order;
use crate::features::registration::Registration;
use crate::kernel::Timestamp;
use crate::platform::keys::{Keys, PublicKey};
use crate::platform::qr::Qr;
use crate::platform::store::{Store, StoreError};

/// Issues and prints tickets.
pub struct Tickets {
    store: Store,
    keys: Arc<Keys>,
    event: Arc<Event>,
    public_url: Url,
    rehearsal: bool,
    presses: Presses,
}

/// Why somebody gets no ticket.
#[derive(Debug, thiserror::Error)]
pub enum TicketError {
    /// There is no registration, or it is not paid.
    #[error("not registered")]
    NotRegistered,
    /// A token can't carry the order's id.
    #[error("no token for the order: {0}")]
    Token(#[from] TokenError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a ticket is not printed.
#[derive(Debug, thiserror::Error)]
pub enum PrintError {
    #[error(transparent)]
    NoTicket(#[from] TicketError),
    #[error("a ticket can't be drawn: {0}")]
    Draw(#[from] DrawError),
}

impl From<StoreError> for PrintError {
    fn from(error: StoreError) -> Self {
        Self::NoTicket(error.into())
    }
}

impl Tickets {
    /// Tickets of the event of `base`, printed in `fonts`.
    pub fn new(base: &Base, fonts: Fonts) -> Self {
        Self {
            store: base.store.clone(),
            keys: base.keys.clone(),
            event: base.event.clone(),
            public_url: base.public_url.clone(),
            rehearsal: base.rehearsal,
            presses: Presses::new(fonts),
        }
    }

    /// The public halves of the keys that sign tickets.
    pub fn public_keys(&self) -> Vec<PublicKey> {
        self.keys.tickets().public()
    }

    /// The ticket of this account.
    ///
    /// # Errors
    /// [`TicketError::NotRegistered`] until the registration is paid.
    pub async fn ticket(&self, account: &str) -> Result<Ticket, TicketError> {
        let registration =
            self.store.get::<Registration>(account).await?.ok_or(TicketError::NotRegistered)?;
        let order =
            self.store.get::<Order>(&registration.order_id).await?.ok_or(TicketError::NotRegistered)?;
        let registered_at = registration.registered_at.ok_or(TicketError::NotRegistered)?;
        let issued_at = registration.ticket_time().ok_or(TicketError::NotRegistered)?;
        let token = TicketClaims::new(&order.id, issued_at)?.sign(self.keys.tickets());
        let symbol = self.symbol(&registration.group);
        Ok(Ticket {
            token,
            issued_at,
            registered_at,
            legal_name: registration.form.legal_name,
            group: registration.group,
            symbol,
            order,
        })
    }

    /// The ticket's QR code as a picture.
    ///
    /// # Errors
    /// As [`Self::ticket`], and [`PrintError::Draw`].
    pub async fn png(&self, account: &str) -> Result<Vec<u8>, PrintError> {
        Ok(self.code(account).await?.png().map_err(DrawError::from)?)
    }

    /// The ticket's QR code as a drawing.
    ///
    /// # Errors
    /// As [`Self::ticket`], and [`PrintError::Draw`].
    pub async fn svg(&self, account: &str) -> Result<Vec<u8>, PrintError> {
        Ok(self.code(account).await?.svg("QR code of the ticket").into_bytes())
    }

    async fn code(&self, account: &str) -> Result<Qr, PrintError> {
        Ok(Qr::new(&self.ticket(account).await?.token).map_err(DrawError::from)?)
    }

    /// The ticket as a page to print.
    ///
    /// # Errors
    /// As [`Self::ticket`], and [`PrintError::Draw`].
    pub async fn pdf(&self, account: &str) -> Result<Vec<u8>, PrintError> {
        let (holder, ticket) = self.of_holder(account).await?;
        Ok(self.print(ticket, &holder).await?)
    }

    /// The ticket with the account that holds it.
    pub(super) async fn of_holder(&self, account: &str) -> Result<(Account, Ticket), TicketError> {
        let ticket = self.ticket(account).await?;
        let holder = self.store.get::<Account>(account).await?.ok_or(TicketError::NotRegistered)?;
        Ok((holder, ticket))
    }

    /// Prints a ticket.
    pub(super) async fn print(&self, ticket: Ticket, holder: &Account) -> Result<Vec<u8>, DrawError> {
        self.presses.print(self.sheet(ticket, holder)).await
    }

    fn sheet(&self, ticket: Ticket, holder: &Account) -> Sheet {
        let event = &self.event;
        Sheet {
            event: event.name.clone(),
            faculty: event.faculty.clone(),
            preferred_name: holder.preferred_name.clone(),
            items: ticket.lines().into_iter().map(Item::from).collect(),
            total: ticket.paid().to_string(),
            receipt: ticket.order.id.clone(),
            paid_on: self.local(ticket.registered_at),
            issued_at: ticket.issued_at,
            legal_name: ticket.legal_name,
            group: ticket.group,
            group_symbol: ticket.symbol,
            how_to_find_us: event.how_to_find_us.clone(),
            contact: event.contact.to_string(),
            postal_address: event.postal_address.clone(),
            token: ticket.token,
            rehearsal: self.rehearsal,
        }
    }

    /// URL of the ticket as a file of this kind: `png`, `svg` or `pdf`.
    pub fn address(&self, kind: &str) -> Url {
        let mut address = self.public_url.clone();
        address.set_path(&format!("/v1/ticket.{kind}"));
        address
    }

    /// Directions to the event: a few lines.
    pub(super) fn how_to_find_us(&self) -> Vec<String> {
        self.event.how_to_find_us.trim().lines().map(|line| line.trim().to_owned()).collect()
    }

    /// A time as people at the event write it: `1 September 2026, 09:12 EDT`.
    pub(super) fn local(&self, time: Timestamp) -> String {
        time.to_utc().with_timezone(&self.event.time_zone).format("%-d %B %Y, %H:%M %Z").to_string()
    }

    /// The group's symbol. Empty if the configuration no longer has the group.
    pub(super) fn symbol(&self, group: &str) -> String {
        self.event.group(group).map(|group| group.symbol.clone()).unwrap_or_default()
    }
}

impl From<Line> for Item {
    fn from(line: Line) -> Self {
        Self { name: line.name, amount: line.amount.to_string() }
    }
}
