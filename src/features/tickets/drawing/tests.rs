//! Every name of the data is drawn, can be read, and the code decodes from the drawn page.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use serde_json::Value;
use tempfile::TempDir;

use super::pdf::{Check, draw, draw_checked};
use super::text::Press;
use super::{Item, Presses, Sheet};
use crate::features::tickets::token::TicketClaims;
use crate::kernel::Timestamp;
use crate::platform::keys::TicketKeys;

fn sheet(legal_name: &str, preferred_name: Option<&str>) -> Sheet {
    let paid_at = Timestamp::from_millis(1_788_246_000_000);
    let claims = TicketClaims::new("01997c00-0000-7000-8000-00000000abcd", paid_at).unwrap();
    Sheet {
        event: "Orientation Week 2027".into(),
        faculty: "Faculty of Applied Science & Engineering".into(),
        legal_name: legal_name.into(),
        preferred_name: preferred_name.map(Into::into),
        group: "Omicron".into(),
        group_symbol: "Ο".into(),
        items: vec![Item { name: "Orientation ticket".into(), amount: "CAD 130.00".into() }],
        total: "CAD 130.00".into(),
        receipt: "01997c00-0000-7000-8000-00000000abcd".into(),
        paid_on: "1 September 2026, 03:00 EDT".into(),
        paid_at,
        how_to_find_us:
            "Sandford Fleming Building, 10 King's College Road.\nFrom the subway: St George station, ten \
                         minutes on foot through the campus. Step-free entrance on the east side."
                .into(),
        contact: "orientation@example.org".into(),
        postal_address: "35 St George Street, Toronto ON  M5S 1A4, Canada".into(),
        token: claims.sign(&TicketKeys::for_tests("k1", 1)),
        rehearsal: false,
    }
}

/// More of everything than a page holds.
fn crowded() -> Sheet {
    let bursary = Item { name: "Bursary".into(), amount: "CAD -130.00".into() };
    let ordinary = sheet(&"W".repeat(50), Some(&"W".repeat(100)));
    Sheet {
        items: [ordinary.items.clone(), vec![bursary]].concat(),
        how_to_find_us: "Turn left. ".repeat(500),
        postal_address: "Long Street ".repeat(50),
        event: "Orientation ".repeat(20),
        rehearsal: true,
        ..ordinary
    }
}

/// Legal and preferred names as people write them.
fn names() -> Vec<(String, Option<String>)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/students.jsonl");
    let rows = fs::read_to_string(path).unwrap();
    let rows = rows.lines().map(|row| serde_json::from_str::<Value>(row).unwrap());
    let text = |value: &Value| value.as_str().map(str::to_owned);
    rows.map(|row| (text(&row["form"]["legalName"]).unwrap(), text(&row["account"]["preferredName"])))
        .collect()
}

/// The page as a file in a folder of its own.
fn written(pdf: &[u8]) -> (TempDir, PathBuf) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("ticket.pdf");
    fs::write(&path, pdf).unwrap();
    (folder, path)
}

/// What a program of poppler writes to standard output.
fn poppler(program: &str, arguments: &[&str], pdf: &[u8]) -> Vec<u8> {
    let (_folder, path) = written(pdf);
    let output = Command::new(program).args(arguments).arg(path).arg("-").output();
    let output = output.unwrap_or_else(|error| {
        panic!("{program} can't be run ({error}): install poppler-utils (apt-get install poppler-utils)")
    });
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

fn text_of(pdf: &[u8]) -> String {
    String::from_utf8(poppler("pdftotext", &[], pdf)).unwrap()
}

/// What the code on the page says, printed at 300 dots per inch.
fn code_on(pdf: &[u8]) -> String {
    let (folder, path) = written(pdf);
    let picture = folder.path().join("page");
    let status =
        Command::new("pdftoppm").args(["-gray", "-singlefile", "-r", "300"]).arg(path).arg(&picture).status();
    let status = status.unwrap_or_else(|error| {
        panic!("pdftoppm can't be run ({error}): install poppler-utils (apt-get install poppler-utils)")
    });
    assert!(status.success());
    let (width, height, pixels) = pgm(&fs::read(picture.with_extension("pgm")).unwrap());
    let pixel = |x: usize, y: usize| pixels[y * width + x];
    let mut page = rqrr::PreparedImage::prepare_from_greyscale(width, height, pixel);
    let grids = page.detect_grids();
    assert_eq!(grids.len(), 1, "codes found on the page");
    grids[0].decode().unwrap().1
}

/// Width, height and grey values of `P5 <width> <height> 255 <bytes>`.
fn pgm(bytes: &[u8]) -> (usize, usize, Vec<u8>) {
    let mut fields = bytes.splitn(5, |byte| byte.is_ascii_whitespace());
    let mut number = || std::str::from_utf8(fields.next().unwrap()).unwrap().parse().unwrap_or(0);
    let (_, width, height, _) = (number(), number(), number(), number());
    (width, height, fields.next().unwrap().to_vec())
}

/// What can be compared: poppler guesses spaces from gaps, and puts marks around text that runs from right to left.
fn letters(text: &str) -> String {
    text.chars().filter(|c| c.is_alphanumeric()).collect()
}

#[test]
fn every_name_of_the_data_is_drawn_with_no_glyph_missing() {
    let (mut press, mut faults) = (Press::new(), Vec::new());
    let names = names();
    assert_eq!(names.len(), 2000);
    for (legal, preferred) in &names {
        if let Err(error) = draw_checked(&mut press, &sheet(legal, preferred.as_deref()), Check::Standards) {
            faults.push(format!("{legal} ({preferred:?}): {error}"));
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn a_name_that_no_font_has_is_drawn_all_the_same_and_not_told() {
    let mut press = Press::new();
    let sheet = sheet("שרה 🎉", None);
    let error = draw_checked(&mut press, &sheet, Check::Standards).unwrap_err().to_string();
    assert_eq!(error, "the page can't be written: ContainsNotDefGlyph");
    assert!(draw(&mut press, &sheet).unwrap().starts_with(b"%PDF"));
}

#[test]
fn the_code_decodes_from_the_page() {
    let mut press = Press::new();
    for name in ["Ana Lee", "محمد رضایی"] {
        let sheet = sheet(name, Some("Sam"));
        assert!(sheet.token.len() <= 154);
        assert_eq!(code_on(&draw(&mut press, &sheet).unwrap()), sheet.token);
    }
}

#[test]
fn the_text_can_be_copied_out() {
    let mut press = Press::new();
    for name in ["Zoë Nguyễn Thị Hương", "محمد رضایی", "陈 秀英", "김서연", "स्मिता शर्मा", "สมชาย ใจดี"]
    {
        let text = text_of(&draw(&mut press, &sheet(name, None)).unwrap());
        assert!(letters(&text).contains(&letters(name)), "{name} is not in {text}");
        for part in
            ["Orientation Week 2027", "Omicron", "Total paid", "CAD 130.00", "orientation@example.org"]
        {
            assert!(text.contains(part), "{part} is not in {text}");
        }
    }
}

#[test]
fn long_texts_end_before_what_stands_below_them() {
    let mut press = Press::new();
    let sheet = crowded();
    let pdf = draw_checked(&mut press, &sheet, Check::Standards).unwrap();
    assert_eq!(code_on(&pdf), sheet.token);
    assert!(text_of(&pdf).contains("Questions?"));
}

#[tokio::test]
async fn many_who_print_at_once_share_a_few_presses() {
    let presses = Arc::new(Presses::default());
    let print = |presses: Arc<Presses>| async move { presses.print(sheet("Ana Lee", None)).await };
    let prints: Vec<_> = (0..16).map(|_| tokio::spawn(print(presses.clone()))).collect();
    for printed in prints {
        assert!(printed.await.unwrap().unwrap().starts_with(b"%PDF"));
    }
    assert!((1..=4).contains(&presses.made()), "{}", presses.made());
}

#[test]
fn the_same_ticket_is_the_same_file() {
    let draw = || draw(&mut Press::new(), &sheet("Ana Lee", None)).unwrap();
    assert!(draw() == draw());
}

/// Writes a ticket of every Unicode block to `<temp>/tickets`: `cargo test --lib tickets_to_look_at -- --ignored`.
#[test]
#[ignore = "writes files to look at"]
fn tickets_to_look_at() {
    let folder = std::env::temp_dir().join("tickets");
    fs::create_dir_all(&folder).unwrap();
    let mut press = Press::new();
    fs::write(folder.join("crowded.pdf"), draw(&mut press, &crowded()).unwrap()).unwrap();
    let mut seen = HashSet::new();
    for (legal, preferred) in names() {
        let script = legal.chars().map(u32::from).max().unwrap_or_default() >> 7;
        if seen.insert(script) {
            let pdf = draw(&mut press, &sheet(&legal, preferred.as_deref())).unwrap();
            fs::write(folder.join(format!("{script:04x}.pdf")), pdf).unwrap();
        }
    }
}
