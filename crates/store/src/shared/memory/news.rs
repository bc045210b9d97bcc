//! News between handles that share one process's state. A gateway alone hears nothing; tests set two beside each other.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::broadcast;
use types::ids::InstanceId;

use crate::shared::news::{NEWS_WAITING_MAX, News};

/// Where each handle listens.
#[derive(Debug, Default)]
pub(crate) struct Hub {
    members: Mutex<Vec<(InstanceId, broadcast::Sender<News>)>>,
}

impl Hub {
    /// A new handle; it hears what is told from now on.
    pub(crate) fn join(&self, instance: InstanceId) -> broadcast::Sender<News> {
        let own = broadcast::Sender::new(NEWS_WAITING_MAX);
        self.lock().push((instance, own.clone()));
        own
    }

    /// Tells all but the one who tells.
    pub(crate) fn tell(&self, from: &broadcast::Sender<News>, news: News) {
        for (_, member) in self.lock().iter() {
            if !member.same_channel(from) {
                // Nobody listens there: nothing is lost.
                let _ = member.send(news.clone());
            }
        }
    }

    pub(crate) fn members(&self) -> Vec<InstanceId> {
        let mut names: Vec<InstanceId> = self.lock().iter().map(|(name, _)| name.clone()).collect();
        names.sort();
        names.dedup();
        names
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(InstanceId, broadcast::Sender<News>)>> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
