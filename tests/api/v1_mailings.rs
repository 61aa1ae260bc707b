//! `/v1/mailings`.

use std::time::Duration;

use orientation::features::accounts::{Account, Names, SignUp};
use orientation::features::announcements::Announcement;
use orientation::kernel::{
    Actor, Audience, Clock, EmailAddress, Ids, Markdown, RandomIds, Reach, Right, Role, Scope, StudentField,
    Timestamp,
};
use orientation::platform::audit::AuditEntry;
use orientation::platform::mail::{Mail, Suppression, SuppressionCause};
use orientation::platform::store::{Filter, Query, StoreError};
use reqwest::Method;
use reqwest::header::IF_MATCH;
use serde_json::{Value, json};

use crate::support::{Answer, NO_ID, PATIENCE, TestApp, Visitor, reaches_all_of};

const WRITER: [Scope; 2] = [Scope::EmailSend, Scope::MailingsRead];

impl TestApp {
    /// A leader who writes mailings to the students of these groups, and may read these fields.
    async fn writer(&self, reach: Reach, fields: &[StudentField]) -> Visitor {
        let fields = fields.iter().cloned().map(Right::StudentField);
        let scopes = WRITER.map(Right::Scope).into_iter();
        self.leader_with(scopes.chain(fields).chain([Right::Reach(reach)])).await
    }

    /// Accounts of this number of students without a form.
    async fn crowd(&self, number: usize) -> Vec<Account> {
        let somebody = |n: usize| {
            let email = EmailAddress::parse(&format!("crowd{n}-{}@mail.example.edu", RandomIds.next()));
            let email = email.expect("an address");
            let now = self.clock.now();
            let names = Names { first: format!("Student {n}"), last: None, preferred: None };
            let sign_up = SignUp {
                client: None,
                id: RandomIds.next(),
                email_key: email.key(),
                email,
                names,
                role: Role::Student,
                password_hash: String::new(),
                created_at: now,
                expires_at: now,
            };
            Account::confirmed(&sign_up, now)
        };
        let accounts: Vec<_> = (0..number).map(somebody).collect();
        for some in accounts.chunks(200) {
            let some: Vec<_> = some.iter().collect();
            let stored: Result<(), StoreError> =
                self.store.transact(async |tx| tx.put_all(&some).await).await;
            stored.expect("new");
        }
        accounts
    }

    async fn emails_of(&self, mailing: &Value) -> Vec<Mail> {
        let of_mailing = Filter::eq("batch", mailing["id"].as_str().expect("an id"));
        self.store.find(Query::new(of_mailing).limit(2_000)).await.expect("readable")
    }
}

/// A draft with this audience.
fn draft(audience: Value) -> Value {
    json!({ "subject": "Where {group} meets", "text": "Dear {firstName},\n\n**bring** water.", "audience": audience })
}

/// An announcement that is published at this time.
fn announcement(text: &str, at: Timestamp) -> Announcement {
    Announcement {
        id: RandomIds.next(),
        title: "x".into(),
        text: Markdown::new(text),
        audience: Audience::Everyone,
        pinned: false,
        publish_at: at,
        created_at: at,
        updated_at: at,
    }
}

fn students(filters: &[&str]) -> Value {
    json!({ "for": "students", "filters": filters })
}

fn path(mailing: &Value, rest: &str) -> String {
    format!("/v1/mailings/{}{rest}", mailing["id"].as_str().expect("an id"))
}

async fn create(writer: &Visitor, audience: Value) -> Value {
    writer.post("/v1/mailings", &draft(audience)).await.ok(201)
}

async fn start(writer: &Visitor, mailing: &Value, body: Value) -> Answer {
    let request = writer.request(Method::POST, &path(mailing, "/start")).header(IF_MATCH, "*");
    writer.send(request.json(&body)).await
}

/// Starts it with the number of recipients that it has now.
async fn start_all(writer: &Visitor, mailing: &Value) -> Value {
    let count = writer.get(&path(mailing, "/count")).await.ok(200);
    start(writer, mailing, json!({ "recipients": count["recipients"] })).await.ok(202)
}

/// Waits until the mailing is as wanted.
async fn until(writer: &Visitor, mailing: &Value, wanted: impl Fn(&Value) -> bool) -> Value {
    // Some hundred emails, by way of MongoDB.
    let deadline = tokio::time::Instant::now() + 3 * PATIENCE;
    loop {
        let now = writer.get(&path(mailing, "")).await.ok(200);
        is_true(&now);
        if wanted(&now) {
            return now;
        }
        assert!(tokio::time::Instant::now() < deadline, "{now}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn until_finished(writer: &Visitor, mailing: &Value) -> Value {
    until(writer, mailing, |mailing| mailing["state"] == "finished").await
}

/// Each recipient is counted once.
fn is_true(mailing: &Value) {
    if let Some(progress) = mailing["progress"].as_object() {
        let number = |name: &str| progress[name].as_u64().expect("a number");
        let states = ["queued", "sent", "possiblyTwice", "failed", "suppressed", "unsubscribed", "obsolete"];
        assert_eq!(states.map(number).iter().sum::<u64>(), number("recipients"), "{mailing}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mailing_is_counted_confirmed_and_sent_to_each_recipient_once() {
    let app = TestApp::start().await;
    let ((ana, _), (bo, _), (cy, _)) =
        (app.registered().await, app.registered().await, app.registered().await);
    let (di, _) = app.submitted().await;
    let writer = app.writer(Reach::AllGroups, &[StudentField::PreferredName]).await;
    cy.delete("/v1/me/subscription").await.ok(204);
    let mailing = create(&writer, students(&[])).await;
    assert_eq!((&mailing["state"], mailing.get("progress")), (&json!("draft"), None));
    let count = writer.get(&path(&mailing, "/count")).await.ok(200);
    let expected = json!({
        "recipients": 2, "leftOut": { "unsubscribed": 1, "suppressed": 0 }, "withoutValue": [],
    });
    assert_eq!(count, expected, "di is not registered");
    let refused =
        start(&writer, &mailing, json!({ "recipients": 3 })).await.refused(409, "mailing-count-changed");
    assert!(refused["detail"].as_str().expect("a text").contains("has 2 recipients"), "{refused}");
    let started = start(&writer, &mailing, json!({ "recipients": 2 })).await.ok(202);
    assert_eq!(started["progress"]["recipients"], 2);
    start(&writer, &mailing, json!({ "recipients": 2 })).await.refused(409, "mailing-not-a-draft");
    let finished = until_finished(&writer, &mailing).await;
    assert_eq!(finished["progress"]["sent"], 2, "{finished}");
    assert_eq!(finished["leftOut"], json!({ "unsubscribed": 1, "suppressed": 0 }));
    for student in [&ana, &bo] {
        let group = student.get("/v1/registration").await.ok(200)["group"]["name"].clone();
        let subject = format!("Where {} meets", group.as_str().expect("a name"));
        let email = app.mailbox(student.email()).email(&subject).await;
        assert_eq!(email["to"], student.email());
        assert!(email["text"].as_str().expect("a text").contains("Dear Ana,"), "{email}");
        assert!(email["html"].as_str().expect("a text").contains("<strong>bring</strong>"), "{email}");
    }
    assert_eq!(app.emails_of(&mailing).await.len(), 2);
    for student in [&cy, &di] {
        let emails = app.mailbox(student.email()).emails().await;
        assert!(emails.iter().all(|email| !email["subject"].as_str().is_some_and(|s| s.contains("meets"))));
    }
    let recipients = writer.get(&path(&mailing, "/recipients")).await.ok(200);
    let states: Vec<_> =
        recipients["items"].as_array().expect("a list").iter().map(|one| &one["state"]).collect();
    assert_eq!(states, ["sent", "sent"]);
    let entries = Query::new(Filter::eq("subject.collection", "mailings"));
    let entries: Vec<AuditEntry> = app.store.find(entries).await.expect("readable");
    let entries: Vec<_> = entries.iter().map(|entry| (entry.action.as_str(), entry.detail.clone())).collect();
    let detail = |recipients: Option<&str>| {
        let recipients = recipients.map(|recipients| ("recipients".to_owned(), recipients.to_owned()));
        [("audience".to_owned(), "students".to_owned())].into_iter().chain(recipients).collect()
    };
    assert_eq!(entries, [("mailing.created", detail(None)), ("mailing.started", detail(Some("2")))]);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_audience_is_within_reach_and_of_granted_fields() {
    let app = TestApp::start().await;
    let ((ana, _), (bo, _)) = (app.registered().await, app.registered().await);
    let group_of = async |student: &Visitor| {
        student.get("/v1/registration").await.ok(200)["group"]["name"].as_str().expect("a name").to_owned()
    };
    let (alpha, beta) = (group_of(&ana).await, group_of(&bo).await);
    assert_ne!(alpha, beta);
    let writer = app.writer(Reach::Group(alpha.clone()), &[StudentField::PreferredName]).await;
    let mailing = create(&writer, students(&[])).await;
    assert_eq!(writer.get(&path(&mailing, "/count")).await.ok(200)["recipients"], 1);
    let of_beta = create(&writer, students(&[&format!("group:eq:{beta}")])).await;
    assert_eq!(writer.get(&path(&of_beta, "/count")).await.ok(200)["recipients"], 0);
    start(&writer, &of_beta, json!({ "recipients": 1 })).await.refused(409, "mailing-without-recipients");
    let refused = writer.post("/v1/mailings", &draft(students(&["dietary:exists:true"]))).await;
    let refused = refused.refused(403, "field-not-granted");
    assert!(refused["detail"].as_str().expect("a text").contains("dietary"), "{refused}");
    for kind in ["leaders", "everyone"] {
        writer.post("/v1/mailings", &draft(json!({ "for": kind }))).await.refused(403, "scope-missing");
    }
    for filters in [&["nonsense"][..], &["x:eq:y"]] {
        let errors = writer.post("/v1/mailings", &draft(students(filters))).await.errors();
        assert_eq!(errors, [("/audience/filters".to_owned(), "not-understood".to_owned())]);
    }
    for blank in ["", " ", "-!"] {
        let body = draft(json!({ "for": "students", "search": blank }));
        let errors = writer.post("/v1/mailings", &body).await.errors();
        assert_eq!(errors, [("/audience/search".to_owned(), "empty".to_owned())], "it would be everybody");
    }
    let errors = writer.post("/v1/mailings", &draft(students(&["preferredName:contains: "]))).await.errors();
    assert_eq!(errors, [("/audience/filters".to_owned(), "not-understood".to_owned())]);
    let by_everyone = draft(json!({ "for": "everyone", "filters": ["group:eq:Alpha"] }));
    let errors = writer.post("/v1/mailings", &by_everyone).await.errors();
    assert_eq!(errors, [("/audience".to_owned(), "not-applicable".to_owned())]);

    let admin = app.administrator().await;
    let everyone = create(&admin, json!({ "for": "everyone" })).await;
    let count = admin.get(&path(&everyone, "/count")).await.ok(200);
    assert_eq!(count["recipients"], 4, "ana, bo, the writer and the administrator");
    assert_eq!(count["withoutValue"], json!([{ "placeholder": "group", "recipients": 2 }]));
    let leaders = create(&admin, json!({ "for": "leaders" })).await;
    assert_eq!(admin.get(&path(&leaders, "/count")).await.ok(200)["recipients"], 2);
    start_all(&admin, &everyone).await;
    until_finished(&admin, &everyone).await;
    let seen = async |caller: &Visitor| {
        let list = caller.get(&path(&everyone, "/recipients?limit=100")).await.ok(200);
        let ids = list["items"].as_array().expect("a list").iter().map(|one| one["accountId"].clone());
        ids.collect::<Vec<_>>()
    };
    assert_eq!((seen(&admin).await.len(), seen(&writer).await), (4, vec![json!(ana.account().id)]));

    // Of an audience that is filtered by health, a reader without the grant sees neither filter nor number nor recipient.
    let of_health = create(&admin, students(&["dietary:exists:false"])).await;
    start_all(&admin, &of_health).await;
    until_finished(&admin, &of_health).await;
    let hidden = writer.get(&path(&of_health, "")).await.ok(200);
    assert_eq!((&hidden["restricted"], &hidden["audience"]), (&json!(true), &json!({ "for": "students" })));
    assert_eq!((hidden.get("progress"), hidden.get("leftOut")), (None, None));
    writer.get(&path(&of_health, "/recipients")).await.refused(403, "field-not-granted");
    let listed = writer.get("/v1/mailings").await.ok(200);
    assert!(!listed.to_string().contains("dietary"), "{listed}");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn students_who_are_not_registered_get_it_only_from_those_who_may_read_about_them() {
    let app = TestApp::start().await;
    app.submitted().await;
    let scopes = WRITER.into_iter().chain([Scope::StudentsUnregistered]).map(Right::Scope);
    let fields = [Right::StudentField(StudentField::PreferredName), Right::Reach(Reach::AllGroups)];
    let reads_all = app.leader_with(scopes.chain(fields)).await;
    let writer = app.writer(Reach::AllGroups, &[StudentField::PreferredName]).await;
    let mailing = create(&writer, students(&["state:eq:submitted"])).await;
    for (caller, recipients) in [(&writer, 0), (&reads_all, 1)] {
        assert_eq!(caller.get(&path(&mailing, "/count")).await.ok(200)["recipients"], recipients);
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn placeholders_are_a_closed_list_and_need_grants() {
    let app = TestApp::start().await;
    let (ana, _) = app.registered().await;
    app.change(&ana, |account| account.first_name = "**Ana** [x](y) <b>{group}</b>".into()).await;
    let writer = app.writer(Reach::AllGroups, &[StudentField::PreferredName]).await;
    let with =
        |subject: &str, text: &str| json!({ "subject": subject, "text": text, "audience": students(&[]) });
    let unknown =
        writer.post("/v1/mailings", &with("{name}", "{shoeSize} [x](https://a.example/{group})")).await;
    let expected = [
        ("/subject", "unknown-placeholder"),
        ("/text", "placeholder-in-link"),
        ("/text", "unknown-placeholder"),
    ];
    assert_eq!(unknown.errors(), expected.map(|(pointer, code)| (pointer.to_owned(), code.to_owned())));
    let refused =
        writer.post("/v1/mailings", &with("x", "{legalName}")).await.refused(403, "field-not-granted");
    assert!(refused["detail"].as_str().expect("a text").contains("legalName"), "{refused}");

    for text in [r"\{legalName\}", "&#123;legalName&#125;"] {
        writer.post("/v1/mailings", &with("x", text)).await.refused(403, "field-not-granted");
    }
    let long = json!({ "subject": "x", "text": "x", "audience": students(&[&"x".repeat(501)]) });
    let too_long = ("/audience/filters/0".to_owned(), "too-long".to_owned());
    assert_eq!(writer.post("/v1/mailings", &long).await.errors(), [too_long]);

    let mailing = writer.post("/v1/mailings", &with("Hi {firstName}", "Dear {firstName}")).await.ok(201);
    let preview = path(&mailing, &format!("/preview?recipient={}", ana.account().id));
    let shown = writer.get(&preview).await.ok(200);
    let (html, text) = (shown["html"].as_str().expect("HTML"), shown["text"].as_str().expect("a text"));
    assert!(html.contains("Dear **Ana** [x](y) &#60;b&#62;{group}&#60;/b&#62;"), "{html}");
    assert!(text.contains("Dear **Ana** [x](y) <b>{group}</b>"), "{text}");
    assert!(text.contains("/unsubscribe?token=sample"), "who previews can't unsubscribe the recipient");
    let samples = writer.get(&path(&mailing, "/preview")).await.ok(200);
    assert_eq!(samples["subject"], "Hi Ana");
    let elsewhere = app.writer(Reach::HuntTeam(1), &[StudentField::PreferredName]).await;
    elsewhere.get(&preview).await.refused(404, "no-such-student");
    let ungranted = app.writer(Reach::AllGroups, &[]).await;
    for refused in [ungranted.get(&preview).await, ungranted.press(&path(&mailing, "/test")).await] {
        refused.refused(403, "field-not-granted");
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_announcement_is_sent_as_it_is_when_the_mailing_starts() {
    let app = TestApp::start().await;
    let (ana, _) = app.registered().await;
    let writer = app.writer(Reach::AllGroups, &[]).await;
    let in_an_hour = app.clock.now().plus(Duration::from_hours(1));
    let announcement = announcement("It **rains**, {everybody}.", in_an_hour);
    app.store.insert(&announcement).await.expect("new");
    let body = json!({ "subject": "Rain", "announcement": announcement.id, "audience": students(&[]) });
    let missing = ("/announcement".to_owned(), "no-such-announcement".to_owned());
    assert_eq!(writer.post("/v1/mailings", &body).await.errors(), [missing], "it is not published yet");
    app.clock.advance(Duration::from_hours(2));
    let mailing = writer.post("/v1/mailings", &body).await.ok(201);
    assert_eq!((mailing.get("text"), &mailing["announcement"]), (None, &json!(announcement.id)));
    start_all(&writer, &mailing).await;
    let finished = until_finished(&writer, &mailing).await;
    assert!(
        finished["text"]["html"].as_str().expect("a text").contains("<strong>rains</strong>"),
        "{finished}"
    );
    let email = app.mailbox(ana.email()).email("Rain").await;
    assert!(email["text"].as_str().expect("a text").contains("It rains, {everybody}."), "{email}");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_announcement_goes_to_nobody_whom_it_is_not_for() {
    let app = TestApp::start().await;
    app.registered().await;
    let admin = app.administrator().await;
    let groups = vec!["Alpha".to_owned(), "Beta".to_owned()];
    let of_groups =
        Announcement { audience: Audience::Groups { groups }, ..announcement("x", app.clock.now()) };
    let of_leaders = Announcement { audience: Audience::Leaders, ..announcement("x", app.clock.now()) };
    let of_all = announcement("x", app.clock.now());
    for announcement in [&of_groups, &of_leaders, &of_all] {
        app.store.insert(announcement).await.expect("new");
    }
    let send = async |announcement: &Announcement, audience: &Value| {
        let body = json!({ "subject": "x", "announcement": announcement.id, "audience": audience });
        admin.post("/v1/mailings", &body).await
    };
    let (leaders, everyone) = (json!({ "for": "leaders" }), json!({ "for": "everyone" }));
    let wider = [("/audience".to_owned(), "wider-than-the-announcement".to_owned())];
    for (announcement, audience) in [
        (&of_groups, &students(&["group:eq:Alpha"])),
        (&of_groups, &students(&["shirtSize:eq:M", "group:in:Alpha|Beta"])),
        (&of_groups, &leaders),
        (&of_leaders, &leaders),
        (&of_all, &everyone),
    ] {
        send(announcement, audience).await.ok(201);
    }
    for (announcement, audience) in [
        (&of_groups, &students(&[])),
        (&of_groups, &students(&["group:in:Alpha|Gamma"])),
        (&of_groups, &everyone),
        (&of_leaders, &students(&["group:eq:Alpha"])),
        (&of_leaders, &everyone),
    ] {
        assert_eq!(send(announcement, audience).await.errors(), wider, "{audience}");
    }

    // Somebody makes the announcement one for leaders, after the draft was written.
    let mailing = send(&of_all, &students(&[])).await.ok(201);
    let edited: Result<(), StoreError> = app
        .store
        .transact(async |tx| tx.put(&Announcement { audience: Audience::Leaders, ..of_all.clone() }).await)
        .await;
    edited.expect("stored");
    assert_eq!(admin.get(&path(&mailing, "/count")).await.errors(), wider);
    assert_eq!(start(&admin, &mailing, json!({ "recipients": 1 })).await.errors(), wider);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn edits_that_meet_are_refused_and_only_a_draft_is_edited() {
    let app = TestApp::start().await;
    app.registered().await;
    let writer = app.writer(Reach::AllGroups, &[StudentField::PreferredName]).await;
    let created = writer.post("/v1/mailings", &draft(students(&[]))).await;
    let (mailing, seen) = (created.ok(201), created.header("etag").expect("a tag").to_owned());
    let put = async |tag: Option<&str>, subject: &str| {
        let body = json!({ "subject": subject, "text": "x", "audience": students(&[]) });
        let request = writer.request(Method::PATCH, &path(&mailing, ""));
        let request = tag.into_iter().fold(request, |request, tag| request.header(IF_MATCH, tag));
        writer.send(request.json(&body)).await
    };
    put(None, "One").await.refused(428, "if-match-missing");
    let one = put(Some(&seen), "One").await;
    assert_eq!(one.ok(200)["subject"], "One");
    put(Some(&seen), "Two").await.refused(412, "stale");
    let begin = async |tag: &str| {
        let request = writer.request(Method::POST, &path(&mailing, "/start")).header(IF_MATCH, tag);
        writer.send(request.json(&json!({ "recipients": 1 }))).await
    };
    begin(&seen).await.refused(412, "stale");
    begin(one.header("etag").expect("a tag")).await.ok(202);
    put(Some("*"), "Three").await.refused(409, "mailing-not-a-draft");
    until_finished(&writer, &mailing).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_mailing_sends_nothing_and_a_resumed_one_goes_on_without_those_who_left_meanwhile() {
    let app = TestApp::start().await;
    let crowd = app.crowd(700).await;
    let admin = app.administrator().await;
    let mailing = create(&admin, json!({ "for": "everyone" })).await;
    start_all(&admin, &mailing).await;
    until(&admin, &mailing, |mailing| mailing["progress"]["sent"].as_u64() >= Some(20)).await;
    let paused = admin.press(&path(&mailing, "/pause")).await.ok(200);
    is_true(&paused);
    admin.press(&path(&mailing, "/pause")).await.ok(200);
    // Those that were being sent at that moment.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let before = admin.get(&path(&mailing, "")).await.ok(200);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let after = admin.get(&path(&mailing, "")).await.ok(200);
    assert_eq!((&after["state"], &after["progress"]), (&json!("paused"), &before["progress"]));
    assert!(after["progress"]["queued"].as_u64() >= Some(100), "{after}");

    let posted = app.emails_of(&mailing).await;
    let unsent: Vec<_> =
        crowd.iter().filter(|account| posted.iter().all(|mail| mail.to != account.email)).take(2).collect();
    let changed: Result<(), StoreError> = app
        .store
        .transact(async |tx| {
            let unsubscribed_at = Some(app.clock.now());
            tx.put(&Account { unsubscribed_at, ..unsent[0].clone() }).await?;
            let (id, address) = (RandomIds.next(), &unsent[1].email);
            tx.insert(&Suppression::new(id, address, SuppressionCause::Bounce, app.clock.now())).await
        })
        .await;
    changed.expect("changed");
    admin.press(&path(&mailing, "/resume")).await.ok(200);
    admin.press(&path(&mailing, "/resume")).await.ok(200);
    let finished = until_finished(&admin, &mailing).await;
    let progress = &finished["progress"];
    assert_eq!((&progress["unsubscribed"], &progress["suppressed"]), (&json!(1), &json!(1)), "{finished}");
    assert_eq!(progress["sent"], 699, "700 and the administrator, but two: {finished}");
    admin.press(&path(&mailing, "/cancel")).await.refused(409, "mailing-in-another-state");
    for account in unsent {
        assert!(app.mailbox(account.email.as_str()).emails().await.is_empty());
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_mailing_sends_nothing_more() {
    let app = TestApp::start().await;
    app.crowd(700).await;
    let admin = app.administrator().await;
    let mailing = create(&admin, json!({ "for": "everyone" })).await;
    start_all(&admin, &mailing).await;
    until(&admin, &mailing, |mailing| mailing["progress"]["sent"].as_u64() >= Some(20)).await;
    admin.press(&path(&mailing, "/cancel")).await.ok(200);
    let cancelled = until(&admin, &mailing, |mailing| mailing["progress"]["queued"] == 0).await;
    assert_eq!(cancelled["state"], "cancelled");
    assert!(cancelled["progress"]["obsolete"].as_u64() >= Some(100), "{cancelled}");
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(admin.get(&path(&mailing, "")).await.ok(200), cancelled);
    admin.press(&path(&mailing, "/cancel")).await.ok(200);
    admin.press(&path(&mailing, "/resume")).await.refused(409, "mailing-in-another-state");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scheduled_mailing_starts_at_its_time_with_the_rights_of_then() {
    let app = TestApp::start().await;
    app.registered().await;
    let writer = app.writer(Reach::AllGroups, &[StudentField::PreferredName]).await;
    let in_an_hour = app.clock.now().plus(Duration::from_hours(1)).rfc3339();
    let (kept, lost, cancelled) = (
        create(&writer, students(&[])).await,
        create(&writer, students(&[])).await,
        create(&writer, students(&[])).await,
    );
    let past = json!({ "recipients": 1, "sendAt": "2020-01-01T00:00:00Z" });
    assert_eq!(
        start(&writer, &kept, past).await.errors(),
        [("/sendAt".to_owned(), "out-of-range".to_owned())]
    );
    for mailing in [&kept, &lost, &cancelled] {
        let scheduled =
            start(&writer, mailing, json!({ "recipients": 1, "sendAt": in_an_hour })).await.ok(202);
        assert_eq!((&scheduled["state"], scheduled.get("progress")), (&json!("scheduled"), None));
    }
    writer.press(&path(&cancelled, "/cancel")).await.ok(200);
    // Registered after the count: the recipients are fixed at the start.
    app.registered().await;
    app.change(&writer, |account| {
        account.student_fields.clear();
    })
    .await;
    let without = json!({ "subject": "x", "text": "x", "audience": students(&[]) });
    let plain = writer.post("/v1/mailings", &without).await.ok(201);
    start(&writer, &plain, json!({ "recipients": 2, "sendAt": in_an_hour })).await.ok(202);
    app.clock.advance(Duration::from_hours(2));
    let finished = until_finished(&writer, &plain).await;
    assert_eq!(finished["progress"]["sent"], 2);
    let refused = until(&writer, &lost, |mailing| mailing["state"] == "cancelled").await;
    assert!(refused["reason"].as_str().expect("a text").contains("rights"), "{refused}");
    assert_eq!(writer.get(&path(&cancelled, "")).await.ok(200)["state"], "cancelled");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scheduled_mailing_that_would_reach_far_more_people_is_a_draft_again() {
    let app = TestApp::start().await;
    let admin = app.administrator().await;
    let mailing = create(&admin, json!({ "for": "everyone" })).await;
    let in_an_hour = app.clock.now().plus(Duration::from_hours(1)).rfc3339();
    start(&admin, &mailing, json!({ "recipients": 1, "sendAt": in_an_hour })).await.ok(202);
    app.crowd(12).await;
    app.clock.advance(Duration::from_hours(2));
    let draft = until(&admin, &mailing, |mailing| mailing["state"] == "draft").await;
    assert!(draft["reason"].as_str().expect("a text").contains("far more recipients"), "{draft}");
    start_all(&admin, &mailing).await;
    assert_eq!(until_finished(&admin, &mailing).await["progress"]["sent"], 13);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_goes_to_its_author_only_and_counts_for_nothing() {
    let app = TestApp::start().await;
    let (ana, _) = app.registered().await;
    let writer = app.writer(Reach::AllGroups, &[StudentField::PreferredName]).await;
    let mailing = create(&writer, students(&[])).await;
    writer.press(&path(&mailing, "/test")).await.ok(202);
    let email = app.mailbox(writer.email()).email("[Test] Where Alpha meets").await;
    assert!(email["text"].as_str().expect("a text").contains("Dear Ana,"), "{email}");
    app.settle().await;
    assert!(app.emails_of(&mailing).await.is_empty());
    let of_ana = app.mailbox(ana.email()).emails().await;
    assert!(of_ana.iter().all(|email| !email["subject"].as_str().expect("a text").contains("meets")));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn recipients_and_mailings_are_listed_in_pages() {
    let app = TestApp::start().await;
    let crowd = app.crowd(45).await;
    let admin = app.administrator().await;
    let mailing = create(&admin, json!({ "for": "everyone" })).await;
    start_all(&admin, &mailing).await;
    until_finished(&admin, &mailing).await;
    let (mut seen, mut cursor) = (vec![], String::new());
    loop {
        let page = admin.get(&path(&mailing, &format!("/recipients?limit=20{cursor}"))).await.ok(200);
        seen.extend(page["items"].as_array().expect("a list").iter().map(|one| one["accountId"].clone()));
        let Some(next) = page["nextCursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    let mut all: Vec<_> = crowd.iter().chain([admin.account()]).map(|account| json!(account.id)).collect();
    all.sort_by_key(ToString::to_string);
    assert_eq!(seen, all);
    let newer = create(&admin, json!({ "for": "leaders" })).await;
    let of_another = format!("/recipients?limit=20{cursor}");
    admin.get(&path(&newer, &of_another)).await.refused(400, "bad-cursor");
    let page = admin.get("/v1/mailings?limit=1").await.ok(200);
    assert_eq!(page["items"][0]["id"], newer["id"]);
    let next = page["nextCursor"].as_str().expect("another page");
    let rest = admin.get(&format!("/v1/mailings?limit=1&cursor={next}")).await.ok(200);
    assert_eq!((&rest["items"][0]["id"], rest.get("nextCursor")), (&mailing["id"], None));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_writes_mailings_but_has_no_mailbox() {
    let app = TestApp::start().await;
    let machine = app.machine(WRITER, app.clock.now().plus(Duration::from_hours(24))).await;
    let body = json!({ "subject": "x", "text": "x", "audience": students(&[]) });
    let mailing = machine.post("/v1/mailings", &body).await.ok(201);
    machine.press(&path(&mailing, "/test")).await.refused(409, "no-address");
    let entries: Vec<AuditEntry> =
        app.store.find(Query::new(Filter::eq("action", "mailing.created"))).await.expect("readable");
    assert!(matches!(entries[0].actor, Actor::Machine(_)));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_outcome_of_the_operations_on_mailings_is_reached() {
    reaches_all_of("Mailings", async |reach| {
        let app = reach.start().await;
        app.registered().await;
        let admin = app.administrator().await;
        let writer = app.writer(Reach::AllGroups, &[StudentField::PreferredName]).await;
        reach.example(&admin, "createMailing").await.ok(201);
        let unknown = json!({ "id": NO_ID });
        let put = async |visitor: &Visitor, mailing: &Value, tag: Option<&str>, body: &Value| {
            let request = visitor.request(Method::PATCH, &path(mailing, ""));
            let request = tag.into_iter().fold(request, |request, tag| request.header(IF_MATCH, tag));
            visitor.send(request.json(body)).await
        };
        reach.example(&admin, "updateMailing").await.refused(404, "no-such-mailing");
        reach.example(&admin, "startMailing").await.refused(404, "no-such-mailing");
        for rest in ["", "/count", "/preview", "/recipients"] {
            admin.get(&path(&unknown, rest)).await.refused(404, "no-such-mailing");
        }
        for rest in ["/test", "/pause", "/resume", "/cancel"] {
            admin.press(&path(&unknown, rest)).await.refused(404, "no-such-mailing");
        }
        let (text, by_name) = (json!("x"), json!("{legalName}"));
        let written =
            |text: &Value, audience: Value| json!({ "subject": "x", "text": text, "audience": audience });
        let plain = written(&text, students(&[]));
        let everyone = written(&text, json!({ "for": "everyone" }));
        let named = written(&by_name, students(&[]));
        let mistyped = written(&json!("{x}"), students(&[]));
        let neither = json!({ "subject": "x", "audience": students(&[]) });
        writer.post("/v1/mailings", &everyone).await.refused(403, "scope-missing");
        writer.post("/v1/mailings", &named).await.refused(403, "field-not-granted");
        for body in [&mistyped, &neither] {
            writer.post("/v1/mailings", body).await.refused(422, "invalid");
        }
        let mailing = writer.post("/v1/mailings", &plain).await.ok(201);
        put(&writer, &mailing, None, &plain).await.refused(428, "if-match-missing");
        put(&writer, &mailing, Some("\"x\""), &plain).await.refused(412, "stale");
        put(&writer, &mailing, Some("*"), &everyone).await.refused(403, "scope-missing");
        put(&writer, &mailing, Some("*"), &named).await.refused(403, "field-not-granted");
        put(&writer, &mailing, Some("*"), &mistyped).await.refused(422, "invalid");
        put(&writer, &mailing, Some("*"), &plain).await.ok(200);

        // Drafts of an administrator, whom the writer may not follow.
        let wide = admin.post("/v1/mailings", &everyone).await.ok(201);
        let private = admin.post("/v1/mailings", &named).await.ok(201);
        for (mailing, kind) in [(&wide, "scope-missing"), (&private, "field-not-granted")] {
            writer.get(&path(mailing, "/count")).await.refused(403, kind);
            start(&writer, mailing, json!({ "recipients": 1 })).await.refused(403, kind);
        }
        let of_health = written(&text, students(&["dietary:exists:true"]));
        let of_health = admin.post("/v1/mailings", &of_health).await.ok(201);
        writer.get(&path(&of_health, "/recipients")).await.refused(403, "field-not-granted");
        for rest in ["/resume", "/cancel"] {
            writer.press(&path(&wide, rest)).await.refused(403, "scope-missing");
            writer.press(&path(&of_health, rest)).await.refused(403, "field-not-granted");
        }
        writer.delete(&path(&wide, "")).await.refused(403, "scope-missing");
        writer.delete(&path(&of_health, "")).await.refused(403, "field-not-granted");
        let unwanted = writer.post("/v1/mailings", &plain).await.ok(201);
        writer.delete(&path(&unwanted, "")).await.ok(204);
        writer.delete(&path(&unwanted, "")).await.refused(404, "no-such-mailing");
        let deleted = Query::new(Filter::eq("action", "mailing.deleted"));
        let deleted: Vec<AuditEntry> = app.store.find(deleted).await.expect("readable");
        assert_eq!((deleted.len(), deleted[0].subject.id.as_deref()), (1, unwanted["id"].as_str()));
        for blank in ["[x]: y", "&nbsp;"] {
            let blank = written(&json!(blank), students(&[]));
            let empty = [("/text".to_owned(), "empty".to_owned())];
            assert_eq!(writer.post("/v1/mailings", &blank).await.errors(), empty);
        }
        let removed = json!({ "subject": " ", "text": null });
        let missing = ["/subject", "/text"].map(|pointer| (pointer.to_owned(), "missing".to_owned()));
        assert_eq!(put(&writer, &mailing, Some("*"), &removed).await.errors(), missing);
        writer.get(&path(&private, "/preview")).await.refused(403, "field-not-granted");
        writer.press(&path(&private, "/test")).await.refused(403, "field-not-granted");
        writer
            .get(&path(&mailing, &format!("/preview?recipient={NO_ID}")))
            .await
            .refused(404, "no-such-student");

        // An announcement that is gone.
        let announcement = announcement("x", app.clock.now());
        app.store.insert(&announcement).await.expect("new");
        let body = json!({ "subject": "x", "announcement": announcement.id, "audience": students(&[]) });
        let announced = writer.post("/v1/mailings", &body).await.ok(201);
        let deleted: Result<bool, StoreError> =
            app.store.transact(async |tx| tx.delete::<Announcement>(&announcement.id).await).await;
        deleted.expect("deleted");
        for rest in ["/count", "/preview"] {
            writer.get(&path(&announced, rest)).await.refused(422, "invalid");
        }
        writer.press(&path(&announced, "/test")).await.refused(422, "invalid");
        start(&writer, &announced, json!({ "recipients": 1 })).await.refused(422, "invalid");

        let nobody = written(&text, students(&["group:eq:Nobody"]));
        let nobody = writer.post("/v1/mailings", &nobody).await.ok(201);
        start(&writer, &nobody, json!({ "recipients": 1 })).await.refused(409, "mailing-without-recipients");
        start(&writer, &mailing, json!({ "recipients": 9 })).await.refused(409, "mailing-count-changed");
        let request = writer.request(Method::POST, &path(&mailing, "/start"));
        let body = json!({ "recipients": 1 });
        writer.send(request.json(&body)).await.refused(428, "if-match-missing");
        let request = writer.request(Method::POST, &path(&mailing, "/start")).header(IF_MATCH, "\"x\"");
        writer.send(request.json(&body)).await.refused(412, "stale");
        writer.press(&path(&mailing, "/pause")).await.refused(409, "mailing-in-another-state");
        writer.press(&path(&mailing, "/resume")).await.refused(409, "mailing-in-another-state");
        writer.get(&path(&mailing, "/preview")).await.ok(200);
        writer.press(&path(&mailing, "/test")).await.ok(202);
        start_all(&writer, &mailing).await;
        start(&writer, &mailing, body).await.refused(409, "mailing-not-a-draft");
        put(&writer, &mailing, Some("*"), &plain).await.refused(409, "mailing-not-a-draft");
        until_finished(&writer, &mailing).await;
        writer.press(&path(&mailing, "/cancel")).await.refused(409, "mailing-in-another-state");
        writer.delete(&path(&mailing, "")).await.refused(409, "mailing-in-another-state");
        writer.get(&path(&mailing, "/recipients")).await.ok(200);
        writer.get("/v1/mailings").await.ok(200);
        writer.press(&path(&nobody, "/cancel")).await.ok(200);

        let machine = app.machine(WRITER, app.clock.now().plus(Duration::from_hours(24))).await;
        machine.press(&path(&private, "/test")).await.refused(409, "no-address");

        app.crowd(700).await;
        start_all(&admin, &wide).await;
        admin.press(&path(&wide, "/pause")).await.ok(200);
        admin.press(&path(&wide, "/resume")).await.ok(200);
        admin.press(&path(&wide, "/cancel")).await.ok(200);
        until(&admin, &wide, |mailing| mailing["progress"]["queued"] == 0).await;
        reach.without_a_store(&app, &admin, &[]).await;
        app.finish().await;

        let app = reach.start_with(|config| config.limits = 0.01).await;
        let admin = app.administrator().await;
        let mailing = admin.post("/v1/mailings", &plain).await.ok(201);
        admin.press(&path(&mailing, "/test")).await.ok(202);
        admin.press(&path(&mailing, "/test")).await.refused(429, "too-many-requests");
        app.finish().await;
    })
    .await;
}
