use super::*;

fn at(minutes: u64) -> Timestamp {
    Timestamp::from_millis(1_788_246_000_000).plus(Duration::from_mins(minutes))
}

fn asked(id: &str) -> FaqQuestion {
    FaqQuestion::asked(id.into(), "May I bring my dog?".into(), at(0))
}

fn answer(text: &str) -> FaqAnswer {
    FaqAnswer { answer: Markdown::new(text), question: None, category: None, position: None }
}

/// A question that was answered after these others of its category.
fn answered(id: &str, others: &[FaqQuestion], category: &str, number: Option<u32>) -> FaqQuestion {
    let mut question = asked(id);
    let filed = question.filed(others, category, number, at(1));
    question.answer(&answer("Yes, on a **leash**."), filed, at(1));
    question
}

/// Three questions of one category, in their order.
fn category() -> Vec<FaqQuestion> {
    let mut all = vec![];
    for id in ["a", "b", "c"] {
        all.push(answered(id, &all, "Food", None));
    }
    all
}

fn order(questions: &[FaqQuestion]) -> String {
    let mut sorted: Vec<_> = questions.iter().collect();
    sorted.sort_by_key(|question| question.place.clone());
    sorted.into_iter().map(|question| question.id.as_str()).collect()
}

#[test]
fn a_question_is_answered_once_and_then_edited() {
    let mut question = asked("a");
    assert_eq!(question.check_unanswered(), Ok(()));
    let changes = FaqChanges { answer: Some(Markdown::new("No.")), ..FaqChanges::default() };
    assert_eq!(question.check_changes(&changes), Err(NotEditable::Unanswered));
    let position = FaqChanges { position: Some(1), ..FaqChanges::default() };
    assert_eq!(question.check_changes(&position), Err(NotEditable::Unanswered));
    question = answered("a", &[], "Animals", None);
    assert_eq!(question.check_unanswered(), Err(NotEditable::AlreadyAnswered));
    assert_eq!(question.check_changes(&changes), Ok(()));
    assert_eq!((question.state, question.answered_at), (FaqState::Answered, Some(at(1))));
    assert!(question.delete(at(2)) && !question.delete(at(3)));
    assert_eq!(question.check_unanswered(), Err(NotEditable::Deleted));
    assert_eq!(question.check_changes(&changes), Err(NotEditable::Deleted));
}

#[test]
fn a_restored_question_is_what_it_was() {
    for before in [asked("a"), answered("a", &[], "Food", None)] {
        let mut question = before.clone();
        question.delete(at(2));
        assert_eq!((question.state, question.deleted_at), (FaqState::Deleted, Some(at(2))));
        assert!(question.restore() && !question.restore());
        assert_eq!(question, before);
    }
}

#[test]
fn moving_one_entry_changes_its_place_alone() {
    for (number, expected) in [(1, "cab"), (2, "acb"), (3, "abc"), (9, "abc")] {
        let mut all = category();
        let moved = all.pop().unwrap();
        let filed = moved.filed(&all, "Food", Some(number), at(2));
        all.push(FaqQuestion { place: Some(filed.place), ..moved });
        assert_eq!(order(&all), expected, "{number}");
    }
    let mut all = category();
    let between = answered("d", &all, "food", Some(2));
    assert_eq!(between.category, "Food", "a category has one spelling");
    all.push(between);
    assert_eq!(order(&all), "adbc");
}

#[test]
fn a_category_is_written_as_its_other_questions_write_it() {
    let all = category();
    let filed = all[0].filed(&all[1..], "FOOD", None, at(9));
    assert_eq!((filed.category.as_str(), Some(&filed.place)), ("Food", all[0].place.as_ref()));
    let filed = all[0].filed(&[], "FOOD", None, at(9));
    assert_eq!(
        (filed.category.as_str(), Some(&filed.place)),
        ("FOOD", all[0].place.as_ref()),
        "the only one"
    );
    let filed = all[0].filed(&[], "Drinks", None, at(9));
    assert!(filed.place.starts_with("drinks\n") && filed.place < all[0].place.clone().unwrap());
    assert_eq!(category_key("Getting  there"), category_key("getting there"));
    assert_ne!(category_key("Food"), category_key("Foods"));
    assert!("food\nz" < "food and drinks\nA", "categories sort by their names");
}

#[test]
fn a_change_names_what_it_changed() {
    let mut question = answered("a", &[], "Food", None);
    let same = FaqChanges {
        question: Some(question.question.clone()),
        answer: question.answer.clone(),
        category: Some("Food".into()),
        position: None,
    };
    assert_eq!(question.filing(&same), None);
    let before = question.clone();
    assert_eq!((question.change(&same, None, at(5)), &question), (vec![], &before));
    let changes = FaqChanges { category: Some("Animals".into()), position: Some(1), ..FaqChanges::default() };
    assert_eq!(question.filing(&changes), Some(("Animals", Some(1))));
    let filed = question.filed(&[], "Animals", Some(1), at(5));
    assert_eq!(question.change(&changes, Some(filed), at(5)), ["category", "position"]);
    assert_eq!((question.category.as_str(), question.updated_at), ("Animals", at(5)));
    let mut waiting = asked("b");
    assert_eq!(waiting.filing(&FaqChanges { category: Some("Food".into()), ..FaqChanges::default() }), None);
    let changes = FaqChanges { category: Some("Food".into()), ..FaqChanges::default() };
    assert_eq!(waiting.change(&changes, None, at(5)), ["category"]);
    assert_eq!(waiting.place, None);
}

#[test]
fn a_question_is_found_by_the_words_of_its_texts_as_they_are_read() {
    let mut question = asked("a");
    assert_eq!(question.words, [""; 0]);
    let filed = question.filed(&[], "Food", None, at(1));
    question.answer(&answer("See [the map](https://maps.example.org): the **Café** is open."), filed, at(1));
    for word in ["q:dog", "q:may", "a:cafe", "a:map", "a:example"] {
        assert!(question.words.iter().any(|known| known == word), "{word}: {:?}", question.words);
    }
    let changes = FaqChanges { answer: Some(Markdown::new("No.")), ..FaqChanges::default() };
    question.change(&changes, None, at(2));
    assert!(question.words.contains(&"a:no".to_owned()) && !question.words.contains(&"a:cafe".to_owned()));
    let long: String = (0..4_000).map(|number| format!("w{number} ")).collect();
    question.change(&FaqChanges { answer: Some(Markdown::new(long)), ..FaqChanges::default() }, None, at(3));
    assert_eq!(question.words.len(), WORDS_MAX);
}

#[test]
fn a_search_without_words_finds_everything_or_nothing() {
    for (search, filters) in [("", 1), ("  ", 1), ("?!", 0), ("'", 0), ("dog", 2)] {
        assert_eq!(found_by(search).len(), filters, "{search:?}");
    }
}
