//! Where a dialect is served, when that is not its maker's own address: paths, versions and bodies differ a little.

use bytes::Bytes;
use types::dialect::{DialectName, Operation};

use crate::dialect;

/// How a provider serves its dialect.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Hosting {
    /// As its maker does.
    #[default]
    Native,
}

impl Hosting {
    /// The path of a call behind the provider's `base_url`; `None` when it cannot be asked there.
    pub fn path(&self, name: DialectName, operation: Operation, model: &str, stream: bool) -> Option<String> {
        match self {
            Hosting::Native => dialect::path(name, operation, model, stream),
        }
    }

    /// The body as the host wants it.
    pub fn fit(&self, _name: DialectName, body: Bytes) -> Bytes {
        match self {
            Hosting::Native => body,
        }
    }
}
