//! `jumpseat demo`: three fake providers, the gateway and a little traffic in one process, and an outage that the calls survive.
//!
//! It opens free ports on loopback, needs no key and reaches no network. Every number it shows is read from the gateway's own
//! `/metrics` over HTTP, as an operator would read it. Read first: [`story::STORY`], then [`stage::Stage`].

mod openmetrics;
mod screen;
mod stage;
mod story;
mod summary;
mod tally;
mod traffic;

use std::pin::Pin;
use std::time::Duration;

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::DemoArgs;
use crate::demo::screen::Screen;
use crate::demo::stage::Stage;
use crate::demo::summary::Summary;
use crate::outcome::{CommandError, Ended};

/// Gateway and providers have this long to end; the gateway's own grace is 2 s.
const END_MAX: Duration = Duration::from_secs(8);

/// Runs it. Fine unless a call failed that another provider should have answered.
pub fn run(args: &DemoArgs, json: bool) -> Result<Ended, CommandError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("failed to start the runtime")?;
    let ended = runtime.block_on(play(args.once, json));
    // What did not end in time must not keep the person waiting.
    runtime.shutdown_timeout(END_MAX);
    Ok(ended?)
}

async fn play(once: bool, json: bool) -> anyhow::Result<Ended> {
    // Listened for from the start, so that Ctrl-C ends the demo in good order at any moment.
    let mut interrupted = Box::pin(interruption()?);
    let mut screen = if json { Screen::beside() } else { Screen::of_people() };
    let stage = Stage::set().await?;
    let shown = show(&stage, &mut screen, once, json, interrupted.as_mut()).await;
    tokio::time::timeout(END_MAX, stage.clear())
        .await
        .with_context(|| format!("gateway and providers did not end within {END_MAX:?}"))??;
    let (ended, interrupted) = shown?;
    if interrupted {
        screen.line("\nEnded: providers and gateway are stopped.")?;
    }
    Ok(ended)
}

/// The story, its summary and, unless it is told once, an open house until the interruption. Also says whether it was interrupted.
async fn show(
    stage: &Stage,
    screen: &mut Screen,
    once: bool,
    json: bool,
    mut interrupted: Pin<&mut impl Future<Output = ()>>,
) -> anyhow::Result<(Ended, bool)> {
    screen.opening(stage, once)?;
    let summary: Summary = tokio::select! {
        biased;
        () = &mut interrupted => {
            anyhow::ensure!(!once, "the story was interrupted before its end");
            return Ok((Ended::Fine, true));
        }
        told = story::tell(stage, screen) => told?,
    };
    screen.summary(&summary)?;
    if json {
        screen::print_json(&summary.to_json(stage))?;
    }
    let ended = if summary.is_well() { Ended::Fine } else { Ended::NotWell };
    if once {
        return Ok((ended, false));
    }
    screen.open_house(stage)?;
    interrupted.await;
    Ok((ended, true))
}

/// Ready at SIGINT or SIGTERM.
fn interruption() -> anyhow::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate()).context("failed to listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("failed to listen for SIGINT")?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
