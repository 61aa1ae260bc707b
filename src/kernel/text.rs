//! Texts that people write.

use unicode_normalization::{UnicodeNormalization, is_nfc};

/// The text as it is kept: white space at its ends removed, in Unicode NFC.
pub fn clean(text: &str) -> String {
    let trimmed = text.trim();
    if is_nfc(trimmed) { trimmed.to_owned() } else { trimmed.nfc().collect() }
}

/// Length as people count it: code points.
pub fn length(text: &str) -> usize {
    text.chars().count()
}

/// Whether the text holds a control character (Unicode category Cc: NUL, escape, line breaks, tabs …).
/// Right-to-left marks and emoji are none.
pub fn has_control(text: &str) -> bool {
    text.chars().any(char::is_control)
}

/// The same for remarks, in which line breaks and tabs are text.
pub fn has_control_but_breaks(text: &str) -> bool {
    text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cleaning_trims_and_composes() {
        assert_eq!(clean("  Zoe\u{308} \n"), "Zoë");
        assert_eq!(length(&clean("Zoe\u{308}")), 3);
    }

    #[test]
    fn marks_and_emoji_are_not_control_characters() {
        assert!(!has_control("שלום\u{200f} 🎉"));
        assert!(has_control("a\0b") && has_control("a\nb"));
        assert!(has_control_but_breaks("\u{85}") && !has_control_but_breaks("one\r\n\ttwo"));
    }
}
