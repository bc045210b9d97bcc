//! Values as columns hold them, the same on both backends: amounts and times as `i64`, lists as JSON text with NULL for none.

use std::sync::Arc;

use rustc_hash::FxHashMap;
use serde::Serialize;
use serde::de::DeserializeOwned;
use types::ids::BudgetId;
use types::money::NanoDollars;
use types::record::{AttemptRecord, Basis, Charge, Reservation};
use types::time::UnixMillis;

use crate::error::StoreError;

/// The word that stands for the outcome of an attempt whose end nobody saw.
pub const ORPHANED: &str = "orphaned";

/// An amount; one above 9.2 billion dollars is refused, because no column holds it and a smaller one would be wrong.
pub fn amount(money: NanoDollars) -> Result<i64, StoreError> {
    i64::try_from(money.0)
        .map_err(|_| StoreError::Invalid(format!("an amount of {money} dollars is larger than the ledger holds")))
}

/// An amount read back.
pub fn money(column: i64) -> NanoDollars {
    NanoDollars(u64::try_from(column).unwrap_or(0))
}

/// A count; one that no column holds stays at the largest.
pub fn count(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// A count read back.
pub fn uncount(column: i64) -> u64 {
    u64::try_from(column).unwrap_or(0)
}

/// A small number read back.
pub fn small<T: TryFrom<i64> + Default>(column: i64) -> T {
    T::try_from(column).unwrap_or_default()
}

/// A time.
pub fn time(at: UnixMillis) -> i64 {
    count(at.0)
}

/// A time read back.
pub fn untime(column: i64) -> UnixMillis {
    UnixMillis(uncount(column))
}

/// A list of words, `None` for an empty one.
pub fn words(list: &[String]) -> Option<String> {
    (!list.is_empty()).then(|| json(&list))
}

/// A list of words read back.
pub fn unwords(column: Option<&str>) -> Result<Vec<String>, StoreError> {
    column.map_or(Ok(Vec::new()), unjson)
}

/// What an attempt is charged to, `[["budget",window],…]`; `None` for nothing.
pub fn charges(list: &[Charge]) -> Option<String> {
    if list.is_empty() {
        return None;
    }
    let pairs: Vec<(&str, u64)> = list.iter().map(|c| (c.budget.as_str(), c.window.0)).collect();
    Some(json(&pairs))
}

/// What an attempt is charged to, read back.
pub fn uncharges(column: Option<&str>) -> Result<Vec<Charge>, StoreError> {
    let pairs: Vec<(Arc<str>, u64)> = column.map_or(Ok(Vec::new()), unjson)?;
    let charge = |(budget, window): (Arc<str>, u64)| Charge {
        budget: BudgetId::from(&*budget),
        window: UnixMillis(window),
    };
    Ok(pairs.into_iter().map(charge).collect())
}

/// The basis of an amount, read back.
pub fn basis(column: &str) -> Result<Basis, StoreError> {
    Basis::parse(column).ok_or_else(|| StoreError::Invalid(format!("the ledger has an unknown basis `{column}`")))
}

/// Anything as JSON text.
pub fn json<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("what is stored has only text keys")
}

/// JSON text read back.
pub fn unjson<T: DeserializeOwned>(text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text)
        .map_err(|e| StoreError::Invalid(format!("the store holds JSON that cannot be read: {e}")))
}

/// A tenant as a column that is never NULL.
pub fn tenant(tenant: Option<&str>) -> &str {
    tenant.unwrap_or("")
}

/// What a batch adds to the sums of windows. Amounts may be taken away too: when an orphan's true cost turns up.
#[derive(Debug, Default)]
pub struct Totals(FxHashMap<(BudgetId, UnixMillis), i128>);

impl Totals {
    /// Adds an amount to each window.
    pub fn add(&mut self, charges: &[Charge], cost: NanoDollars) {
        self.change(charges, i128::from(cost.0));
    }

    /// Takes an amount away from each window.
    pub fn take(&mut self, charges: &[Charge], cost: NanoDollars) {
        self.change(charges, -i128::from(cost.0));
    }

    fn change(&mut self, charges: &[Charge], by: i128) {
        for charge in charges {
            *self.0.entry((charge.budget.clone(), charge.window)).or_default() += by;
        }
    }

    /// The windows that change, with by how much, in the order of their names: who changes several takes their locks in one order.
    pub fn changes(self) -> Result<Vec<(BudgetId, i64, i64)>, StoreError> {
        let mut changes = Vec::with_capacity(self.0.len());
        for ((budget, window), by) in self.0 {
            if by == 0 {
                continue;
            }
            let by = i64::try_from(by).map_err(|_| {
                StoreError::Invalid(format!("budget `{budget}`: a batch adds more than its sum can hold"))
            })?;
            changes.push((budget, time(window), by));
        }
        changes.sort();
        Ok(changes)
    }
}

/// The ledger's line of a reservation that nobody settled: at its estimate.
pub fn orphan(held: Reservation, at: UnixMillis) -> AttemptRecord {
    AttemptRecord {
        call: held.call,
        attempt: held.attempt,
        at,
        key: held.key,
        route: held.route,
        target: held.target,
        outcome: ORPHANED.into(),
        latency_ms: at.0.saturating_sub(held.at.0),
        estimate: held.estimate,
        cost: held.estimate,
        basis: Basis::Orphaned,
        charges: held.charges,
        ..AttemptRecord::default()
    }
}
