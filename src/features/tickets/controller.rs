//! Operations on the caller's ticket.

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

/// Caching of tickets: by the holder's browser only, which revalidates them.
const PRIVATE: &str = "private, no-cache";

/// Caching of the keys: for five minutes, so that a new key is known everywhere after that time.
const PUBLIC: &str = "public, max-age=300";

#[derive(Tags)]
enum Tag {
    /// Signed tickets of registered students, and the public keys that verify them.
    Tickets,
}

/// The ticket of a registered student.
#[derive(Clone, Debug, Object)]
#[oai(rename = "Ticket", rename_all = "camelCase", example)]
struct TicketBody {
    /// Content of the QR code: `OT1.<key id>.<payload>.<signature>`. It contains no personal data.
    token: String,
    /// Time when the ticket was issued (RFC 3339, UTC): with the registration, or when something on it changed.
    issued_at: String,
    /// Group of the holder.
    group: GroupBody,
    /// Id of the order that paid for the ticket.
    order: OrderBody,
    /// Receipt of the payment.
    receipt: Receipt,
    /// Paths of the ticket's files.
    downloads: Downloads,
}

/// A receipt.
#[derive(Clone, Debug, Object)]
#[oai(rename_all = "camelCase", example)]
struct Receipt {
    /// Receipt number: the id of the order.
    number: String,
    /// Items and discounts.
    lines: Vec<ReceiptLine>,
    /// Total amount paid.
    total: MoneyBody,
}

/// One line of a receipt.
#[derive(Clone, Debug, Object)]
#[oai(rename_all = "camelCase", example)]
struct ReceiptLine {
    /// Name of the item or the discount.
    name: String,
    /// Price of the item; negative for a discount.
    amount: MoneyBody,
}

/// Paths of a ticket's files. They need the session cookie.
#[derive(Clone, Debug, Object)]
#[oai(rename_all = "camelCase", example)]
struct Downloads {
    /// QR code as PNG.
    png: String,
    /// QR code as SVG.
    svg: String,
    /// Page to print, as PDF.
    pdf: String,
}

/// The public keys that verify tickets.
#[derive(Clone, Debug, Object)]
#[oai(rename = "TicketKeys", rename_all = "camelCase", example)]
struct TicketKeysBody {
    /// Public keys, the current one first.
    keys: Vec<TicketKeyBody>,
}

/// A public key that verifies tickets.
#[derive(Clone, Debug, Object)]
#[oai(rename = "TicketKey", rename_all = "camelCase", example)]
struct TicketKeyBody {
    /// Key id, as in the tokens that it signed.
    kid: String,
    /// Always `Ed25519` (RFC 8032).
    algorithm: String,
    /// Public key: 32 bytes in base64url without padding.
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
    /// The keys. They can be cached for five minutes.
    #[oai(status = 200)]
    Keys(Json<TicketKeysBody>, #[oai(header = "Cache-Control")] String),
}

#[derive(ApiResponse)]
enum PngAnswer {
    /// The QR code in black and white, ten pixels per module, with its quiet zone.
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
    /// An A5 page, tagged for screen readers.
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
    /// Get your ticket
    ///
    /// Available as soon as the registration is paid. The ticket stays the same until the committee moves you to another
    /// group or corrects a name on it. Then it is issued anew, and the former ticket is replaced.
    #[oai(path = "/v1/ticket", method = "get", operation_id = "getTicket", tag = "Tag::Tickets")]
    async fn get_ticket(&self, student: By<Student>) -> Result<TicketAnswer, Failure<TicketError>> {
        let ticket = self.tickets.ticket(&student.0.account_id).await?;
        let body = TicketBody::new(&ticket, Downloads::of(&self.tickets));
        Ok(TicketAnswer::Ticket(Json(body), PRIVATE.into()))
    }

    /// Get the QR code of your ticket as PNG
    ///
    /// For wallets, emails and pages.
    #[oai(path = "/v1/ticket.png", method = "get", operation_id = "getTicketPng", tag = "Tag::Tickets")]
    async fn get_ticket_png(&self, student: By<Student>) -> Result<PngAnswer, Failure<PrintError>> {
        let png = self.tickets.png(&student.0.account_id).await?;
        Ok(PngAnswer::Png(Binary(png), shown_as("ticket.png"), PRIVATE.into()))
    }

    /// Get the QR code of your ticket as SVG
    ///
    /// For print and large screens.
    #[oai(path = "/v1/ticket.svg", method = "get", operation_id = "getTicketSvg", tag = "Tag::Tickets")]
    async fn get_ticket_svg(&self, student: By<Student>) -> Result<SvgAnswer, Failure<PrintError>> {
        let svg = self.tickets.svg(&student.0.account_id).await?;
        Ok(SvgAnswer::Svg(Binary(svg), shown_as("ticket.svg"), PRIVATE.into()))
    }

    /// Get your ticket as PDF
    ///
    /// A page with name, group, receipt, directions and QR code. It contains no answers of the form.
    #[oai(path = "/v1/ticket.pdf", method = "get", operation_id = "getTicketPdf", tag = "Tag::Tickets")]
    async fn get_ticket_pdf(&self, student: By<Student>) -> Result<PdfAnswer, Failure<PrintError>> {
        let pdf = self.tickets.pdf(&student.0.account_id).await?;
        Ok(PdfAnswer::Pdf(Binary(pdf), shown_as("ticket.pdf"), PRIVATE.into()))
    }

    /// List the keys that verify tickets
    ///
    /// With these keys, a scanner can verify offline that we issued a ticket. The token is `OT1.<kid>.<payload>.<signature>`, and
    /// the signature (base64url, Ed25519) is over everything before the last full stop. The payload is base64url of 24
    /// bytes: the order's id (a UUID), then the seconds since 1970-01-01 UTC at which the ticket was issued
    /// (big-endian). Only the service knows whether the ticket is still valid.
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
