//! The shared state in Redis: one script for an admission, and everything else off the call's path.
//!
//! [`local::Local`] is what this process knows without asking; [`link::Link`] is one way to Redis; [`keeper`] makes ways, keeps them
//! and tells what is to be told. When there is no way, [`local::Local`] answers alone.

mod admit;
mod heard;
mod keeper;
pub(crate) mod link;
mod local;
mod parse;
mod url;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use redis::{RedisError, Value, cmd, pipe};
use ring::rand::{SecureRandom, SystemRandom};
use tokio::sync::{Notify, broadcast, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use types::ids::InstanceId;
use types::money::NanoDollars;
use types::spend::{BudgetState, BudgetWindow};
use types::time::Now;

use crate::error::StoreError;
use crate::shared::SharedHealth;
use crate::shared::admission::{Answer, Ask, Settlement};
use crate::shared::news::{NEWS_WAITING_MAX, News};
use crate::shared::redis::link::{Link, Script};
use crate::shared::redis::local::{CHUNK, Local};
use crate::shared::redis::parse::{parts, text, texts};
use crate::shared::redis::url::Address;

/// How long a call waits for Redis before this process answers alone.
const CALL_TIMEOUT: Duration = Duration::from_millis(250);
/// How long anything else waits.
const WORK_TIMEOUT: Duration = Duration::from_secs(1);
/// How long `open` waits for the first answer, and `close` for the last.
const OPEN_TIMEOUT: Duration = Duration::from_millis(1_500);
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);
/// The largest value that is put into Redis' cache.
const VALUE_BYTES_MAX: usize = 8 << 20;

/// The shared state in Redis. Dropped, its tasks end.
#[derive(Debug)]
pub(crate) struct Redis {
    state: Arc<State>,
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.state.stop.cancel();
    }
}

/// What the tasks share.
#[derive(Debug)]
pub(crate) struct State {
    address: Address,
    instance: InstanceId,
    /// This process's life: the instance's name and something that no earlier life of it had.
    me: String,
    local: Mutex<Local>,
    /// There is something to tell.
    wake: Notify,
    /// Nothing is left to tell.
    quiet: Notify,
    /// How many times a way was made or not made.
    tries: watch::Sender<u64>,
    heard: broadcast::Sender<News>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

/// A lock in Redis.
#[derive(Debug)]
pub(crate) struct HeldLease {
    state: Arc<State>,
    token: String,
}

impl Redis {
    /// Connects; a server that does not answer is tried again later.
    pub(crate) async fn open(url: &str, instance: InstanceId) -> Result<Redis, StoreError> {
        let address = Address::parse(url)?;
        let me = format!("{instance}~{}", random(4));
        let state = Arc::new(State {
            address,
            instance,
            me,
            local: Mutex::default(),
            wake: Notify::new(),
            quiet: Notify::new(),
            tries: watch::Sender::new(0),
            heard: broadcast::Sender::new(NEWS_WAITING_MAX),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        });
        state.lock().failing = Some("not connected yet".to_owned());
        let mut tries = state.tries.subscribe();
        state.tasks.spawn(keeper::keep(state.clone()));
        state.tasks.spawn(heard::listen(state.clone()));
        // An unreachable server is no error: the keeper goes on trying.
        let _ = timeout(OPEN_TIMEOUT, tries.wait_for(|tries| *tries > 0)).await;
        Ok(Redis { state })
    }

    pub(crate) async fn admit(&self, ask: &Ask, now: Now) -> Answer {
        admit::admit(&self.state, ask, now).await
    }

    pub(crate) fn settle(&self, settlement: &Settlement, now: Now) {
        self.state.settle(settlement, now);
    }

    pub(crate) fn budget(&self, window: &BudgetWindow) -> Option<BudgetState> {
        self.state.lock().budget(window)
    }

    pub(crate) async fn begin_window(&self, window: &BudgetWindow, spent: NanoDollars) {
        let link = {
            let mut local = self.state.lock();
            if !local.begin(window, spent, wall_ms()) {
                return;
            }
            local.link.clone()
        };
        if let Some(link) = link {
            self.state.begin(&link, std::slice::from_ref(window)).await;
        }
    }

    /// Gives back what lives of an instance held that are over.
    pub(crate) async fn release_instance(&self, of: &InstanceId) {
        let Some(link) = self.state.lock().link.clone() else {
            tracing::warn!(instance = %of, "What `{of}` held is not given back: the shared state is gone");
            return;
        };
        let released = async {
            let mut everybody = cmd("ZRANGE");
            everybody.arg(self.state.key("instances")).arg(0).arg(-1);
            let everybody = texts(link.ask(&everybody).await?).unwrap_or_default();
            let is_life_of = |life: &String| {
                *life != self.state.me && life.rsplit_once('~').is_some_and(|(name, _)| name == of.as_str())
            };
            let lives: Vec<String> = everybody.into_iter().filter(is_life_of).collect();
            if lives.is_empty() {
                return Ok(());
            }
            let mut windows = cmd("ZRANGE");
            windows.arg(self.state.key("windows")).arg(0).arg(-1);
            let windows = texts(link.ask(&windows).await?).unwrap_or_default();
            let windows: Vec<String> = windows
                .iter()
                .map(|name| self.state.key(&format!("w:{name}")))
                .collect();
            for chunk in windows.chunks(CHUNK) {
                link.run(Script::Release, chunk, &lives).await?;
            }
            for life in &lives {
                link.ask(cmd("DEL").arg(self.state.key(&format!("i:{life}")))).await?;
                link.ask(cmd("ZREM").arg(self.state.key("instances")).arg(life)).await?;
            }
            Ok::<(), RedisError>(())
        };
        self.state.limited(&link, CLOSE_TIMEOUT, released).await;
    }

    pub(crate) fn publish(&self, news: News) {
        self.state.lock().tell(news);
        self.state.wake.notify_one();
    }

    pub(crate) fn subscribe(&self) -> broadcast::Receiver<News> {
        self.state.heard.subscribe()
    }

    pub(crate) async fn cache_get(&self, key: &str) -> Option<(Bytes, Duration)> {
        let link = self.state.lock().link.clone()?;
        let key = self.state.cache_key(key);
        let mut commands = pipe();
        commands.cmd("GET").arg(&key).cmd("PTTL").arg(&key);
        let found = self.state.cached(&link, CALL_TIMEOUT, &commands).await?;
        let [value, left] = <[Value; 2]>::try_from(parts(found)?).ok()?;
        let (Value::BulkString(value), Value::Int(left)) = (value, left) else {
            return None;
        };
        // How long it was to be kept stands before the value: its age needs no clock but the server's.
        let value = Bytes::from(value);
        let keep = u64::from_be_bytes(value.get(..8)?.try_into().ok()?);
        let age = keep.saturating_sub(u64::try_from(left).ok()?);
        Some((value.slice(8..), Duration::from_millis(age)))
    }

    pub(crate) async fn cache_put(&self, key: &str, value: Bytes, keep: Duration) {
        let Some(link) = self.state.lock().link.clone() else {
            return;
        };
        let keep_ms = u64::try_from(keep.as_millis())
            .unwrap_or(u64::MAX)
            .min(i64::MAX as u64 / 2);
        let key = self.state.cache_key(key);
        let mut commands = pipe();
        if value.len() > VALUE_BYTES_MAX || keep_ms == 0 {
            // An old value must not answer in place of the one that was not kept.
            commands.cmd("DEL").arg(&key);
        } else {
            let mut framed = Vec::with_capacity(8 + value.len());
            framed.extend_from_slice(&keep_ms.to_be_bytes());
            framed.extend_from_slice(&value);
            commands.cmd("SET").arg(&key).arg(framed).arg("PX").arg(keep_ms);
        }
        self.state.cached(&link, WORK_TIMEOUT, &commands).await;
    }

    pub(crate) async fn cache_delete(&self, key: &str) {
        let Some(link) = self.state.lock().link.clone() else {
            return;
        };
        let mut commands = pipe();
        commands.cmd("DEL").arg(self.state.cache_key(key));
        self.state.cached(&link, WORK_TIMEOUT, &commands).await;
    }

    pub(crate) async fn lease(&self, name: &str, ttl: Duration) -> Option<HeldLease> {
        let link = self.state.lock().link.clone()?;
        let token = format!("{}~{}", self.state.me, random(8));
        let mut command = cmd("SET");
        command
            .arg(self.state.lease_key(name))
            .arg(&token)
            .arg("NX")
            .arg("PX")
            .arg(millis(ttl));
        match self.state.limited(&link, WORK_TIMEOUT, link.ask(&command)).await? {
            Value::Okay => Some(HeldLease {
                state: self.state.clone(),
                token,
            }),
            _ => None,
        }
    }

    pub(crate) fn instances(&self) -> Vec<InstanceId> {
        let local = self.state.lock();
        let name = |life: &String| InstanceId::from(life.rsplit_once('~').map_or(life.as_str(), |(name, _)| name));
        let mut names: Vec<InstanceId> = local.alive.iter().map(name).collect();
        names.push(self.state.instance.clone());
        names.sort();
        names.dedup();
        names
    }

    pub(crate) fn health(&self) -> SharedHealth {
        let local = self.state.lock();
        SharedHealth {
            failing: local.failing.clone(),
            instances: local.instances() as u32,
        }
    }

    /// Waits until everything that was settled and told has reached Redis.
    pub(crate) async fn flushed(&self) {
        loop {
            let quiet = self.state.quiet.notified();
            tokio::pin!(quiet);
            quiet.as_mut().enable();
            {
                let local = self.state.lock();
                if local.is_quiet() && local.link.is_some() {
                    return;
                }
            }
            self.state.wake.notify_one();
            quiet.await;
        }
    }

    pub(crate) async fn close(&self) {
        if timeout(CLOSE_TIMEOUT, self.flushed()).await.is_err() {
            tracing::warn!("What was settled last does not reach the shared state, which is gone; the ledger has it");
        }
        self.state.stop.cancel();
        self.state.tasks.close();
        // Nothing they do takes longer than a second.
        let _ = timeout(CLOSE_TIMEOUT, self.state.tasks.wait()).await;
    }
}

impl HeldLease {
    /// Prolongs it, or takes it again when nobody has it.
    pub(crate) async fn renew(&self, name: &str, ttl: Duration) -> bool {
        let Some(link) = self.state.lock().link.clone() else {
            return false;
        };
        let (keys, args) = (
            [self.state.lease_key(name)],
            [self.token.clone(), millis(ttl).to_string()],
        );
        let answer = self
            .state
            .limited(&link, WORK_TIMEOUT, link.run(Script::Lease, &keys, &args))
            .await;
        answer.is_some_and(|answer| said_ok(&answer))
    }

    /// Has it given back soon.
    pub(crate) fn release(&self, name: &str) {
        self.state.lock().releases.push((name.to_owned(), self.token.clone()));
        self.state.wake.notify_one();
    }
}

impl State {
    fn lock(&self) -> MutexGuard<'_, Local> {
        self.local.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn key(&self, rest: &str) -> String {
        format!("{}:{rest}", self.address.prefix)
    }

    fn life_key(&self) -> String {
        self.key(&format!("i:{}", self.me))
    }

    fn window_key(&self, window: &BudgetWindow) -> String {
        format!("{}:w:{}", self.address.prefix, window_name(window))
    }

    fn cache_key(&self, key: &str) -> String {
        self.key(&format!("c:{key}"))
    }

    fn lease_key(&self, name: &str) -> String {
        self.key(&format!("lease:{name}"))
    }

    fn settle(&self, settlement: &Settlement, now: Now) {
        self.lock().settle(settlement, now);
        self.wake.notify_one();
    }

    /// Waits for an answer, but neither longer than a time nor for a way that was given up. What fails ends the way.
    async fn limited<T>(
        &self,
        link: &Link,
        limit: Duration,
        answer: impl Future<Output = Result<T, RedisError>>,
    ) -> Option<T> {
        let waited = async {
            tokio::select! {
                () = link.broken.cancelled() => None,
                answer = timeout(limit, answer) => Some(answer),
            }
        };
        match waited.await? {
            Ok(Ok(answer)) => Some(answer),
            Ok(Err(error)) => {
                self.give_up(link, said(&error));
                None
            }
            Err(_) => {
                self.give_up(link, format!("no answer within {} ms", limit.as_millis()));
                None
            }
        }
    }

    /// The same for cached values, which a server may refuse (its memory is full) and still count.
    async fn cached(&self, link: &Link, limit: Duration, commands: &redis::Pipeline) -> Option<Value> {
        let answer = async {
            match link.ask_bulk(commands).await {
                Ok(answer) => Ok(Some(answer)),
                Err(error) if error.code().is_some() => {
                    tracing::debug!("A cached value was refused: {}", said(&error));
                    Ok(None)
                }
                Err(error) => Err(error),
            }
        };
        self.limited(link, limit, answer).await?
    }

    /// The way is no good any more. Whoever waits on it is answered alone, and the keeper makes a new one.
    fn give_up(&self, link: &Link, why: String) {
        let mut local = self.lock();
        if local.link.as_ref().is_some_and(|current| current.epoch == link.epoch) {
            local.link = None;
            local.failing = Some(why.clone());
            let instances = local.instances();
            drop(local);
            tracing::warn!(
                redis = %self.address.shown,
                instances,
                "The shared state is gone ({why}): this instance goes on with 1/{instances} of limits and budgets"
            );
        }
        link.broken.cancel();
    }

    /// Has Redis know windows, without telling what is held.
    async fn begin(&self, link: &Link, windows: &[BudgetWindow]) -> bool {
        self.tell_whole(link, windows, false).await
    }

    /// Tells windows whole and takes in what comes of it.
    async fn tell_whole(&self, link: &Link, windows: &[BudgetWindow], restore: bool) -> bool {
        for chunk in windows.chunks(CHUNK) {
            let whole: Vec<_> = {
                let mut local = self.lock();
                chunk.iter().map(|window| local.whole(window, &self.me)).collect()
            };
            let mut keys = vec![self.life_key(), self.key("windows")];
            let mode = if restore { "restore" } else { "begin" };
            let mut args = vec![self.me.clone(), link.epoch.to_string(), mode.to_owned()];
            for window in &whole {
                keys.push(self.window_key(&window.window));
                args.push(window_name(&window.window));
                args.push(forget_at(&window.window).to_string());
                args.push(window.began.map_or(String::new(), |(base, _)| base.to_string()));
                args.push(window.began.map_or(String::new(), |(_, seed)| seed.to_string()));
                args.push(if restore {
                    window.held.to_string()
                } else {
                    String::new()
                });
                args.push(window.sums.len().to_string());
                for (life, sum) in &window.sums {
                    args.push(life.clone());
                    args.push(sum.to_string());
                }
            }
            let Some(answer) = self
                .limited(link, WORK_TIMEOUT, link.run(Script::Merge, &keys, &args))
                .await
            else {
                return false;
            };
            let hashes = ok(answer).and_then(|hashes| {
                let read = hashes.into_iter().map(|hash| parse::Hash::read(hash, &self.me));
                read.collect::<Option<Vec<_>>>()
            });
            let Some(hashes) = hashes.filter(|hashes| hashes.len() == whole.len()) else {
                self.give_up(link, "it has lost this instance".to_owned());
                return false;
            };
            let mut local = self.lock();
            // What was told on a way that was given up meanwhile is told again on the next.
            let current = local.epoch == link.epoch;
            for (window, hash) in whole.iter().zip(hashes).filter(|_| current) {
                local.told_whole(window, restore, hash);
            }
        }
        true
    }
}

/// The parts that follow `ok`; `None`: Redis does not know this life of ours, or no longer.
fn ok(answer: Value) -> Option<Vec<Value>> {
    let mut parts = parts(answer)?;
    if parts.is_empty() || text(parts.remove(0))? != "ok" {
        return None;
    }
    Some(parts)
}

fn said_ok(answer: &Value) -> bool {
    ok(answer.clone()).is_some()
}

/// What a server or a socket said, shortly.
fn said(error: &RedisError) -> String {
    match (error.code(), error.detail()) {
        (Some(code), Some(detail)) => format!("{code} {detail}"),
        (Some(code), None) => code.to_owned(),
        (None, Some(detail)) => format!("{}: {detail}", error.category()),
        (None, None) => error.to_string(),
    }
}

fn window_name(window: &BudgetWindow) -> String {
    format!("{}:{}", window.budget, window.start.0)
}

/// When Redis may forget a window; never at once.
fn forget_at(window: &BudgetWindow) -> u64 {
    use crate::shared::memory::counters::kept_until;
    kept_until(window).0.max(wall_ms() + 3_600_000).min(i64::MAX as u64 / 2)
}

fn millis(ttl: Duration) -> u64 {
    u64::try_from(ttl.as_millis())
        .unwrap_or(u64::MAX)
        .clamp(1, i64::MAX as u64 / 2)
}

/// The wall clock, for when a window was begun: that of the ledger's reader.
fn wall_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as u64)
}

/// So many random bytes, in hexadecimal digits.
fn random(len: usize) -> String {
    let mut bytes = [0_u8; 16];
    SystemRandom::new()
        .fill(&mut bytes[..len])
        .expect("the system gives random bytes");
    bytes[..len].iter().map(|byte| format!("{byte:02x}")).collect()
}
