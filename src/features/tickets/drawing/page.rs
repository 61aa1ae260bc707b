//! Layout of a ticket: A5, in black, so that two fit on a sheet of A4 and any printer will do.

use std::num::NonZeroU16;

use krilla::geom::{PathBuilder, Rect};
use krilla::surface::Surface;
use krilla::tagging::{
    Artifact, ArtifactType, BBox, ContentTag, Identifier, TableHeaderScope, Tag, TagGroup, TagKind, TagTree,
};
use parley::Alignment;

use super::pdf::DrawError;
use super::text::{Area, Ink, Press, Style, latin, printable, printable_lines};
use super::{Item, Sheet};
use crate::platform::qr::{QUIET, Qr};

/// A5 in points (1/72 inch).
pub const WIDTH: f32 = 419.53;
/// A5 in points.
pub const HEIGHT: f32 = 595.28;

const MARGIN: f32 = 36.0;
const INNER: f32 = WIDTH - 2.0 * MARGIN;
const RIGHT: f32 = WIDTH - MARGIN;
const BOTTOM: f32 = HEIGHT - MARGIN;

/// Side of the code: 36 mm with the quiet zone, so that any phone reads it at arm's length.
const CODE: f32 = 102.05;
const GAP: f32 = 18.0;
/// Side of the square around the group's symbol.
const BOX: f32 = 44.0;
/// Width of the column beside the code.
const BESIDE: f32 = INNER - CODE - GAP;

const LEFT: Style = Style { sizes: &[10.5], bold: false, align: Alignment::Left, ink: Ink::Black };
const HEADING: Style = Style { sizes: &[24.0, 19.0, 15.0], bold: true, ..LEFT };
const SECTION: Style = Style { sizes: &[12.0], bold: true, ..LEFT };
const LABEL: Style = Style { sizes: &[8.5], ink: Ink::Grey, ..LEFT };
const SENDER: Style = Style { sizes: &[10.0, 8.5], ..LABEL };
const NAME: Style = Style { sizes: &[22.0, 18.0, 14.0, 11.0, 9.0], ..LEFT };
const LATIN: Style = Style { sizes: &[10.5, 8.5, 7.0], ..LEFT };
/// Height for a name in Latin letters, of those that the name itself has.
const LATIN_HEIGHT: f32 = 18.0;
const CALLED: Style = Style { sizes: &[13.0, 11.0, 9.0], ..LEFT };
const GROUP: Style = Style { sizes: &[18.0, 14.0, 11.0], bold: true, ..LEFT };
const SYMBOL: Style =
    Style { sizes: &[26.0, 16.0, 10.0], bold: true, align: Alignment::Center, ink: Ink::White };
const TEXT: Style = Style { sizes: &[10.5, 9.5, 8.5, 7.5], ..LEFT };
const ROW: Style = Style { sizes: &[10.5, 8.5], ..LEFT };
const AMOUNT: Style = Style { align: Alignment::Right, ..ROW };
const SMALL: Style = Style { sizes: &[8.5, 7.5], ink: Ink::Grey, ..LEFT };
const CAPTION: Style = Style { sizes: &[7.5], align: Alignment::Center, ink: Ink::Grey, bold: false };
const BANNER: Style = Style { sizes: &[11.0, 9.0], bold: true, align: Alignment::Center, ink: Ink::White };

/// Draws the page. The tree describes it to screen readers, in reading order.
pub fn draw(
    press: &mut Press,
    surface: &mut Surface<'_>,
    sheet: &Sheet,
    code: &Qr,
) -> Result<TagTree, DrawError> {
    let mut page = Page { press, surface, tree: TagTree::new().with_lang(Some("en".into())), y: MARGIN };
    if sheet.rehearsal {
        page.banner("REHEARSAL: this is not a ticket")?;
    }
    page.head(sheet)?;
    page.holder(sheet, code)?;
    page.receipt(sheet)?;
    page.care()?;
    page.way(sheet)?;
    page.foot(sheet)?;
    Ok(page.tree)
}

struct Page<'a, 'b> {
    press: &'a mut Press,
    surface: &'a mut Surface<'b>,
    tree: TagTree,
    /// Where the next block begins.
    y: f32,
}

impl Page<'_, '_> {
    fn banner(&mut self, text: &str) -> Result<(), DrawError> {
        self.fill(Area { x: MARGIN, y: self.y, width: INNER, height: 22.0 }, Ink::Black);
        let area = Area { x: MARGIN, y: self.y + 3.5, width: INNER, height: 18.0 };
        self.block(Tag::P.into(), text, BANNER, area)?;
        self.y += 32.0;
        Ok(())
    }

    fn head(&mut self, sheet: &Sheet) -> Result<(), DrawError> {
        self.paragraph(&printable(&sheet.faculty), SENDER, 24.0)?;
        let event = printable(&sheet.event);
        self.y += self.block(heading(1, &event), &event, HEADING, self.across(62.0))?;
        self.y += 6.0;
        self.rule(1.5);
        self.y += 16.0;
        Ok(())
    }

    /// Name and group at the left, the code at the right.
    fn holder(&mut self, sheet: &Sheet, code: &Qr) -> Result<(), DrawError> {
        let (top, seen) = (self.y, CODE - 2.0 * quiet(code));
        let beside = |y, height| Area { x: MARGIN, y, width: BESIDE, height };
        self.y += self.block(Tag::P.into(), "Name", LABEL, beside(self.y, 12.0))?;
        self.y += self.name(&sheet.legal_name, NAME, beside(self.y, 58.0))?;
        let called = sheet.preferred_name.as_deref().map(printable).unwrap_or_default();
        if !called.is_empty() && called != printable(&sheet.legal_name) {
            self.y += self.name(&format!("({called})"), CALLED, beside(self.y, 36.0))?;
        }
        self.y = (self.y + 8.0).max(top + seen - BOX);
        self.group(sheet)?;
        self.code(code, top)?;
        self.y = self.y.max(top + CODE) + 16.0;
        self.rule(0.5);
        self.y += 12.0;
        Ok(())
    }

    /// A name, whose language is not known. Below a name that the fonts don't have all characters of, the same in Latin
    /// letters.
    fn name(&mut self, name: &str, style: Style, area: Area) -> Result<f32, DrawError> {
        let name = printable(name);
        let tag = Tag::P.with_actual_text(Some(name.clone())).with_lang(Some("und".into()));
        let Some(shown) = self.press.replace_missing(&name) else {
            return self.block(tag.into(), &name, style, area);
        };
        let latin = format!("In Latin letters: {}", latin(&name));
        let height =
            self.block(tag.into(), &shown, style, Area { height: area.height - LATIN_HEIGHT, ..area })?;
        let below = Area { y: area.y + height, height: LATIN_HEIGHT, ..area };
        Ok(height + self.block(Tag::P.into(), &latin, LATIN, below)?)
    }

    fn group(&mut self, sheet: &Sheet) -> Result<(), DrawError> {
        let square = Area { x: MARGIN, y: self.y, width: BOX, height: BOX };
        self.fill(square, Ink::Black);
        let text = MARGIN + BOX + 12.0;
        let beside = |y, height| Area { x: text, y, width: BESIDE - BOX - 12.0, height };
        self.block(Tag::P.into(), "Group", LABEL, beside(self.y + 4.0, 12.0))?;
        self.block(Tag::P.into(), &printable(&sheet.group), GROUP, beside(self.y + 15.0, 30.0))?;
        let symbol = Area { y: self.y + 4.0, height: 36.0, ..square };
        self.block(Tag::P.into(), &printable(&sheet.group_symbol), SYMBOL, symbol)?;
        self.y += BOX;
        Ok(())
    }

    fn code(&mut self, code: &Qr, y: f32) -> Result<(), DrawError> {
        // The page is white too: what is seen of the code ends at the margin, its quiet zone beyond it.
        let module = CODE / code.side() as f32;
        let (x, y) = (RIGHT - CODE + quiet(code), y - quiet(code));
        let bars = code.bars();
        let bars = bars.iter().map(|bar| Area {
            x: x + bar.x as f32 * module,
            y: y + bar.y as f32 * module,
            width: bar.width as f32 * module,
            height: module,
        });
        let bars: Vec<_> = bars.collect();
        let drawn = self.surface.start_tagged(ContentTag::Other);
        self.path(&bars, Ink::Black);
        self.surface.end_tagged();
        let figure = Tag::Figure(Some("QR code: the signed number of this ticket".into()));
        let frame = rect(Area { x, y, width: CODE, height: CODE }).map(|rect| BBox::new(0, rect));
        self.tree.push(group(figure.with_bbox(frame).into(), vec![drawn]));
        let caption = Area { x, y: y + CODE - 2.0, width: CODE, height: 12.0 };
        self.block(Tag::P.into(), "Show at check-in", CAPTION, caption)?;
        Ok(())
    }

    fn receipt(&mut self, sheet: &Sheet) -> Result<(), DrawError> {
        self.section("What was bought")?;
        let mut table = TagGroup::new(Tag::Table);
        table.push(self.row("Item", "Amount", Row::Head)?);
        for Item { name, amount } in &sheet.items {
            table.push(self.row(&printable(name), amount, Row::Item)?);
        }
        self.rule(0.5);
        self.y += 3.0;
        table.push(self.row("Total paid", &sheet.total, Row::Total)?);
        self.tree.push(table);
        self.y += 3.0;
        self.paragraph(&format!("Receipt {} · {}", sheet.receipt, sheet.paid_on), SMALL, 13.0)?;
        self.y += 16.0;
        Ok(())
    }

    fn row(&mut self, name: &str, amount: &str, row: Row) -> Result<TagGroup, DrawError> {
        let split = INNER * 0.7;
        let (name_style, amount_style) = row.styles();
        let left = Area { x: MARGIN, y: self.y, width: split, height: 26.0 };
        let right = Area { x: MARGIN + split, width: INNER - split, ..left };
        let name = self.press.draw(self.surface, name, name_style, left)?;
        let amount = self.press.draw(self.surface, amount, amount_style, right)?;
        self.y += name.height.max(amount.height) + 2.0;
        let mut tags = TagGroup::new(Tag::TR);
        tags.push(group(row.first_cell(), name.lines));
        tags.push(group(row.second_cell(), amount.lines));
        Ok(tags)
    }

    /// Left out if a long name or heading needs the space.
    fn care(&mut self) -> Result<(), DrawError> {
        if self.room() < 130.0 {
            return Ok(());
        }
        self.section("Your code")?;
        let care = "Anybody who shows it can check in as you, so don't post a picture of it. Lost it? You can download \
                    the same ticket again at any time.";
        self.paragraph(care, TEXT, 30.0)?;
        self.y += 16.0;
        Ok(())
    }

    fn way(&mut self, sheet: &Sheet) -> Result<(), DrawError> {
        self.section("How to find us")?;
        self.paragraph(&printable_lines(&sheet.how_to_find_us), TEXT, self.room())
    }

    /// Height left above the footer.
    fn room(&self) -> f32 {
        BOTTOM - 40.0 - self.y
    }

    fn foot(&mut self, sheet: &Sheet) -> Result<(), DrawError> {
        self.y = BOTTOM - 30.0;
        self.rule(0.5);
        self.y += 6.0;
        let contact = format!("Questions? {}", sheet.contact);
        self.paragraph(&contact, Style { bold: true, ..SMALL }, 12.0)?;
        let sender = format!("{} · {}", printable(&sheet.faculty), printable(&sheet.postal_address));
        self.paragraph(&sender, SMALL, 12.0)
    }

    fn section(&mut self, text: &str) -> Result<(), DrawError> {
        self.y += self.block(heading(2, text), text, SECTION, self.across(16.0))? + 2.0;
        Ok(())
    }

    fn paragraph(&mut self, text: &str, style: Style, height: f32) -> Result<(), DrawError> {
        self.y += self.block(Tag::P.into(), text, style, self.across(height))?;
        Ok(())
    }

    /// Draws a text and puts it into the tree; its height.
    fn block(&mut self, tag: TagKind, text: &str, style: Style, area: Area) -> Result<f32, DrawError> {
        let drawn = self.press.draw(self.surface, text, style, area)?;
        self.tree.push(group(tag, drawn.lines));
        Ok(drawn.height)
    }

    /// From margin to margin.
    fn across(&self, height: f32) -> Area {
        Area { x: MARGIN, y: self.y, width: INNER, height }
    }

    fn rule(&mut self, thickness: f32) {
        self.fill(self.across(thickness), Ink::Black);
    }

    /// A filled area, which screen readers skip.
    fn fill(&mut self, area: Area, ink: Ink) {
        self.surface.start_tagged(ContentTag::Artifact(Artifact::with_kind(ArtifactType::Other)));
        self.path(&[area], ink);
        self.surface.end_tagged();
    }

    fn path(&mut self, areas: &[Area], ink: Ink) {
        let mut path = PathBuilder::new();
        areas.iter().filter_map(|area| rect(*area)).for_each(|rect| path.push_rect(rect));
        if let Some(path) = path.finish() {
            self.surface.set_fill(Some(ink.fill()));
            self.surface.draw_path(&path);
        }
    }
}

/// The rows of the table.
#[derive(Clone, Copy)]
enum Row {
    Head,
    Item,
    Total,
}

impl Row {
    fn styles(self) -> (Style, Style) {
        match self {
            Self::Head => (LABEL, Style { align: Alignment::Right, ..LABEL }),
            Self::Item => (ROW, AMOUNT),
            Self::Total => (Style { bold: true, ..ROW }, Style { bold: true, ..AMOUNT }),
        }
    }

    fn first_cell(self) -> TagKind {
        match self {
            Self::Head => Tag::TH(TableHeaderScope::Column).into(),
            Self::Item => Tag::TD.into(),
            Self::Total => Tag::TH(TableHeaderScope::Row).into(),
        }
    }

    fn second_cell(self) -> TagKind {
        match self {
            Self::Head => Tag::TH(TableHeaderScope::Column).into(),
            Self::Item | Self::Total => Tag::TD.into(),
        }
    }
}

/// Width of the code's quiet zone.
fn quiet(code: &Qr) -> f32 {
    CODE * QUIET as f32 / code.side() as f32
}

fn heading(level: u16, text: &str) -> TagKind {
    let level = NonZeroU16::new(level).unwrap_or(NonZeroU16::MIN);
    Tag::Hn(level, Some(text.to_owned())).into()
}

fn group(tag: TagKind, contents: Vec<Identifier>) -> TagGroup {
    let mut group = TagGroup::new(tag);
    contents.into_iter().for_each(|content| group.push(content));
    group
}

/// `None` if it has no size.
fn rect(area: Area) -> Option<Rect> {
    Rect::from_xywh(area.x, area.y, area.width, area.height)
}
