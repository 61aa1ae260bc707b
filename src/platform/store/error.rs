//! What can go wrong in the store.

/// A store error, in words for operators: they never hold what is in a document.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Another document has this key already. `index` is the name in the document's declaration, or `id`.
    /// A document that breaks two unique indexes at once is told one of them; which one depends on the database.
    #[error("another document has the same key in `{index}`")]
    Duplicate {
        /// The unique index.
        index: String,
    },

    /// Somebody else wrote what this transaction read. [`Store::transact`](super::Store::transact) runs the work
    /// again; callers never see it.
    #[error("another transaction wrote the same documents")]
    Conflict,

    /// The database was taken by others until patience ran out: worth another try later.
    #[error("the database was busy for too long")]
    Busy,

    /// The work inside the transaction ran longer than it may; it was rolled back.
    #[error("the work inside the transaction ran longer than it may, and was rolled back")]
    TooSlow,

    /// The transaction has ended: an earlier error ended it, or the handle was kept too long.
    #[error("the transaction has already ended")]
    TxAborted,

    /// A transaction was begun inside another one. It would wait for itself.
    #[error("a transaction was begun inside a transaction")]
    Nested,

    /// The database can't be used by this program, and why: told at start.
    #[error("{0}")]
    Unusable(String),

    /// The database failed.
    #[error("the database failed: {0}")]
    Failed(String),
}

/// What the store's verbs return.
pub(super) type Result<T, E = StoreError> = std::result::Result<T, E>;
