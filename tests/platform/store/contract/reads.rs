//! Filters and the other reads.

use futures_util::stream::BoxStream;
use futures_util::{StreamExt, TryStreamExt};
use orientation::kernel::Timestamp;
use orientation::platform::store::{
    Dimension, Dir, Document, Filter, Holds, Keep, Personal, Query, Store, StoreError, Value,
};
use serde::{Deserialize, Serialize};

use super::{fresh, holding};
use crate::store::things::{Price, Thing, thing};

/// The ids of the things that match.
async fn ids(store: &Store, filter: Filter) -> Vec<String> {
    store.find::<Thing>(Query::new(filter)).await.unwrap().into_iter().map(|thing| thing.id).collect()
}

#[tokio::test]
async fn comparisons_keep_their_bounds() {
    let store = holding(&[thing("a", "red", 1), thing("b", "red", 2), thing("c", "blue", 3)]).await;
    assert_eq!(ids(&store, Filter::All).await, ["a", "b", "c"]);
    assert_eq!(ids(&store, Filter::eq("group", "red")).await, ["a", "b"]);
    assert_eq!(ids(&store, Filter::eq("id", "b")).await, ["b"]);
    assert_eq!(ids(&store, Filter::eq("active", false)).await, ["a", "b", "c"]);
    assert_eq!(ids(&store, Filter::Gt("rank".into(), 2.into())).await, ["c"]);
    assert_eq!(ids(&store, Filter::Le("rank".into(), 2.into())).await, ["a", "b"]);
    assert_eq!(ids(&store, Filter::Lt("rank".into(), 2.into())).await, ["a"]);
    assert_eq!(ids(&store, Filter::range("rank", Some(1.into()), Some(3.into()))).await, ["a", "b"]);
    assert_eq!(ids(&store, Filter::range("rank", None, Some(2.into()))).await, ["a"]);
    assert_eq!(ids(&store, Filter::range("rank", Some(2.into()), None)).await, ["b", "c"]);
    assert_eq!(ids(&store, Filter::range("rank", None, None)).await, ["a", "b", "c"]);
    assert_eq!(ids(&store, Filter::In("rank".into(), vec![1.into(), 3.into()])).await, ["a", "c"]);
}

#[tokio::test]
async fn an_empty_and_is_true_and_an_empty_or_is_false() {
    let store = holding(&[thing("a", "red", 1)]).await;
    assert_eq!(ids(&store, Filter::And(vec![])).await, ["a"]);
    assert!(ids(&store, Filter::Or(vec![])).await.is_empty());
    assert!(ids(&store, Filter::In("rank".into(), vec![])).await.is_empty());
    let either =
        Filter::Or(vec![Filter::eq("rank", 7), Filter::eq("group", "red").and(Filter::eq("rank", 1))]);
    assert_eq!(ids(&store, either).await, ["a"]);
}

#[tokio::test]
async fn not_is_true_for_a_document_without_the_field() {
    let known = Thing { email: Some("a@x.org".into()), ..thing("a", "red", 1) };
    let store = holding(&[known, thing("b", "red", 1)]).await;
    let is_a = || Filter::eq("email", "a@x.org");
    assert_eq!(ids(&store, !is_a()).await, ["b"]);
    assert_eq!(ids(&store, !!is_a()).await, ["a"]);
    assert_eq!(ids(&store, !Filter::In("email".into(), vec!["a@x.org".into()])).await, ["b"]);
    assert_eq!(ids(&store, !Filter::Contains("email".into(), "A@".into())).await, ["b"]);
    assert_eq!(ids(&store, !Filter::Gt("email".into(), "0".into())).await, ["b"]);
    assert_eq!(ids(&store, !is_a().and(Filter::eq("rank", 1))).await, ["b"]);
}

#[tokio::test]
async fn exists_is_true_for_documents_with_the_field() {
    let known = Thing { email: Some(String::new()), ..thing("a", "red", 0) };
    let store = holding(&[known, thing("b", "red", 0)]).await;
    assert_eq!(ids(&store, Filter::Exists("email".into())).await, ["a"]);
    assert_eq!(ids(&store, !Filter::Exists("email".into())).await, ["b"]);
    assert_eq!(ids(&store, Filter::Exists("rank".into())).await, ["a", "b"]);
    assert!(ids(&store, Filter::Exists("noSuchField".into())).await.is_empty());
}

#[tokio::test]
async fn contains_ignores_letter_case_in_every_script_and_has_no_patterns() {
    let store =
        holding(&[thing("a", "Élodie ÅNGSTRÖM", 1), thing("b", "ПЁТР 100%", 1), thing("c", "a.c", 1)]).await;
    let containing = async |part: &str| ids(&store, Filter::Contains("group".into(), part.into())).await;
    assert_eq!(containing("élodie").await, ["a"]);
    assert_eq!(containing("ångström").await, ["a"]);
    assert_eq!(containing("пёт").await, ["b"]);
    assert_eq!(containing("ПЁТ").await, ["b"]);
    assert_eq!(containing("%").await, ["b"]);
    assert_eq!(containing("a.C").await, ["c"]);
    let store =
        holding(&[thing("a", "İpek IŞIK", 1), thing("b", "ΝΙΚΟΣΙΑ", 1), thing("c", "ΝΙΚΟΣ", 1)]).await;
    let containing = async |part: &str| ids(&store, Filter::Contains("group".into(), part.into())).await;
    for part in ["İpek", "ipek", "IŞIK", "işik"] {
        assert_eq!(containing(part).await, ["a"], "{part}");
    }
    assert!(containing("ışık").await.is_empty());
    for part in ["ΝΙΚΟΣ", "νικος", "νικοσ"] {
        assert_eq!(containing(part).await, ["b", "c"], "{part}");
    }
    assert!(containing("abc").await.is_empty());
    assert_eq!(containing("").await, ["a", "b", "c"]);
}

#[tokio::test]
async fn has_matches_an_element_of_a_list() {
    let tagged = Thing { tags: vec!["nuts".into(), "gluten".into()], ..thing("a", "red", 1) };
    let store = holding(&[tagged, thing("b", "red", 1)]).await;
    assert_eq!(ids(&store, Filter::has("tags", "gluten")).await, ["a"]);
    assert!(ids(&store, Filter::has("tags", "glut")).await.is_empty());
    assert_eq!(ids(&store, !Filter::has("tags", "nuts")).await, ["b"]);
}

#[tokio::test]
async fn a_path_with_dots_names_a_nested_field() {
    let dear = Thing { price: Price { amount: 9_500 }, ..thing("a", "red", 1) };
    let store = holding(&[dear, thing("b", "red", 1)]).await;
    assert_eq!(ids(&store, Filter::Gt("price.amount".into(), 0.into())).await, ["a"]);
    assert_eq!(store.sum::<Thing>("price.amount", Filter::All).await.unwrap(), 9_500);
}

#[tokio::test]
async fn values_are_never_read_as_code() {
    let nasty = "x' OR '1'='1\"; DROP TABLE \"order\" -- $ne .* \\";
    let store = holding(&[thing("a", nasty, 1), thing("b", "red", 1)]).await;
    assert_eq!(ids(&store, Filter::eq("group", nasty)).await, ["a"]);
    assert_eq!(ids(&store, Filter::Contains("group".into(), "' or '".into())).await, ["a"]);
    assert!(ids(&store, Filter::has("tags", nasty)).await.is_empty());
}

#[tokio::test]
async fn times_are_compared_and_sorted_as_times_to_the_millisecond() {
    let at =
        |id: &str, millis| Thing { seen_at: Some(Timestamp::from_millis(millis)), ..thing(id, "red", 1) };
    let millis = [("a", -1), ("b", 0), ("c", 999), ("d", 1_000), ("e", 1_788_246_000_001), ("f", i64::MAX)];
    let store = holding(&millis.map(|(id, millis)| at(id, millis))).await;
    let sorted = store.find::<Thing>(Query::new(Filter::All).sort("seenAt", Dir::Asc)).await.unwrap();
    assert_eq!(sorted.iter().map(|thing| thing.id.as_str()).collect::<String>(), "abcdef");
    let time = |millis| Some(Value::Time(Timestamp::from_millis(millis)));
    assert_eq!(ids(&store, Filter::range("seenAt", time(999), time(1_000))).await, ["c"]);
    assert_eq!(ids(&store, Filter::eq("seenAt", Timestamp::from_millis(1_788_246_000_001))).await, ["e"]);
}

#[tokio::test]
async fn counts_tallies_and_sums_agree_with_the_documents() {
    let known =
        |id: &str, group: &str, rank| Thing { email: Some(format!("{id}@x.org")), ..thing(id, group, rank) };
    let store = holding(&[
        known("a", "red", 1),
        known("b", "blue", 20),
        known("c", "red", 300),
        thing("d", "red", -5),
    ])
    .await;
    let red = || Filter::eq("group", "red");
    assert_eq!(store.count::<Thing>(red()).await.unwrap(), 3);
    assert_eq!(store.sum::<Thing>("rank", red()).await.unwrap(), 296);
    assert_eq!(store.sum::<Thing>("rank", Filter::eq("group", "green")).await.unwrap(), 0);
    let tally = store.tally::<Thing>("group", Filter::All).await.unwrap();
    assert_eq!(tally, [("blue".into(), 1), ("red".into(), 3)]);
    let addresses = store.tally::<Thing>("email", red()).await.unwrap();
    assert_eq!(addresses, [("a@x.org".into(), 1), ("c@x.org".into(), 1)]);
}

#[tokio::test]
async fn documents_are_counted_by_two_fields_and_by_the_elements_of_a_list() {
    let tagged = |id: &str, group: &str, rank, tags: &[&str]| Thing {
        tags: tags.iter().map(|&tag| tag.into()).collect(),
        active: rank > 1,
        ..thing(id, group, rank)
    };
    let store = holding(&[
        tagged("a", "red", 1, &["nuts", "milk"]),
        tagged("b", "red", 2, &["nuts"]),
        tagged("c", "blue", 2, &[]),
        Thing { email: Some("d@x.org".into()), ..tagged("d", "blue", 3, &["nuts"]) },
    ])
    .await;
    let by = |field: &'static str, holds| Dimension { field: field.into(), holds };
    let counted = async |by: Vec<Dimension>, filter| {
        let rows = store.cross::<Thing>(by, filter).await.unwrap();
        rows.into_iter().map(|row| (row.values, row.documents)).collect::<Vec<_>>()
    };
    let text = |text: &str| Some(Value::from(text));
    let (group, tags) = (|| by("group", Holds::Text), || by("tags", Holds::Texts));
    assert_eq!(
        counted(vec![group(), tags()], Filter::All).await,
        [
            (vec![text("blue"), None], 1),
            (vec![text("blue"), text("nuts")], 1),
            (vec![text("red"), text("milk")], 1),
            (vec![text("red"), text("nuts")], 2),
        ]
    );
    assert_eq!(
        counted(vec![tags(), by("active", Holds::Bool)], Filter::has("tags", "nuts")).await,
        [
            (vec![text("milk"), Some(false.into())], 1),
            (vec![text("nuts"), Some(false.into())], 1),
            (vec![text("nuts"), Some(true.into())], 2),
        ]
    );
    assert_eq!(
        counted(vec![by("id", Holds::Text), tags()], Filter::eq("group", "blue")).await,
        [(vec![text("c"), None], 1), (vec![text("d"), text("nuts")], 1)]
    );
    let ranks = counted(vec![by("rank", Holds::Int), by("email", Holds::Text)], Filter::eq("group", "blue"));
    assert_eq!(ranks.await, [(vec![Some(2.into()), None], 1), (vec![Some(3.into()), text("d@x.org")], 1)]);
}

#[tokio::test]
async fn words_are_found_by_their_beginning_after_every_kind_of_change() {
    let tagged = |id: &str, tags: &[&str]| Thing {
        tags: tags.iter().map(|&tag| tag.into()).collect(),
        ..thing(id, "red", 1)
    };
    let store = holding(&[tagged("a", &["josé", "jo", "jo"]), tagged("b", &["Jo"]), tagged("c", &[])]).await;
    let beginning = async |start: &str| ids(&store, Filter::HasPrefix("tags".into(), start.into())).await;
    assert_eq!(beginning("jo").await, ["a"]);
    assert_eq!(beginning("").await, ["a", "b"]);
    assert_eq!(beginning("jos%").await, Vec::<String>::new());
    let changed: Result<(), StoreError> = store
        .transact(async |tx| {
            tx.put(&tagged("a", &["eve"])).await?;
            tx.put(&tagged("c", &["jon", "eve"])).await?;
            tx.delete::<Thing>("b").await.map(drop)
        })
        .await;
    changed.unwrap();
    assert_eq!(beginning("jo").await, ["c"]);
    assert_eq!(beginning("ev").await, ["a", "c"]);
    assert_eq!(beginning("").await, ["a", "c"]);
}

#[tokio::test]
async fn a_stream_returns_every_match_once_whatever_their_number() {
    let all: Vec<_> = (0..1_101).map(|n| thing(&format!("{n:04}"), "red", n % 2)).collect();
    let store = holding(&all).await;
    let found: Vec<Thing> = store.stream(Filter::All).try_collect().await.unwrap();
    assert_eq!(found, all);
    let odd: Vec<Thing> = store.stream(Filter::eq("rank", 1)).try_collect().await.unwrap();
    assert_eq!(odd.len(), 550);
}

#[tokio::test]
async fn the_body_of_a_response_can_hold_a_stream() {
    let fresh = holding(&[thing("a", "red", 1), thing("b", "red", 2)]).await;
    let body: BoxStream<'static, _> = {
        let store: Store = fresh.clone();
        store.stream::<Thing>(Filter::All).map_ok(|thing| thing.id).boxed()
    };
    let ids: Vec<_> = tokio::spawn(body.try_collect()).await.unwrap().unwrap();
    assert_eq!(ids, ["a", "b"]);
}

/// A document that an older program may have left under the same name.
#[derive(Serialize, Deserialize)]
struct Misfit {
    id: String,
    rank: String,
}

impl Document for Misfit {
    const COLLECTION: &'static str = Thing::COLLECTION;
    const PERSONAL: Personal = Personal::None;
    const KEEP: Keep = Keep::with_store("test data");

    fn id(&self) -> &str {
        &self.id
    }
}

#[tokio::test]
async fn a_document_of_another_shape_is_an_error_that_does_not_quote_it() {
    let store = fresh().await;
    let misfit = Misfit { id: "private-id".into(), rank: "private@x.org".into() };
    store.transact(async |tx| tx.insert(&misfit).await).await.unwrap();
    let error = store.get::<Thing>("private-id").await.unwrap_err().to_string();
    assert!(error.contains("`order`"), "{error}");
    assert!(!error.contains("private"), "{error}");
}
