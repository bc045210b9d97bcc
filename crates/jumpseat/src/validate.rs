//! `jumpseat validate`: errors with their place, then what is doubtful.

use gateway::config::listen;
use gateway::config::server::Server;
use serde_json::json;

use crate::cli::ValidateArgs;
use crate::outcome::{CommandError, Ended};
use crate::source;

/// Runs it.
pub fn run(args: &ValidateArgs, as_json: bool) -> Result<Ended, CommandError> {
    let source = match source::load(args.file.as_deref()) {
        Ok(source) => source,
        Err(CommandError::Config { file, errors }) if as_json => {
            let told = json!({ "valid": false, "file": file, "errors": errors.errors, "warnings": errors.warnings });
            println!("{told}");
            return Ok(Ended::Unsound);
        }
        Err(error) => return Err(error),
    };
    let (loaded, file) = (&source.loaded, source.name());
    let valid = !args.strict || loaded.warnings.is_empty();
    let (providers, routes) = (&loaded.topology.providers, loaded.topology.routes.len());
    let notes: Vec<String> = note(&loaded.config.server).into_iter().collect();
    let enabled = providers.iter().filter(|p| p.enabled).count();
    if as_json {
        let told = json!({
            "valid": valid,
            "file": file,
            "errors": [],
            "warnings": loaded.warnings,
            "notes": notes,
            "providers": providers.len(),
            "providers_enabled": enabled,
            "routes": routes,
        });
        println!("{told}");
    } else {
        source.warn();
        for note in notes {
            eprintln!("note: {file}: {note}");
        }
        let word = if valid { "sound" } else { "doubtful" };
        println!(
            "{file}: {word}: {enabled} of {} enabled, {}",
            count(providers.len(), "provider"),
            count(routes, "route")
        );
    }
    Ok(if valid { Ended::Fine } else { Ended::Unsound })
}

/// What only the store can tell: it is neither sound nor doubtful by itself.
fn note(server: &Server) -> Option<String> {
    listen::needs_keys(server).then(|| {
        format!(
            "server.listen: `{}` is not loopback: the gateway starts there only when there are keys (`jumpseat keys create --name \
             app`) or with `auth: none`",
            server.listen
        )
    })
}

fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}
