//! The money and limits of one call: which budgets count it, at which level it is planned, what is held for each attempt, and that
//! all of it is given back or settled, whatever becomes of the call.
//!
//! One ask admits a call: it takes from its key's limits and holds what the first attempt is expected to cost, everywhere or
//! nowhere. Every further attempt asks for its own hold. What nothing counts asks nobody and costs nothing here.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use policy::spend::scope::Counted;
use policy::spend::{Share, Unpriced, ceiling, level, remaining};
use store::records::entry::Entry;
use store::shared::admission::{Answer, Ask, Dimension, Hold, LimitAsk, LimitState, Settlement, Spend, Verdict};
use types::dialect::{IngressDialect, Operation};
use types::ids::{AttemptNo, RouteName, TargetIx};
use types::money::NanoDollars;
use types::principal::{Principal, Priority};
use types::record::{Charge, Reservation};
use types::spend::{BudgetState, BudgetWindow, SpendLevel};
use types::time::Now;

use crate::fleet::route::Target;
use crate::ingress::reply::Refusal;
use crate::spend::budget::{Budget, Budgets};
use crate::spend::headers;
use crate::spend::quote::{Quote, Size};
use crate::spend::spender::Spender;
use crate::spend::tags::{priority, tags};
use crate::spend::turned::Turned;

/// How often a hold that is too large is asked for again in a smaller size: others take from the same budget meanwhile.
const CAPS_MAX: usize = 3;

/// A call, as far as its money is concerned.
#[derive(Debug, Clone, Copy)]
pub struct Calling<'a> {
    /// Its id.
    pub call: &'a str,
    /// Who pays.
    pub principal: &'a Arc<Principal>,
    /// The route that serves it.
    pub route: &'a RouteName,
    /// Its headers.
    pub headers: &'a HeaderMap,
    /// What it takes.
    pub size: Size,
}

/// The money and limits of one call.
pub struct Spending {
    spender: Arc<Spender>,
    call: String,
    route: RouteName,
    principal: Arc<Principal>,
    size: Size,
    /// What it is counted under: its key's tags and its own, sorted.
    pub tags: Vec<Arc<str>>,
    /// How much it matters.
    pub priority: Priority,
    /// What its budgets ask of the choice of targets; `None`: no budget counts it.
    pub level: Option<SpendLevel>,
    /// Targets without prices are barred.
    pub priced_only: bool,
    budgets: Vec<Arc<Budget>>,
    /// Nothing is left of this one.
    gone: Option<Turned>,
    /// What its key's limits were asked for.
    limits: Vec<LimitAsk>,
    states: Vec<LimitState>,
    /// The limits were taken from.
    is_in: bool,
    /// Granted, and not yet an attempt's.
    spare: Option<Held>,
    held: Vec<(AttemptNo, Held)>,
    /// Tokens of the attempts that are over.
    tokens: u64,
    /// What has to be written before the answer may end, where the store is strict.
    entries: Vec<Entry>,
}

/// What is held for an attempt.
#[derive(Debug, Clone)]
pub struct Held {
    target: TargetIx,
    windows: Vec<Arc<BudgetWindow>>,
    /// In each of its windows.
    pub amount: NanoDollars,
    /// What it is expected to take.
    pub quote: Quote,
    /// Its answer may be no longer than this, in tokens: more would not be paid.
    pub cap: Option<u64>,
}

/// What was settled.
#[derive(Debug, Clone, Default)]
pub struct Settled {
    /// What had been held.
    pub estimate: NanoDollars,
    /// What had been expected; `None` where nobody asked, or nobody knows the prices.
    pub expected: Option<NanoDollars>,
    /// What it is charged to.
    pub charges: Vec<Charge>,
}

impl Spending {
    /// What counts a call and what that asks of its plan. A header that says what it may not is refused.
    pub async fn begin(
        spender: &Arc<Spender>,
        budgets: &Budgets,
        calling: Calling<'_>,
    ) -> Result<Spending, Box<Refusal>> {
        let principal = calling.principal;
        let priority = priority(calling.headers, principal)?;
        let tags = tags(calling.headers, principal, budgets)?;
        let mut spending = Spending {
            spender: spender.clone(),
            call: calling.call.to_owned(),
            route: calling.route.clone(),
            principal: principal.clone(),
            size: calling.size,
            tags,
            priority,
            level: None,
            priced_only: false,
            budgets: Vec::new(),
            gone: None,
            limits: limits(principal),
            states: Vec::new(),
            is_in: false,
            spare: None,
            held: Vec::new(),
            tokens: 0,
            entries: Vec::new(),
        };
        // To count tokens is free: it is served when all money is gone.
        if calling.size.operation == Some(Operation::CountTokens) {
            return Ok(spending);
        }
        let own = principal.key.as_ref().and_then(|key| spender.keys.budgets_of(key));
        if budgets.is_empty() && own.is_none() {
            return Ok(spending);
        }
        let counted = Counted {
            route: calling.route.as_str(),
            key: principal.key.as_ref(),
            key_name: &principal.name,
            tags: &spending.tags,
        };
        let of_house = budgets.iter().filter(|budget| budget.counts(&counted)).cloned();
        let of_key = own.iter().flat_map(|own| own.iter().cloned());
        spending.budgets = of_house.chain(of_key).collect();
        spending.look().await;
        Ok(spending)
    }

    /// Finds the level, from what is known here of the budgets' windows.
    async fn look(&mut self) {
        let now = self.spender.clock.now();
        for budget in self.budgets.clone() {
            let window = budget.window(now.wall);
            self.spender.begin(&budget, &window).await;
            let state = self.spender.stores.shared.budget(&window).unwrap_or_default();
            self.level = self.level.max(Some(level(&budget.policy, &state, self.priority)));
            self.priced_only |= match budget.policy.unpriced {
                Unpriced::Refuse => true,
                Unpriced::Allow => false,
            };
            if level(&budget.policy, &state, self.priority) == SpendLevel::Exhausted {
                self.note_gone(budget.clone(), window, false);
            }
        }
    }

    /// Of several budgets that turn a call away, one that leaves nothing to the cache is told.
    fn note_gone(&mut self, budget: Arc<Budget>, window: Arc<BudgetWindow>, something_left: bool) {
        let turned = Turned::Unaffordable {
            budget,
            window,
            something_left,
        };
        if self.gone.as_ref().is_none_or(Turned::cache_may_answer) {
            self.gone = Some(turned);
        }
    }

    /// Why nothing may be spent on the call, when that is so.
    pub fn gone(&self) -> Option<&Turned> {
        self.gone.as_ref()
    }

    /// What stood in the way no longer does.
    pub fn forgive(&mut self) {
        self.gone = None;
    }

    /// Whether a budget counts it.
    pub fn is_counted(&self) -> bool {
        !self.budgets.is_empty()
    }

    /// The level the plan is to be made at.
    pub fn plan_level(&self) -> SpendLevel {
        self.level.unwrap_or_default()
    }

    /// The least share that is left of the budgets that count the call, as far as is known here.
    pub fn remaining(&self) -> Share {
        let now = self.spender.clock.now();
        let left = self.budgets.iter().map(|budget| {
            let state = self.spender.stores.shared.budget(&budget.window(now.wall));
            remaining(&budget.policy, &state.unwrap_or_default(), self.priority)
        });
        left.min().unwrap_or(Share::ONE)
    }

    /// The money of a call that is made for this one: counted by the same budgets, and by no limit a second time.
    pub fn beside(&self, call: &str, size: Size) -> Spending {
        Spending {
            spender: self.spender.clone(),
            call: call.to_owned(),
            route: self.route.clone(),
            principal: self.principal.clone(),
            size,
            tags: self.tags.clone(),
            priority: self.priority,
            level: self.level,
            priced_only: self.priced_only,
            budgets: self.budgets.clone(),
            gone: self.gone.clone(),
            limits: Vec::new(),
            states: Vec::new(),
            is_in: false,
            spare: None,
            held: Vec::new(),
            tokens: 0,
            entries: Vec::new(),
        }
    }

    /// Admits the call with its first attempt at a target: its limits and the money, in one ask.
    pub async fn admit(&mut self, ix: TargetIx, target: &Target) -> Result<(), Turned> {
        if self.limits.is_empty() && self.budgets.is_empty() {
            self.is_in = true;
            return Ok(());
        }
        let held = self.ask(ix, target).await?;
        self.spare = Some(held);
        Ok(())
    }

    /// Admits the call by its key's limits alone: no target is to be tried, nothing is to be paid.
    pub async fn admit_unpaid(&mut self) -> Result<(), Turned> {
        if self.limits.is_empty() || self.is_in {
            return Ok(());
        }
        if let Some(tokens) = self.limits.iter_mut().find(|l| l.dimension == Dimension::Tokens) {
            tokens.amount = 0;
        }
        let ask = Ask {
            call: self.call.clone(),
            limits: self.limits.clone(),
            holds: Vec::new(),
        };
        let now = self.spender.clock.now();
        let answer = self.spender.stores.shared.admit(&ask, now).await;
        self.states = answer.limits;
        match answer.verdict {
            Verdict::Limited { which, retry_after } => match ask.limits.get(which) {
                Some(limit) => Err(Turned::limited(limit, retry_after)),
                None => Ok(()),
            },
            Verdict::Granted | Verdict::Exhausted { .. } => {
                self.is_in = true;
                Ok(())
            }
        }
    }

    /// Money for an attempt at a target: what was granted with the call, or a hold of its own.
    pub async fn hold(&mut self, attempt: AttemptNo, ix: TargetIx, target: &Target) -> Result<(), Turned> {
        if self.budgets.is_empty() && self.spare.is_none() {
            return Ok(());
        }
        let held = match self.spare.take_if(|held| held.target == ix) {
            Some(held) => held,
            None => {
                self.release_spare();
                self.ask(ix, target).await?
            }
        };
        self.held.push((attempt, held));
        Ok(())
    }

    /// The shell got no permit after all: what is held is kept for who comes next, or given back at the end.
    pub fn unused(&mut self, attempt: AttemptNo) {
        if let Some(at) = self.held.iter().position(|(no, _)| *no == attempt) {
            self.release_spare();
            self.spare = Some(self.held.swap_remove(at).1);
        }
    }

    /// What is held for an attempt.
    pub fn held(&self, attempt: AttemptNo) -> Option<&Held> {
        self.held.iter().find(|(no, _)| *no == attempt).map(|(_, held)| held)
    }

    /// An attempt begins: what it holds is written down, so that it is not lost with this process.
    pub fn begun(&self, attempt: AttemptNo, target: &Target, now: Now) {
        let Some(held) = self.held(attempt) else { return };
        if held.windows.is_empty() || held.amount == NanoDollars::ZERO || self.spender.stores.records.is_none() {
            return;
        }
        self.spender.write(Entry::Reserved(Reservation {
            call: self.call.clone(),
            attempt: attempt.0,
            instance: self.spender.stores.instance.clone(),
            at: now.wall,
            key: self.principal.key.clone(),
            route: self.route.to_string(),
            target: target.facts.id.to_string(),
            estimate: held.amount,
            charges: held.charges(),
        }));
    }

    /// An attempt is over: what it held gives way to what it cost, and its tokens are counted.
    pub fn settle(&mut self, attempt: AttemptNo, actual: NanoDollars, tokens: u64, now: Now) -> Settled {
        self.tokens = self.tokens.saturating_add(tokens);
        let Some(at) = self.held.iter().position(|(no, _)| *no == attempt) else {
            return Settled::default();
        };
        let (_, held) = self.held.swap_remove(at);
        let settled = Settled {
            estimate: if held.windows.is_empty() {
                NanoDollars::ZERO
            } else {
                held.amount
            },
            expected: held.quote.cost,
            charges: held.charges(),
        };
        self.give_back(&held, actual, now);
        settled
    }

    /// The call is over: what is left is given back, its tokens are corrected, its place is free. Once; later calls do nothing.
    pub fn end(&mut self) {
        let now = self.spender.clock.now();
        self.release_spare();
        for (_, held) in std::mem::take(&mut self.held) {
            self.give_back(&held, NanoDollars::ZERO, now);
        }
        if !std::mem::take(&mut self.is_in) || self.limits.is_empty() {
            return;
        }
        let mut settlement = Settlement {
            call: self.call.clone(),
            ..Settlement::default()
        };
        for ask in &self.limits {
            match ask.dimension {
                Dimension::Requests => {}
                Dimension::Tokens => settlement.tokens.push((ask.clone(), self.tokens)),
                Dimension::Concurrent => settlement.places.push(ask.key.clone()),
            }
        }
        if !settlement.tokens.is_empty() || !settlement.places.is_empty() {
            self.spender.stores.shared.settle(settlement, now);
        }
    }

    /// Something for the ledger. Where the store is strict it is kept until [`Spending::take_entries`].
    pub fn write(&mut self, entry: Entry) {
        if self.spender.stores.strict {
            self.entries.push(entry);
        } else {
            self.spender.write(entry);
        }
    }

    /// Whether the call's attempts are to be written.
    pub fn keeps(&self) -> bool {
        self.spender.stores.records.is_some()
    }

    /// What has to be safe before the answer may end, where the store is strict.
    pub fn take_entries(&mut self) -> Vec<Entry> {
        std::mem::take(&mut self.entries)
    }

    /// The headers that tell of limits and money, on every answer.
    pub fn tell(&self, dialect: IngressDialect, headers: &mut HeaderMap) {
        if !self.states.is_empty() {
            let now = self.spender.clock.now().wall;
            headers::tell(dialect, &self.limits, &self.states, now, headers);
        }
        if let Some(level) = self.level {
            headers.insert("x-jumpseat-spend-level", http::HeaderValue::from_static(level.as_str()));
        }
    }

    /// What the whole house spends with.
    pub fn spender(&self) -> &Arc<Spender> {
        &self.spender
    }

    /// Whose key it is.
    pub fn principal(&self) -> &Arc<Principal> {
        &self.principal
    }

    async fn ask(&mut self, ix: TargetIx, target: &Target) -> Result<Held, Turned> {
        let now = self.spender.clock.now();
        if self.is_in && self.budgets.is_empty() {
            return Ok(Held::nothing(ix));
        }
        let mut quote = Quote::new(target, &self.size);
        let mut cap = None;
        let mut windows = Vec::with_capacity(self.budgets.len());
        for budget in &self.budgets {
            let window = budget.window(now.wall);
            self.spender.begin(budget, &window).await;
            windows.push(window);
        }
        if let Some(tokens) = self.limits.iter_mut().find(|l| l.dimension == Dimension::Tokens)
            && !self.is_in
        {
            tokens.amount = quote.tokens().max(1);
        }
        for _ in 0..=CAPS_MAX {
            let amount = quote.cost.unwrap_or_default();
            let holds = self.budgets.iter().zip(&windows).map(|(budget, window)| Hold {
                window: (**window).clone(),
                amount,
                ceiling: ceiling(&budget.policy, self.priority),
            });
            let ask = Ask {
                call: self.call.clone(),
                limits: if self.is_in { Vec::new() } else { self.limits.clone() },
                holds: holds.collect(),
            };
            let Answer {
                verdict,
                limits,
                budgets: states,
                ..
            } = self.spender.stores.shared.admit(&ask, now).await;
            if !self.is_in {
                self.states = limits;
            }
            match verdict {
                Verdict::Granted => {
                    self.is_in = true;
                    return Ok(Held {
                        target: ix,
                        windows,
                        amount,
                        quote,
                        cap,
                    });
                }
                Verdict::Limited { which, retry_after } => {
                    let turned = match ask.limits.get(which) {
                        Some(limit) => Turned::limited(limit, retry_after),
                        None => Turned::Limited {
                            dimension: Dimension::Requests,
                            limit: 0,
                            retry_after: retry_after.max(Duration::from_secs(1)),
                        },
                    };
                    return Err(turned);
                }
                Verdict::Exhausted { which } => match self.within(&states, &quote, target) {
                    Some((smaller, tokens)) => {
                        quote = smaller;
                        cap = Some(tokens);
                    }
                    None => return Err(self.exhausted(which, &states, &windows)),
                },
            }
        }
        Err(self.exhausted(0, &[], &windows))
    }

    /// A quote that fits into what is left, where every budget that stands in the way lets answers be shortened.
    fn within(&self, states: &[BudgetState], quote: &Quote, target: &Target) -> Option<(Quote, u64)> {
        let amount = quote.cost?;
        let mut least: Option<NanoDollars> = None;
        for (budget, state) in self.budgets.iter().zip(states) {
            let left = ceiling(&budget.policy, self.priority).saturating_sub(state.spent + state.reserved);
            if left < amount {
                if !budget.policy.cap_output {
                    return None;
                }
                least = Some(least.map_or(left, |least| least.min(left)));
            }
        }
        quote
            .within(least?, target)
            .filter(|(smaller, _)| smaller.cost < quote.cost)
    }

    fn exhausted(&mut self, which: usize, states: &[BudgetState], windows: &[Arc<BudgetWindow>]) -> Turned {
        let ceiling_of = |at: usize| ceiling(&self.budgets[at].policy, self.priority);
        // Several may stand in the way: one that leaves nothing to the cache is told.
        let which = which.min(self.budgets.len().saturating_sub(1));
        let left = states.get(which).map_or(NanoDollars(1), |state| {
            ceiling_of(which).saturating_sub(state.spent + state.reserved)
        });
        let (budget, window) = (self.budgets[which].clone(), windows[which].clone());
        self.note_gone(budget.clone(), window.clone(), left > NanoDollars::ZERO);
        Turned::Unaffordable {
            budget,
            window,
            something_left: left > NanoDollars::ZERO,
        }
    }

    fn release_spare(&mut self) {
        if let Some(held) = self.spare.take() {
            self.give_back(&held, NanoDollars::ZERO, self.spender.clock.now());
        }
    }

    fn give_back(&self, held: &Held, actual: NanoDollars, now: Now) {
        if held.windows.is_empty() {
            return;
        }
        let spend = Spend {
            held: held.amount,
            actual,
        };
        let settlement = Settlement {
            call: self.call.clone(),
            spends: held.windows.iter().map(|window| ((**window).clone(), spend)).collect(),
            ..Settlement::default()
        };
        self.spender.stores.shared.settle(settlement, now);
    }
}

impl Drop for Spending {
    /// Whatever became of the call: nothing stays held, and nothing that was to be written is forgotten.
    fn drop(&mut self) {
        self.end();
        for entry in std::mem::take(&mut self.entries) {
            self.spender.write(entry);
        }
    }
}

impl Held {
    /// Of what nobody counts.
    fn nothing(target: TargetIx) -> Held {
        Held {
            target,
            windows: Vec::new(),
            amount: NanoDollars::ZERO,
            quote: Quote::default(),
            cap: None,
        }
    }

    fn charges(&self) -> Vec<Charge> {
        let charge = |window: &Arc<BudgetWindow>| Charge {
            budget: window.budget.clone(),
            window: window.start,
        };
        self.windows.iter().map(charge).collect()
    }
}

/// What a call asks of its key's limits; its tokens are not known yet.
fn limits(principal: &Principal) -> Vec<LimitAsk> {
    let Some(key) = &principal.key else {
        return Vec::new();
    };
    let limits = &principal.limits;
    let asks = [
        (Dimension::Requests, limits.requests_per_minute.map(u64::from)),
        (Dimension::Tokens, limits.tokens_per_minute),
        (Dimension::Concurrent, limits.concurrent.map(u64::from)),
    ];
    let ask = |(dimension, limit): (Dimension, Option<u64>)| {
        Some(LimitAsk {
            key: key.clone(),
            dimension,
            limit: limit?,
            amount: 1,
        })
    };
    asks.into_iter().filter_map(ask).collect()
}
