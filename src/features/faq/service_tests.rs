use std::net::Ipv4Addr;

use super::super::subscribers::old_questions;
use super::*;
use crate::base::TestBase;
use crate::kernel::{Markdown, Rights};
use crate::platform::audit::testing::trail;

const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn asked(question: &str, email: Option<&str>) -> Asked {
    let email = email.map(|email| EmailAddress::parse(email).unwrap());
    Asked { question: question.into(), email, trapped: false }
}

fn answer(text: &str, position: Option<u32>) -> FaqAnswer {
    FaqAnswer { answer: Markdown::new(text), question: None, category: None, position }
}

fn editor() -> Actor {
    Actor::Account("editor".into())
}

async fn ask_and_answer(base: &TestBase, question: &str) -> FaqQuestion {
    let faq = Faq::new(base);
    let id = faq.ask(CLIENT, None, asked(question, None)).await.unwrap();
    faq.answer(&editor(), &id, &answer("Yes.", None)).await.unwrap().question
}

#[tokio::test]
async fn an_address_is_kept_until_the_answer_is_posted_or_for_90_days() {
    let base = Base::for_tests().await;
    let faq = Faq::new(&base);
    let told = faq.ask(CLIENT, None, asked("One?", Some("ana@example.org"))).await.unwrap();
    let waiting = faq.ask(CLIENT, None, asked("Two?", Some("bo@example.org"))).await.unwrap();
    faq.answer(&editor(), &told, &answer("Yes.", None)).await.unwrap();
    let mail: Mail = base.store.get(&format!("question-answered:{told}")).await.unwrap().unwrap();
    assert_eq!(mail.to.as_str(), "ana@example.org");
    assert_eq!(base.store.get::<FaqAsker>(&told).await.unwrap(), None);
    assert!(base.store.get::<FaqAsker>(&waiting).await.unwrap().is_some());
    base.clock.advance(Duration::from_hours(91 * 24));
    assert_eq!(old_questions().run(&base.store, base.clock.now()).await, Ok(1));
    let answered = faq.answer(&editor(), &waiting, &answer("Yes.", None)).await.unwrap();
    assert!(!answered.asker_waits);
    assert_eq!(base.store.count::<Mail>(Filter::All).await.unwrap(), 1, "nobody is left to be told");
    assert_eq!(trail(&base.store).await.len(), 2);
}

#[tokio::test]
async fn a_deleted_question_can_be_restored_for_90_days() {
    let base = Base::for_tests().await;
    let (faq, question) = (Faq::new(&base), ask_and_answer(&base, "One?").await);
    faq.delete(&editor(), &question.id).await.unwrap();
    base.clock.advance(Duration::from_hours(89 * 24));
    assert_eq!(old_questions().run(&base.store, base.clock.now()).await, Ok(0));
    assert_eq!(faq.restore(&editor(), &question.id).await.unwrap().question.place, question.place);
    faq.delete(&editor(), &question.id).await.unwrap();
    base.clock.advance(Duration::from_hours(91 * 24));
    assert_eq!(old_questions().run(&base.store, base.clock.now()).await, Ok(1));
    let restored = faq.restore(&editor(), &question.id).await;
    assert!(matches!(restored, Err(RestoreQuestionError::NotFound)));
}

#[tokio::test]
async fn a_place_that_somebody_else_takes_meanwhile_is_not_taken_twice() {
    let base = Base::for_tests().await;
    let first = ask_and_answer(&base, "One?").await;
    let copy = FaqQuestion { id: "copy".into(), ..first };
    let refused = base.store.insert(&copy).await;
    assert!(refused.is_err_and(|error| place_is_taken(&error)));
    // The clock stands still, so both would be filed at the same time.
    ask_and_answer(&base, "Two?").await;
    let answered = Faq::new(&base).answered().await.unwrap();
    assert_eq!(answered.iter().map(|one| one.question.as_str()).collect::<Vec<_>>(), ["One?", "Two?"]);
}

#[tokio::test]
async fn while_many_questions_wait_a_client_can_ask_only_two_and_an_editor_any_number() {
    let base = Base::for_tests().await.with_limits();
    let faq = Faq::new(&base);
    for number in 0..UNANSWERED_MAX / 2 {
        let question = FaqQuestion::asked(number.to_string(), "One?".into(), base.clock.now());
        base.store.insert(&question).await.unwrap();
    }
    let ask = async |client: &str| faq.ask(client.parse().unwrap(), None, asked("One?", None)).await;
    for client in ["2001:db8::1", "2001:db8:0:ff::1", "2001:db8:0:100::1"] {
        ask(client).await.unwrap();
    }
    let third_of_network = ask("2001:db8:0:1::1").await;
    assert!(matches!(third_of_network, Err(AskQuestionError::TooMany(_))), "{third_of_network:?}");
    ask("192.0.2.1").await.unwrap();
    let editor = Caller { rights: Rights::leader([Scope::FaqEdit]), ..Caller::student("editor") };
    for _ in 0..=ASK.quota {
        faq.ask(CLIENT, Some(&editor), asked("One?", None)).await.unwrap();
    }
    let student = Caller::student("ana");
    for _ in 0..ASK_WHILE_MANY.quota {
        faq.ask(CLIENT, Some(&student), asked("One?", None)).await.unwrap();
    }
    let refused = faq.ask(CLIENT, Some(&student), asked("One?", None)).await;
    assert!(matches!(refused, Err(AskQuestionError::TooMany(_))), "an account is no way around the limit");
}

#[tokio::test]
async fn a_client_can_ask_and_search_some_times_in_a_while() {
    let base = Base::for_tests().await.with_limits();
    let faq = Faq::new(&base);
    for _ in 0..ASK.quota {
        faq.ask(CLIENT, None, asked("One?", None)).await.unwrap();
    }
    let refused = faq.ask(CLIENT, None, asked("One?", None)).await;
    assert!(matches!(refused, Err(AskQuestionError::TooMany(_))));
    let other = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
    faq.ask(other, None, asked("One?", None)).await.unwrap();
    for _ in 0..SEARCH.quota {
        faq.search(CLIENT, "one").await.unwrap();
    }
    assert!(matches!(faq.search(CLIENT, "one").await, Err(SearchFaqError::TooMany(_))));
}
