//! Alive and ready. `/ready` says no while draining, so that load balancers send nobody new.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use http::{Response, StatusCode};
use serde::Serialize;

use crate::ingress::reply::{self, ReplyBody};
use crate::stores::{Stores, StoresHealth};

/// The state behind `/health` and `/ready`.
#[derive(Debug, Default)]
pub struct Health {
    listening: AtomicBool,
    draining: AtomicBool,
    generation: AtomicU64,
    stores: OnceLock<Stores>,
}

#[derive(Serialize)]
struct Report {
    status: &'static str,
    version: &'static str,
    configuration: u64,
    /// On `/ready` alone. Calls go on without them, so that they fail nothing.
    #[serde(flatten)]
    stores: Option<StoresHealth>,
}

impl Health {
    /// The listeners are open.
    pub fn set_listening(&self) {
        self.listening.store(true, Ordering::Relaxed);
    }

    /// No new calls are wanted.
    pub fn set_draining(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// A configuration serves.
    pub fn set_generation(&self, generation: u64) {
        self.generation.store(generation, Ordering::Relaxed);
    }

    /// What `/ready` tells of.
    pub fn set_stores(&self, stores: Stores) {
        let _ = self.stores.set(stores);
    }

    /// `GET /health`: the process is alive.
    pub fn health(&self) -> Response<ReplyBody> {
        self.report(StatusCode::OK, "ok", None)
    }

    /// `GET /ready`: a configuration is loaded, the listeners are open, nothing is being drained. Stores that are gone are named
    /// and change nothing about that.
    pub fn ready(&self) -> Response<ReplyBody> {
        let stores = self.stores.get().map(Stores::health);
        if self.draining.load(Ordering::Relaxed) {
            self.report(StatusCode::SERVICE_UNAVAILABLE, "draining", stores)
        } else if self.listening.load(Ordering::Relaxed) && self.generation.load(Ordering::Relaxed) > 0 {
            self.report(StatusCode::OK, "ready", stores)
        } else {
            self.report(StatusCode::SERVICE_UNAVAILABLE, "starting", stores)
        }
    }

    fn report(&self, status: StatusCode, word: &'static str, stores: Option<StoresHealth>) -> Response<ReplyBody> {
        let report = Report {
            status: word,
            version: env!("CARGO_PKG_VERSION"),
            configuration: self.generation.load(Ordering::Relaxed),
            stores,
        };
        reply::json(
            status,
            serde_json::to_vec(&report).expect("strings and numbers always serialize"),
        )
    }
}
