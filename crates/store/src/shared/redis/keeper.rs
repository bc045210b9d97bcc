//! Keeps a way to Redis: makes it, tells Redis everything this process knows, then says every half second that it lives, reads
//! windows again, and tells what was settled as soon as it was.
//!
//! One batch is out at a time and carries a number, so that a batch whose fate is not known is never counted twice.

use std::sync::Arc;
use std::time::Duration;

use redis::cmd;
use tokio::time::{MissedTickBehavior, sleep, timeout};
use types::time::{Mono, Now, UnixMillis};

use crate::shared::redis::admit::kind;
use crate::shared::redis::link::{Link, Script};
use crate::shared::redis::local::{Batch, CHUNK};
use crate::shared::redis::parse::{Hash, Seen, amount, text, texts};
use crate::shared::redis::{State, WORK_TIMEOUT, ok, said, wall_ms};

/// How often this instance says that it lives and reads windows again.
const TICK: Duration = Duration::from_millis(500);
/// An instance that has not said so for this long is gone: its places are free.
const LIFE_MS: u64 = 10_000;
/// Between two tries to connect.
const PAUSE: Duration = Duration::from_millis(200);

/// Keeps a way until it is told to stop.
pub(crate) async fn keep(state: Arc<State>) {
    loop {
        let made = tokio::select! {
            () = state.stop.cancelled() => return,
            made = make(&state) => made,
        };
        match made {
            Ok(link) => {
                state.tries.send_modify(|tries| *tries += 1);
                serve(&state, &link).await;
            }
            Err(why) => {
                let mut local = state.lock();
                if local.failing.as_ref().is_none_or(|failing| *failing != why) {
                    tracing::warn!(redis = %state.address.shown, "The shared state cannot be reached: {why}");
                }
                local.failing = Some(why);
                drop(local);
                state.tries.send_modify(|tries| *tries += 1);
            }
        }
        if state.stop.is_cancelled() {
            return;
        }
        tokio::select! {
            () = state.stop.cancelled() => return,
            () = sleep(PAUSE) => {}
        }
    }
}

/// A new way, with everything told that this process knows.
async fn make(state: &State) -> Result<Arc<Link>, String> {
    // From here on nothing that was sent on an older way counts, whatever becomes of it.
    let epoch = {
        let mut local = state.lock();
        local.epoch += 1;
        local.epoch
    };
    let connected = timeout(3 * WORK_TIMEOUT, Link::connect(&state.address, epoch)).await;
    let link = match connected {
        Ok(Ok(link)) => Arc::new(link),
        Ok(Err(error)) => return Err(said(&error)),
        Err(_) => return Err("it does not answer".to_owned()),
    };
    let lost = || "it does not take in what this instance knows".to_owned();
    let keys = [state.life_key(), state.key("instances")];
    let args = [state.me.clone(), epoch.to_string(), LIFE_MS.to_string()];
    let hello = state
        .limited(&link, WORK_TIMEOUT, link.run(Script::Hello, &keys, &args))
        .await;
    let taken_in = hello.and_then(ok).ok_or_else(lost)?.into_iter().next().and_then(text);
    let now = state.now();
    state.lock().began_epoch(taken_in.and_then(|seq| amount(&seq)), now);
    let windows = state.lock().all_windows();
    if !state.tell_whole(&link, &windows, true).await {
        return Err(lost());
    }
    let places = state.lock().all_places();
    for chunk in places.chunks(CHUNK) {
        let mut keys = vec![state.life_key()];
        let mut args = vec![state.me.clone(), epoch.to_string()];
        for (key, places) in chunk {
            keys.push(state.key(&format!("k:{key}")));
            args.push(places.to_string());
        }
        let told = state
            .limited(&link, WORK_TIMEOUT, link.run(Script::Places, &keys, &args))
            .await;
        told.and_then(ok).ok_or_else(lost)?;
        state.lock().told_places(chunk);
    }
    if !tick(state, &link).await {
        return Err(lost());
    }
    let mut local = state.lock();
    local.link = Some(link.clone());
    if local.failing.take().is_some() {
        let instances = local.instances();
        tracing::info!(redis = %state.address.shown, instances, "The shared state is there");
    }
    Ok(link)
}

/// Works on a way until it breaks or the work is over.
async fn serve(state: &State, link: &Link) {
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // What was settled while there was no way.
    state.wake.notify_one();
    loop {
        tokio::select! {
            biased;
            () = link.broken.cancelled() => return,
            () = state.stop.cancelled() => return leave(state, link).await,
            _ = ticks.tick() => {
                tick(state, link).await;
            }
            () = state.wake.notified() => {
                flush(state, link).await;
            }
        }
    }
}

/// Tells all there is to tell.
async fn flush(state: &State, link: &Link) {
    loop {
        if !tell_news(state, link).await {
            return;
        }
        let unknown = state.lock().changed_and_unknown();
        if !unknown.is_empty() && !state.begin(link, &unknown).await {
            return;
        }
        let batch = {
            let mut local = state.lock();
            match local.next_batch() {
                Some(batch) => batch,
                None if local.is_quiet() => break,
                None => continue,
            }
        };
        let (keys, args) = written(state, link, &batch);
        let Some(answer) = state
            .limited(link, WORK_TIMEOUT, link.run(Script::Flush, &keys, &args))
            .await
        else {
            return;
        };
        let seen = texts(answer).filter(|texts| texts.first().is_some_and(|first| first == "ok"));
        let seen = seen.and_then(|texts| texts[1..].chunks(4).map(Seen::read).collect::<Option<Vec<_>>>());
        match seen {
            Some(seen) => state.lock().acknowledged(&batch, &seen),
            None => return state.give_up(link, "it has lost this instance".to_owned()),
        }
    }
    state.quiet.notify_waiters();
}

fn written(state: &State, link: &Link, batch: &Batch) -> (Vec<String>, Vec<String>) {
    let mut keys = vec![state.life_key()];
    let mut args = vec![
        state.me.clone(),
        link.epoch.to_string(),
        batch.seq.to_string(),
        state.clock(state.now()),
    ];
    args.extend([batch.windows.len(), batch.buckets.len(), batch.places.len()].map(|len| len.to_string()));
    for (window, settled, change) in &batch.windows {
        keys.push(state.window_key(window));
        let sign = if *change < 0 { "-" } else { "+" };
        args.extend([settled.to_string(), sign.to_owned(), change.unsigned_abs().to_string()]);
    }
    for (key, dimension, limit, correction) in &batch.buckets {
        keys.push(state.key(&format!("k:{key}")));
        let (taken, actual) = if *correction < 0 {
            (correction.unsigned_abs(), 0)
        } else {
            (0, correction.unsigned_abs())
        };
        let kind = kind(*dimension).to_owned();
        args.extend([kind, limit.to_string(), taken.to_string(), actual.to_string()]);
    }
    for (key, change) in &batch.places {
        keys.push(state.key(&format!("k:{key}")));
        args.push(change.to_string());
    }
    (keys, args)
}

/// Says that this instance lives, reads who else does, and reads windows again.
async fn tick(state: &State, link: &Link) -> bool {
    let windows = state.lock().due_for_refresh(wall_ms());
    let mut keys = vec![state.life_key(), state.key("instances")];
    keys.extend(windows.iter().map(|window| state.window_key(window)));
    let args = [
        state.me.clone(),
        link.epoch.to_string(),
        LIFE_MS.to_string(),
        state.beat_channel(),
    ];
    let Some(answer) = state
        .limited(link, WORK_TIMEOUT, link.run(Script::Tick, &keys, &args))
        .await
    else {
        return false;
    };
    let read = ok(answer).and_then(|parts| {
        let mut parts = parts.into_iter();
        let alive = texts(parts.next()?)?;
        let hashes = parts
            .map(|hash| Hash::read(hash, &state.me))
            .collect::<Option<Vec<_>>>()?;
        Some((alive, hashes))
    });
    let Some((alive, hashes)) = read else {
        state.give_up(link, "it has lost this instance".to_owned());
        return false;
    };
    let kept = {
        let mut local = state.lock();
        local.alive = alive;
        windows
            .iter()
            .zip(hashes)
            .fold(true, |kept, (window, hash)| local.refreshed(window, hash) && kept)
    };
    if !kept {
        state.give_up(link, "it has lost a budget's counter".to_owned());
    }
    kept
}

/// Tells news and gives back locks.
async fn tell_news(state: &State, link: &Link) -> bool {
    loop {
        let (news, releases) = {
            let mut local = state.lock();
            (local.news.pop_front(), std::mem::take(&mut local.releases))
        };
        if news.is_none() && releases.is_empty() {
            return true;
        }
        for (name, token) in releases {
            let (keys, args) = ([state.lease_key(&name)], [token, "0".to_owned()]);
            if state
                .limited(link, WORK_TIMEOUT, link.run(Script::Lease, &keys, &args))
                .await
                .is_none()
            {
                return false;
            }
        }
        let Some(news) = news else { continue };
        let mut command = cmd("PUBLISH");
        command.arg(state.news_channel()).arg(state.enveloped(&news));
        if state.limited(link, WORK_TIMEOUT, link.ask(&command)).await.is_none() {
            state.lock().news.push_front(news);
            return false;
        }
    }
}

/// The last that Redis hears of this life.
async fn leave(state: &State, link: &Link) {
    flush(state, link).await;
    let (mut life, mut place) = (cmd("DEL"), cmd("ZREM"));
    life.arg(state.life_key());
    place.arg(state.key("instances")).arg(&state.me);
    let gone = state.limited(link, WORK_TIMEOUT, link.ask(&life)).await;
    // Who still holds something is remembered until that is released.
    let holds_nothing = state.lock().holds_nothing();
    if gone.is_some() && holds_nothing {
        state.limited(link, WORK_TIMEOUT, link.ask(&place)).await;
    }
}

impl State {
    /// For buckets of this process alone that nobody has just asked: they are judged at the latest time they have seen.
    pub(crate) fn now(&self) -> Now {
        let mono = self.lock().latest_mono;
        Now {
            mono: Mono(mono),
            wall: UnixMillis(wall_ms()),
        }
    }
}
