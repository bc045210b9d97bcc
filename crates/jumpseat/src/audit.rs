//! `jumpseat audit`: who changed what.

use gateway::admin::api::audit::{AuditPage, Change};
use http::Method;
use serde_json::{Value, json};
use store::records::query::Page;

use crate::admin_client::AdminClient;
use crate::cli::AuditArgs;
use crate::keys::{Offline, on_a_runtime};
use crate::outcome::{CommandError, Ended};
use crate::source;
use crate::table::table;

/// Runs it.
pub fn run(args: &AuditArgs, as_json: bool) -> Result<Ended, CommandError> {
    let config = source::load_house(args.house.source.config.as_deref())?;
    let page = on_a_runtime(async {
        if !args.house.offline {
            let client = AdminClient::new(&config, args.house.admin_token.as_deref())?;
            let before = args
                .before
                .as_ref()
                .map(|id| format!("&before={id}"))
                .unwrap_or_default();
            let path = format!("/api/v1/audit?limit={}{before}", args.limit);
            if let Some(page) = client.ask(Method::GET, &path, None).await? {
                return Ok(serde_json::from_value(page).map_err(anyhow::Error::from)?);
            }
        }
        let offline = Offline::open(&config).await?;
        let page = Page {
            before: args.before.clone(),
            limit: args.limit,
        };
        let entries = offline.records.audit(page).await.map_err(anyhow::Error::from)?;
        Ok(AuditPage::of(entries, args.limit))
    })?;
    if as_json {
        println!("{}", json!(page));
        return Ok(Ended::Fine);
    }
    let mut rows = table(["when", "who", "from", "what", "object", "changes"]);
    for change in &page.entries {
        let at = serde_json::to_value(change).map_err(anyhow::Error::from)?["at"].clone();
        rows.add_row([
            at.as_str().unwrap_or_default().to_owned(),
            format!("{} ({})", change.actor, change.role),
            change.remote.clone().unwrap_or("-".to_owned()),
            change.action.clone(),
            change.object.clone(),
            changes(change),
        ]);
    }
    println!("{}", rows.trim_fmt());
    if let Some(next) = page.next {
        eprintln!("More: --before {next}");
    }
    Ok(Ended::Fine)
}

/// The fields that differ: `routes: null → ["chat"]`.
fn changes(change: &Change) -> String {
    let empty = Value::Null;
    let (before, after) = (
        change.before.as_ref().unwrap_or(&empty),
        change.after.as_ref().unwrap_or(&empty),
    );
    let Some(fields) = after.as_object().filter(|_| before.is_object()) else {
        return after["name"].as_str().unwrap_or_default().to_owned();
    };
    let differ = fields.iter().filter(|(key, now)| before[key.as_str()] != **now);
    let told = differ.map(|(key, now)| format!("{key}: {} → {now}", before[key.as_str()]));
    told.collect::<Vec<_>>().join(", ")
}
