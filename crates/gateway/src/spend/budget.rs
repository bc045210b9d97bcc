//! A budget made ready: its policy, the calls it counts, and the window it is in.
//!
//! A window is known by when it began; whoever meets it first in this process has its counters begun with what the ledger says,
//! and the others wait for that.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use arc_swap::ArcSwap;
use policy::pattern::Pattern;
use policy::spend::scope::{Counted, Scope};
use policy::spend::window::{Zone, window_at};
use policy::spend::{BudgetPolicy, LevelRule, Share};
use serde_json::{Value, json};
use tokio::sync::Mutex;
use tracing::warn;
use types::ids::{BudgetId, KeyId};
use types::spend::BudgetWindow;
use types::time::UnixMillis;

use crate::config;
use crate::config::Config;
use crate::config::budgets::from_json;

/// A budget made ready.
#[derive(Debug)]
pub struct Budget {
    /// What it allows and prefers.
    pub policy: BudgetPolicy,
    /// What people call it.
    pub name: String,
    /// Whose own it is; `None` for one of the configuration.
    pub key: Option<KeyId>,
    /// A call is counted when all of these count it.
    scopes: Vec<Scope>,
    window: ArcSwap<BudgetWindow>,
    /// The start of the window whose counters have begun, and one more; 0: none has.
    begun: AtomicU64,
    /// The ledger did not tell what they begin with.
    doubtful: AtomicBool,
    /// Held by who has them begun.
    pub(super) beginning: Mutex<()>,
}

/// The budgets that a key carries.
pub type Own = Arc<[Arc<Budget>]>;

/// The budgets of a configuration.
#[derive(Debug, Default)]
pub struct Budgets {
    list: Vec<Arc<Budget>>,
}

impl Budgets {
    /// Those of a configuration. One that did not change stays what it was, with its counters.
    pub fn new(config: &Config, before: Option<&Budgets>) -> Budgets {
        let list = config.budgets.iter().map(|(name, written)| {
            let made = Budget::new(BudgetId::from(name), name, None, written);
            let same = |known: &&Arc<Budget>| known.policy == made.policy && known.scopes == made.scopes;
            let known = before.and_then(|before| before.list.iter().find(same));
            known.cloned().unwrap_or_else(|| Arc::new(made))
        });
        Budgets { list: list.collect() }
    }

    /// All of them, in the order of the configuration.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Budget>> {
        self.list.iter()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Whether a tag is counted by one of them.
    pub fn counts_tag(&self, tag: &str) -> Option<&str> {
        let by = |budget: &&Arc<Budget>| {
            budget.scopes.iter().any(|scope| match scope {
                Scope::Tags(patterns) => patterns.iter().any(|p| p.matches(tag)),
                Scope::All | Scope::Routes(_) | Scope::Keys(_) => false,
            })
        };
        self.list.iter().find(by).map(|budget| budget.name.as_str())
    }
}

impl Budget {
    /// One as written.
    pub fn new(id: BudgetId, name: &str, key: Option<KeyId>, written: &config::budgets::Budget) -> Budget {
        let patterns = |texts: &[String]| texts.iter().map(|text| Pattern::new(text)).collect::<Vec<_>>();
        let lists = [
            (&written.routes, Scope::Routes as fn(Vec<Pattern>) -> Scope),
            (&written.keys, Scope::Keys),
            (&written.tags, Scope::Tags),
        ];
        let scopes = lists
            .into_iter()
            .filter(|(texts, _)| !texts.is_empty())
            .map(|(texts, scope)| scope(patterns(texts)))
            .collect();
        let policy = policy(id, written);
        Budget {
            window: ArcSwap::from_pointee(window_at(&policy, UnixMillis(0))),
            policy,
            name: name.to_owned(),
            key,
            scopes,
            begun: AtomicU64::new(0),
            doubtful: AtomicBool::new(false),
            beginning: Mutex::new(()),
        }
    }

    /// Those that a key carries, by name, as JSON. One that makes no sense (the admin API lets none in; an older or newer program may
    /// have) lets nothing be spent: a key without its budget would spend without end.
    pub fn of_key(key: &KeyId, written: &BTreeMap<String, Value>) -> Option<Own> {
        let made = written.iter().filter_map(|(name, value)| {
            let read = from_json(name, value).or_else(|why| {
                warn!(key.id = %key, "Key `{key}` carries a budget that cannot be read, and may spend nothing until it is mended: {why}");
                from_json("unreadable", &json!({ "limit_usd": 0.000_000_001, "window": "month" }))
            });
            let id = BudgetId::from(format!("key:{key}/{name}"));
            Some(Arc::new(Budget::new(id, name, Some(key.clone()), &read.ok()?)))
        });
        let made: Vec<_> = made.collect();
        (!made.is_empty()).then(|| made.into())
    }

    /// Whether it counts a call. A key's own counts all calls of that key, and is asked for no others.
    pub fn counts(&self, call: &Counted<'_>) -> bool {
        self.scopes.iter().all(|scope| scope.counts(call))
    }

    /// The window at a time.
    pub fn window(&self, at: UnixMillis) -> Arc<BudgetWindow> {
        let known = self.window.load();
        if known.start <= at && at < known.end {
            return known.clone();
        }
        let window = Arc::new(window_at(&self.policy, at));
        self.window.store(window.clone());
        window
    }

    /// Whether the window's counters have begun in this process.
    pub fn has_begun(&self, window: &BudgetWindow) -> bool {
        self.begun.load(Ordering::Acquire) == window.start.0 + 1
    }

    /// They have.
    pub fn set_begun(&self, window: &BudgetWindow) {
        self.begun.store(window.start.0 + 1, Ordering::Release);
    }

    /// Whether the ledger did not tell what its counters begin with, and has to be asked again.
    pub fn is_doubtful(&self) -> bool {
        self.doubtful.load(Ordering::Acquire)
    }

    /// It is, or no longer.
    pub fn set_doubtful(&self, doubtful: bool) {
        self.doubtful.store(doubtful, Ordering::Release);
    }

    /// What messages call it.
    pub fn shown(&self) -> String {
        match &self.key {
            None => format!("budget `{}`", self.name),
            Some(_) => format!("budget `{}` of this key", self.name),
        }
    }
}

fn policy(id: BudgetId, written: &config::budgets::Budget) -> BudgetPolicy {
    use config::budgets::{ExemptUntil, Prefer, Unpriced, WhenExhausted, Window};
    BudgetPolicy {
        limit: written.limit_usd.0,
        window: match written.window {
            Window::Hour => policy::spend::window::Window::Hour,
            Window::Day => policy::spend::window::Window::Day,
            Window::Week => policy::spend::window::Window::Week,
            Window::Month => policy::spend::window::Window::Month,
        },
        zone: Zone::parse(&written.timezone).unwrap_or_else(|_| Zone::utc()),
        reserve: Share::of(written.reserve),
        levels: written
            .levels
            .iter()
            .map(|level| LevelRule {
                above: Share::of(level.above),
                prefer: match level.prefer {
                    Prefer::Quality => policy::spend::Prefer::Quality,
                    Prefer::Balanced => policy::spend::Prefer::Balanced,
                    Prefer::Cheapest => policy::spend::Prefer::Cheapest,
                },
            })
            .collect(),
        when_exhausted: match written.when_exhausted {
            WhenExhausted::Reject => policy::spend::WhenExhausted::Reject,
            WhenExhausted::CacheOnly => policy::spend::WhenExhausted::CacheOnly,
        },
        critical_exempt: written.priorities.critical.exempt_until == ExemptUntil::Exhausted,
        low_shift: Share::of(written.priorities.low.shift),
        cap_output: written.cap_output,
        unpriced: match written.unpriced {
            Unpriced::Refuse => policy::spend::Unpriced::Refuse,
            Unpriced::Allow => policy::spend::Unpriced::Allow,
        },
        ..BudgetPolicy::new(id, written.limit_usd.0, policy::spend::window::Window::Day)
    }
}
