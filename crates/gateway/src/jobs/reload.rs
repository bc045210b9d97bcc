//! Reloads the configuration when its file changes or on SIGHUP. One that does not validate is refused, and the old one stays.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use notify::{RecursiveMode, Watcher};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tracing::{error, info, warn};

use crate::admin::health::Health;
use crate::config;
use crate::config::env::Env;
use crate::fleet::memory::Memory;
use crate::fleet::snapshot::Snapshot;
use crate::telemetry::metrics::Metrics;
use crate::upstream::link::Dialer;

/// Editors write a file in several steps; a change is read when nothing more came for this long.
const QUIET: Duration = Duration::from_millis(200);

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
}

impl Reloader {
    /// Watches for as long as it is polled.
    pub async fn watch(self) {
        let (changed, mut changes) = mpsc::channel::<()>(1);
        let _watcher = match watch_file(&self.path, changed) {
            Ok(watcher) => Some(watcher),
            Err(error) => {
                warn!("Failed to watch the configuration file, so that only SIGHUP reloads it: {error}");
                None
            }
        };
        let mut hangup = match signal(SignalKind::hangup()) {
            Ok(hangup) => hangup,
            Err(error) => return warn!("Failed to listen for SIGHUP: {error}"),
        };
        let mut last = std::fs::read(&self.path).ok();
        loop {
            let asked = tokio::select! {
                Some(()) = changes.recv() => false,
                Some(()) = hangup.recv() => true,
                else => return,
            };
            tokio::time::sleep(QUIET).await;
            while changes.try_recv().is_ok() {}
            let text = std::fs::read(&self.path).ok();
            // A touched file is no change; SIGHUP also means "read the secrets again".
            if asked || text != last {
                last = text;
                self.reload();
            }
        }
    }

    /// Reads the file and puts it in force, or says why not.
    pub fn reload(&self) {
        match self.try_reload() {
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

/// Watches the file's folder: editors and Kubernetes replace the file, which a watch on the file itself would lose.
fn watch_file(path: &Path, changed: mpsc::Sender<()>) -> notify::Result<notify::RecommendedWatcher> {
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        if event.is_ok_and(|e| !e.kind.is_access()) {
            // Full means that a change is waiting to be read already.
            let _ = changed.try_send(());
        }
    })?;
    let folder = path
        .parent()
        .filter(|p| !p.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    watcher.watch(folder, RecursiveMode::NonRecursive)?;
    Ok(watcher)
}
