//! The contract of every transport.

use super::{Arrived, Post, email, mail, with_file};

/// Runs all rules.
pub async fn holds(post: &dyn Post) {
    an_email_arrives_as_it_was_rendered(post).await;
    simultaneous_emails_reach_their_own_recipients(post).await;
    an_international_host_is_sent_in_its_ascii_form(post).await;
}

async fn an_email_arrives_as_it_was_rendered(post: &dyn Post) {
    let transport = post.transport();
    let (plain, with_file) = (email(), with_file(email()));
    transport.send(&mail("ticket:1", "ana@example.org"), &with_file).await.expect("taken");
    transport.send(&mail("hello:1", "bo@example.org"), &plain).await.expect("taken");
    let (to_ana, to_bo) = (only(post, "ana@example.org").await, only(post, "bo@example.org").await);
    for arrived in [&to_ana, &to_bo] {
        assert_eq!(arrived.subject, plain.subject);
        assert_eq!(arrived.text.trim_end(), plain.text.trim_end());
        assert_eq!(arrived.html.trim_end(), plain.html);
    }
    let file = &with_file.attachments[0];
    assert_eq!(to_ana.files, [(file.name.clone(), file.content_type.clone(), file.bytes.clone())]);
    assert_eq!(to_bo.files, []);
}

async fn simultaneous_emails_reach_their_own_recipients(post: &dyn Post) {
    let transport = post.transport();
    let emails =
        (0..40).map(|n| {
            let (transport, mut email) = (transport.clone(), email());
            email.subject = format!("Number {n}");
            async move {
                transport.send(&mail(&format!("many:{n}"), &format!("many{n}@example.org")), &email).await
            }
        });
    for taken in futures_util::future::join_all(emails).await {
        taken.expect("taken");
    }
    for n in 0..40 {
        assert_eq!(only(post, &format!("many{n}@example.org")).await.subject, format!("Number {n}"));
    }
}

async fn an_international_host_is_sent_in_its_ascii_form(post: &dyn Post) {
    post.transport().send(&mail("idna:1", "zoe@exämple.org"), &email()).await.expect("taken");
    let arrived = post.arrived().await;
    let to: Vec<_> = arrived.iter().map(|email| email.to.as_str()).collect();
    assert!(to.contains(&"zoe@xn--exmple-cua.org") || to.contains(&"zoe@exämple.org"), "{to:?}");
}

async fn only(post: &dyn Post, to: &str) -> Arrived {
    let mut found = post.arrived().await.into_iter().filter(|email| email.to == to);
    let first = found.next().unwrap_or_else(|| panic!("nothing arrived for {to}"));
    assert_eq!(found.next(), None, "{to} gets one");
    first
}
