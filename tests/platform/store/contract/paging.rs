//! Pages by key: one total order, cut anywhere.

use orientation::platform::store::{Dir, Filter, Query, Store, Value};

use super::holding;
use crate::store::things::{Thing, thing};

/// Twenty things of which many share a rank; ids run against the ranks.
fn with_ties() -> Vec<Thing> {
    (0..20).map(|n| thing(&format!("{:02}", (n * 7) % 20), "red", n / 6)).collect()
}

/// All that a query gives, read in pages of `limit`.
async fn paged(store: &Store, query: Query, limit: u32) -> Vec<Thing> {
    let mut all: Vec<Thing> = vec![];
    loop {
        let mut next = query.clone().limit(limit);
        if let Some(last) = all.last() {
            next = next.after(vec![last.rank.into(), last.id.as_str().into()]);
        }
        let page = store.find::<Thing>(next).await.unwrap();
        assert!(page.len() <= limit as usize);
        if page.is_empty() {
            return all;
        }
        all.extend(page);
    }
}

#[tokio::test]
async fn pages_of_any_size_put_together_are_the_whole_in_order_with_ties() {
    let store = holding(&with_ties()).await;
    for dir in [Dir::Asc, Dir::Desc] {
        let mut expected = with_ties();
        expected.sort_by_key(|thing| (thing.rank, thing.id.clone()));
        if dir == Dir::Desc {
            expected.reverse();
        }
        for limit in [1, 3, 7, 20, 21] {
            assert_eq!(paged(&store, Query::new(Filter::All).sort("rank", dir), limit).await, expected);
        }
    }
}

#[tokio::test]
async fn a_page_keeps_to_the_filter() {
    let store = holding(&with_ties()).await;
    let query = Query::new(Filter::range("rank", Some(1.into()), Some(3.into()))).sort("rank", Dir::Desc);
    let all = paged(&store, query, 5).await;
    assert_eq!(all.len(), 12);
    assert!(all.iter().all(|thing| (1..3).contains(&thing.rank)));
}

#[tokio::test]
async fn what_is_added_or_removed_between_two_pages_moves_nothing_else() {
    let store = holding(&with_ties()).await;
    let query = || Query::new(Filter::All).sort("rank", Dir::Asc).limit(6);
    let first = store.find::<Thing>(query()).await.unwrap();
    store
        .transact(async |tx| {
            tx.insert(&thing("zz", "red", -1)).await?;
            tx.delete::<Thing>(&first[5].id).await
        })
        .await
        .unwrap();
    let keys: Vec<Value> = vec![first[5].rank.into(), first[5].id.as_str().into()];
    let second = store.find::<Thing>(query().after(keys)).await.unwrap();
    assert!(second.iter().all(|thing| thing.rank == 1), "the second page is the second rank");
    assert_eq!(second.len(), 6);
}

#[tokio::test]
async fn keys_of_a_made_up_cursor_do_no_harm() {
    let store = holding(&with_ties()).await;
    let by_rank = || Query::new(Filter::All).sort("rank", Dir::Asc);
    let found = async |query| store.find::<Thing>(query).await.unwrap().len();
    assert_eq!(found(by_rank().after(vec![])).await, 20);
    assert_eq!(found(by_rank().after(vec![2.into()])).await, 2);
    assert_eq!(found(by_rank().after(vec![3.into(), "99".into(), "too many".into()])).await, 0);
    assert_eq!(found(Query::new(Filter::All).sort("id", Dir::Desc).after(vec!["10".into()])).await, 10);
    assert_eq!(found(by_rank().limit(0)).await, 0);
}
