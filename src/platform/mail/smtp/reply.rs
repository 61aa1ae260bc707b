//! Replies of SMTP servers, read as bytes.
//!
//! A reply is one or more lines of three digits, followed by `-` and text if more lines follow, and otherwise by a space
//! and text, or by nothing (RFC 5321, 4.2). Only the digits decide. Servers write the text in any encoding, so it is
//! never required to be UTF-8.

use std::{fmt, io};

use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt};

/// The most octets of a reply that are read.
const LONGEST: usize = 100_000;

/// A reply, or what has arrived of it.
#[derive(Clone, Default)]
pub(super) struct Reply {
    bytes: Vec<u8>,
    is_complete: bool,
}

/// An enhanced status code, such as 5.7.1 (RFC 3463): class, subject, detail.
pub(super) type Status = (u16, u16, u16);

impl Reply {
    /// Reads until the end of the reply. If this fails or is cancelled, what has arrived by then stays.
    ///
    /// # Errors
    /// Those of the connection, and [`io::ErrorKind::InvalidData`] for what is not a reply or is too long.
    pub async fn read(&mut self, from: &mut (impl AsyncBufRead + Unpin)) -> io::Result<()> {
        loop {
            let start = self.bytes.len();
            let room = (LONGEST - start) as u64;
            (&mut *from).take(room).read_until(b'\n', &mut self.bytes).await?;
            let line = Line::parse(&self.bytes[start..])?;
            if !line.has_ended {
                let too_long = self.bytes.len() == LONGEST;
                let kind = if too_long { io::ErrorKind::InvalidData } else { io::ErrorKind::UnexpectedEof };
                return Err(kind.into());
            }
            if Some(line.code) != self.code() {
                return Err(io::ErrorKind::InvalidData.into());
            }
            if line.is_last {
                self.is_complete = true;
                return Ok(());
            }
        }
    }

    /// Whether it has been read to its end, so that another command can follow.
    pub fn is_complete(&self) -> bool {
        self.is_complete
    }

    /// Its code, known as soon as the first three digits and the character after them have arrived.
    pub fn code(&self) -> Option<u16> {
        Line::parse(&self.bytes).ok().map(|line| line.code)
    }

    /// Whether the code says no for good (5xx).
    pub fn is_permanent(&self) -> bool {
        matches!(self.code(), Some(500..=599))
    }

    /// The enhanced status code of the first line that begins with one.
    pub fn status(&self) -> Option<Status> {
        self.texts().find_map(|text| {
            let mut numbers = text.split_whitespace().next()?.split('.').map(|number| number.parse().ok());
            let status = (numbers.next()??, numbers.next()??, numbers.next()??);
            (numbers.next().is_none() && Some(status.0) == self.code().map(|code| code / 100))
                .then_some(status)
        })
    }

    /// The text of each line.
    pub fn texts(&self) -> impl Iterator<Item = String> {
        let lines = self.bytes.split_inclusive(|byte| *byte == b'\n');
        lines.map(|line| String::from_utf8_lossy(line.get(4..).unwrap_or_default()).trim().to_owned())
    }
}

impl fmt::Display for Reply {
    /// The code and the text on one line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.code().unwrap_or_default())?;
        for text in self.texts() {
            for word in text.split(|c: char| c.is_whitespace() || c.is_control()) {
                if !word.is_empty() {
                    write!(f, " {word}")?;
                }
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Reply({self})")
    }
}

/// What the first characters of a line say.
struct Line {
    code: u16,
    is_last: bool,
    has_ended: bool,
}

impl Line {
    fn parse(line: &[u8]) -> io::Result<Self> {
        let [a @ b'2'..=b'5', b @ b'0'..=b'9', c @ b'0'..=b'9', after, ..] = line else {
            // Less than four octets arrive if the connection is closed.
            let is_short = line.len() < 4 && line.iter().all(u8::is_ascii_digit);
            let kind = if is_short { io::ErrorKind::UnexpectedEof } else { io::ErrorKind::InvalidData };
            return Err(kind.into());
        };
        if !matches!(after, b' ' | b'-' | b'\t' | b'\r' | b'\n') {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let digit = |digit: &u8| u16::from(digit - b'0');
        let code = digit(a) * 100 + digit(b) * 10 + digit(c);
        Ok(Self { code, is_last: *after != b'-', has_ended: line.contains(&b'\n') })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(bytes: &[u8]) -> (Reply, Option<io::ErrorKind>) {
        let (mut reply, mut from) = (Reply::default(), bytes);
        let error = reply.read(&mut from).await.err().map(|error| error.kind());
        assert_eq!(reply.is_complete(), error.is_none());
        (reply, error)
    }

    #[tokio::test]
    async fn a_reply_needs_neither_text_nor_utf_8() {
        for (bytes, code, words) in [
            (&b"250\r\n"[..], 250, "250"),
            (b"250 \r\n", 250, "250"),
            (b"250\n", 250, "250"),
            (b"250 ok\r\n", 250, "250 ok"),
            (b"250 re\xe7u\r\n", 250, "250 re\u{fffd}u"),
            (b"250-\r\n250-\xff\xfe\r\n250\r\n", 250, "250 \u{fffd}\u{fffd}"),
            (b"220 \x80\r\n", 220, "220 \u{fffd}"),
            (b"550-5.7.1 one\r\n550 5.7.1 two\x07\r\n", 550, "550 5.7.1 one 5.7.1 two"),
        ] {
            let (reply, error) = read(bytes).await;
            assert_eq!((reply.code(), error), (Some(code), None), "{bytes:?}");
            assert_eq!(reply.to_string(), words);
        }
    }

    #[tokio::test]
    async fn the_code_is_known_before_the_reply_is_complete() {
        let long = [b"250 ".as_slice(), &vec![b'a'; LONGEST]].concat();
        for bytes in [b"250 ta".as_slice(), b"250-", b"250-one\r\n", b"250\r", &long] {
            let (reply, error) = read(bytes).await;
            assert_eq!(reply.code(), Some(250));
            assert!(error.is_some());
        }
    }

    #[tokio::test]
    async fn anything_else_is_no_reply() {
        for bytes in
            [&b""[..], b"2", b"250", b"hello\r\n", b"650 no\r\n", b"2500\r\n", b"\r\n", b"25\xe9 ok\r\n"]
        {
            let (reply, error) = read(bytes).await;
            assert_eq!(reply.code(), None, "{bytes:?}");
            assert!(error.is_some());
        }
        let (_, error) = read(b"250-one\r\n550 two\r\n").await;
        assert_eq!(error, Some(io::ErrorKind::InvalidData));
    }

    #[tokio::test]
    async fn a_status_is_read_where_a_line_begins_with_one() {
        for (bytes, status) in [
            (&b"550 5.7.1 no\r\n"[..], Some((5, 7, 1))),
            (b"550-no\r\n550 5.4.5 Daily limit\r\n", Some((5, 4, 5))),
            (b"554 5.2.252 SendAsDenied\r\n", Some((5, 2, 252))),
            (b"550 5.7.60\r\n", Some((5, 7, 60))),
            (b"550 whatever 5.7.1 means\r\n", None),
            (b"550 4.7.1 of another class\r\n", None),
            (b"550 5.7 no\r\n", None),
            (b"550 127.0.0.1 no\r\n", None),
            (b"550\r\n", None),
        ] {
            assert_eq!(read(bytes).await.0.status(), status, "{bytes:?}");
        }
    }
}
