//! Keeps this gateway's name among its instances, so that another one can tell it from one that is gone.

use std::sync::Arc;

use tokio::time::{MissedTickBehavior, interval};

use crate::spend::spender::Spender;
use crate::stores::INSTANCE_LEASE;

/// Renews the hold for as long as it is polled.
pub async fn keep_name(spender: Arc<Spender>) {
    spender.stores.introduce();
    let mut tick = interval(INSTANCE_LEASE / 3);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        spender.stores.keep_name().await;
    }
}
