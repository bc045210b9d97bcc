//! `jumpseat check`: asks every provider, with each of its credentials, whether it answers.

use std::sync::Arc;
use std::time::Instant;

use anyhow::Context;
use gateway::clock::Clock;
use gateway::fleet::memory::Memory;
use gateway::fleet::snapshot::Snapshot;
use gateway::jobs::health_check::health_check;
use gateway::telemetry::metrics::Metrics;
use gateway::upstream::link::Dialer;
use serde::Serialize;
use serde_json::json;
use tokio::task::JoinSet;
use types::outcome::{Failure, OutcomeClass};

use crate::cli::SourceArgs;
use crate::outcome::{CommandError, Ended};
use crate::source::{self, Source};
use crate::table::table;

/// One answer, or why there is none.
#[derive(Debug, Serialize)]
struct Answer {
    provider: String,
    credential: Option<String>,
    /// `success`, an outcome class, or `disabled`.
    outcome: &'static str,
    latency_ms: Option<u64>,
    detail: String,
}

/// Runs it.
pub fn run(args: &SourceArgs, as_json: bool) -> Result<Ended, CommandError> {
    let source = source::load(args.config.as_deref())?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("failed to start the runtime")?;
    let answers = runtime.block_on(ask_all(source))?;
    if as_json {
        println!("{}", json!({ "providers": answers }));
    } else {
        let mut rows = table(["provider", "credential", "outcome", "latency", ""]);
        for answer in &answers {
            rows.add_row([
                answer.provider.clone(),
                answer.credential.clone().unwrap_or("-".to_owned()),
                answer.outcome.to_owned(),
                answer.latency_ms.map_or("-".to_owned(), |ms| format!("{ms} ms")),
                answer.detail.clone(),
            ]);
        }
        println!("{}", rows.trim_fmt());
    }
    let fine = |answer: &Answer| matches!(answer.outcome, "success" | "disabled");
    Ok(if answers.iter().all(fine) {
        Ended::Fine
    } else {
        Ended::NotWell
    })
}

async fn ask_all(source: Source) -> anyhow::Result<Vec<Answer>> {
    let timeout = source.loaded.config.checks.timeout;
    let disabled: Vec<Answer> = source
        .loaded
        .topology
        .providers
        .iter()
        .filter_map(|p| {
            Some(Answer {
                provider: p.id.to_string(),
                credential: None,
                outcome: "disabled",
                latency_ms: None,
                detail: p.disabled.clone()?,
            })
        })
        .collect();
    let (memory, metrics) = (Arc::new(Memory::default()), Arc::new(Metrics::new()));
    let snapshot = Snapshot::build(source.loaded, &Dialer::net(), &memory, &metrics, None)?;
    let clock = Clock::real();
    let mut asked = JoinSet::new();
    for (position, provider) in snapshot.providers.iter().enumerate() {
        let Some(provider) = provider else { continue };
        for credential in 0..provider.credentials.len() {
            let provider = provider.clone();
            asked.spawn(async move {
                let began = Instant::now();
                let result = health_check(&provider, credential, timeout, &clock).await;
                let answer = Answer {
                    provider: provider.id.to_string(),
                    credential: Some(provider.credentials[credential].name.clone()),
                    outcome: result
                        .as_ref()
                        .map_or_else(|f| f.class, |()| OutcomeClass::Success)
                        .as_str(),
                    latency_ms: Some(u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX)),
                    detail: result.err().map(|failure| detail(&failure)).unwrap_or_default(),
                };
                ((position, credential), answer)
            });
        }
    }
    let mut answers = asked.join_all().await;
    answers.sort_by_key(|(place, _)| *place);
    Ok(answers.into_iter().map(|(_, answer)| answer).chain(disabled).collect())
}

/// What is worth telling. A provider's text about a credential may quote it, so that it stays unsaid.
fn detail(failure: &Failure) -> String {
    let status = failure.status.map(|s| format!("status {s}"));
    let message = Some(failure.message.clone()).filter(|m| failure.class != OutcomeClass::Auth && !m.is_empty());
    let code = failure.code.clone();
    let parts: Vec<String> = [status, code, message].into_iter().flatten().collect();
    let text = parts.join(", ").replace(['\n', '\r'], " ");
    match text.char_indices().nth(160) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}
