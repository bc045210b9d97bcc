//! From an older schema to the newest: dumps of stores as released versions left them, with data, opened by this program.

use std::path::{Path, PathBuf};

use jumpseat_store::error::StoreError;
use jumpseat_store::records::Records;
use jumpseat_store::records::entry::Entry;
use jumpseat_store::records::migrations::newest;
use jumpseat_store::records::query::{CallQuery, Page};
use rusqlite::Connection;
use types::ids::InstanceId;
use types::time::UnixMillis;

use crate::samples::{T0, attempt, audit, call, called, id, key, payload, reservation, response, settled};
use crate::servers::Postgres;
use crate::stores::{Folder, sqlite_in};
use crate::writer::spent;

fn dumps(backend: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/records/dumps");
    let files = std::fs::read_dir(folder).unwrap().map(|f| f.unwrap().path());
    let mut found: Vec<PathBuf> = files
        .filter(|f| f.file_name().unwrap().to_str().unwrap().starts_with(backend))
        .collect();
    found.sort();
    found
}

/// What is in every dump.
fn content() -> Vec<Entry> {
    vec![
        called(1),
        called(2),
        settled(1, 1, 100),
        settled(2, 1, 200),
        Entry::Reserved(reservation(3, 1, 50, "gone")),
        Entry::Payload(Box::new(payload(1))),
        Entry::Response(Box::new(response("resp_1", Some("owner:web"), 1, &["msg_1"]))),
        Entry::Learned {
            name: "tokens:a/b".to_owned(),
            value: "1".to_owned(),
        },
    ]
}

/// Everything is there, and what is new works on what is old.
async fn all_is_there(records: &Records) {
    let query = CallQuery {
        limit: 100,
        ..CallQuery::default()
    };
    assert_eq!(records.calls(&query).await.unwrap(), [call(1), call(2)]);
    assert_eq!(
        records.attempts(&query).await.unwrap(),
        [attempt(1, 1, 100), attempt(2, 1, 200)]
    );
    assert_eq!(spent(records, "daily").await, 300);
    assert_eq!(records.payload(&id(1)).await.unwrap(), Some(payload(1)));
    let stored = response("resp_1", Some("owner:web"), 1, &["msg_1"]);
    assert_eq!(
        records.response_of_item("msg_1", Some("owner:web")).await.unwrap(),
        Some(stored)
    );
    assert_eq!(records.learned("tokens:").await.unwrap().len(), 1);
    assert_eq!(records.keys().await.unwrap(), [key("js-1", Some("web"))]);
    let page = Page { before: None, limit: 9 };
    assert_eq!(records.audit(page).await.unwrap(), [audit(1, "key.create")]);
    assert_eq!(records.reserving_instances().await.unwrap(), [InstanceId::from("gone")]);

    records.write(&content()).await.unwrap();
    assert_eq!(spent(records, "daily").await, 300, "nothing of it is counted again");
    let orphans = records
        .settle_orphans(&InstanceId::from("gone"), UnixMillis(T0 + 9))
        .await
        .unwrap();
    assert_eq!(orphans.len(), 1);
    assert_eq!(spent(records, "daily").await, 350);
    assert_eq!(
        records.forget_expired_responses(UnixMillis(u64::MAX), 9).await.unwrap(),
        1
    );
    assert_eq!(records.forget_before(UnixMillis(T0 + 1000), 9).await.unwrap(), 2);
    records.check().await.unwrap();
}

#[tokio::test]
async fn every_released_schema_of_sqlite_is_brought_forward_with_its_data() {
    let found = dumps("sqlite");
    assert!(!found.is_empty());
    for dump in found {
        let folder = Folder::new();
        {
            let connection = Connection::open(folder.path().join("records.db")).unwrap();
            connection
                .execute_batch(&std::fs::read_to_string(&dump).unwrap())
                .unwrap();
        }
        let records = Records::open(&sqlite_in(&folder)).await.unwrap();
        all_is_there(&records).await;
        let connection = Connection::open(folder.path().join("records.db")).unwrap();
        let version = "SELECT max(version) FROM schema_versions";
        assert_eq!(
            connection.query_row(version, [], |row| row.get::<_, u32>(0)).unwrap(),
            newest()
        );
        assert_eq!(schema(&connection), schema_of_a_new_store().await, "{}", dump.display());
        // The same again changes nothing.
        drop(Records::open(&sqlite_in(&folder)).await.unwrap());
    }
}

/// Names of tables and indexes.
fn schema(connection: &Connection) -> Vec<String> {
    let mut statement = connection
        .prepare("SELECT type || ' ' || name FROM sqlite_schema ORDER BY 1")
        .unwrap();
    statement
        .query_map([], |row| row.get(0))
        .unwrap()
        .map(Result::unwrap)
        .collect()
}

async fn schema_of_a_new_store() -> Vec<String> {
    let folder = Folder::new();
    Records::open(&sqlite_in(&folder)).await.unwrap().close().await;
    schema(&Connection::open(folder.path().join("records.db")).unwrap())
}

#[tokio::test]
async fn every_released_schema_of_postgres_is_brought_forward_with_its_data() {
    let Some(server) = Postgres::start() else {
        return;
    };
    let found = dumps("postgres");
    assert!(!found.is_empty());
    for dump in found {
        let url = server.database();
        server.load(&url, &dump);
        all_is_there(&Records::open(&url).await.unwrap()).await;
        drop(Records::open(&url).await.unwrap());
    }
    // Many that start at once migrate once; and a dump of its own tool is a backup.
    let url = server.database();
    let opened = futures_util::future::join_all((0..8).map(|_| Records::open(&url))).await;
    opened[7].as_ref().unwrap().write(&content()).await.unwrap();
    opened[7]
        .as_ref()
        .unwrap()
        .put_key(&key("js-1", Some("web")), None, &audit(1, "key.create"))
        .await
        .unwrap();
    for records in opened {
        records.unwrap().check().await.unwrap();
    }
    let folder = Folder::new();
    let file = folder.path().join("backup.sql");
    std::fs::write(&file, server.dump(&url)).unwrap();
    let restored = server.database();
    server.load(&restored, &file);
    all_is_there(&Records::open(&restored).await.unwrap()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_that_open_a_new_file_at_once_migrate_it_once() {
    for _ in 0..5 {
        let folder = Folder::new();
        let url = sqlite_in(&folder);
        let opened = futures_util::future::join_all((0..8).map(|_| Records::open(&url))).await;
        for (n, records) in opened.into_iter().enumerate() {
            records.unwrap().write(&[called(n as u64)]).await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_store_of_a_newer_program_is_refused_and_left_as_it_is() {
    let folder = Folder::new();
    Records::open(&sqlite_in(&folder)).await.unwrap().close().await;
    let connection = Connection::open(folder.path().join("records.db")).unwrap();
    let newer = "INSERT INTO schema_versions (version, name, checksum, at) VALUES (999, 'x', 'x', 0)";
    connection.execute_batch(newer).unwrap();
    let refused = Records::open(&sqlite_in(&folder)).await.unwrap_err();
    assert_eq!(
        refused,
        StoreError::Newer {
            found: 999,
            known: newest()
        }
    );
    std::fs::write(
        folder.path().join("text.db"),
        "this is no database, and long enough to be read as one",
    )
    .unwrap();
    let other = format!("sqlite:{}", folder.path().join("text.db").display());
    assert!(Records::open(&other).await.is_err());
}

#[tokio::test]
async fn a_backup_made_in_use_opens_and_holds_the_same() {
    let folder = Folder::new();
    let records = Records::open(&sqlite_in(&folder)).await.unwrap();
    records.write(&content()).await.unwrap();
    records
        .put_key(&key("js-1", Some("web")), None, &audit(1, "key.create"))
        .await
        .unwrap();
    // Somebody has begun to write.
    let other = Connection::open(folder.path().join("records.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE; DELETE FROM calls").unwrap();
    let copy = folder.path().join("it's a copy.db");
    records.back_up(&copy).await.unwrap();
    other.execute_batch("ROLLBACK").unwrap();
    let refused = records.back_up(&copy).await.unwrap_err();
    assert!(refused.to_string().contains("exists already"), "{refused}");
    let copied = Records::open(&format!("sqlite:{}", copy.display())).await.unwrap();
    all_is_there(&copied).await;
    all_is_there(&records).await;
}

/// Only constants are prepared or run, never text that was put together; what is asked for goes in as parameters.
#[test]
fn no_sql_is_built_from_text() {
    const RUNS: &[&str] = &[
        ".prepare(",
        ".prepare_cached(",
        ".execute_batch(",
        ".batch_execute(",
        ".query(",
        ".execute(",
    ];
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/records");
    let (mut seen, mut wrong) = (0, Vec::new());
    for backend in ["sqlite", "postgres"] {
        for file in std::fs::read_dir(root.join(backend)).unwrap() {
            let path = file.unwrap().path();
            let code = std::fs::read_to_string(&path).unwrap();
            let lines: Vec<&str> = code
                .lines()
                .filter(|line| !line.trim_start().starts_with("//"))
                .collect();
            let code = lines.join("\n");
            for run in RUNS {
                for (at, _) in code.match_indices(run) {
                    seen += 1;
                    let argument = code[at + run.len()..].trim_start();
                    let word: String = argument
                        .chars()
                        .take_while(|c| c.is_alphanumeric() || "_.&\"".contains(*c))
                        .collect();
                    let constant = word.starts_with('"')
                        || (!word.is_empty() && word.chars().all(|c| c.is_ascii_uppercase() || c == '_'))
                        // Handed on: a `&'static str`, a prepared statement, a migration's file.
                        || ["sql", "&statement", "migration.sqlite", "migration.postgres", "versions"].contains(&&*word)
                        // Parameters of a statement that is prepared already.
                        || argument.starts_with(['[', '(', '&'])
                        || ["params", "identity"].contains(&&*word);
                    if !constant {
                        wrong.push(format!("{}: {run}{word}", path.display()));
                    }
                }
            }
            for line in &lines {
                let built = ["format!", "concat(", "push_str", "join("]
                    .iter()
                    .any(|b| line.contains(b));
                let sql = ["SELECT", "INSERT", "DELETE", "UPDATE", "WHERE", "CREATE"]
                    .iter()
                    .any(|w| line.contains(w));
                if built && sql {
                    wrong.push(format!("{}: {line}", path.display()));
                }
            }
        }
    }
    assert!(seen > 60, "{seen}");
    assert_eq!(wrong, Vec::<String>::new());
}
