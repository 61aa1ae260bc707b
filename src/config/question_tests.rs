use super::super::event::Event;
use super::*;

/// The shipped event with these questions at its end.
fn file(questions: &str) -> String {
    format!("{}\n{questions}", include_str!("../../event.toml"))
}

fn questions(questions: &str) -> Vec<Question> {
    Event::parse(&file(questions)).unwrap_or_else(|bad| panic!("{bad}")).form.questions
}

/// The errors: the text of the line, the key, and the message.
fn wrong(questions: &str) -> Vec<(String, String, String)> {
    let text = file(questions);
    let errors = Event::parse(&text).unwrap_err().0;
    let line = |line: usize| text.lines().nth(line - 1).unwrap_or_default().to_owned();
    errors.into_iter().map(|error| (line(error.line), error.key, error.detail)).collect()
}

/// A question with these lines added.
fn question(id: &str, kind: &str, more: &str) -> String {
    format!(
        "[[form.questions]]\nid = \"{id}\"\nlabel = \"The question {id}\"\nkind = \"{kind}\"\n\
         class = \"logistics\"\n{more}\n"
    )
}

const STOPS: &str = "options = [\"North\", \"Other\"]";

#[test]
fn a_question_of_each_kind_is_read() {
    let file = [
        question("a", "short-text", ""),
        question("b", "long-text", "max_length = 4000\nhelp = \"Two\\nlines\""),
        question("c", "yes-no", "required = true\nkeep = \"counted\""),
        question("d", "one-of", &format!("{STOPS}\nrequired_if = {{ question = \"c\", answer = true }}")),
        question("e", "several-of", &format!("{STOPS}\nmax_choices = 1\neditable = false")),
        question("f", "date", "from = 2027-08-20\nretired = true"),
        question("g", "number", "min = -1\nrequired_if = { question = \"d\", answer = \" North \" }"),
        question("h", "date", "required_if = { question = \"e\", answer = \"Other\" }\nkeep = \"erased\""),
    ];
    let read = questions(&file.concat());
    let options = vec!["North".to_owned(), "Other".to_owned()];
    let expected = [
        QuestionKind::ShortText { max_length: 100 },
        QuestionKind::LongText { max_length: 4000 },
        QuestionKind::YesNo,
        QuestionKind::OneOf { options: options.clone() },
        QuestionKind::SeveralOf { options, max_choices: 1 },
        QuestionKind::Date { from: NaiveDate::from_ymd_opt(2027, 8, 20), until: None },
        QuestionKind::Number { min: -1, max: 9_007_199_254_740_991 },
        QuestionKind::Date { from: None, until: None },
    ];
    assert_eq!(read.iter().map(|question| question.kind.clone()).collect::<Vec<_>>(), expected);
    let depends = |question: &str, answer| Required::If(Condition { question: question.into(), answer });
    assert_eq!(
        read[0],
        Question { kind: expected[0].clone(), ..Question::for_tests("a", QuestionKind::YesNo) }
    );
    assert_eq!(read[1].help.as_deref(), Some("Two\nlines"));
    assert_eq!((&read[2].required, read[2].retention), (&Required::Yes, Retention::Counted));
    assert_eq!(read[3].required, depends("c", ExpectedAnswer::Flag(true)));
    assert!(!read[4].editable && read[5].retired);
    assert_eq!(read[6].required, depends("d", ExpectedAnswer::Option("North".into())));
    assert_eq!(read[7].required, depends("e", ExpectedAnswer::Option("Other".into())));
}

#[test]
fn every_mistake_is_reported_with_its_line() {
    for (bad, line, key) in [
        (question("Bus", "yes-no", ""), "id = \"Bus\"", "id"),
        (question("a-b", "yes-no", ""), "id = \"a-b\"", "id"),
        (question("a", "text", ""), "kind = \"text\"", "kind"),
        (question("a", "yes-no", "max_length = 5"), "max_length = 5", "max_length"),
        (question("a", "yes-no", STOPS), STOPS, "options"),
        (question("a", "date", "min = 1"), "min = 1", "min"),
        (question("a", "short-text", "max_length = 201"), "max_length = 201", "max_length"),
        (question("a", "long-text", "max_length = 4001"), "max_length = 4001", "max_length"),
        (question("a", "one-of", ""), "kind = \"one-of\"", "options"),
        (question("a", "one-of", "options = []"), "options = []", "options"),
        (question("a", "one-of", "options = [\"x\", \"X\"]"), "options = [\"x\", \"X\"]", "options"),
        (question("a", "several-of", &format!("{STOPS}\nmax_choices = 3")), "max_choices = 3", "max_choices"),
        (question("a", "date", "from = 2027-08-20T00:00:00"), "from = 2027-08-20T00:00:00", "from"),
        (question("a", "date", "from = 2027-08-20\nuntil = 2027-08-19"), "until = 2027-08-19", "until"),
        (question("a", "number", "min = 2\nmax = 1"), "max = 1", "max"),
        (question("a", "number", "max = 9007199254740992"), "max = 9007199254740992", "max"),
        (question("a", "yes-no", "keep = \"always\""), "keep = \"always\"", "keep"),
        (question("a", "short-text", "keep = \"counted\""), "keep = \"counted\"", "keep"),
        (question("a", "yes-no", "help = \"\""), "help = \"\"", "help"),
        (question("a", "yes-no", "").replace("logistics", "secret"), "class = \"secret\"", "class"),
    ] {
        let errors = wrong(&bad);
        let expected = (line.to_owned(), format!("form.questions.{key}"));
        assert_eq!(errors.len(), 1, "{bad}: {errors:?}");
        assert_eq!((errors[0].0.clone(), errors[0].1.clone()), expected, "{errors:?}");
    }
    let unknown = wrong(&question("a", "yes-no", "choices = []"));
    assert!(unknown[0].2.contains("unknown field `choices`"), "{unknown:?}");
}

#[test]
fn a_condition_names_an_earlier_question_and_an_answer_that_it_can_have() {
    let condition =
        |of: &str, answer: &str| format!("required_if = {{ question = \"{of}\", answer = {answer} }}");
    let bus = |condition: &str| {
        let stops = question("stop", "one-of", STOPS);
        let first = [question("bus", "yes-no", ""), stops, question("name", "short-text", "")];
        format!("{}{}", first.concat(), question("last", "yes-no", condition))
    };
    for (of, answer, told) in [
        ("train", "true", "no earlier question"),
        ("last", "true", "no earlier question"),
        ("bus", "\"yes\"", "true or false"),
        ("stop", "true", "one of: North, Other"),
        ("stop", "\"South\"", "one of: North, Other"),
        ("name", "\"Ana\"", "can't depend on a question of the kind short-text"),
    ] {
        let line = condition(of, answer);
        let errors = wrong(&bus(&line));
        assert_eq!((errors.len(), &errors[0].0), (1, &line), "{errors:?}");
        assert!(errors[0].2.contains(told), "{errors:?}");
    }
    let both = wrong(&bus(&format!("required = true\n{}", condition("bus", "true"))));
    assert!(both[0].2.contains("either `required` or `required_if`"), "{both:?}");
    let fixed = wrong(&bus(&format!("editable = false\n{}", condition("bus", "true"))));
    assert!(fixed[0].2.contains("can change after submission"), "{fixed:?}");
    let retired = bus(&condition("bus", "true")).replacen("class", "retired = true\nclass", 1);
    assert!(wrong(&retired)[0].2.contains("is retired"));
    let all_retired = bus(&format!("retired = true\n{}", condition("bus", "true")));
    assert_eq!(
        questions(&all_retired.replacen("class", "retired = true\nclass", 1))[3].required,
        Required::No
    );
}

#[test]
fn questions_are_few_and_their_ids_unique() {
    let many =
        |count: usize| (0..count).map(|i| question(&format!("q{i}"), "yes-no", "")).collect::<String>();
    assert_eq!(questions(&many(QUESTIONS_MAX)).len(), QUESTIONS_MAX);
    assert_eq!(wrong(&many(QUESTIONS_MAX + 1)).len(), 1);
    let twice = wrong(&(question("aB", "yes-no", "") + &question("ab", "yes-no", "")));
    assert_eq!((twice[0].0.as_str(), twice[0].2.as_str()), ("id = \"ab\"", "it is a duplicate"));
}
