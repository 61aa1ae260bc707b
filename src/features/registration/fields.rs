//! The fields of the form, each described once.
//!
//! Whatever depends on a field's properties reads [`FIELDS`]: which fields are fixed after submission, and what a
//! registration declares as personal data. The bodies of the operations state the same limits, because the framework
//! needs them there as literals; a test compares them with the table.

use serde_json::{Value, json};

use super::form::Form;
use crate::config::{FormConfig, LIST_LENGTH, NAME_LENGTH, can_be_left_out};
use crate::kernel::{FieldError, PHONE_MAX, StudentField};
use crate::platform::store::{Class, PersonalField, Retention};

/// The longest legal name, in code points. Passports of some countries have names of more than 100.
const LEGAL_NAME_MAX: usize = 120;
/// The longest other name or place, in code points.
const NAME_MAX: usize = 100;
/// The longest remark, in code points.
const REMARK_MAX: usize = 4000;
/// The most team-mates that a student can wish for.
const TEAMMATES_MAX: usize = 20;

/// A student id: 5 to 9 letters and digits.
pub const STUDENT_ID: &str = "^[0-9A-Za-z]{5,9}$";
/// A country code of two letters.
pub const COUNTRY_CODE: &str = "^[A-Z]{2}$";

/// A field of the form.
pub struct Field {
    /// The field as it is granted to leaders.
    pub field: StudentField,
    /// Where a [`Registration`](super::Registration) stores it: `form.` and the name of the form's property.
    pub path: &'static str,
    /// Name for people, as in the heading of a column.
    pub label: &'static str,
    /// What it holds, with limits.
    pub kind: Kind,
    /// Whether a form is incomplete without it, if the event asks for it.
    pub required: bool,
    /// Whether the student can change it after submission.
    pub editable: bool,
    /// What kind of personal data it is.
    pub class: Class,
    /// What the disposal at the end of the school year does with it.
    pub retention: Retention,
    /// Its value in a form; null if it is absent.
    pub value: fn(&Form) -> Value,
}

/// What a field holds. Lengths are in code points, after cleaning.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// Text on one line, up to this length.
    Line(usize),
    /// Text with line breaks, up to this length.
    Remark(usize),
    /// Text that matches this regular expression.
    Code(&'static str),
    /// One of the options in `event.toml`, which have up to this length.
    Choice(usize),
    /// Different options of `event.toml`, up to this number.
    Choices(usize),
    /// A date, `YYYY-MM-DD`.
    Date,
    /// A phone number, up to this length as it is typed. It is stored in E.164.
    Phone(usize),
    /// Email addresses, up to this number.
    Addresses(usize),
    /// Yes or no.
    Flag,
    /// An object with these properties, all of them required: name, label and kind of each.
    Object(&'static [(&'static str, &'static str, Kind)]),
}

/// The properties of an emergency contact.
const EMERGENCY_CONTACT: Kind = Kind::Object(&[
    ("name", "Name", Kind::Line(NAME_MAX)),
    ("relationship", "Relationship", Kind::Line(NAME_MAX)),
    ("phone", "Phone", Kind::Phone(PHONE_MAX)),
]);

/// Every field of the form, in its order.
pub const FIELDS: &[Field] = {
    use Class::{Contact, Health, Identity, Logistics};
    use Kind::{Addresses, Choice, Choices, Code, Date, Flag, Line, Phone, Remark};
    use StudentField as F;
    &[
        Field::new(F::LegalName, "form.legalName", "Legal name", Line(LEGAL_NAME_MAX), Identity, |form| {
            json!(form.legal_name)
        })
        .fixed(),
        Field::new(F::Pronouns, "form.pronouns", "Pronouns", Choice(NAME_LENGTH), Identity, |form| {
            json!(form.pronouns)
        })
        .fixed()
        .counted(),
        Field::new(
            F::PronounsOther,
            "form.pronounsOther",
            "Other pronouns",
            Line(NAME_MAX),
            Identity,
            |form| json!(form.pronouns_other),
        )
        .fixed()
        .optional(),
        Field::new(F::BirthDate, "form.birthDate", "Birth date", Date, Identity, |form| {
            json!(form.birth_date)
        })
        .fixed(),
        Field::new(F::StudentId, "form.studentId", "Student id", Code(STUDENT_ID), Identity, |form| {
            json!(form.student_id)
        })
        .fixed(),
        Field::new(F::Discipline, "form.discipline", "Discipline", Choice(NAME_LENGTH), Logistics, |form| {
            json!(form.discipline)
        })
        .fixed()
        .counted(),
        Field::new(F::ShirtSize, "form.shirtSize", "Shirt size", Choice(NAME_LENGTH), Logistics, |form| {
            json!(form.shirt_size)
        })
        .fixed()
        .counted(),
        Field::new(F::Phone, "form.phone", "Phone", Phone(PHONE_MAX), Contact, |form| json!(form.phone)),
        Field::new(
            F::EmergencyContact,
            "form.emergencyContact",
            "Emergency contact",
            EMERGENCY_CONTACT,
            Contact,
            |form| json!(form.emergency_contact),
        ),
        Field::new(
            F::MedicalInformation,
            "form.medicalInformation",
            "Medical information",
            Remark(REMARK_MAX),
            Health,
            |form| json!(form.medical_information),
        )
        .optional(),
        Field::new(F::Medication, "form.medication", "Medication", Remark(REMARK_MAX), Health, |form| {
            json!(form.medication)
        })
        .optional(),
        Field::new(F::Dietary, "form.dietary", "Dietary needs", Choices(LIST_LENGTH), Health, |form| {
            json!(form.dietary)
        })
        .optional(),
        Field::new(
            F::DietaryOther,
            "form.dietaryOther",
            "Other dietary needs",
            Line(NAME_MAX),
            Health,
            |form| json!(form.dietary_other),
        )
        .optional(),
        Field::new(
            F::Accessibility,
            "form.accessibility",
            "Accessibility needs",
            Remark(REMARK_MAX),
            Health,
            |form| json!(form.accessibility),
        )
        .fixed()
        .optional(),
        Field::new(
            F::AccessibilityContact,
            "form.accessibilityContact",
            "May be contacted about accessibility",
            Flag,
            Health,
            |form| json!(form.accessibility_contact),
        )
        .optional(),
        Field::new(F::JoinsHunt, "form.joinsHunt", "Joins the hunt", Flag, Logistics, |form| {
            json!(form.joins_hunt)
        })
        .counted(),
        Field::new(
            F::HuntTeammates,
            "form.huntTeammates",
            "Team-mates for the hunt",
            Addresses(TEAMMATES_MAX),
            // Addresses of other people.
            Contact,
            |form| json!(form.hunt_teammates),
        )
        .optional(),
        Field::new(F::SummerCity, "form.summerCity", "City in summer", Line(NAME_MAX), Logistics, |form| {
            json!(form.summer_city)
        }),
        Field::new(
            F::SummerCountry,
            "form.summerCountry",
            "Country in summer",
            Code(COUNTRY_CODE),
            Logistics,
            |form| json!(form.summer_country),
        ),
        Field::new(
            F::MovingMonth,
            "form.movingMonth",
            "Month of moving",
            Choice(NAME_LENGTH),
            Logistics,
            |form| json!(form.moving_month),
        )
        .optional(),
        Field::new(F::PhotoConsent, "form.photoConsent", "May be photographed", Flag, Logistics, |form| {
            json!(form.photo_consent)
        })
        .fixed(),
        Field::new(
            F::BursaryRequested,
            "form.bursaryRequested",
            "Asks for a bursary",
            Flag,
            Logistics,
            |form| json!(form.bursary_requested),
        )
        .counted(),
    ]
};

impl Field {
    /// A required field that the student can change and the disposal erases.
    const fn new(
        field: StudentField,
        path: &'static str,
        label: &'static str,
        kind: Kind,
        class: Class,
        value: fn(&Form) -> Value,
    ) -> Self {
        let (required, editable, retention) = (true, true, Retention::Erased);
        Self { field, path, label, kind, required, editable, class, retention, value }
    }

    /// The same, which the student can't change after submission.
    const fn fixed(mut self) -> Self {
        self.editable = false;
        self
    }

    /// The same, without which a form is complete.
    const fn optional(mut self) -> Self {
        self.required = false;
        self
    }

    /// The same, which the disposal keeps for statistics.
    const fn counted(mut self) -> Self {
        self.retention = Retention::Counted;
        self
    }

    /// Name of the property in the form's bodies.
    pub fn name(&self) -> &'static str {
        self.path.rsplit('.').next().unwrap_or(self.path)
    }

    /// Whether an event can leave the field out of its form. Its property is optional in the schema then.
    pub fn can_be_left_out(&self) -> bool {
        can_be_left_out(&self.field)
    }

    /// Whether the value says anything. Absent lists and flags of optional fields are stored as empty and false.
    pub fn is_given(&self, value: &Value) -> bool {
        match value {
            Value::Null => false,
            Value::Array(items) => !items.is_empty(),
            Value::Bool(flag) => *flag || self.required,
            _ => true,
        }
    }

    fn error(&self, code: &'static str, detail: &str) -> FieldError {
        FieldError::new(format!("/{}", self.name()), code, detail)
    }

    fn missing(&self, detail: &str) -> FieldError {
        self.error("missing", detail)
    }

    fn not_asked(&self) -> FieldError {
        self.error("not-asked", "The event does not ask for this. Leave it out.")
    }

    fn fixed_after_submitting(&self) -> FieldError {
        let detail = "This is fixed after submission. Ask the committee to change it.";
        self.error("fixed-after-submitting", detail)
    }
}

/// What can be granted of the account and the registration beside the form, with names for people.
pub const BESIDE_THE_FORM: &[(StudentField, &str)] = &[
    (StudentField::Email, "Email address"),
    (StudentField::PreferredName, "Preferred name"),
    (StudentField::SubmittedAt, "Time of submission"),
    (StudentField::RegisteredAt, "Time of registration"),
];

/// The name for people of a field that is not an answer.
pub fn label(field: &StudentField) -> &'static str {
    let of_form = FIELDS.iter().map(|known| (&known.field, known.label));
    let beside = BESIDE_THE_FORM.iter().map(|(known, label)| (known, *label));
    of_form.chain(beside).find(|(known, _)| *known == field).map_or("", |(_, label)| label)
}

/// Number of the personal fields that a registration has beside the form's.
const OWN: usize = 9;

/// The personal fields of a registration: those of the form, and its own.
pub const PERSONAL_FIELDS: [PersonalField; FIELDS.len() + OWN] = {
    let mut all = [PersonalField::new("studentKey", Class::Identity); FIELDS.len() + OWN];
    all[1] = PersonalField::new("group", Class::Logistics);
    all[2] = PersonalField::new("submittedAt", Class::Activity);
    all[3] = PersonalField::new("registeredAt", Class::Activity);
    all[4] = PersonalField::new("ticketIssuedAt", Class::Activity);
    // Each question has its class and retention in `event.toml`. Here is the strictest of each.
    all[5] = PersonalField::new("form.answers", Class::Health);
    all[6] = PersonalField::new("email", Class::Contact);
    all[7] = PersonalField::new("preferredName", Class::Identity);
    // Sort keys of health data are among them.
    all[8] = PersonalField::new("search", Class::Health);
    let mut i = 0;
    while i < FIELDS.len() {
        let Field { path, class, retention, .. } = FIELDS[i];
        all[OWN + i] = PersonalField { path, class, retention };
        i += 1;
    }
    all
};

/// The errors of a submitted form about fields that are missing, and about those that the event doesn't ask for. The
/// schema requires the fields that no event can leave out.
pub fn misplaced(form: &Form, config: &FormConfig) -> Vec<FieldError> {
    let of_one = |field: &Field| {
        let value = (field.value)(form);
        match config.asks(&field.field) {
            true if field.required && value.is_null() => Some(field.missing("This is required.")),
            false if field.is_given(&value) => Some(field.not_asked()),
            _ => None,
        }
    };
    FIELDS.iter().filter_map(of_one).collect()
}

/// The errors of changes about properties that the event doesn't ask for, that are fixed after submission, or that are
/// cleared although a form needs them.
pub fn refused(sent: &Value, config: &FormConfig) -> Vec<FieldError> {
    let of_one = |field: &Field| match sent.get(field.name())? {
        value if !config.asks(&field.field) => field.is_given(value).then(|| field.not_asked()),
        _ if !field.editable => Some(field.fixed_after_submitting()),
        Value::Null if field.required => {
            Some(field.missing("This is required. You can change it but not remove it."))
        }
        _ => None,
    };
    FIELDS.iter().filter_map(of_one).collect()
}

#[cfg(test)]
#[path = "fields_tests.rs"]
mod tests;
