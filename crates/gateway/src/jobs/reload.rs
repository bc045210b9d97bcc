//! Reloads the configuration when its file changes or on SIGHUP. One that does not validate is refused, and the old one stays.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use store::records::audit::AuditEntry;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{MissedTickBehavior, interval};
use tracing::{error, info, warn};

use crate::admin::health::Health;
use crate::clock::Clock;
use crate::config;
use crate::config::admin::Role;
use crate::config::env::Env;
use crate::fleet::memory::{Memory, lock};
use crate::fleet::snapshot::Snapshot;
use crate::keys::service::{Actor, audit_entry};
use crate::stores::Stores;
use crate::telemetry::metrics::Metrics;
use crate::upstream::link::Dialer;
use serde_json::json;

/// How often the file is looked at. Its folder is not watched: where the database and the log lie in it as well, each of their
/// writes would wake the watch, which was measured at one to three microseconds a call.
const LOOK: Duration = Duration::from_millis(300);
/// Editors write a file in several steps; a change is read when nothing more came for this long.
const QUIET: Duration = Duration::from_millis(200);
/// How often that is waited for.
const SETTLE_MAX: u32 = 25;

/// What a reload needs.
pub struct Reloader {
    /// What it replaces.
    pub snapshot: Arc<ArcSwap<Snapshot>>,
    /// What it keeps.
    pub memory: Arc<Memory>,
    /// Where reloads are counted.
    pub metrics: Arc<Metrics>,
    /// Told of the new generation.
    pub health: Arc<Health>,
    /// For new providers.
    pub dialer: Dialer,
    /// The file.
    pub path: PathBuf,
    /// Where `${NAME}` comes from.
    pub env: Arc<dyn Env + Send + Sync>,
    /// Where the audit log is.
    pub stores: Stores,
    /// The time.
    pub clock: Clock,
    /// One reload at a time: each builds on the configuration it replaces.
    pub turn: Mutex<()>,
}

impl Reloader {
    /// Watches for as long as it is polled.
    pub async fn watch(self: Arc<Reloader>) {
        let mut hangup = match signal(SignalKind::hangup()) {
            Ok(hangup) => hangup,
            Err(error) => return warn!("Failed to listen for SIGHUP: {error}"),
        };
        let mut seen = Stamp::of(&self.path);
        let mut last = std::fs::read(&self.path).ok();
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let asked = tokio::select! {
                _ = look.tick() => false,
                Some(()) = hangup.recv() => true,
            };
            if !asked && Stamp::of(&self.path) == seen {
                continue;
            }
            seen = Stamp::settled(&self.path).await;
            let text = std::fs::read(&self.path).ok();
            // A touched file is no change; SIGHUP also means "read the secrets again".
            if asked || text != last {
                last = text;
                let by = Actor {
                    name: if asked { "signal" } else { "file" }.to_owned(),
                    role: Role::Admin,
                    remote: None,
                };
                // Why it was refused is in the log.
                let _ = self.reload_as(&by).await;
            }
        }
    }

    /// The same on somebody's behalf, with a line in the audit log.
    pub async fn reload_as(&self, by: &Actor) -> anyhow::Result<u64> {
        let before = self.snapshot.load().generation;
        let generation = self.reload()?;
        if let Some(keeping) = &self.stores.records {
            let entry = AuditEntry {
                before: Some(json!({ "generation": before })),
                after: Some(json!({ "generation": generation })),
                ..audit_entry(by, "config.reload", "configuration", self.clock.now().wall)
            };
            if let Err(error) = keeping.records.put_audit(&entry).await {
                error!("Failed to write a reload into the audit log: {error}");
            }
        }
        Ok(generation)
    }

    /// Reads the file and puts it in force, or says why not.
    pub fn reload(&self) -> anyhow::Result<u64> {
        let reloaded = {
            let _turn = lock(&self.turn);
            self.try_reload()
        };
        match &reloaded {
            Ok(generation) => {
                self.metrics.reload("applied");
                info!(
                    configuration = generation,
                    "Configuration reloaded: version {generation} is in force"
                );
            }
            Err(reason) => {
                self.metrics.reload("refused");
                error!("Failed to reload the configuration, the old one stays in force: {reason:#}");
            }
        }
        reloaded
    }

    fn try_reload(&self) -> anyhow::Result<u64> {
        let text = std::fs::read_to_string(&self.path)?;
        let loaded = config::load(&text, &*self.env).map_err(|errors| anyhow::anyhow!("{errors}"))?;
        for notice in &loaded.warnings {
            warn!("{notice}");
        }
        let before = self.snapshot.load_full();
        let (old, new) = (&before.loaded.config, &loaded.config);
        let kept = [
            ("server.listen", old.server.listen != new.server.listen),
            ("admin.listen", old.admin.listen != new.admin.listen),
            (
                "server.stored_responses_max",
                old.server.stored_responses_max != new.server.stored_responses_max,
            ),
            ("server.header_max", old.server.header_max != new.server.header_max),
            (
                "server.header_timeout",
                old.server.header_timeout != new.server.header_timeout,
            ),
            (
                "server.idle_timeout",
                old.server.idle_timeout != new.server.idle_timeout,
            ),
            (
                "server.bodies_in_flight_max",
                old.server.bodies_in_flight_max != new.server.bodies_in_flight_max,
            ),
            ("server.workers", old.server.workers != new.server.workers),
            ("log", old.log != new.log),
        ];
        for (key, _) in kept.into_iter().filter(|(_, changed)| *changed) {
            warn!("The changed `{key}` takes effect at the next start");
        }
        let next = Snapshot::build(loaded, &self.dialer, &self.memory, &self.metrics, Some(&before))?;
        let generation = next.generation;
        self.snapshot.store(Arc::new(next));
        self.health.set_generation(generation);
        Ok(generation)
    }
}

/// By what a changed file is known without reading it. Editors and Kubernetes replace the file: the path is asked, through links.
#[derive(Debug, PartialEq, Eq)]
struct Stamp {
    modified: Option<SystemTime>,
    len: u64,
    inode: u64,
}

impl Stamp {
    /// That of a file now; `None` where there is none.
    fn of(path: &Path) -> Option<Stamp> {
        let metadata = std::fs::metadata(path).ok()?;
        Some(Stamp {
            modified: metadata.modified().ok(),
            len: metadata.len(),
            inode: metadata.ino(),
        })
    }

    /// That of a file when nobody has changed it for a moment; of one that is written all the time, what it is after a while.
    async fn settled(path: &Path) -> Option<Stamp> {
        let mut stamp = Stamp::of(path);
        for _ in 0..SETTLE_MAX {
            tokio::time::sleep(QUIET).await;
            let before = std::mem::replace(&mut stamp, Stamp::of(path));
            if stamp == before {
                break;
            }
        }
        stamp
    }
}
