//! A key as people and programs write and see it: what is asked for, what may be changed, what is shown. Never a digest.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::records::keys::KeyRecord;
use types::principal::{KeyLimits, Permissions, Priority};
use types::time::UnixMillis;

use crate::config::budgets;
use crate::keys::network::Network;

/// Letters of a name or an owner.
const NAME_MAX: usize = 128;
/// Tags, patterns, networks, budgets of one key, each.
const LIST_MAX: usize = 64;
/// Letters of a tag or a pattern.
const TEXT_MAX: usize = 256;

/// A value that is not taken: which field, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{field}` {why}")]
pub struct Wrong {
    /// The field, as it is written.
    pub field: String,
    /// What is wrong with it, and what was meant.
    pub why: String,
}

/// A key to be made. What is left out is not limited.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "NewKey")]
pub struct KeyDraft {
    /// What people call it.
    pub name: String,
    /// Who answers for it. Keys of one owner share stored and cached answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// What its calls are counted under, such as `team:web`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// What its calls have without a header, and the most they may ask for.
    #[serde(default)]
    #[schemars(with = "PriorityWord")]
    pub priority: Priority,
    /// Routes it may name, `*` for any text; all when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub routes: Option<Vec<String>>,
    /// Targets that may serve it, `*` for any text; all when left out. A key with `routes` may name targets only by these.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub targets: Option<Vec<String>>,
    /// Networks it may be used from, such as `10.0.0.0/8`; all when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub networks: Option<Vec<String>>,
    /// Its limits.
    #[serde(default)]
    #[schemars(with = "LimitsSchema")]
    pub limits: KeyLimits,
    /// Its budgets by name, each as the configuration's `budgets:` writes one.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub budgets: BTreeMap<String, Value>,
    /// What it may beside calling models.
    #[serde(default)]
    #[schemars(with = "PermissionsSchema")]
    pub permissions: Permissions,
    /// When it ends, such as `2027-01-31T00:00:00Z`; never when left out.
    #[serde(default, with = "moment::option", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub expires: Option<UnixMillis>,
}

/// What is to change. A field that is left out stays, `null` takes a limit away.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "KeyChanges")]
pub struct KeyPatch {
    /// What people call it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Who answers for it.
    #[serde(deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub owner: Option<Option<String>>,
    /// What its calls are counted under.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tags: Option<Vec<String>>,
    /// What its calls have without a header, and the most they may ask for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<PriorityWord>")]
    pub priority: Option<Priority>,
    /// Routes it may name.
    #[serde(deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Vec<String>>")]
    pub routes: Option<Option<Vec<String>>>,
    /// Targets that may serve it.
    #[serde(deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Vec<String>>")]
    pub targets: Option<Option<Vec<String>>>,
    /// Networks it may be used from.
    #[serde(deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Vec<String>>")]
    pub networks: Option<Option<Vec<String>>>,
    /// Its limits, each by itself.
    pub limits: LimitsPatch,
    /// Its budgets, all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub budgets: Option<BTreeMap<String, Value>>,
    /// What it may beside calling models, each by itself.
    pub permissions: PermissionsPatch,
    /// When it ends.
    #[serde(
        deserialize_with = "moment::given",
        serialize_with = "moment::write_given",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub expires: Option<Option<UnixMillis>>,
}

/// Limits to change.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "LimitsChanges")]
pub struct LimitsPatch {
    /// Calls a minute.
    #[serde(deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<u32>")]
    pub requests_per_minute: Option<Option<u32>>,
    /// Tokens a minute.
    #[serde(deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<u64>")]
    pub tokens_per_minute: Option<Option<u64>>,
    /// Calls under way at once.
    #[serde(deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<u32>")]
    pub concurrent: Option<Option<u32>>,
}

/// Permissions to change.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "PermissionsChanges")]
pub struct PermissionsPatch {
    /// `/v1/files` and `/v1/batches`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub files: Option<bool>,
    /// `x-jumpseat-explain`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub explain: Option<bool>,
    /// `x-jumpseat-tags` with tags that a budget counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub budget_tags: Option<bool>,
}

/// A key as it is shown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Key")]
pub struct KeyView {
    /// Its public part, which its text begins with.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// Whether it is taken.
    pub state: KeyState,
    /// Who answers for it.
    pub owner: Option<String>,
    /// What its calls are counted under.
    pub tags: Vec<String>,
    /// What its calls have without a header, and the most they may ask for.
    #[schemars(with = "PriorityWord")]
    pub priority: Priority,
    /// Routes it may name; `null`: all.
    pub routes: Option<Vec<String>>,
    /// Targets that may serve it; `null`: all.
    pub targets: Option<Vec<String>>,
    /// Networks it may be used from; `null`: all.
    pub networks: Option<Vec<String>>,
    /// Its limits.
    #[schemars(with = "LimitsSchema")]
    pub limits: KeyLimits,
    /// Its budgets by name.
    pub budgets: BTreeMap<String, Value>,
    /// What it may beside calling models.
    #[schemars(with = "PermissionsSchema")]
    pub permissions: Permissions,
    /// When it was made.
    #[serde(with = "moment")]
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub created: UnixMillis,
    /// When it ends.
    #[serde(with = "moment::option")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub expires: Option<UnixMillis>,
    /// When it was revoked.
    #[serde(with = "moment::option")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub revoked: Option<UnixMillis>,
    /// Until when the secret before the last rotation is taken too.
    #[serde(with = "moment::option")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub old_secret_until: Option<UnixMillis>,
}

/// Whether a key is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum KeyState {
    /// It is.
    Active,
    /// Its end has come.
    Expired,
    /// It was revoked.
    Revoked,
}

impl KeyState {
    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            KeyState::Active => "active",
            KeyState::Expired => "expired",
            KeyState::Revoked => "revoked",
        }
    }
}

/// A key that was just made or rotated: the one time that its text is shown.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
pub struct IssuedKey {
    /// The whole key. It is kept nowhere and cannot be shown again.
    pub key: String,
    /// What it is.
    pub details: KeyView,
}

impl std::fmt::Debug for IssuedKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "IssuedKey of {}", self.details.id)
    }
}

/// A key's id and name, for those who may see no more of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct KeyName {
    /// Its public part.
    pub id: String,
    /// What people call it.
    pub name: String,
}

/// The words of priorities, for the schema.
#[derive(JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "Priority")]
#[expect(dead_code, reason = "it stands for `types::principal::Priority` in the schema")]
enum PriorityWord {
    Low,
    Standard,
    Critical,
}

/// [`KeyLimits`] for the schema.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Limits")]
#[expect(dead_code, reason = "it stands for `types::principal::KeyLimits` in the schema")]
struct LimitsSchema {
    /// Calls a minute.
    requests_per_minute: Option<u32>,
    /// Tokens a minute, prompt and output together.
    tokens_per_minute: Option<u64>,
    /// Calls under way at once.
    concurrent: Option<u32>,
}

/// [`Permissions`] for the schema.
#[derive(JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Permissions")]
#[derive(Default)]
struct PermissionsSchema {
    /// `/v1/files` and `/v1/batches`, where the operator has switched them on as well.
    files: bool,
    /// `x-jumpseat-explain`.
    explain: bool,
    /// `x-jumpseat-tags` with tags that a budget counts.
    budget_tags: bool,
}

impl KeyDraft {
    /// The record of a key that is made now; its digests are still to come.
    pub fn into_record(self, id: types::ids::KeyId, now: UnixMillis) -> Result<KeyRecord, Wrong> {
        let mut record = KeyRecord {
            id,
            digests: Vec::new(),
            name: self.name,
            owner: self.owner,
            tags: self.tags,
            priority: self.priority,
            routes: self.routes,
            targets: self.targets,
            networks: self.networks,
            limits: self.limits,
            budgets: self.budgets,
            permissions: self.permissions,
            created: now,
            expires: self.expires,
            revoked: None,
        };
        settle(&mut record);
        check(&record)?;
        check_end(record.expires, now)?;
        Ok(record)
    }
}

impl KeyPatch {
    /// Whether it changes nothing.
    pub fn is_empty(&self) -> bool {
        *self == KeyPatch::default()
    }

    /// Changes a record.
    pub fn apply(self, record: &mut KeyRecord, now: UnixMillis) -> Result<(), Wrong> {
        fn set<T>(place: &mut T, given: Option<T>) {
            if let Some(given) = given {
                *place = given;
            }
        }
        if let Some(end) = self.expires {
            check_end(end, now)?;
        }
        set(&mut record.name, self.name);
        set(&mut record.owner, self.owner);
        set(&mut record.tags, self.tags);
        set(&mut record.priority, self.priority);
        set(&mut record.routes, self.routes);
        set(&mut record.targets, self.targets);
        set(&mut record.networks, self.networks);
        set(&mut record.limits.requests_per_minute, self.limits.requests_per_minute);
        set(&mut record.limits.tokens_per_minute, self.limits.tokens_per_minute);
        set(&mut record.limits.concurrent, self.limits.concurrent);
        set(&mut record.budgets, self.budgets);
        set(&mut record.permissions.files, self.permissions.files);
        set(&mut record.permissions.explain, self.permissions.explain);
        set(&mut record.permissions.budget_tags, self.permissions.budget_tags);
        set(&mut record.expires, self.expires);
        settle(record);
        check(record)
    }
}

impl KeyView {
    /// How a key is shown at a time.
    pub fn of(record: &KeyRecord, now: UnixMillis) -> KeyView {
        let state = match (record.revoked, record.expires) {
            (Some(_), _) => KeyState::Revoked,
            (None, Some(end)) if now >= end => KeyState::Expired,
            (None, _) => KeyState::Active,
        };
        let old = record.digests.iter().skip(1).filter_map(|digest| digest.until);
        KeyView {
            id: record.id.to_string(),
            name: record.name.clone(),
            state,
            owner: record.owner.clone(),
            tags: record.tags.clone(),
            priority: record.priority,
            routes: record.routes.clone(),
            targets: record.targets.clone(),
            networks: record.networks.clone(),
            limits: record.limits,
            budgets: record.budgets.clone(),
            permissions: record.permissions,
            created: record.created,
            expires: record.expires,
            revoked: record.revoked,
            old_secret_until: old.filter(|until| *until > now).max(),
        }
    }
}

/// Tags are sorted, each once, and networks written one way.
fn settle(record: &mut KeyRecord) {
    record.tags.sort();
    record.tags.dedup();
    for text in record.networks.iter_mut().flatten() {
        if let Ok(network) = Network::parse(text) {
            *text = network.to_string();
        }
    }
}

fn check(record: &KeyRecord) -> Result<(), Wrong> {
    named("name", &record.name)?;
    if let Some(owner) = &record.owner {
        named("owner", owner)?;
    }
    list("tags", &record.tags, |tag| {
        let plain = |c: char| c.is_ascii_alphanumeric() || ".:_/@=+-".contains(c);
        let sound = !tag.is_empty() && tag.chars().all(plain);
        sound
            .then_some(())
            .ok_or_else(|| format!("holds `{tag}`: write tags with letters, digits and `.:_/@=+-`"))
    })?;
    let pattern = |text: &str| {
        let sound = !text.is_empty() && !text.contains(char::is_control);
        sound
            .then_some(())
            .ok_or_else(|| "holds an empty name: leave the list out to allow all".to_owned())
    };
    list("routes", record.routes.as_deref().unwrap_or_default(), pattern)?;
    list("targets", record.targets.as_deref().unwrap_or_default(), |text| {
        pattern(text)?;
        let sound = text.contains('/') || text.contains('*');
        sound
            .then_some(())
            .ok_or_else(|| format!("holds `{text}`: a target is `provider/model`, or a pattern such as `{text}/*`"))
    })?;
    list("networks", record.networks.as_deref().unwrap_or_default(), |text| {
        Network::parse(text)
            .map(drop)
            .map_err(|why| format!("holds a wrong one: {why}"))
    })?;
    let limits = &record.limits;
    let zero = [
        ("limits.requests_per_minute", limits.requests_per_minute == Some(0)),
        ("limits.tokens_per_minute", limits.tokens_per_minute == Some(0)),
        ("limits.concurrent", limits.concurrent == Some(0)),
    ];
    if let Some((field, _)) = zero.into_iter().find(|(_, zero)| *zero) {
        return Err(wrong(field, "must be more than 0; to stop a key, revoke it"));
    }
    if record.budgets.len() > LIST_MAX {
        return Err(wrong("budgets", format!("holds more than {LIST_MAX}")));
    }
    for (name, budget) in &record.budgets {
        let field = format!("budgets.{name}");
        let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        if name.is_empty() || name.len() > NAME_MAX || !name.chars().all(plain) {
            return Err(wrong(field, "is no name: use letters, digits and `._-`"));
        }
        if !budget.is_object() {
            let message = "is no budget: write it like { \"limit_usd\": 5, \"window\": \"day\" }";
            return Err(wrong(field, message));
        }
        budgets::from_json(name, budget).map_err(|why| wrong(field, why))?;
    }
    Ok(())
}

fn check_end(end: Option<UnixMillis>, now: UnixMillis) -> Result<(), Wrong> {
    if end.is_some_and(|end| end <= now) {
        return Err(wrong("expires", "is over already"));
    }
    Ok(())
}

fn named(field: &str, text: &str) -> Result<(), Wrong> {
    if text.trim().is_empty() {
        return Err(wrong(field, "must not be empty"));
    }
    if text.chars().count() > NAME_MAX || text.contains(char::is_control) {
        return Err(wrong(field, format!("must be one line of at most {NAME_MAX} letters")));
    }
    Ok(())
}

fn list(field: &str, texts: &[String], each: impl Fn(&str) -> Result<(), String>) -> Result<(), Wrong> {
    if texts.len() > LIST_MAX {
        return Err(wrong(field, format!("holds more than {LIST_MAX}")));
    }
    for text in texts {
        if text.len() > TEXT_MAX {
            return Err(wrong(field, format!("holds one of more than {TEXT_MAX} letters")));
        }
        each(text).map_err(|why| wrong(field, why))?;
    }
    Ok(())
}

fn wrong(field: impl Into<String>, why: impl Into<String>) -> Wrong {
    Wrong {
        field: field.into(),
        why: why.into(),
    }
}

/// A field that was written, `null` included; with `default`, what was not written is `None`.
fn given<'de, T: Deserialize<'de>, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// Serde of a time: RFC 3339.
pub mod moment {
    use serde::de::{Deserializer, Error};
    use serde::ser::Serializer;

    use super::*;
    use crate::telemetry::call_log::timestamp;

    /// Reads `2027-01-31T00:00:00Z`, with any offset.
    pub fn parse(text: &str) -> Result<UnixMillis, String> {
        let at: Timestamp = text
            .parse()
            .map_err(|_| format!("`{text}` is no time: write it like \"2027-01-31T00:00:00Z\""))?;
        let millis = u64::try_from(at.as_millisecond()).map_err(|_| format!("`{text}` is before 1970"))?;
        Ok(UnixMillis(millis))
    }

    /// Reads one.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<UnixMillis, D::Error> {
        parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }

    /// Writes one.
    pub fn serialize<S: Serializer>(at: &UnixMillis, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&timestamp(*at))
    }

    /// Reads one that was written, or `null`.
    pub fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<UnixMillis>>, D::Error> {
        option::deserialize(deserializer).map(Some)
    }

    /// Writes what [`given`] reads.
    pub fn write_given<S: Serializer>(at: &Option<Option<UnixMillis>>, serializer: S) -> Result<S::Ok, S::Error> {
        option::serialize(&at.flatten(), serializer)
    }

    /// The same where there may be none.
    pub mod option {
        use super::*;

        /// Reads one, or nothing.
        pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<UnixMillis>, D::Error> {
            let text = Option::<String>::deserialize(deserializer)?;
            text.map(|text| parse(&text).map_err(D::Error::custom)).transpose()
        }

        /// Writes one, or nothing.
        pub fn serialize<S: Serializer>(at: &Option<UnixMillis>, serializer: S) -> Result<S::Ok, S::Error> {
            match at {
                Some(at) => super::serialize(at, serializer),
                None => serializer.serialize_none(),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use types::ids::KeyId;

    use super::*;

    const NOW: UnixMillis = UnixMillis(1_795_219_200_000);

    fn made(draft: Value) -> Result<KeyRecord, String> {
        let draft: KeyDraft = serde_json::from_value(draft).map_err(|e| e.to_string())?;
        draft
            .into_record(KeyId::from("js-abcdefghabcd"), NOW)
            .map_err(|e| e.to_string())
    }

    #[test]
    fn what_is_wrong_with_a_key_names_its_field() {
        let rows = [
            (json!({"name": "app"}), ""),
            (json!({}), "missing field `name`"),
            (json!({"name": " "}), "`name` must not be empty"),
            (json!({"name": "a\nb"}), "`name` must be one line"),
            (json!({"name": "a", "colour": 1}), "unknown field `colour`"),
            (json!({"name": "a", "tags": ["a b"]}), "`tags` holds `a b`"),
            (json!({"name": "a", "targets": ["openai"]}), "`openai/*`"),
            (json!({"name": "a", "targets": ["openai/*", "*"]}), ""),
            (json!({"name": "a", "routes": [""]}), "`routes` holds an empty name"),
            (json!({"name": "a", "routes": []}), ""),
            (json!({"name": "a", "networks": ["10.0.0.1/8"]}), "write `10.0.0.0/8`"),
            (
                json!({"name": "a", "limits": {"concurrent": 0}}),
                "`limits.concurrent` must be more than 0",
            ),
            (json!({"name": "a", "limits": {"rpm": 1}}), "unknown field `rpm`"),
            (
                json!({"name": "a", "budgets": {"daily": 5}}),
                "`budgets.daily` is no budget",
            ),
            (
                json!({"name": "a", "expires": "2026-11-21T00:00:00Z"}),
                "`expires` is over already",
            ),
            (json!({"name": "a", "expires": "tomorrow"}), "`tomorrow` is no time"),
            (json!({"name": "a", "expires": "2026-11-21T01:30:00+01:00"}), ""),
            (json!({"name": "a", "digests": []}), "unknown field `digests`"),
        ];
        for (draft, wanted) in rows {
            let told = made(draft.clone()).err().unwrap_or_default();
            assert!(
                told.contains(wanted) && told.is_empty() == wanted.is_empty(),
                "{draft}: {told}"
            );
        }
    }

    #[test]
    fn a_change_leaves_what_it_does_not_name_and_null_takes_a_limit_away() {
        let mut record = made(json!({
            "name": "app", "owner": "web", "routes": ["chat"], "expires": "2027-01-01T00:00:00Z",
            "limits": {"requests_per_minute": 60, "concurrent": 5}
        }))
        .unwrap();
        let patch =
            json!({"owner": null, "expires": null, "limits": {"concurrent": null}, "permissions": {"files": true}});
        let patch: KeyPatch = serde_json::from_value(patch).unwrap();
        assert_eq!(serde_json::from_value::<KeyPatch>(json!(patch)).unwrap(), patch);
        patch.apply(&mut record, NOW).unwrap();
        assert_eq!((record.owner.as_deref(), record.expires), (None, None));
        assert_eq!(record.routes.as_deref(), Some(&["chat".to_owned()][..]));
        assert_eq!(record.limits.requests_per_minute, Some(60));
        assert_eq!(record.limits.concurrent, None);
        assert!(record.permissions.files);
        assert!(serde_json::from_value::<KeyPatch>(json!({})).unwrap().is_empty());
    }
}
