//! `jumpseat store`: looks at the records' store, and copies it while it is in use.

use serde_json::json;
use store::records::Records;
use store::records::address::shown;

use crate::cli::{StoreArgs, StoreCommand};
use crate::keys::on_a_runtime;
use crate::outcome::{CommandError, Ended};
use crate::source;

/// Runs it.
pub fn run(args: &StoreArgs, as_json: bool) -> Result<Ended, CommandError> {
    let config = source::load_house(args.source.config.as_deref())?;
    let url = shown(&config.store.url);
    on_a_runtime(async {
        let records = Records::open(&config.store.url).await.map_err(anyhow::Error::from)?;
        match &args.command {
            StoreCommand::Check => records.check().await.map_err(anyhow::Error::from)?,
            StoreCommand::Backup { to } => records.back_up(to).await.map_err(anyhow::Error::from)?,
        }
        Ok(())
    })?;
    let told = match &args.command {
        StoreCommand::Check => format!("{url}: its schema is the newest, and it takes writes"),
        StoreCommand::Backup { to } => format!("{url} is copied to {}", to.display()),
    };
    if as_json {
        println!("{}", json!({ "store": url, "done": told }));
    } else {
        println!("{told}");
    }
    Ok(Ended::Fine)
}
