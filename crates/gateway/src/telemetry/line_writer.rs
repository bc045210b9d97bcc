//! Writes lines off the call's path: a bounded queue, one thread, batches.
//!
//! At the limit lines are shed and counted: a full disk or a slow pipe never slows a call.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Lines that may wait. At 500 bytes a line this bounds the queue to about 8 MB.
const QUEUE_LEN_MAX: usize = 16_384;
/// Bytes written at once.
const BATCH_BYTES: usize = 64 * 1024;
/// How long the first line of a batch waits for company: one wake-up then serves many calls.
const BATCH_WAIT: Duration = Duration::from_millis(5);

/// How long a flush waits for a sink that takes nothing.
const FLUSH_WAIT: Duration = Duration::from_secs(1);

/// The sending end; cheap to clone.
#[derive(Debug, Clone)]
pub struct LineWriter {
    lines: SyncSender<Message>,
    shed: Arc<AtomicU64>,
}

#[derive(Debug)]
enum Message {
    Lines(Vec<u8>),
    /// Write out what is there and answer.
    Flush(SyncSender<()>),
}

impl LineWriter {
    /// Starts the thread that writes to `sink`. It ends, everything written, when the last writer is dropped.
    pub fn start(sink: Box<dyn Write + Send>) -> (LineWriter, JoinHandle<()>) {
        let (lines, queue) = sync_channel(QUEUE_LEN_MAX);
        let shed = Arc::new(AtomicU64::new(0));
        let counter = shed.clone();
        let thread = std::thread::Builder::new()
            .name("log-writer".into())
            .spawn(move || write_batches(queue, sink, &counter))
            .expect("a thread can be started at start-up");
        (LineWriter { lines, shed }, thread)
    }

    /// Queues lines, their line feeds included.
    pub fn write(&self, lines: Vec<u8>) {
        let count = count(&lines);
        if self.lines.try_send(Message::Lines(lines)).is_err() {
            self.shed.fetch_add(count, Ordering::Relaxed);
        }
    }

    /// Returns when everything queued before is written, or after a second: nobody may be reading the other end of a
    /// pipe, and a process that is told to stop must stop.
    pub fn flush(&self) {
        let (done, wait) = sync_channel(1);
        let begun = Instant::now();
        let mut message = Message::Flush(done);
        while let Err(TrySendError::Full(unsent)) = self.lines.try_send(message) {
            if begun.elapsed() > FLUSH_WAIT {
                return;
            }
            message = unsent;
            std::thread::sleep(BATCH_WAIT);
        }
        // An error means that the writer is gone: then there is nothing left to wait for.
        let _ = wait.recv_timeout(FLUSH_WAIT);
    }

    /// Lines shed since the start: the queue was full or the sink refused them.
    pub fn shed(&self) -> u64 {
        self.shed.load(Ordering::Relaxed)
    }
}

fn write_batches(queue: Receiver<Message>, mut sink: Box<dyn Write + Send>, shed: &AtomicU64) {
    let mut batch = Vec::with_capacity(BATCH_BYTES);
    while let Ok(first) = queue.recv() {
        let mut waiting_for_flush = Vec::new();
        if matches!(first, Message::Lines(_)) {
            std::thread::sleep(BATCH_WAIT);
        }
        let mut next = Some(first);
        while let Some(message) = next {
            match message {
                Message::Lines(some) => {
                    batch.extend_from_slice(&some);
                }
                Message::Flush(done) => waiting_for_flush.push(done),
            }
            next = if batch.len() < BATCH_BYTES {
                queue.try_recv().ok()
            } else {
                None
            };
        }
        if sink.write_all(&batch).and_then(|()| sink.flush()).is_err() {
            shed.fetch_add(count(&batch), Ordering::Relaxed);
        }
        batch.clear();
        for done in waiting_for_flush {
            let _ = done.send(());
        }
    }
}

fn count(lines: &[u8]) -> u64 {
    lines.iter().filter(|byte| **byte == b'\n').count() as u64
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, buf: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(buf);
            Ok(buf.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    struct FullDisk;

    impl Write for FullDisk {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::StorageFull.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_come_out_whole_and_in_order() {
        let sink = Shared::default();
        let (writer, thread) = LineWriter::start(Box::new(sink.clone()));
        for n in 0..1000 {
            writer.write(format!("{n}\n").into_bytes());
        }
        writer.flush();
        let written = String::from_utf8(sink.0.lock().unwrap().clone()).unwrap();
        assert_eq!(
            written.lines().collect::<Vec<_>>(),
            (0..1000).map(|n| n.to_string()).collect::<Vec<_>>()
        );
        drop(writer);
        thread.join().unwrap();
    }

    #[test]
    fn a_full_disk_sheds_lines_and_counts_them() {
        let (writer, thread) = LineWriter::start(Box::new(FullDisk));
        writer.write(b"lost\n".to_vec());
        writer.flush();
        assert_eq!(writer.shed(), 1);
        drop(writer);
        thread.join().unwrap();
    }
}
