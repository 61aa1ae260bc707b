use proptest::prelude::*;

use super::*;

pub fn time(secs: i64) -> Timestamp {
    Timestamp::from_millis(secs * 1000)
}

pub fn money(amount: i64, currency: &str) -> Money {
    Money { amount, currency: currency.to_owned().try_into().unwrap() }
}

fn pages() -> Url {
    "https://orientation.example.org".parse().unwrap()
}

pub fn order() -> Order {
    let price = money(13_000, "CAD");
    let product = Product::of("orientation", "Orientation ticket", price);
    let email = EmailAddress::parse("ana@example.org").unwrap();
    let mut order = Order::open("o".into(), "a", &product, email, time(0));
    order.prepare(&pages(), LONGEST_CHECKOUT);
    order.opened(1, &checkout("cs_1"), time(1));
    order
}

fn checkout(session: &str) -> Checkout {
    Checkout {
        session: session.into(),
        order: Some("o".into()),
        attempt: None,
        url: Some(format!("https://pay.example/{session}")),
        status: CheckoutStatus::Open,
        money: None,
        intent: None,
    }
}

pub fn event(attempt: u32, reached: Reached) -> CheckoutFact {
    CheckoutFact {
        id: format!("evt_{attempt}_{reached:?}"),
        order: "o".into(),
        session: format!("cs_{attempt}"),
        attempt: Some(attempt),
        reached,
        money: Some(money(13_000, "CAD")),
        intent: Some(format!("pi_{attempt}")),
    }
}

pub fn settle(order: &mut Order, attempt: u32, reached: Reached) -> Outcome {
    order.settle(&event(attempt, reached), &Owed::Honour, time(9)).unwrap()
}

use Reached::{Expired, Failed, Paid, Processing};

#[test]
fn events_in_any_order_lead_to_the_right_state() {
    let cases: &[(&[Reached], OrderState, &[Outcome])] = &[
        (&[Paid], OrderState::Paid, &[Outcome::Paid]),
        (&[Paid, Paid], OrderState::Paid, &[Outcome::Paid, Outcome::Unchanged]),
        (&[Processing], OrderState::Processing, &[Outcome::Processing]),
        (&[Processing, Paid], OrderState::Paid, &[Outcome::Processing, Outcome::Paid]),
        (&[Paid, Processing], OrderState::Paid, &[Outcome::Paid, Outcome::Unchanged]),
        (&[Processing, Failed], OrderState::Open, &[Outcome::Processing, Outcome::Reopened]),
        (&[Failed, Processing], OrderState::Open, &[Outcome::Reopened, Outcome::Unchanged]),
        (&[Expired], OrderState::Expired, &[Outcome::Expired]),
        (&[Expired, Expired], OrderState::Expired, &[Outcome::Expired, Outcome::Unchanged]),
        (&[Paid, Expired], OrderState::Paid, &[Outcome::Paid, Outcome::Unchanged]),
        (&[Expired, Paid], OrderState::Paid, &[Outcome::Expired, Outcome::Paid]),
        (&[Processing, Expired], OrderState::Processing, &[Outcome::Processing, Outcome::Unchanged]),
        (
            &[Expired, Processing, Failed],
            OrderState::Open,
            &[Outcome::Expired, Outcome::Processing, Outcome::Reopened],
        ),
    ];
    for (events, state, outcomes) in cases {
        let mut order = order();
        let told: Vec<_> = events.iter().map(|reached| settle(&mut order, 1, *reached)).collect();
        assert_eq!((order.state, &told[..]), (*state, *outcomes), "{events:?}");
    }
}

#[test]
fn there_is_one_live_checkout_at_a_time() {
    let mut order = order();
    assert_eq!(order.checkout_url(), Some("https://pay.example/cs_1"));
    order.try_again(&pages(), LONGEST_CHECKOUT, time(2));
    assert_eq!(order.attempts.len(), 1, "one at a time");
    settle(&mut order, 1, Expired);
    assert_eq!((order.step(), order.checkout_url()), (Ok(Step::Ended), None));
    order.try_again(&pages(), LONGEST_CHECKOUT, time(3));
    assert_eq!((order.state, order.attempt().number), (OrderState::Open, 2));
    assert_eq!(order.attempt().idempotency_key, "o:2");
    assert!(matches!(order.step(), Ok(Step::Unopened(_))));
    order.opened(2, &checkout("cs_2"), time(4));
    assert_eq!(order.checkout_url(), Some("https://pay.example/cs_2"));
}

#[test]
fn a_late_event_of_an_older_attempt_matters_only_if_it_is_a_payment() {
    let mut order = order();
    settle(&mut order, 1, Failed);
    order.try_again(&pages(), LONGEST_CHECKOUT, time(3));
    order.opened(2, &checkout("cs_2"), time(4));
    assert_eq!(settle(&mut order, 1, Processing), Outcome::Unchanged);
    assert_eq!(settle(&mut order, 1, Expired), Outcome::Unchanged);
    assert_eq!(order.checkout_url(), Some("https://pay.example/cs_2"));
    assert_eq!(settle(&mut order, 1, Paid), Outcome::Paid);
    assert_eq!(settle(&mut order, 2, Paid), Outcome::Flagged(PaymentFlag::NotOwed));
    assert_eq!(order.state, OrderState::Paid);
    let flags: Vec<_> = order.payments.iter().map(|payment| payment.flag).collect();
    assert_eq!(flags, [None, Some(PaymentFlag::NotOwed)], "the second payment is kept");
}

#[test]
fn a_payment_of_another_amount_is_flagged_and_settles_nothing() {
    for wrong in [Some(money(12_999, "CAD")), Some(money(13_000, "USD")), None] {
        let mut order = order();
        let odd = CheckoutFact { money: wrong, ..event(1, Paid) };
        let flagged = Outcome::Flagged(PaymentFlag::AmountDiffers);
        assert_eq!(order.settle(&odd, &Owed::Honour, time(9)), Ok(flagged));
        assert_eq!((order.state, order.paid_at, order.payments.len()), (OrderState::Open, None, 1));
        assert_eq!(order.step(), Err(Closed::UnderReview), "nobody is asked to pay again");
    }
}

#[test]
fn a_checkout_that_was_not_recorded_is_found_by_its_attempt() {
    let mut unheard = order();
    unheard.attempts.clear();
    unheard.make_attempt(1, None, LONGEST_CHECKOUT, time(0));
    assert_eq!(settle(&mut unheard, 1, Paid), Outcome::Paid);
    assert_eq!(unheard.attempt().session.as_deref(), Some("cs_1"));
}

#[test]
fn an_unknown_checkout_brings_only_a_payment_for_review() {
    let mut order = order();
    let strange = |reached| CheckoutFact { session: "cs_x".into(), ..event(1, reached) };
    let before = order.clone();
    for reached in [Processing, Failed, Expired] {
        assert_eq!(order.settle(&strange(reached), &Owed::Honour, time(9)), Err(NotOurs));
    }
    assert_eq!(order, before);
    let flagged = Outcome::Flagged(PaymentFlag::UnknownSession);
    assert_eq!(order.settle(&strange(Paid), &Owed::Honour, time(9)), Ok(flagged));
    let other = CheckoutFact { order: "p".into(), ..event(1, Paid) };
    assert_eq!(order.settle(&other, &Owed::Honour, time(9)), Err(NotOurs));
}

#[test]
fn a_closed_order_gets_no_checkout() {
    let cases = [
        (OrderState::Paid, Closed::Paid),
        (OrderState::PartiallyRefunded, Closed::Paid),
        (OrderState::Refunded, Closed::Refunded),
        (OrderState::Disputed, Closed::Paid),
        (OrderState::Processing, Closed::Processing),
        (OrderState::Cancelled, Closed::NotOwed),
        (OrderState::Waived, Closed::NotOwed),
    ];
    for (state, closed) in cases {
        let mut order = Order { state, ..order() };
        assert_eq!(order.step(), Err(closed));
        order.try_again(&pages(), LONGEST_CHECKOUT, time(2));
        assert_eq!((order.attempts.len(), order.checkout_url()), (1, None));
    }
}

#[test]
fn a_payment_for_a_closed_order_is_flagged() {
    for state in [OrderState::Cancelled, OrderState::Waived, OrderState::Refunded] {
        let mut order = Order { state, ..order() };
        assert_eq!(settle(&mut order, 1, Paid), Outcome::Flagged(PaymentFlag::NotOwed));
        assert_eq!((order.state, order.payments.len()), (state, 1));
    }
}

#[test]
fn a_request_is_always_the_same_and_a_rejected_attempt_is_replaced() {
    let mut order = order();
    settle(&mut order, 1, Failed);
    order.try_again(&pages(), LONGEST_CHECKOUT, time(3));
    let request = order.request(order.attempt());
    order.prepare(&"https://elsewhere.example.org".parse().unwrap(), SHORTEST_CHECKOUT);
    assert_eq!(order.request(order.attempt()), request);
    assert_eq!(request.success_url, "https://orientation.example.org/checkout/done?order=o");
    order.replace_rejected(2, &pages(), LONGEST_CHECKOUT, time(4));
    order.replace_rejected(2, &pages(), LONGEST_CHECKOUT, time(4));
    let numbers: Vec<_> = order.attempts.iter().map(|attempt| attempt.number).collect();
    assert_eq!(numbers, [1, 3], "what was never opened leaves no row, and its key is not used again");
}

pub fn back(intent: &str, refunded: i64, disputed: bool) -> ReversalFact {
    let (id, intent) = (format!("evt_{intent}_{refunded}_{disputed}"), intent.to_owned());
    ReversalFact { id, order: Some("o".into()), intent, refunded, disputed }
}

#[test]
fn refunds_and_disputes_in_any_order_lead_to_the_right_state() {
    let some = |order: &mut Order| order.reverse(&back("pi_1", 500, false));
    let all = |order: &mut Order| order.reverse(&back("pi_1", 13_000, false));
    let dispute = |order: &mut Order| order.reverse(&back("pi_1", 0, true));
    let paid = |order: &mut Order| order.settle(&event(1, Paid), &Owed::Honour, time(9));
    type Step = fn(&mut Order) -> Result<Outcome, NotOurs>;
    let ways: [(&[Step], OrderState); 7] = [
        (&[paid, some], OrderState::PartiallyRefunded),
        (&[some, paid], OrderState::PartiallyRefunded),
        (&[paid, some, all], OrderState::Refunded),
        (&[all, paid, some], OrderState::Refunded),
        (&[paid, dispute, all], OrderState::Disputed),
        (&[dispute, paid], OrderState::Disputed),
        (&[some], OrderState::Open),
    ];
    for (number, (steps, ends)) in ways.into_iter().enumerate() {
        let mut order = order();
        for step in steps {
            step(&mut order).unwrap();
        }
        assert_eq!(order.state, ends, "{number}");
    }
    let mut order = order();
    paid(&mut order).unwrap();
    assert_eq!(some(&mut order), Ok(Outcome::Reversed));
    assert_eq!(some(&mut order), Ok(Outcome::Unchanged), "the same again");
    let other = ReversalFact { order: Some("p".into()), ..back("pi_1", 1, false) };
    assert_eq!(order.reverse(&other), Err(NotOurs));
}

#[test]
fn a_refund_of_a_second_payment_leaves_the_order_paid() {
    let mut order = order();
    settle(&mut order, 1, Failed);
    order.try_again(&pages(), LONGEST_CHECKOUT, time(3));
    order.opened(2, &checkout("cs_2"), time(4));
    settle(&mut order, 2, Paid);
    settle(&mut order, 1, Paid);
    assert_eq!(order.intents, ["pi_2", "pi_1"]);
    assert_eq!(order.reverse(&back("pi_1", 13_000, false)), Ok(Outcome::Reversed));
    assert_eq!(order.state, OrderState::Paid);
}

#[test]
fn an_early_order_costs_less_and_its_attempt_keeps_that_price() {
    let early =
        crate::config::EarlyBird { coupon: "EARLY".into(), price: money(11_000, "CAD"), until: time(100) };
    let product = Product {
        stripe_price: Some("price_1".into()),
        early_bird: Some(early),
        ..Product::of("orientation", "Orientation ticket", money(13_000, "CAD"))
    };
    let email = EmailAddress::parse("ana@example.org").unwrap();
    let start = || Order::open("o".into(), "a", &product, email.clone(), time(0));
    let first = start();
    let request = first.request(first.attempt());
    assert_eq!((request.due(), request.price), (money(11_000, "CAD"), money(13_000, "CAD")));
    assert_eq!(request.price_id.as_deref(), Some("price_1"));
    assert_eq!(first.price, money(11_000, "CAD"));

    let pays = |amount| CheckoutFact { money: Some(money(amount, "CAD")), ..event(1, Paid) };
    let mut early = start();
    assert_eq!(
        early.settle(&pays(11_000), &Owed::Honour, time(200)),
        Ok(Outcome::Paid),
        "the price of the attempt"
    );
    let mut wrong = start();
    let flagged = Outcome::Flagged(PaymentFlag::AmountDiffers);
    assert_eq!(wrong.settle(&pays(13_000), &Owed::Honour, time(9)), Ok(flagged));

    let mut late = start();
    settle(&mut late, 1, Failed);
    late.try_again(&pages(), LONGEST_CHECKOUT, time(100));
    assert_eq!((late.price, &late.attempt().coupon), (money(13_000, "CAD"), &None));
    assert_eq!(late.request(late.attempt()).discount, None);
    assert_eq!(late.settle(&pays(11_000), &Owed::Honour, time(201)), Ok(Outcome::Paid));
    assert_eq!(late.price, money(11_000, "CAD"), "what was paid");
}

#[test]
fn a_product_s_checkouts_have_its_lifetime() {
    let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
    let mut order = Order { attempts: vec![], ..order() };
    order.make_attempt(1, None, LONGEST_CHECKOUT, time(0));
    order.prepare(&pages(), minutes(45));
    assert_eq!((order.attempt().made_at, order.attempt().expires_at), (time(0), time(45 * 60)));
    order.ask_later(time(600));
    assert_eq!(order.ask_at, time(900), "the pause depends on the age of the attempt, not on its lifetime");
    settle(&mut order, 1, Expired);
    order.try_again(&pages(), minutes(1), time(1000));
    assert_eq!(order.attempt().expires_at, time(1000).plus(SHORTEST_CHECKOUT));
    settle(&mut order, 1, Failed);
    let mut order = Order { attempts: order.attempts[..1].to_vec(), ..order };
    order.try_again(&pages(), minutes(9999), time(2000));
    assert_eq!(order.attempt().expires_at, time(2000).plus(LONGEST_CHECKOUT));
}

#[test]
fn the_product_s_feature_decides_about_a_payment_before_it_settles() {
    let full = Owed::Refund("sold out".into());
    for before in [None, Some(Expired), Some(Processing)] {
        let mut order = order();
        if let Some(reached) = before {
            settle(&mut order, 1, reached);
        }
        let state = if before == Some(Expired) { OrderState::Expired } else { OrderState::Open };
        assert!(order.would_settle(&event(1, Paid)));
        let declined = Outcome::Flagged(PaymentFlag::Declined);
        assert_eq!(order.settle(&event(1, Paid), &full, time(9)), Ok(declined));
        assert_eq!((order.state, order.paid_at, order.payments.len()), (state, None, 1), "{before:?}");
        let request = order.refund_request(1).unwrap();
        assert_eq!((&*request.idempotency_key, &*request.intent), ("o:refund:1", "pi_1"));
        assert_eq!((request.amount, &*order.refunds[0].reason), (money(13_000, "CAD"), "sold out"));
        assert_eq!(order.settle(&event(1, Paid), &full, time(9)), Ok(Outcome::Unchanged), "once");
        assert_eq!(order.refunds.len(), 1);
    }
}

#[test]
fn a_declined_payment_blocks_the_order_until_it_is_refunded() {
    let mut order = order();
    settle(&mut order, 1, Expired);
    order.settle(&event(1, Paid), &Owed::Refund("sold out".into()), time(9)).unwrap();
    assert_eq!(order.step(), Err(Closed::UnderReview));
    assert_eq!(order.refund_answered(1, Some("re_1"), time(10)), Outcome::Reversed);
    assert_eq!(order.refund_answered(1, Some("re_1"), time(10)), Outcome::Unchanged);
    assert_eq!((order.state, order.step()), (OrderState::Expired, Ok(Step::Ended)));
    order.try_again(&pages(), LONGEST_CHECKOUT, time(11));
    order.opened(2, &checkout("cs_2"), time(12));
    assert_eq!(settle(&mut order, 2, Paid), Outcome::Paid);
    assert_eq!((order.state, order.paid_intent.as_deref()), (OrderState::Paid, Some("pi_2")));
}

#[test]
fn a_payment_that_can_t_settle_is_not_the_feature_s_decision() {
    let mut order = order();
    let odd = CheckoutFact { money: Some(money(1, "CAD")), ..event(1, Paid) };
    let unknown = CheckoutFact { session: "cs_x".into(), ..event(1, Paid) };
    for fact in [&odd, &unknown, &event(1, Expired)] {
        assert!(!order.would_settle(fact), "{fact:?}");
    }
    settle(&mut order, 1, Paid);
    assert!(!order.would_settle(&event(1, Paid)));
}

#[test]
fn an_order_is_closed_only_when_its_checkout_is_over() {
    for (ending, state, flag) in [
        (Ending::Cancelled, OrderState::Cancelled, PaymentFlag::NotOwed),
        (Ending::Waived, OrderState::Waived, PaymentFlag::Waived),
    ] {
        let mut live = order();
        assert_eq!(live.close(ending, None, time(9)), Ok(false));
        assert_eq!(live.close(ending, Some("cs_of_another"), time(9)), Ok(false));
        assert_eq!(live.close(ending, Some("cs_1"), time(9)), Ok(true));
        assert_eq!((live.state, live.attempt().state), (state, AttemptState::Expired));
        assert_eq!(settle(&mut live, 1, Expired), Outcome::Unchanged, "reported late");
        assert_eq!(settle(&mut live, 1, Paid), Outcome::Flagged(flag));
        let mut expired = order();
        settle(&mut expired, 1, Expired);
        assert_eq!((expired.close(ending, None, time(9)), expired.state), (Ok(true), state));
    }
    for (reached, closed) in [(Processing, Closed::Processing), (Paid, Closed::Paid)] {
        let mut order = order();
        settle(&mut order, 1, reached);
        assert_eq!(order.close(Ending::Cancelled, Some("cs_1"), time(9)), Err(closed));
    }
}

#[test]
fn no_more_is_refunded_than_was_paid() {
    let refund = |order: &mut Order, amount| order.request_refund(amount, "by mistake", time(9));
    let cad = |amount| Some(money(amount, "CAD"));
    let mut order = order();
    assert_eq!(refund(&mut order, None), Err(NotRefundable::NotPaid));
    settle(&mut order, 1, Paid);
    let left = money(13_000, "CAD");
    for bad in [cad(0), cad(-1), cad(13_001), Some(money(1, "USD"))] {
        assert_eq!(refund(&mut order, bad), Err(NotRefundable::BadAmount { left }), "{bad:?}");
    }
    assert_eq!(refund(&mut order, cad(10_000)), Ok(1));
    let left = money(3_000, "CAD");
    assert_eq!(refund(&mut order, cad(3_001)), Err(NotRefundable::BadAmount { left }), "one is on its way");
    order.refund_answered(1, None, time(10));
    assert_eq!((order.state, order.refund_request(1)), (OrderState::Paid, None), "it was rejected");
    assert_eq!(refund(&mut order, cad(10_000)), Ok(2));
    assert_eq!(order.refund_answered(2, Some("re_2"), time(10)), Outcome::Reversed);
    assert_eq!(order.state, OrderState::PartiallyRefunded);
    assert_eq!(order.reverse(&back("pi_1", 10_000, false)), Ok(Outcome::Unchanged), "the same, by event");
    assert_eq!(order.reverse(&back("pi_1", 11_000, false)), Ok(Outcome::Reversed), "more, in the dashboard");
    assert_eq!(refund(&mut order, None), Ok(3));
    assert_eq!(order.refunds[2].amount, money(2_000, "CAD"));
    order.reverse(&back("pi_1", 13_000, false)).unwrap();
    assert_eq!(
        (order.state, refund(&mut order, None)),
        (OrderState::Refunded, Err(NotRefundable::NothingLeft))
    );
    order.reverse(&back("pi_1", 0, true)).unwrap();
    assert_eq!(refund(&mut order, None), Err(NotRefundable::Disputed));
}

#[test]
fn the_older_an_attempt_the_longer_the_pause_between_questions() {
    let mut order = order();
    assert_eq!(order.ask_at, time(300));
    order.ask_later(time(300));
    assert_eq!(order.ask_at, time(600));
    order.ask_later(time(40_000));
    assert_eq!(order.ask_at, time(50_000));
}

/// The order as version 2 stored it.
fn of_version_2(order: &Order) -> serde_json::Value {
    let mut old = serde_json::to_value(order).unwrap();
    old.as_object_mut().unwrap().remove("paidIntent");
    for attempt in old["attempts"].as_array_mut().unwrap() {
        attempt.as_object_mut().unwrap().remove("madeAt");
    }
    old
}

fn migrated(old: serde_json::Value, from: usize) -> Order {
    let new = Order::MIGRATIONS[from - 1..].iter().fold(old, |order, step| step(order));
    serde_json::from_value(new).unwrap()
}

#[test]
fn an_order_of_version_1_migrates() {
    let mut old = of_version_2(&order());
    for field in ["fullPrice", "askAt", "intents"] {
        old.as_object_mut().unwrap().remove(field);
    }
    old["attempts"][0].as_object_mut().unwrap().remove("price");
    assert_eq!(migrated(old, 1), Order { ask_at: time(0), place: Some(Place::Held), ..order() });
    let event = with_kind(serde_json::json!({ "id": "e", "order": "o", "receivedAt": time(0) }));
    assert_eq!(serde_json::from_value::<StripeEvent>(event).unwrap().kind, "");
}

#[test]
fn orders_of_version_2_migrate_in_every_state() {
    let paid = |order: &mut Order| {
        settle(order, 1, Failed);
        order.try_again(&pages(), LONGEST_CHECKOUT, time(3));
        order.opened(2, &checkout("cs_2"), time(4));
        settle(order, 2, Paid);
        settle(order, 1, Paid);
    };
    let changes: [&dyn Fn(&mut Order); 5] = [
        &|_| {},
        &|order| {
            settle(order, 1, Expired);
        },
        &|order| paid(order),
        &|order| {
            paid(order);
            order.reverse(&back("pi_2", 13_000, false)).unwrap();
        },
        &|order| {
            paid(order);
            order.reverse(&back("pi_2", 0, true)).unwrap();
        },
    ];
    for change in changes {
        let mut expected = order();
        change(&mut expected);
        let new = migrated(of_version_2(&expected), 2);
        expected.place = expected.due_place();
        assert_eq!(new, expected);
        assert_eq!(new.attempts[0].made_at, time(0));
    }
    let mut old = of_version_2(&order());
    old["price"] = serde_json::json!({ "amount": 1_300_000, "currency": "ISK" });
    assert_eq!(migrated(old, 2).price.to_string(), "ISK 13000", "stored in hundredths until then");
}

#[test]
fn an_order_reads_back_as_it_was_written() {
    let mut order = order();
    settle(&mut order, 1, Paid);
    let text = serde_json::to_string(&order).unwrap();
    assert_eq!(serde_json::from_str::<Order>(&text).unwrap(), order);
    assert!(!text.contains("null"), "{text}");
}

proptest! {
    /// Two attempts, any of their events, each up to twice, in any sequence: the final state is the same, the order is
    /// settled once if any payment arrived, and every payment is recorded.
    #[test]
    fn every_sequence_of_events_leads_to_the_same_state(
        seed in proptest::collection::vec(
            (1u32..=2, prop_oneof![Just(Expired), Just(Processing), Just(Failed), Just(Paid)]), 0..8),
        shuffled in any::<u64>(),
    ) {
        let start = || {
            let mut order = order();
            settle(&mut order, 1, Failed);
            order.try_again(&pages(), LONGEST_CHECKOUT, time(3));
            order.opened(2, &checkout("cs_2"), time(4));
            order
        };
        let run = |events: &[(u32, Reached)]| {
            let mut order = start();
            let outcomes: Vec<_> =
                events.iter().map(|(attempt, reached)| settle(&mut order, *attempt, *reached)).collect();
            (order, outcomes)
        };
        let mut other = [seed.clone(), seed.clone()].concat();
        let mut random = shuffled;
        for i in (1..other.len()).rev() {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            other.swap(i, usize::try_from(random >> 33).unwrap() % (i + 1));
        }
        let ((one, told), (two, told_again)) = (run(&seed), run(&other));
        prop_assert_eq!(one.state, two.state);
        let states = |order: &Order| order.attempts.iter().map(|a| a.state).collect::<Vec<_>>();
        prop_assert_eq!(states(&one), states(&two));
        let paying = [1, 2].iter().filter(|n| seed.contains(&(**n, Paid))).count();
        for (order, told) in [(&one, &told), (&two, &told_again)] {
            prop_assert_eq!(order.payments.len(), paying);
            prop_assert_eq!(order.payments.iter().filter(|p| p.flag.is_none()).count(), paying.min(1));
            prop_assert_eq!(told.iter().filter(|o| **o == Outcome::Paid).count(), paying.min(1));
            prop_assert_eq!(order.state == OrderState::Paid, paying > 0);
        }
    }
}

#[test]
fn attempt_states_are_in_ascending_order() {
    use AttemptState::{Expired, Failed, Live, Paid, Processing};
    let states = [Live, Expired, Processing, Failed, Paid];
    assert!(states.is_sorted());
}
