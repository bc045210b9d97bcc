//! The stage: three fake providers and a gateway on free loopback ports, in this process, and their orderly end.

use std::fs::{File, OpenOptions};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow};
use fake::{Behaviour, Fake};
use gateway::app::{Addresses, App, Setup};
use gateway::config;
use gateway::config::env::MapEnv;
use gateway::stores::Stores;
use tokio::net::TcpListener;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

/// The route that the traffic asks for.
pub const ROUTE: &str = "chat";
/// Targets in the order of the tiers.
pub const TARGETS: [&str; 3] = ["primary/alpha", "second/beta", "third/gamma"];
/// Their dialects.
pub const DIALECTS: [&str; 3] = ["openai_chat", "anthropic_messages", "gemini"];
/// How each answers when it is well: slower from one to the next, each within another bucket of the histograms, so that p95 tells
/// them apart.
const MOODS: [&str; 3] = [
    r#"{ "first_token": {"p50": "30ms", "p95": "40ms"}, "interval": "1ms", "tokens": 20 }"#,
    r#"{ "first_token": {"p50": "80ms", "p95": "110ms"}, "interval": "2ms", "tokens": 20 }"#,
    r#"{ "first_token": {"p50": "200ms", "p95": "280ms"}, "interval": "4ms", "tokens": 20 }"#,
];
/// The gateway has this long to listen.
const START_MAX: Duration = Duration::from_secs(10);
/// Names tried for the log's file before giving up.
const LOG_NAMES_MAX: u32 = 100;

/// Everything that runs during the demo.
pub struct Stage {
    /// Where the gateway listens.
    pub gateway: Addresses,
    /// Where the fakes listen, in the order of the tiers.
    pub providers: [SocketAddr; 3],
    /// Where the gateway's log is.
    pub log: PathBuf,
    fakes: [Fake; 3],
    /// Sent in this order: the gateway ends before those it calls.
    stop_gateway: watch::Sender<bool>,
    stop_fakes: watch::Sender<bool>,
    gateway_task: JoinHandle<anyhow::Result<()>>,
    fake_tasks: Vec<JoinHandle<std::io::Result<()>>>,
}

impl Stage {
    /// Starts the fakes, then the gateway, and returns when it listens.
    pub async fn set() -> anyhow::Result<Stage> {
        let (stop_fakes, fakes_stop) = watch::channel(false);
        let fakes = [1, 2, 3].map(Fake::with_seed);
        let mut providers = [SocketAddr::from(([127, 0, 0, 1], 0)); 3];
        let mut fake_tasks = Vec::new();
        for (fake, address) in fakes.iter().zip(&mut providers) {
            let listener = TcpListener::bind(*address)
                .await
                .context("failed to listen on a free port of 127.0.0.1")?;
            *address = listener.local_addr()?;
            // Owned by the stage, which awaits it in `clear`.
            fake_tasks.push(tokio::spawn(fake.clone().serve(listener, told(fakes_stop.clone()))));
        }

        let env = MapEnv::default();
        let loaded =
            config::load(&configuration(providers), &env).map_err(|e| anyhow!("the demo's configuration: {e}"))?;
        let (log, file) = open_log()?;
        let app = App::build(Setup {
            log_sink: Some(Box::new(file)),
            ..Setup::new(loaded, None, Arc::new(env), Stores::none())
        })?;
        let (stop_gateway, gateway_stop) = watch::channel(false);
        let (started, listening) = oneshot::channel();
        let gateway_task = tokio::spawn(app.serve(told(gateway_stop), move |addresses| {
            // Nobody waits any more only when the start was given up.
            let _ = started.send(addresses);
        }));
        let gateway = match tokio::time::timeout(START_MAX, listening).await {
            Ok(Ok(addresses)) => addresses,
            Ok(Err(_)) => {
                gateway_task.await??;
                return Err(anyhow!("the gateway ended before it listened"));
            }
            Err(_) => return Err(anyhow!("the gateway does not listen after {START_MAX:?}")),
        };
        let stage = Stage {
            gateway,
            providers,
            log,
            fakes,
            stop_gateway,
            stop_fakes,
            gateway_task,
            fake_tasks,
        };
        for tier in 0..TARGETS.len() {
            stage.mend(tier);
        }
        Ok(stage)
    }

    /// From now on a provider, counted from 0, behaves so: a name or JSON, as in docs/fake.md.
    pub fn afflict(&self, tier: usize, behaviour: &str) {
        let behaviour = if behaviour.starts_with('{') {
            Behaviour::from_json(behaviour).expect("the story's behaviours are sound")
        } else {
            Behaviour::named(behaviour)
        };
        self.fakes[tier].script().always("*", behaviour);
    }

    /// A provider is well again.
    pub fn mend(&self, tier: usize) {
        self.afflict(tier, MOODS[tier]);
    }

    /// Stops the gateway, then the fakes, and waits for their ends.
    pub async fn clear(self) -> anyhow::Result<()> {
        self.stop_gateway.send_replace(true);
        let gateway = self.gateway_task.await;
        self.stop_fakes.send_replace(true);
        for task in self.fake_tasks {
            task.await??;
        }
        gateway?
    }
}

async fn told(mut stop: watch::Receiver<bool>) {
    // An error says that the stage is gone, which is the same.
    let _ = stop.wait_for(|stop| *stop).await;
}

/// The gateway's configuration; durations are seconds where people would write half a minute.
fn configuration([primary, second, third]: [SocketAddr; 3]) -> String {
    let ([a, b, c], [x, y, z]) = (DIALECTS, TARGETS);
    format!(
        r#"
server: {{ listen: "127.0.0.1:0", shutdown_grace: 2s }}
admin:  {{ listen: "127.0.0.1:0" }}
breaker: {{ consecutive: 3, within: 10s, window: 2s, ratio_from: 30, open: 2s, open_max: 4s }}
checks: {{ interval: 1s, timeout: 500ms }}
providers:
  primary: {{ dialect: {a}, base_url: "http://{primary}/v1", api_key: demo }}
  second:  {{ dialect: {b}, base_url: "http://{second}", api_key: demo }}
  third:   {{ dialect: {c}, base_url: "http://{third}", api_key: demo }}
routes:
  {ROUTE}:
    deadline: 20s
    backoff: {{ base: 100ms }}
    tiers:
      - {{ targets: [{x}], timeouts: {{ first_token: 800ms, total: 1500ms }} }}
      - {{ targets: [{y}], timeouts: {{ total: 5s }} }}
      - {{ targets: [{z}] }}
"#
    )
}

/// A new file in the folder for temporary ones, readable by its owner alone.
fn open_log() -> anyhow::Result<(PathBuf, File)> {
    let folder = std::env::temp_dir();
    for number in 0..LOG_NAMES_MAX {
        let path = folder.join(format!("jumpseat-demo-{}-{number}.log", std::process::id()));
        // Never a file that is there already: in a folder that everybody writes to it may be anybody's link.
        match OpenOptions::new().append(true).create_new(true).mode(0o600).open(&path) {
            Ok(file) => return Ok((path, file)),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error).with_context(|| format!("failed to write the log {}", path.display())),
        }
    }
    Err(anyhow!(
        "failed to find a free name for the log in {}",
        folder.display()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_is_sound_and_without_a_doubt() {
        let text = configuration([SocketAddr::from(([127, 0, 0, 1], 9)); 3]);
        let loaded = config::load(&text, &MapEnv::default()).unwrap();
        assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
    }

    #[test]
    fn every_mood_is_a_behaviour() {
        for mood in MOODS {
            Behaviour::from_json(mood).unwrap();
        }
    }
}
