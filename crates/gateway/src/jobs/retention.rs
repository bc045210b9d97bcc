//! Forgets calls, their texts and stored responses whose time is over: in small steps, by one instance at a time.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use store::error::StoreError;
use store::records::Records;
use store::shared::Lease;
use tokio::time::sleep;
use tracing::{info, warn};
use types::time::UnixMillis;

use crate::clock::Clock;
use crate::fleet::snapshot::Snapshot;
use crate::recorder::metrics::RecorderMetrics;
use crate::stores::Stores;

/// Between two rounds.
const EVERY: Duration = Duration::from_secs(600);
/// The first round comes soon after the start, and not at the same moment as everything else.
const FIRST: Duration = Duration::from_secs(30);
/// The lock's end, for an instance that died at work.
const LEASE: Duration = Duration::from_secs(120);
/// Calls forgotten in one transaction: a writer that waits for it waits for milliseconds.
const STEP: u32 = 500;
/// Between two steps.
const PAUSE: Duration = Duration::from_millis(50);

/// Forgets what is too old, every ten minutes, for as long as it is polled.
pub async fn forget_old(snapshot: Arc<ArcSwap<Snapshot>>, stores: Stores, clock: Clock, metrics: RecorderMetrics) {
    let Some(records) = stores.records.as_ref().map(|keeping| keeping.records.clone()) else {
        return;
    };
    sleep(FIRST).await;
    loop {
        if let Some(lease) = stores.shared.lease("retention", LEASE).await {
            let retain = snapshot.load().loaded.config.record.retain;
            let now = clock.now().wall;
            match forget(&records, now, retain, Some(&lease)).await {
                Ok(0) => {}
                Ok(calls) => {
                    metrics.calls_forgotten.inc_by(calls);
                    info!(calls, "Forgot {calls} calls that were older than `record.retain`");
                }
                Err(error) => warn!(error = %error, "Failed to forget old calls: {error}"),
            }
        }
        sleep(EVERY).await;
    }
}

/// Forgets what is older than `retain`, and stored responses that have expired. Ends early when somebody else has the lock.
pub async fn forget(
    records: &Records,
    now: UnixMillis,
    retain: Duration,
    lease: Option<&Lease>,
) -> Result<u64, StoreError> {
    let before = UnixMillis(now.0.saturating_sub(retain.as_millis() as u64));
    let mut calls = 0;
    loop {
        let gone = records.forget_before(before, STEP).await?;
        calls += gone;
        if gone < u64::from(STEP) || !go_on(lease).await {
            break;
        }
    }
    while records.forget_expired_responses(now, STEP).await? >= u64::from(STEP) && go_on(lease).await {}
    Ok(calls)
}

/// Between two steps: what calls write comes first. `false`: somebody else has the lock.
async fn go_on(lease: Option<&Lease>) -> bool {
    sleep(PAUSE).await;
    match lease {
        Some(lease) => lease.renew().await,
        None => true,
    }
}
