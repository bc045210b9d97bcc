//! Responses that clients may go on from by `previous_response_id`.
//!
//! With a store they are kept there: they survive a restart, are shared by its instances, and expire. In front of it, and alone where
//! there is no store, is a memory of a number of bytes, at whose limit the oldest are forgotten. A response belongs to the tenant it
//! was made for; to others it is not known.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use store::error::StoreError;
use store::records::entry::Entry as Written;
use store::records::query::StoredResponse;
use tracing::debug;
use types::time::UnixMillis;
use wire::openai_responses::conversation::{self, Remembered, items_by_id};
use wire::request::BadRequest;

use crate::fleet::memory::lock;
use crate::stores::Keeping;

/// What another instance deleted is forgotten here after this long.
const SURE_FOR: Duration = Duration::from_secs(60);
/// References of one request that are looked up in the store; those beyond it stay references.
const LOOKUPS_MAX: usize = 128;
/// Longer ids are not asked for: nobody gave them out.
const ID_LEN_MAX: usize = 256;

/// Stored responses by id.
#[derive(Debug)]
pub struct Conversations {
    bytes_max: u64,
    store: Option<Keeping>,
    retain: Duration,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    by_id: HashMap<Key, Entry>,
    /// The newest response whose answer holds an item.
    by_item: HashMap<Key, Key>,
    /// The oldest first.
    order: VecDeque<Key>,
    bytes: u64,
}

/// Whose, and its id.
type Key = (Option<String>, String);

#[derive(Debug)]
struct Entry {
    remembered: Arc<Remembered>,
    item_ids: Vec<String>,
    bytes: u64,
    /// When the store was last seen to have it.
    sure: UnixMillis,
    expires: UnixMillis,
}

/// What an entry takes beside its texts: keys, maps, the queue.
const ENTRY_BYTES: u64 = 256;

impl Conversations {
    /// A memory of at most `bytes_max` bytes, in front of a store that keeps responses for `retain`. Of 0 bytes: nothing is kept,
    /// in the store neither.
    pub fn new(bytes_max: u64, store: Option<Keeping>, retain: Duration) -> Arc<Conversations> {
        Arc::new(Conversations {
            bytes_max,
            store: store.filter(|_| bytes_max > 0),
            retain,
            kept: Mutex::default(),
        })
    }

    /// Keeps a response of a tenant. One that is larger than the whole memory is kept in the store alone.
    pub fn keep(&self, remembered: Remembered, tenant: Option<String>, now: UnixMillis) {
        // Read before the lock is taken: an answer may be long.
        let item_ids = item_ids(&remembered);
        let expires = UnixMillis(now.0.saturating_add(self.retain.as_millis() as u64));
        if let Some(keeping) = self.store.as_ref().filter(|_| remembered.id.len() <= ID_LEN_MAX) {
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            keeping.writer.write(Written::Response(Box::new(StoredResponse {
                id: remembered.id.clone(),
                tenant: tenant.clone(),
                at: now,
                expires,
                items: text(&remembered.items),
                response: text(&remembered.response),
                item_ids: item_ids.clone(),
            })));
        }
        self.keep_here(Arc::new(remembered), item_ids, tenant, now, expires);
    }

    fn keep_here(
        &self,
        remembered: Arc<Remembered>,
        item_ids: Vec<String>,
        tenant: Option<String>,
        now: UnixMillis,
        expires: UnixMillis,
    ) {
        let texts = remembered.id.len() + remembered.items.len() + remembered.response.len();
        let bytes = texts as u64 + ENTRY_BYTES * (1 + item_ids.len() as u64);
        if bytes > self.bytes_max {
            return;
        }
        let key: Key = (tenant.clone(), remembered.id.clone());
        let mut kept = lock(&self.kept);
        if kept.forget(&key) {
            kept.order.retain(|known| *known != key);
        }
        kept.bytes += bytes;
        for item in &item_ids {
            kept.by_item.insert((tenant.clone(), item.clone()), key.clone());
        }
        kept.order.push_back(key.clone());
        let entry = Entry {
            remembered,
            item_ids,
            bytes,
            sure: now,
            expires,
        };
        kept.by_id.insert(key, entry);
        while kept.bytes > self.bytes_max {
            let Some(oldest) = kept.order.pop_front() else {
                break;
            };
            kept.forget(&oldest);
        }
    }

    /// A stored response of a tenant.
    pub async fn get(&self, id: &str, tenant: Option<&str>, now: UnixMillis) -> Option<Arc<Remembered>> {
        let key: Key = (tenant.map(str::to_owned), id.to_owned());
        let here = self.here(&key, now);
        let (Some(keeping), false) = (&self.store, matches!(here, Some((_, true)))) else {
            return here.map(|(remembered, _)| remembered);
        };
        if id.len() > ID_LEN_MAX {
            return None;
        }
        match keeping.records.response(id, tenant).await {
            Ok(found) => self.take_in(found, now).or_else(|| {
                self.forget_here(&key);
                None
            }),
            // What is known here is still good while the store is gone.
            Err(error) => {
                debug!(error = %error, "Failed to read a stored response: {error}");
                here.map(|(remembered, _)| remembered)
            }
        }
    }

    /// An item of a stored response of a tenant, as JSON. `known` are the items of responses that were looked up before.
    async fn item(
        &self,
        id: &str,
        tenant: Option<&str>,
        now: UnixMillis,
        known: &mut BTreeMap<String, String>,
        lookups: &mut usize,
    ) {
        if known.contains_key(id) {
            return;
        }
        let key: Key = (tenant.map(str::to_owned), id.to_owned());
        let holder = {
            let kept = lock(&self.kept);
            let holder = kept.by_item.get(&key).and_then(|holder| kept.by_id.get(holder));
            holder
                .filter(|entry| entry.expires > now && self.is_sure(entry, now))
                .map(|entry| entry.remembered.clone())
        };
        let holder = match (holder, &self.store) {
            (None, Some(keeping)) if *lookups < LOOKUPS_MAX && id.len() <= ID_LEN_MAX => {
                *lookups += 1;
                let found = keeping.records.response_of_item(id, tenant).await;
                found.ok().and_then(|found| self.take_in(found, now))
            }
            (holder, _) => holder,
        };
        for (id, item) in holder.iter().flat_map(|holder| items_by_id(&holder.response)) {
            known.entry(id).or_insert(item);
        }
    }

    /// The same request made to stand for itself: what it goes on from and what it refers to is in it, as far as it is known here.
    /// `None`: larger than `bytes_max`.
    pub async fn stand_alone(
        &self,
        request: &Bytes,
        previous: Option<String>,
        tenant: Option<&str>,
        bytes_max: u64,
        now: UnixMillis,
    ) -> Result<Option<Bytes>, BadRequest> {
        let earlier = match &previous {
            Some(id) => self.get(id, tenant, now).await,
            None => None,
        };
        // One that is not ours, or forgotten: a provider of the same dialect may know it.
        let expanded = match earlier {
            Some(earlier) => conversation::expand(request, &earlier.items)?,
            None => request.clone(),
        };
        let room = usize::try_from(bytes_max).unwrap_or(usize::MAX);
        let asked = Mutex::new(Vec::new());
        conversation::dereference(&expanded, room, |id| {
            lock(&asked).push(id.to_owned());
            None
        })?;
        let asked = asked.into_inner().unwrap_or_default();
        let mut known = BTreeMap::new();
        let mut lookups = 0;
        for id in &asked {
            self.item(id, tenant, now, &mut known, &mut lookups).await;
        }
        let whole = match known.is_empty() {
            true => expanded,
            false => conversation::dereference(&expanded, room, |id| known.get(id).cloned())?,
        };
        Ok((whole.len() as u64 <= bytes_max).then_some(whole))
    }

    /// Forgets one of a tenant; whether it was known, and is gone for good. While the store is away nothing is: it would come back.
    pub async fn delete(&self, id: &str, tenant: Option<&str>) -> bool {
        self.try_delete(id, tenant).await.unwrap_or(false)
    }

    /// The same; an error while the store is away, and nothing is forgotten then.
    pub async fn try_delete(&self, id: &str, tenant: Option<&str>) -> Result<bool, StoreError> {
        let key: Key = (tenant.map(str::to_owned), id.to_owned());
        let Some(keeping) = self.store.as_ref().filter(|_| id.len() <= ID_LEN_MAX) else {
            return Ok(self.forget_here(&key));
        };
        // It may still wait to be written, and what waits in the spool is written when the store is back.
        keeping.writer.flush().await;
        let health = keeping.writer.health();
        if let Some(why) = health.failing {
            return Err(StoreError::Unavailable(why));
        }
        if health.spooled > 0 {
            return Err(StoreError::Unavailable("entries wait to be written".to_owned()));
        }
        let there = keeping.records.delete_response(id, tenant).await.inspect_err(|error| {
            debug!(error = %error, "Failed to delete a stored response: {error}");
        })?;
        Ok(self.forget_here(&key) || there)
    }

    /// What is known here, and whether that needs no look at the store.
    fn here(&self, key: &Key, now: UnixMillis) -> Option<(Arc<Remembered>, bool)> {
        let kept = lock(&self.kept);
        let entry = kept.by_id.get(key).filter(|entry| entry.expires > now)?;
        Some((entry.remembered.clone(), self.is_sure(entry, now)))
    }

    fn is_sure(&self, entry: &Entry, now: UnixMillis) -> bool {
        self.store.is_none() || now.0.saturating_sub(entry.sure.0) < SURE_FOR.as_millis() as u64
    }

    /// The store has forgotten something: what is here is looked up there before it is believed again.
    pub fn doubt(&self) {
        for entry in lock(&self.kept).by_id.values_mut() {
            entry.sure = UnixMillis(0);
        }
    }

    fn forget_here(&self, key: &Key) -> bool {
        let mut kept = lock(&self.kept);
        let known = kept.forget(key);
        if known {
            kept.order.retain(|kept| kept != key);
        }
        known
    }

    /// What the store has, unless it has expired.
    fn take_in(&self, found: Option<StoredResponse>, now: UnixMillis) -> Option<Arc<Remembered>> {
        let found = found.filter(|found| found.expires > now)?;
        let remembered = Arc::new(Remembered {
            id: found.id,
            items: found.items.into_bytes(),
            response: found.response.into_bytes(),
        });
        self.keep_here(remembered.clone(), found.item_ids, found.tenant, now, found.expires);
        Some(remembered)
    }
}

fn item_ids(remembered: &Remembered) -> Vec<String> {
    let named = items_by_id(&remembered.response).into_iter();
    // Nobody asks for longer ones, and an index may not take them.
    named.map(|(id, _)| id).filter(|id| id.len() <= ID_LEN_MAX).collect()
}

impl Kept {
    fn forget(&mut self, key: &Key) -> bool {
        let Some(gone) = self.by_id.remove(key) else {
            return false;
        };
        self.bytes -= gone.bytes;
        for item in gone.item_ids {
            let item: Key = (key.0.clone(), item);
            // A later answer may bear the same id.
            if self.by_item.get(&item).is_some_and(|holder| holder == key) {
                self.by_item.remove(&item);
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use store::records::Records;
    use store::records::writer::{Writer, WriterOptions};

    use super::*;

    fn response(id: &str, bytes: usize) -> Remembered {
        Remembered {
            id: id.into(),
            items: vec![b' '; bytes],
            response: Vec::new(),
        }
    }

    #[tokio::test]
    async fn the_oldest_is_forgotten_at_the_limit_and_what_was_deleted_takes_no_place() {
        let kept = Conversations::new(1100, None, Duration::from_secs(3600));
        let now = UnixMillis(1);
        let keep = |id: &str, bytes| kept.keep(response(id, bytes), None, now);
        let known = async |id: &str| kept.get(id, None, now).await.is_some();
        keep("a", 240);
        keep("b", 240);
        assert!(kept.delete("b", None).await && !kept.delete("b", None).await);
        keep("c", 250);
        assert!(known("a").await && !known("b").await && known("c").await);
        keep("d", 240);
        assert!(!known("a").await && known("c").await && known("d").await);
        keep("e", 1200);
        assert!(!known("e").await && known("d").await, "too large to be kept at all");
    }

    #[tokio::test]
    async fn a_response_is_its_tenants_alone_and_ends_with_its_time() {
        let kept = Conversations::new(10_000, None, Duration::from_secs(10));
        kept.keep(response("a", 1), Some("owner:one".into()), UnixMillis(0));
        let of = async |tenant, now| kept.get("a", tenant, UnixMillis(now)).await.is_some();
        assert!(of(Some("owner:one"), 9_999).await);
        assert!(!of(Some("owner:two"), 1).await && !of(None, 1).await && !of(Some("owner:one"), 10_000).await);
        assert!(!kept.delete("a", Some("owner:two")).await && kept.delete("a", Some("owner:one")).await);
    }

    async fn stored() -> (Keeping, Arc<Conversations>) {
        let records = Records::open("sqlite::memory:").await.unwrap();
        let options = WriterOptions {
            flush: Duration::from_millis(1),
            spool: None,
            spool_bytes_max: 0,
            queue_max: 10,
        };
        let writer = Writer::start(records.clone(), options);
        let keeping = Keeping { records, writer };
        let kept = Conversations::new(100_000, Some(keeping.clone()), Duration::from_secs(3600));
        (keeping, kept)
    }

    #[tokio::test]
    async fn ids_that_nobody_may_ask_for_are_not_written() {
        let (keeping, kept) = stored().await;
        let long = "x".repeat(ID_LEN_MAX + 1);
        let item = |id: &str| format!(r#"{{"type":"message","role":"assistant","id":"{id}","content":[]}}"#);
        let answer = format!(r#"{{"output":[{},{}]}}"#, item(&long), item("short"));
        let named = Remembered {
            response: answer.into_bytes(),
            ..response("a", 1)
        };
        assert_eq!(item_ids(&named), ["short"]);
        kept.keep(response(&long, 1), None, UnixMillis(1));
        kept.keep(named, None, UnixMillis(1));
        keeping.writer.flush().await;
        assert!(keeping.records.response("a", None).await.unwrap().is_some());
        assert!(keeping.records.response(&long, None).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn what_the_store_did_not_delete_is_not_told_to_be_deleted() {
        let (keeping, kept) = stored().await;
        kept.keep(response("a", 1), None, UnixMillis(1));
        keeping.writer.flush().await;
        keeping.records.close().await;
        assert!(kept.try_delete("a", None).await.is_err() && !kept.delete("a", None).await);
        assert!(
            kept.get("a", None, UnixMillis(2)).await.is_some(),
            "nor is it forgotten"
        );
        let (_, kept) = stored().await;
        kept.keep(response("a", 1), None, UnixMillis(1));
        assert_eq!(kept.try_delete("a", None).await, Ok(true));
        assert_eq!(kept.try_delete("a", None).await, Ok(false));
    }
}
