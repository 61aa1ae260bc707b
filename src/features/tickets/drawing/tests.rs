//! Every name of the data is drawn and can be read, and the code can be decoded from the page.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use serde_json::Value;
use tempfile::TempDir;

use super::pdf::{Check, draw, draw_checked};
use super::text::Press;
use super::{Fonts, Item, Presses, Sheet};
use crate::features::tickets::token::TicketClaims;
use crate::kernel::Timestamp;
use crate::platform::keys::TicketKeys;

fn press() -> Press {
    Press::new(&Fonts::default())
}

fn sheet(legal_name: &str, preferred_name: Option<&str>) -> Sheet {
    let issued_at = Timestamp::from_millis(1_788_246_000_000);
    let claims = TicketClaims::new("01997c00-0000-7000-8000-00000000abcd", issued_at).unwrap();
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
        issued_at,
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

/// The page as a file in a new folder.
fn written(pdf: &[u8]) -> (TempDir, PathBuf) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("ticket.pdf");
    fs::write(&path, pdf).unwrap();
    (folder, path)
}

/// Standard output of a program of poppler.
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

/// Content of the code on the page, printed at 300 dots per inch.
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

/// The part of a text that can be compared: poppler guesses spaces from gaps, and puts marks around text that runs from right to left.
fn letters(text: &str) -> String {
    text.chars().filter(|c| c.is_alphanumeric()).collect()
}

#[test]
fn every_name_of_the_data_is_drawn_with_no_glyph_missing() {
    let (mut press, mut faults) = (press(), Vec::new());
    let names = names();
    assert_eq!(names.len(), 2000);
    for (legal, preferred) in &names {
        if let Err(error) = draw_checked(&mut press, &sheet(legal, preferred.as_deref()), Check::Standards) {
            faults.push(format!("{legal} ({preferred:?}): {error}"));
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
}

/// Names and words in the scripts that the fonts cover.
const SCRIPTS: [(&str, &str); 61] = [
    ("Latin", "Zoë Nguyễn Thị Hương"),
    ("Greek", "Αναστασία Παπαδοπούλου"),
    ("Cyrillic", "Анастасія Їжакевич"),
    ("Arabic", "محمد رضایی"),
    ("Hebrew", "שָׂרָה כֹּהֵן"),
    ("Syriac", "ܝܘܚܢܢ ܐܦܪܝܡ"),
    ("Thaana", "އަހުމަދު ޝަރީފް"),
    ("NKo", "ߛߟߏߡߊ߫ ߞߊߣߕߍ"),
    ("Adlam", "𞤀𞤣𞤢𞤥 𞤆𞤵𞤤𞤢𞤪"),
    ("Hanifi Rohingya", "𐴀𐴝𐴁𐴞𐴇"),
    ("Mandaic", "ࡌࡀࡍࡃࡀ"),
    ("Devanagari", "श्रीमती स्मिता क्षीरसागर"),
    ("Bengali", "শ্রেয়া চট্টোপাধ্যায়"),
    ("Gurmukhi", "ਗੁਰਪ੍ਰੀਤ ਸਿੰਘ"),
    ("Gujarati", "શ્રેયા પટેલ"),
    ("Odia", "ପ୍ରିୟଙ୍କା ମହାପାତ୍ର"),
    ("Tamil", "ஸ்ரீனிவாசன் கார்த்திக்"),
    ("Telugu", "శ్రీనివాస్ కృష్ణమూర్తి"),
    ("Kannada", "ಶ್ರೀಲಕ್ಷ್ಮಿ ಕೃಷ್ಣಪ್ಪ"),
    ("Malayalam", "ശ്രീലക്ഷ്മി കൃഷ്ണൻ"),
    ("Sinhala", "ශ්‍රී ප්‍රියන්ත වික්‍රමසිංහ"),
    ("Thai", "สมชาย ใจดี"),
    ("Lao", "ສົມພອນ ແກ້ວມະນີ"),
    ("Khmer", "សុខ ស្រីមុំ"),
    ("Burmese", "အောင်ဆန်းစုကြည်"),
    ("Shan", "ၸၢႆးသႅင်"),
    ("Tibetan", "བསྟན་འཛིན་རྒྱ་མཚོ།"),
    ("Mongolian", "ᠮᠣᠩᠭᠣᠯ"),
    ("Ethiopic", "ኃይለ ሥላሴ"),
    ("Georgian", "ნინო ბერიძე"),
    ("Armenian", "Արամ Խաչատրյան"),
    ("Inuktitut", "ᐃᓄᒃᑎᑐᑦ ᐊᓛᓯ"),
    ("Cree", "ᓀᐦᐃᔭᐍᐏᐣ"),
    ("Cherokee", "ᏣᎳᎩ ᏎᏉᏯ"),
    ("Osage", "𐓏𐓘𐓻𐓘𐓻𐓟"),
    ("Tifinagh", "ⵜⵉⴼⵉⵏⴰⵖ"),
    ("Vai", "ꕙꔤ"),
    ("Bamum", "ꚠꚡꚢ"),
    ("Yi", "ꆈꌠꁱꂷ"),
    ("Lisu", "ꓡꓲ-ꓢꓴ"),
    ("Miao", "𖼀𖼁𖽘"),
    ("Ol Chiki", "ᱥᱟᱱᱛᱟᱲᱤ"),
    ("Meetei Mayek", "ꯃꯤꯇꯩꯂꯣꯟ"),
    ("Chakma", "𑄌𑄋𑄴𑄟𑄳𑄦"),
    ("Lepcha", "ᰛᰩᰵ"),
    ("Limbu", "ᤕᤰᤌᤢᤱ"),
    ("Newa", "𑐣𑐾𑐥𑐵𑐮"),
    ("Syloti Nagri", "ꠍꠤꠟꠐꠤ"),
    ("Wancho", "𞋀𞋁𞋂"),
    ("Kayah Li", "ꤊꤢꤛꤢ꤭"),
    ("Javanese", "ꦗꦮꦶꦏꦿꦩ"),
    ("Balinese", "ᬩᬮᬶᬓ᭄ᬭ"),
    ("Sundanese", "ᮞᮥᮔ᮪ᮓ"),
    ("Batak", "ᯅᯖᯂ᯲"),
    ("Cham", "ꨌꩌꨀ"),
    ("Tai Le", "ᥖᥭᥰ"),
    ("New Tai Lue", "ᦟᦹᧉ"),
    ("Tai Tham", "ᨲ᩠ᩅᩫ"),
    ("Tai Viet", "ꪼꪕ"),
    ("Chinese and Japanese", "髙橋 﨑山 李喆 王祎 𠮷田 刘䶮 堃 サトウ ｻﾄｳ さくら ㄅㄆ"),
    ("Korean", "김서연 뷁"),
];

#[test]
fn every_script_of_the_table_is_drawn_with_no_glyph_missing() {
    let (mut press, mut faults) = (press(), Vec::new());
    for (script, name) in SCRIPTS {
        if let Some(shown) = press.replace_missing(name) {
            faults.push(format!("{script}: {shown}"));
        }
        if let Err(error) = draw_checked(&mut press, &sheet(name, None), Check::Standards) {
            faults.push(format!("{script}: {error}"));
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn a_name_with_a_missing_glyph_is_also_printed_in_latin_letters() {
    let mut press = press();
    let sheet = sheet("Анна 𞄀𞄲 🎉", Some("\u{e000}"));
    let pdf = draw_checked(&mut press, &sheet, Check::Standards).unwrap();
    // Long lines are wrapped.
    let text = text_of(&pdf).split_whitespace().collect::<Vec<_>>().join(" ");
    let latin = any_ascii::any_ascii(&sheet.legal_name);
    assert!(latin.starts_with("Anna ") && !latin.contains('\u{fffd}'));
    for expected in [format!("In Latin letters: {}", latin.trim()), "In Latin letters: (U+E000)".to_owned()] {
        assert!(text.contains(&expected), "{expected} is not in {text}");
    }
}

#[test]
fn a_name_that_the_fonts_have_is_printed_once() {
    let text = text_of(&draw(&mut press(), &sheet("שרה כהן", None)).unwrap());
    assert!(!text.contains("Latin letters"), "{text}");
}

#[test]
fn added_fonts_are_asked_for_what_ours_lack() {
    let folder = TempDir::new().unwrap();
    // A font whose only letter of ours is moved to the private use area: U+E000 looks like an A.
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/private-use.ttf");
    assert!(press().replace_missing("\u{e000}").is_some());
    fs::copy(&path, folder.path().join("a.TTF")).unwrap();
    fs::write(folder.path().join("README.md"), "not a font").unwrap();
    for given in [path, folder.path().to_owned()] {
        let fonts = Fonts::with(&[given]).unwrap();
        assert_eq!(fonts.added(), 1);
        assert_eq!(Press::new(&fonts).replace_missing("\u{e000}"), None);
    }
}

#[test]
fn fonts_that_can_not_be_used_are_refused_with_their_path() {
    let folder = TempDir::new().unwrap();
    let refused = |path: &Path| Fonts::with(&[path.to_owned()]).map(|_| ()).unwrap_err().to_string();
    let missing = folder.path().join("missing.ttf");
    assert!(refused(&missing).starts_with(&format!("{} can't be read: ", missing.display())));
    assert!(refused(folder.path()).contains("contains no font file"));
    let broken = folder.path().join("broken.ttf");
    fs::write(&broken, "not a font").unwrap();
    assert_eq!(refused(folder.path()), format!("{} is not a TrueType or OpenType font", broken.display()));
}

#[test]
fn the_code_decodes_from_the_page() {
    let mut press = press();
    for name in ["Ana Lee", "محمد رضایی"] {
        let sheet = sheet(name, Some("Sam"));
        assert!(sheet.token.len() <= 154);
        assert_eq!(code_on(&draw(&mut press, &sheet).unwrap()), sheet.token);
    }
}

#[test]
fn the_text_can_be_copied_out() {
    let mut press = press();
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
fn long_texts_end_before_what_is_below_them() {
    let mut press = press();
    let sheet = crowded();
    let pdf = draw_checked(&mut press, &sheet, Check::Standards).unwrap();
    assert_eq!(code_on(&pdf), sheet.token);
    assert!(text_of(&pdf).contains("Questions?"));
}

#[tokio::test]
async fn many_who_print_at_once_share_a_few_presses() {
    let presses = Arc::new(Presses::new(Fonts::default()));
    let print = |presses: Arc<Presses>| async move { presses.print(sheet("Ana Lee", None)).await };
    let prints: Vec<_> = (0..16).map(|_| tokio::spawn(print(presses.clone()))).collect();
    for printed in prints {
        assert!(printed.await.unwrap().unwrap().starts_with(b"%PDF"));
    }
    assert!((1..=4).contains(&presses.made()), "{}", presses.made());
}

#[test]
fn the_same_ticket_is_the_same_file() {
    let draw = || draw(&mut press(), &sheet("Ana Lee", None)).unwrap();
    assert!(draw() == draw());
}

/// Writes a ticket of every Unicode block to `<temp>/tickets`: `cargo test --lib tickets_to_look_at -- --ignored`.
#[test]
#[ignore = "writes files to look at"]
fn tickets_to_look_at() {
    let folder = std::env::temp_dir().join("tickets");
    fs::create_dir_all(&folder).unwrap();
    let mut press = press();
    fs::write(folder.join("crowded.pdf"), draw(&mut press, &crowded()).unwrap()).unwrap();
    for (script, name) in SCRIPTS {
        let pdf = draw(&mut press, &sheet(name, Some("𞄀𞄲"))).unwrap();
        fs::write(folder.join(format!("{}.pdf", script.replace(' ', "-"))), pdf).unwrap();
    }
    let mut seen = HashSet::new();
    for (legal, preferred) in names() {
        let script = legal.chars().map(u32::from).max().unwrap_or_default() >> 7;
        if seen.insert(script) {
            let pdf = draw(&mut press, &sheet(&legal, preferred.as_deref())).unwrap();
            fs::write(folder.join(format!("{script:04x}.pdf")), pdf).unwrap();
        }
    }
}
