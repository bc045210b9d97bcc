//! The one file that knows every part: builds them, starts them, and takes them down in order.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context;
use arc_swap::ArcSwap;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use crate::admin::face::AdminFace;
use crate::admin::health::Health;
use crate::clock::Clock;
use crate::config::Loaded;
use crate::config::env::Env;
use crate::conversations::Conversations;
use crate::engine::call_ids::CallIds;
use crate::engine::run::Engine;
use crate::fleet::memory::Memory;
use crate::fleet::snapshot::Snapshot;
use crate::ingress::bodies::BodyBudget;
use crate::ingress::call::CallFace;
use crate::ingress::face::Face;
use crate::ingress::guard::Patience;
use crate::ingress::server::{Limits, Server};
use crate::jobs::health_check::check_open_targets;
use crate::jobs::reload::Reloader;
use crate::telemetry::line_writer::LineWriter;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::operations;
use crate::upstream::link::Dialer;

/// A client that takes no byte of its answer for this long is cut off.
const WRITE_STALL: Duration = Duration::from_secs(120);
/// Connections at once on the data plane; at the limit new ones wait in the kernel's queue.
const CONNECTIONS_MAX: usize = 20_000;
/// Connections at once on the admin listener.
const ADMIN_CONNECTIONS_MAX: usize = 256;
/// Calls that outlive the grace period have this long to write their error event.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// What to start.
pub struct Setup {
    /// The configuration.
    pub loaded: Loaded,
    /// Its file, to be watched for changes.
    pub path: Option<PathBuf>,
    /// Where `${NAME}` comes from, at a reload too.
    pub env: Arc<dyn Env + Send + Sync>,
    /// Where connections to providers come from.
    pub dialer: Dialer,
    /// The time.
    pub clock: Clock,
    /// Where the log goes instead of the configuration's place.
    pub log_sink: Option<Box<dyn std::io::Write + Send>>,
}

impl Setup {
    /// The real world: the network, the machine's clocks, the configured log.
    pub fn new(loaded: Loaded, path: Option<PathBuf>, env: Arc<dyn Env + Send + Sync>) -> Setup {
        Setup {
            loaded,
            path,
            env,
            dialer: Dialer::net(),
            clock: Clock::real(),
            log_sink: None,
        }
    }
}

/// The parts of a gateway, without its sockets.
pub struct App {
    /// Accepts calls.
    pub data: Server<Face>,
    /// Accepts operators.
    pub admin: Server<AdminFace>,
    /// The configuration in force.
    pub snapshot: Arc<ArcSwap<Snapshot>>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    health: Arc<Health>,
    stop: Arc<Notify>,
    drains: TaskTracker,
    clock: Clock,
    reloader: Option<Reloader>,
    log: Option<(LineWriter, JoinHandle<()>)>,
}

impl App {
    /// Builds every part. Nothing runs yet but the thread that writes the log.
    pub fn build(setup: Setup) -> anyhow::Result<App> {
        let log_config = setup.loaded.config.log.clone();
        let sink = match setup.log_sink {
            Some(sink) => sink,
            None => operations::sink(&log_config)?,
        };
        let (writer, thread) = LineWriter::start(sink);
        operations::install(&log_config, writer.clone());
        let call_log = log_config.calls.then(|| writer.clone());

        let (memory, metrics, health) = (
            Arc::new(Memory::default()),
            Arc::new(Metrics::new()),
            Arc::new(Health::default()),
        );
        let snapshot = Snapshot::build(setup.loaded, &setup.dialer, &memory, &metrics, None)?;
        health.set_generation(snapshot.generation);
        let server = snapshot.loaded.config.server.clone();
        let admin_listen = snapshot.loaded.config.admin.listen;
        let snapshot = Arc::new(ArcSwap::from_pointee(snapshot));
        let stop = Arc::new(Notify::new());
        let bodies = BodyBudget::new(server.bodies_in_flight_max);
        let drains = TaskTracker::new();
        let engine = Arc::new(Engine {
            clock: setup.clock,
            ids: CallIds::new(),
            drains: drains.clone(),
            metrics: metrics.clone(),
            call_log: call_log.clone(),
            stop: stop.clone(),
        });
        let face = Face {
            snapshot: snapshot.clone(),
            calls: CallFace {
                engine,
                bodies: bodies.clone(),
                conversations: Conversations::new(server.stored_responses_max),
            },
            health: health.clone(),
        };
        let admin = AdminFace {
            snapshot: snapshot.clone(),
            metrics: metrics.clone(),
            health: health.clone(),
            clock: setup.clock,
            call_log,
            bodies,
            loopback_only: admin_listen.ip().is_loopback(),
        };
        let limits = Limits {
            header_bytes: usize::try_from(server.header_max).unwrap_or(usize::MAX),
            patience: Patience {
                head: server.header_timeout,
                idle: server.idle_timeout,
                write: WRITE_STALL,
            },
            connections: CONNECTIONS_MAX,
        };
        let reloader = setup.path.map(|path| Reloader {
            snapshot: snapshot.clone(),
            memory,
            metrics: metrics.clone(),
            health: health.clone(),
            dialer: setup.dialer,
            path,
            env: setup.env,
        });
        Ok(App {
            data: Server::new(Arc::new(face), limits),
            admin: Server::new(
                Arc::new(admin),
                Limits {
                    connections: ADMIN_CONNECTIONS_MAX,
                    ..limits
                },
            ),
            snapshot,
            metrics,
            health,
            stop,
            drains,
            clock: setup.clock,
            reloader,
            log: Some((writer, thread)),
        })
    }

    /// Opens the listeners and serves until `stop` resolves; then drains and returns.
    pub async fn serve(self, stop: impl Future<Output = ()>, started: impl FnOnce(Addresses)) -> anyhow::Result<()> {
        let App {
            data,
            admin,
            snapshot,
            health,
            stop: last_call,
            drains,
            clock,
            reloader,
            log,
            ..
        } = self;
        let (data_listen, admin_listen) = {
            let config = &snapshot.load().loaded.config;
            (config.server.listen, config.admin.listen)
        };
        let data_listener = bind(data_listen, "server.listen").await?;
        let admin_listener = bind(admin_listen, "admin.listen").await?;
        let addresses = Addresses {
            data: data_listener.local_addr()?,
            admin: admin_listener.local_addr()?,
        };
        health.set_listening();
        let mut jobs = JoinSet::new();
        jobs.spawn(check_open_targets(snapshot.clone(), clock));
        if let Some(reloader) = reloader {
            jobs.spawn(reloader.watch());
        }
        started(addresses);

        let (stopping, drained) = (CancellationToken::new(), CancellationToken::new());
        let wait = async {
            stop.await;
            stopping.cancel();
        };
        let calls = async {
            data.accept(&data_listener, stopping.cancelled()).await;
            health.set_draining();
            // Closed before the draining, so that new connections are refused and go to another instance.
            drop(data_listener);
            jobs.shutdown().await;
            let grace = snapshot.load().loaded.config.server.shutdown_grace;
            drain(data, &last_call, grace).await;
            drains.close();
            let _ = tokio::time::timeout(LAST_WORDS, drains.wait()).await;
            drained.cancel();
        };
        // Operators are answered to the end: `/ready` says that it drains, and the last scrape sees the last calls.
        tokio::join!(wait, calls, admin.accept(&admin_listener, drained.cancelled()));
        let _ = tokio::time::timeout(LAST_WORDS, admin.shut_down()).await;
        if let Some((writer, _thread)) = log {
            writer.flush();
        }
        Ok(())
    }
}

impl App {
    /// Returns when every line queued so far is written.
    pub fn flush_log(&self) {
        if let Some((writer, _)) = &self.log {
            writer.flush();
        }
    }

    /// Reads the configuration's file again, as SIGHUP does. Without a file nothing happens.
    pub fn reload(&self) {
        if let Some(reloader) = &self.reloader {
            reloader.reload();
        }
    }

    /// Ends the data plane as SIGTERM does, for who brings its connections in by [`Server::serve_io`].
    pub async fn drain(self) {
        self.health.set_draining();
        let grace = self.snapshot.load().loaded.config.server.shutdown_grace;
        drain(self.data, &self.stop, grace).await;
    }

    /// What `/metrics` shows.
    pub fn render_metrics(&self) -> String {
        self.admin.face().render()
    }
}

/// Where a gateway listens.
#[derive(Debug, Clone, Copy)]
pub struct Addresses {
    /// For callers.
    pub data: SocketAddr,
    /// For operators.
    pub admin: SocketAddr,
}

/// Lets calls under way end within `grace`; those that do not end with an error.
async fn drain(data: Server<Face>, last_call: &Notify, grace: Duration) {
    info!("Draining: calls under way have {grace:?} to end");
    let drained = data.shut_down();
    tokio::pin!(drained);
    if tokio::time::timeout(grace, &mut drained).await.is_err() {
        warn!("Calls still under way after {grace:?} end with an error");
        last_call.notify_waiters();
        let _ = tokio::time::timeout(LAST_WORDS, drained).await;
    }
}

async fn bind(address: SocketAddr, key: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("failed to listen on {address} (`{key}`)"))
}

/// Runs a gateway until SIGTERM or SIGINT, on a runtime of its own.
pub fn serve(setup: Setup) -> anyhow::Result<()> {
    // 1,000 streams are 2,000 sockets: more than the usual soft limit. Where the hard limit is lower, it stays.
    let _ = rlimit::increase_nofile_limit(u64::MAX);
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    if let Some(workers) = setup.loaded.config.server.workers {
        runtime.worker_threads(workers);
    }
    let runtime = runtime.enable_all().build().context("failed to start the runtime")?;
    runtime.block_on(async {
        let app = App::build(setup)?;
        let routes = app.snapshot.load().routes.len();
        let mut terminate = signal(SignalKind::terminate()).context("failed to listen for SIGTERM")?;
        let mut interrupt = signal(SignalKind::interrupt()).context("failed to listen for SIGINT")?;
        let (first, again) = (CancellationToken::new(), CancellationToken::new());
        let signals = async {
            for asked in [&first, &again] {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
                asked.cancel();
            }
            std::future::pending::<()>().await;
        };
        let serving = app.serve(first.cancelled(), |at| {
            info!(listen = %at.data, admin = %at.admin, routes, "Listening on http://{} (admin http://{})", at.data, at.admin);
        });
        tokio::select! {
            served = serving => served,
            // Who asks twice does not want to wait for the drain.
            () = again.cancelled() => Ok(()),
            () = signals => unreachable!("signals are listened for until the end"),
        }
    })
}
