//! Single flight: of equal requests under way at once one is asked upstream, the others wait for its answer.
//!
//! Whoever leads holds a [`Lead`]; dropped without a landing (its client left, its task was ended) it tells those who wait, and one of
//! them leads next. Nobody waits for nobody: a lead that is gone is no longer found.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustc_hash::FxHashMap;
use tokio::sync::watch;

use crate::cache::Status;
use crate::cache::key::Key;
use crate::cache::stored::Stored;
use crate::fleet::memory::lock;

/// Requests under way.
#[derive(Debug, Default)]
pub struct Flights(Mutex<FxHashMap<Key, watch::Receiver<Landing>>>);

/// How a flight ends.
#[derive(Debug, Clone)]
pub enum Landing {
    /// It has not.
    Flying,
    /// With an answer for everyone who waits.
    Answered {
        /// The answer.
        stored: Arc<Stored>,
        /// What it is.
        status: Status,
        /// How old it is.
        age: Duration,
    },
    /// With an answer that is only its asker's: those who wait ask for themselves.
    Unshared,
    /// Without: who leads failed, or left.
    Lost,
}

/// What a request is to the flight of its key.
pub enum Joined {
    /// It leads.
    Lead(Lead),
    /// It waits.
    Follow(watch::Receiver<Landing>),
}

/// A flight's lead.
#[derive(Debug)]
pub struct Lead {
    flights: Arc<Flights>,
    key: Key,
    landing: watch::Sender<Landing>,
}

impl Flights {
    /// Joins the flight of a key, or begins it.
    pub fn join(self: &Arc<Flights>, key: &Key) -> Joined {
        let mut flights = lock(&self.0);
        if let Some(landing) = flights.get(key) {
            return Joined::Follow(landing.clone());
        }
        let (sender, receiver) = watch::channel(Landing::Flying);
        flights.insert(key.clone(), receiver);
        Joined::Lead(Lead {
            flights: self.clone(),
            key: key.clone(),
            landing: sender,
        })
    }
}

impl Lead {
    /// Tells those who wait.
    pub fn land(self, landing: Landing) {
        self.end(landing);
    }

    fn end(&self, landing: Landing) {
        // Who comes from now on finds the cache, or leads.
        lock(&self.flights.0).remove(&self.key);
        self.landing.send_replace(landing);
    }
}

impl Drop for Lead {
    fn drop(&mut self) {
        if matches!(*self.landing.borrow(), Landing::Flying) {
            self.end(Landing::Lost);
        }
    }
}

/// Waits for a flight to end.
pub async fn landed(mut landing: watch::Receiver<Landing>) -> Landing {
    match landing.wait_for(|landing| !matches!(landing, Landing::Flying)).await {
        Ok(landing) => landing.clone(),
        Err(_) => Landing::Lost,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> Key {
        Key::of_test("k")
    }

    #[tokio::test(start_paused = true)]
    async fn a_lead_that_is_gone_leaves_its_place_to_one_that_waits() {
        let flights = Arc::new(Flights::default());
        let Joined::Lead(lead) = flights.join(&key()) else {
            panic!("the first leads")
        };
        let Joined::Follow(waiting) = flights.join(&key()) else {
            panic!("the second waits")
        };
        let waits = tokio::spawn(landed(waiting));
        drop(lead);
        assert!(matches!(waits.await.unwrap(), Landing::Lost));
        let Joined::Lead(lead) = flights.join(&key()) else {
            panic!("the place is free")
        };
        let Joined::Follow(waiting) = flights.join(&key()) else {
            panic!("and taken")
        };
        lead.land(Landing::Unshared);
        assert!(matches!(landed(waiting).await, Landing::Unshared));
        assert!(lock(&flights.0).is_empty());
    }
}
