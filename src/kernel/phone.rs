//! Phone numbers.

use icu_properties::props::GeneralCategory;
use phonenumber::Metadata;
use phonenumber::metadata::DATABASE;

use super::text;

/// The longest phone number in writing, in code points: 15 digits (E.164) with room for their grouping.
pub const PHONE_MAX: usize = 50;

/// The most digits of a number in E.164.
const DIGITS_MAX: usize = 15;

/// The number in E.164, such as `+14169782011`, however its digits are grouped and in whichever script they are
/// written. `None` if no numbering plan has room for it.
///
/// It must begin with `+` and a country code. A prefix for calls within the country, as in `+44 (0)20` or
/// `+1 1-416`, is removed if the number doesn't fit the plan with it.
///
/// A number fits if its length and first digits do. Whether its range has been assigned isn't asked: countries open
/// ranges every week, and a student who has a new number must be able to register.
pub fn e164(written: &str) -> Option<String> {
    let digits = dialled(written)?;
    let (code, plans, national) = (1..=3).find_map(|length| {
        let (code, national) = digits.split_at_checked(length)?;
        Some((code, DATABASE.by_code(&code.parse::<u16>().ok()?)?, national))
    })?;
    let fits = |national: &str| plans.iter().any(|plan| has_room(plan, national));
    let national = if fits(national) {
        national.to_owned()
    } else {
        plans.iter().filter_map(|plan| from_abroad(plan, national)).find(|national| fits(national))?
    };
    let number = format!("+{code}{national}");
    (number.len() <= 1 + DIGITS_MAX).then_some(number)
}

/// The digits after the `+`, less the prefix of a call abroad, which some write after it.
fn dialled(written: &str) -> Option<String> {
    let written = text::identifier(written);
    let written: String = written.chars().filter(|c| !is_grouping(*c)).collect();
    let digits =
        written.strip_prefix('+').filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))?;
    let digits = ["00", "011"].iter().find_map(|prefix| digits.strip_prefix(prefix)).unwrap_or(digits);
    Some(digits.to_owned())
}

/// The punctuation that libphonenumber reads, and every dash.
fn is_grouping(c: char) -> bool {
    c.is_whitespace() || "-.()[]/~·⁓∼−ー".contains(c) || text::category(c) == GeneralCategory::DashPunctuation
}

/// Whether the plan has numbers with these first digits, and numbers of this length.
fn has_room(plan: &Metadata, national: &str) -> bool {
    let plan = plan.descriptors();
    let kinds = [
        plan.fixed_line(),
        plan.mobile(),
        plan.toll_free(),
        plan.premium_rate(),
        plan.shared_cost(),
        plan.personal_number(),
        plan.voip(),
        plan.pager(),
        plan.uan(),
        plan.voicemail(),
    ];
    let lengths = kinds.into_iter().flatten().flat_map(|kind| kind.possible_length());
    plan.general().is_match(national)
        && lengths.into_iter().any(|length| usize::from(*length) == national.len())
}

/// The part of a national number that is dialled from abroad.
fn from_abroad(plan: &Metadata, national: &str) -> Option<String> {
    let Some(prefix) = plan.national_prefix_for_parsing() else {
        return national.strip_prefix(plan.national_prefix()?).map(str::to_owned);
    };
    let found = prefix.captures(national)?;
    let whole = found.get(0).filter(|whole| whole.start() == 0 && !whole.is_empty())?;
    let mut number = String::new();
    match plan.national_prefix_transform_rule() {
        // A rule applies if its last group took part, as in libphonenumber.
        Some(rule) if found.get(found.len() - 1).is_some() => found.expand(rule, &mut number),
        _ => {}
    }
    number.push_str(&national[whole.end()..]);
    Some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_read_however_its_digits_are_grouped() {
        for written in [
            "+44 (0)20 7946 0958",
            "+44.20.7946.0958",
            "+442079460958",
            "+44\u{a0}20 7946\u{2011}0958",
            "(+44) 20 7946 0958",
            "+44 20\u{2012}7946\u{2012}0958",
            "+44−20ー7946〜0958",
            "＋４４（２０）７９４６－０９５８",
            "+٤٤ ٢٠ ٧٩٤٦ ٠٩٥٨",
            "+४४ २० ७९४६ ०९५८",
            "\u{202d}+44 20 7946 0958\u{202c}",
            "\u{2068}+44 20 7946 0958\u{2069}",
            "\u{200e}+44\u{200b}20 7946\u{ad}0958",
            "+00 44 20 7946 0958",
            "+011 44 20 7946 0958",
        ] {
            assert_eq!(e164(written).as_deref(), Some("+442079460958"), "{written}");
        }
    }

    #[test]
    fn a_prefix_for_calls_within_the_country_is_removed() {
        for (written, number) in [
            ("+1 1-416-978-2011", "+14169782011"),
            ("+114169782011", "+14169782011"),
            ("+49 (0) 171 1234567", "+491711234567"),
            ("+82 010-2000-7844", "+821020007844"),
            ("+81 (0)90-1234-5678", "+819012345678"),
            ("+7 8 (912) 345-67-89", "+79123456789"),
            ("+36 06 20 123 4567", "+36201234567"),
            ("+98 0912 345 6176", "+989123456176"),
            ("+54 011 15-2345-6789", "+5491123456789"),
            ("+55 0 11 96123-7265", "+5511961237265"),
            // Here the zero is part of the number.
            ("+39 06 698 12345", "+390669812345"),
            ("+225 01 23 45 67 89", "+2250123456789"),
            ("+38 (050) 123-45-67", "+380501234567"),
        ] {
            assert_eq!(e164(written).as_deref(), Some(number), "{written}");
        }
    }

    #[test]
    fn numbers_that_no_plan_allows_are_refused() {
        for bad in [
            "",
            "+",
            "+1",
            "416 978 2011",
            "0044 20 7946 0958",
            "+1 416 978 201",
            "+1 416 978 20112",
            "+1 116 978 2011",
            "+1 016 978 2011",
            "+1 1-1-416-978-2011",
            "+44 123",
            "+999 123 456 789",
            "+210 123 456",
            "+0 416 978 2011",
            "+1 416 978 2011 x5",
            "+1 416 978 2011; DROP",
            "++1 416 978 2011",
            "+1+416 978 2011",
            "+1234567890123456",
            "tel:+14169782011",
            "112",
        ] {
            assert_eq!(e164(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_example_of_every_plan_is_accepted_unchanged() {
        let mut count = 0;
        for plan in DATABASE.iter() {
            let kinds = plan.descriptors();
            let kinds = [kinds.fixed_line(), kinds.mobile(), kinds.voip(), kinds.personal_number()];
            for example in kinds.into_iter().flatten().filter_map(|kind| kind.example()) {
                let number = format!("+{}{example}", plan.country_code());
                assert_eq!(e164(&number).as_ref(), Some(&number), "{}", plan.id());
                count += 1;
            }
        }
        assert!(count > 400, "{count}");
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in ".{0,40}", digits in "[+][-0-9 ().]{0,30}") {
            for written in [&text, &digits] {
                if let Some(number) = e164(written) {
                    proptest::prop_assert!(number.len() <= 16);
                    proptest::prop_assert_eq!(e164(&number), Some(number));
                }
            }
        }
    }
}
