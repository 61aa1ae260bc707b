//! Keyset paging: one total order, cut anywhere.

use orientation::kernel::Timestamp;
use orientation::platform::store::{Cursor, Dir, Filter, PageError, Query, Store, StoreError};

use super::holding;
use crate::store::things::{Places, Price, Thing, thing};

/// Twenty things of which many share a rank; ids descend as ranks ascend.
fn with_ties() -> Vec<Thing> {
    (0..20).map(|n| thing(&format!("{:02}", (n * 7) % 20), "red", n / 6)).collect()
}

/// All results of a query, read in pages of `limit`.
async fn paged(store: &Store, query: Query, limit: u32) -> Vec<Thing> {
    let (mut all, mut after) = (vec![], None);
    loop {
        let page = store.page::<Thing>(query.clone().limit(limit), after.as_ref()).await.unwrap();
        assert!(page.items.len() == limit as usize || page.next.is_none());
        all.extend(page.items);
        after = page.next.map(|cursor| sent_to_a_client(&cursor));
        if after.is_none() {
            return all;
        }
    }
}

fn sent_to_a_client(cursor: &Cursor) -> Cursor {
    Cursor::from(cursor.as_str().to_owned())
}

#[tokio::test]
async fn pages_of_any_size_add_up_to_the_whole_list_in_order_with_ties() {
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
async fn a_page_contains_matching_documents_only() {
    let store = holding(&with_ties()).await;
    let query = Query::new(Filter::range("rank", Some(1.into()), Some(3.into()))).sort("rank", Dir::Desc);
    let all = paged(&store, query, 5).await;
    assert_eq!(all.len(), 12);
    assert!(all.iter().all(|thing| (1..3).contains(&thing.rank)));
}

#[tokio::test]
async fn documents_without_the_sorted_field_are_first_ascending_and_last_descending() {
    let seen = |n: i64| (n % 3 != 0).then(|| Timestamp::from_millis(1_000 * (n / 4)));
    let things: Vec<_> = (0..20)
        .map(|n| Thing { seen_at: seen(n), ..thing(&format!("{:02}", (n * 7) % 20), "red", n) })
        .collect();
    let store = holding(&things).await;
    for dir in [Dir::Asc, Dir::Desc] {
        let mut expected = things.clone();
        expected.sort_by_key(|thing| (thing.seen_at, thing.id.clone()));
        if dir == Dir::Desc {
            expected.reverse();
        }
        for limit in [1, 3, 7, 20, 21] {
            let query = Query::new(Filter::All).sort_optional("seenAt", dir);
            assert_eq!(paged(&store, query, limit).await, expected, "{dir:?} {limit}");
        }
    }
}

#[tokio::test]
async fn pages_can_be_sorted_by_every_kind_of_value_and_by_nested_fields() {
    let of = |n: i64| Thing {
        active: n % 2 == 0,
        seen_at: Some(Timestamp::from_millis(n / 2)),
        price: Price { amount: -n / 3 },
        ..thing(&format!("{n:02}"), if n < 4 { "é" } else { "e\"" }, n)
    };
    let things: Vec<_> = (0..9).map(of).collect();
    let store = holding(&things).await;
    for field in ["group", "active", "seenAt", "price.amount", "id"] {
        for dir in [Dir::Asc, Dir::Desc] {
            let query = || Query::new(Filter::All).sort(field, dir);
            let whole = store.find::<Thing>(query()).await.unwrap();
            assert_eq!(whole.len(), 9);
            assert_eq!(paged(&store, query(), 2).await, whole, "{field} {dir:?}");
        }
    }
}

#[tokio::test]
async fn a_change_between_two_pages_moves_no_other_document() {
    for dir in [Dir::Asc, Dir::Desc] {
        let store = holding(&with_ties()).await;
        let query = Query::new(Filter::All).sort("rank", dir);
        let whole = store.find::<Thing>(query.clone()).await.unwrap();
        let first = store.page::<Thing>(query.clone().limit(6), None).await.unwrap();
        store
            .transact(async |tx| {
                tx.insert(&thing("zz", "red", if dir == Dir::Asc { -1 } else { 9 })).await?;
                tx.delete::<Thing>(&whole[5].id).await?;
                tx.delete::<Thing>(&whole[7].id).await
            })
            .await
            .unwrap();
        let second = store.page::<Thing>(query.limit(6), first.next.as_ref()).await.unwrap();
        let expected: Vec<_> = [6, 8, 9, 10, 11, 12].map(|n: usize| whole[n].clone()).to_vec();
        assert_eq!(second.items, expected);
    }
}

#[tokio::test]
async fn the_cursor_of_another_list_or_order_is_refused() {
    let store = holding(&with_ties()).await;
    let by_rank = Query::new(Filter::All).sort("rank", Dir::Asc).limit(3);
    let next = store.page::<Thing>(by_rank.clone(), None).await.unwrap().next.unwrap();
    let refused = async |query: Query, cursor: &Cursor| {
        matches!(store.page::<Thing>(query, Some(cursor)).await, Err(PageError::BadCursor))
    };
    assert!(!refused(by_rank.clone(), &next).await);
    assert!(!refused(by_rank.clone().limit(9), &next).await, "the page size is free");
    assert!(refused(Query::new(Filter::All).sort("rank", Dir::Desc), &next).await);
    assert!(refused(Query::new(Filter::All), &next).await);
    for made_up in ["", "x", "%00", "W10", &next.as_str()[1..], &format!("{}A", next.as_str())] {
        assert!(refused(by_rank.clone(), &Cursor::from(made_up.to_owned())).await, "{made_up}");
    }
    let of_places = store.page::<Places>(by_rank.clone(), Some(&next)).await;
    assert!(matches!(of_places, Err(PageError::BadCursor)));
}

#[tokio::test]
async fn a_list_sorted_by_what_has_no_order_says_so() {
    let store = holding(&with_ties()).await;
    let by_tags = Query::new(Filter::All).sort("tags", Dir::Asc).limit(3);
    let page = store.page::<Thing>(by_tags, None).await;
    assert!(matches!(page, Err(PageError::Store(StoreError::Failed(_)))));
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
