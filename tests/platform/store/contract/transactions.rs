//! The guarantees of transactions.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use orientation::platform::store::{Dir, Filter, Query, Store, StoreError, Tx};
use tokio::task::JoinSet;

use super::{fresh, holding};
use crate::store::things::{Places, Refused, Thing, thing};

#[tokio::test]
async fn a_written_document_reads_back_unchanged() {
    let store = fresh().await;
    let written =
        Thing { email: Some("Ünïcode \u{202e} 🎓 \"quoted\" '".into()), ..thing("a", "red", -7) };
    store.transact(async |tx| tx.insert(&written).await).await.unwrap();
    assert_eq!(store.get::<Thing>("a").await.unwrap(), Some(written));
    assert_eq!(store.get::<Thing>("b").await.unwrap(), None);
}

#[tokio::test]
async fn only_reads_inside_see_what_the_transaction_wrote() {
    let store = fresh().await;
    store
        .transact(async |tx| {
            tx.insert(&thing("a", "red", 1)).await?;
            tx.put(&thing("a", "blue", 1)).await?;
            assert_eq!(tx.get::<Thing>("a").await?.unwrap().group, "blue");
            assert_eq!(tx.find::<Thing>(Query::new(Filter::eq("group", "blue"))).await?.len(), 1);
            assert_eq!(tx.count::<Thing>(Filter::eq("group", "red")).await?, 0);
            assert_eq!(store.get::<Thing>("a").await?, None);
            assert!(tx.delete::<Thing>("a").await?);
            assert!(!tx.delete::<Thing>("a").await?);
            tx.insert(&thing("b", "red", 1)).await
        })
        .await
        .unwrap();
    assert_eq!(store.count::<Thing>(Filter::All).await.unwrap(), 1);
}

#[tokio::test]
async fn a_refusal_undoes_everything_before_it() {
    let store = fresh().await;
    let refused = store
        .transact(async |tx| {
            tx.insert(&thing("a", "red", 1)).await?;
            Err::<(), _>(Refused::Full)
        })
        .await;
    assert_eq!(refused, Err(Refused::Full));
    assert_eq!(store.get::<Thing>("a").await.unwrap(), None);
}

#[tokio::test]
async fn a_single_insert_is_refused_if_its_id_or_a_key_is_taken() {
    let store = fresh().await;
    let first = Thing { email: Some("a@x.org".into()), ..thing("a", "red", 1) };
    let commits = store.stats().commits;
    store.insert(&first).await.unwrap();
    assert_eq!(store.stats().commits, commits + 1);
    let same_id = store.insert(&thing("a", "blue", 2)).await;
    assert_eq!(same_id, Err(StoreError::Duplicate { index: "id".into() }));
    let rollbacks = store.stats().rollbacks;
    let same_key = store.insert(&Thing { id: "b".into(), ..first.clone() }).await;
    assert_eq!(same_key, Err(StoreError::Duplicate { index: "things_by_email".into() }));
    assert_eq!(store.stats().rollbacks, rollbacks + 1);
    assert_eq!(store.find::<Thing>(Query::new(Filter::All)).await.unwrap(), [first]);
}

#[tokio::test]
async fn a_taken_id_or_key_is_a_duplicate_that_names_the_index() {
    let store = fresh().await;
    let first = Thing { email: Some("a@x.org".into()), ..thing("a", "red", 1) };
    store.transact(async |tx| tx.insert(&first).await).await.unwrap();
    let same_id = store.transact(async |tx| tx.insert(&thing("a", "blue", 2)).await).await;
    assert_eq!(same_id, Err(StoreError::Duplicate { index: "id".into() }));
    let same_key = Thing { id: "b".into(), ..first };
    let inserted = store.transact(async |tx| tx.insert(&same_key).await).await;
    assert_eq!(inserted, Err(StoreError::Duplicate { index: "things_by_email".into() }));
    let put = store.transact(async |tx| tx.put(&same_key).await).await;
    assert_eq!(put, Err(StoreError::Duplicate { index: "things_by_email".into() }));
}

#[tokio::test]
async fn a_put_releases_the_old_unique_key_and_takes_the_new_one() {
    let of = |id: &str, email: &str| Thing { email: Some(email.into()), ..thing(id, "red", 1) };
    let store = holding(&[of("a", "old@x.org")]).await;
    store.transact(async |tx| tx.put(&of("a", "new@x.org")).await).await.unwrap();
    store.transact(async |tx| tx.insert(&of("b", "old@x.org")).await).await.unwrap();
    let taken = Err(StoreError::Duplicate { index: "things_by_email".into() });
    assert_eq!(store.transact(async |tx| tx.insert(&of("c", "new@x.org")).await).await, taken);
    assert_eq!(store.transact(async |tx| tx.put(&of("b", "new@x.org")).await).await, taken);
    store.transact(async |tx| tx.delete::<Thing>("a").await).await.unwrap();
    store.transact(async |tx| tx.put(&of("b", "new@x.org")).await).await.unwrap();
}

#[tokio::test]
async fn a_sweep_deletes_all_matches_and_nothing_else() {
    let things: Vec<_> = (0..130).map(|n| thing(&format!("{n:03}"), "red", n)).collect();
    let store = holding(&things).await;
    let old = || Query::new(Filter::Lt("rank".into(), 120.into())).sort("rank", Dir::Desc);
    assert_eq!(store.sweep::<Thing>(old()).await, Ok(120));
    assert_eq!(store.sweep::<Thing>(old()).await, Ok(0));
    assert_eq!(store.count::<Thing>(Filter::All).await, Ok(10));
}

#[tokio::test]
async fn absent_fields_of_a_unique_index_do_not_collide() {
    let store = fresh().await;
    store
        .transact(async |tx| {
            tx.insert(&thing("a", "red", 1)).await?;
            tx.insert(&thing("b", "red", 1)).await
        })
        .await
        .unwrap();
    assert_eq!(store.count::<Thing>(Filter::All).await.unwrap(), 2);
}

#[tokio::test]
async fn after_a_duplicate_every_verb_is_refused_and_nothing_is_committed() {
    let store = fresh().await;
    store.transact(async |tx| tx.insert(&thing("a", "red", 1)).await).await.unwrap();
    let outcome = store
        .transact(async |tx| {
            tx.insert(&thing("b", "red", 1)).await?;
            assert!(matches!(tx.insert(&thing("a", "red", 1)).await, Err(StoreError::Duplicate { .. })));
            assert_eq!(tx.get::<Thing>("a").await, Err(StoreError::TxAborted));
            assert_eq!(tx.find::<Thing>(Query::new(Filter::All)).await, Err(StoreError::TxAborted));
            assert_eq!(tx.count::<Thing>(Filter::All).await, Err(StoreError::TxAborted));
            assert_eq!(tx.put(&thing("c", "red", 1)).await, Err(StoreError::TxAborted));
            assert_eq!(tx.delete::<Thing>("a").await, Err(StoreError::TxAborted));
            Ok::<_, StoreError>(())
        })
        .await;
    assert_eq!(outcome, Err(StoreError::Duplicate { index: "id".into() }), "a swallowed error still counts");
    assert_eq!(store.count::<Thing>(Filter::All).await.unwrap(), 1);
}

#[tokio::test]
async fn several_documents_are_put_and_got_at_once() {
    let store = fresh().await;
    store.insert(&thing("b", "red", 1)).await.unwrap();
    let (a, b, c) = (thing("a", "blue", 1), thing("b", "blue", 2), thing("c", "blue", 3));
    let got = store.transact(async |tx| {
        tx.put_all(&[&c, &b, &a]).await?;
        tx.put_all::<Thing>(&[]).await?;
        assert_eq!(tx.get_all::<Thing>([]).await?, []);
        tx.get_all::<Thing>(["c", "nobody", "b", "a"]).await
    });
    assert_eq!(got.await, Ok(vec![a.clone(), b.clone(), c.clone()]));
    assert_eq!(store.find::<Thing>(Query::new(Filter::All)).await.unwrap(), [a, b, c]);
}

#[tokio::test]
async fn a_put_of_several_documents_writes_none_if_a_key_is_taken() {
    let store = fresh().await;
    let keyed = |id, email: &str| Thing { email: Some(email.into()), ..thing(id, "red", 1) };
    store.insert(&keyed("a", "a@x.org")).await.unwrap();
    let put = async |those: &[&Thing]| store.transact(async |tx| tx.put_all(those).await).await;
    let taken = put(&[&thing("b", "red", 1), &keyed("c", "a@x.org")]).await;
    assert_eq!(taken, Err(StoreError::Duplicate { index: "things_by_email".into() }));
    assert_eq!(store.count::<Thing>(Filter::All).await.unwrap(), 1);
    // In their order: the first releases the key of the second.
    put(&[&keyed("a", "b@x.org"), &keyed("c", "a@x.org")]).await.unwrap();
    assert_eq!(store.count::<Thing>(Filter::All).await.unwrap(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn simultaneous_puts_of_the_same_new_documents_all_succeed() {
    let store = fresh().await;
    let mut rush = JoinSet::new();
    for n in 0..16 {
        let store = Store::clone(&store);
        let those = ["a", "b", "c"].map(|id| thing(id, "red", n));
        rush.spawn(async move { store.transact(async |tx| tx.put_all(&those.each_ref()).await).await });
    }
    assert_eq!(rush.join_all().await, vec![Ok(()); 16]);
    let kept = store.find::<Thing>(Query::new(Filter::All)).await.unwrap();
    assert_eq!(kept.len(), 3);
    assert!(kept.iter().all(|thing| thing.rank == kept[0].rank), "one whole put was the last: {kept:?}");
}

#[tokio::test]
async fn a_transaction_inside_a_transaction_is_refused() {
    let store = fresh().await;
    let nested = store.transact(async |_| store.transact(async |_| Ok::<_, StoreError>(())).await).await;
    assert_eq!(nested, Err(StoreError::Nested));
    let inserted = store.transact(async |_| store.insert(&thing("a", "red", 1)).await).await;
    assert_eq!(inserted, Err(StoreError::Nested));
}

#[tokio::test]
async fn an_escaped_handle_is_useless_and_blocks_nobody() {
    let store = fresh().await;
    let tx: Tx = store.transact(async |tx| Ok::<_, StoreError>(tx)).await.unwrap();
    assert_eq!(tx.insert(&thing("a", "red", 1)).await, Err(StoreError::TxAborted));
    store.transact(async |tx| tx.insert(&thing("b", "red", 1)).await).await.unwrap();
    assert_eq!(store.get::<Thing>("a").await.unwrap(), None);
}

#[tokio::test]
async fn a_caller_that_hangs_up_leaves_nothing_behind() {
    let store = fresh().await;
    let hung_up = tokio::time::timeout(
        Duration::from_millis(20),
        store.transact(async |tx| {
            tx.insert(&thing("a", "red", 1)).await?;
            std::future::pending::<Result<(), StoreError>>().await
        }),
    );
    assert!(hung_up.await.is_err());
    store.transact(async |tx| tx.insert(&thing("b", "red", 1)).await).await.unwrap();
    assert_eq!(store.get::<Thing>("a").await.unwrap(), None);
}

#[tokio::test]
async fn a_panic_inside_leaves_nothing_behind() {
    let store = fresh().await;
    let task = tokio::spawn({
        let store = Store::clone(&store);
        async move {
            store
                .transact(async |tx| {
                    tx.insert(&thing("a", "red", 1)).await?;
                    assert!(tx.get::<Thing>("a").await?.is_none(), "this panic is intended");
                    Ok::<_, StoreError>(())
                })
                .await
        }
    });
    assert!(task.await.unwrap_err().is_panic());
    store.transact(async |tx| tx.insert(&thing("b", "red", 1)).await).await.unwrap();
    assert_eq!(store.get::<Thing>("a").await.unwrap(), None);
}

#[tokio::test]
async fn work_that_runs_too_long_is_rolled_back() {
    let store = fresh().await;
    let hasty = Store::clone(&store).with_work_limit(Duration::from_millis(20));
    let slow = hasty
        .transact(async |tx| {
            tx.insert(&thing("a", "red", 1)).await?;
            std::future::pending::<Result<(), StoreError>>().await
        })
        .await;
    assert_eq!(slow, Err(StoreError::TooSlow));
    store.transact(async |tx| tx.insert(&thing("b", "red", 1)).await).await.unwrap();
    assert_eq!(store.get::<Thing>("a").await.unwrap(), None);
}

#[tokio::test]
async fn the_hook_gets_each_word_once_after_a_commit_and_none_after_a_refusal() {
    let store = fresh().await;
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    store.after_commit(move |words| tell.send(words.to_vec()).unwrap());
    let noted = async |tx: Tx| {
        tx.note("jobs").await;
        tx.note("jobs").await;
        tx.note("board").await;
        tx.insert(&thing("a", "red", 1)).await
    };
    store.transact(noted).await.unwrap();
    assert_eq!(told.recv().await.unwrap(), ["jobs", "board"]);
    assert!(store.transact(noted).await.is_err());
    store.transact(async |_| Ok::<_, StoreError>(())).await.unwrap();
    assert!(told.try_recv().is_err());
}

#[tokio::test]
async fn actions_after_the_commit_run_once_and_not_after_a_refusal() {
    let store = fresh().await;
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let work = async |tx: Tx| {
        let tell = tell.clone();
        tx.once_committed(move || tell.send("done").unwrap()).await;
        tx.insert(&thing("a", "red", 1)).await
    };
    store.transact(work).await.unwrap();
    assert_eq!(told.try_recv().unwrap(), "done");
    assert!(store.transact(work).await.is_err());
    assert!(told.try_recv().is_err());
}

/// Takes a place in both documents, whose guards are named in this order.
async fn take_two_places(store: Store, guards: [&'static str; 2]) -> Result<(), Refused> {
    store
        .transact_at(&guards, async |tx| {
            for id in guards {
                let mut places: Places = tx.get(id).await?.ok_or(Refused::Full)?;
                places.take_one()?;
                tx.put(&places).await?;
            }
            Ok(())
        })
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn transactions_that_name_guards_in_opposite_order_both_succeed() {
    let store = fresh().await;
    let (tents, buses) =
        (Places { id: "tents".into(), ..Places::new(40) }, Places { id: "buses".into(), ..Places::new(40) });
    store
        .transact(async |tx| {
            tx.insert(&tents).await?;
            tx.insert(&buses).await
        })
        .await
        .unwrap();
    let mut rush = JoinSet::new();
    for n in 0..40 {
        let guards = if n % 2 == 0 { ["tents", "buses"] } else { ["buses", "tents"] };
        rush.spawn(take_two_places(Store::clone(&store), guards));
    }
    assert!(rush.join_all().await.iter().all(Result::is_ok));
    for id in ["tents", "buses"] {
        assert_eq!(store.get::<Places>(id).await.unwrap().unwrap().taken, 40);
    }
    assert_eq!(store.stats().queue, 0);
}

/// Takes a place in a transaction that reads and writes the document that guards the rule.
async fn take_a_place(store: &Store) -> Result<(), Refused> {
    store
        .transact_at(&["places"], async |tx| {
            let mut places: Places = tx.get("places").await?.ok_or(Refused::Full)?;
            places.take_one()?;
            tx.put(&places).await?;
            Ok(())
        })
        .await
}

/// The same without the guard: the document that was read is written in another transaction.
async fn take_a_place_unguarded(store: &Store) -> Result<(), Refused> {
    let mut places: Places = store.get("places").await?.ok_or(Refused::Full)?;
    places.take_one()?;
    Ok(store.transact(async |tx| tx.put(&places).await).await?)
}

/// How many of 64 simultaneous callers got one of ten places, and how many were counted.
async fn rush<F>(take: impl Fn(Store) -> F) -> (usize, i64)
where
    F: Future<Output = Result<(), Refused>> + Send + 'static,
{
    let store = fresh().await;
    store.transact(async |tx| tx.insert(&Places::new(10)).await).await.unwrap();
    let mut rush = JoinSet::new();
    for _ in 0..64 {
        rush.spawn(take(Store::clone(&store)));
    }
    let outcomes = rush.join_all().await;
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Ok(()) | Err(Refused::Full))));
    let counted = store.get::<Places>("places").await.unwrap().unwrap().taken;
    (outcomes.iter().filter(|outcome| outcome.is_ok()).count(), counted)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sixty_four_at_once_never_take_more_places_than_exist() {
    assert_eq!(rush(|store| async move { take_a_place(&store).await }).await, (10, 10));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn without_the_guard_more_places_are_taken_than_exist() {
    let (got_one, _) = rush(|store| async move { take_a_place_unguarded(&store).await }).await;
    assert!(got_one > 10, "the race was not real: {got_one} got one of ten places");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn exactly_one_of_many_simultaneous_inserts_gets_a_unique_key() {
    let store = fresh().await;
    let mut rush = JoinSet::new();
    for n in 0..64 {
        let store = Store::clone(&store);
        let wanted = Thing { email: Some("one@x.org".into()), ..thing(&n.to_string(), "red", 1) };
        rush.spawn(async move {
            match n % 2 {
                0 => store.transact(async |tx| tx.insert(&wanted).await).await,
                _ => store.insert(&wanted).await,
            }
        });
    }
    let outcomes = rush.join_all().await;
    let duplicate = Err(StoreError::Duplicate { index: "things_by_email".into() });
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == duplicate).count(), 63);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn readers_never_see_half_of_a_transaction() {
    let store = fresh().await;
    let done = Arc::new(AtomicBool::new(false));
    let reader = tokio::spawn({
        let (store, done) = (Store::clone(&store), Arc::clone(&done));
        async move {
            while !done.load(Ordering::Relaxed) {
                assert_eq!(store.count::<Thing>(Filter::All).await.unwrap() % 2, 0);
            }
        }
    });
    for n in 0..200 {
        store
            .transact(async |tx| {
                tx.insert(&thing(&format!("{n}-left"), "red", 1)).await?;
                tx.insert(&thing(&format!("{n}-right"), "red", 1)).await
            })
            .await
            .unwrap();
    }
    done.store(true, Ordering::Relaxed);
    reader.await.unwrap();
}
