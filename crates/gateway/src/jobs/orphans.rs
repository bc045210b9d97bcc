//! Settles what gateways that are gone still hold: an earlier life of this one at the start, others once their name is free.
//!
//! What had been held for an attempt that nobody saw the end of is what it cost, marked `orphaned`. The ledger is first; the counters
//! that instances share follow it.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use store::error::StoreError;
use store::shared::admission::{Settlement, Spend};
use tokio::time::{MissedTickBehavior, interval};
use tracing::{info, warn};
use types::ids::{BudgetId, InstanceId};
use types::money::NanoDollars;
use types::record::AttemptRecord;
use types::spend::BudgetWindow;
use types::time::UnixMillis;

use policy::spend::window::window_at;

use crate::fleet::snapshot::Snapshot;
use crate::spend::budget::Budgets;
use crate::spend::spender::Spender;
use crate::stores::{INSTANCE_LEASE, name_of};

/// How often is looked for instances that are gone.
const LOOK: Duration = Duration::from_secs(30);
/// Only one instance looks at a time.
const LEASE: &str = "orphans";
const LEASE_TTL: Duration = Duration::from_secs(60);

/// Settles what an earlier life of this gateway left, before its first call. Where nothing is shared with other processes, nobody
/// else is alive, and what other names left is settled too: a container has a new one at every start.
pub async fn settle_at_start(spender: &Spender, budgets: &Budgets) {
    let Some(keeping) = &spender.stores.records else { return };
    let mut gone = vec![spender.stores.instance.clone()];
    let alone = spender.stores.shared.kind() == "memory" && keeping.records.kind() == "sqlite";
    if alone {
        match keeping.records.reserving_instances().await {
            Ok(others) => gone.extend(others.into_iter().filter(|other| *other != spender.stores.instance)),
            Err(error) => warn!("Failed to ask who holds reservations: {error}"),
        }
    }
    for instance in gone {
        settle(spender, budgets, &instance).await;
    }
}

/// Settles what instances left that are gone, for as long as it is polled. Only where instances share their counters: else nobody can
/// tell whether another one lives.
pub async fn settle_gone(snapshot: Arc<ArcSwap<Snapshot>>, spender: Arc<Spender>) {
    let Some(keeping) = &spender.stores.records else { return };
    if spender.stores.shared.kind() == "memory" {
        return;
    }
    let mut tick = interval(LOOK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        if spender.stores.shared.health().failing.is_some() {
            continue;
        }
        let Some(_only_one) = spender.stores.shared.lease(LEASE, LEASE_TTL).await else {
            continue;
        };
        let Ok(holders) = keeping.records.reserving_instances().await else {
            continue;
        };
        // An instance that lost its name while Redis was away is heard of before it has its name again.
        let alive = spender.stores.shared.instances().await;
        for holder in holders.into_iter().filter(|holder| !alive.contains(holder)) {
            // Whoever is alive has its name; who has it while this is done can only be one that begins, and waits its turn.
            let name = spender
                .stores
                .shared
                .lease(&name_of(holder.as_str()), INSTANCE_LEASE)
                .await;
            let Some(_name) = name else { continue };
            settle(&spender, &snapshot.load().budgets, &holder).await;
        }
    }
}

async fn settle(spender: &Spender, budgets: &Budgets, of: &InstanceId) {
    let Some(keeping) = &spender.stores.records else { return };
    let now = spender.clock.now();
    // Counters that begin now begin without what is settled below, which is added to them like to those that were there.
    if spender.stores.shared.kind() != "memory" {
        spender.begin_all(budgets, now.wall).await;
    }
    let orphans = match keeping.records.settle_orphans(of, now.wall).await {
        Ok(orphans) => orphans,
        Err(error) => return tell_failed(&error),
    };
    if !orphans.is_empty() {
        let sum: NanoDollars = orphans.iter().map(|orphan| orphan.cost).sum();
        info!(
            attempts = orphans.len(),
            "{} attempts that nobody saw the end of are settled at their estimates, {sum} dollars",
            orphans.len()
        );
    }
    // What is counted in this process alone begins with the ledger, which has them by now.
    if spender.stores.shared.kind() == "memory" {
        return;
    }
    spender.stores.shared.release_instance(of).await;
    for orphan in orphans {
        let spends = spends(&orphan, spender, budgets);
        if !spends.is_empty() {
            let settlement = Settlement {
                call: orphan.call,
                spends,
                ..Settlement::default()
            };
            spender.stores.shared.settle(settlement, now);
        }
    }
}

fn tell_failed(error: &StoreError) {
    warn!("Failed to settle what a gateway that is gone held, it is tried again: {error}");
}

/// What the counters are told: nothing is held any more, and so much was spent. Of a budget that is gone nobody counts.
fn spends(orphan: &AttemptRecord, spender: &Spender, budgets: &Budgets) -> Vec<(BudgetWindow, Spend)> {
    let spend = Spend {
        held: NanoDollars::ZERO,
        actual: orphan.cost,
    };
    let window = |id: &BudgetId, start: UnixMillis| {
        let of_keys = spender.keys.budgets();
        let known = budgets.iter().chain(&of_keys).find(|budget| budget.policy.id == *id)?;
        let window = window_at(&known.policy, start);
        (window.start == start).then_some(window)
    };
    let charges = orphan.charges.iter();
    charges
        .filter_map(|charge| Some((window(&charge.budget, charge.window)?, spend)))
        .collect()
}
