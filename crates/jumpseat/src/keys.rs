//! `jumpseat keys`: makes, lists, changes and ends keys, over the admin API of the running gateway, or on the store itself when
//! none runs. Both ways the work is the gateway's own.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, anyhow};
use gateway::admin::api::keys::{KeyList, Rotation};
use gateway::clock::Clock;
use gateway::config::Config;
use gateway::config::admin::Role;
use gateway::config::units::parse_duration;
use gateway::keys::keyring::Keyring;
use gateway::keys::service::{Actor, KeyError, KeyService};
use gateway::keys::view::{IssuedKey, KeyDraft, KeyPatch, KeyState, KeyView, moment};
use gateway::stores::Stores;
use http::Method;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use store::records::Records;
use types::principal::{KeyLimits, Permissions, Priority};
use types::time::UnixMillis;

use crate::admin_client::AdminClient;
use crate::cli::{Clearable, HouseArgs, KeyMayArgs, KeyUpdateArgs, KeysArgs, KeysCommand, Permission, PriorityWord};
use crate::outcome::{CommandError, Ended};
use crate::source;
use crate::table::table;

/// Runs it.
pub fn run(args: &KeysArgs, as_json: bool) -> Result<Ended, CommandError> {
    let config = source::load_house(args.house.source.config.as_deref())?;
    on_a_runtime(async {
        let keys = Keys::open(&config, &args.house).await?;
        match &args.command {
            KeysCommand::Create(create) => {
                let draft = draft(&create.name, &create.may)?;
                issued(&keys.create(draft).await?, as_json);
            }
            KeysCommand::List(list) => {
                let mut known = keys.list().await?;
                if !list.all {
                    known.retain(|key| key.state == KeyState::Active);
                }
                if as_json {
                    println!("{}", json!(KeyList { keys: known }));
                } else {
                    print_list(&known);
                }
            }
            KeysCommand::Show(which) => shown(&keys.find(&which.key).await?, as_json),
            KeysCommand::Rotate(rotate) => {
                let grace = rotate.grace.as_deref().map(parse_duration).transpose();
                let grace = grace.map_err(CommandError::Usage)?;
                let id = keys.find(&rotate.key).await?.id;
                issued(&keys.rotate(&id, grace).await?, as_json);
            }
            KeysCommand::Revoke(which) => {
                let id = keys.find(&which.key).await?.id;
                let key = keys.revoke(&id).await?;
                match as_json {
                    true => println!("{}", json!(key)),
                    false => println!("Key `{}` ({}) is revoked.", key.id, key.name),
                }
            }
            KeysCommand::Update(update) => {
                let patch = patch(update)?;
                if patch.is_empty() {
                    return Err(CommandError::Usage(
                        "error: say what to change: `jumpseat keys update --help`".into(),
                    ));
                }
                let id = keys.find(&update.key).await?.id;
                shown(&keys.update(&id, patch).await?, as_json);
            }
        }
        Ok(Ended::Fine)
    })
}

/// Where keys are changed.
enum Keys {
    /// At the gateway that runs.
    Online(AdminClient),
    /// On the store.
    Offline(Offline),
}

/// The store, opened by the command itself.
pub struct Offline {
    /// It.
    pub records: Records,
    service: Arc<KeyService>,
}

impl Offline {
    /// Opens a configuration's store.
    pub async fn open(config: &Config) -> Result<Offline, CommandError> {
        if config.store.url == "sqlite::memory:" {
            let message = "`store.url` is in memory, so that there is nothing to work on while no gateway runs";
            return Err(CommandError::Usage(message.into()));
        }
        let records = Records::open(&config.store.url)
            .await
            .context("failed to open `store.url`")?;
        let clock = Clock::real();
        let keyring = Keyring::load(records.clone(), clock)
            .await
            .context("failed to read the keys")?;
        let service = KeyService::on(keyring, records.clone(), Stores::none(), clock);
        Ok(Offline { records, service })
    }
}

/// Who works on the store directly.
fn actor() -> Actor {
    Actor {
        name: "cli".to_owned(),
        role: Role::Admin,
        remote: None,
    }
}

impl Keys {
    async fn open(config: &Config, args: &HouseArgs) -> Result<Keys, CommandError> {
        if !args.offline {
            let client = AdminClient::new(config, args.admin_token.as_deref())?;
            if client.ask(Method::GET, "/api/v1/whoami", None).await?.is_some() {
                return Ok(Keys::Online(client));
            }
        }
        Ok(Keys::Offline(Offline::open(config).await?))
    }

    async fn create(&self, draft: KeyDraft) -> Result<IssuedKey, CommandError> {
        match self {
            Keys::Online(client) => ask(client, Method::POST, "/api/v1/keys", Some(&draft)).await,
            Keys::Offline(offline) => offline.service.create(&actor(), draft).await.map_err(told),
        }
    }

    async fn list(&self) -> Result<Vec<KeyView>, CommandError> {
        match self {
            Keys::Online(client) => {
                let list: KeyList = ask(client, Method::GET, "/api/v1/keys", None::<&()>).await?;
                Ok(list.keys)
            }
            Keys::Offline(offline) => offline.service.list().await.map_err(told),
        }
    }

    async fn update(&self, id: &str, patch: KeyPatch) -> Result<KeyView, CommandError> {
        match self {
            Keys::Online(client) => ask(client, Method::PATCH, &format!("/api/v1/keys/{id}"), Some(&patch)).await,
            Keys::Offline(offline) => offline.service.update(&actor(), id, patch).await.map_err(told),
        }
    }

    async fn rotate(&self, id: &str, grace: Option<Duration>) -> Result<IssuedKey, CommandError> {
        match self {
            Keys::Online(client) => {
                let path = format!("/api/v1/keys/{id}/rotate");
                ask(client, Method::POST, &path, Some(&Rotation { grace })).await
            }
            Keys::Offline(offline) => offline.service.rotate(&actor(), id, grace).await.map_err(told),
        }
    }

    async fn revoke(&self, id: &str) -> Result<KeyView, CommandError> {
        match self {
            Keys::Online(client) => ask(client, Method::DELETE, &format!("/api/v1/keys/{id}"), None::<&()>).await,
            Keys::Offline(offline) => offline.service.revoke(&actor(), id).await.map_err(told),
        }
    }

    /// The key of an id or a name. A name that several have is no answer, unless all but one of them have ended.
    async fn find(&self, which: &str) -> Result<KeyView, CommandError> {
        let mut keys = self.list().await?;
        if let Some(at) = keys.iter().position(|key| key.id == which) {
            return Ok(keys.swap_remove(at));
        }
        keys.retain(|key| key.name == which);
        if keys.len() > 1 && keys.iter().any(|key| key.state == KeyState::Active) {
            keys.retain(|key| key.state == KeyState::Active);
        }
        match keys.as_slice() {
            [] => Err(anyhow!("there is no key `{which}`").into()),
            [_] => Ok(keys.remove(0)),
            several => {
                let ids: Vec<&str> = several.iter().map(|key| key.id.as_str()).collect();
                let message = format!(
                    "error: {} keys are called `{which}`: name one of {}",
                    ids.len(),
                    ids.join(", ")
                );
                Err(CommandError::Usage(message))
            }
        }
    }
}

async fn ask<T: DeserializeOwned>(
    client: &AdminClient,
    method: Method,
    path: &str,
    body: Option<&impl Serialize>,
) -> Result<T, CommandError> {
    let body = body
        .map(serde_json::to_value)
        .transpose()
        .map_err(anyhow::Error::from)?;
    let answer = client.ask(method, path, body.as_ref()).await?;
    let answer = answer.ok_or_else(|| anyhow!("the gateway has gone away"))?;
    Ok(serde_json::from_value(answer).context("the gateway answers otherwise than this version does")?)
}

fn told(error: KeyError) -> CommandError {
    match error {
        KeyError::Wrong(wrong) => CommandError::Usage(format!("error: {wrong}")),
        KeyError::NotFound(_)
        | KeyError::NoStore
        | KeyError::Revoked(_)
        | KeyError::TooMany
        | KeyError::NoChance(_)
        | KeyError::Store(_) => anyhow::Error::from(error).into(),
    }
}

/// Runs something that waits.
pub fn on_a_runtime<T>(work: impl Future<Output = Result<T, CommandError>>) -> Result<T, CommandError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .context("failed to start the runtime")?;
    runtime.block_on(work)
}

fn draft(name: &str, may: &KeyMayArgs) -> Result<KeyDraft, CommandError> {
    let mut permissions = Permissions::default();
    for what in &may.allow {
        match what {
            Permission::Files => permissions.files = true,
            Permission::Explain => permissions.explain = true,
            Permission::BudgetTags => permissions.budget_tags = true,
        }
    }
    Ok(KeyDraft {
        name: name.to_owned(),
        owner: may.owner.clone(),
        tags: may.tag.clone(),
        priority: may.priority.map(priority).unwrap_or_default(),
        routes: some(&may.route),
        targets: some(&may.target),
        networks: some(&may.network),
        limits: KeyLimits {
            requests_per_minute: may.rpm,
            tokens_per_minute: may.tpm,
            concurrent: may.concurrent,
        },
        budgets: budgets(&may.budget)?.into_iter().collect(),
        permissions,
        expires: may.expires.as_deref().map(end).transpose()?,
    })
}

fn patch(args: &KeyUpdateArgs) -> Result<KeyPatch, CommandError> {
    let may = &args.may;
    let mut patch = KeyPatch {
        name: args.name.clone(),
        owner: may.owner.clone().map(Some),
        tags: some(&may.tag),
        priority: may.priority.map(priority),
        routes: some(&may.route).map(Some),
        targets: some(&may.target).map(Some),
        networks: some(&may.network).map(Some),
        expires: may.expires.as_deref().map(end).transpose()?.map(Some),
        ..KeyPatch::default()
    };
    patch.limits.requests_per_minute = may.rpm.map(Some);
    patch.limits.tokens_per_minute = may.tpm.map(Some);
    patch.limits.concurrent = may.concurrent.map(Some);
    if !may.budget.is_empty() {
        patch.budgets = Some(budgets(&may.budget)?.into_iter().collect());
    }
    for (what, word) in may
        .allow
        .iter()
        .map(|w| (w, true))
        .chain(args.disallow.iter().map(|w| (w, false)))
    {
        match what {
            Permission::Files => patch.permissions.files = Some(word),
            Permission::Explain => patch.permissions.explain = Some(word),
            Permission::BudgetTags => patch.permissions.budget_tags = Some(word),
        }
    }
    for what in &args.clear {
        match what {
            Clearable::Owner => patch.owner = Some(None),
            Clearable::Tags => patch.tags = Some(Vec::new()),
            Clearable::Routes => patch.routes = Some(None),
            Clearable::Targets => patch.targets = Some(None),
            Clearable::Networks => patch.networks = Some(None),
            Clearable::Rpm => patch.limits.requests_per_minute = Some(None),
            Clearable::Tpm => patch.limits.tokens_per_minute = Some(None),
            Clearable::Concurrent => patch.limits.concurrent = Some(None),
            Clearable::Budgets => patch.budgets = Some(std::collections::BTreeMap::new()),
            Clearable::Expires => patch.expires = Some(None),
        }
    }
    Ok(patch)
}

fn some(texts: &[String]) -> Option<Vec<String>> {
    (!texts.is_empty()).then(|| texts.to_vec())
}

fn priority(word: PriorityWord) -> Priority {
    match word {
        PriorityWord::Low => Priority::Low,
        PriorityWord::Standard => Priority::Standard,
        PriorityWord::Critical => Priority::Critical,
    }
}

/// `daily=5/day`, or `daily={"limit_usd": 5, …}`.
fn budgets(texts: &[String]) -> Result<Map<String, Value>, CommandError> {
    let mut budgets = Map::new();
    for text in texts {
        let advice = || {
            CommandError::Usage(format!(
                "error: `{text}` is no budget: write it like `daily=5/day`, with hour, day, week or month"
            ))
        };
        let (name, written) = text.split_once('=').ok_or_else(advice)?;
        let budget = if written.trim_start().starts_with('{') {
            serde_json::from_str(written).map_err(|_| advice())?
        } else {
            let (limit, window) = written.split_once('/').ok_or_else(advice)?;
            let limit: serde_json::Number = limit.trim_start_matches('$').parse().map_err(|_| advice())?;
            let (window, zone) = match window.split_once('@') {
                Some((window, zone)) => (window, Some(zone)),
                None => (window, None),
            };
            if !["hour", "day", "week", "month"].contains(&window) {
                return Err(advice());
            }
            match zone {
                Some(zone) => json!({ "limit_usd": limit, "window": window, "timezone": zone }),
                None => json!({ "limit_usd": limit, "window": window }),
            }
        };
        budgets.insert(name.to_owned(), budget);
    }
    Ok(budgets)
}

/// `30d` from now, a day, or a time.
fn end(text: &str) -> Result<UnixMillis, CommandError> {
    const DAY_MILLIS: u64 = 24 * 3600 * 1000;
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |now| now.as_millis() as u64);
    // Days by themselves: the durations of a configuration end at a week.
    if let Some(days) = text.strip_suffix('d').and_then(|days| days.parse::<u32>().ok()) {
        return Ok(UnixMillis(now + u64::from(days) * DAY_MILLIS));
    }
    if let Ok(duration) = parse_duration(text) {
        return Ok(UnixMillis(now + duration.as_millis() as u64));
    }
    moment::parse(text)
        .or_else(|_| moment::parse(&format!("{text}T00:00:00Z")))
        .map_err(|_| {
            CommandError::Usage(format!(
                "error: `{text}` is no end: write `30d`, `2027-01-31` or `2027-01-31T12:00:00Z`"
            ))
        })
}

fn issued(key: &IssuedKey, as_json: bool) {
    if as_json {
        println!("{}", json!(key));
        return;
    }
    // Alone on standard output, so that a script can take it.
    println!("{}", key.key);
    eprintln!(
        "This is the one time that key `{}` ({}) is shown: keep it now.",
        key.details.id, key.details.name
    );
}

fn print_list(keys: &[KeyView]) {
    if keys.is_empty() {
        println!("There are no keys: `jumpseat keys create --name app` makes the first.");
        return;
    }
    let mut rows = table(["id", "name", "owner", "state", "may name", "limits", "expires"]);
    for key in keys {
        let fields = fields(key);
        let text = |name: &str| fields[name].as_str().unwrap_or("-").to_owned();
        let may = [&key.routes, &key.targets].into_iter().flatten().flatten();
        let may = may.cloned().collect::<Vec<_>>().join(" ");
        let none = key.routes.is_none() && key.targets.is_none();
        rows.add_row([
            key.id.clone(),
            key.name.clone(),
            text("owner"),
            key.state.as_str().to_owned(),
            if none { "everything".to_owned() } else { may },
            limits(&key.limits),
            text("expires"),
        ]);
    }
    println!("{}", rows.trim_fmt());
}

fn shown(key: &KeyView, as_json: bool) {
    if as_json {
        println!("{}", json!(key));
        return;
    }
    let mut rows = table(["", ""]);
    for (name, value) in fields(key).as_object().into_iter().flatten() {
        let text = match value {
            Value::Null => "-".to_owned(),
            Value::String(text) => text.clone(),
            Value::Array(items) => items.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" "),
            Value::Object(map) if name == "permissions" => {
                let granted = map
                    .iter()
                    .filter(|(_, may)| **may == Value::Bool(true))
                    .map(|(what, _)| what.as_str());
                granted.collect::<Vec<_>>().join(" ")
            }
            Value::Object(_) if name == "limits" => limits(&key.limits),
            other => other.to_string(),
        };
        rows.add_row([name.clone(), if text.is_empty() { "-".to_owned() } else { text }]);
    }
    println!("{}", rows.trim_fmt());
}

fn fields(key: &KeyView) -> Value {
    serde_json::to_value(key).unwrap_or_default()
}

fn limits(limits: &KeyLimits) -> String {
    let told = [
        limits.requests_per_minute.map(|n| format!("{n} calls/min")),
        limits.tokens_per_minute.map(|n| format!("{n} tokens/min")),
        limits.concurrent.map(|n| format!("{n} at once")),
    ];
    let told: Vec<String> = told.into_iter().flatten().collect();
    if told.is_empty() {
        "-".to_owned()
    } else {
        told.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn budgets_and_ends_are_read_as_people_write_them() {
        let read = |text: &str| budgets(&[text.to_owned()]).map(|b| Value::Object(b).to_string());
        let rows = [
            ("daily=5/day", Some(r#"{"daily":{"limit_usd":5,"window":"day"}}"#)),
            ("m=$2.50/month", Some(r#"{"m":{"limit_usd":2.50,"window":"month"}}"#)),
            (
                r#"x={"limit_usd":1,"window":"hour"}"#,
                Some(r#"{"x":{"limit_usd":1,"window":"hour"}}"#),
            ),
            (
                "z=1/day@Europe/Berlin",
                Some(r#"{"z":{"limit_usd":1,"window":"day","timezone":"Europe/Berlin"}}"#),
            ),
            ("daily", None),
            ("daily=5", None),
            ("daily=5/fortnight", None),
            ("daily=x/day", None),
        ];
        for (text, wanted) in rows {
            let wanted = wanted.map(|w| w.replace("2.50", "2.5"));
            assert_eq!(read(text).ok(), wanted, "{text}");
        }
        assert_eq!(end("2027-01-31").unwrap(), end("2027-01-31T00:00:00Z").unwrap());
        assert!(end("30d").unwrap() > end("12h").unwrap());
        assert!(end("soon").is_err());
    }
}
