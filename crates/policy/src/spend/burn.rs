//! How fast a budget is spent, and when its money ends if it goes on so.

use types::money::NanoDollars;
use types::principal::Priority;
use types::spend::{BudgetState, BudgetWindow};
use types::time::UnixMillis;

use crate::spend::{BudgetPolicy, ceiling};

const HOUR_MS: u64 = 3_600_000;
/// A window younger than this says little about a rate: it is taken for this old.
const ELAPSED_MIN_MS: u64 = 60_000;

/// How fast a budget is spent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Burn {
    /// Spent in an hour, on average over the window so far.
    pub per_hour: NanoDollars,
    /// When nothing is left for calls that are not critical, if it goes on so; now when that has come to pass; `None` when it lasts
    /// to the window's end.
    pub ends: Option<UnixMillis>,
    /// When the reserve is gone too; `None` when it lasts.
    pub reserve_ends: Option<UnixMillis>,
}

/// How fast a budget was spent in a window up to now. What is held counts as spent: it mostly will be.
pub fn burn(policy: &BudgetPolicy, state: &BudgetState, window: &BudgetWindow, now: UnixMillis) -> Burn {
    let elapsed = now.0.saturating_sub(window.start.0).max(ELAPSED_MIN_MS);
    let gone = state.spent + state.reserved;
    let per_hour = u128::from(gone.0) * u128::from(HOUR_MS) / u128::from(elapsed);
    let ends = |ceiling: NanoDollars| {
        let left = ceiling.saturating_sub(gone);
        let after = match (left.0, gone.0) {
            (0, _) => 0,
            (_, 0) => return None,
            (left, gone) => u128::from(left) * u128::from(elapsed) / u128::from(gone),
        };
        let at = now.0.saturating_add(u64::try_from(after).unwrap_or(u64::MAX));
        (at < window.end.0).then_some(UnixMillis(at))
    };
    Burn {
        per_hour: NanoDollars(u64::try_from(per_hour).unwrap_or(u64::MAX)),
        ends: ends(ceiling(policy, Priority::Standard)),
        reserve_ends: ends(ceiling(policy, Priority::Critical)),
    }
}

#[cfg(test)]
mod tests {
    use types::ids::BudgetId;

    use super::*;
    use crate::spend::Share;
    use crate::spend::window::Window;

    #[test]
    fn the_rate_is_that_of_the_window_so_far_and_tells_when_the_money_ends() {
        let policy = BudgetPolicy {
            reserve: Share::percent(10),
            ..BudgetPolicy::new(BudgetId::from("daily"), NanoDollars(1_000), Window::Day)
        };
        let window = BudgetWindow {
            budget: policy.id.clone(),
            start: UnixMillis(0),
            end: UnixMillis(24 * HOUR_MS),
        };
        let hour = |h: u64| UnixMillis(h * HOUR_MS);
        for (spent, reserved, now, per_hour, ends, reserve_ends) in [
            // 100 an hour: 900 last until nine, 1,000 until ten.
            (600, 0, hour(6), 100, Some(hour(9)), Some(hour(10))),
            (500, 100, hour(6), 100, Some(hour(9)), Some(hour(10))),
            (950, 0, hour(6), 158, Some(hour(6)), Some(UnixMillis(22_736_842))),
            (2_000, 0, hour(6), 333, Some(hour(6)), Some(hour(6))),
            (100, 0, hour(12), 8, None, None),
            (450, 0, hour(12), 37, None, None),
            (0, 0, hour(6), 0, None, None),
            // The first moment: as if it were a minute.
            (
                15,
                0,
                UnixMillis(0),
                900,
                Some(UnixMillis(3_540_000)),
                Some(UnixMillis(3_940_000)),
            ),
        ] {
            let state = BudgetState {
                spent: NanoDollars(spent),
                reserved: NanoDollars(reserved),
            };
            let expected = Burn {
                per_hour: NanoDollars(per_hour),
                ends,
                reserve_ends,
            };
            assert_eq!(
                burn(&policy, &state, &window, now),
                expected,
                "{spent} {reserved} {now:?}"
            );
        }
    }
}
