//! Random filters mean the same on every database.

use orientation::platform::store::{Filter, Query, Value};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use serde_json::Value as Json;

use super::holding;
use crate::store::things::{Thing, thing};

/// Few values, so that filters often match, ties are common, and some fields are missing.
fn things() -> Vec<Thing> {
    (0..24)
        .map(|n| Thing {
            active: n % 3 == 0,
            email: (n % 4 > 0).then(|| format!("{n}@X.org")),
            tags: ["nuts", "milk", "soy"][..(n % 4) as usize].iter().map(|&tag| tag.into()).collect(),
            ..thing(&format!("{n:02}"), ["red", "Blue", "GRÜN"][(n % 3) as usize], n / 5)
        })
        .collect()
}

fn comparison() -> impl Strategy<Value = Filter> {
    let text = prop_oneof![Just("red"), Just("Blue"), Just("GRÜN"), Just("7@X.org"), Just("05"), Just("")];
    let field = prop_oneof![Just("group"), Just("email"), Just("id")];
    let part = prop_oneof![Just("r"), Just("grü"), Just("@x"), Just(""), Just("1")];
    let tag = prop_oneof![Just("nuts"), Just("soy"), Just("nut")];
    let rank = -1..6_i64;
    let bound = || proptest::option::of(-1..6_i64).prop_map(|bound| bound.map(Value::Int));
    prop_oneof![
        Just(Filter::All),
        (field.clone(), text.clone()).prop_map(|(field, text)| Filter::eq(field, text)),
        (field.clone(), text.clone()).prop_map(|(field, text)| Filter::Gt(field.into(), text.into())),
        (field.clone(), proptest::collection::vec(text, 0..3))
            .prop_map(|(field, of)| Filter::In(field.into(), of.into_iter().map(Value::from).collect())),
        (field.clone(), part).prop_map(|(field, part)| Filter::Contains(field.into(), part.into())),
        field.prop_map(|field| Filter::Exists(field.into())),
        tag.clone().prop_map(|tag| Filter::has("tags", tag)),
        prop_oneof![tag, Just("n"), Just("")]
            .prop_map(|start| Filter::HasPrefix("tags".into(), start.into())),
        any::<bool>().prop_map(|active| Filter::eq("active", active)),
        rank.clone().prop_map(|rank| Filter::Lt("rank".into(), rank.into())),
        rank.prop_map(|rank| Filter::Le("rank".into(), rank.into())),
        (bound(), bound()).prop_map(|(from, to)| Filter::range("rank", from, to)),
    ]
}

fn filter() -> impl Strategy<Value = Filter> {
    comparison().prop_recursive(3, 16, 3, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..3).prop_map(Filter::And),
            proptest::collection::vec(inner.clone(), 0..3).prop_map(Filter::Or),
            inner.clone().prop_map(|one| Filter::Not(Box::new(one))),
            (inner.clone(), inner).prop_map(|(one, other)| one.and(other)),
        ]
    })
}

/// Whether a filter matches, by definition.
fn holds(filter: &Filter, thing: &Json) -> bool {
    let is = |field: &str, test: &dyn Fn(&Json) -> bool| thing.get(field).is_some_and(test);
    match filter {
        Filter::All => true,
        Filter::Eq(field, value) => is(field, &|it| *it == json(value)),
        Filter::In(field, values) => is(field, &|it| values.iter().any(|value| *it == json(value))),
        Filter::Gt(field, value) => is(field, &|it| less(&json(value), it)),
        Filter::Le(field, value) => is(field, &|it| !less(&json(value), it)),
        Filter::Lt(field, value) => is(field, &|it| less(it, &json(value))),
        Filter::Range(_, None, None) => true,
        Filter::Range(field, from, to) => is(field, &|it| {
            from.as_ref().is_none_or(|from| !less(it, &json(from)))
                && to.as_ref().is_none_or(|to| less(it, &json(to)))
        }),
        Filter::Contains(field, part) => {
            is(field, &|it| it.as_str().is_some_and(|it| it.to_lowercase().contains(&part.to_lowercase())))
        }
        Filter::Has(field, value) => {
            is(field, &|it| it.as_array().is_some_and(|list| list.contains(&json(value))))
        }
        Filter::HasPrefix(field, prefix) => is(field, &|it| {
            let texts = it.as_array().into_iter().flatten().filter_map(Json::as_str);
            texts.into_iter().any(|text| text.starts_with(prefix))
        }),
        Filter::Exists(field) => is(field, &|_| true),
        Filter::And(all) => all.iter().all(|filter| holds(filter, thing)),
        Filter::Or(any) => any.iter().any(|filter| holds(filter, thing)),
        Filter::Not(one) => !holds(one, thing),
    }
}

fn json(value: &Value) -> Json {
    match value {
        Value::Text(text) => text.as_str().into(),
        Value::Int(number) => (*number).into(),
        Value::Bool(yes) => (*yes).into(),
        Value::Time(time) => time.rfc3339().into(),
    }
}

fn less(one: &Json, other: &Json) -> bool {
    match (one.as_str(), other.as_str()) {
        (Some(one), Some(other)) => one < other,
        _ => one.as_i64() < other.as_i64(),
    }
}

#[test]
fn any_filter_finds_and_counts_exactly_the_documents_that_match() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let store = runtime.block_on(holding(&things()));
    let check = |filter: Filter| {
        let expected: Vec<_> = things()
            .into_iter()
            .filter(|thing| holds(&filter, &serde_json::to_value(thing).unwrap()))
            .collect();
        let counted = runtime.block_on(store.count::<Thing>(filter.clone())).unwrap();
        prop_assert_eq!(counted, expected.len() as u64);
        prop_assert_eq!(runtime.block_on(store.find::<Thing>(Query::new(filter))).unwrap(), expected);
        Ok(())
    };
    TestRunner::default().run(&filter(), check).unwrap();
}
