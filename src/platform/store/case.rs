//! Letter case, as `Filter::Contains` ignores it on every database.

/// The text in lower case, character by character: no character's case depends on its neighbours. `İ` becomes `i`, and the
/// final `ς` becomes `σ`.
pub(super) fn lower(text: &str) -> String {
    text.chars().map(lower_char).collect()
}

/// The character in lower case.
pub(super) fn lower_char(c: char) -> char {
    match c {
        'ς' => 'σ',
        'İ' => 'i',
        c => c.to_lowercase().next().unwrap_or(c),
    }
}

/// Every character whose lower case is this one.
pub(super) fn cases(lower: char) -> Vec<char> {
    let upper = lower.to_uppercase().next().filter(|_| lower.to_uppercase().count() == 1);
    let mut cases: Vec<_> = [lower].into_iter().chain(upper).chain(rare_cases(lower).chars()).collect();
    cases.retain(|c| lower_char(*c) == lower);
    cases.dedup();
    cases
}

/// Characters that no upper-casing produces: the signs for kelvin, ångström and ohm, the German capital sharp s, title case,
/// and capitals without a common small letter.
fn rare_cases(lower: char) -> &'static str {
    match lower {
        'i' => "İ",
        'k' => "\u{212A}",
        'å' => "\u{212B}",
        'ω' => "\u{2126}",
        'σ' => "ς",
        'ß' => "ẞ",
        'θ' => "ϴ",
        'ǆ' => "ǅ",
        'ǉ' => "ǈ",
        'ǌ' => "ǋ",
        'ǳ' => "ǲ",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_character_is_among_the_cases_of_its_lower_case() {
        let missing: Vec<_> = ('\0'..=char::MAX).filter(|c| !cases(lower_char(*c)).contains(c)).collect();
        // Greek capitals with a subscript iota have an upper case of two characters.
        let known = |c: &char| ('\u{1f80}'..='\u{1fff}').contains(c);
        assert_eq!(missing.iter().filter(|c| !known(c)).collect::<Vec<_>>(), Vec::<&char>::new());
    }

    #[test]
    fn lower_case_does_not_depend_on_neighbours() {
        assert_eq!(lower("ΝΙΚΟΣ"), "νικοσ");
        assert_eq!(lower("Νίκος"), "νίκοσ");
        assert_eq!(
            (lower("İpek"), lower("IŞIK"), lower("ışık")),
            ("ipek".into(), "işik".into(), "ışık".into())
        );
    }
}
