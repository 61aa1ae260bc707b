//! The document of this feature: internal notes on students.

use serde::{Deserialize, Serialize};

use crate::kernel::Timestamp;
use crate::platform::audit::Action;
use crate::platform::store::{Class, Document, Index, Keep, Owner, Personal, PersonalField};

/// A note was added.
pub const NOTE_ADDED: Action = Action::new("student.noteAdded");
/// A registration was corrected.
pub const REGISTRATION_CORRECTED: Action = Action::new("registration.corrected");
/// Students were exported.
pub const STUDENTS_EXPORTED: Action = Action::new("students.exported");

/// An internal note on a student, which the student does not see. Notes are never changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StudentNote {
    pub id: String,
    /// The student's account.
    pub student: String,
    /// The account that wrote it, or the machine's key.
    pub author: String,
    pub text: String,
    pub written_at: Timestamp,
}

impl Document for StudentNote {
    const COLLECTION: &'static str = "student_notes";
    const INDEXES: &'static [Index] = &[Index::on("student_notes_by_student", &["student", "writtenAt"])];
    const PERSONAL: Personal = Personal::Of(
        Owner::Account("student"),
        &[PersonalField::new("text", Class::Content), PersonalField::new("writtenAt", Class::Activity)],
    );
    const KEEP: Keep = Keep::until_disposal("what the committee has to remember about a student");

    fn id(&self) -> &str {
        &self.id
    }
}
