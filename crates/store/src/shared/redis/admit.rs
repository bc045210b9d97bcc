//! One admission: one round trip, after which the caller may be gone.
//!
//! Whoever asked may stop waiting at any time; the round trip is then ended by a task of its own, and what it was granted is given
//! back. An answer that never came, or came after its way was given up, counts as none: the next way begins with telling Redis
//! what this process really holds.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use redis::Value;
use types::money::NanoDollars;
use types::spend::BudgetState;
use types::time::Now;

use crate::shared::admission::{Answer, Ask, Dimension, LimitState, Settlement, Spend, Verdict};
use crate::shared::redis::link::{Link, Script};
use crate::shared::redis::parse::{Seen, texts};
use crate::shared::redis::{CALL_TIMEOUT, State};

/// Asks Redis, or this process alone when that is gone.
pub(crate) async fn admit(state: &Arc<State>, ask: &Ask, now: Now) -> Answer {
    if ask.limits.is_empty() && ask.holds.is_empty() {
        return Answer {
            verdict: Verdict::Granted,
            limits: Vec::new(),
            budgets: Vec::new(),
            degraded: false,
        };
    }
    let (link, unknown) = {
        let mut local = state.lock();
        match local.link.clone() {
            Some(link) => (link, local.note(ask)),
            None => return local.admit_alone(ask, now),
        }
    };
    if unknown.is_empty() || state.begin(&link, &unknown).await {
        let trip = RoundTrip {
            answer: Some(Box::pin(ask_redis(state.clone(), link, ask.clone(), now))),
            state: state.clone(),
            ask: ask.clone(),
            now,
        };
        if let Some(answer) = trip.await {
            return answer;
        }
    }
    state.lock().admit_alone(ask, now)
}

type Answering = Pin<Box<dyn Future<Output = Option<Answer>> + Send>>;

/// A round trip that ends, whoever waits for it.
struct RoundTrip {
    answer: Option<Answering>,
    state: Arc<State>,
    ask: Ask,
    now: Now,
}

impl Future for RoundTrip {
    type Output = Option<Answer>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Answer>> {
        let Some(answering) = &mut self.answer else {
            return Poll::Ready(None);
        };
        let answer = std::task::ready!(answering.as_mut().poll(context));
        self.answer = None;
        Poll::Ready(answer)
    }
}

impl Drop for RoundTrip {
    fn drop(&mut self) {
        let Some(answering) = self.answer.take() else { return };
        // Without a runtime nothing more arrives either; the process is going.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        let (state, ask, now) = (self.state.clone(), std::mem::take(&mut self.ask), self.now);
        self.state.tasks.spawn_on(
            async move {
                let granted = answering.await.is_some_and(|answer| answer.verdict == Verdict::Granted);
                if granted {
                    state.settle(&given_back(ask), now);
                }
            },
            &runtime,
        );
    }
}

/// Everything an ask was granted, unused.
fn given_back(ask: Ask) -> Settlement {
    let unused = |held| Spend {
        held,
        actual: NanoDollars::ZERO,
    };
    let mut settlement = Settlement {
        call: ask.call,
        spends: ask
            .holds
            .into_iter()
            .map(|hold| (hold.window, unused(hold.amount)))
            .collect(),
        ..Settlement::default()
    };
    for limit in ask.limits {
        match limit.dimension {
            Dimension::Requests | Dimension::Tokens => settlement.tokens.push((limit, 0)),
            Dimension::Concurrent => settlement.places.push(limit.key),
        }
    }
    settlement
}

/// `None`: there is no answer that counts.
async fn ask_redis(state: Arc<State>, link: Arc<Link>, ask: Ask, now: Now) -> Option<Answer> {
    let mut keys = Vec::with_capacity(1 + ask.limits.len() + ask.holds.len());
    let mut args = Vec::with_capacity(4 + 3 * ask.limits.len() + 2 * ask.holds.len());
    keys.push(state.life_key());
    let clock = state.clock(now);
    args.extend([
        state.me.clone(),
        link.epoch.to_string(),
        clock,
        ask.limits.len().to_string(),
    ]);
    for limit in &ask.limits {
        keys.push(state.key(&format!("k:{}", limit.key)));
        let kind = kind(limit.dimension).to_owned();
        args.extend([kind, limit.limit.to_string(), limit.amount.to_string()]);
    }
    for hold in &ask.holds {
        keys.push(state.window_key(&hold.window));
        args.extend([hold.amount.0.to_string(), hold.ceiling.0.to_string()]);
    }
    let value = state
        .limited(&link, CALL_TIMEOUT, link.run(Script::Admit, &keys, &args))
        .await?;
    let Some((answer, seen)) = read(value, &ask) else {
        state.give_up(&link, "it has lost this instance".to_owned());
        return None;
    };
    let mut local = state.lock();
    if local.epoch != link.epoch || local.link.is_none() {
        // The next way tells Redis what is held here, without this.
        return None;
    }
    if answer.verdict == Verdict::Granted {
        local.granted(&ask);
    }
    for (hold, seen) in ask.holds.iter().zip(seen) {
        local.seen(&hold.window, seen);
    }
    Some(answer)
}

fn read(value: Value, ask: &Ask) -> Option<(Answer, Vec<Seen>)> {
    let texts = texts(value)?;
    let [verdict, which, wait, states @ ..] = texts.as_slice() else {
        return None;
    };
    let which = which.parse().ok()?;
    let verdict = match verdict.as_str() {
        "granted" => Verdict::Granted,
        "limited" => Verdict::Limited {
            which,
            retry_after: Duration::from_millis(wait.parse().ok()?),
        },
        "exhausted" => Verdict::Exhausted { which },
        _ => return None,
    };
    if states.len() != 2 * ask.limits.len() + 4 * ask.holds.len() {
        return None;
    }
    let (limits, windows) = states.split_at(2 * ask.limits.len());
    let limit = |texts: &[String]| {
        Some(LimitState {
            remaining: texts[0].parse().ok()?,
            reset: Duration::from_millis(texts[1].parse().ok()?),
        })
    };
    let limits = limits.chunks_exact(2).map(limit).collect::<Option<_>>()?;
    let seen: Vec<Seen> = windows.chunks_exact(4).map(Seen::read).collect::<Option<_>>()?;
    let budget = |seen: &Seen| BudgetState {
        spent: NanoDollars(seen.spent),
        reserved: NanoDollars(seen.held),
    };
    let answer = Answer {
        verdict,
        limits,
        budgets: seen.iter().map(budget).collect(),
        degraded: false,
    };
    Some((answer, seen))
}

/// The letter of a dimension in fields of a key's hash.
pub(crate) fn kind(dimension: Dimension) -> &'static str {
    match dimension {
        Dimension::Requests => "r",
        Dimension::Tokens => "t",
        Dimension::Concurrent => "c",
    }
}

impl State {
    /// The time a script goes by: nothing for the server's own.
    pub(crate) fn clock(&self, now: Now) -> String {
        match self.address.callers_clock {
            true => (now.mono.0 / 1_000_000).to_string(),
            false => String::new(),
        }
    }
}
