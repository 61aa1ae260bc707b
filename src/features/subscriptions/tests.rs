//! The page and the operations over a store, without a server.

use super::*;
use crate::base::TestBase;
use crate::features::accounts::Account;
use crate::features::leaders::testing::account;
use crate::kernel::Role;
use crate::platform::mail::{EmailKind, Mail, RenderError};
use crate::platform::store::{Filter, Query};

struct World {
    base: TestBase,
    subscriptions: Subscriptions,
}

impl World {
    async fn new() -> Self {
        let base = Base::for_tests().await;
        let subscriptions = Subscriptions::new(&base);
        let world = Self { base, subscriptions };
        for id in ["ana", "bo"] {
            account(&world.base, id, Role::Student).await;
        }
        world
    }

    async fn is_subscribed(&self, id: &str) -> bool {
        self.base.store.get::<Account>(id).await.unwrap().unwrap().unsubscribed_at.is_none()
    }

    async fn mails(&self) -> Vec<Mail> {
        self.base.store.find(Query::new(Filter::All)).await.unwrap()
    }
}

#[tokio::test]
async fn each_change_has_one_email_and_a_repetition_none() {
    let world = World::new().await;
    for _ in 0..2 {
        world.subscriptions.unsubscribe("ana").await.unwrap();
    }
    assert_eq!((world.is_subscribed("ana").await, world.is_subscribed("bo").await), (false, true));
    assert_eq!(world.mails().await.len(), 1);
    world.base.clock.advance(std::time::Duration::from_secs(1));
    world.subscriptions.subscribe("ana").await.unwrap();
    assert!(world.is_subscribed("ana").await);
    world.subscriptions.unsubscribe("ana").await.unwrap();
    assert_eq!(world.mails().await.len(), 2);
}

#[tokio::test]
async fn the_email_is_obsolete_once_the_account_is_subscribed_again() {
    let world = World::new().await;
    world.subscriptions.unsubscribe("ana").await.unwrap();
    let mail = world.mails().await.pop().unwrap();
    let kind = mails::Unsubscribed::new(&world.base);
    let email = kind.render(mail.about().unwrap(), &mail).await.unwrap();
    assert!(email.text.contains("/unsubscribe?token="), "{}", email.text);
    world.subscriptions.subscribe("ana").await.unwrap();
    let obsolete = kind.render(mail.about().unwrap(), &mail).await;
    assert!(matches!(obsolete, Err(RenderError::Obsolete(_))));
}

#[tokio::test]
async fn a_link_is_for_one_account_and_no_other_token_is_one() {
    let world = World::new().await;
    let links = UnsubscribeLinks::new(&world.base);
    let token = |link: &url::Url| link.query_pairs().next().unwrap().1.into_owned();
    let of_ana = token(&links.of("ana"));
    assert_eq!(world.subscriptions.of_link(&of_ana).await.unwrap().unwrap().id, "ana");
    for other in [token(&links.sample()), token(&links.of("nobody")), of_ana.replace('.', ""), String::new()]
    {
        assert!(world.subscriptions.of_link(&other).await.unwrap().is_none(), "{other}");
    }
}
