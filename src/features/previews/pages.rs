//! Emails with sample data in the browser.

use std::sync::{Arc, OnceLock};

use poem::web::{Data, Path, Query};
use poem::{EndpointExt, Response, Result, Route, get, handler};
use serde::Deserialize;

use crate::http::pages::{Access, Guard, HtmlErrors, PageLayout, Pages, framed};
use crate::http::{Kind, Problem, internal};
use crate::platform::mail::{Sample, Templates, with_image};

const NO_SUCH_SAMPLE: Kind = Kind::new(404, "not-found", "Not found");

/// `/mails` and what is below it.
pub(super) fn pages(frame: &Arc<PageLayout>, templates: &Templates, access: Access) -> Pages {
    let pages = Route::new()
        .at("/", get(list))
        .at("/:kind", get(show))
        .at("/:kind/html", get(html))
        .data(Arc::new(Listed { templates: templates.clone(), lines: OnceLock::new() }))
        .data(templates.clone())
        .data(frame.clone())
        .with(Guard { access, detail: "Only administrators can see the emails with sample data." })
        .with(HtmlErrors(frame.clone()));
    Pages::new().below("/mails", pages)
}

#[derive(askama::Template)]
#[template(path = "features/previews/templates/list.page.html")]
struct ListPage<'a> {
    frame: &'a PageLayout,
    kinds: &'a [Line],
}

/// The list, whose samples are rendered when it is first shown.
struct Listed {
    templates: Templates,
    lines: OnceLock<Vec<Line>>,
}

struct Line {
    kind: &'static str,
    /// Subject of its first sample.
    subject: String,
    samples: usize,
}

impl Listed {
    fn lines(&self) -> Result<&[Line]> {
        if let Some(lines) = self.lines.get() {
            return Ok(lines);
        }
        let line = |kind| {
            let samples = samples(&self.templates, kind)?;
            let subject = samples.first().map_or_else(String::new, |sample| sample.email.subject.clone());
            Ok(Line { kind, subject, samples: samples.len() })
        };
        let lines = self.templates.names().map(line).collect::<Result<_>>()?;
        Ok(self.lines.get_or_init(|| lines))
    }
}

#[handler]
fn list(listed: Data<&Arc<Listed>>, frame: Data<&Arc<PageLayout>>) -> Result<Response> {
    Ok(frame.page(&ListPage { frame: &frame, kinds: listed.lines()? }))
}

#[derive(Deserialize)]
struct Which {
    /// Number of the sample, from 0.
    #[serde(default)]
    sample: usize,
}

#[derive(askama::Template)]
#[template(path = "features/previews/templates/preview.page.html")]
struct PreviewPage<'a> {
    frame: &'a PageLayout,
    kind: &'a str,
    samples: &'a [Sample],
    /// Number of the sample that is shown.
    shown: usize,
    sample: &'a Sample,
}

#[handler]
fn show(
    templates: Data<&Templates>,
    frame: Data<&Arc<PageLayout>>,
    Path(kind): Path<String>,
    Query(which): Query<Which>,
) -> Result<Response> {
    let samples = samples(&templates, &kind)?;
    let sample = samples.get(which.sample).ok_or_else(no_such_sample)?;
    let page = PreviewPage { frame: &frame, kind: &kind, samples: &samples, shown: which.sample, sample };
    Ok(frame.page(&page))
}

#[handler]
fn html(
    templates: Data<&Templates>,
    Path(kind): Path<String>,
    Query(which): Query<Which>,
) -> Result<Response> {
    let samples = samples(&templates, &kind)?;
    let email = &samples.get(which.sample).ok_or_else(no_such_sample)?.email;
    let images = email.attachments.iter().filter_map(|file| Some((file.content_id?, file)));
    let shown = images
        .fold(email.html.clone(), |html, (id, file)| with_image(&html, id, &file.content_type, &file.bytes));
    Ok(framed(&shown))
}

fn samples(templates: &Templates, kind: &str) -> Result<Vec<Sample>> {
    Ok(templates.samples(kind).map_err(internal)?.ok_or_else(no_such_sample)?)
}

fn no_such_sample() -> Problem {
    NO_SUCH_SAMPLE.says("There is no email of this kind, or it has no such sample.")
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use poem::http::StatusCode;
    use poem::test::{TestClient, TestResponse};

    use super::*;
    use crate::http::testing;
    use crate::kernel::{Rights, Scope};
    use crate::platform::mail::{Attachment, Email, Mail, RenderError, Template};

    struct Hello;

    #[async_trait]
    impl Template for Hello {
        fn name(&self) -> &'static str {
            "hello"
        }

        async fn render(&self, _: &Mail) -> Result<Email, RenderError> {
            Err(RenderError::Obsolete("a sample needs no store"))
        }

        fn samples(&self) -> Result<Vec<Sample>, RenderError> {
            let email = |subject: &str| Email {
                subject: subject.into(),
                text: format!("{subject} as <text>"),
                html: "<html><head></head><body><script>1</script><img src=\"cid:chart\"></body></html>"
                    .into(),
                attachments: vec![Attachment::png("chart", vec![137, 80])],
                unsubscribe: None,
            };
            Ok(vec![Sample::new("short", email("Hello")), Sample::new("long", email("Hello <Ana>"))])
        }
    }

    fn route(access: Access) -> Route {
        let templates = Templates::new(vec![Arc::new(Hello)]).unwrap();
        pages(&Arc::new(PageLayout::sample()), &templates, access).into_route()
    }

    async fn get(path: &str) -> TestResponse {
        TestClient::new(route(Access::Anybody)).get(path).send().await
    }

    async fn text(path: &str) -> String {
        let answer = get(path).await;
        answer.assert_status_is_ok();
        answer.0.into_body().into_string().await.unwrap()
    }

    #[tokio::test]
    async fn the_pages_are_reviewed() {
        insta::assert_snapshot!("list.html", text("/mails").await);
        insta::assert_snapshot!("preview.html", text("/mails/hello?sample=1").await);
    }

    #[tokio::test]
    async fn nothing_in_a_sample_runs_and_its_images_are_shown() {
        let answer = get("/mails/hello/html").await;
        let policy = answer.0.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'none';") && !policy.contains("allow-scripts"), "{policy}");
        let shown = text("/mails/hello/html").await;
        assert!(shown.contains("<img src=\"data:image/png;base64,iVA=\">"), "{shown}");
    }

    #[tokio::test]
    async fn unknown_kinds_and_samples_are_not_found() {
        for path in
            ["/mails/other", "/mails/other/html", "/mails/hello?sample=2", "/mails/hello/html?sample=2"]
        {
            get(path).await.assert_status(StatusCode::NOT_FOUND);
        }
        get("/mails/hello?sample=x").await.assert_status(StatusCode::BAD_REQUEST);
    }

    #[tokio::test]
    async fn elsewhere_only_administrators_see_samples() {
        // The cookie is the scope.
        let api = testing::api((), route(Access::Administrators), "http://127.0.0.1:3000", |scope| {
            Some(("1".to_owned(), Rights::leader(Scope::parse(scope))))
        });
        let client = TestClient::new(api.into_endpoint());
        for path in ["/mails", "/mails/hello", "/mails/hello/html"] {
            client.get(path).send().await.assert_status(StatusCode::UNAUTHORIZED);
            let with = |scope: &str| format!("orientation_session={scope}");
            let leader = client.get(path).header("cookie", with("email:send")).send().await;
            leader.assert_status(StatusCode::FORBIDDEN);
            client.get(path).header("cookie", with("admin:all")).send().await.assert_status_is_ok();
        }
    }
}
