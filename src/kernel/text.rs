//! Texts that people type or paste.
//!
//! Every text is cleaned before it is checked or stored, in one of two ways. [`clean`] is for words (names, places,
//! remarks): it keeps every character that has a meaning in some script. [`identifier`] is for texts that are compared or
//! dialled (numbers, ids, codes): it keeps visible characters only, with ASCII digits.

use std::collections::BTreeSet;

use icu_properties::props::{DefaultIgnorableCodePoint, GeneralCategory};
use icu_properties::{CodePointMapData, CodePointSetData};
use unicode_normalization::{UnicodeNormalization, is_nfc};

/// The text in Unicode NFC.
pub fn nfc(text: &str) -> String {
    if is_nfc(text) { text.to_owned() } else { text.nfc().collect() }
}

/// Cleans words: normalises to NFC, trims white space and invisible characters, and removes embedding, override and isolate
/// characters, which come with text copied from programs that mix directions. Joiners and directional marks inside a word
/// are kept, because Persian, Sinhala and emoji need them. A text without visible characters becomes empty.
pub fn clean(text: &str) -> String {
    if text.is_ascii() {
        return text.trim().to_owned();
    }
    if is_blank(text) {
        return String::new();
    }
    let turned: String = text.chars().filter(|c| !is_direction_control(*c)).collect();
    nfc(turned.trim_matches(is_padding))
}

/// Cleans an identifier: normalises to NFC, trims white space, removes invisible characters, and replaces digits of other
/// scripts and full-width characters by ASCII.
pub fn identifier(text: &str) -> String {
    let seen: String = text.chars().filter(|c| !is_invisible(*c)).map(to_ascii).collect();
    nfc(seen.trim())
}

/// Whether the text has only white space, invisible and blank characters.
pub fn is_blank(text: &str) -> bool {
    text.chars().all(|c| c.is_whitespace() || is_invisible(c))
}

/// A symbol whose picture is empty.
const BLANK_BRAILLE: char = '\u{2800}';

/// Whether programs show nothing for it (Unicode's `Default_Ignorable_Code_Point`): zero-width spaces, joiners,
/// directional marks, soft hyphens, fillers, variation selectors; and the empty Braille pattern.
pub fn is_invisible(c: char) -> bool {
    CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(c) || c == BLANK_BRAILLE
}

/// A digit of any script or a full-width character in ASCII; anything else as it is.
pub fn to_ascii(c: char) -> char {
    match c {
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(c as u32 - 0xfee0).unwrap_or(c),
        c if c.is_ascii() => c,
        c => digit(c).unwrap_or(c),
    }
}

/// Length in code points.
pub fn length(text: &str) -> usize {
    text.chars().count()
}

/// Whether the text contains a line break or another control character (Unicode categories Cc, Zl and Zp).
/// Right-to-left marks and emoji don't count.
pub fn has_control(text: &str) -> bool {
    text.chars().any(is_control)
}

/// Whether a remark contains a control character other than line breaks and tabs.
pub fn has_control_but_breaks(text: &str) -> bool {
    text.chars().any(|c| is_control(c) && !matches!(c, '\n' | '\r' | '\t' | '\u{2028}' | '\u{2029}'))
}

fn is_control(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')
}

/// Embeddings, overrides and isolates (UAX #9).
fn is_direction_control(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// What has no meaning at the end of a text. A joiner has (Malayalam), as have variation selectors (Mongolian, emoji),
/// which are marks, and tags (flags).
fn is_padding(c: char) -> bool {
    let joins = matches!(c, '\u{200c}' | '\u{200d}' | '\u{e0020}'..='\u{e007f}');
    c.is_whitespace() || is_invisible(c) && category(c) == GeneralCategory::Format && !joins
}

/// The text for comparisons that ignore letter case, accents and width: `José`, `ＪＯＳÉ` and `jose` fold to the same text, and
/// so do `Łukasz` and `lukasz`.
pub fn fold(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    let letters = text.nfkd().filter(|c| category(*c) != GeneralCategory::NonspacingMark);
    letters.flat_map(char::to_lowercase).fold(String::new(), |mut folded, c| {
        match c {
            'ς' => folded.push('σ'),
            // Latin letters with a stroke, ligatures and the like, which don't decompose.
            '\u{80}'..='\u{24f}' | '\u{1e00}'..='\u{1eff}' if c.is_alphabetic() => {
                folded += &any_ascii::any_ascii_char(c).to_ascii_lowercase();
            }
            // What lower case adds: the dot of `İ`.
            c if category(c) == GeneralCategory::NonspacingMark => {}
            c => folded.push(c),
        }
        folded
    })
}

/// The [folded](fold) words of a text: its letters and digits, without what separates them. Apostrophes separate nothing:
/// `O'Brien` is `obrien`.
pub fn words(text: &str) -> Vec<String> {
    let folded: String = fold(text).chars().filter(|c| !APOSTROPHES.contains(c)).collect();
    let words = folded.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words.map(str::to_owned).collect()
}

/// The words of a text by which it can be found, each of them from its beginning: [`words`], the parts between apostrophes
/// (`brien`), and each rest of a word in a script without spaces (`洪` of `成洪`). At most [`SEARCH_WORDS`], each once.
pub fn search_words(text: &str) -> BTreeSet<String> {
    let parts = text.replace(APOSTROPHES, " ");
    let words = words(text).into_iter().chain(self::words(&parts));
    let rests = words.flat_map(|word| {
        let starts = word.char_indices().filter(|(at, c)| *at > 0 && is_without_spaces(*c));
        let rests: Vec<_> = starts.map(|(at, _)| word[at..].to_owned()).collect();
        std::iter::once(word).chain(rests)
    });
    rests.take(SEARCH_WORDS).collect()
}

/// The words of a text of any length by which it can be found, as [`search_words`] has them: the first `most` different ones,
/// each cut as [`searched_words`] are.
pub fn full_text_words(text: &str, most: usize) -> BTreeSet<String> {
    let parts = text.replace(APOSTROPHES, " ");
    let mut found = BTreeSet::new();
    for word in words(text).into_iter().chain(self::words(&parts)) {
        for (at, c) in word.char_indices() {
            if at > 0 && !is_without_spaces(c) {
                continue;
            }
            if found.len() == most {
                return found;
            }
            found.insert(cut(&word[at..]));
        }
    }
    found
}

/// The words of a search in texts that are found by their [`full_text_words`].
pub fn searched_words(search: &str) -> Vec<String> {
    words(search).iter().map(|word| cut(word)).collect()
}

/// The beginning of a word. Without it, the rests of a long text in a script without spaces would add up to its square.
fn cut(word: &str) -> String {
    word.chars().take(WORD_LENGTH).collect()
}

/// The longest word of a full-text search, in characters.
const WORD_LENGTH: usize = 32;

/// The most words by which a text can be found.
pub const SEARCH_WORDS: usize = 32;

/// Characters inside words that people leave out or write in different ways.
const APOSTROPHES: [char; 5] = ['\'', '\u{2019}', '\u{2018}', '\u{2bc}', '`'];

/// Whether a word can begin with it although no space is before it: Han, Kana, and the first letter of a Hangul syllable, as
/// [`fold`] decomposes it.
fn is_without_spaces(c: char) -> bool {
    matches!(c, '\u{1100}'..='\u{1112}' | '\u{3041}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}' | '\u{20000}'..='\u{3ffff}')
}

/// Unicode encodes the ten digits of a script in a row, from 0 to 9.
fn digit(c: char) -> Option<char> {
    let is_digit = |c: char| category(c) == GeneralCategory::DecimalNumber;
    let before = |n: u32| (c as u32).checked_sub(n).and_then(char::from_u32);
    let place = (1..).take_while(|n| before(*n).is_some_and(is_digit)).count() as u32;
    is_digit(c).then(|| char::from_digit(place % 10, 10)).flatten()
}

/// The character's general category.
pub fn category(c: char) -> GeneralCategory {
    CodePointMapData::<GeneralCategory>::new().get(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cleaning_trims_and_composes() {
        assert_eq!(clean("  Zoe\u{308} \n"), "Zoë");
        assert_eq!(length(&clean("Zoe\u{308}")), 3);
        assert_eq!(clean("\u{202a}\u{200b} Zoë\u{feff}\u{202c}\u{2060}"), "Zoë");
        assert_eq!(clean("\u{2068}Ana\u{2069} \u{202e}Silva"), "Ana Silva");
    }

    #[test]
    fn folding_ignores_case_accents_and_width() {
        for (one, other) in [
            ("José García", "JOSE GARCIA"),
            ("ＪＯＳÉ", "jose"),
            ("Łukasz Ðorđe", "lukasz dorde"),
            ("Straße", "STRASSE"),
            ("İstanbul ISPARTA ısparta", "istanbul isparta isparta"),
            ("ΟΔΥΣΣΕΎΣ", "οδυσσευς"),
            ("Жёлудь", "желудь"),
            ("ﾊﾝｶｸ", "ハンカク"),
            ("김민준", "김민준"),
        ] {
            assert_eq!(fold(one), fold(other), "{one}");
            assert_eq!(fold(&fold(one)), fold(one), "{one}");
        }
        assert_ne!(fold("성"), fold("洪"));
    }

    #[test]
    fn words_are_letters_and_digits() {
        assert_eq!(words("  Jean-Luc O’Brien, 2nd "), ["jean", "luc", "obrien", "2nd"]);
        assert_eq!(words("jose.garcia@example.org"), ["jose", "garcia", "example", "org"]);
        assert!(words(" – '’ ").is_empty());
    }

    #[test]
    fn a_name_is_found_by_each_of_its_parts() {
        let found_by = |name: &str, start: &str| {
            search_words(name).iter().any(|word| words(start).iter().all(|start| word.starts_with(start)))
        };
        for (name, start) in [
            ("O'Brien", "obr"),
            ("O'Brien", "O’B"),
            ("O'Brien", "brien"),
            ("成洪", "洪"),
            ("김민준", "민준"),
            ("김민준", "김"),
            ("José", "jos"),
        ] {
            assert!(found_by(name, start), "{name} by {start}");
        }
        assert!(!found_by("José", "ose"));
        assert_eq!(search_words(&"洪".repeat(5_000)).len(), SEARCH_WORDS);
    }

    #[test]
    fn a_long_text_is_found_by_its_words_in_bounded_space() {
        let found = full_text_words("O’Brien's CAFÉ is open. Is it? 火山", 100);
        for word in ["obriens", "brien", "cafe", "is", "open", "it", "火山", "山"] {
            assert!(found.contains(word), "{word}: {found:?}");
        }
        assert_eq!(full_text_words("one two three", 2).len(), 2);
        let long = full_text_words(&"洪水".repeat(10_000), 2_000);
        assert!(long.iter().all(|word| length(word) <= WORD_LENGTH));
        let many: String = (0..20_000).filter_map(|n| char::from_u32(0x4e00 + n)).collect();
        assert_eq!(full_text_words(&many, 2_000).len(), 2_000);
        let word = "a".repeat(100);
        assert_eq!(searched_words(&word), Vec::from_iter(full_text_words(&word, 9)));
    }

    #[test]
    fn characters_that_scripts_need_are_kept() {
        // A Persian, a Sinhala and a Malayalam word, a Hebrew name with marks, a family, a flag, a heart.
        for word in [
            "می\u{200c}خواهم",
            "ශ්\u{200d}රී",
            "അവന്\u{200d}",
            "נועה \u{200f}כהן\u{200e} 🎉",
            "👩\u{200d}👧",
            "🏴\u{e0067}\u{e0062}\u{e0073}\u{e0063}\u{e0074}\u{e007f}",
            "❤\u{fe0f}",
        ] {
            assert_eq!(clean(word), word);
        }
    }

    #[test]
    fn a_text_without_visible_characters_is_empty() {
        for blank in [
            "",
            " \t",
            "\u{200b}",
            "\u{3164}",
            "\u{2060}",
            "\u{115f}\u{1160}",
            "\u{2800} \u{2800}",
            "\u{200d}",
            "\u{fe0f}",
            "\u{ad}",
            "\u{202e}\u{202c}",
            "\u{ffa0}",
            "\u{e0020}",
        ] {
            assert_eq!((clean(blank).as_str(), identifier(blank).as_str()), ("", ""), "{blank:?}");
        }
        for seen in ["x", "-", ".", "\u{0}", "🎉", "\u{300}"] {
            assert!(!is_blank(seen), "{seen:?}");
        }
    }

    #[test]
    fn identifiers_keep_visible_characters_in_ascii() {
        for pasted in [
            " silva042\u{a0}",
            "\u{202d}silva042\u{202c}",
            "\u{2068}silva042\u{2069}",
            "\u{200e}silva042",
            "sil\u{200b}va\u{ad}042\u{feff}",
            "silva٠٤٢",
            "silva०४२",
            "ｓｉｌｖａ０４２",
            "silva𝟎𝟜𝟮",
        ] {
            assert_eq!(identifier(pasted), "silva042", "{pasted:?}");
        }
        assert_eq!(identifier("a\0\u{1b}b"), "a\0\u{1b}b", "control characters are for the check to refuse");
    }

    #[test]
    fn the_digits_of_every_script_are_folded() {
        let digits: Vec<char> =
            ('\u{80}'..=char::MAX).filter(|c| category(*c) == GeneralCategory::DecimalNumber).collect();
        assert!(digits.len() >= 650 && digits.len().is_multiple_of(10), "{}", digits.len());
        for (i, c) in digits.into_iter().enumerate() {
            assert_eq!(to_ascii(c).to_digit(10), Some(i as u32 % 10), "{c}");
        }
        assert_eq!("²½Ⅷ①".chars().map(to_ascii).collect::<String>(), "²½Ⅷ①");
    }

    #[test]
    fn marks_and_emoji_are_not_control_characters() {
        assert!(!has_control("שלום\u{200f} 🎉"));
        assert!(has_control("a\0b") && has_control("a\nb") && has_control("a\u{2028}b"));
        assert!(has_control_but_breaks("\u{85}") && !has_control_but_breaks("one\r\n\ttwo\u{2029}three"));
    }
}
