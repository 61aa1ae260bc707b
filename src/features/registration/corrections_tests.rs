use super::*;
use crate::config::OTHER_PRONOUNS;

fn form() -> Form {
    Form {
        legal_name: "Ana Sliva".into(),
        pronouns: "she/her".into(),
        birth_date: "2008-02-29".into(),
        student_id: "silva042".into(),
        discipline: "a discipline of last year".into(),
        ..Form::default()
    }
}

fn wrong(corrections: Corrections) -> Vec<(String, &'static str)> {
    let errors = form().corrected(corrections, &Event::shipped()).unwrap_err();
    errors.into_iter().map(|error| (error.pointer, error.code)).collect()
}

#[test]
fn what_is_corrected_changes_and_what_stays_is_not_checked() {
    let corrections = Corrections { legal_name: Some("Ana Silva".into()), ..Corrections::default() };
    let corrected = form().corrected(corrections, &Event::shipped()).unwrap();
    assert_eq!(corrected, Form { legal_name: "Ana Silva".into(), ..form() });
    assert_eq!(corrected.differences(&form()), [StudentField::LegalName]);
}

#[test]
fn every_correction_is_checked_like_a_new_form() {
    let corrections = Corrections {
        birth_date: Some("2008-02-30".into()),
        student_id: Some("a b".into()),
        discipline: Some("Alchemy".into()),
        shirt_size: Some("XS".into()),
        answers: [("bus".to_owned(), None)].into(),
        ..Corrections::default()
    };
    assert_eq!(
        wrong(corrections),
        [
            ("/answers/bus".to_owned(), "unknown-property"),
            ("/birthDate".into(), "not-a-date"),
            ("/studentId".into(), "not-a-student-id"),
            ("/discipline".into(), "not-an-option"),
            ("/shirtSize".into(), "not-an-option"),
        ]
    );
}

#[test]
fn other_pronouns_need_a_text_and_no_others_have_one() {
    let other = Corrections { pronouns: Some(OTHER_PRONOUNS.into()), ..Corrections::default() };
    assert_eq!(wrong(other.clone()), [("/pronounsOther".to_owned(), "missing")]);
    let both = Corrections { pronouns_other: Some(Some("ze/zir".into())), ..other };
    let corrected = form().corrected(both, &Event::shipped()).unwrap();
    assert_eq!(corrected.pronouns_other.as_deref(), Some("ze/zir"));
    let back = Corrections { pronouns: Some("they/them".into()), ..Corrections::default() };
    let errors = corrected.corrected(back, &Event::shipped()).unwrap_err();
    assert_eq!(errors[0].code, "not-asked");
}
