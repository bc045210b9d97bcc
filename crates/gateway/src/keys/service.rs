//! Making and changing keys: the one place, for the admin API and for the command line on the machine itself.
//!
//! Every change is written together with its line of the audit log, is in force here at once, and the other instances are told.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use store::error::StoreError;
use store::records::Records;
use store::records::audit::AuditEntry;
use store::records::keys::{KeyDigest, KeyRecord};
use store::shared::Shared;
use store::shared::news::News;
use tokio::sync::Semaphore;
use types::ids::{InstanceId, KeyId};
use types::time::UnixMillis;

use crate::clock::Clock;
use crate::config::admin::Role;
use crate::keys::keyring::Keyring;
use crate::keys::text::{self, NoChance};
use crate::keys::view::{IssuedKey, KeyDraft, KeyPatch, KeyView, Wrong};
use crate::stores::Stores;

/// Keys in one store, revoked ones too: all of them are held in memory. At the limit no more are made.
const KEYS_MAX: usize = 100_000;

/// Who changes something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// The name of an admin token, or `cli`.
    pub name: String,
    /// In which role.
    pub role: Role,
    /// From where; `None` for the machine itself.
    pub remote: Option<IpAddr>,
}

/// Why a key was not made or changed.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// Keys need a store.
    #[error("nothing is kept here, so that there are no keys: set `store.url`")]
    NoStore,
    /// No key of this id.
    #[error("there is no key `{0}`")]
    NotFound(String),
    /// A value is not taken.
    #[error(transparent)]
    Wrong(#[from] Wrong),
    /// A revoked key stays as it is.
    #[error("the key `{0}` is revoked, which cannot be undone: make a new one")]
    Revoked(KeyId),
    /// The store holds as many keys as it may.
    #[error("there are {KEYS_MAX} keys already")]
    TooMany,
    /// The system has no randomness.
    #[error(transparent)]
    NoChance(#[from] NoChance),
    /// The store did not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A revocation that meets a change by another instance is tried again so often.
const REVOKE_TRIES: u32 = 5;

/// Makes and changes keys.
#[derive(Debug)]
pub struct KeyService {
    keyring: Arc<Keyring>,
    records: Option<Records>,
    shared: Shared,
    instance: InstanceId,
    clock: Clock,
    /// One change at a time: each reads a key, changes it and writes it whole.
    turn: Semaphore,
}

impl KeyService {
    /// What changes the keys of these stores and this ring.
    pub fn new(keyring: Arc<Keyring>, stores: Stores, clock: Clock) -> Arc<KeyService> {
        let records = stores.records.as_ref().map(|keeping| keeping.records.clone());
        KeyService::of(keyring, records, stores, clock)
    }

    /// The same on records that nobody writes calls to: for commands.
    pub fn on(keyring: Arc<Keyring>, records: Records, stores: Stores, clock: Clock) -> Arc<KeyService> {
        KeyService::of(keyring, Some(records), stores, clock)
    }

    fn of(keyring: Arc<Keyring>, records: Option<Records>, stores: Stores, clock: Clock) -> Arc<KeyService> {
        Arc::new(KeyService {
            keyring,
            records,
            shared: stores.shared,
            instance: stores.instance,
            clock,
            turn: Semaphore::new(1),
        })
    }

    /// Makes a key. Its text is in the answer and nowhere else.
    pub async fn create(&self, by: &Actor, draft: KeyDraft) -> Result<IssuedKey, KeyError> {
        let _turn = self.turn().await;
        let now = self.clock.now().wall;
        let known = self.records()?.keys().await?;
        if known.len() >= KEYS_MAX {
            return Err(KeyError::TooMany);
        }
        let mut id = text::draw_id()?;
        while known.iter().any(|key| key.id == id) {
            id = text::draw_id()?;
        }
        let mut record = draft.into_record(id, now)?;
        let text = text::draw_text(&record.id)?;
        record.digests = vec![KeyDigest {
            sha256: text.digest_hex(),
            until: None,
        }];
        let details = self.put(by, "key.create", None, record).await?;
        Ok(IssuedKey {
            key: text.expose().to_owned(),
            details,
        })
    }

    /// All keys, the oldest first.
    pub async fn list(&self) -> Result<Vec<KeyView>, KeyError> {
        let now = self.clock.now().wall;
        let mut keys = self.records()?.keys().await?;
        keys.sort_by(|a, b| (a.created, &a.id).cmp(&(b.created, &b.id)));
        Ok(keys.iter().map(|key| KeyView::of(key, now)).collect())
    }

    /// One key.
    pub async fn get(&self, id: &str) -> Result<KeyView, KeyError> {
        Ok(KeyView::of(&self.fetch(id).await?, self.clock.now().wall))
    }

    /// Changes what a key may.
    pub async fn update(&self, by: &Actor, id: &str, patch: KeyPatch) -> Result<KeyView, KeyError> {
        let _turn = self.turn().await;
        let before = self.fetch(id).await?;
        if before.revoked.is_some() {
            return Err(KeyError::Revoked(before.id));
        }
        let mut after = before.clone();
        patch.apply(&mut after, self.clock.now().wall)?;
        self.put(by, "key.update", Some(&before), after).await
    }

    /// Gives a key a new secret under the same id. The old one is taken for `grace` more, or no longer.
    pub async fn rotate(&self, by: &Actor, id: &str, grace: Option<Duration>) -> Result<IssuedKey, KeyError> {
        let _turn = self.turn().await;
        let before = self.fetch(id).await?;
        if before.revoked.is_some() {
            return Err(KeyError::Revoked(before.id));
        }
        let now = self.clock.now().wall;
        let text = text::draw_text(&before.id)?;
        let mut after = before.clone();
        let newest = after.digests.drain(..).next();
        after.digests.push(KeyDigest {
            sha256: text.digest_hex(),
            until: None,
        });
        if let (Some(old), Some(grace)) = (newest, grace.filter(|grace| !grace.is_zero())) {
            let millis = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX);
            after.digests.push(KeyDigest {
                until: Some(UnixMillis(now.0.saturating_add(millis))),
                ..old
            });
        }
        let details = self.put(by, "key.rotate", Some(&before), after).await?;
        Ok(IssuedKey {
            key: text.expose().to_owned(),
            details,
        })
    }

    /// Ends a key for good. Calls under way go on to their end. A revoked key stays as it is.
    pub async fn revoke(&self, by: &Actor, id: &str) -> Result<KeyView, KeyError> {
        let _turn = self.turn().await;
        let mut tries = REVOKE_TRIES;
        loop {
            let before = self.fetch(id).await?;
            let now = self.clock.now().wall;
            if before.revoked.is_some() {
                return Ok(KeyView::of(&before, now));
            }
            let mut after = before.clone();
            after.revoked = Some(now);
            tries -= 1;
            match self.put(by, "key.revoke", Some(&before), after).await {
                // Another instance gave it a new secret in the same moment: that one ends as well.
                Err(KeyError::Store(StoreError::Changed(_))) if tries > 0 => {}
                done => return done,
            }
        }
    }

    fn records(&self) -> Result<&Records, KeyError> {
        self.records.as_ref().ok_or(KeyError::NoStore)
    }

    async fn fetch(&self, id: &str) -> Result<KeyRecord, KeyError> {
        let keys = self.records()?.keys().await?;
        let found = keys.into_iter().find(|key| key.id.as_str() == id);
        found.ok_or_else(|| KeyError::NotFound(id.chars().take(64).collect()))
    }

    async fn put(
        &self,
        by: &Actor,
        action: &str,
        before: Option<&KeyRecord>,
        after: KeyRecord,
    ) -> Result<KeyView, KeyError> {
        let now = self.clock.now().wall;
        let view = KeyView::of(&after, now);
        let shown = |view: &KeyView| serde_json::to_value(view).expect("texts and numbers are always JSON");
        let entry = AuditEntry {
            before: before.map(|before| shown(&KeyView::of(before, now))),
            after: Some(shown(&view)),
            ..audit_entry(by, action, &view.id, now)
        };
        self.records()?.put_key(&after, before, &entry).await?;
        self.keyring.put(after);
        self.shared.publish(News::KeysChanged {
            from: self.instance.clone(),
        });
        Ok(view)
    }

    async fn turn(&self) -> tokio::sync::SemaphorePermit<'_> {
        self.turn.acquire().await.expect("the semaphore is never closed")
    }
}

/// A line of the audit log, before and after still to be said.
pub fn audit_entry(by: &Actor, action: &str, object: &str, at: UnixMillis) -> AuditEntry {
    AuditEntry {
        id: uuid::Uuid::now_v7().to_string(),
        at,
        actor: by.name.clone(),
        role: by.role.as_str().to_owned(),
        remote: by.remote.map(|remote| remote.to_string()),
        action: action.to_owned(),
        object: object.to_owned(),
        before: None,
        after: None,
    }
}
