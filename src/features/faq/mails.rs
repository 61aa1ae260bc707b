//! The email about an answer.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::model::{FaqQuestion, FaqState};
use crate::base::Base;
use crate::kernel::Markdown;
use crate::platform::mail::{Email, EmailKind, EmailLayout, Mail, RenderError, Sample};
use crate::platform::store::Store;

/// What the email about an answer is about.
#[derive(Serialize, Deserialize)]
pub struct AboutQuestion {
    /// Id of the question.
    pub question: String,
}

/// To the person who asked, when the answer appears: `question-answered:<question>`.
pub struct QuestionAnswered {
    store: Store,
    layout: EmailLayout,
}

#[derive(askama::Template)]
#[template(path = "features/faq/templates/question-answered.body.txt", blocks = ["subject"])]
struct Text<'a> {
    layout: &'a EmailLayout,
    question: &'a str,
    answer: &'a str,
}

#[derive(askama::Template)]
#[template(path = "features/faq/templates/question-answered.body.html")]
struct Html<'a> {
    layout: &'a EmailLayout,
    question: &'a str,
    /// Safe HTML.
    answer: &'a str,
}

impl QuestionAnswered {
    /// Renders with the layout of `base`.
    pub fn new(base: &Base) -> Self {
        Self { store: base.store.clone(), layout: base.email_layout.clone() }
    }

    /// The email with these texts.
    fn write(&self, question: &str, answer: &Markdown) -> Result<Email, RenderError> {
        let layout = &self.layout;
        let text = Text { layout, question, answer: &answer.plain() };
        let answer = &EmailLayout::markdown(answer);
        layout.render(&text.as_subject(), &text, &Html { layout, question, answer })
    }
}

#[async_trait]
impl EmailKind for QuestionAnswered {
    const NAME: &'static str = "question-answered";
    type About = AboutQuestion;

    async fn render(&self, about: AboutQuestion, _: &Mail) -> Result<Email, RenderError> {
        let question: Option<FaqQuestion> = self.store.get(&about.question).await?;
        let question = question.filter(|question| question.state == FaqState::Answered);
        let question = question.ok_or(RenderError::Obsolete("no answer"))?;
        let answer = question.answer.ok_or(RenderError::Obsolete("no answer"))?;
        self.write(&question.question, &answer)
    }

    fn samples(&self) -> Result<Vec<Sample>, RenderError> {
        let answer = Markdown::new(
            "Yes, on a **leash**, except for\n\n- the concert,\n- meals.\n\nSee [the rules](https://www.example.org).",
        );
        Ok(Sample::only(self.write("May I bring my dog?\nIt is small.", &answer)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_email_is_reviewed() {
        let base = Base::for_tests().await;
        let email = QuestionAnswered::new(&base);
        let answer = Markdown::new(
            "Yes, on a **leash**.\n\n- See the [map](https://maps.example.org).\n- <b>No</b> cats.",
        );
        let email = email.write("May I bring my dog?\n<script>alert(1)</script>", &answer).unwrap();
        insta::assert_snapshot!("question-answered.subject", email.subject);
        insta::assert_snapshot!("question-answered.txt", email.text);
        insta::assert_snapshot!("question-answered.html", email.html);
    }
}
