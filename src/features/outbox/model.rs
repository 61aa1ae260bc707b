//! Rendered emails as they are kept.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::kernel::{EmailAddress, Timestamp};
use crate::platform::mail::{Attachment, Email, Mail};
use crate::platform::store::{Class, Document, Index, Keep, Owner, Personal, PersonalField};

/// A rendered email. Its id is that of its mail.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StoredEmail {
    /// Id of the [`Mail`].
    pub id: String,
    /// Its recipient.
    pub to: EmailAddress,
    /// The recipient as addresses are compared.
    pub to_key: String,
    /// One line.
    pub subject: String,
    /// The email as plain text.
    pub text: String,
    /// The email as HTML.
    pub html: String,
    /// Names and kinds of its files, in their order; their contents are [`KeptFile`]s.
    pub files: Vec<FileInfo>,
    /// When it was first sent here.
    pub written_at: Timestamp,
}

/// What an email says about one of its files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FileInfo {
    /// File name in printable ASCII, without quotation marks and slashes.
    pub name: String,
    /// Such as `application/pdf`.
    pub content_type: String,
    /// In bytes.
    pub size: usize,
    /// The id under which the HTML shows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_id: Option<String>,
}

/// A file that went with an email.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KeptFile {
    /// See [`KeptFile::id_of`].
    pub id: String,
    /// Its content, in base64.
    #[serde(serialize_with = "to_base64", deserialize_with = "from_base64")]
    pub content: Vec<u8>,
}

impl Document for StoredEmail {
    const COLLECTION: &'static str = "outbox";
    const INDEXES: &'static [Index] = &[
        Index::on("outbox_by_time", &["writtenAt"]),
        Index::on("outbox_by_recipient", &["toKey", "writtenAt"]),
    ];
    const PERSONAL: Personal = Personal::Of(
        Owner::Address("toKey"),
        &[
            PersonalField::new("to", Class::Contact),
            PersonalField::new("toKey", Class::Contact),
            PersonalField::new("subject", Class::Content),
            PersonalField::new("text", Class::Content),
            PersonalField::new("html", Class::Content),
            PersonalField::new("files", Class::Content),
            PersonalField::new("writtenAt", Class::Activity),
        ],
    );
    const KEEP: Keep = Keep::until_disposal("emails are read here where no mail service is configured");

    fn id(&self) -> &str {
        &self.id
    }
}

impl Document for KeptFile {
    const COLLECTION: &'static str = "outbox_files";
    const PERSONAL: Personal =
        Personal::Of(Owner::PartOf("outbox"), &[PersonalField::new("content", Class::Content)]);
    const KEEP: Keep = Keep::until_disposal("attachments of the emails in `outbox`");

    fn id(&self) -> &str {
        &self.id
    }
}

impl StoredEmail {
    /// The email and its files as they are kept.
    pub fn of(mail: &Mail, email: &Email, now: Timestamp) -> (Self, Vec<KeptFile>) {
        let kept = Self {
            id: mail.id.clone(),
            to: mail.to.clone(),
            to_key: mail.to.key(),
            subject: email.subject.clone(),
            text: email.text.clone(),
            html: email.html.clone(),
            files: email.attachments.iter().map(FileInfo::of).collect(),
            written_at: now,
        };
        let files = email.attachments.iter().enumerate();
        let files =
            files.map(|(n, file)| KeptFile { id: KeptFile::id_of(&mail.id, n), content: file.bytes.clone() });
        (kept, files.collect())
    }
}

impl KeptFile {
    /// Id of the file with the number `n` (from 0) of an email.
    pub fn id_of(email: &str, n: usize) -> String {
        format!("{n}:{email}")
    }
}

impl FileInfo {
    fn of(file: &Attachment) -> Self {
        let harmless = |c: &char| matches!(c, ' '..='~') && !r#""\/;"#.contains(*c);
        Self {
            name: file.name.chars().filter(harmless).collect(),
            content_type: file.content_type.clone(),
            size: file.bytes.len(),
            content_id: file.content_id.map(str::to_owned),
        }
    }
}

fn to_base64<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&STANDARD.encode(bytes))
}

fn from_base64<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    STANDARD.decode(String::deserialize(deserializer)?).map_err(de::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_name_writes_no_header() {
        let file = Attachment::file("a\"b\r\nc/../é; x.pdf", "application/pdf", vec![1, 2]);
        let info = FileInfo::of(&file);
        assert_eq!((info.name.as_str(), info.size), ("abc.. x.pdf", 2));
    }

    #[test]
    fn a_file_survives_being_kept() {
        let file = KeptFile { id: KeptFile::id_of("ticket:1", 0), content: (0..=255).collect() };
        let back: KeptFile = serde_json::from_value(serde_json::to_value(&file).unwrap()).unwrap();
        assert_eq!(back.content, file.content);
    }
}
