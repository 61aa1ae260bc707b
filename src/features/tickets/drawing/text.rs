//! Sets text of any script: shaping, both directions, line breaks.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use krilla::color::luma;
use krilla::geom::Point;
use krilla::paint::Fill;
use krilla::surface::Surface;
use krilla::tagging::{ContentTag, Identifier, SpanTag};
use krilla::text::{Font, GlyphId, KrillaGlyph};
use parley::{
    Alignment, FontContext, FontFamily, FontFamilyName, FontWeight, Layout, LayoutContext, Line, LineHeight,
    OverflowWrap, Run, StyleProperty,
};

use super::Fonts;
use super::pdf::DrawError;

/// Printed in place of a character for which no font has a glyph.
const REPLACEMENT: char = '\u{fffd}';

/// Line height as a multiple of the font size: room for Thai and Vietnamese marks.
const LINE_HEIGHT: f32 = 1.35;

/// How a text looks. Lengths are points (1/72 inch).
#[derive(Clone, Copy)]
pub struct Style {
    /// Font sizes to try, the largest first; the last one is taken if the text fits at none.
    pub sizes: &'static [f32],
    pub bold: bool,
    pub align: Alignment,
    pub ink: Ink,
}

/// Tickets are printed in black and white.
#[derive(Clone, Copy)]
pub enum Ink {
    Black,
    /// Dark enough to be read from a bad print.
    Grey,
    White,
}

impl Ink {
    pub fn fill(self) -> Fill {
        let lightness = match self {
            Self::Black => 0,
            Self::Grey => 80,
            Self::White => 255,
        };
        Fill { paint: luma::Color::new(lightness).into(), ..Fill::default() }
    }
}

/// Where a text is printed: what doesn't fit is left out.
#[derive(Clone, Copy)]
pub struct Area {
    pub x: f32,
    pub y: f32,
    pub width: f32,
    pub height: f32,
}

/// A text that was drawn.
pub struct Drawn {
    /// Its lines, for the structure tree.
    pub lines: Vec<Identifier>,
    pub height: f32,
}

/// Fonts and their caches, for one ticket at a time.
pub struct Press {
    fonts: FontContext,
    families: Vec<String>,
    layouts: LayoutContext<()>,
    /// The fonts as the PDF writer reads them, by the id of their bytes.
    embedded: HashMap<u64, Font>,
}

impl Press {
    pub fn new(fonts: &Fonts) -> Self {
        Self {
            fonts: fonts.context(),
            families: fonts.families(),
            layouts: LayoutContext::new(),
            embedded: HashMap::new(),
        }
    }

    /// The text with a replacement character for each one that no font has; `None` if the fonts have all.
    pub fn replace_missing(&mut self, text: &str) -> Option<String> {
        let style = Style { sizes: &[10.0], bold: false, align: Alignment::Left, ink: Ink::Black };
        replaced(text, &self.lay_out(text, style, 10.0, f32::MAX))
    }

    /// Draws `text` at the largest of the style's sizes at which it fits; at the smallest, lines that don't fit are
    /// left out. A character that no font has is drawn as a replacement character.
    pub fn draw(
        &mut self,
        surface: &mut Surface<'_>,
        text: &str,
        style: Style,
        area: Area,
    ) -> Result<Drawn, DrawError> {
        let mut layout = self.fit(text, style, area);
        let replaced = replaced(text, &layout);
        let text = replaced.as_deref().unwrap_or(text);
        if replaced.is_some() {
            layout = self.fit(text, style, area);
        }
        surface.set_fill(Some(style.ink.fill()));
        let mut drawn = Drawn { lines: vec![], height: 0.0 };
        for line in layout.lines() {
            let bottom = drawn.height + line.metrics().line_height;
            if bottom > area.height && !drawn.lines.is_empty() {
                break;
            }
            let tag = surface.start_tagged(ContentTag::Span(SpanTag::empty()));
            let outcome = self.draw_line(surface, text, &line, area);
            surface.end_tagged();
            outcome?;
            drawn.lines.push(tag);
            drawn.height = bottom;
        }
        Ok(drawn)
    }

    fn fit(&mut self, text: &str, style: Style, area: Area) -> Layout<()> {
        let (last, larger) = style.sizes.split_last().expect("a style has a size");
        for size in larger {
            let layout = self.lay_out(text, style, *size, area.width);
            if layout.height() <= area.height {
                return layout;
            }
        }
        self.lay_out(text, style, *last, area.width)
    }

    /// Asks the other families only if the first, which has most of what a ticket says, lacks a glyph.
    fn lay_out(&mut self, text: &str, style: Style, size: f32, width: f32) -> Layout<()> {
        let layout = self.lay_out_in(1, text, style, size, width);
        match missing(&layout).is_empty() {
            true => layout,
            false => self.lay_out_in(self.families.len(), text, style, size, width),
        }
    }

    fn lay_out_in(&mut self, families: usize, text: &str, style: Style, size: f32, width: f32) -> Layout<()> {
        let families = self.families[..families].iter();
        let families: Vec<_> =
            families.map(|name| FontFamilyName::Named(Cow::Borrowed(name.as_str()))).collect();
        let mut builder = self.layouts.ranged_builder(&mut self.fonts, text, 1.0, false);
        builder.push_default(StyleProperty::FontFamily(FontFamily::List(Cow::Borrowed(&families))));
        builder.push_default(StyleProperty::FontSize(size));
        builder.push_default(StyleProperty::LineHeight(LineHeight::FontSizeRelative(LINE_HEIGHT)));
        builder.push_default(StyleProperty::OverflowWrap(OverflowWrap::Anywhere));
        if style.bold {
            builder.push_default(StyleProperty::FontWeight(FontWeight::BOLD));
        }
        let mut layout = builder.build(text);
        layout.break_all_lines(Some(width));
        layout.align(style.align, Default::default());
        layout
    }

    fn draw_line(
        &mut self,
        surface: &mut Surface<'_>,
        text: &str,
        line: &Line<'_, ()>,
        area: Area,
    ) -> Result<(), DrawError> {
        let y = area.y + line.metrics().baseline;
        let mut x = area.x + line.metrics().offset;
        for run in line.runs() {
            let font = self.embed(&run)?;
            let glyphs = glyphs(&run);
            surface.draw_glyphs(Point::from_xy(x, y), &glyphs, font, text, run.font_size(), false);
            x += glyphs.iter().map(|glyph| glyph.x_advance * run.font_size()).sum::<f32>();
        }
        Ok(())
    }

    fn embed(&mut self, run: &Run<'_, ()>) -> Result<Font, DrawError> {
        let font = run.font().clone();
        let (bytes, id) = font.data.into_raw_parts();
        if let Some(known) = self.embedded.get(&id) {
            return Ok(known.clone());
        }
        let new = Font::new(bytes.into(), font.index).ok_or(DrawError::Font)?;
        Ok(self.embedded.entry(id).or_insert(new).clone())
    }
}

/// Start and end in the text of each cluster for which no font has a glyph, in order.
fn missing(layout: &Layout<()>) -> BTreeMap<usize, usize> {
    let mut missing = BTreeMap::new();
    for run in layout.lines().flat_map(|line| line.runs().collect::<Vec<_>>()) {
        for cluster in run.clusters().filter(|cluster| cluster.glyphs().any(|glyph| glyph.id == 0)) {
            missing.insert(cluster.text_range().start, cluster.text_range().end);
        }
    }
    missing
}

/// The text with a replacement character for each missing cluster; `None` if none is missing.
fn replaced(text: &str, layout: &Layout<()>) -> Option<String> {
    let missing = missing(layout);
    if missing.is_empty() {
        return None;
    }
    let (mut shown, mut end) = (String::new(), 0);
    for (from, to) in missing {
        shown.push_str(&text[end..from]);
        shown.push(REPLACEMENT);
        end = to;
    }
    shown.push_str(&text[end..]);
    Some(shown)
}

/// The run's glyphs from left to right. What parley measures in points from the top, the PDF wants in font sizes from
/// the baseline up; the text of a ligature is all its letters', so that it can be copied out.
fn glyphs(run: &Run<'_, ()>) -> Vec<KrillaGlyph> {
    let size = run.font_size();
    let mut glyphs: Vec<KrillaGlyph> = Vec::new();
    for cluster in run.visual_clusters() {
        let letters = cluster.text_range();
        if cluster.is_ligature_continuation() {
            if let Some(ligature) = glyphs.last_mut() {
                let text = &mut ligature.text_range;
                *text = text.start.min(letters.start)..text.end.max(letters.end);
            }
            continue;
        }
        glyphs.extend(cluster.glyphs().map(|glyph| {
            let (advance, right, up) = (glyph.advance / size, glyph.x / size, -glyph.y / size);
            KrillaGlyph::new(GlyphId::new(glyph.id), advance, right, up, 0.0, letters.clone(), None)
        }));
    }
    glyphs
}

/// The text as it can be printed: on one line, without control characters, direction overrides, byte order marks and
/// other invisible characters that belong to files and not to languages.
///
/// Joiners and direction marks stay: some scripts need them.
pub fn printable(text: &str) -> String {
    let words = text.split(|c: char| c.is_whitespace() || c.is_control());
    let words = words.map(|word| word.chars().filter(|c| !is_invisible(*c)).collect::<String>());
    words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

/// The Latin transliteration of a text; if that has no letters, the text with its code points.
pub fn latin(text: &str) -> String {
    let latin = any_ascii::any_ascii(text);
    if latin.chars().any(char::is_alphanumeric) {
        return latin.trim().to_owned();
    }
    let code_point = |c: char| format!("U+{:04X}", u32::from(c));
    text.chars().map(|c| if c.is_ascii() { c.to_string() } else { code_point(c) }).collect()
}

/// The same as [`printable`] for a text of several lines.
pub fn printable_lines(text: &str) -> String {
    let lines: Vec<_> = text.lines().map(printable).collect();
    lines.join("\n").trim().to_owned()
}

fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{200b}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
        | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str, width: f32) -> Vec<&str> {
        let style = Style { sizes: &[10.0], bold: false, align: Alignment::Start, ink: Ink::Black };
        let layout = Press::new(&Fonts::default()).lay_out(text, style, 10.0, width);
        layout.lines().map(|line| &text[line.text_range()]).collect()
    }

    #[test]
    fn scripts_without_spaces_wrap_and_thai_between_its_words() {
        let words = ["สวัสดี", "ชาว", "โลก", "สวัสดี", "ชาว", "โลก"];
        let text = words.concat();
        let ends: Vec<usize> = (1..=words.len()).map(|n| words[..n].concat().len()).collect();
        for width in [32.0, 38.0, 44.0, 50.0, 56.0] {
            let mut end = 0;
            let lines = lines(&text, width);
            assert!(lines.len() > 1 && lines.concat() == text);
            for line in lines {
                end += line.len();
                assert!(ends.contains(&end), "{line} at {width}");
            }
        }
        assert_eq!(lines("你好世界你好", 45.0), ["你好世界", "你好"]);
        assert_eq!(lines("早起きは三文の徳", 45.0), ["早起きは", "三文の徳"]);
    }

    #[test]
    fn a_word_that_is_too_long_wraps_anywhere() {
        for long in ["x".repeat(300), format!("e{}", "\u{301}".repeat(300)), "สวัสดี".repeat(50)]
        {
            assert_eq!(lines(&long, 45.0).concat(), long);
        }
        assert!(lines(&"x".repeat(300), 45.0).len() > 20);
    }

    #[test]
    fn a_name_in_latin_letters_is_never_empty() {
        assert_eq!(latin("\u{1e10a}\u{1e127}"), any_ascii::any_ascii("\u{1e10a}\u{1e127}"));
        assert_eq!(latin("Анна"), "Anna");
        assert_eq!(latin("\u{e000} \u{e001}"), "U+E000 U+E001");
    }

    #[test]
    fn invisible_characters_and_line_breaks_are_not_printed() {
        assert_eq!(printable(" \u{feff}Ana\u{202e}\r\n\tLee\0 \u{2028}X\u{2066}"), "Ana Lee X");
        assert_eq!(printable("\u{202e}\n"), "");
    }

    #[test]
    fn joiners_and_marks_of_the_language_stay() {
        let persian = "علی\u{200c}رضا";
        assert_eq!(printable(persian), persian);
        assert_eq!(printable("क्\u{200d}ष"), "क्\u{200d}ष");
    }
}
