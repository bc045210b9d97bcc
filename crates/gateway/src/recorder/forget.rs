//! Forgets what a key's calls said: the texts that were kept and the responses that could be gone on from. The ledger stays.

use std::sync::Arc;

use store::error::StoreError;
use types::ids::KeyId;

use crate::conversations::Conversations;
use crate::stores::Keeping;

/// Forgets texts on demand. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Forgetter {
    keeping: Keeping,
    conversations: Arc<Conversations>,
}

impl Forgetter {
    /// One for this store.
    pub fn new(keeping: Keeping, conversations: Arc<Conversations>) -> Forgetter {
        Forgetter { keeping, conversations }
    }

    /// Forgets the texts and stored responses of a key; how many went. Of calls that are under way, or have just ended, texts may
    /// still be written: revoke the key first, and ask again when its calls are over. Other instances forget within a minute what
    /// they have in memory.
    pub async fn texts_of(&self, key: &KeyId) -> Result<u64, StoreError> {
        self.keeping.writer.flush().await;
        let gone = self.keeping.records.forget_texts_of(key).await?;
        self.conversations.doubt();
        Ok(gone)
    }
}
