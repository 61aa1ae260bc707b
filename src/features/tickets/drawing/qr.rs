//! The QR code of a ticket.

use std::fmt::Write;

use qrcodegen::{QrCode, QrCodeEcc};

use super::pdf::DrawError;

/// Modules of white around the code (ISO/IEC 18004).
pub const QUIET: i32 = 4;

/// Pixels of a module in the PNG: 53 modules make 530 pixels, sharp on every screen.
const PIXELS: usize = 10;

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
    /// [`DrawError::TooLong`] if no code holds it (2,953 bytes).
    pub fn new(text: &str) -> Result<Self, DrawError> {
        let code = QrCode::encode_text(text, QrCodeEcc::Low).map_err(|_| DrawError::TooLong)?;
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

    /// As a drawing of 36 mm that stays sharp at any size.
    pub fn svg(&self) -> String {
        let side = self.side();
        let path = self.bars().iter().fold(String::new(), |mut path, Bar { x, y, width }| {
            let _ = write!(path, "M{x} {y}h{width}v1h-{width}z");
            path
        });
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"36mm\" height=\"36mm\" viewBox=\"0 0 {side} {side}\" \
             shape-rendering=\"crispEdges\" role=\"img\" aria-label=\"QR code of the ticket\">\
             <path fill=\"#fff\" d=\"M0 0h{side}v{side}H0z\"/><path d=\"{path}\"/></svg>\n"
        )
    }

    /// As a picture in black and white, ten pixels a module.
    ///
    /// # Errors
    /// [`DrawError::Png`] if the encoder fails.
    pub fn png(&self) -> Result<Vec<u8>, DrawError> {
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
    fn a_token_of_the_longest_length_makes_a_code_of_version_7() {
        let code = Qr::new(&"x".repeat(crate::features::tickets::token::TOKEN_MAX)).unwrap();
        assert_eq!(code.code.version().value(), 7);
        assert!(Qr::new(&"x".repeat(3000)).is_err());
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
        assert!(code.svg().contains(&format!("viewBox=\"0 0 {0} {0}\"", code.side())));
        assert!(code.bars().iter().all(|bar| bar.x >= QUIET && bar.y >= QUIET));
    }
}
