//! As whom an account reads the texts of the committee.

use super::model::Registration;
use crate::kernel::{Caller, Reader};
use crate::platform::store::{Store, StoreError};

/// As whom the caller reads. The group of a student is read from the store if it matters.
///
/// # Errors
/// [`StoreError`]
pub async fn reader(store: &Store, caller: &Caller, group_matters: bool) -> Result<Reader, StoreError> {
    if let Some(reader) = Reader::without_group(&caller.rights) {
        return Ok(reader);
    }
    let registration = match group_matters {
        true => store.get::<Registration>(&caller.account_id).await?,
        false => None,
    };
    Ok(Reader::Student { group: registration.map(|registration| registration.group) })
}
