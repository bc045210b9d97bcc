//! Budgets: how much may be spent in a window, and what the part that is left asks of the choice of targets.
//!
//! Pure: who counts hands in what was counted ([`BudgetState`]). Shares are compared as exact fractions, so that a level changes at
//! its very nano-dollar. The type to read first is [`BudgetPolicy`]; windows are in [`window`], what an attempt is expected to cost
//! in [`estimate`], when the money ends in [`burn`].

pub mod burn;
pub mod estimate;
pub mod scope;
pub mod window;

use types::ids::BudgetId;
use types::money::NanoDollars;
use types::principal::Priority;
use types::spend::{BudgetState, SpendLevel};

use crate::spend::scope::Scope;
use crate::spend::window::{Window, Zone};

/// A part of a whole in millionths, 0 to 1,000,000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Share(u32);

/// One budget, as configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BudgetPolicy {
    /// Its name.
    pub id: BudgetId,
    /// What may be spent in a window.
    pub limit: NanoDollars,
    /// How long a window is.
    pub window: Window,
    /// Where its windows begin.
    pub zone: Zone,
    /// The part of the limit that only critical calls and their retries may spend.
    pub reserve: Share,
    /// What is preferred above which remaining share, the greatest share first; below all of them, the cheapest.
    pub levels: Vec<LevelRule>,
    /// What is left for calls when nothing is left to spend.
    pub when_exhausted: WhenExhausted,
    /// Critical calls keep the route's own ranking until the reserve is gone too (`critical: { exempt_until: exhausted }`).
    /// Otherwise the levels hold for them as well, of the whole limit.
    pub critical_exempt: bool,
    /// Low calls see so much less left than there is, when their level is found. It does not end the money for them earlier.
    pub low_shift: Share,
    /// Near the end, the output of a call is limited to what is left.
    pub cap_output: bool,
    /// What happens to targets without prices.
    pub unpriced: Unpriced,
    /// Which calls are counted.
    pub scope: Scope,
}

/// What is preferred while more than a share is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LevelRule {
    /// While more than this is left.
    pub above: Share,
    /// This is preferred.
    pub prefer: Prefer,
}

/// What a level prefers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Prefer {
    /// The route's own ranking.
    Quality,
    /// Standard model tiers before premium.
    Balanced,
    /// The cheapest capable target.
    Cheapest,
}

/// What is left for calls when nothing is left to spend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WhenExhausted {
    /// A refusal that names the budget and when it resets.
    #[default]
    Reject,
    /// A cached answer; the refusal when there is none.
    CacheOnly,
}

/// What happens to targets without prices, whose cost cannot be counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Unpriced {
    /// They serve no call that the budget counts.
    #[default]
    Refuse,
    /// They serve, and cost nothing as far as the budget can tell.
    Allow,
}

impl Share {
    /// Nothing.
    pub const ZERO: Share = Share(0);
    /// All of it.
    pub const ONE: Share = Share(1_000_000);

    /// So many hundredths, at most all.
    pub const fn percent(percent: u32) -> Share {
        if percent >= 100 {
            Share::ONE
        } else {
            Share(percent * 10_000)
        }
    }

    /// The nearest millionth of a number between 0 and 1; what lies outside is cut.
    pub fn of(share: f64) -> Share {
        // A cast cuts what is too small, too large or no number.
        Share(((share * 1e6).round() as u32).min(Share::ONE.0))
    }

    /// As a number from 0 to 1.
    pub fn as_f64(self) -> f64 {
        f64::from(self.0) / 1e6
    }

    /// So many millionths.
    pub const fn millionths(self) -> u32 {
        self.0
    }

    /// This part of an amount, rounded down.
    pub fn of_amount(self, amount: NanoDollars) -> NanoDollars {
        let part = u128::from(amount.0) * u128::from(self.0) / u128::from(Share::ONE.0);
        NanoDollars(u64::try_from(part).expect("a part is no more than its whole"))
    }
}

impl BudgetPolicy {
    /// A budget over all calls with the house's defaults: no reserve, quality above 80 %, balanced above 20 %, then cheapest.
    pub fn new(id: BudgetId, limit: NanoDollars, window: Window) -> BudgetPolicy {
        let rule = |percent, prefer| LevelRule {
            above: Share::percent(percent),
            prefer,
        };
        BudgetPolicy {
            id,
            limit,
            window,
            zone: Zone::utc(),
            reserve: Share::ZERO,
            levels: vec![
                rule(80, Prefer::Quality),
                rule(20, Prefer::Balanced),
                rule(0, Prefer::Cheapest),
            ],
            when_exhausted: WhenExhausted::default(),
            critical_exempt: true,
            low_shift: Share::percent(20),
            cap_output: false,
            unpriced: Unpriced::default(),
            scope: Scope::All,
        }
    }

    /// The part of the limit that only critical calls may spend.
    pub fn reserved_amount(&self) -> NanoDollars {
        self.reserve.of_amount(self.limit)
    }
}

impl Prefer {
    /// As the level it leads to.
    pub fn level(self) -> SpendLevel {
        match self {
            Prefer::Quality => SpendLevel::Quality,
            Prefer::Balanced => SpendLevel::Balanced,
            Prefer::Cheapest => SpendLevel::Cheapest,
        }
    }
}

/// The most that may be spent and held on behalf of calls of a priority: the limit for critical ones (and their retries), the limit
/// less the reserve for all others.
pub fn ceiling(policy: &BudgetPolicy, priority: Priority) -> NanoDollars {
    match priority {
        Priority::Critical => policy.limit,
        Priority::Standard | Priority::Low => policy.limit.saturating_sub(policy.reserved_amount()),
    }
}

/// Whether an amount may be held: while what was spent and is held, and the amount, come to no more than the ceiling.
pub fn fits(ceiling: NanoDollars, state: &BudgetState, amount: NanoDollars) -> bool {
    state.spent + state.reserved + amount <= ceiling
}

/// The share that is left for calls of a priority, rounded down: `(limit − spent − reserve) / (limit − reserve)`, and for critical
/// ones `(limit − spent) / limit`. What is only held is not spent yet. Nothing is left of a ceiling of zero.
pub fn remaining(policy: &BudgetPolicy, state: &BudgetState, priority: Priority) -> Share {
    let ceiling = ceiling(policy, priority);
    let left = ceiling.saturating_sub(state.spent);
    match u128::from(ceiling.0) {
        0 => Share::ZERO,
        whole => {
            let share = u128::from(left.0) * u128::from(Share::ONE.0) / whole;
            Share(u32::try_from(share).expect("what is left is no more than the whole"))
        }
    }
}

/// What the budget asks of a call of a priority. Critical calls that are exempt keep their quality while anything of the limit is
/// left; low ones are judged as if [`BudgetPolicy::low_shift`] less were left, but are not refused before the others are.
pub fn level(policy: &BudgetPolicy, state: &BudgetState, priority: Priority) -> SpendLevel {
    let ceiling = ceiling(policy, priority);
    let left = ceiling.saturating_sub(state.spent);
    if left == NanoDollars::ZERO {
        return SpendLevel::Exhausted;
    }
    let shift = match priority {
        Priority::Critical if policy.critical_exempt => return SpendLevel::Quality,
        Priority::Critical | Priority::Standard => Share::ZERO,
        Priority::Low => policy.low_shift,
    };
    // left / ceiling − shift > above, without dividing.
    let is_above = |above: Share| {
        let wanted = u128::from(above.0) + u128::from(shift.0);
        u128::from(left.0) * u128::from(Share::ONE.0) > wanted * u128::from(ceiling.0)
    };
    let rule = policy.levels.iter().find(|rule| is_above(rule.above));
    rule.map_or(SpendLevel::Cheapest, |rule| rule.prefer.level())
}

/// Of the levels of all budgets that count a call, the one that holds: the most pressing; quality when there is none.
pub fn worst_of(levels: impl IntoIterator<Item = SpendLevel>) -> SpendLevel {
    levels.into_iter().max().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DOLLAR: u64 = 1_000_000_000;

    /// A hundred dollars, of which five are the reserve.
    fn budget() -> BudgetPolicy {
        BudgetPolicy {
            reserve: Share::percent(5),
            ..BudgetPolicy::new(BudgetId::from("daily"), NanoDollars(100 * DOLLAR), Window::Day)
        }
    }

    fn spent(nano: u64) -> BudgetState {
        BudgetState {
            spent: NanoDollars(nano),
            reserved: NanoDollars::ZERO,
        }
    }

    #[test]
    fn levels_change_at_their_very_nano_dollar_and_differ_by_priority() {
        use SpendLevel::{Balanced, Cheapest, Exhausted, Quality};
        let budget = budget();
        // 95 dollars are for all: 80 % of it are 76 dollars, 20 % are 19. Low calls see a fifth less: 95, and 38.
        for (gone, critical, standard, low) in [
            (0, Quality, Quality, Balanced),
            (19 * DOLLAR - 1, Quality, Quality, Balanced),
            (19 * DOLLAR, Quality, Balanced, Balanced),
            (57 * DOLLAR - 1, Quality, Balanced, Balanced),
            (57 * DOLLAR, Quality, Balanced, Cheapest),
            (76 * DOLLAR - 1, Quality, Balanced, Cheapest),
            (76 * DOLLAR, Quality, Cheapest, Cheapest),
            (95 * DOLLAR - 1, Quality, Cheapest, Cheapest),
            (95 * DOLLAR, Quality, Exhausted, Exhausted),
            (100 * DOLLAR - 1, Quality, Exhausted, Exhausted),
            (100 * DOLLAR, Exhausted, Exhausted, Exhausted),
            (u64::MAX, Exhausted, Exhausted, Exhausted),
        ] {
            let levels = Priority::ALL.map(|p| level(&budget, &spent(gone), p));
            assert_eq!(levels, [low, standard, critical], "{gone}");
        }
    }

    #[test]
    fn critical_calls_that_are_not_exempt_follow_the_levels_of_the_whole_limit() {
        let budget = BudgetPolicy {
            critical_exempt: false,
            ..budget()
        };
        for (dollars, expected) in [
            (19, SpendLevel::Quality),
            (20, SpendLevel::Balanced),
            (80, SpendLevel::Cheapest),
            (99, SpendLevel::Cheapest),
            (100, SpendLevel::Exhausted),
        ] {
            assert_eq!(
                level(&budget, &spent(dollars * DOLLAR), Priority::Critical),
                expected,
                "{dollars}"
            );
        }
    }

    #[test]
    fn below_all_written_levels_the_cheapest_is_preferred() {
        let rule = |percent, prefer| LevelRule {
            above: Share::percent(percent),
            prefer,
        };
        let budget = BudgetPolicy {
            levels: vec![rule(50, Prefer::Quality)],
            reserve: Share::ZERO,
            ..budget()
        };
        let at = |dollars| level(&budget, &spent(dollars * DOLLAR), Priority::Standard);
        assert_eq!(
            [at(49), at(50), at(99), at(100)].map(SpendLevel::as_str),
            ["quality", "cheapest", "cheapest", "exhausted"]
        );
    }

    #[test]
    fn what_remains_is_told_of_the_limit_less_the_reserve_and_for_critical_calls_of_the_limit() {
        let budget = budget();
        for (gone, critical, others) in [
            (0, 1_000_000, 1_000_000),
            (19 * DOLLAR, 810_000, 800_000),
            (95 * DOLLAR, 50_000, 0),
            (99 * DOLLAR, 10_000, 0),
            (200 * DOLLAR, 0, 0),
        ] {
            let left = Priority::ALL.map(|p| remaining(&budget, &spent(gone), p).millionths());
            assert_eq!(left, [others, others, critical], "{gone}");
        }
        let held = BudgetState {
            reserved: NanoDollars(90 * DOLLAR),
            ..spent(0)
        };
        assert_eq!(
            remaining(&budget, &held, Priority::Standard),
            Share::ONE,
            "what is held is not spent"
        );
    }

    #[test]
    fn the_reserve_is_for_critical_calls_and_nothing_is_left_of_nothing() {
        let budget = budget();
        let ceilings = Priority::ALL.map(|p| ceiling(&budget, p).0 / DOLLAR);
        assert_eq!(ceilings, [95, 95, 100]);
        for (limit, reserve) in [(0, 0), (100, 100)] {
            let none = BudgetPolicy {
                limit: NanoDollars(limit),
                reserve: Share::percent(reserve),
                ..budget.clone()
            };
            assert_eq!(level(&none, &spent(0), Priority::Standard), SpendLevel::Exhausted);
            assert_eq!(remaining(&none, &spent(0), Priority::Low), Share::ZERO);
        }
    }

    #[test]
    fn of_several_budgets_the_most_pressing_level_holds() {
        use SpendLevel::{Balanced, Cheapest, Exhausted, Quality};
        assert_eq!(worst_of([]), Quality);
        assert_eq!(worst_of([Balanced, Cheapest, Quality]), Cheapest);
        assert_eq!(worst_of([Exhausted, Quality]), Exhausted);
    }

    #[test]
    fn shares_are_cut_to_a_whole_and_read_to_the_millionth() {
        for (share, millionths) in [
            (0.05, 50_000),
            (-1.0, 0),
            (7.0, 1_000_000),
            (f64::NAN, 0),
            (0.123_456_7, 123_457),
        ] {
            assert_eq!(Share::of(share).millionths(), millionths, "{share}");
        }
        assert_eq!(Share::percent(300), Share::ONE);
        assert_eq!(Share::percent(20).as_f64(), 0.2);
        assert_eq!(Share::ONE.of_amount(NanoDollars(u64::MAX)), NanoDollars(u64::MAX));
        assert_eq!(
            Share::percent(5).of_amount(NanoDollars(19)),
            NanoDollars(0),
            "rounded down"
        );
    }

    /// What becomes of a call of the burst below.
    #[derive(Debug, Clone)]
    struct Spender {
        priority: usize,
        estimate: u64,
        actual: u64,
        /// Calls that begin before it ends.
        lasts: usize,
    }

    fn spender() -> impl Strategy<Value = Spender> {
        (0..3_usize, 0..2_000_u64, 0..50_u64, 0..8_usize).prop_map(|(priority, estimate, times, lasts)| Spender {
            priority,
            estimate,
            actual: estimate * times / 10,
            lasts,
        })
    }

    proptest! {
        #[test]
        fn however_holds_and_settlements_interleave_no_more_is_spent_than_the_limit_and_what_estimates_fell_short(
            limit in 0..20_000_u64, reserve in 0..100_u32, burst in proptest::collection::vec(spender(), 0..120),
        ) {
            let budget = BudgetPolicy {
                reserve: Share::percent(reserve),
                ..BudgetPolicy::new(BudgetId::from("b"), NanoDollars(limit), Window::Day)
            };
            let (mut state, mut in_flight) = (BudgetState::default(), Vec::new());
            // By how much settled calls overran their estimates, of all calls and of those that are not critical.
            let (mut overrun, mut overrun_of_others, mut spent_by_others) = (0, 0, 0);
            let mut settle = |call: &Spender, state: &mut BudgetState| {
                state.reserved = state.reserved.saturating_sub(NanoDollars(call.estimate));
                state.spent += NanoDollars(call.actual);
                let over = call.actual.saturating_sub(call.estimate);
                overrun += over;
                if Priority::ALL[call.priority] != Priority::Critical {
                    overrun_of_others += over;
                    spent_by_others += call.actual;
                }
                (overrun, overrun_of_others, spent_by_others)
            };
            for (now, call) in burst.iter().enumerate() {
                in_flight.retain(|(ends, ended): &(usize, Spender)| {
                    let over = *ends <= now;
                    if over {
                        settle(ended, &mut state);
                    }
                    !over
                });
                let priority = Priority::ALL[call.priority];
                let ceiling = ceiling(&budget, priority);
                if level(&budget, &state, priority) == SpendLevel::Exhausted {
                    prop_assert!(state.spent >= ceiling);
                    continue;
                }
                if fits(ceiling, &state, NanoDollars(call.estimate)) {
                    state.reserved += NanoDollars(call.estimate);
                    in_flight.push((now + call.lasts, call.clone()));
                }
            }
            let mut totals = (0, 0, 0);
            for (_, call) in &in_flight {
                totals = settle(call, &mut state);
            }
            let (overrun, overrun_of_others, spent_by_others) = if in_flight.is_empty() {
                settle(&Spender { priority: 2, estimate: 0, actual: 0, lasts: 0 }, &mut state)
            } else {
                totals
            };
            prop_assert!(state.spent.0 <= limit + overrun, "{state:?}");
            let others = super::ceiling(&budget, Priority::Low).0;
            prop_assert!(spent_by_others <= others + overrun_of_others, "the reserve is not theirs");
            prop_assert_eq!(state.reserved, NanoDollars::ZERO);
        }

        #[test]
        fn less_money_never_means_a_better_level_nor_more_importance_a_worse_one(
            limit in 0..1_000_000_u64, reserve in 0..100_u32, shift in 0..100_u32, a: u32, b: u32,
        ) {
            let budget = BudgetPolicy {
                reserve: Share::percent(reserve),
                low_shift: Share::percent(shift),
                ..BudgetPolicy::new(BudgetId::from("b"), NanoDollars(limit), Window::Day)
            };
            let (less, more) = (spent(u64::from(a.min(b))), spent(u64::from(a.max(b))));
            for priority in Priority::ALL {
                prop_assert!(level(&budget, &less, priority) <= level(&budget, &more, priority));
                prop_assert!(remaining(&budget, &less, priority) >= remaining(&budget, &more, priority));
            }
            let [low, standard, critical] = Priority::ALL.map(|p| level(&budget, &less, p));
            prop_assert!(low >= standard && standard >= critical);
        }
    }
}
