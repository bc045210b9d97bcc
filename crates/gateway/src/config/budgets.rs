//! `budgets:` money for a window of time: whose calls it counts, how its levels act on the choice, what happens when it is gone.
//!
//! A key's own budgets are written the same way ([`Budget`] as JSON in its record, or in short as `name=5/day`; see
//! [`parse_short`]). What a level does to a plan is policy's; nothing here decides on a call.

use std::fmt;

use jiff::tz::TimeZone;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use types::money::{NanoDollars, PicoDollars};

use crate::config::Config;
use crate::config::glob::Glob;
use crate::config::nearest::{did_you_mean, nearest};
use crate::config::node::Node;
use crate::config::notice::Notice;
use crate::config::place::Place;
use crate::config::topology::{DIRECT, Topology};
use crate::config::units::{PercentText, percent, write_percent};

/// More budgets than this are refused: each call asks those that count it.
const BUDGETS_MAX: usize = 200;
/// Longer names are refused: they stand in messages, headers and labels.
const NAME_LEN_MAX: usize = 64;
/// Pico-dollars in a nano-dollar, the finest amount that is counted.
const PICO_PER_NANO: u64 = 1_000;

/// Money for a window of time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Budget {
    /// How many dollars a window has.
    pub limit_usd: Usd,
    /// When it begins anew: `hour`, `day`, `week` (from Monday) or `month`.
    #[serde(default)]
    pub window: Window,
    /// Whose hours and days, by its IANA name: `Europe/Berlin`. Also across the changes to and from summer time.
    #[serde(default = "utc")]
    pub timezone: String,
    /// The share of the limit that only critical calls and their retries may take.
    #[serde(default, with = "percent")]
    #[schemars(with = "PercentText")]
    pub reserve: f64,
    /// What is preferred while more than a share of the money remains, the largest share first.
    #[serde(default = "house_levels")]
    pub levels: Vec<Level>,
    /// What a call gets when nothing is left: a refusal, or only what the cache holds.
    #[serde(default)]
    pub when_exhausted: WhenExhausted,
    /// How calls that matter more or less are treated.
    #[serde(default)]
    pub priorities: Priorities,
    /// Near the end `max_tokens` is lowered to what is left, instead of the call being refused.
    #[serde(default)]
    pub cap_output: bool,
    /// Calls at targets whose price nobody knows: passed by, or let through uncounted.
    #[serde(default)]
    pub unpriced: Unpriced,
    /// Only calls of these routes; `*` stands for any text. All routes when left out.
    #[serde(default)]
    pub routes: Vec<String>,
    /// Only calls of these keys, by name or id. All keys when left out.
    #[serde(default)]
    pub keys: Vec<String>,
    /// Only calls with one of these tags; `*` stands for any text. All calls when left out.
    #[serde(default)]
    pub tags: Vec<String>,
}

/// When a budget begins anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Window {
    /// At every full hour.
    Hour,
    /// At midnight.
    #[default]
    Day,
    /// At midnight before Monday.
    Week,
    /// At midnight before the first.
    Month,
}

impl Window {
    /// All, the shortest first.
    pub const ALL: [Window; 4] = [Window::Hour, Window::Day, Window::Week, Window::Month];

    /// As the configuration writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Window::Hour => "hour",
            Window::Day => "day",
            Window::Week => "week",
            Window::Month => "month",
        }
    }
}

/// What is preferred while so much remains.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Level {
    /// More than this share of the money remains.
    #[serde(with = "percent")]
    #[schemars(with = "PercentText")]
    pub above: f64,
    /// What is preferred then.
    pub prefer: Prefer,
}

/// What a level prefers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Prefer {
    /// The route's own ranking.
    Quality,
    /// Standard models before premium ones.
    Balanced,
    /// The cheapest model that can do it.
    Cheapest,
}

/// What a call gets when nothing is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WhenExhausted {
    /// A 429 that names the budget and when it begins anew.
    #[default]
    Reject,
    /// What the cache holds, also when it is stale; else that 429.
    CacheOnly,
}

/// Calls at targets whose price nobody knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Unpriced {
    /// Such a target is passed by: what cannot be counted cannot be limited.
    #[default]
    Refuse,
    /// It serves, and costs nothing here.
    Allow,
}

/// How calls that matter more or less are treated.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Priorities {
    /// Calls that matter most.
    pub critical: Critical,
    /// Calls that matter least.
    pub low: Low,
}

/// Calls that matter most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Critical {
    /// Until when they keep the route's own ranking.
    pub exempt_until: ExemptUntil,
}

/// Until when critical calls keep their quality.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ExemptUntil {
    /// Until the reserve is gone too.
    #[default]
    Exhausted,
    /// Not at all: the levels hold for them as well, of the whole limit.
    Never,
}

/// Calls that matter least.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Low {
    /// So much less counts as remaining for them, so that they are shifted down earlier.
    #[serde(with = "percent")]
    #[schemars(with = "PercentText")]
    pub shift: f64,
}

impl Default for Low {
    fn default() -> Low {
        Low { shift: 0.2 }
    }
}

fn utc() -> String {
    "UTC".to_owned()
}

/// Quality while more than 80 % remain, balanced above 20 %, the cheapest below.
pub fn house_levels() -> Vec<Level> {
    [(0.8, Prefer::Quality), (0.2, Prefer::Balanced), (0.0, Prefer::Cheapest)]
        .map(|(above, prefer)| Level { above, prefer })
        .to_vec()
}

impl Budget {
    /// A budget of so much a window, everything else as the house has it.
    pub fn of(limit: NanoDollars, window: Window) -> Budget {
        Budget {
            limit_usd: Usd(limit),
            window,
            timezone: utc(),
            reserve: 0.0,
            levels: house_levels(),
            when_exhausted: WhenExhausted::default(),
            priorities: Priorities::default(),
            cap_output: false,
            unpriced: Unpriced::default(),
            routes: Vec::new(),
            keys: Vec::new(),
            tags: Vec::new(),
        }
    }

    /// Whose hours and days. UTC for a name that is not known, which a checked configuration never has.
    pub fn zone(&self) -> TimeZone {
        zone(&self.timezone).unwrap_or(TimeZone::UTC)
    }

    /// Whether it counts only some calls.
    pub fn is_scoped(&self) -> bool {
        !(self.routes.is_empty() && self.keys.is_empty() && self.tags.is_empty())
    }

    /// Judges its values: what is wrong, and the key it stands under. For a key's own budgets and the configuration's.
    pub fn wrongs(&self) -> Vec<(&'static str, String, Option<String>)> {
        let mut wrongs: Vec<(&'static str, String, Option<String>)> = Vec::new();
        if self.limit_usd.0 == NanoDollars::ZERO {
            wrongs.push(("limit_usd", "must be more than 0".to_owned(), None));
        }
        if zone(&self.timezone).is_none() {
            let message = format!("`{}` is no time zone", self.timezone);
            let help = nearest_zone(&self.timezone).map_or_else(
                || "write its IANA name, for example `Europe/Berlin` or `UTC`".to_owned(),
                |near| format!("did you mean `{near}`?"),
            );
            wrongs.push(("timezone", message, Some(help)));
        }
        if self.reserve >= 1.0 {
            let message = "the whole limit is kept for critical calls, and others never get any".to_owned();
            wrongs.push(("reserve", message, Some("write less than 100%".to_owned())));
        }
        if self.levels.is_empty() {
            let help = "leave it out for the usual ones".to_owned();
            wrongs.push(("levels", "has no level".to_owned(), Some(help)));
        }
        for pair in self.levels.windows(2) {
            if pair[0].above <= pair[1].above {
                let message = format!(
                    "`above: {}` stands before `above: {}`",
                    write_percent(pair[0].above),
                    write_percent(pair[1].above)
                );
                let help = "write the largest share first, each once".to_owned();
                wrongs.push(("levels", message, Some(help)));
            }
            if pair[0].prefer > pair[1].prefer {
                let message = "a level prefers less than the one below it, where less money remains".to_owned();
                wrongs.push(("levels", message, None));
            }
        }
        wrongs
    }

    /// Judges the values of one that stands at a place.
    fn validate(&self, place: &Place, root: &Node, errors: &mut Vec<Notice>) {
        for (key, message, help) in self.wrongs() {
            errors.push(Notice {
                help,
                ..root.notice(&place.key(key), message)
            });
        }
    }
}

/// Judges the section; route names are looked up.
pub(super) fn validate(config: &Config, root: &Node, errors: &mut Vec<Notice>) {
    let section = Place::root().key("budgets");
    if config.budgets.len() > BUDGETS_MAX {
        let message = format!("{} are more than {BUDGETS_MAX}", config.budgets.len());
        errors.push(root.notice(&section, message));
    }
    for (name, budget) in config.budgets.iter() {
        let place = section.key(name);
        if let Err(why) = check_name(name) {
            errors.push(root.notice(&place, why));
        }
        budget.validate(&place, root, errors);
        for (position, route) in budget.routes.iter().enumerate() {
            let known = || config.routes.names().chain([DIRECT]);
            let found = match Glob::parse(route) {
                Some(glob) => known().any(|name| glob.matches(name)),
                None => known().any(|name| name == route),
            };
            if !found {
                let place = place.key("routes").index(position);
                let help = did_you_mean(route, known());
                errors.push(Notice {
                    help,
                    ..root.notice(&place, format!("`{route}` is no route"))
                });
            }
        }
    }
}

/// What is doubtful about the section.
pub(super) fn lint(config: &Config, topology: &Topology, root: &Node, found: &mut Vec<Notice>) {
    let section = Place::root().key("budgets");
    for (name, budget) in config.budgets.iter() {
        let place = section.key(name);
        for route in &topology.routes {
            let counted =
                budget.routes.is_empty() || budget.routes.iter().any(|r| names(r, route.policy.name.as_str()));
            let unpriced: Vec<&str> = route
                .targets
                .iter()
                .filter(|t| t.prices.is_none())
                .map(|t| t.facts.id.as_str())
                .collect();
            if !counted || unpriced.is_empty() {
                continue;
            }
            let (what, then) = match budget.unpriced {
                Unpriced::Refuse if unpriced.len() == route.targets.len() => ("no target", "its calls are refused"),
                Unpriced::Refuse => ("not every target", "calls it counts pass them by"),
                Unpriced::Allow => ("not every target", "what they cost is not counted"),
            };
            let message = format!(
                "{what} of route `{}` has a price ({}): {then}",
                route.policy.name,
                unpriced.join(", ")
            );
            let help = "write `models: { NAME: { price: { input: 1.25, output: 10 } } }` under its provider";
            found.push(root.notice(&place, message).with_help(help));
        }
    }
    lint_cache_only(config, root, found);
}

/// Budgets that fall back on a cache which is written nowhere.
fn lint_cache_only(config: &Config, root: &Node, found: &mut Vec<Notice>) {
    let routes = Place::root().key("routes");
    let of_route = |name: &str| root.at(&routes.key(name).key("cache")).is_some();
    let cached = root.at(&Place::root().key("cache")).is_some() || config.routes.names().any(of_route);
    for (name, budget) in config.budgets.iter() {
        if budget.when_exhausted == WhenExhausted::CacheOnly && !cached {
            let place = Place::root().key("budgets").key(name).key("when_exhausted");
            let message = "`cache_only` answers from the cache, and no cache is configured";
            found.push(
                root.notice(&place, message)
                    .with_help("write `cache: { exact: { ttl: 10m } }`"),
            );
        }
    }
}

/// Whether a written name, or a pattern with `*`, is this name.
pub fn names(written: &str, name: &str) -> bool {
    written == name || Glob::parse(written).is_some_and(|glob| glob.matches(name))
}

/// A budget's name: it stands in headers, messages and labels, and never looks like a key's own.
pub fn check_name(name: &str) -> Result<(), String> {
    let sound = !name.is_empty()
        && name.len() <= NAME_LEN_MAX
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
    match sound {
        true => Ok(()),
        false => Err(format!(
            "`{}` is no budget's name: use at most {NAME_LEN_MAX} letters, digits, `-`, `_` and `.`",
            name.chars().take(NAME_LEN_MAX).collect::<String>()
        )),
    }
}

/// Reads a budget in short: `name=5/day`, `team=0.50/hour`, `monthly=200/month@Europe/Berlin`. For the command line.
pub fn parse_short(text: &str) -> Result<(String, Budget), String> {
    let advice = || format!("`{text}` is no budget: write it like `daily=5/day` or `team=200/month@Europe/Berlin`");
    let (name, rest) = text.split_once('=').ok_or_else(advice)?;
    check_name(name)?;
    let (amount, rest) = rest.split_once('/').ok_or_else(advice)?;
    let (window, timezone) = rest.split_once('@').map_or((rest, "UTC"), |(w, z)| (w, z));
    let amount = amount.trim().trim_start_matches('$');
    let limit = read_usd(amount).map_err(|why| format!("`{amount}` of budget `{name}` is no amount: {why}"))?;
    let words = || Window::ALL.into_iter().map(Window::as_str);
    let window = Window::ALL.into_iter().find(|w| w.as_str() == window).ok_or_else(|| {
        let help = did_you_mean(window, words())
            .unwrap_or_else(|| format!("one of: {}", words().collect::<Vec<_>>().join(", ")));
        format!("`{window}` of budget `{name}` is no window, {help}")
    })?;
    let budget = Budget {
        timezone: timezone.to_owned(),
        ..Budget::of(limit, window)
    };
    match budget.wrongs().into_iter().next() {
        None => Ok((name.to_owned(), budget)),
        Some((key, message, help)) => Err(match help {
            Some(help) => format!("`{key}` of budget `{name}`: {message}, {help}"),
            None => format!("`{key}` of budget `{name}`: {message}"),
        }),
    }
}

/// Reads a budget that a key carries, from the JSON of its record.
pub fn from_json(name: &str, value: &serde_json::Value) -> Result<Budget, String> {
    check_name(name)?;
    let budget: Budget = serde_json::from_value(value.clone()).map_err(|e| format!("budget `{name}`: {e}"))?;
    if budget.is_scoped() {
        return Err(format!(
            "budget `{name}`: a key's own budget counts that key's calls and has no `routes`, `keys` or `tags`"
        ));
    }
    match budget.wrongs().into_iter().next() {
        None => Ok(budget),
        Some((key, message, _)) => Err(format!("`{key}` of budget `{name}`: {message}")),
    }
}

fn zone(name: &str) -> Option<TimeZone> {
    match name {
        "UTC" => Some(TimeZone::UTC),
        name => jiff::tz::db().get(name).ok(),
    }
}

fn nearest_zone(wrong: &str) -> Option<String> {
    let known: Vec<String> = jiff::tz::db().available().map(|n| n.as_str().to_owned()).collect();
    let near = nearest(wrong, known.iter().map(String::as_str));
    // A city alone is how people name it.
    let city = || {
        known
            .iter()
            .find(|n| n.rsplit('/').next().is_some_and(|c| c.eq_ignore_ascii_case(wrong)))
    };
    near.first().map(|n| (*n).to_owned()).or_else(|| city().cloned())
}

/// Dollars, exact to the nano-dollar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Usd(pub NanoDollars);

fn read_usd(text: &str) -> Result<NanoDollars, String> {
    let pico = PicoDollars::per_call(text).map_err(|e| e.to_string())?;
    match pico.0 % PICO_PER_NANO {
        0 => Ok(NanoDollars(pico.0 / PICO_PER_NANO)),
        _ => Err("finer than a nano-dollar, the smallest amount that is counted".to_owned()),
    }
}

impl Serialize for Usd {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // The nearest float is printed with the digits that were written.
        match self.0.0 % 1_000_000_000 {
            0 => serializer.serialize_u64(self.0.0 / 1_000_000_000),
            _ => serializer.serialize_f64(self.0.as_dollars()),
        }
    }
}

impl<'de> Deserialize<'de> for Usd {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Usd, D::Error> {
        // A file has text, a key's record has a number.
        deserializer.deserialize_any(UsdVisitor)
    }
}

struct UsdVisitor;

impl Visitor<'_> for UsdVisitor {
    type Value = Usd;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("dollars such as 100 or 0.50")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Usd, E> {
        read_usd(text)
            .map(Usd)
            .map_err(|why| E::custom(format!("`{text}` is no amount of dollars: {why}")))
    }

    fn visit_u64<E: Error>(self, dollars: u64) -> Result<Usd, E> {
        self.visit_str(&dollars.to_string())
    }

    fn visit_i64<E: Error>(self, dollars: i64) -> Result<Usd, E> {
        self.visit_str(&dollars.to_string())
    }

    fn visit_f64<E: Error>(self, dollars: f64) -> Result<Usd, E> {
        self.visit_str(&dollars.to_string())
    }
}

impl JsonSchema for Usd {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Usd".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["number", "string"], "minimum": 0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::env::MapEnv;
    use crate::config::load;

    const ROUTE: &str = "providers: { a: { dialect: openai_chat, base_url: \"http://127.0.0.1:1/v1\" } }\nroutes: { chat: { tiers: [{ targets: [a/m] }] } }\n";

    fn read(budgets: &str) -> Result<crate::config::Loaded, Vec<String>> {
        load(&format!("{ROUTE}budgets:\n{budgets}"), &MapEnv::default())
            .map_err(|e| e.errors.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn a_budget_is_read_as_the_design_writes_it() {
        let loaded = read(
            "  daily:\n    limit_usd: 100\n    window: day\n    timezone: UTC\n    reserve: 5%\n    levels: [{ above: 80%, prefer: quality }, { above: 20%, prefer: balanced }, { above: 0%, prefer: cheapest }]\n    when_exhausted: reject\n    priorities: { critical: { exempt_until: exhausted }, low: { shift: 20% } }\n",
        )
        .unwrap();
        let budget = loaded.config.budgets.get("daily").unwrap();
        let house = Budget {
            reserve: 0.05,
            ..Budget::of(NanoDollars(100_000_000_000), Window::Day)
        };
        assert_eq!(*budget, house);
        let written = serde_json::to_value(budget).unwrap();
        assert_eq!(from_json("daily", &written), Ok(house));
    }

    #[test]
    fn what_is_wrong_with_a_budget_is_told_with_its_place_and_the_nearest_right_name() {
        let rows = [
            ("  b: { window: day }", "`limit_usd` is missing"),
            ("  b: { limit_usd: 0 }", "budgets.b.limit_usd: must be more than 0"),
            ("  b: { limit_usd: -1 }", "a price is not negative"),
            ("  b: { limit_usd: 0.0000000001 }", "finer than a nano-dollar"),
            ("  b: { limit_usd: 1, window: dya }", "`dya`"),
            (
                "  b: { limit_usd: 1, timezone: Europe/Berlni }",
                "budgets.b.timezone: `Europe/Berlni` is no time zone, did you mean `Europe/Berlin`?",
            ),
            (
                "  b: { limit_usd: 1, timezone: berlin }",
                "did you mean `Europe/Berlin`?",
            ),
            ("  b: { limit_usd: 1, reserve: 100% }", "budgets.b.reserve"),
            ("  b: { limit_usd: 1, reserve: 120% }", "not between 0% and 100%"),
            ("  b: { limit_usd: 1, levels: [] }", "budgets.b.levels: has no level"),
            (
                "  b: { limit_usd: 1, levels: [{ above: 20%, prefer: quality }, { above: 80%, prefer: cheapest }] }",
                "`above: 20%` stands before `above: 80%`",
            ),
            (
                "  b: { limit_usd: 1, levels: [{ above: 80%, prefer: cheapest }, { above: 20%, prefer: quality }] }",
                "a level prefers less",
            ),
            (
                "  b: { limit_usd: 1, routes: [chta] }",
                "budgets.b.routes[0]: `chta` is no route, did you mean `chat`?",
            ),
            ("  \"key:x\": { limit_usd: 1 }", "is no budget's name"),
            ("  b: { limit_usd: 1, limits: 1 }", "unknown key `limits`"),
        ];
        for (budgets, told) in rows {
            let found = read(budgets).unwrap_err();
            assert!(found.iter().any(|f| f.contains(told)), "{budgets}: {found:?}");
        }
    }

    #[test]
    fn a_budget_over_targets_without_a_price_is_doubted() {
        let warned = |budgets: &str| -> Vec<String> {
            let loaded = read(budgets).unwrap();
            loaded.warnings.iter().map(ToString::to_string).collect()
        };
        let found = warned("  b: { limit_usd: 1 }");
        assert!(
            found[0].contains("no target of route `chat` has a price (a/m): its calls are refused"),
            "{found:?}"
        );
        let found = warned("  b: { limit_usd: 1, unpriced: allow, when_exhausted: cache_only }");
        assert!(
            found
                .iter()
                .any(|f| f.contains("`cache_only` answers from the cache, and no cache is configured")),
            "{found:?}"
        );
        assert!(
            found.iter().any(|f| f.contains("what they cost is not counted")),
            "{found:?}"
        );
    }

    #[test]
    fn budgets_are_written_in_short_on_the_command_line() {
        let five = NanoDollars(5_000_000_000);
        assert_eq!(
            parse_short("daily=5/day"),
            Ok(("daily".to_owned(), Budget::of(five, Window::Day)))
        );
        let (name, budget) = parse_short("team=$0.50/month@Europe/Berlin").unwrap();
        assert_eq!((name.as_str(), budget.limit_usd.0), ("team", NanoDollars(500_000_000)));
        assert_eq!(
            (budget.window, budget.timezone.as_str()),
            (Window::Month, "Europe/Berlin")
        );
        for (text, told) in [
            ("5/day", "write it like `daily=5/day`"),
            ("a=5", "write it like"),
            ("a=five/day", "is no amount"),
            ("a=5/dya", "did you mean `day`?"),
            ("a=0/day", "must be more than 0"),
            ("a=5/day@Berlin", "no time zone"),
            ("a b=5/day", "no budget's name"),
        ] {
            let found = parse_short(text).unwrap_err();
            assert!(found.contains(told), "{text}: {found}");
        }
    }
}
