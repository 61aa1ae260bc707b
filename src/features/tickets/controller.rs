//! Operations on one's own ticket.

use std::sync::Arc;

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use poem_openapi::payload::{Binary, Json};
use poem_openapi::types::Example;
use poem_openapi::{ApiResponse, Object, OpenApi, Tags};

use super::model::Ticket;
use super::service::{PrintError, TicketError, Tickets};
use crate::features::event::GroupBody;
use crate::features::payments::{MoneyBody, OrderBody, OrderStateBody};
use crate::http::rights::{Anybody, Student};
use crate::http::{By, Examples, Failure, Kind, Problem, Refusal, internal};
use crate::platform::keys::PublicKey;
use crate::platform::store::StoreError;

/// Tickets are the holder's own, and always made anew.
const PRIVATE: &str = "private, no-cache";

/// A key that was replaced is known to everybody five minutes later.
const PUBLIC: &str = "public, max-age=300";

#[derive(Tags)]
enum Tag {
    /// The signed ticket of somebody who is registered, and the keys that it can be checked with.
    Tickets,
}

/// The ticket of somebody who is registered.
#[derive(Clone, Debug, Object)]
#[oai(rename = "Ticket", rename_all = "camelCase", example)]
struct TicketBody {
    /// What the QR code says: `OT1.<key id>.<payload>.<signature>`. There is nothing personal in it.
    token: String,
    /// When its holder was registered: RFC 3339, UTC.
    issued_at: String,
    /// The holder's group.
    group: GroupBody,
    /// The order that paid for it.
    order: OrderBody,
    /// What was paid.
    receipt: Receipt,
    /// Where the ticket can be fetched to show or print it.
    downloads: Downloads,
}

/// What was paid.
#[derive(Clone, Debug, Object)]
#[oai(rename_all = "camelCase", example)]
struct Receipt {
    /// The receipt's number: the order's id.
    number: String,
    /// What was bought, and what was taken off.
    lines: Vec<ReceiptLine>,
    /// What was paid in all.
    total: MoneyBody,
}

/// A line of a receipt.
#[derive(Clone, Debug, Object)]
#[oai(rename_all = "camelCase", example)]
struct ReceiptLine {
    /// What was bought, or why something was taken off.
    name: String,
    /// For how much; below zero where something was taken off.
    amount: MoneyBody,
}

/// Addresses of a ticket's files; they need the session too.
#[derive(Clone, Debug, Object)]
#[oai(rename_all = "camelCase", example)]
struct Downloads {
    /// The QR code as a picture.
    png: String,
    /// The QR code as a drawing.
    svg: String,
    /// The page to print.
    pdf: String,
}

/// The public keys that tickets are checked with.
#[derive(Clone, Debug, Object)]
#[oai(rename = "TicketKeys", rename_all = "camelCase", example)]
struct TicketKeysBody {
    /// The current key first.
    keys: Vec<TicketKeyBody>,
}

/// The public half of a key that signs tickets.
#[derive(Clone, Debug, Object)]
#[oai(rename = "TicketKey", rename_all = "camelCase", example)]
struct TicketKeyBody {
    /// The key's id, as in the tokens that it signed.
    kid: String,
    /// Always `Ed25519` (RFC 8032).
    algorithm: String,
    /// 32 bytes in base64url without padding.
    public_key: String,
    /// Whether new tickets are signed with it.
    current: bool,
}

#[derive(ApiResponse)]
enum TicketAnswer {
    /// The ticket.
    #[oai(status = 200)]
    Ticket(Json<TicketBody>, #[oai(header = "Cache-Control")] String),
}

#[derive(ApiResponse)]
enum KeysAnswer {
    /// The keys, which may be kept for five minutes.
    #[oai(status = 200)]
    Keys(Json<TicketKeysBody>, #[oai(header = "Cache-Control")] String),
}

#[derive(ApiResponse)]
enum PngAnswer {
    /// The QR code in black and white, ten pixels a module, with its quiet zone.
    #[oai(status = 200, content_type = "image/png")]
    Png(
        Binary<Vec<u8>>,
        #[oai(header = "Content-Disposition")] String,
        #[oai(header = "Cache-Control")] String,
    ),
}

#[derive(ApiResponse)]
enum SvgAnswer {
    /// The QR code with its quiet zone, 36 mm wide.
    #[oai(status = 200, content_type = "image/svg+xml")]
    Svg(
        Binary<Vec<u8>>,
        #[oai(header = "Content-Disposition")] String,
        #[oai(header = "Cache-Control")] String,
    ),
}

#[derive(ApiResponse)]
enum PdfAnswer {
    /// A page of A5, tagged for screen readers.
    #[oai(status = 200, content_type = "application/pdf")]
    Pdf(
        Binary<Vec<u8>>,
        #[oai(header = "Content-Disposition")] String,
        #[oai(header = "Cache-Control")] String,
    ),
}

const NOT_REGISTERED: Kind = Kind::new(404, "not-registered", "Not registered");

impl Refusal for TicketError {
    fn examples() -> Examples<Self> {
        Examples::of([Self::NotRegistered]).and::<StoreError>()
    }

    fn problem(self) -> Problem {
        match self {
            Self::NotRegistered => NOT_REGISTERED
                .says("Tickets exist once the registration is paid. `getRegistration` shows its state."),
            Self::Token(error) => internal(error),
            Self::Store(error) => error.problem(),
        }
    }
}

impl Refusal for PrintError {
    fn examples() -> Examples<Self> {
        Examples::of([]).and::<TicketError>()
    }

    fn problem(self) -> Problem {
        match self {
            Self::NoTicket(error) => error.problem(),
            Self::Draw(error) => internal(error),
        }
    }
}

/// The operations.
pub struct TicketsController {
    tickets: Arc<Tickets>,
}

impl TicketsController {
    /// Operations on these tickets.
    pub fn new(tickets: Arc<Tickets>) -> Self {
        Self { tickets }
    }
}

#[OpenApi]
impl TicketsController {
    /// Get my ticket
    ///
    /// The ticket of the student who is signed in. It is there as soon as the registration is paid, and always the same.
    #[oai(path = "/v1/ticket", method = "get", operation_id = "getTicket", tag = "Tag::Tickets")]
    async fn get_ticket(&self, student: By<Student>) -> Result<TicketAnswer, Failure<TicketError>> {
        let ticket = self.tickets.ticket(&student.0.account_id).await?;
        let body = TicketBody::new(&ticket, Downloads::of(&self.tickets));
        Ok(TicketAnswer::Ticket(Json(body), PRIVATE.into()))
    }

    /// Get my ticket's QR code as a picture
    ///
    /// For a wallet, a letter or a page: sharp on every screen.
    #[oai(path = "/v1/ticket.png", method = "get", operation_id = "getTicketPng", tag = "Tag::Tickets")]
    async fn get_ticket_png(&self, student: By<Student>) -> Result<PngAnswer, Failure<PrintError>> {
        let png = self.tickets.png(&student.0.account_id).await?;
        Ok(PngAnswer::Png(Binary(png), shown_as("ticket.png"), PRIVATE.into()))
    }

    /// Get my ticket's QR code as a drawing
    ///
    /// Sharp at any size.
    #[oai(path = "/v1/ticket.svg", method = "get", operation_id = "getTicketSvg", tag = "Tag::Tickets")]
    async fn get_ticket_svg(&self, student: By<Student>) -> Result<SvgAnswer, Failure<PrintError>> {
        let svg = self.tickets.svg(&student.0.account_id).await?;
        Ok(SvgAnswer::Svg(Binary(svg), shown_as("ticket.svg"), PRIVATE.into()))
    }

    /// Get my ticket as a page to print
    ///
    /// Name, group, what was bought, how to find us, and the QR code. Never the form's answers.
    #[oai(path = "/v1/ticket.pdf", method = "get", operation_id = "getTicketPdf", tag = "Tag::Tickets")]
    async fn get_ticket_pdf(&self, student: By<Student>) -> Result<PdfAnswer, Failure<PrintError>> {
        let pdf = self.tickets.pdf(&student.0.account_id).await?;
        Ok(PdfAnswer::Pdf(Binary(pdf), shown_as("ticket.pdf"), PRIVATE.into()))
    }

    /// List the keys that tickets are checked with
    ///
    /// Whoever has them can check offline that we issued a ticket: the token is `OT1.<kid>.<payload>.<signature>`, and
    /// the signature (base64url, Ed25519) is over everything before the last full stop. The payload is base64url of 24
    /// bytes: the order's id (a UUID), then the seconds since 1970-01-01 UTC at which the ticket was issued
    /// (big-endian). Whether it still holds is only known here.
    #[oai(path = "/v1/ticket-keys", method = "get", operation_id = "getTicketKeys", tag = "Tag::Tickets")]
    async fn get_ticket_keys(&self, _anybody: By<Anybody>) -> KeysAnswer {
        let keys = self.tickets.public_keys().iter().map(TicketKeyBody::from).collect();
        KeysAnswer::Keys(Json(TicketKeysBody { keys }), PUBLIC.into())
    }
}

fn shown_as(file: &str) -> String {
    format!("inline; filename=\"{file}\"")
}

impl TicketBody {
    fn new(ticket: &Ticket, downloads: Downloads) -> Self {
        Self {
            token: ticket.token.clone(),
            issued_at: ticket.issued_at.rfc3339(),
            group: GroupBody { name: ticket.group.clone(), symbol: ticket.symbol.clone() },
            order: OrderBody::from(&ticket.order),
            receipt: Receipt::from(ticket),
            downloads,
        }
    }
}

impl From<&Ticket> for Receipt {
    fn from(ticket: &Ticket) -> Self {
        let line = |line: super::model::Line| ReceiptLine { name: line.name, amount: line.amount.into() };
        let lines = ticket.lines().into_iter().map(line).collect();
        Self { number: ticket.order.id.clone(), lines, total: ticket.paid().into() }
    }
}

impl Downloads {
    fn of(tickets: &Tickets) -> Self {
        let address = |kind| tickets.address(kind).into();
        Self { png: address("png"), svg: address("svg"), pdf: address("pdf") }
    }
}

impl From<&PublicKey> for TicketKeyBody {
    fn from(key: &PublicKey) -> Self {
        Self {
            kid: key.id.clone(),
            algorithm: "Ed25519".into(),
            public_key: BASE64_URL_SAFE_NO_PAD.encode(key.bytes),
            current: key.current,
        }
    }
}

fn paid_order() -> OrderBody {
    let paid_at = Some("2026-09-01T07:00:00.000Z".into());
    OrderBody { state: OrderStateBody::Paid, checkout_url: None, paid_at, ..OrderBody::example() }
}

impl Example for TicketBody {
    fn example() -> Self {
        Self {
            token: "OT1.5d1e0c94.AZl8AAAAcACAAAAAAACrzQAAAABqlnSA.\
                    AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
                .into(),
            issued_at: "2026-09-01T07:00:00.000Z".into(),
            group: GroupBody { name: "Alpha".into(), symbol: "α".into() },
            order: paid_order(),
            receipt: Receipt::example(),
            downloads: Downloads::example(),
        }
    }
}

impl Example for Receipt {
    fn example() -> Self {
        let lines = vec![ReceiptLine::example()];
        Self { number: OrderBody::example().id, lines, total: MoneyBody::example() }
    }
}

impl Example for ReceiptLine {
    fn example() -> Self {
        Self { name: "Orientation ticket".into(), amount: MoneyBody::example() }
    }
}

impl Example for Downloads {
    fn example() -> Self {
        let address = |kind: &str| format!("http://127.0.0.1:3000/v1/ticket.{kind}");
        Self { png: address("png"), svg: address("svg"), pdf: address("pdf") }
    }
}

impl Example for TicketKeysBody {
    fn example() -> Self {
        Self { keys: vec![TicketKeyBody::example()] }
    }
}

impl Example for TicketKeyBody {
    fn example() -> Self {
        let public_key = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo".into();
        Self { kid: "5d1e0c94".into(), algorithm: "Ed25519".into(), public_key, current: true }
    }
}
