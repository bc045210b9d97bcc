//! What spending needs of the house: the stores, the budgets that keys carry, and the way a window's counters begin.

use std::sync::Arc;
use std::time::Duration;

use store::records::entry::Entry;
use tracing::warn;
use types::money::NanoDollars;
use types::spend::BudgetWindow;
use types::time::UnixMillis;

use crate::clock::Clock;
use crate::keys::keyring::Keyring;
use crate::spend::budget::{Budget, Budgets};
use crate::spend::metrics::SpendMetrics;
use crate::stores::Stores;

/// A call waits no longer for what was spent before it.
const LEDGER_FOR_CALLS: Duration = Duration::from_millis(250);
/// What runs beside calls waits so long.
const LEDGER_BESIDE: Duration = Duration::from_secs(5);

/// What spending needs of the house.
pub struct Spender {
    /// What outlives a call.
    pub stores: Stores,
    /// The time.
    pub clock: Clock,
    /// What is counted of money.
    pub metrics: SpendMetrics,
    /// Who may call, with the budgets that keys carry.
    pub keys: Arc<Keyring>,
}

impl Spender {
    /// For a gateway with these stores.
    pub fn new(stores: Stores, keys: Arc<Keyring>, clock: Clock, metrics: SpendMetrics) -> Arc<Spender> {
        Arc::new(Spender {
            stores,
            clock,
            metrics,
            keys,
        })
    }

    /// Has a window's counters begin with what the ledger says, unless they have, before a call is counted in it.
    ///
    /// A ledger that does not answer is no reason to let a call wait: calls are counted from here, the ledger is asked again every
    /// second beside them ([`Spender::begin_all`]), and what it says is added then.
    pub async fn begin(&self, budget: &Budget, window: &BudgetWindow) {
        if !budget.has_begun(window) && !budget.is_doubtful() {
            // Once a window, hence not part of every call's future.
            Box::pin(self.begin_once(budget, window)).await;
        }
    }

    async fn begin_once(&self, budget: &Budget, window: &BudgetWindow) {
        let _only_one = budget.beginning.lock().await;
        if !budget.has_begun(window) && !budget.is_doubtful() {
            self.read_ledger(budget, window, LEDGER_FOR_CALLS).await;
        }
    }

    /// Begins a window, or marks the budget as one whose ledger has to be asked again.
    async fn read_ledger(&self, budget: &Budget, window: &BudgetWindow, within: Duration) {
        let spent = match &self.stores.records {
            None => NanoDollars::ZERO,
            Some(keeping) => {
                // What was counted without the ledger is in it too, once it is written.
                let again = budget.is_doubtful();
                if again {
                    let _ = tokio::time::timeout(within, keeping.writer.flush()).await;
                }
                let asked = tokio::time::timeout(within, keeping.records.spent(&window.budget, window.start)).await;
                let counted = match again {
                    true => self.stores.shared.budget(window).unwrap_or_default().spent,
                    false => NanoDollars::ZERO,
                };
                let why = match asked {
                    Ok(Ok(spent)) => {
                        budget.set_doubtful(false);
                        self.stores
                            .shared
                            .begin_window(window, spent.saturating_sub(counted))
                            .await;
                        budget.set_begun(window);
                        return;
                    }
                    Ok(Err(error)) => error.to_string(),
                    Err(_) => "it does not answer in time".to_owned(),
                };
                if !again {
                    warn!(budget.id = %window.budget, "Failed to read what was spent of budget `{}`, until it is read calls are counted from here: {why}", budget.name);
                }
                budget.set_doubtful(true);
                return;
            }
        };
        self.stores.shared.begin_window(window, spent).await;
        budget.set_begun(window);
    }

    /// Has the windows of a moment begin, of the configuration's budgets and of the keys'.
    pub async fn begin_all(&self, budgets: &Budgets, at: UnixMillis) {
        for budget in budgets.iter().chain(&self.keys.budgets()) {
            let window = budget.window(at);
            if budget.has_begun(&window) {
                continue;
            }
            let _only_one = budget.beginning.lock().await;
            if !budget.has_begun(&window) {
                self.read_ledger(budget, &window, LEDGER_BESIDE).await;
            }
        }
    }

    /// Queues an entry of the ledger, where one is kept.
    pub fn write(&self, entry: Entry) {
        if let Some(writer) = self.stores.writer() {
            writer.write(entry);
        }
    }
}
