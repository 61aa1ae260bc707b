//! The outbox in the browser, and for scripts.

use std::sync::Arc;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use poem::http::header;
use poem::web::{Data, Json, Path, Query};
use poem::{EndpointExt, IntoResponse, Response, Result, Route, get, handler};
use serde::{Deserialize, Serialize};

use super::model::{FileInfo, StoredEmail};
use super::service::Outbox;
use crate::http::pages::{Access, Guard, HtmlErrors, PageLayout, Pages, closed, framed};
use crate::http::{Kind, Problem, Refusal, unavailable};
use crate::platform::mail::with_image;
use crate::platform::store::{Cursor, Page};

/// `/outbox` and what is below it, `/outbox.json`.
pub fn pages(frame: &Arc<PageLayout>, outbox: &Arc<Outbox>, access: Access) -> Pages {
    let guarded = Guard { access, detail: "In a rehearsal only administrators can read the outbox." };
    let errors = HtmlErrors(frame.clone());
    let pages = Route::new()
        .at("/", get(list))
        .at("/:id", get(show))
        .at("/:id/html", get(html))
        .at("/:id/attachments/:n", get(attachment))
        .data(outbox.clone())
        .data(frame.clone())
        .with(guarded)
        .with(errors);
    let for_scripts = get(list_json).data(outbox.clone()).with(guarded);
    Pages::new().below("/outbox", pages).at("/outbox.json", for_scripts)
}

/// Emails on a page of the list.
const EMAILS_ON_A_PAGE: u32 = 50;
/// Emails in one answer to a script, unless it asks for fewer or more.
const EMAILS_IN_AN_ANSWER: u32 = 50;
/// More emails than these are not read at once: their HTML is with them.
const EMAILS_AT_MOST: u32 = 200;
/// Seconds between two loads of a list that keeps itself fresh.
const FRESH_EVERY: u32 = 5;

#[derive(Deserialize)]
struct ListQuery {
    to: Option<String>,
    cursor: Option<String>,
    limit: Option<u32>,
    #[serde(default)]
    fresh: bool,
}

impl ListQuery {
    fn to(&self) -> Option<&str> {
        self.to.as_deref().map(str::trim).filter(|to| !to.is_empty())
    }

    async fn find(&self, outbox: &Outbox, limit: u32) -> Result<Page<StoredEmail>> {
        let after = self.cursor.clone().map(Cursor::from);
        let limit = self.limit.unwrap_or(limit).clamp(1, EMAILS_AT_MOST);
        Ok(outbox.emails(self.to(), after.as_ref(), limit).await.map_err(Refusal::problem)?)
    }
}

const NO_SUCH_EMAIL: Kind = Kind::new(404, "not-found", "Not found");

// ---- the list ----

#[derive(askama::Template)]
#[template(path = "features/outbox/templates/list.page.html")]
struct ListPage<'a> {
    frame: &'a PageLayout,
    emails: Vec<Line<'a>>,
    to: &'a str,
    fresh: bool,
    fresh_every: u32,
    /// Whether it begins with the newest email.
    first: bool,
    /// Address of the next page.
    older: Option<String>,
    /// The list from the start, with the same recipient.
    newest: String,
    /// The same, keeping itself fresh.
    newest_fresh: String,
}

struct Line<'a> {
    address: String,
    email: &'a StoredEmail,
}

#[handler]
async fn list(
    outbox: Data<&Arc<Outbox>>,
    frame: Data<&Arc<PageLayout>>,
    Query(query): Query<ListQuery>,
) -> Result<Response> {
    let page = query.find(&outbox, EMAILS_ON_A_PAGE).await?;
    let to = query.to().unwrap_or_default();
    let address = |more: &[(&str, &str)]| list_address(to, more);
    let emails = page.items.iter();
    Ok(frame.page(&ListPage {
        frame: &frame,
        emails: emails.map(|email| Line { address: address_of(&email.id), email }).collect(),
        to,
        fresh: query.fresh,
        fresh_every: FRESH_EVERY,
        first: query.cursor.is_none(),
        older: page.next.map(|cursor| address(&[("cursor", cursor.as_str())])),
        newest: address(&[]),
        newest_fresh: address(&[("fresh", "true")]),
    }))
}

fn list_address(to: &str, more: &[(&str, &str)]) -> String {
    let to = Some(("to", to)).filter(|(_, to)| !to.is_empty());
    let mut parts = to.into_iter().chain(more.iter().copied()).peekable();
    if parts.peek().is_none() {
        return "/outbox".into();
    }
    let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(parts).finish();
    format!("/outbox?{query}")
}

// ---- one email ----

#[derive(askama::Template)]
#[template(path = "features/outbox/templates/email.page.html")]
struct EmailPageView<'a> {
    frame: &'a PageLayout,
    email: &'a StoredEmail,
    html_address: String,
    all_to_address: String,
    files: Vec<FileView<'a>>,
}

struct FileView<'a> {
    address: String,
    file: &'a FileInfo,
}

#[handler]
async fn show(
    outbox: Data<&Arc<Outbox>>,
    frame: Data<&Arc<PageLayout>>,
    Path(id): Path<String>,
) -> Result<Response> {
    let email = find(&outbox, &id).await?;
    let files = email.files.iter().enumerate();
    Ok(frame.page(&EmailPageView {
        frame: &frame,
        email: &email,
        html_address: format!("{}/html", address_of(&id)),
        all_to_address: list_address(email.to.as_str(), &[]),
        files: files.map(|(n, file)| FileView { address: attachment_address(&id, n), file }).collect(),
    }))
}

async fn find(outbox: &Outbox, id: &str) -> Result<StoredEmail> {
    Ok(outbox.email(id).await.map_err(unavailable)?.ok_or_else(no_such_email)?)
}

fn no_such_email() -> Problem {
    NO_SUCH_EMAIL.says("The outbox has no email with this id, or the email has no such attachment.")
}

#[handler]
async fn html(outbox: Data<&Arc<Outbox>>, Path(id): Path<String>) -> Result<Response> {
    let email = find(&outbox, &id).await?;
    let mut content = email.html;
    for (n, info) in email.files.iter().enumerate() {
        let Some(content_id) = &info.content_id else { continue };
        let file = outbox.file(&id, n).await.map_err(unavailable)?.ok_or_else(no_such_email)?;
        content = with_image(&content, content_id, &info.content_type, &file.content);
    }
    Ok(framed(&content))
}

#[handler]
async fn attachment(outbox: Data<&Arc<Outbox>>, Path((id, n)): Path<(String, usize)>) -> Result<Response> {
    let email = find(&outbox, &id).await?;
    let info = email.files.get(n).ok_or_else(no_such_email)?;
    let file = outbox.file(&id, n).await.map_err(unavailable)?.ok_or_else(no_such_email)?;
    let disposition = format!("attachment; filename=\"{}\"", info.name);
    Ok(closed(Response::builder(), "default-src 'none'; sandbox")
        .content_type(&info.content_type)
        .header(header::CONTENT_DISPOSITION, disposition)
        .body(file.content))
}

/// What may stand in a segment of a path as it is (RFC 3986: unreserved, and `:`).
const NOT_IN_A_SEGMENT: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b':');

fn address_of(id: &str) -> String {
    format!("/outbox/{}", utf8_percent_encode(id, NOT_IN_A_SEGMENT))
}

fn attachment_address(id: &str, n: usize) -> String {
    format!("{}/attachments/{n}", address_of(id))
}

// ---- for scripts ----

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct EmailsJson<'a> {
    items: Vec<EmailJson<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct EmailJson<'a> {
    id: &'a str,
    to: &'a str,
    subject: &'a str,
    text: &'a str,
    html: &'a str,
    attachments: Vec<FileJson<'a>>,
    written_at: String,
}

#[derive(Serialize)]
struct FileJson<'a> {
    name: &'a str,
    #[serde(rename = "type")]
    content_type: &'a str,
    /// Where it can be fetched: a path on this server.
    address: String,
    /// The id under which the HTML shows it.
    #[serde(rename = "contentId", skip_serializing_if = "Option::is_none")]
    content_id: Option<&'a str>,
}

impl<'a> From<&'a StoredEmail> for EmailJson<'a> {
    fn from(email: &'a StoredEmail) -> Self {
        let files = email.files.iter().enumerate().map(|(n, file)| FileJson {
            name: &file.name,
            content_type: &file.content_type,
            address: attachment_address(&email.id, n),
            content_id: file.content_id.as_deref(),
        });
        Self {
            id: &email.id,
            to: email.to.as_str(),
            subject: &email.subject,
            text: &email.text,
            html: &email.html,
            attachments: files.collect(),
            written_at: email.written_at.rfc3339(),
        }
    }
}

#[handler]
async fn list_json(outbox: Data<&Arc<Outbox>>, Query(query): Query<ListQuery>) -> Result<Response> {
    let page = query.find(&outbox, EMAILS_IN_AN_ANSWER).await?;
    let items = page.items.iter().map(EmailJson::from).collect();
    let emails = EmailsJson { items, next_cursor: page.next.map(|cursor| cursor.as_str().to_owned()) };
    Ok(Json(emails).with_header(header::CACHE_CONTROL, "no-store").into_response())
}

#[cfg(test)]
mod tests {
    use poem::http::StatusCode;
    use poem::test::{TestClient, TestResponse};
    use serde_json::Value;

    use super::*;
    use crate::base::{Base, TestBase};
    use crate::http::pages::EMAIL_POLICY;
    use crate::http::testing;
    use crate::kernel::{Clock, EmailAddress, Rights, Scope};
    use crate::platform::mail::{Attachment, Email, Mail, Transport};

    struct Desk {
        outbox: Arc<Outbox>,
        base: TestBase,
    }

    impl Desk {
        async fn new() -> Self {
            let base = Base::for_tests().await;
            Self { outbox: Arc::new(Outbox::new(&base)), base }
        }

        /// Sends an email, a second after the one before.
        async fn send(&self, id: &str, to: &str) {
            self.base.clock.advance(std::time::Duration::from_secs(1));
            let to = EmailAddress::parse(to).unwrap();
            let mail = Mail::new(id.into(), "hello", &to, [], self.base.clock.now());
            let email = Email {
                subject: format!("Hello <{id}>"),
                text: "Hello,\nthis is <text>.".into(),
                html: "<html><head><title>x</title></head><body><script>1</script>\
                    <img src=\"cid:chart\"></body></html>"
                    .into(),
                attachments: vec![
                    Attachment::file("ticket.pdf", "application/pdf", vec![0, 159, 146, 150]),
                    Attachment::png("chart", vec![137, 80]),
                ],
                unsubscribe: None,
            };
            self.outbox.send(&mail, &email).await.unwrap();
        }

        async fn get(&self, path: &str) -> TestResponse {
            let frame = Arc::new(PageLayout::sample());
            let route = pages(&frame, &self.outbox, Access::Anybody).into_route();
            TestClient::new(route).get(path).send().await
        }

        async fn text(&self, path: &str) -> String {
            let answer = self.get(path).await;
            answer.assert_status_is_ok();
            answer.0.into_body().into_string().await.unwrap()
        }

        async fn json(&self, path: &str) -> Value {
            serde_json::from_str(&self.text(path).await).unwrap()
        }
    }

    fn ids(page: &Value) -> Vec<&str> {
        page["items"].as_array().unwrap().iter().map(|email| email["id"].as_str().unwrap()).collect()
    }

    #[tokio::test]
    async fn an_empty_outbox_says_what_to_do() {
        let desk = Desk::new().await;
        insta::assert_snapshot!("empty.html", desk.text("/outbox").await);
        assert!(desk.text("/outbox?to=x@example.org").await.contains("No emails to x@example.org yet"));
        assert!(ids(&desk.json("/outbox.json").await).is_empty());
    }

    #[tokio::test]
    async fn the_list_and_an_email_can_be_read() {
        let desk = Desk::new().await;
        desk.send("welcome:1", "ana@example.org").await;
        insta::assert_snapshot!("list.html", desk.text("/outbox").await);
        insta::assert_snapshot!("email.html", desk.text("/outbox/welcome:1").await);
    }

    #[tokio::test]
    async fn an_email_carried_twice_is_there_once_as_it_first_was() {
        let desk = Desk::new().await;
        desk.send("a", "ana@example.org").await;
        let first = desk.json("/outbox.json").await;
        desk.send("a", "ana@example.org").await;
        assert_eq!(desk.json("/outbox.json").await, first);
    }

    #[tokio::test]
    async fn scripts_read_page_by_page_and_by_recipient() {
        let desk = Desk::new().await;
        for (id, to) in [("a", "Ana@example.org"), ("b", "bo@example.org"), ("c", "ana@EXAMPLE.org")] {
            desk.send(id, to).await;
        }
        let first = desk.json("/outbox.json?limit=2").await;
        assert_eq!(ids(&first), ["c", "b"]);
        let cursor = first["nextCursor"].as_str().unwrap();
        let second = desk.json(&format!("/outbox.json?limit=2&cursor={cursor}")).await;
        assert_eq!((ids(&second), second.get("nextCursor")), (vec!["a"], None));
        assert_eq!(ids(&desk.json("/outbox.json?to=ANA%40example.org").await), ["c", "a"]);
        let older = desk.text(&format!("/outbox?cursor={cursor}")).await;
        assert!(older.contains("Hello &#60;a&#62;") && !older.contains("Hello &#60;b&#62;"));
    }

    #[tokio::test]
    async fn files_can_be_fetched_at_the_address_given() {
        let desk = Desk::new().await;
        desk.send("ticket:é/1", "ana@example.org").await;
        let emails = desk.json("/outbox.json").await;
        let file = &emails["items"][0]["attachments"][0];
        assert_eq!((&file["name"], &file["type"]), (&"ticket.pdf".into(), &"application/pdf".into()));
        let answer = desk.get(file["address"].as_str().unwrap()).await;
        answer.assert_status_is_ok();
        answer.assert_content_type("application/pdf");
        answer.assert_header("content-disposition", "attachment; filename=\"ticket.pdf\"");
        answer.assert_bytes([0, 159, 146, 150]).await;
    }

    #[tokio::test]
    async fn nothing_in_an_email_runs() {
        let desk = Desk::new().await;
        desk.send("a", "ana@example.org").await;
        let answer = desk.get("/outbox/a/html").await;
        answer.assert_header("content-security-policy", EMAIL_POLICY);
        assert!(!EMAIL_POLICY.contains("allow-scripts") && !EMAIL_POLICY.contains("allow-same-origin"));
    }

    #[tokio::test]
    async fn an_image_of_an_email_is_shown() {
        let desk = Desk::new().await;
        desk.send("a", "ana@example.org").await;
        let shown = desk.text("/outbox/a/html").await;
        assert!(shown.contains("<img src=\"data:image/png;base64,iVA=\">"), "{shown}");
        let emails = desk.json("/outbox.json").await;
        let files = emails["items"][0]["attachments"].as_array().unwrap();
        assert_eq!(
            files.iter().map(|file| file.get("contentId").is_some()).collect::<Vec<_>>(),
            [false, true]
        );
    }

    #[tokio::test]
    async fn what_is_not_there_is_a_page_and_a_bad_place_a_refusal() {
        let desk = Desk::new().await;
        desk.send("a", "ana@example.org").await;
        for path in ["/outbox/b", "/outbox/b/html", "/outbox/a/attachments/2"] {
            let answer = desk.get(path).await;
            answer.assert_status(StatusCode::NOT_FOUND);
            answer.assert_content_type("text/html; charset=utf-8");
        }
        desk.get("/outbox/a/attachments/x").await.assert_status(StatusCode::BAD_REQUEST);
        desk.get("/outbox?cursor=x").await.assert_status(StatusCode::BAD_REQUEST);
        desk.get("/outbox.json?cursor=x").await.assert_status(StatusCode::BAD_REQUEST);
        assert_eq!(ids(&desk.json("/outbox.json?limit=0").await).len(), 1);
    }

    #[tokio::test]
    async fn in_a_rehearsal_only_administrators_read_emails() {
        let desk = Desk::new().await;
        let frame = Arc::new(PageLayout::sample());
        let route = pages(&frame, &desk.outbox, Access::Administrators).into_route();
        // The cookie is the scope.
        let api = testing::api((), route, "http://127.0.0.1:3000", |scope| {
            Some(("1".to_owned(), Rights::leader(Scope::parse(scope))))
        });
        let client = TestClient::new(api.into_endpoint());
        for path in ["/outbox", "/outbox.json", "/outbox/a", "/outbox/a/html", "/outbox/a/attachments/0"] {
            let stranger = client.get(path).send().await;
            stranger.assert_status(StatusCode::UNAUTHORIZED);
            let leader = client.get(path).header("cookie", "orientation_session=email:send").send().await;
            leader.assert_status(StatusCode::FORBIDDEN);
        }
        let admin = client.get("/outbox").header("cookie", "orientation_session=admin:all").send().await;
        admin.assert_status_is_ok();
    }
}
