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
    by_id: HashMap<String, Arc<Remembered>>,
    /// The newest response that holds an item.
    by_item: HashMap<String, String>,
    /// The oldest first. An id that was deleted stays until its turn comes.
    order: VecDeque<String>,
    bytes: u64,
}

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
        let size = size(&remembered);
        if size > self.bytes_max {
            return;
        }
        let mut kept = lock(&self.kept);
        kept.forget(&remembered.id);
        kept.bytes += size;
        for (item, _) in items_by_id(&remembered.items) {
            kept.by_item.insert(item, remembered.id.clone());
        }
        kept.order.push_back(remembered.id.clone());
        kept.by_id.insert(remembered.id.clone(), Arc::new(remembered));
        while kept.bytes > self.bytes_max {
            let Some(oldest) = kept.order.pop_front() else {
                break;
            };
            kept.forget(&oldest);
        }
    }

    /// A stored response.
    pub fn get(&self, id: &str) -> Option<Arc<Remembered>> {
        lock(&self.kept).by_id.get(id).cloned()
    }

    /// An item of a stored response, as JSON.
    pub fn item(&self, id: &str) -> Option<String> {
        let holder = {
            let kept = lock(&self.kept);
            kept.by_id.get(kept.by_item.get(id)?).cloned()?
        };
        let mut items = items_by_id(&holder.items).into_iter();
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
        self.bytes -= size(&gone);
        for (item, _) in items_by_id(&gone.items) {
            // A later turn of the conversation holds it too.
            if self.by_item.get(&item).is_some_and(|holder| holder == id) {
                self.by_item.remove(&item);
            }
        }
        true
    }
}

fn size(remembered: &Remembered) -> u64 {
    (remembered.id.len() + remembered.items.len() + remembered.response.len()) as u64
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
        let kept = Conversations::new(100);
        kept.keep(response("a", 40));
        kept.keep(response("b", 40));
        assert!(kept.delete("b") && !kept.delete("b"));
        kept.keep(response("c", 50));
        assert!(kept.get("a").is_some() && kept.get("b").is_none() && kept.get("c").is_some());
        kept.keep(response("d", 40));
        assert!(kept.get("a").is_none() && kept.get("c").is_some() && kept.get("d").is_some());
        kept.keep(response("e", 200));
        assert!(
            kept.get("e").is_none() && kept.get("d").is_some(),
            "too large to be kept at all"
        );
    }
}
