//! Sets text of any script: shaping, both directions, line breaks.

use std::borrow::Cow;
use std::collections::HashMap;

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

use super::fonts;
use super::pdf::DrawError;

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

/// Where a text may stand: what doesn't fit is left out.
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
    layouts: LayoutContext<()>,
    /// The fonts as the PDF writer reads them, by the id of their bytes.
    embedded: HashMap<u64, Font>,
}

impl Press {
    pub fn new() -> Self {
        Self { fonts: fonts::context(), layouts: LayoutContext::new(), embedded: HashMap::new() }
    }

    /// Draws `text` at the largest of the style's sizes at which it fits; at the smallest, lines that don't fit are
    /// left out.
    pub fn draw(
        &mut self,
        surface: &mut Surface<'_>,
        text: &str,
        style: Style,
        area: Area,
    ) -> Result<Drawn, DrawError> {
        let layout = self.fit(text, style, area);
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

    fn lay_out(&mut self, text: &str, style: Style, size: f32, width: f32) -> Layout<()> {
        let families = fonts::FAMILIES.map(|name| FontFamilyName::Named(Cow::Borrowed(name)));
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

/// The text as it can be printed: in one line, without the characters that are no text (control characters, orders to
/// turn the direction of what follows, the byte order mark and other marks of the file rather than of the language).
///
/// Joiners and direction marks, which some scripts are written with, stay.
pub fn printable(text: &str) -> String {
    let words = text.split(|c: char| c.is_whitespace() || c.is_control());
    let words = words.map(|word| word.chars().filter(|c| !is_order(*c)).collect::<String>());
    words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

/// The same for a text of several lines.
pub fn printable_lines(text: &str) -> String {
    let lines: Vec<_> = text.lines().map(printable).collect();
    lines.join("\n").trim().to_owned()
}

fn is_order(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{200b}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
        | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str, width: f32) -> Vec<&str> {
        let style = Style { sizes: &[10.0], bold: false, align: Alignment::Start, ink: Ink::Black };
        let layout = Press::new().lay_out(text, style, 10.0, width);
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
    fn orders_and_line_breaks_are_not_printed() {
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
