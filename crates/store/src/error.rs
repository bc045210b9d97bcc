//! What goes wrong with a store.

/// Why a store did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The URL names no store.
    #[error("`{url}` is no store: {why}")]
    Url {
        /// As written, without a password.
        url: String,
        /// What is wrong, and what was meant.
        why: String,
    },
    /// It cannot be reached, or does not answer in time. It may be tried again.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// It can be read but not written: a read-only file, a full disk.
    #[error("the store takes no writes: {0}")]
    NotWritable(String),
    /// What it holds was written by a newer version of this program.
    #[error("the store is at schema version {found}, and this program knows {known}: use the newer program")]
    Newer {
        /// The store's version.
        found: u32,
        /// The newest this program knows.
        known: u32,
    },
    /// What was to be changed is no longer what it was when it was read. It may be read again and tried again.
    #[error("{0} was changed meanwhile")]
    Changed(String),
    /// What it holds, or what it was given, makes no sense.
    #[error("{0}")]
    Invalid(String),
}

impl StoreError {
    /// Whether the same may succeed later without anyone changing anything.
    pub fn is_transient(&self) -> bool {
        match self {
            StoreError::Unavailable(_) | StoreError::NotWritable(_) => true,
            StoreError::Url { .. } | StoreError::Newer { .. } | StoreError::Changed(_) | StoreError::Invalid(_) => {
                false
            }
        }
    }
}
