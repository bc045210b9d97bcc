//! What becomes of records when the store fails under the writer: nothing that must not be shed is lost, nothing is counted twice.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use jumpseat_store::error::StoreError;
use jumpseat_store::records::entry::Entry;
use jumpseat_store::records::writer::{Writer, WriterHealth};
use jumpseat_store::records::{Records, RecordsOptions};
use rlimit::Resource;
use rusqlite::Connection;

use crate::samples::{called, payload, reservation, settled};
use crate::servers::Postgres;
use crate::stores::{Folder, sqlite_in};
use crate::writer::{count, options, spent};

/// Tells a test that it is the child of another, and in which folder.
const CHILD: &str = "JUMPSEAT_STORE_TEST_CHILD";
/// In the child that is killed: where its numbers begin.
const FROM: &str = "JUMPSEAT_STORE_TEST_FROM";

async fn until(what: &str, mut done: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !done().await {
        assert!(begun.elapsed() < Duration::from_secs(30), "never: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Holds the write lock of a SQLite file, as another process may.
fn lock(folder: &Folder) -> Connection {
    let connection = Connection::open(folder.path().join("records.db")).unwrap();
    connection.execute_batch("BEGIN IMMEDIATE").unwrap();
    connection
}

fn files(folder: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(folder).map_or(vec![], |files| files.map(|f| f.unwrap().path()).collect())
}

#[tokio::test]
async fn a_locked_database_makes_records_wait_on_disk_and_come_back_in_order() {
    let folder = Folder::new();
    let records = Records::open(&sqlite_in(&folder)).await.unwrap();
    let spool = folder.path().join("spool");
    let writer = Writer::start(records.clone(), options(Some(spool.clone())));
    let held = lock(&folder);
    for n in 0..100 {
        writer.write(Entry::Reserved(reservation(n, 1, 5, "a")));
        writer.write(called(n));
        writer.write(Entry::Payload(Box::new(payload(n))));
    }
    writer.flush().await;
    assert_eq!(count(&records).await, (0, 0));
    assert_eq!(writer.health().spooled, 300, "{:?}", writer.health());
    assert!(writer.health().failing.is_some());
    assert!(!writer.is_full());
    // What must survive the process survives it now.
    let durable = (0..100).map(|n| settled(n, 1, 10)).collect();
    writer.write_durably(durable).await;
    assert_eq!(writer.health().spooled, 400);
    assert_eq!(records.reserving_instances().await.unwrap(), []);
    drop(held);
    until("drained", async || writer.health() == WriterHealth::default()).await;
    assert_eq!(count(&records).await, (100, 100));
    assert_eq!(records.reserving_instances().await.unwrap(), []);
    assert_eq!(spent(&records, "daily").await, 1000);
    assert_eq!(files(&spool), Vec::<PathBuf>::new());
    writer.write_durably(vec![settled(200, 1, 1)]).await;
    assert_eq!(spent(&records, "daily").await, 1001, "written straight again");
    writer.close().await;
}

#[tokio::test]
async fn what_waits_in_the_spool_when_the_process_ends_is_written_at_the_next_start() {
    let folder = Folder::new();
    let spool = folder.path().join("spool");
    {
        let records = Records::open(&sqlite_in(&folder)).await.unwrap();
        let writer = Writer::start(records.clone(), options(Some(spool.clone())));
        let held = lock(&folder);
        for n in 0..50 {
            writer.write(settled(n, 1, 10));
        }
        writer.close().await;
        assert_eq!(writer.health().queued, 0);
        assert_eq!(count(&records).await, (0, 0));
        drop(held);
        records.close().await;
    }
    let records = Records::open(&sqlite_in(&folder)).await.unwrap();
    let writer = Writer::start(records.clone(), options(Some(spool.clone())));
    writer.flush().await;
    assert_eq!(count(&records).await, (0, 50));
    assert_eq!(spent(&records, "daily").await, 500);
    assert_eq!(files(&spool), Vec::<PathBuf>::new());
    writer.close().await;
}

#[tokio::test]
async fn without_store_and_spool_the_ledger_waits_in_memory_payload_is_shed_and_new_calls_are_refused() {
    let folder = Folder::new();
    let records = Records::open(&sqlite_in(&folder)).await.unwrap();
    // No folder can be made where a file is.
    let spool = folder.path().join("spool");
    std::fs::write(&spool, "").unwrap();
    let mut options = options(Some(spool));
    options.queue_max = 100;
    let writer = Writer::start(records.clone(), options);
    let held = lock(&folder);
    for n in 0..99 {
        writer.write(settled(n, 1, 10));
    }
    writer.write(Entry::Payload(Box::new(payload(1))));
    until("failing", async || writer.health().failing.is_some()).await;
    assert!(!writer.is_full());
    writer.write(settled(99, 1, 10));
    assert!(writer.is_full());
    for n in 100..150 {
        writer.write(settled(n, 1, 10));
        writer.write(Entry::Payload(Box::new(payload(n))));
    }
    until("shed", async || writer.health().shed == 51).await;
    drop(held);
    until("written", async || count(&records).await == (0, 150)).await;
    until("well", async || writer.health().failing.is_none()).await;
    assert!(!writer.is_full());
    assert_eq!(spent(&records, "daily").await, 1500);
    assert_eq!(writer.health().shed, 51);
    writer.close().await;
}

#[tokio::test]
async fn one_entry_that_the_store_never_takes_is_put_aside_and_holds_up_nothing() {
    let folder = Folder::new();
    let records = Records::open(&sqlite_in(&folder)).await.unwrap();
    let spool = folder.path().join("spool");
    let writer = Writer::start(records.clone(), options(Some(spool.clone())));
    writer
        .write_durably(vec![
            settled(1, 1, 10),
            settled(2, 1, u64::MAX),
            settled(3, 1, 10),
            called(1),
        ])
        .await;
    assert_eq!(count(&records).await, (1, 2));
    assert_eq!(spent(&records, "daily").await, 20);
    let health = writer.health();
    assert_eq!((health.refused, health.failing), (1, None));
    let kept = files(&spool);
    assert_eq!(kept.len(), 1);
    assert_eq!(kept[0].extension().unwrap(), "refused");
    writer.close().await;
}

/// Runs a test of this program in a process of its own, by way of a shell line that ends in `exec "$0" "$@"`.
fn child(shell: &str, test: &str, folder: &Path) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", shell]).arg(std::env::current_exe().unwrap());
    command.args([test, "--exact", "--nocapture"]).env(CHILD, folder);
    command
}

fn child_folder() -> Option<PathBuf> {
    std::env::var_os(CHILD).map(PathBuf::from)
}

#[test]
fn a_full_disk_loses_nothing_of_the_ledger_and_is_told() {
    let folder = Folder::new();
    // A file that grows beyond the limit of its process is a full disk to whoever writes it; the signal is not wanted.
    let shell = "trap '' XFSZ; exec \"$0\" \"$@\"";
    let done = child(shell, "faults::full_disk_child", folder.path()).output().unwrap();
    let told = String::from_utf8_lossy(&done.stdout).into_owned() + &String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success() && told.contains("1 passed"), "{told}");
}

#[tokio::test]
async fn full_disk_child() {
    let Some(folder) = child_folder() else {
        return;
    };
    let url = format!("sqlite:{}", folder.join("full.db").display());
    let records = Records::open(&url).await.unwrap();
    let spool = folder.join("spool");
    let mut options = options(Some(spool.clone()));
    options.queue_max = 3000;
    let writer = Writer::start(records.clone(), options);
    let hard = Resource::FSIZE.get_hard().unwrap();
    Resource::FSIZE.set(400 << 10, hard).unwrap();
    let mut written = 0;
    let begun = Instant::now();
    // The store fails first, then the spool, then memory is full and new calls would be refused.
    let (mut spooled, mut check) = (0, Ok(()));
    while !writer.is_full() {
        writer.write(settled(written, 1, 10));
        written += 1;
        if written % 100 == 0 {
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
        spooled = spooled.max(writer.health().spooled);
        if spooled > 0 && check.is_ok() {
            check = records.check().await;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", writer.health());
    }
    assert!(spooled > 0, "the spool was used");
    assert!(matches!(check, Err(StoreError::NotWritable(_))), "{check:?}");
    let failing = writer.health().failing.unwrap();
    assert!(failing.contains("takes no writes"), "{failing}");
    assert!(
        !records.keys().await.unwrap().iter().any(|_| true),
        "it can still be read"
    );

    Resource::FSIZE.set(hard, hard).unwrap();
    until("drained", async || writer.health() == WriterHealth::default()).await;
    assert_eq!(count(&records).await, (0, written as usize));
    assert_eq!(spent(&records, "daily").await, written * 10);
    assert!(!writer.is_full());
    writer.close().await;
}

#[test]
fn a_read_only_database_can_be_read_and_what_is_to_be_written_waits_until_it_is_writable() {
    let folder = Folder::new();
    // Root may write everywhere unless it gives that right up.
    let shell = "if [ \"$(id -u)\" = 0 ]; then exec setpriv --bounding-set=-dac_override,-dac_read_search \"$0\" \"$@\"; fi; \
                 exec \"$0\" \"$@\"";
    let done = child(shell, "faults::read_only_child", folder.path()).output().unwrap();
    let told = String::from_utf8_lossy(&done.stdout).into_owned() + &String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success() && told.contains("1 passed"), "{told}");
}

#[tokio::test]
async fn read_only_child() {
    let Some(folder) = child_folder() else {
        return;
    };
    let path = folder.join("read-only.db");
    let url = format!("sqlite:{}", path.display());
    Records::open(&url).await.unwrap().close().await;
    let mut permissions = std::fs::metadata(&path).unwrap().permissions();
    permissions.set_readonly(true);
    std::fs::set_permissions(&path, permissions).unwrap();
    let spool = folder.join("spool");
    {
        let records = Records::open(&url).await.unwrap();
        let writer = Writer::start(records.clone(), options(Some(spool.clone())));
        let refused = records.check().await.unwrap_err();
        assert!(
            matches!(refused, StoreError::NotWritable(_)) && refused.is_transient(),
            "{refused:?}"
        );
        writer.write_durably((0..10).map(|n| settled(n, 1, 10)).collect()).await;
        assert_eq!((count(&records).await, writer.health().spooled), ((0, 0), 10));
        writer.close().await;
        records.close().await;
    }
    // Its folder may not be written either, so that not even its log can be made; then all of it may, while the store is open.
    let rights = |path: &std::path::Path, mode| {
        std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
    };
    let apart = folder.join("apart");
    std::fs::create_dir(&apart).unwrap();
    let path = apart.join("read only, apart?.db");
    std::fs::copy(folder.join("read-only.db"), &path).unwrap();
    rights(&path, 0o400);
    rights(&apart, 0o500);
    let records = Records::open(&format!("sqlite:{}", path.display())).await.unwrap();
    let writer = Writer::start(records.clone(), options(Some(spool)));
    writer.flush().await;
    assert_eq!((count(&records).await, writer.health().spooled), ((0, 0), 10));
    assert!(writer.health().failing.is_some());
    rights(&apart, 0o700);
    rights(&path, 0o600);
    until("drained", async || writer.health() == WriterHealth::default()).await;
    assert_eq!((count(&records).await, spent(&records, "daily").await), ((0, 10), 100));
    writer.close().await;
    let nowhere = format!("sqlite:{}", folder.join("no/such/folder.db").display());
    let refused = Records::open(&nowhere).await.unwrap_err();
    assert!(refused.to_string().contains("no/such/folder.db"), "{refused}");
}

/// What a child was told is safe is in the ledger after it was killed, at whatever instant; sums agree with the lines.
#[tokio::test]
async fn a_process_that_is_killed_loses_nothing_that_it_was_told_is_safe() {
    let folder = Folder::new();
    let spool = folder.path().join("spool");
    Records::open(&sqlite_in(&folder)).await.unwrap().close().await;
    let mut safe: Vec<u64> = Vec::new();
    let mut chance = std::process::id();
    for round in 0..10_u64 {
        chance = chance.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        // In some rounds the database is locked, so that what is safe is so in the spool.
        let held = (round % 4 == 3).then(|| lock(&folder));
        let mut child = child("exec \"$0\" \"$@\"", "faults::killed_child", folder.path())
            .env(FROM, (round * 1_000_000).to_string())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let reader = std::thread::spawn(move || -> Vec<u64> {
            lines
                .filter_map(|line| line.ok()?.strip_prefix("safe ")?.parse().ok())
                .collect()
        });
        let least = if held.is_some() { 2300 } else { 150 };
        std::thread::sleep(Duration::from_millis(least + u64::from(chance >> 22) / 4));
        child.kill().unwrap();
        child.wait().unwrap();
        safe.extend(reader.join().unwrap());
        drop(held);
    }
    assert!(safe.len() > 100, "{}", safe.len());
    let records = Records::open(&sqlite_in(&folder)).await.unwrap();
    let writer = Writer::start(records.clone(), options(Some(spool)));
    writer.flush().await;
    let query = jumpseat_store::records::query::CallQuery {
        limit: u32::MAX,
        ..Default::default()
    };
    let ledger = records.attempts(&query).await.unwrap();
    let found: std::collections::HashSet<&str> = ledger.iter().map(|a| a.call.as_str()).collect();
    for n in &safe {
        assert!(
            found.contains(crate::samples::id(*n).as_str()),
            "attempt {n} was safe and is lost"
        );
    }
    let sum: u64 = ledger.iter().map(|a| a.cost.0).sum();
    assert_eq!(spent(&records, "daily").await, sum);
    eprintln!("{} safe, {} in the ledger", safe.len(), ledger.len());
    writer.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_child() {
    let Some(folder) = child_folder() else {
        return;
    };
    let from: u64 = std::env::var(FROM).unwrap().parse().unwrap();
    let url = format!("sqlite:{}", folder.join("records.db").display());
    // The file is there with its schema, so that opening needs no lock.
    let records = Records::open(&url).await.unwrap();
    let writer = Writer::start(records, options(Some(folder.join("spool"))));
    let mut tasks = Vec::new();
    for task in 0..4 {
        let writer = writer.clone();
        tasks.push(tokio::spawn(async move {
            for n in 0.. {
                let number = from + task * 200_000 + n;
                writer.write(called(number));
                writer.write_durably(vec![settled(number, 1, number % 1000)]).await;
                println!("safe {number}");
            }
        }));
    }
    for task in tasks {
        let _ = task.await;
    }
}

#[tokio::test]
async fn postgres_gone_and_back_loses_nothing_and_counts_nothing_twice() {
    let Some(mut server) = Postgres::start() else {
        return;
    };
    let folder = Folder::new();
    let spool = folder.path().join("spool");
    let records = Records::open(&server.database()).await.unwrap();
    let writer = Writer::start(records.clone(), options(Some(spool.clone())));
    writer
        .write_durably((0..100).map(|n| settled(n, 1, 10)).collect())
        .await;
    assert_eq!(spent(&records, "daily").await, 1000);

    server.stop("QUIT");
    let begun = Instant::now();
    writer
        .write_durably((100..200).flat_map(|n| [settled(n, 1, 10), called(n)]).collect())
        .await;
    assert!(begun.elapsed() < Duration::from_secs(7), "{:?}", begun.elapsed());
    assert_eq!(writer.health().spooled, 200, "{:?}", writer.health());
    let failing = writer.health().failing.unwrap();
    assert!(!failing.contains("hunter2"), "{failing}");
    assert!(records.check().await.unwrap_err().is_transient());
    server.resume();
    until("drained", async || writer.health() == WriterHealth::default()).await;
    assert_eq!(spent(&records, "daily").await, 2000);

    // Stopped, not ended: it takes what is sent and never answers.
    server.signal_all("STOP");
    let begun = Instant::now();
    writer
        .write_durably((200..300).map(|n| settled(n, 1, 10)).collect())
        .await;
    assert!(begun.elapsed() < Duration::from_secs(12), "{:?}", begun.elapsed());
    server.signal_all("CONT");
    until("drained", async || writer.health() == WriterHealth::default()).await;
    assert_eq!(count(&records).await, (100, 300));
    assert_eq!(spent(&records, "daily").await, 3000);
    assert_eq!(files(&spool), Vec::<PathBuf>::new());
    writer.close().await;
}

#[tokio::test]
async fn strict_records_are_in_the_file_when_they_are_said_to_be() {
    let folder = Folder::new();
    let strict = RecordsOptions { strict: true };
    let records = Records::open_with(&sqlite_in(&folder), strict).await.unwrap();
    let writer = Writer::start(records, options(None));
    let other = Records::open(&sqlite_in(&folder)).await.unwrap();
    for n in 0..20 {
        writer.write_durably(vec![settled(n, 1, 1)]).await;
        assert_eq!(spent(&other, "daily").await, n + 1);
    }
    writer.close().await;
}
