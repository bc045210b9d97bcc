//! A token or key that ends and is fetched again: kept, renewed ahead of its end, and fetched once for all who wait.
//!
//! While it still holds, nobody waits: one fetch runs beside the calls. Time comes in as an argument. The fetch is a task that
//! the lease owns; it is bounded by whoever wrote it, and dropped with the lease.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt, Shared};
use tokio::task::JoinSet;
use types::outcome::Failure;
use types::time::UnixMillis;

/// It is fetched anew this long before its end, or at four fifths of its life when that is later.
const AHEAD_MAX: Duration = Duration::from_secs(300);
/// What has less than this share of its life left is not used any more: the provider's clock may be ahead of ours.
const MARGIN_SHARE: u64 = 20;
/// The largest such rest.
const MARGIN_MAX: Duration = Duration::from_secs(10);
/// After a fetch that failed while the old one still holds, the next one waits this long.
const AGAIN_AFTER: Duration = Duration::from_secs(10);

/// What was fetched, and how long it holds.
#[derive(Debug)]
pub struct Fetched<T> {
    /// What it is.
    pub value: T,
    /// How long it holds; `None`: without end.
    pub lifetime: Option<Duration>,
    /// It is looked at again after this long, whatever its life.
    pub refresh: Option<Duration>,
}

/// What is held, and its number, by which a later one is told from it.
#[derive(Debug)]
pub struct Held<T> {
    /// What it is.
    pub value: Arc<T>,
    /// Counts up with every fetch.
    pub version: u64,
}

impl<T> Clone for Held<T> {
    fn clone(&self) -> Held<T> {
        Held {
            value: self.value.clone(),
            version: self.version,
        }
    }
}

/// How it is fetched, at a time.
pub type Fetch<T> = Arc<dyn Fn(UnixMillis) -> BoxFuture<'static, Result<Fetched<T>, Failure>> + Send + Sync>;
/// It is being fetched.
pub type Coming<T> = Shared<BoxFuture<'static, Result<Held<T>, Failure>>>;

/// A token or key that ends.
pub struct Lease<T> {
    fetch: Fetch<T>,
    state: Arc<Mutex<State<T>>>,
}

struct State<T> {
    held: Option<Term<T>>,
    coming: Option<Coming<T>>,
    /// At most the one fetch, and those that have just ended. Dropped with the lease.
    tasks: JoinSet<()>,
    version: u64,
    /// No fetch beside the calls before this.
    not_before: UnixMillis,
}

struct Term<T> {
    held: Held<T>,
    refresh_at: UnixMillis,
    ends_at: UnixMillis,
}

/// What is to be had at this moment.
pub enum Have<T> {
    /// It is there.
    Now(Held<T>),
    /// It is being fetched.
    Soon(Coming<T>),
}

impl<T: Send + Sync + 'static> Lease<T> {
    /// Nothing is fetched before it is asked for.
    pub fn new(fetch: Fetch<T>) -> Lease<T> {
        Lease {
            fetch,
            state: Arc::new(Mutex::new(State {
                held: None,
                coming: None,
                tasks: JoinSet::new(),
                version: 0,
                not_before: UnixMillis(0),
            })),
        }
    }

    /// What is to be had. To be called within the runtime: a fetch may begin.
    pub fn get(&self, now: UnixMillis) -> Have<T> {
        let mut state = lock(&self.state);
        let Some(term) = state.held.as_ref().filter(|term| now < term.ends_at) else {
            return Have::Soon(self.begin(&mut state, now));
        };
        let (held, due) = (term.held.clone(), now >= term.refresh_at);
        if due && now >= state.not_before {
            // Its own task drives it.
            drop(self.begin(&mut state, now));
        }
        Have::Now(held)
    }

    /// One that is newer than `version`, which was refused.
    pub fn renew(&self, version: u64, now: UnixMillis) -> Have<T> {
        let mut state = lock(&self.state);
        match &state.held {
            Some(term) if term.held.version > version => Have::Now(term.held.clone()),
            Some(_) | None => Have::Soon(self.begin(&mut state, now)),
        }
    }

    /// What is held, whether it still holds or not.
    pub fn held(&self) -> Option<Held<T>> {
        lock(&self.state).held.as_ref().map(|term| term.held.clone())
    }

    /// What is held is not used any more.
    pub fn forget(&self) {
        lock(&self.state).held = None;
    }

    fn begin(&self, state: &mut State<T>, now: UnixMillis) -> Coming<T> {
        if let Some(coming) = &state.coming {
            return coming.clone();
        }
        let (fetch, shared) = ((self.fetch)(now), Arc::downgrade(&self.state));
        let coming = async move {
            let result = fetch.await;
            let Some(shared) = shared.upgrade() else {
                return result.map(|fetched| Held {
                    value: Arc::new(fetched.value),
                    version: 0,
                });
            };
            let mut state = lock(&shared);
            state.coming = None;
            match result {
                Ok(fetched) => Ok(state.take(fetched, now)),
                Err(failure) => {
                    state.not_before = after(now, AGAIN_AFTER);
                    Err(failure)
                }
            }
        };
        let coming = coming.boxed().shared();
        while state.tasks.try_join_next().is_some() {}
        state.tasks.spawn(coming.clone().map(|_| ()));
        state.coming = Some(coming.clone());
        coming
    }
}

impl<T> State<T> {
    fn take(&mut self, fetched: Fetched<T>, now: UnixMillis) -> Held<T> {
        self.version += 1;
        let held = Held {
            value: Arc::new(fetched.value),
            version: self.version,
        };
        let never = UnixMillis(u64::MAX);
        let (mut refresh_at, ends_at) = match fetched.lifetime {
            None => (never, never),
            Some(life) => {
                let ahead = AHEAD_MAX.min(life / 5);
                let margin = MARGIN_MAX.min(life / MARGIN_SHARE as u32);
                (after(now, life - ahead), after(now, life - margin))
            }
        };
        if let Some(refresh) = fetched.refresh {
            refresh_at = refresh_at.min(after(now, refresh));
        }
        self.held = Some(Term {
            held: held.clone(),
            refresh_at,
            ends_at,
        });
        held
    }
}

fn after(now: UnixMillis, wait: Duration) -> UnixMillis {
    UnixMillis(
        now.0
            .saturating_add(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)),
    )
}

fn lock<T>(state: &Mutex<State<T>>) -> std::sync::MutexGuard<'_, State<T>> {
    // Plain data moves under the lock and cannot be left half-changed.
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use types::outcome::OutcomeClass;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn at(secs: u64) -> UnixMillis {
        UnixMillis(secs * 1000)
    }

    /// Each fetch takes a second and gives its number; those listed fail.
    fn lease(life: Option<Duration>, failing: &'static [u32]) -> (Lease<u32>, Arc<AtomicU32>) {
        let count = Arc::new(AtomicU32::new(0));
        let counted = count.clone();
        let fetch: Fetch<u32> = Arc::new(move |_| {
            let n = counted.fetch_add(1, Ordering::Relaxed) + 1;
            Box::pin(async move {
                tokio::time::sleep(SECOND).await;
                if failing.contains(&n) {
                    return Err(Failure::new(OutcomeClass::Auth, "no"));
                }
                Ok(Fetched {
                    value: n,
                    lifetime: life,
                    refresh: None,
                })
            })
        });
        (Lease::new(fetch), count)
    }

    async fn got(have: Have<u32>) -> Result<u32, String> {
        match have {
            Have::Now(held) => Ok(*held.value),
            Have::Soon(coming) => coming.await.map(|held| *held.value).map_err(|f| f.message),
        }
    }

    fn waits(have: &Have<u32>) -> bool {
        matches!(have, Have::Soon(_))
    }

    #[tokio::test(start_paused = true)]
    async fn all_who_wait_share_one_fetch_even_when_the_first_leaves() {
        let (lease, count) = lease(Some(3600 * SECOND), &[]);
        let first = lease.get(at(0));
        assert!(waits(&first));
        drop(first);
        let (a, b) = (lease.get(at(0)), lease.get(at(0)));
        assert_eq!((got(a).await, got(b).await), (Ok(1), Ok(1)));
        assert_eq!(count.load(Ordering::Relaxed), 1);
        assert!(!waits(&lease.get(at(3000))));
    }

    #[tokio::test(start_paused = true)]
    async fn near_its_end_it_is_fetched_beside_the_calls_and_after_it_they_wait() {
        let (lease, count) = lease(Some(3600 * SECOND), &[2]);
        got(lease.get(at(0))).await.unwrap();
        assert!(!waits(&lease.get(at(3299))));
        assert_eq!(count.load(Ordering::Relaxed), 1, "not yet");
        assert!(!waits(&lease.get(at(3300))), "served while it is renewed");
        tokio::time::sleep(2 * SECOND).await;
        assert_eq!(count.load(Ordering::Relaxed), 2);
        // That fetch failed: the old one still serves, and there is a pause.
        assert_eq!(got(lease.get(at(3305))).await, Ok(1));
        assert_eq!(count.load(Ordering::Relaxed), 2);
        assert_eq!(got(lease.get(at(3310))).await, Ok(1));
        tokio::time::sleep(2 * SECOND).await;
        assert_eq!(got(lease.get(at(3312))).await, Ok(3));
        let late = lease.get(at(3310 + 3595));
        assert!(waits(&late), "what is about to end is not shown");
        assert_eq!(got(late).await, Ok(4));
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_refused_is_fetched_once_for_all_it_was_refused_to() {
        let (lease, count) = lease(None, &[]);
        let Have::Soon(coming) = lease.get(at(0)) else { panic!() };
        let first = coming.await.unwrap();
        let (a, b) = (lease.renew(first.version, at(1)), lease.renew(first.version, at(1)));
        assert_eq!((got(a).await, got(b).await), (Ok(2), Ok(2)));
        assert_eq!(got(lease.renew(first.version, at(2))).await, Ok(2), "renewed already");
        assert_eq!(count.load(Ordering::Relaxed), 2);
        lease.forget();
        assert_eq!(got(lease.get(at(3))).await, Ok(3));
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_is_told_to_all_who_wait_and_the_next_one_tries_again() {
        let (lease, _) = lease(None, &[1]);
        let (a, b) = (lease.get(at(0)), lease.get(at(0)));
        assert_eq!((got(a).await, got(b).await), (Err("no".into()), Err("no".into())));
        assert_eq!(got(lease.get(at(1))).await, Ok(2));
    }
}
