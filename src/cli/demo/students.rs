//! The students of the demo: from a file, or made up.

use std::path::Path;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::cli::Failed;

/// How many are made up by default.
pub(super) const DEFAULT: u32 = 50;

/// One student with the bodies of the two requests that people fill in.
#[derive(Clone, Debug, Deserialize)]
pub(in crate::cli) struct Student {
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
pub(in crate::cli) struct Expect {
    pub phone: Option<String>,
    pub emergency_contact_phone: Option<String>,
}

/// The most bad lines that are listed.
const MOST_ERRORS: usize = 10;

/// The first `most` students of a file, or all of them: JSON objects, one a line, or a JSON array of them.
///
/// # Errors
/// If the file can't be read; with the numbers of the lines at fault.
pub(super) fn from_file(file: &Path, most: Option<u32>) -> Result<Vec<Student>, Failed> {
    let text =
        std::fs::read_to_string(file).map_err(|error| Failed(format!("{}: {error}", file.display())))?;
    let students =
        read(&text).map_err(|lines| Failed(format!("{}: {}", file.display(), lines.join("\n    "))))?;
    Ok(students.into_iter().take(most.map_or(usize::MAX, |most| most as usize)).collect())
}

/// The students in a text, or what is wrong with which line. A byte order mark and blank lines are skipped.
fn read(text: &str) -> Result<Vec<Student>, Vec<String>> {
    let text = text.trim_start_matches('\u{feff}');
    if text.trim_start().starts_with('[') {
        return serde_json::from_str(text).map_err(|error| vec![at_line(error.line(), &error)]);
    }
    let (mut students, mut errors) = (vec![], vec![]);
    for (number, line) in (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty()) {
        match serde_json::from_str(line) {
            Ok(student) => students.push(student),
            Err(error) => errors.push(at_line(number, &error)),
        }
    }
    let more = errors.len().saturating_sub(MOST_ERRORS);
    errors.truncate(MOST_ERRORS);
    if more > 0 {
        errors.push(format!("{more} more lines"));
    }
    if errors.is_empty() { Ok(students) } else { Err(errors) }
}

/// The parser counts lines within what it gets, so its own are left out.
fn at_line(number: usize, error: &serde_json::Error) -> String {
    let detail = error.to_string();
    let detail = detail.rsplit_once(" at line ").map_or(detail.as_str(), |(detail, _)| detail);
    format!("line {number}: {detail} (column {})", error.column())
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
pub(in crate::cli) fn made_up(count: u32) -> Vec<Student> {
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

#[cfg(test)]
mod tests {
    use super::*;

    const ROW: &str = r#"{"account":{"email":"a@b.org"},"form":{}}"#;

    fn count(text: &str) -> usize {
        read(text).unwrap().len()
    }

    #[test]
    fn files_are_read_as_programs_write_them() {
        assert_eq!(count(&format!("{ROW}\n{ROW}")), 2);
        assert_eq!(count(&format!("{ROW}\n{ROW}\n\n  \n")), 2, "blank last lines");
        assert_eq!(count(&format!("\n{ROW}\n\n{ROW}\n")), 2, "blank lines between");
        assert_eq!(count(&format!("\u{feff}{ROW}\n{ROW}\n")), 2, "a byte order mark");
        assert_eq!(count(&format!("{ROW}\r\n{ROW}\r\n\r\n")), 2, "line ends of Windows");
        assert_eq!(count(&format!("[{ROW},\n {ROW}]")), 2, "an array");
        assert_eq!(count(&format!("\u{feff}\r\n[\r\n{ROW},\r\n{ROW}\r\n]\r\n")), 2, "an array from Windows");
        assert_eq!(count(""), 0);
    }

    #[test]
    fn bad_lines_are_reported_with_their_number() {
        let text = format!("{ROW}\n\nnonsense\n{ROW}\n{{\"account\":{{}}}}\n");
        let errors = read(&text).unwrap_err();
        assert_eq!(errors.len(), 2, "{errors:?}");
        assert!(errors[0].starts_with("line 3: ") && errors[1].starts_with("line 5: missing field `form`"));
        let errors = read(&format!("[{ROW},\n{ROW},\n{{\"form\":{{}}}}]")).unwrap_err();
        assert!(errors[0].starts_with("line 3: missing field `account`"), "{errors:?}");
        assert_eq!(read(&"x\n".repeat(30)).unwrap_err().len(), MOST_ERRORS + 1);
    }
}
