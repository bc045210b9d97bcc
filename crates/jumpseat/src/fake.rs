//! `jumpseat fake`: a fake provider, until it is interrupted.

use anyhow::Context;
use fake::{Fake, Scenario};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::FakeArgs;
use crate::outcome::{CommandError, Ended};

/// Runs it.
pub fn run(args: &FakeArgs, as_json: bool) -> Result<Ended, CommandError> {
    let scenario = match &args.scenario {
        Some(path) => {
            let wrong = |what: String| CommandError::Usage(format!("error: {}: {what}", path.display()));
            let text = std::fs::read_to_string(path).map_err(|error| wrong(format!("cannot be read: {error}")))?;
            Some(Scenario::read(&text).map_err(|error| wrong(error.to_string()))?)
        }
        None => None,
    };
    let fake = if args.bench {
        Fake::bench()
    } else {
        Fake::with_seed(args.seed)
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("failed to start the runtime")?;
    runtime.block_on(serve(fake, scenario, args, as_json))?;
    Ok(Ended::Fine)
}

async fn serve(fake: Fake, scenario: Option<Scenario>, args: &FakeArgs, as_json: bool) -> anyhow::Result<()> {
    let listener = TcpListener::bind(args.listen)
        .await
        .with_context(|| format!("failed to listen on {}", args.listen))?;
    let address = listener.local_addr()?;
    if as_json {
        println!(
            "{}",
            json!({ "listen": address.to_string(), "base_url": format!("http://{address}/v1") })
        );
    } else {
        println!("A fake provider listens on http://{address}");
        println!("  openai_chat: base_url http://{address}/v1 · anthropic_messages and gemini: http://{address}");
        println!(
            "  any key is taken; `model: anything!503` fails as told; PUT /fake/script scripts it, GET /fake/log tells"
        );
    }
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let stop = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    let served = fake.clone().serve(listener, stop);
    let played = async {
        if let Some(scenario) = scenario {
            fake.play(scenario).await;
        }
        // A scenario that is over leaves the fake as it made it.
        std::future::pending::<()>().await;
    };
    tokio::select! {
        result = served => Ok(result?),
        () = played => Ok(()),
    }
}
