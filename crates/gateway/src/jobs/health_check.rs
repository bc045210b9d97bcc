//! Asks a provider the light question "which models have you?": for `jumpseat check`, and for those that are left out:
//! targets whose breaker is open, providers that cannot be connected to.
//!
//! A check that succeeds lets the next call through at once, as the probe; only a real call closes a breaker.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use futures_util::stream::{self, StreamExt};
use http::Method;
use http_body_util::{BodyExt, Limited};
use policy::breaker::BreakerState;
use policy::rest::Usable;
use store::shared::news::News;
use store::shared::{Lease, Shared};
use tokio::time::{Instant, sleep_until};
use tracing::{debug, info};
use types::ids::ProviderId;
use types::outcome::{Failure, OutcomeClass, Scope, TimeoutKind};
use types::time::Now;
use wire::dialect;
use wire::response::RawAnswer;

use crate::clock::Clock;
use crate::fleet::memory::lock;
use crate::fleet::provider::{Credential, Provider};
use crate::fleet::route::Route;
use crate::fleet::snapshot::Snapshot;
use crate::stores::Stores;
use crate::upstream::client::request;
use crate::upstream::credentials::Authorized;

/// Providers asked at the same time; further ones wait for a place.
const ASKED_AT_ONCE: usize = 64;

/// A round may take a little longer than the interval.
const LEASE_SLACK: Duration = Duration::from_secs(5);

/// Lists of models are long at some providers; the rest is not needed.
const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Asks a provider once with one of its credentials.
pub async fn health_check(
    provider: &Provider,
    credential: usize,
    timeout: Duration,
    clock: &Clock,
) -> Result<(), Failure> {
    // A host without a light question is asked for a connection alone.
    let path = provider.hosting.health_path(provider.dialect);
    let Some(uri) = provider.uri(path.as_deref().unwrap_or("/")) else {
        return Err(Failure::new(
            OutcomeClass::InvalidRequest,
            "the provider's base_url makes no URL",
        ));
    };
    let ask = async {
        let question = request(Method::GET, uri, provider.headers(), Bytes::new());
        let signed = match provider.authorize(credential, question, clock.now().wall) {
            Authorized::Ready(signed) => *signed,
            Authorized::Later(signed) => signed.await?,
            Authorized::Failed(failure) => return Err(failure),
        };
        let sent = provider.client.send(signed.request, false);
        let response = sent.response.await.map_err(|error| {
            let cause = std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string);
            Failure::new(OutcomeClass::Network, cause).with_scope(Scope::Provider)
        })?;
        let (parts, body) = response.into_parts();
        if parts.status.is_success() || path.is_none() {
            return Ok(());
        }
        let body = Limited::new(body, ANSWER_BYTES_MAX)
            .collect()
            .await
            .map(|b| b.to_bytes())
            .unwrap_or_default();
        let received = clock.now().wall;
        let raw = RawAnswer {
            status: parts.status.as_u16(),
            headers: &parts.headers,
            body: &body,
            received,
        };
        Err(dialect::classify(provider.dialect, raw))
    };
    match tokio::time::timeout(timeout, ask).await {
        Ok(answer) => answer,
        Err(_) => Err(Failure::timeout(
            TimeoutKind::Total,
            format!("no answer within {timeout:?}"),
        )),
    }
}

/// Asks the providers that are kept out, or have a target whose breaker is open, every `checks.interval`, for as long as it
/// is polled. Each is asked once a round, all of them at the same time: one that is silent delays no other. An answer that
/// takes longer than the interval is given up too, so that rounds do not overlap.
///
/// Of several instances one asks, under a lease, and tells the others who answered.
pub async fn check_open_targets(snapshot: Arc<ArcSwap<Snapshot>>, stores: Stores, clock: Clock) {
    let mut lease: Option<Lease> = None;
    let mut round = Instant::now();
    loop {
        let interval = snapshot.load().loaded.config.checks.interval;
        round = (round + interval).max(Instant::now());
        sleep_until(round).await;
        let current = snapshot.load_full();
        let checks = &current.loaded.config.checks;
        lease = held(&stores.shared, lease, interval).await;
        if lease.is_none() && stores.shared.health().failing.is_none() {
            continue;
        }
        let timeout = checks.timeout.min(checks.interval);
        for provider in current.providers.iter().flatten() {
            provider.look_at_files(clock.now());
        }
        let sick = sick(&current, clock.now());
        let asked = sick
            .into_values()
            .map(|targets| check_provider(targets, timeout, &stores, clock));
        stream::iter(asked)
            .buffer_unordered(ASKED_AT_ONCE)
            .collect::<()>()
            .await;
    }
}

/// The right to ask, kept for as long as rounds follow one another. While the shared state is gone each asks for itself.
async fn held(shared: &Shared, lease: Option<Lease>, interval: Duration) -> Option<Lease> {
    if let Some(lease) = lease
        && lease.renew().await
    {
        return Some(lease);
    }
    shared.lease("health_checks", interval * 2 + LEASE_SLACK).await
}

/// The targets of each provider that is to be asked: those whose breaker is open; all of them when the provider itself is
/// kept out.
fn sick(snapshot: &Snapshot, now: Now) -> BTreeMap<ProviderId, Vec<(Arc<Route>, usize)>> {
    let mut sick: BTreeMap<ProviderId, Vec<_>> = BTreeMap::new();
    for (route, index) in snapshot.targets() {
        let target = &route.targets[index];
        let open =
            lock(&target.state.cell).state(now) == BreakerState::Open || lock(&target.provider.cell).is_open(now);
        if open {
            let of_provider = sick.entry(target.provider.id.clone()).or_default();
            of_provider.push((route, index));
        }
    }
    sick
}

/// Asks the provider of some targets, and tells their breakers and its own when it answers.
async fn check_provider(targets: Vec<(Arc<Route>, usize)>, timeout: Duration, stores: &Stores, clock: Clock) {
    let targets = || targets.iter().map(|(route, index)| &route.targets[*index]);
    let Some(provider) = targets().next().map(|target| &target.provider) else {
        return;
    };
    let credential = usable_credential(provider, clock.now());
    let result = health_check(provider, credential, timeout, &clock).await;
    let class = result.as_ref().map_or_else(|f| f.class, |()| OutcomeClass::Success);
    for target in targets() {
        target.metrics.health_check(class);
    }
    if let Err(failure) = result {
        let class = failure.class.as_str();
        return debug!(provider.id = %provider.id, outcome = class, "Provider `{}` failed its health check: {class}", provider.id);
    }
    let now = clock.now();
    let kept_out = {
        let mut cell = lock(&provider.cell);
        let before = cell.is_open(now);
        cell.health_ok(now);
        before && !cell.is_open(now)
    };
    if kept_out {
        info!(provider.id = %provider.id, "Provider `{}` answered its health check: the next call tries it", provider.id);
    }
    for target in targets() {
        let transition = lock(&target.state.cell).health_ok(now);
        if let Some(transition) = transition {
            lock(&provider.cell).target_transition(target.state.ordinal, transition);
            let id = &target.facts.id;
            info!(target.id = %id, "Target `{id}` answered its health check: the next call probes it");
            stores.shared.publish(News::BreakerClosed {
                from: stores.instance.clone(),
                target: id.to_string(),
            });
        }
    }
}

/// The credential that the next call would use: the first that does not rest, else the first that may show whether it is
/// well again. When all of them rest, any will do.
fn usable_credential(provider: &Provider, now: Now) -> usize {
    let usable = |credential: &Credential| lock(&credential.cell).usable(now);
    let first = |wanted| provider.credentials.iter().position(|c| usable(c) == wanted);
    first(Usable::Yes).or_else(|| first(Usable::Probation)).unwrap_or(0)
}
