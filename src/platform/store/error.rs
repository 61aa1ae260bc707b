//! Store errors.

/// A store error. The messages are for operators and never contain stored data.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Another document already has this key. `index` is the name in the document's declaration, or `id`.
    /// A document that violates two unique indexes at once gets one of them; which one depends on the database.
    #[error("another document has the same key in `{index}`")]
    Duplicate {
        /// The unique index.
        index: String,
    },

    /// Another transaction wrote what this one read. [`Store::transact`](super::Store::transact) runs the work
    /// again; callers never see this error.
    #[error("another transaction wrote the same documents")]
    Conflict,

    /// Others kept the database busy until the wait timed out. A later retry may succeed.
    #[error("the database was busy for too long")]
    Busy,

    /// The work inside the transaction exceeded its time limit and was rolled back.
    #[error("the work inside the transaction exceeded its time limit and was rolled back")]
    TooSlow,

    /// The transaction has already ended: after an earlier error, or because the handle outlived the work.
    #[error("the transaction has already ended")]
    TxAborted,

    /// A transaction was begun inside another one, and would wait for itself.
    #[error("a transaction was begun inside a transaction")]
    Nested,

    /// The program can't use this database, and why. Reported at start.
    #[error("{0}")]
    Unusable(String),

    /// The database failed.
    #[error("the database failed: {0}")]
    Failed(String),
}

/// The result of the store's verbs.
pub(super) type Result<T, E = StoreError> = std::result::Result<T, E>;
