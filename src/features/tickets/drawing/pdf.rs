//! The document around the page: tagged for screen readers (PDF/UA-1), fit for archives (PDF/A-2a).

use chrono::{Datelike, Timelike};
use krilla::configure::{Accessibility, Archival, ConfigurationBuilder};
use krilla::destination::XyzDestination;
use krilla::error::KrillaError;
use krilla::geom::Point;
use krilla::metadata::{DateTime, Metadata};
use krilla::outline::{Outline, OutlineNode};
use krilla::page::PageSettings;
use krilla::{Document, SerializeSettings};

use super::Sheet;
use super::page::{self, HEIGHT, WIDTH};
use super::text::Press;
use crate::kernel::Timestamp;
use crate::platform::qr::{Qr, TooLong};

/// Why something was not drawn.
#[derive(Debug, thiserror::Error)]
pub enum DrawError {
    #[error(transparent)]
    TooLong(#[from] TooLong),
    #[error("a font in the binary can't be read")]
    Font,
    #[error("the standards for accessible and archived documents exclude each other")]
    Standards,
    /// Says what, never whose name it was.
    #[error("the page can't be written: {0}")]
    Page(String),
    #[error("the picture can't be written: {0}")]
    Png(#[from] png::EncodingError),
    #[error("drawing was stopped")]
    Stopped,
}

/// Whether the writer checks the standards while it writes.
#[derive(Clone, Copy)]
pub enum Check {
    Standards,
    Nothing,
}

/// The ticket as a PDF that keeps the standards. If it can't (a name may hold a character that no font of ours has), it
/// is drawn all the same with a box in that place, and the log says so, without the name.
pub fn draw(press: &mut Press, sheet: &Sheet) -> Result<Vec<u8>, DrawError> {
    draw_checked(press, sheet, Check::Standards).or_else(|error| {
        tracing::warn!(receipt = sheet.receipt, %error, "a ticket is drawn without keeping the standards");
        draw_checked(press, sheet, Check::Nothing)
    })
}

/// The ticket as a PDF, checked as asked.
pub fn draw_checked(press: &mut Press, sheet: &Sheet, check: Check) -> Result<Vec<u8>, DrawError> {
    let title = format!("{}: ticket", sheet.event);
    let mut document = Document::new_with(settings(check)?);
    let size = PageSettings::from_wh(WIDTH, HEIGHT).expect("the page has a size");
    let mut paper = document.start_page_with(size);
    let mut surface = paper.surface();
    let tree = page::draw(press, &mut surface, sheet, &Qr::new(&sheet.token)?)?;
    surface.finish();
    paper.finish();
    document.set_metadata(metadata(sheet, &title));
    document.set_outline(outline(title));
    document.set_tag_tree(tree);
    document.finish().map_err(DrawError::from)
}

fn settings(check: Check) -> Result<SerializeSettings, DrawError> {
    let standards = match check {
        Check::Nothing => return Ok(SerializeSettings::default()),
        Check::Standards => ConfigurationBuilder::new()
            .with_archival_validator(Archival::A2_A)
            .with_accessibility_validator(Accessibility::UA1),
    };
    let configuration = standards.finish().map_err(|_| DrawError::Standards)?;
    Ok(SerializeSettings { configuration, ..SerializeSettings::default() })
}

fn metadata(sheet: &Sheet, title: &str) -> Metadata {
    Metadata::new()
        .title(title.to_owned())
        .authors(vec![sheet.faculty.clone()])
        .language("en".to_owned())
        .creation_date(date(sheet.issued_at))
        .document_id(sheet.receipt.clone())
}

fn date(time: Timestamp) -> DateTime {
    let utc = time.to_utc();
    let two_digits = |n: u32| u8::try_from(n).unwrap_or_default();
    DateTime::new(u16::try_from(utc.year()).unwrap_or_default())
        .month(two_digits(utc.month()))
        .day(two_digits(utc.day()))
        .hour(two_digits(utc.hour()))
        .minute(two_digits(utc.minute()))
        .second(two_digits(utc.second()))
        .utc_offset_hour(0)
        .utc_offset_minute(0)
}

fn outline(title: String) -> Outline {
    let mut outline = Outline::new();
    outline.push_child(OutlineNode::new(title, XyzDestination::new(0, Point::from_xy(0.0, 0.0))));
    outline
}

impl From<KrillaError> for DrawError {
    /// What krilla says of a faulty glyph quotes the text, which may be a name: the kinds of the faults are enough.
    fn from(error: KrillaError) -> Self {
        let KrillaError::Validation(faults) = error else {
            return Self::Page("not a fault of the text".into());
        };
        let mut kinds: Vec<_> = faults.iter().map(|(fault, _)| kind(&format!("{fault:?}"))).collect();
        kinds.dedup();
        Self::Page(kinds.join(", "))
    }
}

/// `ContainsNotDefGlyph` of `ContainsNotDefGlyph(Font, None, "…")`.
fn kind(debug: &str) -> String {
    debug.chars().take_while(char::is_ascii_alphanumeric).collect()
}
