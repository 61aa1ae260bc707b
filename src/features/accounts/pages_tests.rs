//! The pages that emailed links lead to.

use poem::http::header;
use poem::test::{TestClient, TestResponse};
use url::Url;

use super::super::model::SECOND_PRESS;
use super::super::tests::World;
use super::*;

type Client = TestClient<poem::Route>;

fn client(world: &World) -> Client {
    let cookie = HostCookie::browser(&Url::parse("http://127.0.0.1:3000").unwrap());
    TestClient::new(pages(&Arc::new(PageLayout::sample()), &world.accounts, cookie).into_route())
}

async fn text(answer: TestResponse) -> (StatusCode, String) {
    (answer.0.status(), answer.0.into_body().into_string().await.unwrap())
}

async fn get(client: &Client, path: &str) -> (StatusCode, String) {
    let answer = client.get(path).send().await;
    answer.assert_header("cache-control", "no-store");
    text(answer).await
}

/// Presses a button in a browser without cookies.
async fn post(client: &Client, path: &str, form: &[(&str, &str)]) -> (StatusCode, String) {
    text(client.post(path).form(&form).send().await).await
}

/// Opens the page of a link; the cookie that it sets.
async fn open(client: &Client, path: &str) -> String {
    let answer = client.get(path).send().await;
    let cookie = answer.0.headers()[header::SET_COOKIE].to_str().unwrap();
    assert!(cookie.ends_with("; Max-Age=86400; Path=/; HttpOnly; SameSite=Lax"), "{cookie}");
    cookie.split(';').next().unwrap().to_owned()
}

async fn press(client: &Client, path: &str, cookie: &str, form: &[(&str, &str)]) -> (StatusCode, String) {
    text(client.post(path).header(header::COOKIE, cookie).form(&form).send().await).await
}

#[tokio::test]
async fn opening_a_link_changes_nothing_and_its_button_does_the_step_once() {
    let world = World::new().await;
    let client = client(&world);
    let token = world.sign_up("ana@example.org", "Ana", "seven maple canoes drift").await;
    for _ in 0..2 {
        let (status, html) = get(&client, &format!("/confirm?token={token}")).await;
        assert!(status.is_success() && html.contains(&format!("value=\"{token}\"")));
    }
    let (status, html) = post(&client, "/confirm", &[("token", &token)]).await;
    assert!(status.is_success() && html.contains("<h1>Welcome</h1>"), "{html}");
    let (status, html) = post(&client, "/confirm", &[("token", &token)]).await;
    assert!(status == StatusCode::GONE && html.contains("has been used"));
}

#[tokio::test]
async fn a_second_press_shows_what_the_first_achieved_in_the_same_browser_for_five_minutes() {
    let world = World::new().await;
    let client = client(&world);
    let token = world.sign_up("ana@example.org", "Ana", "seven maple canoes drift").await;
    let (page, form) = (format!("/confirm?token={token}"), [("token", token.as_str())]);
    let (cookie, other) = (open(&client, &page).await, open(&client, &page).await);
    let first = press(&client, "/confirm", &cookie, &form).await;
    assert!(first.0.is_success() && first.1.contains("<h1>Welcome</h1>"), "{}", first.1);
    assert_eq!(press(&client, "/confirm", &cookie, &form).await, first);
    assert_eq!(press(&client, "/confirm", &other, &form).await.0, StatusCode::GONE);
    world.pass(SECOND_PRESS);
    assert_eq!(press(&client, "/confirm", &cookie, &form).await.0, StatusCode::GONE);
}

#[tokio::test]
async fn both_clicks_of_a_double_click_show_the_same() {
    let world = World::new().await;
    let client = client(&world);
    world.account("ana@example.org").await;
    let token = world.reset_token("ana@example.org").await;
    let cookie = open(&client, &format!("/reset-password?token={token}")).await;
    let form = [("token", token.as_str()), ("password", "eight copper kites rise")];
    let click = || press(&client, "/reset-password", &cookie, &form);
    let (first, second) = tokio::join!(click(), click());
    assert!(first.0.is_success() && first.1.contains("Your password is changed"), "{}", first.1);
    assert_eq!(first, second);
}

#[tokio::test]
async fn a_second_press_with_another_password_is_refused() {
    let world = World::new().await;
    let client = client(&world);
    world.account("ana@example.org").await;
    let token = world.reset_token("ana@example.org").await;
    let cookie = open(&client, &format!("/reset-password?token={token}")).await;
    let with = |password| [("token", token.as_str()), ("password", password)];
    let first = press(&client, "/reset-password", &cookie, &with("eight copper kites rise")).await;
    assert!(first.0.is_success() && first.1.contains("Your password is changed"), "{}", first.1);
    assert_eq!(press(&client, "/reset-password", &cookie, &with("eight copper kites rise")).await, first);
    let other = press(&client, "/reset-password", &cookie, &with("nine silver otters swim")).await;
    assert_eq!(other.0, StatusCode::GONE);
}

#[tokio::test]
async fn a_second_press_does_not_confirm_a_link_that_another_replaced() {
    let world = World::new().await;
    let client = client(&world);
    let replaced = world.sign_up("ana@example.org", "Ana", "seven maple canoes drift").await;
    let token = world.sign_up("ana@example.org", "Ana", "seven maple canoes drift").await;
    let cookie = open(&client, "/confirm").await;
    assert!(press(&client, "/confirm", &cookie, &[("token", &token)]).await.0.is_success());
    assert_eq!(press(&client, "/confirm", &cookie, &[("token", &replaced)]).await.0, StatusCode::GONE);
}

#[tokio::test]
async fn a_page_for_a_password_says_what_is_wrong_and_its_link_stays_usable() {
    let world = World::new().await;
    let client = client(&world);
    world.account("ana@example.org").await;
    let token = world.reset_token("ana@example.org").await;
    let (status, html) =
        post(&client, "/reset-password", &[("token", &token), ("password", "password1")]).await;
    assert!(status == StatusCode::UNPROCESSABLE_ENTITY && html.contains("easy to guess"));
    let good = [("token", token.as_str()), ("password", "eight copper kites rise")];
    assert!(post(&client, "/reset-password", &good).await.0.is_success());
}

#[tokio::test]
async fn the_token_of_a_link_is_never_markup() {
    let world = World::new().await;
    let client = client(&world);
    for path in ["/confirm", "/confirm-email", "/reset-password"] {
        let (status, html) = get(&client, &format!("{path}?token=%22%3E%3Cscript%3E")).await;
        assert!(status.is_success() && !html.contains("<script>"));
        let (status, html) = post(&client, path, &[("token", "nonsense"), ("password", "x")]).await;
        assert!(status == StatusCode::NOT_FOUND && html.contains("not one of ours"), "{path}");
    }
}
