//! `/v1/faq`: anybody asks, the committee answers, everybody reads.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use orientation::features::faq::{FaqAsker, FaqQuestion, FaqState};
use orientation::kernel::{Clock, Ids, Markdown, RandomIds, Role};
use orientation::platform::audit::AuditEntry;
use orientation::platform::store::{Filter, Query, StoreError};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, NO_ID, TestApp, Visitor, reaches_all_of};

const FAQ: &str = "/v1/faq";
const QUESTIONS: &str = "/v1/faq/questions";

/// Asks a question; returns its path.
async fn ask(app: &TestApp, question: &str) -> String {
    let asked = app.anonymous().post(QUESTIONS, &json!({ "question": question })).await.ok(202);
    path_of(&asked)
}

pub fn path_of(question: &Value) -> String {
    format!("{QUESTIONS}/{}", question["id"].as_str().expect("an id"))
}

async fn answer(editor: &Visitor, path: &str, answer: &Value) -> Answer {
    editor.put(&format!("{path}/answer"), answer).await
}

/// Asks and answers a question; returns its path.
async fn publish(app: &TestApp, editor: &Visitor, question: &str, category: &str) -> String {
    let path = ask(app, question).await;
    answer(editor, &path, &json!({ "answer": format!("About {question}"), "category": category }))
        .await
        .ok(200);
    path
}

async fn edit(editor: &Visitor, path: &str, if_match: Option<&str>, changes: &Value) -> Answer {
    let request = editor.request(Method::PATCH, path).json(changes);
    editor.send(if_match.into_iter().fold(request, |request, tag| request.header("If-Match", tag))).await
}

/// The questions of a list, in their order.
fn questions_in(list: &Value) -> Vec<String> {
    let items = list["items"].as_array().expect("a list").iter();
    items.map(|item| item["question"].as_str().expect("a question").to_owned()).collect()
}

async fn questions(visitor: &Visitor, path: &str) -> Vec<String> {
    questions_in(&visitor.get(path).await.ok(200))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_person_who_asks_is_told_the_answer_once_and_the_address_is_forgotten() {
    let app = TestApp::start().await;
    let editor = app.somebody("editor@mail.example.edu", Role::Leader, &["faq:edit"]).await;
    let anybody = app.anonymous();
    let asked = json!({ "question": "  May I bring my dog? ", "email": "Zoe@Mail.example.edu" });
    let path = path_of(&anybody.post(QUESTIONS, &asked).await.ok(202));
    assert_eq!(questions(&anybody, FAQ).await, [""; 0], "nothing is public before the answer");

    let waiting = editor.get(&format!("{QUESTIONS}?state=unanswered")).await.ok(200)["items"][0].clone();
    assert_eq!(
        (&waiting["question"], &waiting["category"], &waiting["askerWaits"], waiting.get("answer")),
        (&json!("May I bring my dog?"), &json!("General"), &json!(true), None)
    );
    assert!(!waiting.to_string().to_lowercase().contains("mail.example.edu"), "{waiting}");

    let answered = answer(&editor, &path, &json!({ "answer": "Yes, on a **leash**." })).await;
    assert_eq!(
        (&answered.ok(200)["askerWaits"], &answered.json()["state"]),
        (&json!(false), &json!("answered"))
    );
    answer(&editor, &path, &json!({ "answer": "No." })).await.refused(409, "question-answered");
    let email = app.mailbox("zoe@mail.example.edu").email("Your question has an answer").await;
    for part in [&email["text"], &email["html"]] {
        let part = part.as_str().expect("a text");
        assert!(part.contains("May I bring my dog?") && part.contains("leash"), "{part}");
    }
    assert_eq!(app.store.count::<FaqAsker>(Filter::All).await.expect("readable"), 0);
    edit(&editor, &path, Some("*"), &json!({ "answer": "No." })).await.ok(200);
    app.settle().await;
    assert_eq!(app.mailbox("zoe@mail.example.edu").emails().await.len(), 1, "an edit is no answer");

    let list = anybody.get(FAQ).await;
    assert!(!list.text().to_lowercase().contains("mail.example.edu"), "{list:?}");
    let entry = list.ok(200)["items"][0].clone();
    assert_eq!(entry["answer"], json!({ "source": "No.", "html": "<p>No.</p>\n" }));
    let names: BTreeSet<_> = entry.as_object().expect("an object").keys().map(String::as_str).collect();
    assert_eq!(names, BTreeSet::from(["id", "question", "answer", "category", "answeredAt", "updatedAt"]));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn programs_that_fill_in_every_field_get_the_usual_response_and_change_nothing() {
    let app = TestApp::start().await;
    let anybody = app.anonymous();
    let honest = json!({ "question": "May I?", "email": "ana@mail.example.edu", "website": "  " });
    let trapped =
        json!({ "question": "Buy", "email": "bo@mail.example.edu", "website": "https://spam.example" });
    let (honest, trapped) = (anybody.post(QUESTIONS, &honest).await, anybody.post(QUESTIONS, &trapped).await);
    let shape = |answer: &Answer| {
        let (status, headers, body) = answer.comparable();
        (status, headers, body.len())
    };
    assert_eq!(shape(&honest), shape(&trapped));
    assert_ne!(honest.ok(202)["id"], trapped.ok(202)["id"]);
    let stored: Vec<FaqQuestion> = app.store.find(Query::new(Filter::All)).await.expect("readable");
    assert_eq!(stored.iter().map(|question| question.question.as_str()).collect::<Vec<_>>(), ["May I?"]);
    assert_eq!(app.store.count::<FaqAsker>(Filter::All).await.expect("readable"), 1);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_is_in_the_committees_order_and_moving_an_entry_writes_it_alone() {
    let app = TestApp::start().await;
    let editor = app.somebody("editor@mail.example.edu", Role::Leader, &["faq:edit"]).await;
    let anybody = app.anonymous();
    let mut paths = vec![];
    for (question, category) in
        [("c", "Tickets"), ("a", "Food"), ("b", "FOOD"), ("d", "tickets"), ("e", "Tickets")]
    {
        paths.push(publish(&app, &editor, question, category).await);
    }
    assert_eq!(questions(&anybody, FAQ).await, ["a", "b", "c", "d", "e"]);
    let categories =
        json!({ "items": [{ "name": "Food", "questions": 2 }, { "name": "Tickets", "questions": 3 }] });
    assert_eq!(anybody.get("/v1/faq/categories").await.ok(200), categories);
    assert_eq!(questions(&anybody, "/v1/faq?category=food").await, ["a", "b"]);
    assert_eq!(questions(&anybody, "/v1/faq?category=Drinks").await, [""; 0]);

    let before = app.store.find::<FaqQuestion>(Query::new(Filter::All)).await.expect("readable");
    edit(&editor, &paths[4], Some("*"), &json!({ "position": 1 })).await.ok(200);
    assert_eq!(questions(&anybody, FAQ).await, ["a", "b", "e", "c", "d"]);
    let after = app.store.find::<FaqQuestion>(Query::new(Filter::All)).await.expect("readable");
    assert_eq!(before.iter().zip(&after).filter(|(before, after)| before != after).count(), 1);
    edit(&editor, &paths[0], Some("*"), &json!({ "position": 3 })).await.ok(200);
    assert_eq!(questions(&anybody, FAQ).await, ["a", "b", "e", "d", "c"]);
    edit(&editor, &paths[3], Some("*"), &json!({ "category": "food", "position": 2 })).await.ok(200);
    assert_eq!(questions(&anybody, FAQ).await, ["a", "d", "b", "e", "c"]);
    edit(&editor, &paths[1], Some("*"), &json!({ "category": "Tickets" })).await.ok(200);
    assert_eq!(questions(&anybody, FAQ).await, ["d", "b", "e", "c", "a"]);

    let moved = join_all(paths.iter().map(async |path| {
        edit(&editor, path, Some("*"), &json!({ "category": "One", "position": 1 })).await.ok(200)
    }));
    moved.await;
    let all: BTreeSet<_> = questions(&anybody, "/v1/faq?category=one").await.into_iter().collect();
    assert_eq!(all.len(), 5, "moves that meet find different places");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_public_list_is_not_sent_again_to_those_who_have_it() {
    let app = TestApp::start().await;
    let editor = app.somebody("editor@mail.example.edu", Role::Leader, &["faq:edit", "faq:delete"]).await;
    let anybody = app.anonymous();
    let path = publish(&app, &editor, "dogs", "General").await;
    for list in [FAQ, "/v1/faq/categories", "/v1/faq?category=general"] {
        let get = async |tag: Option<&str>| {
            let request = anybody.request(Method::GET, list);
            anybody
                .send(tag.into_iter().fold(request, |request, tag| request.header("If-None-Match", tag)))
                .await
        };
        let first = get(None).await;
        first.ok(200);
        assert_eq!(first.header("cache-control"), Some("no-cache"));
        let tag = first.header("etag").expect("a tag").to_owned();
        assert_eq!(
            (get(Some(&tag)).await.status.as_u16(), get(Some("\"x\"")).await.status.as_u16()),
            (304, 200)
        );
        editor.delete(&path).await.ok(204);
        assert_eq!(get(Some(&tag)).await.ok(200)["items"], json!([]), "at once");
        editor.press(&format!("{path}/restore")).await.ok(200);
        assert_eq!(get(Some(&tag)).await.status, 304, "it is what it was");
        edit(&editor, &path, Some("*"), &json!({ "question": format!("dogs in {list}") })).await.ok(200);
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_finds_beginnings_of_words_and_questions_before_answers() {
    let app = TestApp::start().await;
    let editor = app.somebody("editor@mail.example.edu", Role::Leader, &["faq:edit", "faq:delete"]).await;
    for (question, text) in [
        ("Where do I park?", "Behind the **Café**, not at the [gate](https://maps.example.org)."),
        ("Is there a café?", "Yes: see \u{201c}Crème Brûlée\u{201d}."),
        ("Ｗｈａｔ about O'Brien Hall?", "It is closed: 洪水."),
    ] {
        let path = ask(&app, question).await;
        answer(&editor, &path, &json!({ "answer": text })).await.ok(200);
    }
    ask(&app, "An unanswered café").await;
    let found = async |search: &str| {
        let q: String = url::form_urlencoded::byte_serialize(search.as_bytes()).collect();
        questions(&app.anonymous(), &format!("/v1/faq/search?q={q}")).await
    };
    assert_eq!(found("CAFE").await, ["Is there a café?", "Where do I park?"]);
    assert_eq!(found("caf where").await, ["Where do I park?"]);
    assert_eq!(found("creme brul").await, ["Is there a café?"]);
    assert_eq!(found("what obrien").await, ["Ｗｈａｔ about O'Brien Hall?"]);
    assert_eq!(found("水").await, ["Ｗｈａｔ about O'Brien Hall?"]);
    for nothing in ["afe", "zebra", "?!", "cafe zebra"] {
        assert_eq!(found(nothing).await, [""; 0], "{nothing}");
    }
    assert_eq!(found("").await.len(), 3, "all that are answered");
    let path = publish(&app, &editor, "Zebras", "General").await;
    assert_eq!(found("zebra").await, ["Zebras"]);
    editor.delete(&path).await.ok(204);
    assert_eq!(found("zebra").await, [""; 0]);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_committee_lists_deletes_and_restores_and_everything_is_audited() {
    let app = TestApp::start().await;
    let editor = app.somebody("editor@mail.example.edu", Role::Leader, &["faq:edit"]).await;
    let remover = app.somebody("remover@mail.example.edu", Role::Leader, &["faq:delete"]).await;
    let (open, public) = (ask(&app, "open").await, publish(&app, &editor, "public", "Food").await);
    editor.delete(&open).await.refused(403, "scope-missing");
    remover.get(QUESTIONS).await.refused(403, "scope-missing");
    for path in [&open, &public] {
        remover.delete(path).await.ok(204);
        remover.delete(path).await.ok(204);
    }
    let state = async |state: &str| questions(&editor, &format!("{QUESTIONS}?state={state}")).await;
    assert_eq!(
        (state("deleted").await, state("answered").await),
        (vec!["public".into(), "open".into()], vec![])
    );
    edit(&editor, &public, Some("*"), &json!({ "question": "x" })).await.refused(409, "question-deleted");
    answer(&editor, &open, &json!({ "answer": "x" })).await.refused(409, "question-deleted");
    for path in [&open, &public] {
        remover.press(&format!("{path}/restore")).await.ok(200);
        remover.press(&format!("{path}/restore")).await.ok(200);
    }
    assert_eq!(
        (state("answered").await, state("unanswered").await),
        (vec!["public".to_owned()], vec!["open".to_owned()])
    );
    assert_eq!(questions(&app.anonymous(), FAQ).await, ["public"]);
    edit(&editor, &open, Some("*"), &json!({ "category": "Food", "question": "still open" })).await.ok(200);
    edit(&editor, &open, Some("*"), &json!({ "position": 1 })).await.refused(409, "question-unanswered");

    let first = editor.get(&format!("{QUESTIONS}?limit=1")).await.ok(200);
    let cursor = first["nextCursor"].as_str().expect("there are more");
    let second = editor.get(&format!("{QUESTIONS}?limit=1&cursor={cursor}")).await.ok(200);
    assert_eq!(
        (questions_in(&first), questions_in(&second)),
        (vec!["public".into()], vec!["still open".into()])
    );

    let about = Query::new(Filter::eq("subject.collection", "faq_questions"));
    let entries: Vec<AuditEntry> = app.store.find(about).await.expect("readable");
    let actions: Vec<_> = entries
        .iter()
        .map(|entry| {
            (entry.actor.id(), entry.action.as_str(), entry.detail.get("changed").map(String::as_str))
        })
        .collect();
    let (editor, remover) = (Some(editor.account().id.as_str()), Some(remover.account().id.as_str()));
    assert_eq!(
        actions,
        [
            (editor, "faq.answered", None),
            (remover, "faq.deleted", None),
            (remover, "faq.deleted", None),
            (remover, "faq.restored", None),
            (remover, "faq.restored", None),
            (editor, "faq.updated", Some("question category")),
        ]
    );
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_edits_and_answers_that_meet_one_takes_effect_and_the_others_are_told() {
    let app = TestApp::start().await;
    let editor = app.somebody("editor@mail.example.edu", Role::Leader, &["faq:edit"]).await;
    let asked = json!({ "question": "May I?", "email": "ana@mail.example.edu" });
    let path = path_of(&app.anonymous().post(QUESTIONS, &asked).await.ok(202));
    let answers = join_all(
        (0..10).map(async |n: u32| answer(&editor, &path, &json!({ "answer": format!("{n}") })).await),
    );
    let (accepted, refused): (Vec<_>, Vec<_>) =
        answers.await.into_iter().partition(|answer| answer.status == 200);
    assert_eq!(accepted.len(), 1);
    refused.iter().for_each(|answer| drop(answer.refused(409, "question-answered")));
    app.settle().await;
    assert_eq!(app.mailbox("ana@mail.example.edu").emails().await.len(), 1);

    let tag = accepted[0].header("etag").expect("a tag").to_owned();
    assert_eq!(accepted[0].json()["etag"], tag);
    let edits = join_all((0..10).map(async |n: u32| {
        edit(&editor, &path, Some(&tag), &json!({ "answer": format!("edit {n}"), "position": 1 })).await
    }));
    let (accepted, refused): (Vec<_>, Vec<_>) =
        edits.await.into_iter().partition(|answer| answer.status == 200);
    assert_eq!(accepted.len(), 1);
    refused.iter().for_each(|answer| drop(answer.refused(412, "stale")));
    let list = editor.get(QUESTIONS).await.ok(200);
    assert_eq!(list["items"][0], accepted[0].json(), "nothing was overwritten");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_shows_nothing_is_no_answer_and_no_text_can_be_removed() {
    let app = TestApp::start().await;
    let admin = app.administrator().await;
    let path = ask(&app, "May I?").await;
    let error = |pointer: &str, code: &str| (pointer.to_owned(), code.to_owned());
    for blank in ["", "  ", "[x]: y", "&nbsp;", "---", "![](https://a.example/x.png)"] {
        let refused = answer(&admin, &path, &json!({ "answer": blank })).await;
        assert_eq!(refused.errors(), [error("/answer", "empty")], "{blank}");
    }
    let refused = answer(&admin, &path, &json!({ "answer": "a\u{1}b" })).await;
    assert_eq!(refused.errors(), [error("/answer", "control-character")]);
    answer(&admin, &path, &json!({ "answer": "Yes." })).await.ok(200);
    let blank = json!({ "question": "", "answer": " ", "category": null });
    let missing = ["/answer", "/category", "/question"].map(|pointer| error(pointer, "missing"));
    assert_eq!(edit(&admin, &path, Some("*"), &blank).await.errors(), missing);
    let refused = edit(&admin, &path, Some("*"), &json!({ "answer": "[x]: y" })).await;
    assert_eq!(refused.errors(), [error("/answer", "empty")]);
    assert_eq!(edit(&admin, &path, Some("*"), &json!({})).await.ok(200)["answer"]["source"], "Yes.");
    app.finish().await;
}

/// Stores questions in this state until there are as many as there can be.
async fn fill(app: &TestApp, state: FaqState) {
    let now = app.clock.now();
    let one = |number: u32| {
        let mut question = FaqQuestion::asked(RandomIds.next(), format!("Question {number}"), now);
        if state == FaqState::Answered {
            question.answer = Some(Markdown::new("An answer."));
            question.place = Some(format!("general\n{number:04}V"));
            question.answered_at = Some(now);
        }
        question.state = state;
        question
    };
    let all: Vec<_> = (0..500).map(one).collect();
    let stored: Result<(), StoreError> =
        app.store.transact(async |tx| tx.put_all(&all.iter().collect::<Vec<_>>()).await).await;
    stored.expect("stored");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_outcome_of_the_operations_on_frequent_questions_is_reached() {
    reaches_all_of("Frequent questions", async |reach| {
        let app = reach.start().await;
        let (admin, anybody) = (app.administrator().await, app.anonymous());
        let get = async |path: &str| {
            let tag = anybody.get(path).await.header("etag").expect("a tag").to_owned();
            anybody.send(anybody.request(Method::GET, path).header("If-None-Match", tag)).await
        };
        assert_eq!(
            (get(FAQ).await.status.as_u16(), get("/v1/faq/categories").await.status.as_u16()),
            (304, 304)
        );
        anybody.get("/v1/faq/search?q=dog").await.ok(200);
        let path = path_of(&reach.example(&anybody, "askQuestion").await.ok(202));
        let bad_address = json!({ "question": "", "email": "ana" });
        assert_eq!(
            anybody.post(QUESTIONS, &bad_address).await.errors(),
            [
                ("/email".to_owned(), "not-an-email-address".to_owned()),
                ("/question".to_owned(), "empty".to_owned())
            ]
        );
        let bad_address = json!({ "question": "May I?", "email": "ana" });
        assert_eq!(
            anybody.post(QUESTIONS, &bad_address).await.errors(),
            [("/email".to_owned(), "not-an-email-address".to_owned())]
        );
        admin.get(QUESTIONS).await.ok(200);
        let missing = format!("{QUESTIONS}/{NO_ID}");
        reach.example(&admin, "answerQuestion").await.refused(404, "no-such-question");
        reach.example(&admin, "updateQuestion").await.refused(404, "no-such-question");
        admin.delete(&missing).await.refused(404, "no-such-question");
        admin.press(&format!("{missing}/restore")).await.refused(404, "no-such-question");
        let text = json!({ "answer": "Yes." });
        edit(&admin, &path, Some("*"), &text).await.refused(409, "question-unanswered");
        admin.delete(&path).await.ok(204);
        edit(&admin, &path, Some("*"), &text).await.refused(409, "question-deleted");
        answer(&admin, &path, &text).await.refused(409, "question-deleted");
        admin.press(&format!("{path}/restore")).await.ok(200);
        answer(&admin, &path, &text).await.ok(200);
        answer(&admin, &path, &text).await.refused(409, "question-answered");
        edit(&admin, &path, None, &text).await.refused(428, "if-match-missing");
        edit(&admin, &path, Some("\"x\""), &text).await.refused(412, "stale");
        edit(&admin, &path, Some("*"), &text).await.ok(200);
        admin.delete(&path).await.ok(204);
        let open = ask(&app, "Is it full?").await;
        fill(&app, FaqState::Answered).await;
        assert_eq!(
            anybody.get(&format!("{FAQ}?category=GENERAL")).await.ok(200)["items"].as_array().map(Vec::len),
            Some(500)
        );
        answer(&admin, &open, &text).await.refused(409, "faq-full");
        admin.press(&format!("{path}/restore")).await.refused(409, "faq-full");
        fill(&app, FaqState::Unanswered).await;
        anybody.post(QUESTIONS, &json!({ "question": "And now?" })).await.refused(409, "too-many-questions");
        // What the process keeps is dropped by a change.
        admin.delete(&open).await.ok(204);
        reach.without_a_store(&app, &admin, &[]).await;
        app.finish().await;

        let limited = reach.start_with(|config| config.limits = 0.05).await;
        let ask = json!({ "question": "May I?" });
        reach.too_many(&limited.anonymous(), &[("askQuestion", ask, 202)]).await;
        let searches = join_all((0..40).map(async |_| limited.anonymous().get("/v1/faq/search?q=dog").await));
        let refused =
            searches.await.into_iter().find(|answer| answer.status == 429).expect("refused in the end");
        refused.refused(429, "too-many-requests");
        limited.finish().await;
    })
    .await;
}
