//! What a key opens, on a separate store.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::oneshot;

use super::*;
use crate::base::{Base, TestBase};
use crate::kernel::{Actor, Clock, Ids, Invalid, RandomIds, Scope, StudentField};
use crate::platform::store::{Filter, Query, StoreError};

const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

struct World {
    base: TestBase,
    keys: Arc<ApiKeys>,
}

fn admin() -> Actor {
    Actor::Account("admin".into())
}

impl World {
    fn on(base: TestBase) -> Self {
        let keys = Arc::new(ApiKeys::new(&base));
        Self { base, keys }
    }

    async fn create(&self) -> CreatedKey {
        let request = ApiKeyRequest {
            name: "Chat bot".into(),
            scopes: vec!["scanner:food".into()],
            student_fields: vec!["dietary".into()],
            reach: vec!["group:all".into()],
            expires_at: self.base.clock.now().plus(Duration::from_hours(24)),
        };
        self.keys.create(&admin(), request).await.unwrap()
    }

    async fn stored(&self) -> ApiKey {
        let mut all: Vec<ApiKey> = self.base.store.find(Query::new(Filter::All).limit(2)).await.unwrap();
        assert_eq!(all.len(), 1);
        all.remove(0)
    }
}

#[tokio::test]
async fn a_machine_has_the_rights_of_its_key_and_acts_under_its_public_id() {
    let world = World::on(Base::for_tests().await);
    let CreatedKey { key, document } = world.create().await;
    let machine = world.keys.machine(key.expose(), CLIENT).await.unwrap();
    assert_eq!(machine.actor, Actor::Machine(document.key_id.clone()));
    assert!(machine.rights.may(Scope::ScannerFood) && !machine.rights.may(Scope::AdminAll));
    assert!(machine.rights.may_read(&StudentField::Dietary) && machine.rights.reaches(Some("Alpha"), None));
    assert_ne!(document.key_id, document.id);
    let stored = serde_json::to_string(&world.stored().await).unwrap();
    assert!(!stored.contains(key.expose()) && !stored.contains(&key.expose()[10..]), "{stored}");

    world.base.clock.advance(Duration::from_hours(24));
    assert!(matches!(world.keys.machine(key.expose(), CLIENT).await, Err(UseApiKeyError::Invalid)));
}

#[tokio::test]
async fn names_of_rights_and_the_rules_of_keys_are_checked_together() {
    let world = World::on(Base::for_tests().await);
    let request = ApiKeyRequest {
        name: "Chat bot".into(),
        scopes: vec!["admin:all".into(), "scanner:food".into()],
        student_fields: vec![],
        reach: vec![],
        expires_at: world.base.clock.now(),
    };
    let codes = async |request: ApiKeyRequest| {
        let Err(CreateApiKeyError::Invalid(Invalid(errors))) = world.keys.create(&admin(), request).await
        else {
            panic!("it was created")
        };
        errors.into_iter().map(|error| (error.pointer, error.code)).collect::<Vec<_>>()
    };
    let error = |pointer: &str, code| (pointer.to_owned(), code);
    let expired = error("/expiresAt", "out-of-range");
    assert_eq!(codes(request.clone()).await, [error("/scopes", "not-for-machines"), expired.clone()]);
    let unknown = ApiKeyRequest { scopes: vec!["scanner:drinks".into()], ..request };
    assert_eq!(codes(unknown).await, [error("/scopes/0", "not-an-option"), expired]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_use_is_stored_once_a_minute() {
    let world = World::on(Base::for_tests().await);
    let CreatedKey { key, .. } = world.create().await;
    let minute = world.base.clock.now();
    let used = join_all((0..20).map(|_| world.keys.machine(key.expose(), CLIENT))).await;
    assert!(used.iter().all(Result::is_ok));
    assert_eq!(world.stored().await.last_used_at, Some(minute));
    world.base.clock.advance(Duration::from_secs(59));
    world.keys.machine(key.expose(), CLIENT).await.unwrap();
    assert_eq!(world.stored().await.last_used_at, Some(minute));
    world.base.clock.advance(Duration::from_secs(1));
    world.keys.machine(key.expose(), CLIENT).await.unwrap();
    assert_eq!(world.stored().await.last_used_at, Some(minute.plus(Duration::from_mins(1))));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_goes_on_if_its_last_use_is_not_stored() {
    let world = World::on(Base::for_tests().await);
    let CreatedKey { key, .. } = world.create().await;
    let (begun, has_begun) = oneshot::channel();
    let (end, ended) = oneshot::channel::<()>();
    let (begun, ended) = (std::sync::Mutex::new(Some(begun)), tokio::sync::Mutex::new(ended));
    let writer = world.base.store.transact(async |tx| {
        tx.count::<ApiKey>(Filter::All).await?;
        if let Some(begun) = begun.lock().unwrap().take() {
            begun.send(()).unwrap();
        }
        let _ = (&mut *ended.lock().await).await;
        Ok::<_, StoreError>(())
    });
    let request = async {
        has_begun.await.unwrap();
        let machine = world.keys.machine(key.expose(), CLIENT).await;
        end.send(()).unwrap();
        machine.map(drop)
    };
    let (written, requested) = tokio::join!(writer, request);
    written.unwrap();
    requested.unwrap();
    assert_eq!(world.stored().await.last_used_at, None);
    world.keys.machine(key.expose(), CLIENT).await.unwrap();
    assert!(world.stored().await.last_used_at.is_some(), "the next request stores it");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_used_while_it_is_revoked_stays_revoked() {
    let world = World::on(Base::for_tests().await);
    let CreatedKey { key, document } = world.create().await;
    let uses = join_all((0..10).map(|_| world.keys.machine(key.expose(), CLIENT)));
    let admin = admin();
    let (_, revoked) = tokio::join!(uses, world.keys.revoke(&admin, &document.key_id));
    revoked.unwrap();
    assert_eq!(world.stored().await.revoked_at, Some(world.base.clock.now()));
    assert!(matches!(world.keys.machine(key.expose(), CLIENT).await, Err(UseApiKeyError::Invalid)));
}

#[tokio::test]
async fn a_client_with_unknown_keys_is_slowed_down_and_its_valid_key_works() {
    let world = World::on(Base::for_tests().await.with_limits());
    let CreatedKey { key, .. } = world.create().await;
    let unknown = async |client| world.keys.machine(Key::new(RandomIds.secret()).expose(), client).await;
    for _ in 0..30 {
        assert!(matches!(unknown(CLIENT).await, Err(UseApiKeyError::Invalid)));
    }
    assert!(matches!(unknown(CLIENT).await, Err(UseApiKeyError::TooMany(_))));
    assert!(matches!(unknown(IpAddr::V4(Ipv4Addr::BROADCAST)).await, Err(UseApiKeyError::Invalid)));
    for _ in 0..1200 {
        world.keys.machine(key.expose(), CLIENT).await.unwrap();
    }
    let machine = world.keys.machine(key.expose(), CLIENT).await;
    assert!(matches!(machine, Err(UseApiKeyError::TooMany(_))));
}
