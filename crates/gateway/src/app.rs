//! The one file that knows every part: builds them, starts them, and takes them down in order.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context;
use arc_swap::ArcSwap;
use secrecy::SecretString;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use crate::admin::api::texts::Texts;
use crate::admin::api::{self, ApiParts};
use crate::admin::face::AdminFace;
use crate::admin::gate::Gate;
use crate::admin::health::Health;
use crate::admin::pages::Pages;
use crate::admin::{api::state::State, token_file};
use crate::cache::Caches;
use crate::clock::Clock;
use crate::config::Loaded;
use crate::config::env::Env;
use crate::config::listen;
use crate::config::store::Durability;
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
use crate::jobs::instances::keep_name;
use crate::jobs::reload::Reloader;
use crate::jobs::retention::forget_old;
use crate::jobs::windows::begin_windows;
use crate::jobs::{learned, news, orphans};
use crate::keys::keyring::Keyring;
use crate::keys::service::KeyService;
use crate::recorder::Recorder;
use crate::recorder::forget::Forgetter;
use crate::spend::spender::Spender;
use crate::stores::Stores;
use crate::telemetry::line_writer::LineWriter;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::operations;
use crate::telemetry::otlp::{Otlp, Render};
use crate::upstream::link::Dialer;

/// A client that takes no byte of its answer for this long is cut off.
const WRITE_STALL: Duration = Duration::from_secs(120);
/// Connections at once on the data plane; at the limit new ones wait in the kernel's queue.
const CONNECTIONS_MAX: usize = 20_000;
/// Connections at once on the admin listener.
const ADMIN_CONNECTIONS_MAX: usize = 256;
/// The start waits so long for what an earlier run left in the spool to be in the store.
const SPOOL_AT_START_MAX: Duration = Duration::from_secs(10);
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
    /// What outlives a call.
    pub stores: Stores,
    /// Who may call.
    pub keys: Arc<Keyring>,
    /// The admin token that is taken where the configuration names none.
    pub admin_token: Option<SecretString>,
    /// Where the log goes instead of the configuration's place.
    pub log_sink: Option<Box<dyn std::io::Write + Send>>,
}

impl Setup {
    /// The real world: the network, the machine's clocks, the configured log.
    pub fn new(loaded: Loaded, path: Option<PathBuf>, env: Arc<dyn Env + Send + Sync>, stores: Stores) -> Setup {
        let clock = Clock::real();
        Setup {
            keys: Keyring::empty(clock),
            admin_token: None,
            stores,
            loaded,
            path,
            env,
            dialer: Dialer::net(),
            clock,
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
    /// Money and limits, and what outlives a call.
    pub spender: Arc<Spender>,
    stop: Arc<Notify>,
    drains: TaskTracker,
    clock: Clock,
    reloader: Option<Arc<Reloader>>,
    keys: Arc<Keyring>,
    stores: Stores,
    memory: Arc<Memory>,
    recorder: Recorder,
    otlp: Option<Arc<Otlp>>,
    log: Option<(LineWriter, JoinHandle<()>)>,
}

impl App {
    /// Builds every part. Nothing runs yet but the thread that writes the log.
    pub fn build(setup: Setup) -> anyhow::Result<App> {
        listen::refuse_open(&setup.loaded.config.server, setup.keys.len()).map_err(|why| anyhow::anyhow!(why))?;
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
        health.set_stores(setup.stores.clone());
        let snapshot = Snapshot::build(setup.loaded, &setup.dialer, &memory, &metrics, None)?;
        health.set_generation(snapshot.generation);
        let server = snapshot.loaded.config.server.clone();
        let admin_listen = snapshot.loaded.config.admin.listen;
        let snapshot = Arc::new(ArcSwap::from_pointee(snapshot));
        let stop = Arc::new(Notify::new());
        let bodies = BodyBudget::new(server.bodies_in_flight_max);
        let drains = TaskTracker::new();
        let config = &snapshot.load().loaded.config;
        let counts = metrics.recorder.clone();
        let instance = setup.stores.instance.as_str();
        let otlp = Otlp::new(
            &config.otlp,
            instance,
            setup.dialer.clone(),
            setup.clock,
            counts.clone(),
        )
        .map(Arc::new);
        let keeping = setup.stores.records.clone();
        let recorder = Recorder::start(
            keeping.as_ref().map(|keeping| keeping.writer.clone()),
            config.store.durability == Durability::Strict,
            otlp.clone(),
            counts,
        );
        let conversations = Conversations::new(
            server.stored_responses_max,
            keeping.clone(),
            config.record.responses_retain,
        );
        let forgetter = keeping.map(|keeping| Forgetter::new(keeping, conversations.clone()));
        let spender = Spender::new(
            setup.stores.clone(),
            setup.keys.clone(),
            setup.clock,
            metrics.spend.clone(),
        );
        let engine = Arc::new(Engine {
            recorder: recorder.clone(),
            clock: setup.clock,
            ids: CallIds::new(),
            drains: drains.clone(),
            metrics: metrics.clone(),
            call_log: call_log.clone(),
            stop: stop.clone(),
            spender: spender.clone(),
        });
        let face = Face {
            snapshot: snapshot.clone(),
            calls: CallFace {
                engine,
                bodies: bodies.clone(),
                conversations,
                caches: Caches::new(setup.stores.shared.clone(), metrics.cache.clone()),
            },
            health: health.clone(),
            keys: setup.keys.clone(),
            loopback: server.listen.ip().is_loopback(),
        };
        let pages = Arc::new(Pages {
            snapshot: snapshot.clone(),
            metrics: metrics.clone(),
            health: health.clone(),
            spender: spender.clone(),
            clock: setup.clock,
            call_log,
            bodies,
        });
        let limits = Limits {
            header_bytes: usize::try_from(server.header_max).unwrap_or(usize::MAX),
            patience: Patience {
                head: server.header_timeout,
                idle: server.idle_timeout,
                write: WRITE_STALL,
            },
            connections: CONNECTIONS_MAX,
        };
        let reloader = setup.path.map(|path| {
            Arc::new(Reloader {
                snapshot: snapshot.clone(),
                memory: memory.clone(),
                metrics: metrics.clone(),
                health: health.clone(),
                dialer: setup.dialer,
                path,
                env: setup.env,
                stores: setup.stores.clone(),
                clock: setup.clock,
                turn: Mutex::default(),
            })
        });
        let table = api::table(Some(&ApiParts {
            keys: KeyService::new(setup.keys.clone(), setup.stores.clone(), setup.clock),
            state: Arc::new(State {
                snapshot: snapshot.clone(),
                pages: pages.clone(),
                reloader: reloader.clone(),
            }),
            pages: pages.clone(),
            stores: Arc::new(setup.stores.clone()),
            texts: Arc::new(Texts {
                forgetter,
                stores: setup.stores.clone(),
                clock: setup.clock,
            }),
        }));
        let admin = AdminFace {
            table,
            gate: Gate::new(setup.admin_token.as_ref()),
            snapshot: snapshot.clone(),
            pages,
            loopback_only: admin_listen.ip().is_loopback(),
        };
        Ok(App {
            keys: setup.keys,
            stores: setup.stores,
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
            spender,
            stop,
            drains,
            clock: setup.clock,
            reloader,
            memory,
            recorder,
            otlp,
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
            spender,
            stop: last_call,
            drains,
            clock,
            reloader,
            keys,
            stores,
            memory,
            recorder,
            otlp,
            log,
            metrics,
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
        {
            let budgets = &snapshot.load_full().budgets;
            // The ledger first: counters begin with what it says, and what an earlier run left in the spool belongs to it. A store
            // that takes nothing must not keep the gateway from starting.
            if let Some(writer) = spender.stores.writer() {
                let _ = tokio::time::timeout(SPOOL_AT_START_MAX, writer.flush()).await;
            }
            orphans::settle_at_start(&spender, budgets).await;
            spender.begin_all(budgets, clock.now().wall).await;
        }
        health.set_listening();
        let mut jobs = JoinSet::new();
        jobs.spawn(check_open_targets(snapshot.clone(), spender.stores.clone(), clock));
        jobs.spawn(begin_windows(snapshot.clone(), spender.clone()));
        jobs.spawn(orphans::settle_gone(snapshot.clone(), spender.clone()));
        jobs.spawn(news::hear(snapshot.clone(), spender.stores.shared.clone(), clock));
        jobs.spawn(keys.clone().follow(spender.stores.shared.clone()));
        // While calls end, others must not think that this gateway is gone.
        let mut presence = JoinSet::new();
        presence.spawn(keep_name(spender.clone()));
        if let Some(reloader) = reloader {
            jobs.spawn(reloader.watch());
        }
        let writer = stores.records.as_ref().map(|keeping| keeping.writer.clone());
        if let Some(keeping) = &stores.records {
            learned::load(&memory, &keeping.records, clock.now()).await;
            jobs.spawn(learned::keep(memory.clone(), keeping.writer.clone(), clock));
            jobs.spawn(forget_old(
                snapshot.clone(),
                stores.clone(),
                clock,
                metrics.recorder.clone(),
            ));
        }
        let render: Arc<Render<'static>> = {
            let pages = admin.face().pages.clone();
            Arc::new(move || pages.render())
        };
        if let Some(otlp) = otlp.clone() {
            let render = render.clone();
            jobs.spawn(async move { otlp.run(&*render).await });
        }
        if keys.is_empty() && snapshot.load().loaded.config.server.auth.is_none() {
            info!(
                "There are no keys yet, so that calls from this machine need none: `jumpseat keys create --name app` makes the first"
            );
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
            if let Some(writer) = &writer {
                learned::save(&memory, writer, clock.now());
            }
            if let Some(otlp) = &otlp {
                let _ = tokio::time::timeout(LAST_WORDS, otlp.finish(&*render)).await;
            }
            recorder.flush();
            // Nobody calls any more: what they owe is written while operators still see it.
            presence.shutdown().await;
            spender.stores.close().await;
            drained.cancel();
        };
        // Operators are answered to the end: `/ready` says that it drains, and the last scrape sees the last calls.
        tokio::join!(wait, calls, admin.accept(&admin_listener, drained.cancelled()));
        let _ = tokio::time::timeout(LAST_WORDS, admin.shut_down()).await;
        // The last connection that closes leaves a database in one file.
        if let Some(keeping) = &stores.records {
            let _ = tokio::time::timeout(LAST_WORDS, keeping.records.close()).await;
        }
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

    /// Hands everything that waits to the store and the collector, as the end of the program does, for who brings its connections in
    /// by [`Server::serve_io`].
    pub async fn write_out(&self) {
        self.recorder.flush();
        if let Some(keeping) = &self.stores.records {
            learned::save(&self.memory, &keeping.writer, self.clock.now());
            keeping.writer.flush().await;
        }
        if let Some(otlp) = &self.otlp {
            otlp.finish(&|| self.render_metrics()).await;
        }
    }

    /// Takes in what was learned before, as the start of the program does.
    pub async fn read_in(&self) {
        if let Some(keeping) = &self.stores.records {
            learned::load(&self.memory, &keeping.records, self.clock.now()).await;
        }
    }

    /// Reads the configuration's file again, as SIGHUP does. Without a file nothing happens.
    pub fn reload(&self) {
        if let Some(reloader) = &self.reloader {
            // Why it was refused is in the log.
            let _ = reloader.reload();
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
        self.admin.face().pages.render()
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

/// Opens the stores that the configuration names, and reads their keys and the admin token's file.
async fn open(setup: Setup) -> anyhow::Result<Setup> {
    let stores = Stores::open(&setup.loaded.config).await?;
    let admin_token = token_file::open(&setup.loaded.config).unwrap_or_else(|error| {
        warn!("Without an admin token the admin API is shut: {error:#}");
        None
    });
    let Some(keeping) = &stores.records else {
        return Ok(Setup {
            stores,
            admin_token,
            ..setup
        });
    };
    let keys = Keyring::load(keeping.records.clone(), setup.clock).await;
    Ok(Setup {
        keys: keys.context("failed to read the keys: without them nobody can be let in")?,
        stores,
        admin_token,
        ..setup
    })
}

/// Runs a gateway until SIGTERM or SIGINT, on a runtime of its own, with the stores that its configuration names.
pub fn serve(setup: Setup) -> anyhow::Result<()> {
    // A panic's own message may quote what it stumbled over, a prompt for one: only where it was is told.
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!("A thread panicked at {place}: this is a mistake of the gateway's own");
    }));
    // 1,000 streams are 2,000 sockets: more than the usual soft limit. Where the hard limit is lower, it stays.
    let _ = rlimit::increase_nofile_limit(u64::MAX);
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    if let Some(workers) = setup.loaded.config.server.workers {
        runtime.worker_threads(workers);
    }
    let runtime = runtime.enable_all().build().context("failed to start the runtime")?;
    runtime.block_on(async {
        let app = App::build(open(setup).await?)?;
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
