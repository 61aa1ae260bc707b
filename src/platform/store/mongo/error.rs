//! The meaning of the driver's errors.

use bson::{Array, Document};
use mongodb::error::{
    Error, ErrorKind, IndexedWriteError, InsertManyError, TRANSIENT_TRANSACTION_ERROR, WriteFailure,
};

use super::super::StoreError;

/// A unique key is taken.
const DUPLICATE_KEY: i32 = 11000;

/// The store error for an error of the driver.
pub(super) fn failed(error: Error) -> StoreError {
    if let Some(message) = duplicate(&error) {
        return StoreError::Duplicate { index: violated(message).into() };
    }
    if collided(&error) {
        return StoreError::Conflict;
    }
    StoreError::Failed(format!("MongoDB: {}", reason(&error)))
}

/// Why the server refused part of a command that it answered. It reports refused updates in this form, as it does inserts.
pub(super) fn refused(answer: Document) -> Option<StoreError> {
    if !answer.contains_key("writeErrors") {
        return None;
    }
    let is_transient = |labels: &Array| labels.contains(&TRANSIENT_TRANSACTION_ERROR.into());
    if answer.get_array("errorLabels").is_ok_and(is_transient) {
        return Some(StoreError::Conflict);
    }
    Some(match bson::deserialize_from_document(answer) {
        Ok(several) => failed(ErrorKind::InsertMany(several).into()),
        Err(_) => StoreError::Failed("MongoDB: it refused an update".into()),
    })
}

/// Whether the server returned the error, as opposed to the network.
pub(super) fn is_answer(error: &Error) -> bool {
    matches!(*error.kind, ErrorKind::Command(_) | ErrorKind::Write(_) | ErrorKind::InsertMany(_))
}

/// Whether the transaction may succeed if it runs again: another one wrote the same documents, or the connection was
/// lost. Not after a failed server selection, which has already waited long enough.
fn collided(error: &Error) -> bool {
    error.contains_label(TRANSIENT_TRANSACTION_ERROR)
        && !matches!(*error.kind, ErrorKind::ServerSelection { .. })
}

/// The server's message about a duplicate key. It quotes the key, so it must not be shown.
fn duplicate(error: &Error) -> Option<&str> {
    match error.kind.as_ref() {
        ErrorKind::Write(WriteFailure::WriteError(write)) if write.code == DUPLICATE_KEY => {
            Some(&write.message)
        }
        ErrorKind::Command(command) if command.code == DUPLICATE_KEY => Some(&command.message),
        ErrorKind::InsertMany(several) => {
            first(several).filter(|write| write.code == DUPLICATE_KEY).map(|write| &*write.message)
        }
        _ => None,
    }
}

/// Why the first of several documents was refused; then none is inserted.
fn first(several: &InsertManyError) -> Option<&IndexedWriteError> {
    several.write_errors.as_ref()?.first()
}

/// The index in "E11000 duplicate key error collection: db.jobs index: jobs_waiting dup key: { … }".
fn violated(message: &str) -> &str {
    match message.split("index: ").nth(1).and_then(|rest| rest.split_whitespace().next()) {
        Some("_id_") => "id",
        Some(index) => index,
        None => "unknown",
    }
}

/// The reason in words that never contain stored data, as the server's own do.
pub(super) fn reason(error: &Error) -> String {
    match error.kind.as_ref() {
        ErrorKind::Authentication { .. } => "it refuses the user or the password".into(),
        ErrorKind::ServerSelection { message, .. } | ErrorKind::DnsResolve { message, .. } => message.clone(),
        ErrorKind::Io(error) => error.to_string(),
        ErrorKind::ConnectionPoolCleared { .. } => "its connections were lost".into(),
        ErrorKind::IncompatibleServer { message, .. } | ErrorKind::InvalidTlsConfig { message, .. } => {
            message.clone()
        }
        ErrorKind::SessionsNotSupported => "it has no sessions".into(),
        ErrorKind::Command(command) => server_error(command.code, &command.code_name),
        ErrorKind::Write(WriteFailure::WriteError(write)) => {
            server_error(write.code, write.code_name.as_deref().unwrap_or_default())
        }
        ErrorKind::Write(WriteFailure::WriteConcernError(concern)) => {
            server_error(concern.code, &concern.code_name)
        }
        ErrorKind::InsertMany(several) if let Some(write) = first(several) => {
            server_error(write.code, write.code_name.as_deref().unwrap_or_default())
        }
        _ => "the driver could not carry out the call".into(),
    }
}

fn server_error(code: i32, name: &str) -> String {
    format!("it answered with error {code} {name}").trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use bson::doc;

    use super::*;

    #[test]
    fn a_taken_key_among_several_documents_is_a_duplicate() {
        let sentence = "E11000 duplicate key error collection: a.b index: things_by_email dup key: { x: 1 }";
        let write = serde_json::json!({ "index": 3, "code": 11000, "errmsg": sentence });
        let several = serde_json::json!({ "writeErrors": [write], "writeConcernError": null });
        let error = Error::from(ErrorKind::InsertMany(serde_json::from_value(several).unwrap()));
        assert!(is_answer(&error));
        assert_eq!(failed(error), StoreError::Duplicate { index: "things_by_email".into() });
    }

    #[test]
    fn a_refused_update_is_recognised_in_the_answer() {
        let sentence = "E11000 duplicate key error collection: a.b index: things_by_email dup key: { x: 1 }";
        let errors = [doc! { "index": 1, "code": 11000, "errmsg": sentence }];
        let answer = doc! { "n": 1, "writeErrors": &errors[..], "ok": 1.0 };
        assert_eq!(refused(answer), Some(StoreError::Duplicate { index: "things_by_email".into() }));
        let labels = [TRANSIENT_TRANSACTION_ERROR];
        let collided = doc! { "writeErrors": &errors[..], "errorLabels": &labels[..], "ok": 1.0 };
        assert_eq!(refused(collided), Some(StoreError::Conflict));
        assert!(matches!(refused(doc! { "writeErrors": "?" }), Some(StoreError::Failed(_))));
        assert_eq!(refused(doc! { "n": 2, "ok": 1.0 }), None);
    }

    #[test]
    fn the_index_is_parsed_from_the_servers_message() {
        let sentence =
            |index| format!("E11000 duplicate key error collection: a.b index: {index} dup key: {{ x: 1 }}");
        assert_eq!(violated(&sentence("jobs_waiting")), "jobs_waiting");
        assert_eq!(violated(&sentence("_id_")), "id");
        assert_eq!(violated("something else"), "unknown");
    }
}
