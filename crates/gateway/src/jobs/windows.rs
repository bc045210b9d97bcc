//! Has the counters of budgets' windows begin: at each rollover, and for budgets of keys that are new, before a call waits for it.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::time::{MissedTickBehavior, interval};

use crate::fleet::snapshot::Snapshot;
use crate::spend::spender::Spender;

/// How often is looked. A call that comes first has its windows begin itself.
const LOOK: Duration = Duration::from_secs(1);

/// Looks for as long as it is polled.
pub async fn begin_windows(snapshot: Arc<ArcSwap<Snapshot>>, spender: Arc<Spender>) {
    let mut tick = interval(LOOK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        let current = snapshot.load_full();
        spender.begin_all(&current.budgets, spender.clock.now().wall).await;
    }
}
