//! Every key that is known, in memory: asked on every request, never waits, never asks the store.
//!
//! It is read at the start, after every change made here, when another instance says so, and every few seconds; while the store
//! is gone the keys known stay in force. What is unknown costs the same work as what is wrong or right: one hash of what was
//! shown, and as many constant-time compares as a key may have digests.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arc_swap::ArcSwap;
use http::HeaderMap;
use rustc_hash::FxHashMap;
use store::error::StoreError;
use store::records::Records;
use store::records::keys::KeyRecord;
use store::shared::Shared;
use store::shared::news::News;
use subtle::{Choice, ConstantTimeEq};
use tokio::sync::broadcast::error::RecvError;
use tokio::time::MissedTickBehavior;
use tracing::{info, warn};
use types::ids::KeyId;
use types::principal::{Permissions, Principal};
use types::time::UnixMillis;

use crate::clock::Clock;
use crate::fleet::memory::lock;
use crate::keys::credentials::{self, Shown};
use crate::keys::denial::Denial;
use crate::keys::network::Network;
use crate::keys::text::{self, Digest};
use crate::spend::budget::{Budget, Own};

/// Digests of one key that are taken at once: the newest, and one that a rotation left a grace. Older ones are not.
pub const DIGESTS_MAX: usize = 2;
/// How often the store is asked for changes that no news told of (a command on the machine itself, a lost message).
const POLL: Duration = Duration::from_secs(3);
/// An operator is told of one key's refusals at most so often, in seconds.
const TELL_SECONDS: u64 = 10;

/// Every key that is known.
pub struct Keyring {
    ring: ArcSwap<Ring>,
    changes: Mutex<u64>,
    records: Option<Records>,
    clock: Clock,
    anonymous: Arc<Principal>,
    work: Work,
}

type Ring = FxHashMap<KeyId, Arc<Held>>;

/// When callers need no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Open {
    /// Never: the listener is open to a network.
    Never,
    /// While there are no keys: the listener is on loopback.
    WithoutKeys,
    /// Always: `server.auth: none`.
    Always,
}

/// A request that wants to be let in.
#[derive(Debug, Clone, Copy)]
pub struct Knock<'a> {
    /// Its headers.
    pub headers: &'a HeaderMap,
    /// Its query, where the door takes a key in it.
    pub query: Option<&'a str>,
    /// Where it comes from; `None`: from within this process, which is loopback.
    pub peer: Option<IpAddr>,
}

/// How much was computed, so that a test can hold every judgement to the same.
#[derive(Debug, Default)]
pub struct Work {
    /// Hashes of what was shown.
    pub hashes: AtomicU64,
    /// Constant-time compares.
    pub compares: AtomicU64,
}

/// A key made ready.
struct Held {
    record: KeyRecord,
    slots: [Slot; DIGESTS_MAX],
    networks: Option<Vec<Network>>,
    principal: Arc<Principal>,
    /// Its own budgets; `None` when it carries none.
    budgets: Option<Own>,
    told: AtomicU64,
}

/// A digest and until when it is taken (exclusive).
#[derive(Debug, Clone, Copy)]
struct Slot {
    digest: Digest,
    until: UnixMillis,
}

/// Holds nobody's digest: it is compared with where there is no other.
const NOBODYS: Slot = Slot {
    digest: [0; 32],
    until: UnixMillis(0),
};

impl Keyring {
    /// No keys, and no store that could have some.
    pub fn empty(clock: Clock) -> Arc<Keyring> {
        Keyring::of(Vec::new(), clock)
    }

    /// These keys, without a store behind them.
    pub fn of(records: Vec<KeyRecord>, clock: Clock) -> Arc<Keyring> {
        Arc::new(Keyring {
            ring: ArcSwap::from_pointee(ring(records, &Ring::default())),
            changes: Mutex::new(0),
            records: None,
            clock,
            anonymous: Arc::new(anonymous()),
            work: Work::default(),
        })
    }

    /// The keys of a store. Without them nobody can be told from anybody: a store that does not answer now is an error.
    pub async fn load(records: Records, clock: Clock) -> Result<Arc<Keyring>, StoreError> {
        let keys = records.keys().await?;
        Ok(Arc::new(Keyring {
            ring: ArcSwap::from_pointee(ring(keys, &Ring::default())),
            changes: Mutex::new(0),
            records: Some(records),
            clock,
            anonymous: Arc::new(anonymous()),
            work: Work::default(),
        }))
    }

    /// No key was ever made. Revoked and expired ones count: who revokes the last key does not open the door.
    pub fn is_empty(&self) -> bool {
        self.ring.load().is_empty()
    }

    /// How many keys there are, revoked and expired ones too.
    pub fn len(&self) -> usize {
        self.ring.load().len()
    }

    /// Who calls, or why nobody is let in.
    pub fn authenticate(&self, knock: Knock<'_>, open: Open) -> Result<Arc<Principal>, Denial> {
        let ring = self.ring.load();
        match open {
            Open::Always => return Ok(self.anonymous.clone()),
            Open::WithoutKeys if ring.is_empty() => return Ok(self.anonymous.clone()),
            Open::WithoutKeys | Open::Never => {}
        }
        let shown = match credentials::read(knock.headers, knock.query) {
            Shown::Nothing => return Err(Denial::Missing),
            Shown::Several => return Err(Denial::Several),
            Shown::Unreadable => return Err(Denial::Unreadable),
            Shown::One(shown) => shown,
        };
        let now = self.clock.now().wall;
        let held = text::id_in(shown).and_then(|id| ring.get(&KeyId::from(id)));
        let right = self.compare(shown, held.map(|held| &held.slots), now);
        let Some(held) = held else {
            Denial::Unknown.log();
            return Err(Denial::Unknown);
        };
        let peer = knock.peer.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
        held.judge(right, peer, now).inspect_err(|denial| {
            if held.may_tell(now) {
                denial.log();
            }
        })
    }

    /// Whether what was shown is the text of one of the digests. The same work whatever the answer, and without a key too.
    fn compare(&self, shown: &str, slots: Option<&[Slot; DIGESTS_MAX]>, now: UnixMillis) -> bool {
        let digest = text::digest_of(shown.as_bytes());
        self.work.hashes.fetch_add(1, Ordering::Relaxed);
        let mut right = Choice::from(0);
        for slot in slots.unwrap_or(&[NOBODYS; DIGESTS_MAX]) {
            right |= slot.digest.ct_eq(&digest) & Choice::from(u8::from(now < slot.until));
            self.work.compares.fetch_add(1, Ordering::Relaxed);
        }
        right.into()
    }

    /// The budgets that a key carries; `None` when it carries none.
    pub fn budgets_of(&self, key: &KeyId) -> Option<Own> {
        self.ring.load().get(key)?.budgets.clone()
    }

    /// The budgets of all keys, in the order of their ids.
    pub fn budgets(&self) -> Vec<Arc<Budget>> {
        let ring = self.ring.load();
        let own = ring.values().filter_map(|held| held.budgets.as_ref());
        let mut all: Vec<_> = own.flat_map(|own| own.iter().cloned()).collect();
        all.sort_by(|a, b| a.policy.id.cmp(&b.policy.id));
        all
    }

    /// A key was made or changed here: it is in force from now on.
    pub fn put(&self, record: KeyRecord) {
        let mut changes = lock(&self.changes);
        *changes += 1;
        let before = self.ring.load();
        let mut next = Ring::clone(&before);
        next.insert(record.id.clone(), Arc::new(Held::of(record)));
        self.ring.store(Arc::new(next));
    }

    /// Reads the store's keys anew. Whether something had changed.
    pub async fn reload(&self) -> Result<bool, StoreError> {
        let Some(records) = &self.records else {
            return Ok(false);
        };
        loop {
            let seen = *lock(&self.changes);
            let keys = records.keys().await?;
            let changes = lock(&self.changes);
            // What was put meanwhile may be newer than what was read.
            if *changes != seen {
                continue;
            }
            let before = self.ring.load();
            let same = keys.len() == before.len()
                && keys
                    .iter()
                    .all(|key| before.get(&key.id).is_some_and(|held| held.record == *key));
            if !same {
                self.ring.store(Arc::new(ring(keys, &before)));
            }
            return Ok(!same);
        }
    }

    /// Follows changes for as long as it is polled.
    pub async fn follow(self: Arc<Keyring>, shared: Shared) {
        if self.records.is_none() {
            return;
        }
        let mut news = Some(shared.subscribe());
        let mut tick = tokio::time::interval(POLL);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut failing = false;
        loop {
            tokio::select! {
                _ = tick.tick() => {}
                ended = keys_changed(&mut news) => {
                    if ended {
                        news = None;
                    }
                }
            }
            match self.reload().await {
                Ok(changed) => {
                    if std::mem::take(&mut failing) {
                        info!("The store answers again: its keys are in force");
                    }
                    if changed {
                        info!(keys = self.len(), "Keys were changed: {} are known", self.len());
                    }
                }
                Err(error) => {
                    if !std::mem::replace(&mut failing, true) {
                        warn!("Failed to read the keys, those known stay in force: {error}");
                    }
                }
            }
        }
    }

    /// What was computed so far.
    pub fn work(&self) -> &Work {
        &self.work
    }
}

impl std::fmt::Debug for Keyring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Keyring of {} keys", self.len())
    }
}

/// Resolves when keys were changed elsewhere, or when no more can be heard (`true`); never, when that was told.
async fn keys_changed(news: &mut Option<tokio::sync::broadcast::Receiver<News>>) -> bool {
    let Some(news) = news else {
        return std::future::pending().await;
    };
    loop {
        match news.recv().await {
            // Keys may have been among what was missed.
            Ok(News::KeysChanged { .. }) | Err(RecvError::Lagged(_)) => return false,
            Ok(News::BreakerOpened { .. } | News::BreakerClosed { .. } | News::Rests { .. }) => {}
            Err(RecvError::Closed) => return true,
        }
    }
}

/// Who calls where no key is asked for.
fn anonymous() -> Principal {
    Principal {
        permissions: Permissions {
            files: true,
            explain: true,
            budget_tags: true,
        },
        ..Principal::default()
    }
}

/// Keys made ready; those that did not change are kept as they are.
fn ring(records: Vec<KeyRecord>, before: &Ring) -> Ring {
    let held = |record: KeyRecord| match before.get(&record.id) {
        Some(known) if known.record == record => known.clone(),
        _ => Arc::new(Held::of(record)),
    };
    records
        .into_iter()
        .map(|record| (record.id.clone(), held(record)))
        .collect()
}

impl Held {
    fn of(record: KeyRecord) -> Held {
        let mut slots = [NOBODYS; DIGESTS_MAX];
        for (slot, stored) in slots.iter_mut().zip(&record.digests) {
            match text::parse_hex(&stored.sha256) {
                Some(digest) => {
                    slot.digest = digest;
                    slot.until = stored.until.unwrap_or(UnixMillis(u64::MAX));
                }
                None => warn!(key.id = %record.id, "Key `{}` has a digest in the store that is none", record.id),
            }
        }
        // A network that cannot be read lets nobody in, where leaving it out would let everybody in.
        let networks = record.networks.as_ref().map(|networks| {
            let read = networks.iter().filter_map(|text| Network::parse(text).ok());
            read.collect()
        });
        Held {
            slots,
            networks,
            principal: Arc::new(principal(&record)),
            budgets: Budget::of_key(&record.id, &record.budgets),
            told: AtomicU64::new(0),
            record,
        }
    }

    /// What becomes of a request that shows this key's id. Whoever has not shown the secret learns nothing of the key.
    fn judge(&self, right: bool, peer: IpAddr, now: UnixMillis) -> Result<Arc<Principal>, Denial> {
        let id = || self.record.id.clone();
        if !right {
            return Err(Denial::WrongSecret(id()));
        }
        if self.record.revoked.is_some() {
            return Err(Denial::Revoked(id()));
        }
        if self.record.expires.is_some_and(|end| now >= end) {
            return Err(Denial::Expired(id()));
        }
        let inside = |networks: &Vec<Network>| networks.iter().any(|network| network.contains(peer));
        if !self.networks.as_ref().is_none_or(inside) {
            return Err(Denial::Network(id()));
        }
        Ok(self.principal.clone())
    }

    fn may_tell(&self, now: UnixMillis) -> bool {
        let (now, told) = (now.0 / 1000, self.told.load(Ordering::Relaxed));
        let due = now >= told + TELL_SECONDS;
        due && self
            .told
            .compare_exchange(told, now, Ordering::Relaxed, Ordering::Relaxed)
            .is_ok()
    }
}

/// Who pays for the calls of a key.
fn principal(record: &KeyRecord) -> Principal {
    let shared = |texts: &Vec<String>| {
        texts
            .iter()
            .map(|text| Arc::from(text.as_str()))
            .collect::<Vec<Arc<str>>>()
    };
    let mut tags = shared(&record.tags);
    tags.sort();
    tags.dedup();
    Principal {
        key: Some(record.id.clone()),
        name: Arc::from(record.name.as_str()),
        owner: record.owner.as_deref().map(Arc::from),
        tags,
        priority: record.priority,
        routes: record.routes.as_ref().map(shared),
        targets: record.targets.as_ref().map(shared),
        limits: record.limits,
        permissions: record.permissions,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use http::HeaderValue;
    use store::records::keys::KeyDigest;
    use types::principal::{KeyLimits, Priority};

    use crate::keys::text::{KeyText, draw_id, draw_text};

    use super::*;

    const NOW: u64 = 1_795_219_200_000;

    fn key(text: &KeyText) -> KeyRecord {
        KeyRecord {
            id: text.id(),
            digests: vec![KeyDigest {
                sha256: text.digest_hex(),
                until: None,
            }],
            name: "app".into(),
            owner: Some("web".into()),
            tags: vec!["b".into(), "a".into(), "b".into()],
            priority: Priority::Standard,
            routes: None,
            targets: None,
            networks: None,
            limits: KeyLimits::default(),
            budgets: BTreeMap::new(),
            permissions: Permissions::default(),
            created: UnixMillis(NOW),
            expires: None,
            revoked: None,
        }
    }

    fn new_text() -> KeyText {
        draw_text(&draw_id().unwrap()).unwrap()
    }

    fn ask(keyring: &Keyring, shown: &str, peer: Option<&str>) -> Result<Arc<Principal>, Denial> {
        let mut headers = HeaderMap::new();
        if !shown.is_empty() {
            headers.insert("x-api-key", HeaderValue::from_str(shown).unwrap());
        }
        let knock = Knock {
            headers: &headers,
            query: None,
            peer: peer.map(|p| p.parse().unwrap()),
        };
        keyring.authenticate(knock, Open::WithoutKeys)
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_is_known_by_its_whole_text_and_by_nothing_less() {
        let (text, other) = (new_text(), new_text());
        let id = text.id();
        let keyring = Keyring::of(vec![key(&text)], Clock::starting_at(UnixMillis(NOW)));
        let principal = ask(&keyring, text.expose(), None).unwrap();
        assert_eq!(principal.key, Some(id.clone()));
        assert_eq!(principal.tags, [Arc::from("a"), Arc::from("b")]);
        let wrong = || Err(Denial::WrongSecret(id.clone()));
        let flipped = |at: usize| {
            let mut bytes = text.expose().as_bytes().to_vec();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            String::from_utf8(bytes).unwrap()
        };
        assert_eq!(ask(&keyring, &flipped(58), None).map(drop), wrong());
        assert_eq!(ask(&keyring, &flipped(16), None).map(drop), wrong());
        let rows = [
            ("", Denial::Missing),
            (id.as_str(), Denial::Unknown),
            (&text.expose()[..58], Denial::Unknown),
            (&text.digest_hex(), Denial::Unknown),
            (
                &format!("{id}-{}", &text.digest_hex()[..43]),
                Denial::WrongSecret(id.clone()),
            ),
            (&text.expose().to_ascii_uppercase(), Denial::Unknown),
            (other.expose(), Denial::Unknown),
        ];
        for (shown, denial) in rows {
            assert_eq!(ask(&keyring, shown, None).unwrap_err(), denial, "{shown}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn unknown_wrong_and_right_cost_the_same_work() {
        let (text, unknown) = (new_text(), new_text());
        let wrong = draw_text(&text.id()).unwrap();
        let mut rotated = key(&new_text());
        rotated.digests.push(KeyDigest {
            sha256: new_text().digest_hex(),
            until: Some(UnixMillis(NOW + 1)),
        });
        let keyring = Keyring::of(vec![key(&text), rotated.clone()], Clock::starting_at(UnixMillis(NOW)));
        let rotated = format!("{}-{}", rotated.id, "A".repeat(43));
        for shown in [
            text.expose(),
            wrong.expose(),
            unknown.expose(),
            "sk-other",
            rotated.as_str(),
        ] {
            let before = [&keyring.work.hashes, &keyring.work.compares].map(|w| w.load(Ordering::Relaxed));
            let _ = ask(&keyring, shown, None);
            let after = [&keyring.work.hashes, &keyring.work.compares].map(|w| w.load(Ordering::Relaxed));
            assert_eq!(
                [after[0] - before[0], after[1] - before[1]],
                [1, DIGESTS_MAX as u64],
                "{shown}"
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_ends_a_key_is_judged_at_the_moment_and_told_to_nobody_without_its_secret() {
        let text = new_text();
        let id = text.id();
        type Change = fn(&mut KeyRecord);
        let rows: [(Change, Option<&str>, Option<Denial>); 8] = [
            (|_| {}, None, None),
            (|k| k.expires = Some(UnixMillis(NOW + 1)), None, None),
            (
                |k| k.expires = Some(UnixMillis(NOW)),
                None,
                Some(Denial::Expired(id.clone())),
            ),
            (
                |k| k.revoked = Some(UnixMillis(NOW)),
                None,
                Some(Denial::Revoked(id.clone())),
            ),
            (|k| k.networks = Some(vec!["127.0.0.0/8".into()]), None, None),
            (
                |k| k.networks = Some(vec!["10.0.0.0/8".into(), "fd00::/8".into()]),
                Some("::ffff:10.1.1.1"),
                None,
            ),
            (
                |k| k.networks = Some(vec!["10.0.0.0/8".into()]),
                Some("11.0.0.1"),
                Some(Denial::Network(id.clone())),
            ),
            (
                |k| k.networks = Some(vec!["nonsense".into()]),
                None,
                Some(Denial::Network(id.clone())),
            ),
        ];
        for (at, (change, peer, denial)) in rows.into_iter().enumerate() {
            let mut record = key(&text);
            change(&mut record);
            let keyring = Keyring::of(vec![record], Clock::starting_at(UnixMillis(NOW)));
            assert_eq!(ask(&keyring, text.expose(), peer).err(), denial, "row {at}");
            let wrong = draw_text(&id).unwrap();
            assert_eq!(
                ask(&keyring, wrong.expose(), peer).unwrap_err(),
                Denial::WrongSecret(id.clone()),
                "row {at}"
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_rotated_key_takes_its_old_secret_until_the_grace_is_over() {
        let old = new_text();
        let new = draw_text(&old.id()).unwrap();
        let mut record = key(&new);
        record.digests.push(KeyDigest {
            sha256: old.digest_hex(),
            until: Some(UnixMillis(NOW + 60_000)),
        });
        let keyring = Keyring::of(vec![record], Clock::starting_at(UnixMillis(NOW)));
        assert!(ask(&keyring, old.expose(), None).is_ok());
        tokio::time::advance(Duration::from_secs(60)).await;
        assert!(ask(&keyring, old.expose(), None).is_err());
        assert!(ask(&keyring, new.expose(), None).is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn keys_are_asked_for_from_the_first_one_on_and_never_where_the_operator_says_so() {
        let text = new_text();
        let keyring = Keyring::empty(Clock::starting_at(UnixMillis(NOW)));
        let headers = HeaderMap::new();
        let knock = Knock {
            headers: &headers,
            query: None,
            peer: None,
        };
        let told = |open| keyring.authenticate(knock, open).map(|p| p.key.clone());
        assert_eq!(told(Open::WithoutKeys), Ok(None));
        assert_eq!(told(Open::Never), Err(Denial::Missing));
        let mut record = key(&text);
        keyring.put(record.clone());
        assert_eq!(told(Open::WithoutKeys), Err(Denial::Missing));
        record.revoked = Some(UnixMillis(NOW));
        keyring.put(record);
        assert_eq!(told(Open::WithoutKeys), Err(Denial::Missing));
        assert_eq!(told(Open::Always), Ok(None));
    }
}
