//! How a call is let in: its key's limits and its first attempt's money in one ask, and what it is told when it is not.

use std::sync::Arc;

use policy::call::Call;
use policy::call::action::{Action, Launch};
use types::spend::SpendLevel;
use types::time::Now;

use crate::engine::body::RequestBody;
use crate::engine::run::Run;
use crate::engine::run::recalled::PLAN_AGE_MAX;
use crate::fleet::route::Route;
use crate::ingress::bodies::BodyPermit;
use crate::ingress::reply::Refusal;
use crate::spend::turned::Turned;

impl Run {
    /// Lets the call in, or says why not. What is asked for is what the plan's first attempt needs; when a budget has not so much
    /// left, the cheapest target is asked for instead.
    pub async fn admit(&mut self) -> Result<(), Turned> {
        if let Some(gone) = self.spending.gone() {
            return Err(gone.clone());
        }
        // Without one nobody can be tried, and the plan says why.
        let Some(first) = self.first_launch() else {
            return Ok(());
        };
        let route = self.route.clone();
        let turned = match self.spending.admit(first.target, route.target(first.target)).await {
            Ok(()) => return Ok(()),
            Err(turned) => turned,
        };
        match turned {
            Turned::Unaffordable { .. } if self.facts.spend < SpendLevel::Cheapest => {}
            Turned::Unaffordable { .. } | Turned::Limited { .. } => return Err(turned),
        }
        self.facts.spend = SpendLevel::Cheapest;
        self.spending.level = Some(SpendLevel::Cheapest);
        let now = self.engine.clock.now();
        self.actions.clear();
        self.call = Call::new(
            self.route.policy.clone(),
            self.facts.clone(),
            self.seed,
            &self.route.view(now),
            now,
        );
        match self.first_launch() {
            Some(cheapest) => {
                let target = route.target(cheapest.target);
                self.spending
                    .admit(cheapest.target, target)
                    .await
                    .map(|()| self.spending.forgive())
            }
            None => Err(turned),
        }
    }

    /// A call that was not let in: it was never a call, and is told of as a refusal.
    pub fn turn_away(mut self: Box<Run>, turned: &Turned) -> Box<Refusal> {
        self.recorded = true;
        self.engine.metrics.calls_in_flight.dec();
        let key = self.principal.key.as_ref().map_or("", |key| key.as_str());
        self.engine.metrics.spend.turned(key, turned.word());
        let now = self.engine.clock.now().wall;
        self.engine.refused(&self.id, 429, turned.code());
        turned.refusal(now).with_headers(self.headers(None))
    }

    /// Whether a call that was turned away is served by what is kept, where its budget says so. To its key's limits it is a call like
    /// any other.
    pub async fn serve_unpaid(&mut self, turned: Turned) -> Result<(), Turned> {
        if !turned.cache_may_answer() {
            return Err(turned);
        }
        self.spending.admit_unpaid().await?;
        match self.has_kept(SpendLevel::Exhausted).await {
            true => Ok(()),
            false => Err(turned),
        }
    }

    /// A call that is refused after it was let in: it was never a call, and what it took of limits and budgets goes back.
    pub fn refuse(mut self: Box<Run>, refusal: Box<Refusal>) -> Box<Refusal> {
        self.recorded = true;
        self.engine.metrics.calls_in_flight.dec();
        self.engine.refused(&self.id, refusal.status.as_u16(), refusal.code());
        refusal
    }

    /// Takes in that the call waited for something that is nobody's fault: a plan that has grown old is made anew, with the time that is
    /// left.
    pub fn waited(&mut self, since: Now) {
        let waited = self.engine.clock.now().mono.since(since.mono);
        if waited > PLAN_AGE_MAX {
            self.plan_anew(waited);
        }
    }

    /// Whether a kept answer serves it.
    pub fn is_kept(&self) -> bool {
        self.kept.is_some()
    }

    /// Where it goes.
    pub fn route(&self) -> Arc<Route> {
        self.route.clone()
    }

    /// What it asks, and its share of the memory for bodies; `None` once something was sent.
    pub fn body_mut(&mut self) -> Option<(&mut RequestBody, &mut BodyPermit)> {
        self.body.as_mut().zip(self.body_permit.as_mut())
    }

    fn first_launch(&mut self) -> Option<Launch> {
        let action = self.next_action()?;
        let first = match &action {
            Action::Launch(launch) => Some(*launch),
            Action::Cancel(_) | Action::Commit(_) | Action::Done | Action::Fail(_) => None,
        };
        self.actions.push_front(action);
        first
    }
}
