//! QR codes as pictures.

use std::fmt::Write;

use qrcodegen::{QrCode, QrCodeEcc};

/// Modules of white around the code (ISO/IEC 18004).
pub const QUIET: i32 = 4;

/// Pixels of a module in the PNG: 53 modules make 530 pixels, sharp on every screen.
const PIXELS: usize = 10;

/// No QR code holds a text of this length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the text is too long for a QR code")]
pub struct TooLong;

/// A QR code with its quiet zone.
pub struct Qr {
    code: QrCode,
}

/// A horizontal bar of dark modules; the unit is a module, the corner of the quiet zone is 0, 0.
pub struct Bar {
    pub x: i32,
    pub y: i32,
    pub width: i32,
}

impl Qr {
    /// The smallest code that holds `text`, with the best error correction that this size allows.
    ///
    /// # Errors
    /// [`TooLong`] if it has more than 2,953 bytes.
    pub fn new(text: &str) -> Result<Self, TooLong> {
        let code = QrCode::encode_text(text, QrCodeEcc::Low).map_err(|_| TooLong)?;
        Ok(Self { code })
    }

    /// Modules of one side, the quiet zone with them.
    pub fn side(&self) -> i32 {
        self.code.size() + 2 * QUIET
    }

    /// Everything dark.
    pub fn bars(&self) -> Vec<Bar> {
        (0..self.side()).flat_map(|y| self.bars_of(y)).collect()
    }

    fn bars_of(&self, y: i32) -> Vec<Bar> {
        let mut bars: Vec<Bar> = Vec::new();
        for x in (0..self.side()).filter(|x| self.dark(*x, y)) {
            match bars.last_mut() {
                Some(bar) if bar.x + bar.width == x => bar.width += 1,
                _ => bars.push(Bar { x, y, width: 1 }),
            }
        }
        bars
    }

    fn dark(&self, x: i32, y: i32) -> bool {
        self.code.get_module(x - QUIET, y - QUIET)
    }

    /// As a drawing of 36 mm that is sharp at any size. `label` describes it to screen readers; it must not need escaping
    /// in XML.
    pub fn svg(&self, label: &'static str) -> String {
        let side = self.side();
        let path = self.bars().iter().fold(String::new(), |mut path, Bar { x, y, width }| {
            let _ = write!(path, "M{x} {y}h{width}v1h-{width}z");
            path
        });
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"36mm\" height=\"36mm\" viewBox=\"0 0 {side} {side}\" \
             shape-rendering=\"crispEdges\" role=\"img\" aria-label=\"{label}\">\
             <path fill=\"#fff\" d=\"M0 0h{side}v{side}H0z\"/><path d=\"{path}\"/></svg>\n"
        )
    }

    /// As a PNG in black and white, ten pixels a module.
    ///
    /// # Errors
    /// If the encoder fails.
    pub fn png(&self) -> Result<Vec<u8>, png::EncodingError> {
        let side = self.side() as usize * PIXELS;
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, side as u32, side as u32);
        encoder.set_color(png::ColorType::Grayscale);
        encoder.set_depth(png::BitDepth::One);
        let mut writer = encoder.write_header()?;
        writer.write_image_data(&self.bits(side))?;
        writer.finish()?;
        Ok(bytes)
    }

    /// A bit a pixel, 1 is white; rows begin at a byte.
    fn bits(&self, side: usize) -> Vec<u8> {
        let stride = side.div_ceil(8);
        let mut bits = vec![0xff; stride * side];
        let dark = |x: usize, y: usize| self.dark((x / PIXELS) as i32, (y / PIXELS) as i32);
        for (x, y) in (0..side * side).map(|place| (place % side, place / side)).filter(|(x, y)| dark(*x, *y))
        {
            bits[y * stride + x / 8] &= !(0x80 >> (x % 8));
        }
        bits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_longer_text_makes_a_larger_code_up_to_a_limit() {
        let side = |length: usize| Qr::new(&"x".repeat(length)).map(|code| code.side());
        assert_eq!((side(1), side(154), side(155)), (Ok(29), Ok(53), Ok(57)));
        assert_eq!((side(2953), side(2954)), (Ok(185), Err(TooLong)));
    }

    #[test]
    fn the_picture_decodes() {
        let text = "OT1.k1.AZl8AAAAcACAAAAAAAAAAAAAAABqlyeA";
        let bytes = Qr::new(text).unwrap().png().unwrap();
        let mut reader = png::Decoder::new(std::io::Cursor::new(bytes)).read_info().unwrap();
        let mut bits = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut bits).unwrap();
        let pixel = |x: usize, y: usize| match bits[y * info.line_size + x / 8] & (0x80 >> (x % 8)) {
            0 => 0,
            _ => 255,
        };
        let (width, height) = (info.width as usize, info.height as usize);
        let mut picture = rqrr::PreparedImage::prepare_from_greyscale(width, height, pixel);
        assert_eq!(picture.detect_grids()[0].decode().unwrap().1, text);
    }

    #[test]
    fn the_drawing_holds_the_same_modules() {
        let code = Qr::new("hello").unwrap();
        let dark =
            (0..code.side() * code.side()).filter(|n| code.dark(n % code.side(), n / code.side())).count();
        assert_eq!(code.bars().iter().map(|bar| bar.width as usize).sum::<usize>(), dark);
        assert!(code.svg("A code").contains(&format!("viewBox=\"0 0 {0} {0}\"", code.side())));
        assert!(code.bars().iter().all(|bar| bar.x >= QUIET && bar.y >= QUIET));
    }
}
