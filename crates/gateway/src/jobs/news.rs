//! What instances tell one another of targets: a breaker that opened or closed, a rest. Heard within a second, mostly at once.
//!
//! What is heard is never told again, and never opens what this instance knows better about: see
//! [`policy::breaker::Breaker::heard_open`].

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use policy::breaker::Transition;
use policy::rest::{RestNews, RestReason};
use store::shared::Shared;
use store::shared::news::News;
use tokio::sync::broadcast::error::RecvError;
use tracing::{debug, info};
use types::ids::CredentialIx;
use types::outcome::Scope;
use types::time::{Now, UnixMillis};

use crate::clock::Clock;
use crate::fleet::memory::lock;
use crate::fleet::route::Target;
use crate::fleet::snapshot::Snapshot;

/// Listens for as long as it is polled.
pub async fn hear(snapshot: Arc<ArcSwap<Snapshot>>, shared: Shared, clock: Clock) {
    let mut heard = shared.subscribe();
    loop {
        match heard.recv().await {
            Ok(news) => apply(&snapshot.load(), &news, clock.now()),
            Err(RecvError::Lagged(missed)) => debug!("{missed} news of other instances were missed"),
            Err(RecvError::Closed) => return,
        }
    }
}

/// Takes news in.
pub fn apply(snapshot: &Snapshot, news: &News, now: Now) {
    match news {
        News::BreakerOpened { target, until, .. } => {
            let wait = Duration::from_millis(until.0.saturating_sub(now.wall.0));
            each(snapshot, target, |target| {
                let transition = lock(&target.state.cell).heard_open(now.mono + wait, now);
                pass_on(target, transition, "another instance opened its breaker");
            });
        }
        News::BreakerClosed { target, .. } => each(snapshot, target, |target| {
            let transition = lock(&target.state.cell).health_ok(now);
            pass_on(target, transition, "it answered another instance");
        }),
        News::Rests {
            target,
            credential,
            scope,
            reason,
            until,
            ..
        } => {
            let wait = Duration::from_millis(until.0.saturating_sub(now.wall.0));
            let (Some(scope), Some(reason)) = (scope_of(scope), reason_of(reason)) else {
                return debug!("News of a rest were not understood: a newer version told them");
            };
            if !wait.is_zero() {
                each(snapshot, target, |target| {
                    rest(target, credential, scope, reason, wait, now)
                });
            }
        }
        // The keyring hears of these itself.
        News::KeysChanged { .. } => {}
    }
}

/// The cells of a target are one, however many routes it stands in.
fn each(snapshot: &Snapshot, id: &str, then: impl FnOnce(&Target)) {
    let targets = snapshot.targets();
    if let Some((route, index)) = targets
        .iter()
        .find(|(route, index)| route.targets[*index].facts.id.as_str() == id)
    {
        then(&route.targets[*index]);
    }
}

fn pass_on(target: &Target, transition: Option<Transition>, why: &str) {
    let Some(transition) = transition else { return };
    lock(&target.provider.cell).target_transition(target.state.ordinal, transition);
    let id = &target.facts.id;
    match transition {
        Transition::Opened { .. } => info!(target.id = %id, "Target `{id}` is left out: {why}"),
        Transition::HalfOpened | Transition::Closed => info!(target.id = %id, "Target `{id}` is tried again: {why}"),
    }
}

fn rest(target: &Target, credential: &str, scope: Scope, reason: RestReason, wait: Duration, now: Now) {
    let of_provider = &target.provider.credentials;
    let Some(at) = of_provider.iter().position(|known| known.name == credential) else {
        return;
    };
    match scope {
        Scope::Credential => lock(&of_provider[at].cell).rest(reason, Some(wait), now),
        Scope::Target | Scope::CredentialAtTarget | Scope::Provider => {
            let news = RestNews {
                credential: CredentialIx(at as u32),
                scope,
                reason,
                hint: Some(wait),
            };
            lock(&target.state.cell).rest(news, now);
        }
    }
}

/// A moment on the monotonic clock as others understand it.
pub fn wall_of(until: types::time::Mono, now: Now) -> UnixMillis {
    UnixMillis(now.wall.0.saturating_add(until.since(now.mono).as_millis() as u64))
}

/// The word for a scope.
pub fn scope_word(scope: Scope) -> &'static str {
    match scope {
        Scope::Target => "target",
        Scope::Credential => "credential",
        Scope::CredentialAtTarget => "credential_at_target",
        Scope::Provider => "provider",
    }
}

fn scope_of(word: &str) -> Option<Scope> {
    let all = [
        Scope::Target,
        Scope::Credential,
        Scope::CredentialAtTarget,
        Scope::Provider,
    ];
    all.into_iter().find(|scope| scope_word(*scope) == word)
}

fn reason_of(word: &str) -> Option<RestReason> {
    let all = [
        RestReason::RateLimited,
        RestReason::QuotaExhausted,
        RestReason::Auth,
        RestReason::Forbidden,
        RestReason::ModelMissing,
    ];
    all.into_iter().find(|reason| reason.as_str() == word)
}
