//! Connections to a PostgreSQL server: how one is made, kept for the next question, brought to the newest schema; what errors mean.
//!
//! A connection on which anything failed is closed, never given back: the server then undoes its transaction.

use std::collections::HashMap;
use std::error::Error as _;
use std::future::Future;
use std::str::FromStr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::BytesMut;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::task::AbortHandle;
use tokio::time::timeout;
use tokio_postgres::config::SslMode;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};
use tokio_postgres::{Client, Config, NoTls, Statement};

use crate::error::StoreError;
use crate::records::address::shown;
use crate::records::migrations::{self, Applied};
use crate::records::postgres::tls::{Tls, Trust};

/// Connections at once; whoever comes then waits for one, within the time of its question.
const CONNECTIONS: usize = 4;
/// How long connecting may take.
const CONNECT_MAX: Duration = Duration::from_secs(5);
/// How long a question may take.
pub const QUESTION_MAX: Duration = Duration::from_secs(5);
/// How long deleting by age may take, and migrating.
pub const LONG_MAX: Duration = Duration::from_secs(120);
/// `jumpseat` as a number: nobody else takes this lock.
const MIGRATION_LOCK: i64 = i64::from_be_bytes(*b"jumpseat");

/// The connections to one server.
pub struct Pool {
    config: Config,
    tls: Option<Tls>,
    idle: Mutex<Vec<Connection>>,
    free: Semaphore,
}

/// A connection with its prepared statements.
pub struct Connection {
    pub client: Client,
    statements: HashMap<&'static str, Statement>,
    driver: AbortHandle,
}

/// A connection on loan.
pub struct Lease<'p> {
    pool: &'p Pool,
    pub connection: Connection,
    _permit: SemaphorePermit<'p>,
}

impl Pool {
    /// Reads a URL; connects to nothing yet.
    pub fn new(url: &str) -> Result<Pool, StoreError> {
        let (config, trust) = read_url(url)?;
        Ok(Pool {
            config,
            tls: trust.as_ref().map(Tls::new).transpose()?,
            idle: Mutex::default(),
            free: Semaphore::new(CONNECTIONS),
        })
    }

    /// A connection, an idle one or a new one.
    pub async fn take(&self) -> Result<Lease<'_>, StoreError> {
        let permit = timeout(QUESTION_MAX, self.free.acquire()).await;
        let permit = permit.map_err(|_| StoreError::Unavailable("all connections are busy".to_owned()))?;
        let permit = permit.map_err(|_| StoreError::Unavailable("it is closed".to_owned()))?;
        let connection = match self.idle_one() {
            Some(connection) => connection,
            None => within(CONNECT_MAX, self.connect()).await?,
        };
        Ok(Lease {
            pool: self,
            connection,
            _permit: permit,
        })
    }

    fn idle_one(&self) -> Option<Connection> {
        let mut idle = self.idle();
        idle.retain(|connection| !connection.client.is_closed());
        idle.pop()
    }

    async fn connect(&self) -> Result<Connection, StoreError> {
        let (client, driver) = match &self.tls {
            Some(tls) => {
                let (client, connection) = self.config.connect(tls.clone()).await?;
                (client, tokio::spawn(async move { drop(connection.await) }))
            }
            None => {
                let (client, connection) = self.config.connect(NoTls).await?;
                (client, tokio::spawn(async move { drop(connection.await) }))
            }
        };
        Ok(Connection {
            client,
            statements: HashMap::new(),
            driver: driver.abort_handle(),
        })
    }

    /// Closes what is idle; what is on loan is closed when it comes back.
    pub fn close(&self) {
        self.free.close();
        self.idle().clear();
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lease<'_> {
    /// Gives the connection back when all went well.
    pub fn settle<T>(self, done: Result<T, StoreError>) -> Result<T, StoreError> {
        if done.is_ok() && !self.pool.free.is_closed() {
            self.pool.idle().push(self.connection);
        }
        done
    }
}

impl Connection {
    /// A statement, prepared once.
    pub async fn prepare(&mut self, sql: &'static str) -> Result<Statement, StoreError> {
        if let Some(statement) = self.statements.get(sql) {
            return Ok(statement.clone());
        }
        let statement = self.client.prepare(sql).await?;
        self.statements.insert(sql, statement.clone());
        Ok(statement)
    }

    /// Asks for rows.
    pub async fn query(
        &mut self,
        sql: &'static str,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<tokio_postgres::Row>, StoreError> {
        let statement = self.prepare(sql).await?;
        Ok(self.client.query(&statement, params).await?)
    }

    /// Changes rows; returns how many.
    pub async fn execute(&mut self, sql: &'static str, params: &[&(dyn ToSql + Sync)]) -> Result<u64, StoreError> {
        let statement = self.prepare(sql).await?;
        Ok(self.client.execute(&statement, params).await?)
    }

    /// Begins a transaction. It ends with [`Connection::commit`], or with the connection.
    pub async fn begin(&self) -> Result<(), StoreError> {
        Ok(self.client.batch_execute("BEGIN").await?)
    }

    /// Ends a transaction.
    pub async fn commit(&self) -> Result<(), StoreError> {
        Ok(self.client.batch_execute("COMMIT").await?)
    }

    /// Brings the schema to the newest version. Others that want to do the same wait.
    pub async fn migrate(&mut self) -> Result<(), StoreError> {
        self.begin().await?;
        self.query("SELECT pg_advisory_xact_lock($1)", &[&MIGRATION_LOCK])
            .await?;
        let versions = "CREATE TABLE IF NOT EXISTS schema_versions (
            version bigint NOT NULL PRIMARY KEY, name text NOT NULL, checksum text NOT NULL, at timestamptz NOT NULL)";
        self.client.batch_execute(versions).await?;
        let rows = self.query("SELECT version, checksum FROM schema_versions", &[]).await?;
        let mut applied = Vec::with_capacity(rows.len());
        for row in rows {
            applied.push(Applied {
                version: u32::try_from(row.try_get::<_, i64>(0)?).unwrap_or(u32::MAX),
                checksum: row.try_get(1)?,
            });
        }
        for migration in migrations::pending(&applied, |m| m.postgres)? {
            self.client.batch_execute(migration.postgres).await?;
            let checksum = migrations::checksum(migration.postgres);
            self.execute(
                "INSERT INTO schema_versions (version, name, checksum, at) VALUES ($1, $2, $3, now())",
                &[&i64::from(migration.version), &migration.name, &checksum],
            )
            .await?;
        }
        self.commit().await
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // A server that does not answer would keep the driver waiting for ever.
        self.driver.abort();
    }
}

/// Waits for an answer only so long.
pub async fn within<T>(max: Duration, question: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    match timeout(max, question).await {
        Ok(answer) => answer,
        Err(_) => Err(StoreError::Unavailable(format!("no answer within {} s", max.as_secs()))),
    }
}

/// Reads the URL; `sslmode` and `sslrootcert` here, since the client knows only half of them. `None`: no TLS at all.
fn read_url(url: &str) -> Result<(Config, Option<Trust>), StoreError> {
    let refused = |why: String| StoreError::Url { url: shown(url), why };
    let (base, query) = url.split_once('?').unwrap_or((url, ""));
    let (mut mode, mut roots, mut rest) = ("prefer", None, Vec::new());
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        match pair.split_once('=') {
            Some(("sslmode", value)) => mode = value,
            Some(("sslrootcert", value)) => roots = Some(unescaped(value)),
            _ => rest.push(pair),
        }
    }
    let (ssl, trust) = match mode {
        "disable" => (SslMode::Disable, None),
        "allow" | "prefer" => (SslMode::Prefer, Some(Trust::Anyone)),
        // With a root named, libpq proves the server as well.
        "require" if roots.is_none() => (SslMode::Require, Some(Trust::Anyone)),
        "require" | "verify-ca" | "verify-full" => (SslMode::Require, Some(Trust::Roots(roots))),
        _ => {
            return Err(refused(
                "sslmode is `disable`, `prefer`, `require` or `verify-full`".to_owned(),
            ));
        }
    };
    let query = if rest.is_empty() {
        String::new()
    } else {
        ["?", &rest.join("&")].concat()
    };
    // What the parser says may quote what it did not understand, a password perhaps.
    let config = Config::from_str(&[base, &query].concat());
    let mut config = config.map_err(|_| refused("it is not written as PostgreSQL's URLs are".to_owned()))?;
    config.ssl_mode(ssl);
    config.connect_timeout(CONNECT_MAX);
    if config.get_application_name().is_none() {
        config.application_name("jumpseat");
    }
    Ok((config, trust))
}

/// A part of a URL without its `%xx`.
fn unescaped(text: &str) -> String {
    let (mut bytes, mut rest) = (Vec::with_capacity(text.len()), text.as_bytes());
    while let Some((&first, after)) = rest.split_first() {
        let two = after.get(..2).and_then(|two| std::str::from_utf8(two).ok());
        let code = two.and_then(|two| u8::from_str_radix(two, 16).ok());
        match code.filter(|_| first == b'%') {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Text for a column of PostgreSQL, which holds no zero character: it becomes U+FFFD. A client may put one into its model's name,
/// and it must not keep a whole batch out of the ledger.
#[derive(Debug, Clone, Copy)]
pub struct Text<'a>(pub &'a str);

impl ToSql for Text<'_> {
    fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        if self.0.contains('\0') {
            return self.0.replace('\0', "\u{fffd}").to_sql(ty, out);
        }
        self.0.to_sql(ty, out)
    }

    fn accepts(ty: &Type) -> bool {
        <&str as ToSql>::accepts(ty)
    }

    to_sql_checked!();
}

impl From<tokio_postgres::Error> for StoreError {
    fn from(error: tokio_postgres::Error) -> StoreError {
        let Some(db) = error.as_db_error() else {
            // The text of a broken connection says little without its cause.
            let cause = error
                .source()
                .map_or_else(String::new, |cause| [": ", &cause.to_string()].concat());
            return StoreError::Unavailable([error.to_string(), cause].concat());
        };
        of_code(db.code(), format!("{} ({})", db.message(), db.code().code()))
    }
}

/// What an error the server names means for what was to be written.
fn of_code(code: &SqlState, message: String) -> StoreError {
    match code {
        &SqlState::DISK_FULL | &SqlState::READ_ONLY_SQL_TRANSACTION => StoreError::NotWritable(message),
        // What somebody took away and gives back: it lies in no entry, and all of them wait for it.
        &SqlState::INSUFFICIENT_PRIVILEGE | &SqlState::UNDEFINED_TABLE | &SqlState::UNDEFINED_COLUMN => {
            StoreError::Unavailable(message)
        }
        // What the data says: out of range, against a constraint, too long for an index, not to be asked so.
        code if ["22", "23", "42", "54"]
            .iter()
            .any(|class| code.code().starts_with(class)) =>
        {
            StoreError::Invalid(message)
        }
        // Going down, too many connections, a lock: nothing that what waits has done.
        _ => StoreError::Unavailable(message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_entry_says_is_told_from_what_all_of_them_wait_for() {
        let rows = [
            ("22003", "invalid"),
            ("23505", "invalid"),
            ("54000", "invalid"),
            ("42804", "invalid"),
            ("42501", "away"),
            ("42P01", "away"),
            ("42703", "away"),
            ("40001", "away"),
            ("53300", "away"),
            ("57P01", "away"),
            ("x", "away"),
            ("53100", "full"),
            ("25006", "full"),
        ];
        for (code, expected) in rows {
            let told = match of_code(&SqlState::from_code(code), String::new()) {
                StoreError::Invalid(_) => "invalid",
                StoreError::Unavailable(_) => "away",
                StoreError::NotWritable(_) => "full",
                other => panic!("{other:?}"),
            };
            assert_eq!(told, expected, "{code}");
        }
    }

    #[test]
    fn sslmode_is_read_as_the_servers_own_tools_read_it() {
        let roots = |file: Option<&str>| Some(Trust::Roots(file.map(str::to_owned)));
        for (query, mode, trust) in [
            ("", SslMode::Prefer, Some(Trust::Anyone)),
            ("?sslmode=disable", SslMode::Disable, None),
            (
                "?sslmode=prefer&application_name=x",
                SslMode::Prefer,
                Some(Trust::Anyone),
            ),
            ("?sslmode=require", SslMode::Require, Some(Trust::Anyone)),
            (
                "?sslmode=require&sslrootcert=/a%20b.pem",
                SslMode::Require,
                roots(Some("/a b.pem")),
            ),
            ("?sslmode=verify-full", SslMode::Require, roots(None)),
            (
                "?sslrootcert=ca.pem&sslmode=verify-ca",
                SslMode::Require,
                roots(Some("ca.pem")),
            ),
        ] {
            let (config, read) = read_url(&["postgres://me:secret@host/db", query].concat()).unwrap();
            assert_eq!((config.get_ssl_mode(), read), (mode, trust), "{query}");
            assert_eq!(config.get_dbname(), Some("db"));
        }
        for url in [
            "postgres://me:secret@host/db?sslmode=maybe",
            "postgres://me:secret@host:port/db",
        ] {
            let refused = read_url(url).unwrap_err().to_string();
            assert!(!refused.contains("secret"), "{refused}");
        }
    }
}
