//! What was learned of targets outlives the process: characters in their tokens, kept in the store under `tokens:provider/model`,
//! and the usual lengths of their answers, under `usual:["route","provider/model"]`.

use std::sync::Arc;
use std::time::Duration;

use policy::tokens::{TokenRatio, TokenRatioState};
use policy::usual::{UsualOutput, UsualState};
use store::records::Records;
use store::records::entry::Entry;
use store::records::writer::Writer;
use tokio::time::sleep;
use tracing::warn;
use types::ids::{RouteName, TargetId};
use types::time::Now;

use crate::clock::Clock;
use crate::fleet::memory::{Memory, lock};

/// Between two savings: what is lost by a sudden end is learned again within as much.
const EVERY: Duration = Duration::from_secs(300);
/// What names of ratios begin with.
const TOKENS: &str = "tokens:";
/// What names of usual lengths begin with.
const USUAL: &str = "usual:";

/// Takes in what was kept. Without it everything is learned anew, so a store that does not answer is told and nothing more.
pub async fn load(memory: &Memory, records: &Records, now: Now) {
    let known = match records.learned(TOKENS).await {
        Ok(known) => known,
        Err(error) => return warn!(error = %error, "Failed to read what was learned of targets: {error}"),
    };
    for (name, value) in known {
        let id = name.strip_prefix(TOKENS).and_then(|id| TargetId::parse(id).ok());
        let state = serde_json::from_str::<TokenRatioState>(&value).ok();
        if let (Some(id), Some(state)) = (id, state) {
            memory.teach(&id, TokenRatio::from_state(&state, now));
        }
    }
    let known = match records.learned(USUAL).await {
        Ok(known) => known,
        Err(error) => return warn!(error = %error, "Failed to read how long answers usually are: {error}"),
    };
    for (name, value) in known {
        let names = name
            .strip_prefix(USUAL)
            .map(serde_json::from_str::<(RouteName, String)>);
        let Some(Ok((route, target))) = names else { continue };
        let id = TargetId::parse(&target).ok();
        let state = serde_json::from_str::<UsualState>(&value).ok();
        if let (Some(id), Some(state)) = (id, state) {
            *lock(&memory.usual(&route, &id)) = UsualOutput::from_state(&state, now);
        }
    }
}

/// Hands what was learned to the writer.
pub fn save(memory: &Memory, writer: &Writer, now: Now) {
    for (id, ratio) in memory.learned() {
        let value = serde_json::to_string(&ratio.state(now)).expect("plain numbers are always JSON");
        let name = format!("{TOKENS}{id}");
        writer.write(Entry::Learned { name, value });
    }
    for (route, id, usual) in memory.usuals() {
        let state = lock(&usual).state(now);
        let value = serde_json::to_string(&state).expect("plain numbers are always JSON");
        let names = serde_json::to_string(&(route, id.as_str())).expect("texts are always JSON");
        let name = format!("{USUAL}{names}");
        writer.write(Entry::Learned { name, value });
    }
}

/// Saves now and then, for as long as it is polled.
pub async fn keep(memory: Arc<Memory>, writer: Writer, clock: Clock) {
    loop {
        sleep(EVERY).await;
        save(&memory, &writer, clock.now());
    }
}
