//! The chart of a report: students by discipline, as a PNG.

use std::sync::OnceLock;

use plotters::prelude::*;
use plotters::style::register_font;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::model::Tally;
use crate::features::tickets::NOTO_SANS;

/// Pixels of the picture. It is shown at half of its size, so that it is sharp on every screen.
pub const WIDTH: u32 = 1056;
/// Pixels for each bar with its margins.
const ROW: u32 = 56;
/// Where the bars begin.
const LEFT: i32 = 410;
/// Where the longest bar ends, so that its number fits behind it.
const RIGHT: i32 = 950;
/// Letters of a name that fit before the bars.
const NAME: usize = 24;
/// Bars in a chart; the rest is in the table.
const BARS: usize = 20;

const INK: RGBColor = RGBColor(29, 34, 51);
const REGISTERED: RGBColor = RGBColor(43, 68, 199);
const SUBMITTED: RGBColor = RGBColor(189, 199, 240);

/// The chart can't be drawn.
#[derive(Debug, thiserror::Error)]
#[error("the chart can't be drawn: {0}")]
pub struct ChartError(String);

/// A bar for each name: all students, and in a darker colour those who are registered.
///
/// # Errors
/// [`ChartError`]
pub fn draw(bars: &[(&str, Tally)]) -> Result<Vec<u8>, ChartError> {
    static FONT: OnceLock<bool> = OnceLock::new();
    if !FONT.get_or_init(|| register_font("sans-serif", FontStyle::Normal, NOTO_SANS).is_ok()) {
        return Err(ChartError("its font can't be read".into()));
    }
    let bars = &bars[..bars.len().min(BARS)];
    let height = ROW * (u32::try_from(bars.len()).unwrap_or(0) + 1) + 16;
    let mut pixels = vec![0; (WIDTH * height * 3) as usize];
    {
        let area = BitMapBackend::with_buffer(&mut pixels, (WIDTH, height)).into_drawing_area();
        area.fill(&WHITE).map_err(failed)?;
        legend(&area)?;
        let most = bars.iter().map(|(_, tally)| tally.students).max().unwrap_or(0).max(1);
        for (row, (name, tally)) in (1..).zip(bars) {
            bar(&area, row * ROW as i32 + 8, name, *tally, most)?;
        }
        area.present().map_err(failed)?;
    }
    encode(&pixels, height)
}

type Area<'a> = DrawingArea<BitMapBackend<'a>, plotters::coord::Shift>;

fn legend(area: &Area<'_>) -> Result<(), ChartError> {
    for (x, colour, text) in [(LEFT, REGISTERED, "registered"), (LEFT + 240, SUBMITTED, "not registered yet")]
    {
        area.draw(&Rectangle::new([(x, 16), (x + 24, 40)], colour.filled())).map_err(failed)?;
        write(area, text, (x + 36, 28), HPos::Left)?;
    }
    Ok(())
}

fn bar(area: &Area<'_>, top: i32, name: &str, tally: Tally, most: u64) -> Result<(), ChartError> {
    let end = |count: u64| LEFT + (f64::from(RIGHT - LEFT) * count as f64 / most as f64).round() as i32;
    let middle = top + ROW as i32 / 2;
    for (count, colour) in [(tally.students, SUBMITTED), (tally.registered, REGISTERED)] {
        let corners = [(LEFT, top + 6), (end(count), top + ROW as i32 - 6)];
        area.draw(&Rectangle::new(corners, colour.filled())).map_err(failed)?;
    }
    write(area, &short(name), (LEFT - 16, middle), HPos::Right)?;
    write(area, &tally.students.to_string(), (end(tally.students) + 12, middle), HPos::Left)
}

fn write(area: &Area<'_>, text: &str, at: (i32, i32), anchor: HPos) -> Result<(), ChartError> {
    let style = ("sans-serif", 32).into_font().color(&INK).pos(Pos::new(anchor, VPos::Center));
    area.draw(&Text::new(text.to_owned(), at, style)).map_err(failed)
}

fn short(name: &str) -> String {
    match name.char_indices().nth(NAME) {
        Some((end, _)) => format!("{}…", name[..end].trim_end()),
        None => name.to_owned(),
    }
}

fn encode(pixels: &[u8], height: u32) -> Result<Vec<u8>, ChartError> {
    let mut file = vec![];
    let mut encoder = png::Encoder::new(&mut file, WIDTH, height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    let written = encoder.write_header().and_then(|mut writer| writer.write_image_data(pixels));
    written.map_err(failed)?;
    Ok(file)
}

fn failed(error: impl std::fmt::Display) -> ChartError {
    ChartError(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(bars: &[(&str, Tally)]) -> (u32, u32, Vec<u8>) {
        let file = draw(bars).unwrap();
        let mut reader = png::Decoder::new(std::io::Cursor::new(file)).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut pixels).unwrap();
        (info.width, info.height, pixels)
    }

    fn count(pixels: &[u8], colour: RGBColor) -> usize {
        pixels.chunks(3).filter(|pixel| *pixel == [colour.0, colour.1, colour.2]).count()
    }

    #[test]
    fn bars_are_as_long_as_their_numbers() {
        let tally = |students, registered| Tally { students, registered };
        let legend = count(&picture(&[]).2, REGISTERED);
        let of = |bars: &[_]| {
            let (width, _, pixels) = picture(bars);
            assert_eq!(width, WIDTH);
            (count(&pixels, REGISTERED) - legend, count(&pixels, SUBMITTED) - legend)
        };
        assert_eq!(of(&[]), (0, 0));
        let (registered, rest) = of(&[("Chemical", tally(100, 25))]);
        assert!(registered.abs_diff(rest / 3) < 100, "{registered} {rest}");
        let (all, none) = of(&[("Civil", tally(7, 7))]);
        assert!(all > 3 * registered && none < 100, "{all} {none}");
    }

    #[test]
    fn names_are_written_in_the_font_and_cut_if_they_are_long() {
        let tally = Tally { students: 1, registered: 0 };
        let ink = |name| count(&picture(&[(name, tally)]).2, INK);
        assert!(ink("Chemical") > ink("C"), "{}", ink("Chemical"));
        assert_eq!(short("Electrical & Computer"), "Electrical & Computer");
        assert_eq!(short("Électrotechnique et informatique"), "Électrotechnique et info…");
    }

    #[test]
    fn many_bars_are_bounded() {
        let names: Vec<_> = (0..200).map(|number| number.to_string()).collect();
        let bars: Vec<_> = names.iter().map(|name| (name.as_str(), Tally::default())).collect();
        assert_eq!(picture(&bars).1, ROW * 21 + 16);
    }
}
