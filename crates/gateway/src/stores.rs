//! What outlives a call, opened and closed with the gateway: the records with their writer, and what instances share.
//!
//! Without its store a gateway does not begin: who may call stands there, and letting everybody in, or nobody, helps no one. Once
//! it has begun, calls go on without it. A Redis that does not answer yet is waited for by nobody: see [`store::shared`].

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use serde::Serialize;
use store::records::writer::{Writer, WriterOptions};
use store::records::{Records, RecordsOptions};
use store::shared::{Lease, Shared};
use tokio::sync::Mutex;
use tracing::{info, warn};
use types::ids::InstanceId;

use crate::config::Config;
use crate::config::store::{Durability, Store};

/// What must not be shed may wait in memory up to this many entries; beyond it new calls are refused.
const QUEUE_MAX: usize = 100_000;
/// A PostgreSQL that does not answer at the start is asked again for so long: the two are often started together.
const START_WAIT: Duration = Duration::from_secs(20);
const START_PAUSE: Duration = Duration::from_millis(500);
/// An instance that is not heard of for so long has lost its name.
pub const INSTANCE_LEASE: Duration = Duration::from_secs(15);
/// More gateways of one name than this are not told apart.
const SAME_NAME_MAX: u32 = 64;
/// What is queued has so long to be written at the end.
const CLOSE_MAX: Duration = Duration::from_secs(10);

/// The stores of a gateway. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Stores {
    /// The name of this gateway among its instances.
    pub instance: InstanceId,
    /// Keys, ledger, calls; `None` for who keeps nothing.
    pub records: Option<Keeping>,
    /// Counters, limits, news, cached answers.
    pub shared: Shared,
    /// An answer ends only when its cost is written.
    pub strict: bool,
    /// Another gateway has the name that this one wanted.
    second: bool,
    /// This gateway's hold on its name.
    name: Arc<Mutex<Option<Lease>>>,
}

/// The records and the way into them.
#[derive(Debug, Clone)]
pub struct Keeping {
    /// To ask.
    pub records: Records,
    /// To write on behalf of calls.
    pub writer: Writer,
}

/// How the stores are, for `/ready` and the metrics. It holds no address and no name of a machine.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct StoresHealth {
    /// The records; `None` for who keeps nothing.
    pub store: Option<StoreHealth>,
    /// What instances share.
    pub shared: SharedHealth,
    /// What is gone: `store`, `shared`.
    pub missing: Vec<&'static str>,
}

/// How the records are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct StoreHealth {
    /// `sqlite` or `postgres`.
    pub kind: &'static str,
    /// It takes what is written.
    pub up: bool,
    /// Entries that wait in memory.
    pub queued: u64,
    /// Entries that wait on the disk.
    pub spooled: u64,
    /// Entries shed since the start.
    pub shed: u64,
}

/// How the shared state is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct SharedHealth {
    /// `memory` or `redis`.
    pub kind: &'static str,
    /// It answers. While it does not, this instance enforces its share of limits and budgets.
    pub up: bool,
    /// Instances heard of lately.
    pub instances: u32,
}

impl Stores {
    /// Nothing is kept, and nobody shares: for tests and commands that serve nobody.
    pub fn none() -> Stores {
        let instance = InstanceId::from("local");
        Stores::of(instance.clone(), None, Shared::memory(instance))
    }

    /// Of parts that are open already.
    pub fn of(instance: InstanceId, records: Option<Keeping>, shared: Shared) -> Stores {
        Stores {
            instance,
            records,
            shared,
            strict: false,
            second: false,
            name: Arc::default(),
        }
    }

    /// Opens what the configuration names.
    ///
    /// # Errors
    /// When the store cannot be opened: a file that cannot be written, a schema that is newer than this program, a PostgreSQL that
    /// does not answer within 20 s.
    pub async fn open(config: &Config) -> anyhow::Result<Stores> {
        let (store, url) = (&config.store, &config.shared.url);
        let wanted = store.instance.clone().unwrap_or_else(machine);
        let options = RecordsOptions {
            strict: store.durability == Durability::Strict,
        };
        let records = open_records(&store.url, options).await?;
        let options = WriterOptions {
            flush: store.flush,
            spool: spool(store),
            spool_bytes_max: store.spool_max,
            queue_max: QUEUE_MAX,
        };
        let writer = Writer::start(records.clone(), options);
        let shared = Shared::open(url, InstanceId::from(wanted.as_str()))
            .await
            .context("failed to open `shared.url`")?;
        let (instance, lease) = take_name(&shared, &wanted).await;
        // The first one was opened under the name that somebody else has.
        let shared = match instance.as_str() == wanted {
            true => shared,
            false => Shared::open(url, instance.clone())
                .await
                .context("failed to open `shared.url`")?,
        };
        let second = instance.as_str() != wanted;
        let stores = Stores::of(instance, Some(Keeping { records, writer }), shared);
        *stores.name.lock().await = lease;
        Ok(Stores {
            strict: store.durability == Durability::Strict,
            second,
            ..stores
        })
    }

    /// Says where things are kept, once there is a log to say it in.
    pub fn introduce(&self) {
        if let Some(keeping) = &self.records {
            let (store, shared) = (keeping.records.kind(), self.shared.kind());
            info!(store, shared, "Records are kept in {store}, counters in {shared}");
        }
        if self.second {
            warn!(
                "Another gateway has this one's name, or had it {INSTANCE_LEASE:?} ago, so that this one has a number behind it: set `store.instance` where several run on one machine"
            );
        }
    }

    /// Prolongs the hold on this gateway's name, as often as [`INSTANCE_LEASE`] asks for; takes it again when it was lost.
    pub async fn keep_name(&self) {
        let mut lease = self.name.lock().await;
        let held = match &*lease {
            Some(lease) => lease.renew().await,
            None => false,
        };
        if !held {
            *lease = self
                .shared
                .lease(&name_of(self.instance.as_str()), INSTANCE_LEASE)
                .await;
        }
    }

    /// The records' writer, where records are kept.
    pub fn writer(&self) -> Option<&Writer> {
        self.records.as_ref().map(|keeping| &keeping.writer)
    }

    /// How they are.
    pub fn health(&self) -> StoresHealth {
        let store = self.records.as_ref().map(|keeping| {
            let health = keeping.writer.health();
            StoreHealth {
                kind: keeping.records.kind(),
                up: health.failing.is_none(),
                queued: health.queued,
                spooled: health.spooled,
                shed: health.shed,
            }
        });
        let health = self.shared.health();
        let shared = SharedHealth {
            kind: self.shared.kind(),
            up: health.failing.is_none(),
            instances: health.instances,
        };
        let missing = [(store.as_ref().is_some_and(|s| !s.up), "store"), (!shared.up, "shared")];
        StoresHealth {
            store,
            shared,
            missing: missing
                .into_iter()
                .filter(|(gone, _)| *gone)
                .map(|(_, name)| name)
                .collect(),
        }
    }

    /// Writes what is queued and lets go, after the last call. What cannot be written in time stays in the spool.
    pub async fn close(&self) {
        let closing = async {
            // Counters first: they are what other instances decide on at this moment.
            self.shared.close().await;
            if let Some(keeping) = &self.records {
                keeping.writer.close().await;
            }
        };
        if tokio::time::timeout(CLOSE_MAX, closing).await.is_err() {
            warn!(
                "Failed to write everything that was queued within {CLOSE_MAX:?}: what is in the spool is written at the next start"
            );
        }
    }
}

async fn open_records(url: &str, options: RecordsOptions) -> anyhow::Result<Records> {
    let deadline = tokio::time::Instant::now() + START_WAIT;
    let mut told = false;
    loop {
        match Records::open_with(url, options).await {
            Ok(records) => return Ok(records),
            // A file that cannot be opened is not there in a second either.
            Err(error)
                if error.is_transient() && !url.starts_with("sqlite:") && tokio::time::Instant::now() < deadline =>
            {
                if !std::mem::replace(&mut told, true) {
                    warn!("The store does not answer yet, it is asked again for {START_WAIT:?}: {error}");
                }
                tokio::time::sleep(START_PAUSE).await;
            }
            Err(error) => return Err(error).context("failed to open `store.url`: keys and the ledger are kept there"),
        }
    }
}

/// The wanted name, unless a gateway that is alive has it: then the first free one after it.
async fn take_name(shared: &Shared, wanted: &str) -> (InstanceId, Option<Lease>) {
    if let Some(lease) = shared.lease(&name_of(wanted), INSTANCE_LEASE).await {
        return (InstanceId::from(wanted), Some(lease));
    }
    // Nobody can be asked while the shared state is gone: the name is taken on trust.
    if shared.health().failing.is_some() {
        return (InstanceId::from(wanted), None);
    }
    for number in 2..=SAME_NAME_MAX {
        let name = format!("{wanted}-{number}");
        if let Some(lease) = shared.lease(&name_of(&name), INSTANCE_LEASE).await {
            return (InstanceId::from(name), Some(lease));
        }
    }
    (InstanceId::from(format!("{wanted}-{}", std::process::id())), None)
}

/// The lease that stands for an instance.
pub fn name_of(instance: &str) -> String {
    format!("instance:{instance}")
}

/// The machine's own name.
fn machine() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname")
        .or_else(|_| std::fs::read_to_string("/etc/hostname"))
        .unwrap_or_default();
    match name.trim() {
        "" => "gateway".to_owned(),
        name => name.to_owned(),
    }
}

/// Where entries wait: beside a database that is a file, else in the working folder; nowhere for one in memory.
fn spool(store: &Store) -> Option<PathBuf> {
    let beside = |path: &str| Path::new(path).with_extension("spool");
    match (&store.spool, store.url.strip_prefix("sqlite:")) {
        (Some(folder), _) => Some(folder.clone()),
        (None, Some(":memory:")) => None,
        (None, Some(path)) => Some(beside(
            path.trim_start_matches("//").split('?').next().unwrap_or_default(),
        )),
        (None, None) => Some(PathBuf::from("jumpseat.spool")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_wait_beside_the_database_unless_said_otherwise_and_never_for_one_in_memory() {
        let at = |url: &str, folder: Option<&str>| {
            spool(&Store {
                url: url.to_owned(),
                spool: folder.map(PathBuf::from),
                ..Store::default()
            })
        };
        for (url, folder, spool) in [
            ("sqlite:jumpseat.db", None, Some("jumpseat.spool")),
            ("sqlite:/var/lib/js/j.db", None, Some("/var/lib/js/j.spool")),
            ("sqlite::memory:", None, None),
            ("postgres://db/js", None, Some("jumpseat.spool")),
            ("postgres://db/js", Some("/spool"), Some("/spool")),
        ] {
            assert_eq!(at(url, folder), spool.map(PathBuf::from), "{url}");
        }
    }
}
