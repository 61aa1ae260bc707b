//! Who is sent: forms from a file, or made-up students.

use std::path::Path;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::cli::Failed;

/// How many are made up unless told otherwise.
pub(super) const DEFAULT: u32 = 50;

/// One student with the bodies of the two requests that people fill in.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Student {
    /// The body of the sign-up, less the password.
    pub account: Value,
    /// The body of the registration.
    pub form: Value,
    /// What two fields read back as, where that is not as written.
    #[serde(default)]
    pub expect: Expect,
}

/// Phones are kept in E.164.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Expect {
    pub phone: Option<String>,
    pub emergency_contact_phone: Option<String>,
}

/// The first `most` rows of a file of one JSON object a line; all of them where `most` is `None`.
pub(super) fn from_file(file: &Path, most: Option<u32>) -> Result<Vec<Student>, Failed> {
    let text =
        std::fs::read_to_string(file).map_err(|error| Failed(format!("{}: {error}", file.display())))?;
    text.lines()
        .take(most.map_or(usize::MAX, |most| most as usize))
        .enumerate()
        .map(|(row, line)| {
            serde_json::from_str(line)
                .map_err(|error| Failed(format!("{}, line {}: {error}", file.display(), row + 1)))
        })
        .collect()
}

const NAMES: [(&str, &str); 12] = [
    ("Amara", "Okafor"),
    ("Zoë", "Müller"),
    ("Nguyễn", "Thị Hương"),
    ("محمد", "الحسن"),
    ("小明", "王"),
    ("지우", "김"),
    ("अनन्या", "शर्मा"),
    ("สมชาย", "ใจดี"),
    ("Владимир", "Иванов"),
    ("Ελένη", "Παπαδοπούλου"),
    ("Siobhán", "O’Brien"),
    ("さくら", "佐藤"),
];
const PRONOUNS: [&str; 4] = ["she/her", "he/him", "they/them", "Prefer not to say"];
const DISCIPLINES: [&str; 5] =
    ["Chemical", "Civil", "Electrical & Computer", "Engineering Science", "Track One (Undeclared)"];
const SIZES: [&str; 4] = ["S", "M", "L", "XL"];

/// `count` students with the choices of the shipped `event.toml`. Addresses differ from run to run, so that the
/// demo can be sent twice against one service.
pub(super) fn made_up(count: u32) -> Vec<Student> {
    let run = fastrand::u32(..);
    (0..count as usize).map(|n| student(n, run)).collect()
}

fn student(n: usize, run: u32) -> Student {
    let (first, last) = NAMES[n % NAMES.len()];
    let phone = format!("+1506234{:04}", n % 10_000);
    Student {
        account: json!({ "email": format!("student.{n:05}.{run:08x}@mail.example.edu"), "firstName": first, "lastName": last }),
        form: json!({
            "legalName": format!("{first} {last}"),
            "pronouns": PRONOUNS[n % PRONOUNS.len()],
            "birthDate": format!("{}-{:02}-{:02}", 2006 + n % 3, 1 + n % 12, 1 + n % 28),
            "studentId": student_id(n, run),
            "discipline": DISCIPLINES[n / 3 % DISCIPLINES.len()],
            "shirtSize": SIZES[n % SIZES.len()],
            "phone": phone,
            "emergencyContact": { "name": format!("Sam {last}"), "relationship": "parent", "phone": "+15062330166" },
            "dietary": [],
            "joinsHunt": !n.is_multiple_of(4),
            "huntTeammates": [],
            "summerCity": "Port Autumn",
            "summerCountry": "CA",
            "movingMonth": "August",
            "photoConsent": !n.is_multiple_of(5),
            "bursaryRequested": n.is_multiple_of(20),
        }),
        expect: Expect::default(),
    }
}

/// Nine letters and digits, other ones in every run.
fn student_id(n: usize, run: u32) -> String {
    let letter = |shift: u32| char::from(b'a' + (run >> shift & 15) as u8);
    format!("{}{}{}{}{n:05}", letter(0), letter(4), letter(8), letter(12))
}
