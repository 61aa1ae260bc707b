//! The text of a PDF, as people copy it.

use std::io::Write;
use std::process::{Command, Stdio};

/// The text of a PDF, read by `pdftotext`.
pub fn text_of_pdf(pdf: &[u8]) -> String {
    let pdf = pdf.to_vec();
    let mut reader = Command::new("pdftotext")
        .args(["-", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("pdftotext is installed (apt-get install poppler-utils)");
    let mut input = reader.stdin.take().expect("piped");
    let writing = std::thread::spawn(move || input.write_all(&pdf));
    let output = reader.wait_with_output().expect("it ends");
    writing.join().expect("no panic").expect("it reads to the end");
    assert!(output.status.success(), "not a PDF");
    String::from_utf8(output.stdout).expect("UTF-8")
}
