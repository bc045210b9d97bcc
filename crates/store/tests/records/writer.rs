//! The writer's promises while the store is well.

use std::path::PathBuf;
use std::time::Duration;

use jumpseat_store::records::Records;
use jumpseat_store::records::entry::Entry;
use jumpseat_store::records::query::CallQuery;
use jumpseat_store::records::writer::{Writer, WriterOptions};
use types::ids::BudgetId;

use crate::samples::{WINDOW, called, reservation, settled};
use crate::stores::{Folder, sqlite_file};

pub fn options(spool: Option<PathBuf>) -> WriterOptions {
    WriterOptions {
        flush: Duration::from_millis(5),
        spool,
        spool_bytes_max: 64 << 20,
        queue_max: 10_000,
    }
}

pub async fn count(records: &Records) -> (usize, usize) {
    let query = CallQuery {
        limit: 1_000_000,
        ..CallQuery::default()
    };
    (
        records.calls(&query).await.unwrap().len(),
        records.attempts(&query).await.unwrap().len(),
    )
}

pub async fn spent(records: &Records, budget: &str) -> u64 {
    records.spent(&BudgetId::from(budget), WINDOW).await.unwrap().0
}

#[tokio::test]
async fn what_is_queued_is_written_within_the_flush_and_what_is_asked_for_at_once_at_once() {
    let (records, folder) = sqlite_file().await;
    let spool = folder.path().join("spool");
    let writer = Writer::start(records.clone(), options(Some(spool.clone())));
    for n in 0..3000 {
        writer.write(Entry::Reserved(reservation(n, 1, 5, "a")));
        writer.write(settled(n, 1, 10));
        writer.write(called(n));
    }
    writer.flush().await;
    assert_eq!(count(&records).await, (3000, 3000));
    assert_eq!(records.reserving_instances().await.unwrap(), []);
    assert_eq!(writer.health(), Default::default());
    writer.write_durably(vec![settled(9000, 1, 10), called(9000)]).await;
    assert_eq!(count(&records).await, (3001, 3001));
    writer.write(settled(9001, 1, 10));
    let begun = std::time::Instant::now();
    while count(&records).await.1 < 3002 {
        assert!(begun.elapsed() < Duration::from_secs(5));
        tokio::task::yield_now().await;
    }
    writer.write(called(9001));
    writer.close().await;
    assert_eq!(count(&records).await, (3002, 3002));
    assert_eq!(spent(&records, "daily").await, 30_020);
    assert!(!spool.exists(), "a spool that is not needed is not made");
    drop(Folder::new());
}
