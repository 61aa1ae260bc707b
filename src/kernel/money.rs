//! Money: whole minor units with their currency, never a float.
//!
//! [`Money`] counts the decimals that people write: `ISK 13000` is an amount of 13000. Stripe counts some currencies
//! differently, and every amount that crosses the gateway is converted here. The rules are those of
//! <https://docs.stripe.com/currencies>, sections "Zero-decimal currencies", "Three-decimal currencies", "Special cases"
//! and "Maximum charge amounts" (read in 2026).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Currencies without decimals, at Stripe, too.
const ZERO_DECIMAL: &[&str] = &[
    "BIF", "CLP", "DJF", "GNF", "JPY", "KMF", "KRW", "MGA", "PYG", "RWF", "VND", "VUV", "XAF", "XOF", "XPF",
];

/// Currencies that lost their decimals. For backward compatibility, Stripe counts hundredths, which must be 00.
const ZERO_DECIMAL_IN_HUNDREDTHS: &[&str] = &["ISK", "UGX"];

/// Currencies with three decimals. Stripe's payment partners require the last one to be 0.
const THREE_DECIMAL: &[&str] = &["BHD", "JOD", "KWD", "OMR", "TND"];

/// Maximum number of digits of an amount at Stripe that every payment method accepts. Cards allow more.
const GATEWAY_DIGITS: u32 = 8;

/// Currencies for which Stripe accepts longer amounts.
const LONGER_AMOUNTS: &[(&str, u32)] = &[("IDR", 12), ("COP", 10), ("INR", 9)];

/// An ISO 4217 code in capital letters, such as `CAD`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Currency([u8; 3]);

/// A currency is not three capital letters.
#[derive(Debug, thiserror::Error)]
#[error("a currency is three capital letters such as CAD")]
pub struct BadCurrency;

impl Currency {
    /// The code in capital letters.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("only ASCII gets in")
    }

    /// Digits after the decimal point, as people write amounts.
    pub fn decimals(&self) -> u32 {
        match self.as_str() {
            code if ZERO_DECIMAL.contains(&code) || ZERO_DECIMAL_IN_HUNDREDTHS.contains(&code) => 0,
            code if THREE_DECIMAL.contains(&code) => 3,
            _ => 2,
        }
    }

    /// Stripe's units per minor unit.
    fn gateway_factor(&self) -> i64 {
        if ZERO_DECIMAL_IN_HUNDREDTHS.contains(&self.as_str()) { 100 } else { 1 }
    }

    /// The smallest amount of which every charge must be a multiple, in minor units.
    fn charge_step(&self) -> i64 {
        if THREE_DECIMAL.contains(&self.as_str()) { 10 } else { 1 }
    }

    /// The maximum amount of a charge, in minor units.
    fn maximum_charge(&self) -> i64 {
        let longer = LONGER_AMOUNTS.iter().find(|(code, _)| *code == self.as_str());
        let digits = longer.map_or(GATEWAY_DIGITS, |(_, digits)| *digits);
        (10_i64.pow(digits) - 1) / self.gateway_factor()
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl TryFrom<String> for Currency {
    type Error = BadCurrency;

    fn try_from(text: String) -> Result<Self, BadCurrency> {
        match <[u8; 3]>::try_from(text.as_bytes()) {
            Ok(code) if code.iter().all(u8::is_ascii_uppercase) => Ok(Self(code)),
            _ => Err(BadCurrency),
        }
    }
}

impl From<Currency> for String {
    fn from(currency: Currency) -> Self {
        currency.as_str().to_owned()
    }
}

/// An amount in minor units (cents for `CAD`) with its currency.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Money {
    /// The amount in the currency's smallest unit: cents for CAD, whole krónur for ISK.
    pub amount: i64,
    /// The currency of the amount.
    pub currency: Currency,
}

/// Why Stripe would reject an amount.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum NotChargeable {
    #[error("the amount must be greater than zero")]
    NotPositive,
    #[error("{code} can only be charged in steps of {step}: the last decimal must be 0", code = .0.currency, step = .0)]
    Step(Money),
    #[error("the maximum is {0}")]
    TooMuch(Money),
}

impl Money {
    /// The amount in Stripe's units: `ISK 13000` is 1300000.
    pub fn gateway_amount(self) -> i64 {
        self.amount.saturating_mul(self.currency.gateway_factor())
    }

    /// Converts an amount in Stripe's units. `code` is a currency code in any case. `None` if it isn't a currency code, or
    /// if the amount is a fraction of a minor unit, which Stripe doesn't charge.
    pub fn from_gateway(amount: i64, code: &str) -> Option<Self> {
        let currency = Currency::try_from(code.to_ascii_uppercase()).ok()?;
        let factor = currency.gateway_factor();
        (amount % factor == 0).then_some(Self { amount: amount / factor, currency })
    }

    /// Checks that Stripe can charge this amount. Its minimum (about 50 cents) depends on the account and is not checked.
    ///
    /// # Errors
    /// [`NotChargeable`]
    pub fn check_chargeable(self) -> Result<(), NotChargeable> {
        let (step, maximum) = (self.currency.charge_step(), self.currency.maximum_charge());
        match self.amount {
            ..1 => Err(NotChargeable::NotPositive),
            amount if amount > maximum => Err(NotChargeable::TooMuch(Self { amount: maximum, ..self })),
            amount if amount % step != 0 => Err(NotChargeable::Step(Self { amount: step, ..self })),
            _ => Ok(()),
        }
    }
}

impl fmt::Display for Money {
    /// For people: `CAD 130.00`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let decimals = self.currency.decimals() as usize;
        let unit = 10_u64.pow(self.currency.decimals());
        let sign = if self.amount < 0 { "-" } else { "" };
        let (whole, part) = (self.amount.unsigned_abs() / unit, self.amount.unsigned_abs() % unit);
        match decimals {
            0 => write!(f, "{} {sign}{whole}", self.currency),
            _ => write!(f, "{} {sign}{whole}.{part:0decimals$}", self.currency),
        }
    }
}

/// A text is not an amount of money.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum BadMoney {
    #[error(
        "money is written as a currency and an amount with all its decimals, such as CAD 130.00 or JPY 1300"
    )]
    Format,
    #[error("{0} has no decimals: write whole amounts, such as {0} 1300")]
    NoDecimals(Currency),
}

impl FromStr for Money {
    type Err = BadMoney;

    /// Reads what [`Display`](fmt::Display) writes for amounts that are not negative: no thousands separators, and all
    /// decimals of the currency. `ISK` and `UGX` may have the decimals `.00` of former times.
    fn from_str(text: &str) -> Result<Self, BadMoney> {
        let (code, amount) = text.split_once(' ').ok_or(BadMoney::Format)?;
        let currency = Currency::try_from(code.to_owned()).map_err(|_| BadMoney::Format)?;
        let (whole, decimals) = match amount.split_once('.') {
            Some((_, "")) => return Err(BadMoney::Format),
            Some(parts) => parts,
            None => (amount, ""),
        };
        let without = currency.decimals() == 0;
        let decimals = match decimals {
            "00" if ZERO_DECIMAL_IN_HUNDREDTHS.contains(&code) => "",
            decimals => decimals,
        };
        let is_number = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_digit());
        if without && !decimals.is_empty() && is_number(whole) && is_number(decimals) {
            return Err(BadMoney::NoDecimals(currency));
        }
        let amount = format!("{whole}{decimals}").parse().map_err(|_| BadMoney::Format)?;
        let money = Self { amount, currency };
        let point = if decimals.is_empty() { "" } else { "." };
        let written = format!("{currency} {whole}{point}{decimals}");
        if amount >= 0 && money.to_string() == written { Ok(money) } else { Err(BadMoney::Format) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn money(amount: i64, currency: &str) -> Money {
        Money { amount, currency: currency.to_owned().try_into().unwrap() }
    }

    #[test]
    fn is_displayed_as_people_write_it() {
        assert_eq!(money(13_000, "CAD").to_string(), "CAD 130.00");
        assert_eq!(money(-5, "EUR").to_string(), "EUR -0.05");
        assert_eq!(money(1300, "JPY").to_string(), "JPY 1300");
        assert_eq!(money(13_000, "ISK").to_string(), "ISK 13000");
        assert_eq!(money(i64::MIN, "KWD").to_string(), "KWD -9223372036854775.808");
    }

    #[test]
    fn is_parsed_only_as_it_is_displayed() {
        assert_eq!("CAD 130.00".parse(), Ok(money(13_000, "CAD")));
        assert_eq!("JPY 1300".parse(), Ok(money(1300, "JPY")));
        assert_eq!("KWD 13.000".parse(), Ok(money(13_000, "KWD")));
        for bad in [
            "130.00",
            "CAD 130",
            "CAD 130.0",
            "CAD 130.",
            "CAD 1,300.00",
            "CAD -1.00",
            "cad 1.00",
            "CAD 01.00",
            "$1.00",
            "CAD 1.0.0",
            "JPY 1300.",
            "JPY -1.0",
            "KWD 13.00",
            "ISK 13000.",
            "ISK 013000.00",
            "CAD",
            "CAD ",
            "CAD .00",
            "CAD 99999999999999999999.00",
            "ISK .00",
        ] {
            assert_eq!(bad.parse::<Money>(), Err(BadMoney::Format), "{bad}");
        }
    }

    #[test]
    fn a_currency_without_decimals_is_written_without_them() {
        for (text, amount) in [("ISK 13000", 13_000), ("ISK 13000.00", 13_000), ("UGX 1000", 1000)] {
            assert_eq!(text.parse(), Ok(money(amount, &text[..3])), "{text}");
        }
        for text in ["ISK 13000.50", "UGX 1000.5", "JPY 1300.00", "ISK 1.000"] {
            let error = text.parse::<Money>().unwrap_err();
            assert_eq!(error, BadMoney::NoDecimals(money(0, &text[..3]).currency), "{text}");
            assert!(error.to_string().contains("has no decimals"), "{error}");
        }
    }

    /// All currencies that <https://docs.stripe.com/currencies> treats specially.
    #[test]
    fn every_special_currency_of_stripe_is_converted() {
        let zero_decimal = "BIF CLP DJF GNF JPY KMF KRW MGA PYG RWF VND VUV XAF XOF XPF";
        for code in zero_decimal.split(' ') {
            assert_eq!(
                (money(500, code).to_string(), money(500, code).gateway_amount()),
                (format!("{code} 500"), 500)
            );
            assert_eq!(Money::from_gateway(500, &code.to_lowercase()), Some(money(500, code)));
        }
        for code in ["ISK", "UGX"] {
            assert_eq!(
                (money(5, code).to_string(), money(5, code).gateway_amount()),
                (format!("{code} 5"), 500)
            );
            assert_eq!(Money::from_gateway(500, code), Some(money(5, code)));
            assert_eq!(Money::from_gateway(550, code), None, "fractions are not charged");
        }
        for code in ["BHD", "JOD", "KWD", "OMR", "TND"] {
            let price = money(5_120, code);
            assert_eq!((price.to_string(), price.gateway_amount()), (format!("{code} 5.120"), 5_120));
            assert_eq!(price.check_chargeable(), Ok(()));
            assert_eq!(money(5_124, code).check_chargeable(), Err(NotChargeable::Step(money(10, code))));
        }
        // Zero-decimal for payouts only: charges have two decimals. And the ordinary case.
        for code in ["HUF", "TWD", "CAD"] {
            let price = money(1_045, code);
            assert_eq!((price.to_string(), price.gateway_amount()), (format!("{code} 10.45"), 1_045));
            assert_eq!((Money::from_gateway(1_045, code), price.check_chargeable()), (Some(price), Ok(())));
        }
    }

    #[test]
    fn an_amount_that_stripe_cant_charge_says_why() {
        let refusal = |amount, code| money(amount, code).check_chargeable().unwrap_err().to_string();
        assert_eq!(refusal(0, "CAD"), "the amount must be greater than zero");
        assert_eq!(
            refusal(13_005, "KWD"),
            "KWD can only be charged in steps of KWD 0.010: the last decimal must be 0"
        );
        assert_eq!(refusal(100_000_000, "CAD"), "the maximum is CAD 999999.99");
        assert_eq!(refusal(1_000_000, "UGX"), "the maximum is UGX 999999");
        for (code, maximum) in [
            ("CAD", 99_999_999),
            ("JPY", 99_999_999),
            ("ISK", 999_999),
            ("INR", 999_999_999),
            ("COP", 9_999_999_999),
            ("IDR", 999_999_999_999),
        ] {
            assert_eq!(money(maximum, code).check_chargeable(), Ok(()), "{code}");
            assert!(money(maximum + 1, code).check_chargeable().is_err(), "{code}");
        }
    }

    #[test]
    fn a_currency_is_three_capital_letters() {
        for bad in ["", "cad", "CADX", "C1D", "日"] {
            assert!(Currency::try_from(bad.to_owned()).is_err(), "{bad}");
            assert_eq!(Money::from_gateway(1, "日"), None);
        }
    }
}
