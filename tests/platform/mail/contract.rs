//! What every carrier promises.

use super::{Arrived, Post, letter, mail, with_file};

/// All of it.
pub async fn holds(post: &dyn Post) {
    a_letter_arrives_as_it_was_rendered(post).await;
    letters_go_side_by_side_each_to_its_own_recipient(post).await;
    an_international_host_is_one_that_can_be_looked_up(post).await;
}

async fn a_letter_arrives_as_it_was_rendered(post: &dyn Post) {
    let carrier = post.carrier();
    let (plain, with_file) = (letter(), with_file(letter()));
    carrier.carry(&mail("ticket:1", "ana@example.org"), &with_file).await.expect("taken");
    carrier.carry(&mail("hello:1", "bo@example.org"), &plain).await.expect("taken");
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

async fn letters_go_side_by_side_each_to_its_own_recipient(post: &dyn Post) {
    let carrier = post.carrier();
    let letters =
        (0..40).map(|n| {
            let (carrier, mut letter) = (carrier.clone(), letter());
            letter.subject = format!("Number {n}");
            async move {
                carrier.carry(&mail(&format!("many:{n}"), &format!("many{n}@example.org")), &letter).await
            }
        });
    for taken in futures_util::future::join_all(letters).await {
        taken.expect("taken");
    }
    for n in 0..40 {
        assert_eq!(only(post, &format!("many{n}@example.org")).await.subject, format!("Number {n}"));
    }
}

async fn an_international_host_is_one_that_can_be_looked_up(post: &dyn Post) {
    post.carrier().carry(&mail("idna:1", "zoe@exämple.org"), &letter()).await.expect("taken");
    let arrived = post.arrived().await;
    let to: Vec<_> = arrived.iter().map(|letter| letter.to.as_str()).collect();
    assert!(to.contains(&"zoe@xn--exmple-cua.org") || to.contains(&"zoe@exämple.org"), "{to:?}");
}

async fn only(post: &dyn Post, to: &str) -> Arrived {
    let mut found = post.arrived().await.into_iter().filter(|letter| letter.to == to);
    let first = found.next().unwrap_or_else(|| panic!("nothing arrived for {to}"));
    assert_eq!(found.next(), None, "{to} gets one");
    first
}
