//! The shared state of one process: counters, cached values, locks with an end, and news among the handles of tests.
//!
//! Every answer is given at once. See [`Memory`].

mod cache;
pub(crate) mod counters;
pub(crate) mod lease;
mod news;

use types::ids::InstanceId;

use crate::shared::memory::cache::Cache;
use crate::shared::memory::counters::Counters;
use crate::shared::memory::lease::Leases;
use crate::shared::memory::news::Hub;

/// All of it.
#[derive(Debug)]
pub(crate) struct Memory {
    pub(crate) counters: Counters,
    pub(crate) cache: Cache,
    pub(crate) leases: Leases,
    pub(crate) news: Hub,
}

impl Memory {
    pub(crate) fn new() -> Memory {
        Memory {
            counters: Counters::new(),
            cache: Cache::new(),
            leases: Leases::default(),
            news: Hub::default(),
        }
    }

    /// Who has joined, in the order of their names.
    pub(crate) fn instances(&self) -> Vec<InstanceId> {
        self.news.members()
    }
}
