//! A connection to a SQLite file: how it is opened, brought to the newest schema, copied; and what its errors mean.

use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rusqlite::{Connection, ErrorCode, OpenFlags, params};

use crate::error::StoreError;
use crate::records::columns;
use crate::records::migrations::{self, Applied};
use crate::records::sqlite::Opened;

/// How long a batch waits for another process that writes (a command of this program, a backup).
const BUSY_MAX: Duration = Duration::from_secs(2);
/// How long opening waits for another process that opens the same file, migrating it perhaps.
const OPENING_MAX: Duration = Duration::from_secs(30);
const PAGE_BYTES: u32 = 8192;
/// The WAL is carried over into the file when it has grown to some 16 MB.
const CHECKPOINT_PAGES: u32 = 2000;
/// Pages kept in memory; negative: KiB.
const CACHE_KIB: i32 = -8000;
/// Statements kept prepared.
const STATEMENTS_MAX: usize = 64;

/// The writing connection, its schema the newest.
pub fn open_to_write(path: &Path, strict: bool) -> Result<Opened, StoreError> {
    keep_private(path)?;
    let mut connection = open(path)?;
    // Measured: fewer and larger pages cost some 10 % less CPU a call. Of a file that is there already the size stays as it is.
    connection.pragma_update(None, "page_size", PAGE_BYTES)?;
    use_wal(&connection)?;
    connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
    connection.pragma_update(None, "cache_size", CACHE_KIB)?;
    // NORMAL survives the end of the process at any instant; FULL the loss of power too.
    let synchronous = if strict { "FULL" } else { "NORMAL" };
    connection.pragma_update(None, "synchronous", synchronous)?;
    migrate(&mut connection)?;
    connection.busy_timeout(BUSY_MAX)?;
    Opened::of(connection)
}

/// A connection that reads alone. The schema is there already, unless the file may not be written: then it has to be the newest.
pub fn open_to_read(path: &Path) -> Result<Opened, StoreError> {
    let connection = open(path)?;
    connection.pragma_update(None, "query_only", true)?;
    connection.busy_timeout(BUSY_MAX)?;
    match versions(&connection) {
        Ok(applied) => has_newest(&applied, path)?,
        Err(_) if is_read_only(path) && wal_is_empty(path) => {
            // The log of a database in WAL mode cannot be made here, and without it SQLite reads a file only when told that
            // nobody changes it.
            let connection = open_unchanging(path)?;
            has_newest(&versions(&connection)?, path)?;
            return Opened::of(connection);
        }
        Err(e) => return Err(failed(e)),
    }
    Opened::of(connection)
}

/// Whether the file is there and may not be written by this process.
pub fn is_read_only(path: &Path) -> bool {
    use std::io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem};
    let opened = std::fs::OpenOptions::new().write(true).open(path);
    opened.is_err_and(|e| matches!(e.kind(), PermissionDenied | ReadOnlyFilesystem))
}

fn wal_is_empty(path: &Path) -> bool {
    let mut wal = path.as_os_str().to_owned();
    wal.push("-wal");
    std::fs::metadata(wal).map_or(true, |wal| wal.len() == 0)
}

fn versions(connection: &Connection) -> rusqlite::Result<Vec<Applied>> {
    let mut statement = connection.prepare("SELECT version, checksum FROM schema_versions")?;
    let rows = statement.query_map([], |row| {
        Ok(Applied {
            version: row.get(0)?,
            checksum: row.get(1)?,
        })
    });
    rows.and_then(Iterator::collect)
}

fn has_newest(applied: &[Applied], path: &Path) -> Result<(), StoreError> {
    if migrations::pending(applied, |m| m.sqlite)?.is_empty() {
        return Ok(());
    }
    let message = format!(
        "`{}` is to be brought to a newer schema, and may not be written",
        path.display()
    );
    Err(StoreError::NotWritable(message))
}

fn open(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    open_as(path, path, flags)
}

fn open_unchanging(path: &Path) -> Result<Connection, StoreError> {
    let mut uri = String::from("file:");
    for &byte in path.as_os_str().as_encoded_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' => uri.push(char::from(byte)),
            _ => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    uri.push_str("?immutable=1");
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    open_as(path, Path::new(&uri), flags)
}

fn open_as(path: &Path, name: &Path, flags: OpenFlags) -> Result<Connection, StoreError> {
    let connection = Connection::open_with_flags(name, flags).map_err(|e| opening(path, &e))?;
    connection.busy_timeout(OPENING_MAX)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    Ok(connection)
}

/// Makes the file, when there is none, for its owner's eyes alone: it holds digests of keys, and texts perhaps.
fn keep_private(path: &Path) -> Result<(), StoreError> {
    if path == Path::new(":memory:") {
        return Ok(());
    }
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Ok(_) => Ok(()),
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(e) => {
            let message = format!("`{}` cannot be made: {e}", path.display());
            Err(StoreError::NotWritable(message))
        }
    }
}

/// Switches to WAL mode. Two processes that do so at once get "busy" without the busy handler being asked, hence the loop.
fn use_wal(connection: &Connection) -> Result<(), StoreError> {
    let begun = Instant::now();
    loop {
        match connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get::<_, String>(0)) {
            Ok(_) => return Ok(()),
            Err(e) if is_busy(&e) && begun.elapsed() < OPENING_MAX => {
                std::thread::sleep(Duration::from_millis(20));
            }
            Err(e) => return Err(failed(e)),
        }
    }
}

/// Brings the schema to the newest version, in one transaction that keeps every other writer out.
fn migrate(connection: &mut Connection) -> Result<(), StoreError> {
    in_transaction(connection, |c| {
        c.execute_batch(
            "CREATE TABLE IF NOT EXISTS schema_versions (
                 version INTEGER NOT NULL PRIMARY KEY, name TEXT NOT NULL, checksum TEXT NOT NULL, at INTEGER NOT NULL
             ) STRICT",
        )?;
        for migration in migrations::pending(&versions(c)?, |m| m.sqlite)? {
            c.execute_batch(migration.sqlite)?;
            c.execute(
                "INSERT INTO schema_versions (version, name, checksum, at) VALUES (?1, ?2, ?3, ?4)",
                params![
                    migration.version,
                    migration.name,
                    migrations::checksum(migration.sqlite),
                    wall()
                ],
            )?;
        }
        Ok(())
    })
}

/// Copies the database, as of one moment, into a new file.
pub fn back_up(connection: &Connection, to: &Path) -> Result<(), StoreError> {
    // SQLite takes an empty file for its target; making it first keeps it private and never overwrites what is there.
    if to.exists() {
        return Err(StoreError::Invalid(format!("`{}` exists already", to.display())));
    }
    keep_private(to)?;
    let Some(name) = to.to_str() else {
        return Err(StoreError::Invalid(format!("`{}` is no UTF-8", to.display())));
    };
    // A connection that may only ask may not copy either, though the copy changes nothing here.
    connection.pragma_update(None, "query_only", false)?;
    let copied = connection.execute("VACUUM INTO ?1", [name]).map_err(failed);
    connection.pragma_update(None, "query_only", true)?;
    if copied.is_err() {
        let _ = std::fs::remove_file(to);
    }
    copied.map(|_| ())
}

/// Does work in a transaction that holds the write lock from its beginning; any error undoes all of it.
pub fn in_transaction<T>(
    connection: &mut Connection,
    work: impl FnOnce(&Connection) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    connection.execute_batch("BEGIN IMMEDIATE")?;
    let done = work(connection).and_then(|value| {
        connection.execute_batch("COMMIT")?;
        Ok(value)
    });
    // Some errors have ended the transaction already.
    if done.is_err() && !connection.is_autocommit() {
        let _ = connection.execute_batch("ROLLBACK");
    }
    done
}

/// What an error of SQLite means to whoever asked.
pub fn failed(error: rusqlite::Error) -> StoreError {
    let Some(code) = error.sqlite_error_code() else {
        return StoreError::Invalid(format!("the database was asked wrongly: {error}"));
    };
    match code {
        ErrorCode::ReadOnly
        | ErrorCode::PermissionDenied
        | ErrorCode::DiskFull
        | ErrorCode::SystemIoFailure
        | ErrorCode::NoLargeFileSupport
        | ErrorCode::DatabaseCorrupt
        | ErrorCode::NotADatabase => StoreError::NotWritable(error.to_string()),
        ErrorCode::ConstraintViolation
        | ErrorCode::TypeMismatch
        | ErrorCode::TooBig
        | ErrorCode::ParameterOutOfRange
        | ErrorCode::ApiMisuse => StoreError::Invalid(error.to_string()),
        // Busy, locked, and what says nothing about the data (no such table): it may be mended without touching what waits.
        _ => StoreError::Unavailable(error.to_string()),
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> StoreError {
        failed(error)
    }
}

fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)
    )
}

fn opening(path: &Path, error: &rusqlite::Error) -> StoreError {
    StoreError::Unavailable(format!("`{}` cannot be opened: {error}", path.display()))
}

/// When a version was applied, for people; nothing is decided by it.
fn wall() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    columns::count(since.as_millis() as u64)
}
