//! One way to Redis: connected, at the node that holds our keys, with our scripts loaded. When it breaks it is not mended but
//! replaced: only so is it known what was sent on it.
//!
//! Two connections: a cached answer of some megabytes must not delay an admission.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, Cmd, ConnectionAddr, RedisError, Value, cmd};
use tokio_util::sync::CancellationToken;

use crate::shared::redis::url::Address;

/// How long to wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// How often a cluster may send us on.
const MOVES_MAX: usize = 3;

/// The scripts, by their place in [`SOURCES`].
#[derive(Debug, Clone, Copy)]
pub(crate) enum Script {
    Admit,
    Flush,
    Hello,
    Merge,
    Places,
    Tick,
    Release,
    Lease,
}

macro_rules! script {
    ($file:literal) => {
        concat!(include_str!("lua/prelude.lua"), include_str!(concat!("lua/", $file)))
    };
}

const SOURCES: [&str; 8] = [
    script!("admit.lua"),
    script!("flush.lua"),
    script!("hello.lua"),
    script!("merge.lua"),
    script!("places.lua"),
    script!("tick.lua"),
    script!("release.lua"),
    script!("lease.lua"),
];

/// The way.
pub(crate) struct Link {
    calls: MultiplexedConnection,
    bulk: MultiplexedConnection,
    hashes: Vec<String>,
    /// What is sent on it carries this number.
    pub(crate) epoch: u64,
    /// It is given up: whoever waits for it waits no longer.
    pub(crate) broken: CancellationToken,
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link")
            .field("epoch", &self.epoch)
            .finish_non_exhaustive()
    }
}

impl Link {
    /// Connects, follows a cluster to the node of our keys, and loads the scripts.
    pub(crate) async fn connect(address: &Address, epoch: u64) -> Result<Link, RedisError> {
        let mut client = address.client.clone();
        let mut calls = connection(&client).await?;
        for _ in 0..MOVES_MAX {
            let probe: Result<Value, RedisError> = cmd("GET")
                .arg(format!("{}:probe", address.prefix))
                .query_async(&mut calls)
                .await;
            match probe {
                Ok(_) => break,
                Err(error) => {
                    let Some((host, port)) = error.redirect_node().and_then(|(node, _)| node.rsplit_once(':')) else {
                        return Err(error);
                    };
                    client = moved(&client, host, port.parse().unwrap_or(6379))?;
                    calls = connection(&client).await?;
                }
            }
        }
        let bulk = connection(&client).await?;
        let mut hashes = Vec::with_capacity(SOURCES.len());
        for source in SOURCES {
            hashes.push(cmd("SCRIPT").arg("LOAD").arg(source).query_async(&mut calls).await?);
        }
        Ok(Link {
            calls,
            bulk,
            hashes,
            epoch,
            broken: CancellationToken::new(),
        })
    }

    /// Runs a script. One that the server has forgotten is sent whole.
    pub(crate) async fn run(&self, script: Script, keys: &[String], args: &[String]) -> Result<Value, RedisError> {
        let mut connection = self.calls.clone();
        let hash = &self.hashes[script as usize];
        let answer = call("EVALSHA", hash, keys, args).query_async(&mut connection).await;
        match answer {
            Err(error) if error.code() == Some("NOSCRIPT") => {
                call("EVAL", SOURCES[script as usize], keys, args)
                    .query_async(&mut connection)
                    .await
            }
            answer => answer,
        }
    }

    /// Asks something short.
    pub(crate) async fn ask(&self, command: &Cmd) -> Result<Value, RedisError> {
        command.query_async(&mut self.calls.clone()).await
    }

    /// Asks something that may be large.
    pub(crate) async fn ask_bulk(&self, commands: &redis::Pipeline) -> Result<Value, RedisError> {
        commands.query_async(&mut self.bulk.clone()).await
    }
}

fn call(how: &str, script: &str, keys: &[String], args: &[String]) -> Cmd {
    let mut command = cmd(how);
    command.arg(script).arg(keys.len()).arg(keys).arg(args);
    command
}

async fn connection(client: &Client) -> Result<MultiplexedConnection, RedisError> {
    // Who asks has a limit of its own for how long it waits.
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(CONNECT_TIMEOUT))
        .set_response_timeout(Some(CONNECT_TIMEOUT));
    client.get_multiplexed_async_connection_with_config(&config).await
}

/// The same server's other node.
fn moved(client: &Client, host: &str, port: u16) -> Result<Client, RedisError> {
    let info = client.get_connection_info().clone();
    let address = match info.addr().clone() {
        ConnectionAddr::TcpTls {
            insecure, tls_params, ..
        } => ConnectionAddr::TcpTls {
            host: host.to_owned(),
            port,
            insecure,
            tls_params,
        },
        _ => ConnectionAddr::Tcp(host.to_owned(), port),
    };
    Client::open(info.set_addr(address))
}
