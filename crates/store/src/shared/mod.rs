//! What instances must agree on now: spend counters, rate limits, breaker news, cached answers, leases.
//!
//! One face, two backends: this process, or Redis. [`Shared::admit`] is the one round trip on a call's path; everything else is off
//! it. When Redis is gone, this process goes on with its fair share of what it knew, says so, and reconciles. Begin at [`Shared`].

pub mod admission;
mod memory;
pub mod news;
mod redis;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::broadcast;
use types::ids::InstanceId;
use types::money::NanoDollars;
use types::spend::{BudgetState, BudgetWindow};
use types::time::Now;

use crate::error::StoreError;
use crate::shared::admission::{Answer, Ask, Settlement};
use crate::shared::memory::Memory;
use crate::shared::news::News;
use crate::shared::redis::{HeldLease, Redis};

/// The shared state. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Shared {
    instance: InstanceId,
    backend: Backend,
}

#[derive(Debug, Clone)]
enum Backend {
    Memory {
        state: Arc<Memory>,
        /// What this handle and its clones hear.
        heard: broadcast::Sender<News>,
    },
    Redis(Arc<Redis>),
}

/// How the shared state is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SharedHealth {
    /// Why it is gone, while it is; then this instance enforces `1 / instances` of each limit and budget.
    pub failing: Option<String>,
    /// Instances seen last.
    pub instances: u32,
}

/// What cached values take in this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CacheHeld {
    /// Bytes, with what keeping them takes.
    pub bytes: u64,
    /// How many they are.
    pub values: u64,
    /// How many went so far to make room for others.
    pub evicted: u64,
}

/// A lock with an end, held by this instance. Dropped, it is given back.
#[derive(Debug)]
pub struct Lease {
    name: String,
    ttl: Duration,
    held: Held,
}

#[derive(Debug)]
enum Held {
    Memory { state: Arc<Memory>, token: u64 },
    Redis(HeldLease),
}

impl Shared {
    /// The state of this process alone.
    pub fn memory(instance: InstanceId) -> Shared {
        Shared::on(Arc::new(Memory::new()), instance)
    }

    /// Another instance on the same memory, as if it were another process: for tests of several. `None` where the state is in Redis,
    /// which another instance opens for itself.
    pub fn beside(&self, instance: InstanceId) -> Option<Shared> {
        match &self.backend {
            Backend::Memory { state, .. } => Some(Shared::on(state.clone(), instance)),
            Backend::Redis(_) => None,
        }
    }

    /// Connects to `memory:` or `redis://…`, `rediss://…`. A Redis that does not answer yet is no error: it is tried again.
    pub async fn open(url: &str, instance: InstanceId) -> Result<Shared, StoreError> {
        if url == "memory:" {
            return Ok(Shared::memory(instance));
        }
        Ok(Shared {
            backend: Backend::Redis(Arc::new(Redis::open(url, instance.clone()).await?)),
            instance,
        })
    }

    /// Takes from every limit and holds in every budget, or nothing anywhere: atomically, for all instances.
    ///
    /// May be dropped while it waits: what is granted to nobody is given back.
    pub async fn admit(&self, ask: &Ask, now: Now) -> Answer {
        match &self.backend {
            Backend::Memory { state, .. } => state.counters.admit(ask, now),
            Backend::Redis(redis) => redis.admit(ask, now).await,
        }
    }

    /// What was held is settled: each hold gives way to the actual amount, each token limit is corrected, places are given back.
    /// Never waits, never lost while this process lives. A spend that held nothing is added (orphans that the records settled).
    pub fn settle(&self, settlement: Settlement, now: Now) {
        match &self.backend {
            Backend::Memory { state, .. } => state.counters.settle(&settlement, now),
            Backend::Redis(redis) => redis.settle(&settlement, now),
        }
    }

    /// What is known here of a budget's window, at most a second old; `None`: it was never asked about.
    pub fn budget(&self, window: &BudgetWindow) -> Option<BudgetState> {
        match &self.backend {
            Backend::Memory { state, .. } => state.counters.budget(window),
            Backend::Redis(redis) => redis.budget(window),
        }
    }

    /// Has the counters of a window known here, from the shared state, or where nobody has counted it yet beginning with what the
    /// ledger says. To be called when an instance meets a window for the first time.
    pub async fn begin_window(&self, window: &BudgetWindow, spent: NanoDollars) {
        match &self.backend {
            Backend::Memory { state, .. } => state.counters.begin(window, spent),
            Backend::Redis(redis) => redis.begin_window(window, spent).await,
        }
    }

    /// Gives back what an instance that is gone still held: money and places. To be called when the records have settled its
    /// orphans; what they came to is settled like any other spend. Of this instance's own name, it is an earlier life's.
    pub async fn release_instance(&self, of: &InstanceId) {
        match &self.backend {
            // Whoever held something in this memory went with it.
            Backend::Memory { .. } => tracing::debug!(instance = %of, "Nothing of `{of}` outlived it in memory"),
            Backend::Redis(redis) => redis.release_instance(of).await,
        }
    }

    /// Tells the other instances. Never waits.
    pub fn publish(&self, news: News) {
        match &self.backend {
            Backend::Memory { state, heard } => state.news.tell(heard, news),
            Backend::Redis(redis) => redis.publish(news),
        }
    }

    /// News of other instances, from now on.
    pub fn subscribe(&self) -> broadcast::Receiver<News> {
        match &self.backend {
            Backend::Memory { heard, .. } => heard.subscribe(),
            Backend::Redis(redis) => redis.subscribe(),
        }
    }

    /// A cached value and how long ago it was put.
    pub async fn cache_get(&self, key: &str) -> Option<(Bytes, Duration)> {
        match &self.backend {
            Backend::Memory { state, .. } => state.cache.get(key),
            Backend::Redis(redis) => redis.cache_get(key).await,
        }
    }

    /// Keeps a value for a while. The memory's size is bounded by [`Shared::set_cache_bytes_max`].
    pub async fn cache_put(&self, key: &str, value: Bytes, keep: Duration) {
        match &self.backend {
            Backend::Memory { state, .. } => state.cache.put(key, value, keep),
            Backend::Redis(redis) => redis.cache_put(key, value, keep).await,
        }
    }

    /// Forgets a value.
    pub async fn cache_delete(&self, key: &str) {
        match &self.backend {
            Backend::Memory { state, .. } => state.cache.delete(key),
            Backend::Redis(redis) => redis.cache_delete(key).await,
        }
    }

    /// The most that cached values may take in this process (a Redis has its own limit, `maxmemory`).
    pub fn set_cache_bytes_max(&self, bytes: u64) {
        match &self.backend {
            Backend::Memory { state, .. } => state.cache.set_bytes_max(bytes),
            // Its own `maxmemory` bounds it.
            Backend::Redis(_) => {}
        }
    }

    /// What cached values take in this process; `None` where they are elsewhere.
    pub fn cache_held(&self) -> Option<CacheHeld> {
        match &self.backend {
            Backend::Memory { state, .. } => Some(state.cache.held()),
            Backend::Redis(_) => None,
        }
    }

    /// Takes a lock of this name for a while, unless another instance has it. It is held until it is dropped or its time is over;
    /// [`Lease::renew`] prolongs it.
    pub async fn lease(&self, name: &str, ttl: Duration) -> Option<Lease> {
        let held = match &self.backend {
            Backend::Memory { state, .. } => Held::Memory {
                token: state.leases.take(name, ttl)?,
                state: state.clone(),
            },
            Backend::Redis(redis) => Held::Redis(redis.lease(name, ttl).await?),
        };
        let name = name.to_owned();
        Some(Lease { name, ttl, held })
    }

    /// The instances that have been heard of lately, this one too.
    pub async fn instances(&self) -> Vec<InstanceId> {
        match &self.backend {
            Backend::Memory { state, .. } => state.instances(),
            Backend::Redis(redis) => redis.instances(),
        }
    }

    /// How it is.
    pub fn health(&self) -> SharedHealth {
        match &self.backend {
            Backend::Memory { state, .. } => SharedHealth {
                failing: None,
                instances: state.instances().len() as u32,
            },
            Backend::Redis(redis) => redis.health(),
        }
    }

    /// Waits until what was settled and published before has reached the others. It waits as long as the shared state is gone.
    pub async fn flushed(&self) {
        match &self.backend {
            Backend::Memory { .. } => {}
            Backend::Redis(redis) => redis.flushed().await,
        }
    }

    /// Sends what is still to be settled, then goes.
    pub async fn close(&self) {
        match &self.backend {
            Backend::Memory { .. } => {}
            Backend::Redis(redis) => redis.close().await,
        }
    }

    /// `memory` or `redis`.
    pub fn kind(&self) -> &'static str {
        match &self.backend {
            Backend::Memory { .. } => "memory",
            Backend::Redis(_) => "redis",
        }
    }

    /// Who this is among the instances.
    pub fn instance(&self) -> &InstanceId {
        &self.instance
    }

    fn on(state: Arc<Memory>, instance: InstanceId) -> Shared {
        let heard = state.news.join(instance.clone());
        Shared {
            instance,
            backend: Backend::Memory { state, heard },
        }
    }
}

impl Lease {
    /// Prolongs it by its time from now; `false` when it was lost to another.
    pub async fn renew(&self) -> bool {
        match &self.held {
            Held::Memory { state, token } => state.leases.renew(&self.name, *token, self.ttl),
            Held::Redis(held) => held.renew(&self.name, self.ttl).await,
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        match &self.held {
            Held::Memory { state, token } => state.leases.release(&self.name, *token),
            Held::Redis(held) => held.release(&self.name),
        }
    }
}
