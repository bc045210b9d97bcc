//! `jumpseat explain`: who would serve a call, in which order, and why others would not.
//!
//! The plan is the policy's own, made for targets that are all well: what a gateway knows of breakers and rests just now is
//! its own, and its admin listener tells it.

use std::io::Read;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use gateway::config::topology::{Resolution, RouteSpec, Topology};
use gateway::config::units::write_duration;
use http::HeaderMap;
use policy::call::facts::CallFacts;
use policy::plan::Plan;
use policy::rng::Rng;
use policy::target::{DomainIx, TargetFacts};
use policy::view::{Admission, TargetStatus, TargetsView};
use serde::Serialize;
use serde_json::json;
use types::dialect::{IngressDialect, Operation};
use types::ids::{CredentialIx, TargetIx};
use types::time::Now;
use wire::head::Head;
use wire::request::BadRequest;
use wire::server::{self, Asked};

use crate::cli::ExplainArgs;
use crate::outcome::{CommandError, Ended};
use crate::source;
use crate::table::table;

/// The weighted order is by chance; the same command prints the same plan.
const SEED: u64 = 1;

/// What would happen to a call.
#[derive(Debug, Serialize)]
struct Explanation {
    model: String,
    route: String,
    deadline: String,
    stream_max: String,
    attempts_max: u32,
    targets: Vec<PlannedTarget>,
    left_out: Vec<NotTried>,
}

#[derive(Debug, Serialize)]
struct PlannedTarget {
    tier: u32,
    target: String,
    weight: u32,
    model_tier: Option<&'static str>,
    context_window: Option<u64>,
    connect: String,
    first_token: String,
    idle: String,
    total: Option<String>,
    /// What it lacks and would be asked for in words.
    degraded: Vec<&'static str>,
}

#[derive(Debug, Serialize)]
struct NotTried {
    tier: u32,
    target: String,
    reason: String,
}

/// Runs it.
pub fn run(args: &ExplainArgs, as_json: bool) -> Result<Ended, CommandError> {
    let source = source::load(args.source.config.as_deref())?;
    let request = args.request.as_deref().map(read).transpose()?;
    let (mut facts, asked) = match &request {
        Some(body) => {
            let head = read_question(body)
                .map_err(|bad| CommandError::Usage(format!("error: the request: {}", bad.message)))?;
            let facts = CallFacts {
                stream: head.stream,
                features: head.features,
                prompt_chars: head.prompt_chars,
                prompt_tokens_estimate: head.prompt_chars.div_ceil(4),
                max_output_tokens: head.max_output_tokens,
                ..CallFacts::default()
            };
            (facts, head.model)
        }
        None => (CallFacts::default(), String::new()),
    };
    let model = args.model.clone().unwrap_or(asked);
    let topology = &source.loaded.topology;
    let route = match topology.resolve(&model) {
        Resolution::Route(index) => topology.routes[index].clone(),
        Resolution::Direct(route) => {
            facts.named_target = true;
            route
        }
        Resolution::Unknown { nearest } => {
            unknown(&model, topology, &nearest, as_json);
            return Ok(Ended::NotWell);
        }
    };
    let explanation = explain(&model, &route, &facts);
    if as_json {
        println!("{}", json!(explanation));
    } else {
        print(&explanation);
    }
    Ok(if explanation.targets.is_empty() {
        Ended::NotWell
    } else {
        Ended::Fine
    })
}

/// A body of whichever dialect it is of: each knows its own by what it must have.
fn read_question(body: &Bytes) -> Result<Head, BadRequest> {
    let headers = HeaderMap::new();
    let asked = Asked {
        body,
        headers: &headers,
        path_model: None,
        path_stream: false,
        operation: Operation::Generate,
    };
    let has = |name: &str| serde_json::from_slice::<serde_json::Value>(body).is_ok_and(|b| b.get(name).is_some());
    let dialect = if has("input") {
        IngressDialect::OpenaiResponses
    } else if has("contents") {
        IngressDialect::Gemini
    } else {
        // Anthropic's messages differ in what this command does not look at.
        IngressDialect::OpenaiChat
    };
    server::read_head(dialect, asked)
}

fn read(path: &Path) -> anyhow::Result<Bytes> {
    if path == Path::new("-") {
        let mut body = Vec::new();
        std::io::stdin()
            .read_to_end(&mut body)
            .context("failed to read standard input")?;
        return Ok(body.into());
    }
    let body = std::fs::read(path).with_context(|| format!("failed to read {}", path.display()))?;
    Ok(body.into())
}

fn unknown(model: &str, topology: &Topology, nearest: &[String], as_json: bool) {
    let provider = model.split_once('/').and_then(|(name, _)| topology.provider(name));
    let disabled = provider.and_then(|p| Some(format!("provider `{}` is disabled: {}", p.id, p.disabled.as_ref()?)));
    if as_json {
        println!(
            "{}",
            json!({ "model": model, "route": null, "nearest": nearest, "reason": disabled })
        );
        return;
    }
    eprintln!(
        "`{model}` leads nowhere: it is no route, no route's `models`, no `provider/model` and no name the catalog knows"
    );
    if let Some(reason) = disabled {
        eprintln!("{reason}");
    }
    if !nearest.is_empty() {
        eprintln!("near to it: {}", nearest.join(", "));
    }
}

fn explain(model: &str, route: &RouteSpec, facts: &CallFacts) -> Explanation {
    let policy = &route.policy;
    let plan = Plan::new(policy, facts, &mut Rng::new(SEED), &AllWell(route), Now::default());
    let spec = |target: TargetIx| &route.targets[target.0 as usize];
    let targets = plan
        .candidates
        .iter()
        .map(|candidate| {
            let facts = &spec(candidate.target).facts;
            let timeouts = &policy.tiers[candidate.tier as usize].timeouts;
            PlannedTarget {
                tier: candidate.tier + 1,
                target: facts.id.to_string(),
                weight: candidate.weight,
                model_tier: facts.model_tier.map(|t| t.as_str()),
                context_window: facts.context_window,
                connect: write_duration(timeouts.connect),
                first_token: write_duration(timeouts.first_token(facts.reasoning)),
                idle: write_duration(timeouts.idle),
                total: timeouts.total.map(write_duration),
                degraded: candidate.degraded.words().collect(),
            }
        })
        .collect();
    let unfit = plan.left_out.iter().map(|left| NotTried {
        tier: left.tier + 1,
        target: spec(left.target).facts.id.to_string(),
        reason: left.reason.to_string(),
    });
    let disabled = route.left_out.iter().map(|left| NotTried {
        tier: left.tier + 1,
        target: left.target.to_string(),
        reason: left.reason.clone(),
    });
    Explanation {
        model: model.to_owned(),
        route: policy.name.to_string(),
        deadline: write_duration(deadline(policy.deadline, facts)),
        stream_max: write_duration(policy.stream_max),
        attempts_max: policy.attempts_max,
        targets,
        left_out: unfit.chain(disabled).collect(),
    }
}

fn deadline(route: Duration, facts: &CallFacts) -> Duration {
    facts.deadline.map_or(route, |asked| asked.min(route))
}

fn print(explanation: &Explanation) {
    let Explanation {
        model,
        route,
        deadline,
        attempts_max,
        ..
    } = explanation;
    println!("`{model}` takes route `{route}`: at most {attempts_max} attempts within {deadline}");
    if explanation.targets.is_empty() {
        println!("Nobody can serve it.");
    } else {
        let mut rows = table([
            "tier",
            "target",
            "weight",
            "model tier",
            "window",
            "first token",
            "idle",
            "total",
        ]);
        for target in &explanation.targets {
            rows.add_row([
                target.tier.to_string(),
                target.target.clone(),
                target.weight.to_string(),
                target.model_tier.unwrap_or("-").to_owned(),
                target.context_window.map_or("-".to_owned(), |w| w.to_string()),
                target.first_token.clone(),
                target.idle.clone(),
                target.total.clone().unwrap_or("-".to_owned()),
            ]);
        }
        println!("{}", rows.trim_fmt());
    }
    for target in explanation.targets.iter().filter(|t| !t.degraded.is_empty()) {
        let words = target.degraded.join(", ");
        println!("{} would be asked in words for: {words}", target.target);
    }
    for left in &explanation.left_out {
        println!("left out of tier {}: {}: {}", left.tier, left.target, left.reason);
    }
}

/// Targets with closed breakers, no rests, nothing in flight.
struct AllWell<'a>(&'a RouteSpec);

impl TargetsView for AllWell<'_> {
    fn facts(&self, target: TargetIx) -> &TargetFacts {
        &self.0.targets[target.0 as usize].facts
    }

    fn status(&self, _target: TargetIx, _now: Now) -> TargetStatus {
        TargetStatus {
            admission: Admission::Ready,
            in_flight: 0,
            credential: Some(CredentialIx(0)),
            probation: false,
            no_headroom: false,
        }
    }

    fn retry_allowed(&self, _now: Now) -> bool {
        true
    }

    fn troubled_domain(&self, _domain: DomainIx) -> bool {
        false
    }
}
