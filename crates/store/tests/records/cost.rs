//! What a batch costs. Read by people: `cargo test --release -p jumpseat-store --test records cost -- --nocapture`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jumpseat_store::records::Records;
use jumpseat_store::records::entry::Entry;
use jumpseat_store::records::writer::Writer;

use crate::samples::{called, settled};
use crate::servers::Postgres;
use crate::stores::sqlite_file;
use crate::writer::options;

/// Calls, each with a line of the ledger, in batches of 500; also proof that nothing grows with the store.
#[tokio::test]
async fn a_call_costs_some_microseconds_of_cpu() {
    let (records, _folder) = sqlite_file().await;
    let calls: u64 = if cfg!(debug_assertions) { 5_000 } else { 200_000 };
    let begun = Instant::now();
    for from in (0..calls).step_by(500) {
        let batch: Vec<Entry> = (from..from + 500)
            .flat_map(|n| [usual(settled(n, 1, 100)), usual(called(n))])
            .collect();
        records.write_shared(Arc::new(batch)).await.unwrap();
    }
    let wall = begun.elapsed();
    let each = cpu_of("records-write").as_nanos() as f64 / calls as f64 / 1000.0;
    eprintln!(
        "{calls} calls: {each:.2} µs of CPU each, {:.0} a second",
        calls as f64 / wall.as_secs_f64()
    );
    let most = if cfg!(debug_assertions) { 300.0 } else { 30.0 };
    assert!(each < most, "{each} µs a call");
}

/// What a call itself pays: two entries into the queue.
#[tokio::test]
async fn queueing_costs_a_call_next_to_nothing() {
    let (records, folder) = sqlite_file().await;
    let mut options = options(Some(folder.path().join("spool")));
    options.queue_max = 1_000_000;
    options.flush = Duration::from_millis(50);
    let writer = Writer::start(records, options);
    let calls: u64 = if cfg!(debug_assertions) { 2_000 } else { 50_000 };
    let entries: Vec<[Entry; 2]> = (0..calls)
        .map(|n| [usual(settled(n, 1, 100)), usual(called(n))])
        .collect();
    let begun = Instant::now();
    for [attempt, call] in entries {
        writer.write(attempt);
        writer.write(call);
    }
    let each = begun.elapsed().as_nanos() as f64 / calls as f64 / 1000.0;
    writer.close().await;
    eprintln!("{each:.3} µs a call to queue it");
    assert!(
        each < if cfg!(debug_assertions) { 500.0 } else { 20.0 },
        "{each} µs a call"
    );
}

/// Read by people; a server's speed is not ours to assert.
#[tokio::test]
async fn a_batch_of_postgres_is_a_few_round_trips() {
    let Some(server) = Postgres::start() else {
        return;
    };
    let records = Records::open(&server.database()).await.unwrap();
    let calls: u64 = if cfg!(debug_assertions) { 1_000 } else { 50_000 };
    let begun = Instant::now();
    for from in (0..calls).step_by(500) {
        let batch: Vec<Entry> = (from..from + 500)
            .flat_map(|n| [usual(settled(n, 1, 100)), usual(called(n))])
            .collect();
        records.write_shared(Arc::new(batch)).await.unwrap();
    }
    let wall = begun.elapsed();
    let batches = calls / 500;
    eprintln!(
        "{:.0} calls a second, {:?} a batch of 500",
        calls as f64 / wall.as_secs_f64(),
        wall / batches as u32
    );
}

/// As most calls are: without what is rare.
fn usual(entry: Entry) -> Entry {
    match entry {
        Entry::Call(mut call) => {
            call.tags.truncate(1);
            call.features = vec![];
            call.fallback_reason = None;
            call.session = None;
            call.requested_model = "gpt-4o".to_owned();
            Entry::Call(call)
        }
        Entry::Settled(mut attempt) => {
            attempt.charges.truncate(1);
            Entry::Settled(attempt)
        }
        Entry::Reserved(_) | Entry::Payload(_) | Entry::Response(_) | Entry::Learned { .. } => entry,
    }
}

/// CPU that the threads of this name have used (Linux; elsewhere nothing is measured).
fn cpu_of(name: &str) -> Duration {
    let Ok(tasks) = std::fs::read_dir("/proc/self/task") else {
        return Duration::ZERO;
    };
    let mut sum = 0;
    for task in tasks {
        let task = task.unwrap().path();
        if std::fs::read_to_string(task.join("comm")).unwrap().trim() == name {
            let stat = std::fs::read_to_string(task.join("schedstat")).unwrap();
            sum += stat.split_whitespace().next().unwrap().parse::<u64>().unwrap();
        }
    }
    Duration::from_nanos(sum)
}
