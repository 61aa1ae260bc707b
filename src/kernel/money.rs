//! Money: whole minor units with their currency, never a float.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

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

    /// Digits after the decimal point (ISO 4217; the currencies that Stripe lists as having none or three).
    pub fn decimals(&self) -> u32 {
        match self.as_str() {
            "BIF" | "CLP" | "DJF" | "GNF" | "JPY" | "KMF" | "KRW" | "MGA" | "PYG" | "RWF" | "UGX" | "VND"
            | "VUV" | "XAF" | "XOF" | "XPF" => 0,
            "BHD" | "JOD" | "KWD" | "OMR" | "TND" => 3,
            _ => 2,
        }
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
    /// Minor units.
    pub amount: i64,
    /// What they are units of.
    pub currency: Currency,
}

impl fmt::Display for Money {
    /// For people: `CAD 130.00`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let decimals = self.currency.decimals() as usize;
        let unit = 10_u64.pow(self.currency.decimals());
        let sign = if self.amount < 0 { "-" } else { "" };
        let (whole, part) = (self.amount.unsigned_abs() / unit, self.amount.unsigned_abs() % unit);
        match decimals {
            0 => write!(f, "{} {sign}{whole}", self.currency.as_str()),
            _ => write!(f, "{} {sign}{whole}.{part:0decimals$}", self.currency.as_str()),
        }
    }
}

/// A text is no amount of money.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("money is written as a currency and an amount with all its decimals, such as CAD 130.00 or JPY 1300")]
pub struct BadMoney;

impl FromStr for Money {
    type Err = BadMoney;

    /// Reads exactly what [`Display`](fmt::Display) writes for an amount that isn't negative: no thousands
    /// separators, and all decimals of the currency.
    fn from_str(text: &str) -> Result<Self, BadMoney> {
        let (currency, amount) = text.split_once(' ').ok_or(BadMoney)?;
        let currency = Currency::try_from(currency.to_owned()).map_err(|_| BadMoney)?;
        let digits: String = amount.chars().filter(|c| *c != '.').collect();
        let amount = digits.parse().map_err(|_| BadMoney)?;
        let money = Self { amount, currency };
        if amount >= 0 && money.to_string() == text { Ok(money) } else { Err(BadMoney) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn money(amount: i64, currency: &str) -> Money {
        Money { amount, currency: currency.to_owned().try_into().unwrap() }
    }

    #[test]
    fn is_written_as_people_write_it() {
        assert_eq!(money(13_000, "CAD").to_string(), "CAD 130.00");
        assert_eq!(money(-5, "EUR").to_string(), "EUR -0.05");
        assert_eq!(money(1300, "JPY").to_string(), "JPY 1300");
        assert_eq!(money(i64::MIN, "KWD").to_string(), "KWD -9223372036854775.808");
    }

    #[test]
    fn is_read_only_as_it_is_written() {
        assert_eq!("CAD 130.00".parse(), Ok(money(13_000, "CAD")));
        assert_eq!("JPY 1300".parse(), Ok(money(1300, "JPY")));
        for bad in
            ["130.00", "CAD 130", "CAD 130.0", "CAD 1,300.00", "CAD -1.00", "cad 1.00", "CAD 01.00", "$1.00"]
        {
            assert_eq!(bad.parse::<Money>(), Err(BadMoney), "{bad}");
        }
    }

    #[test]
    fn a_currency_is_three_capital_letters() {
        for bad in ["", "cad", "CADX", "C1D", "日"] {
            assert!(Currency::try_from(bad.to_owned()).is_err(), "{bad}");
        }
    }
}
