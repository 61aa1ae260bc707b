//! Countries.

/// Codes in wide use beside ISO 3166-1: Kosovo, which ISO has not assigned a code (user-assigned; used by the European
/// Union, CLDR and libphonenumber), and two islands with a country calling code of their own whose codes ISO reserves
/// (Ascension, Tristan da Cunha). They are the regions that CLDR and libphonenumber know beyond ISO's.
const BESIDE_ISO: [&str; 3] = ["XK", "AC", "TA"];

/// Whether this is the code of a country: ISO 3166-1 alpha-2 in capitals, or one of the three codes that phones and
/// addresses need beside it.
pub fn is_country(code: &str) -> bool {
    rust_iso3166::from_alpha2(code).is_some() || BESIDE_ISO.contains(&code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_country_with_phones_is_one() {
        for plan in phonenumber::metadata::DATABASE.iter() {
            let without_land = plan.id() == "001";
            assert!(without_land || is_country(plan.id()), "{}", plan.id());
        }
        assert!(is_country("XK") && is_country("CA") && is_country("TW"));
    }

    #[test]
    fn other_texts_are_refused() {
        for bad in ["", "ca", "XX", "UK", "EU", "PRT", "Portugal", "X"] {
            assert!(!is_country(bad), "{bad}");
        }
    }
}
