//! A migration of stored amounts.

use serde_json::Value;

/// Converts amounts of ISK and UGX. They used to be stored in Stripe's hundredths, and are now stored in whole krónur and
/// shillings.
pub fn in_whole_units(mut document: Value) -> Value {
    if in_hundredths(&document["price"]["currency"]) {
        divide(document.get_mut("refunded"));
        let reversals = document.get_mut("returns").and_then(Value::as_array_mut);
        reversals.into_iter().flatten().for_each(|reversal| divide(reversal.get_mut("refunded")));
    }
    convert(&mut document);
    document
}

/// Converts every `{amount, currency}` in the value.
fn convert(value: &mut Value) {
    match value {
        Value::Object(object) => {
            if object.get("currency").is_some_and(in_hundredths) {
                divide(object.get_mut("amount"));
            }
            object.values_mut().for_each(convert);
        }
        Value::Array(list) => list.iter_mut().for_each(convert),
        _ => {}
    }
}

fn in_hundredths(currency: &Value) -> bool {
    currency == "ISK" || currency == "UGX"
}

fn divide(amount: Option<&mut Value>) {
    if let Some(amount) = amount
        && let Some(hundredths) = amount.as_i64()
    {
        *amount = (hundredths / 100).into();
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_isk_and_ugx_are_converted() {
        let order = |currency: &str, price: i64, refunded: i64| {
            json!({
                "price": { "amount": price, "currency": currency },
                "payments": [{ "money": { "amount": 900, "currency": "USD" } }],
                "returns": [{ "intent": "pi_1", "refunded": refunded }],
            })
        };
        assert_eq!(in_whole_units(order("ISK", 1_300_000, 5_000)), order("ISK", 13_000, 50));
        for currency in ["CAD", "JPY", "KWD"] {
            assert_eq!(in_whole_units(order(currency, 13_000, 50)), order(currency, 13_000, 50));
        }
        let checkout = json!({ "price": { "amount": 100_000, "currency": "UGX" }, "refunded": 100 });
        assert_eq!(in_whole_units(checkout)["refunded"], 1);
    }
}
