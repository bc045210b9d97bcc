//! Asks a provider the light question "which models have you?": for `jumpseat check`, and for targets whose breaker is open.
//!
//! A check that succeeds makes an open target half-open at once; only a real call closes it.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::Method;
use http_body_util::{BodyExt, Limited};
use policy::breaker::BreakerState;
use tracing::{debug, info};
use types::outcome::{Failure, OutcomeClass, Scope, TimeoutKind};
use wire::dialect;
use wire::response::RawAnswer;

use crate::clock::Clock;
use crate::fleet::memory::lock;
use crate::fleet::provider::Provider;
use crate::fleet::snapshot::Snapshot;
use crate::upstream::client::request;

/// Lists of models are long at some providers; the rest is not needed.
const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Asks a provider once with one of its credentials.
pub async fn health_check(
    provider: &Provider,
    credential: usize,
    timeout: Duration,
    clock: &Clock,
) -> Result<(), Failure> {
    let Some(uri) = provider.uri(dialect::health_path(provider.dialect)) else {
        return Err(Failure::new(
            OutcomeClass::InvalidRequest,
            "the provider's base_url makes no URL",
        ));
    };
    let ask = async {
        let sent = provider.client.send(
            request(Method::GET, uri, provider.headers(credential), Bytes::new()),
            false,
        );
        let response = sent.response.await.map_err(|error| {
            let cause = std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string);
            Failure::new(OutcomeClass::Network, cause).with_scope(Scope::Provider)
        })?;
        let (parts, body) = response.into_parts();
        if parts.status.is_success() {
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

/// Checks the targets whose breaker is open, every `checks.interval`, for as long as it is polled.
pub async fn check_open_targets(snapshot: Arc<ArcSwap<Snapshot>>, clock: Clock) {
    loop {
        let settings = snapshot.load().loaded.config.checks.clone();
        tokio::time::sleep(settings.interval).await;
        let current = snapshot.load_full();
        for (route, index) in current.targets() {
            let target = &route.targets[index];
            let now = clock.now();
            if lock(&target.state.cell).state(now) != BreakerState::Open {
                continue;
            }
            let id = &target.facts.id;
            let result = health_check(&target.provider, 0, settings.timeout, &clock).await;
            let class = result.as_ref().map_or_else(|f| f.class, |()| OutcomeClass::Success);
            target.metrics.health_check(class);
            match result {
                Ok(()) => {
                    let now = clock.now();
                    lock(&target.provider.cell).health_ok(now);
                    let transition = lock(&target.state.cell).health_ok(now);
                    if let Some(transition) = transition {
                        lock(&target.provider.cell).target_transition(target.state.ordinal, transition);
                        info!(target.id = %id, "Target `{id}` answered its health check: the next call probes it");
                    }
                }
                Err(failure) => {
                    debug!(target.id = %id, outcome = class.as_str(), "Target `{id}` failed its health check: {}", failure.class.as_str())
                }
            }
        }
    }
}
