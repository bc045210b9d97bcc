//! Responses that clients may go on from by `previous_response_id`, kept in this process up to a number of bytes.
//!
//! At the limit the oldest are forgotten; a client that goes on from one is told that it is not known. Nothing of it
//! survives a restart.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};

use wire::openai_responses::conversation::{Remembered, items_by_id};

use crate::fleet::memory::lock;

/// Stored responses by id.
#[derive(Debug)]
pub struct Conversations {
    bytes_max: u64,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    by_id: HashMap<String, Entry>,
    /// The newest response whose answer holds an item.
    by_item: HashMap<String, String>,
    /// The oldest first.
    order: VecDeque<String>,
    bytes: u64,
}

#[derive(Debug)]
struct Entry {
    remembered: Arc<Remembered>,
    item_ids: Vec<String>,
    bytes: u64,
}

/// What an entry takes beside its texts: keys, maps, the queue.
const ENTRY_BYTES: u64 = 256;

impl Conversations {
    /// A memory of at most `bytes_max` bytes.
    pub fn new(bytes_max: u64) -> Arc<Conversations> {
        Arc::new(Conversations {
            bytes_max,
            kept: Mutex::default(),
        })
    }

    /// Keeps a response. One that is larger than the whole memory is not kept.
    pub fn keep(&self, remembered: Remembered) {
        // Read before the lock is taken: an answer may be long.
        let named = items_by_id(&remembered.response).into_iter();
        let item_ids: Vec<String> = named.map(|(id, _)| id).collect();
        let texts = remembered.id.len() + remembered.items.len() + remembered.response.len();
        let bytes = texts as u64 + ENTRY_BYTES * (1 + item_ids.len() as u64);
        if bytes > self.bytes_max {
            return;
        }
        let id = remembered.id.clone();
        let mut kept = lock(&self.kept);
        if kept.forget(&id) {
            kept.order.retain(|known| *known != id);
        }
        kept.bytes += bytes;
        for item in &item_ids {
            kept.by_item.insert(item.clone(), id.clone());
        }
        kept.order.push_back(id.clone());
        let entry = Entry {
            remembered: Arc::new(remembered),
            item_ids,
            bytes,
        };
        kept.by_id.insert(id, entry);
        while kept.bytes > self.bytes_max {
            let Some(oldest) = kept.order.pop_front() else {
                break;
            };
            kept.forget(&oldest);
        }
    }

    /// A stored response.
    pub fn get(&self, id: &str) -> Option<Arc<Remembered>> {
        lock(&self.kept).by_id.get(id).map(|entry| entry.remembered.clone())
    }

    /// An item of a stored response, as JSON.
    pub fn item(&self, id: &str) -> Option<String> {
        let holder = {
            let kept = lock(&self.kept);
            kept.by_id.get(kept.by_item.get(id)?)?.remembered.clone()
        };
        let mut items = items_by_id(&holder.response).into_iter();
        items.find_map(|(known, item)| (known == id).then_some(item))
    }

    /// Forgets one; whether it was known.
    pub fn delete(&self, id: &str) -> bool {
        let mut kept = lock(&self.kept);
        let known = kept.forget(id);
        if known {
            kept.order.retain(|kept| kept != id);
        }
        known
    }
}

impl Kept {
    fn forget(&mut self, id: &str) -> bool {
        let Some(gone) = self.by_id.remove(id) else {
            return false;
        };
        self.bytes -= gone.bytes;
        for item in &gone.item_ids {
            // A later answer may bear the same id.
            if self.by_item.get(item).is_some_and(|holder| holder == id) {
                self.by_item.remove(item);
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(id: &str, bytes: usize) -> Remembered {
        Remembered {
            id: id.into(),
            items: vec![b' '; bytes],
            response: Vec::new(),
        }
    }

    #[test]
    fn the_oldest_is_forgotten_at_the_limit_and_what_was_deleted_takes_no_place() {
        let kept = Conversations::new(1100);
        kept.keep(response("a", 240));
        kept.keep(response("b", 240));
        assert!(kept.delete("b") && !kept.delete("b"));
        kept.keep(response("c", 250));
        assert!(kept.get("a").is_some() && kept.get("b").is_none() && kept.get("c").is_some());
        kept.keep(response("d", 240));
        assert!(kept.get("a").is_none() && kept.get("c").is_some() && kept.get("d").is_some());
        kept.keep(response("e", 1200));
        assert!(
            kept.get("e").is_none() && kept.get("d").is_some(),
            "too large to be kept at all"
        );
    }
}
