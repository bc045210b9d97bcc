//! Where entries wait on disk while the store is gone: segments of JSON lines, each line with its checksum, synced at each batch.
//!
//! A segment begins with a line that names its version and is locked by the process that writes it, so that several gateways may
//! share a folder and a segment whose owner was killed is taken over by whoever starts next. A segment is deleted when all of it is
//! in the store; until then it is whole, and what is written twice after a crash is known to the store by its identity.
//! Nothing here waits for the store or decides when to drain: that is the task's.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tracing::{error, warn};

use crate::records::entry::Entry;
use crate::records::migrations::hexadecimal;

/// The version this program writes. Version 1: lines `{"sum":…,"entry":…}`, `sum` the first 16 hexadecimal digits of the SHA-256
/// of the entry's text.
const VERSION: u32 = 1;
/// A segment that has grown so large is followed by another.
const SEGMENT_BYTES: u64 = 16 << 20;
/// The most text that is read for one batch.
const READ_BYTES_MAX: u64 = 8 << 20;
const SUM_DIGITS: usize = 16;
const SEGMENT: &str = "spool";
const DAMAGED: &str = "damaged";
const REFUSED: &str = "refused";

/// The spool of one writer.
#[derive(Debug)]
pub struct Spool {
    folder: PathBuf,
    bytes_max: u64,
    /// The oldest first; only the last is written to.
    segments: VecDeque<Segment>,
    /// What [`Spool::next`] gave out and [`Spool::advance`] will pass over.
    given: Option<Given>,
    /// Names of segments made by this process.
    made: u64,
}

/// What became of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// Entries that were not kept, because they may be shed and their half of the spool is full.
    pub shed: u64,
}

#[derive(Debug)]
struct Segment {
    path: PathBuf,
    /// Locked as long as it is open.
    file: File,
    bytes: u64,
    /// Up to here it is in the store.
    read_bytes: u64,
    /// Entries that are not in the store yet.
    entries: u64,
    /// Nothing more is written to it.
    sealed: bool,
    /// Something in it could not be read.
    damaged: bool,
}

#[derive(Debug, Clone, Copy)]
struct Given {
    bytes: u64,
    entries: u64,
    damaged: bool,
}

#[derive(Serialize, Deserialize)]
struct Header {
    jumpseat_spool: u32,
}

#[derive(Serialize, Deserialize)]
struct Line<'a> {
    sum: &'a str,
    #[serde(borrow)]
    entry: &'a RawValue,
}

impl Spool {
    /// Opens a folder, making it when there is none, and takes over the segments that nobody holds.
    pub fn open(folder: &Path, bytes_max: u64) -> io::Result<Spool> {
        make_private(folder)?;
        let mut paths = Vec::new();
        for item in std::fs::read_dir(folder)? {
            let path = item?.path();
            if path.extension().is_some_and(|e| e == SEGMENT) {
                paths.push(path);
            }
        }
        // Names begin with the time.
        paths.sort();
        let mut segments = VecDeque::new();
        for path in paths {
            segments.extend(Segment::adopt(path)?);
        }
        Ok(Spool {
            folder: folder.to_owned(),
            bytes_max,
            segments,
            given: None,
            made: 0,
        })
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Entries that wait.
    pub fn len(&self) -> u64 {
        self.segments.iter().map(|s| s.entries).sum()
    }

    /// Appends a batch and syncs it. All of what must not be shed is there afterwards, or, with an error, nothing of the batch.
    pub fn append(&mut self, batch: &[Entry]) -> io::Result<Appended> {
        let mut lines = Vec::new();
        let (mut entries, mut shed) = (0, 0);
        let taken: u64 = self.segments.iter().map(|s| s.bytes).sum();
        for entry in batch {
            let before = lines.len();
            write_line(entry, &mut lines)?;
            let full = taken + lines.len() as u64 > self.bytes_max / 2;
            if entry.may_be_shed() && full {
                lines.truncate(before);
                shed += 1;
            } else {
                entries += 1;
            }
        }
        if taken + lines.len() as u64 > self.bytes_max {
            let message = format!("the spool is full: it may take {} bytes", self.bytes_max);
            return Err(io::Error::other(message));
        }
        if entries > 0 {
            self.open_segment()?.append(&lines, entries)?;
        }
        Ok(Appended { shed })
    }

    /// The oldest entries, at most `max`; `None` when there are none. The same again until [`Spool::advance`]. It may be an empty
    /// list, when nothing of what was there can be read.
    pub fn next(&mut self, max: usize) -> io::Result<Option<Vec<Entry>>> {
        // One whose first batch could not be written, nor undone, is nothing; those behind it are.
        while self.segments.len() > 1
            && self.segments.front().is_some_and(|s| s.entries == 0)
            && let Some(empty) = self.segments.pop_front()
        {
            empty.remove()?;
        }
        let Some(segment) = self.segments.front_mut().filter(|s| s.entries > 0) else {
            return Ok(None);
        };
        segment.sealed = true;
        let (entries, given) = segment.read(max)?;
        self.given = Some(given);
        Ok(Some(entries))
    }

    /// What [`Spool::next`] gave out last is in the store.
    pub fn advance(&mut self) -> io::Result<()> {
        let (Some(given), Some(segment)) = (self.given.take(), self.segments.front_mut()) else {
            return Ok(());
        };
        segment.read_bytes += given.bytes;
        segment.entries = segment.entries.saturating_sub(given.entries);
        segment.damaged |= given.damaged;
        if segment.read_bytes >= segment.bytes {
            segment.entries = 0;
        }
        if segment.entries == 0
            && let Some(done) = self.segments.pop_front()
        {
            done.remove()?;
        }
        Ok(())
    }

    /// Keeps an entry that the store will never take, for people to look at. It is not drained.
    pub fn keep_refused(&mut self, entry: &Entry) -> io::Result<()> {
        let mut lines = Vec::new();
        write_line(entry, &mut lines)?;
        let path = self.new_path(REFUSED);
        let mut file = create_private(&path)?;
        file.write_all(&header())?;
        file.write_all(&lines)?;
        file.sync_all()
    }

    /// The segment that is written to.
    fn open_segment(&mut self) -> io::Result<&mut Segment> {
        let fits = self
            .segments
            .back()
            .is_some_and(|s| !s.sealed && s.bytes < SEGMENT_BYTES);
        if !fits {
            let path = self.new_path(SEGMENT);
            self.segments.push_back(Segment::create(path)?);
        }
        Ok(self.segments.back_mut().expect("one was just added"))
    }

    /// A name that sorts after those before it and that no other process takes.
    fn new_path(&mut self, extension: &str) -> PathBuf {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.made += 1;
        let name = format!(
            "{:014}-{}-{:06}.{extension}",
            since.as_millis(),
            std::process::id(),
            self.made
        );
        self.folder.join(name)
    }
}

impl Segment {
    fn create(path: PathBuf) -> io::Result<Segment> {
        let file = create_private(&path)?;
        file.try_lock().map_err(io::Error::from)?;
        // The name is to survive a loss of power as well as the content.
        if let Some(folder) = path.parent() {
            File::open(folder)?.sync_all()?;
        }
        Ok(Segment {
            path,
            file,
            bytes: 0,
            read_bytes: 0,
            entries: 0,
            sealed: false,
            damaged: false,
        })
    }

    /// Takes over what another process left; `None` when it lives, or when there is nothing to take.
    fn adopt(path: PathBuf) -> io::Result<Option<Segment>> {
        let file = match OpenOptions::new().read(true).write(true).open(&path) {
            Ok(file) => file,
            // Its owner has drained it meanwhile.
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(e),
        };
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(e)) => return Err(e),
        }
        let (mut lines, mut bytes) = (0_u64, 0_u64);
        let mut reader = BufReader::with_capacity(1 << 16, &file);
        let mut first = Vec::new();
        bytes += reader.read_until(b'\n', &mut first)? as u64;
        if first.ends_with(b"\n") {
            match serde_json::from_slice::<Header>(&first) {
                Ok(header) if header.jumpseat_spool == VERSION => {}
                Ok(header) => {
                    let version = header.jumpseat_spool;
                    error!(
                        "`{}` is left alone: its version {version} is not this program's",
                        path.display()
                    );
                    return Ok(None);
                }
                Err(e) => {
                    error!("`{}` is left alone, it is no spool: {e}", path.display());
                    return Ok(None);
                }
            }
        }
        let head = if first.ends_with(b"\n") { bytes } else { 0 };
        let mut buffer = [0_u8; 1 << 16];
        let mut last = b'\n';
        loop {
            let n = reader.read(&mut buffer)?;
            if n == 0 {
                break;
            }
            bytes += n as u64;
            lines += buffer[..n].iter().filter(|&&b| b == b'\n').count() as u64;
            last = buffer[n - 1];
        }
        // A torn last line counts: reading it will tell of it.
        let torn = last != b'\n' || (head == 0 && bytes > 0);
        let entries = lines + u64::from(torn);
        let segment = Segment {
            path,
            file,
            bytes,
            read_bytes: head,
            entries,
            sealed: true,
            damaged: false,
        };
        if entries == 0 {
            segment.remove()?;
            return Ok(None);
        }
        Ok(Some(segment))
    }

    fn append(&mut self, lines: &[u8], entries: u64) -> io::Result<()> {
        let before = self.bytes;
        let head = if before == 0 { header() } else { Vec::new() };
        let written = self
            .file
            .seek(SeekFrom::Start(before))
            .and_then(|_| self.file.write_all(&[head.as_slice(), lines].concat()))
            .and_then(|()| self.file.sync_data());
        if let Err(e) = written {
            // Half a batch must not stand in the way of the next.
            if self.file.set_len(before).is_err() {
                self.sealed = true;
            }
            return Err(e);
        }
        if before == 0 {
            self.read_bytes = head.len() as u64;
        }
        self.bytes += (head.len() + lines.len()) as u64;
        self.entries += entries;
        Ok(())
    }

    fn read(&mut self, max: usize) -> io::Result<(Vec<Entry>, Given)> {
        self.file.seek(SeekFrom::Start(self.read_bytes))?;
        let mut reader = BufReader::with_capacity(1 << 16, &self.file);
        let mut given = Given {
            bytes: 0,
            entries: 0,
            damaged: false,
        };
        let mut entries = Vec::new();
        let mut line = Vec::new();
        while entries.len() < max && given.bytes < READ_BYTES_MAX {
            line.clear();
            let n = reader.read_until(b'\n', &mut line)?;
            if n == 0 {
                break;
            }
            given.bytes += n as u64;
            given.entries += 1;
            if !line.ends_with(b"\n") {
                // The process was killed while it wrote: nobody was told that this was safe.
                warn!("The last line of `{}` is torn and left out", self.path.display());
                continue;
            }
            match read_line(&line) {
                Ok(entry) => entries.push(entry),
                Err(why) => {
                    given.damaged = true;
                    error!(
                        "A line of `{}` at byte {} is left out: {why}",
                        self.path.display(),
                        self.read_bytes + given.bytes
                    );
                }
            }
        }
        Ok((entries, given))
    }

    /// Deletes it; what could not be read all is kept under another name.
    fn remove(self) -> io::Result<()> {
        if self.damaged {
            return std::fs::rename(&self.path, self.path.with_extension(DAMAGED));
        }
        std::fs::remove_file(&self.path)
    }
}

fn header() -> Vec<u8> {
    let mut line = serde_json::to_vec(&Header {
        jumpseat_spool: VERSION,
    })
    .expect("a number");
    line.push(b'\n');
    line
}

fn write_line(entry: &Entry, to: &mut Vec<u8>) -> io::Result<()> {
    let entry = serde_json::value::to_raw_value(entry)?;
    let sum = checksum(entry.get());
    serde_json::to_writer(
        &mut *to,
        &Line {
            sum: &sum,
            entry: &entry,
        },
    )?;
    to.push(b'\n');
    Ok(())
}

fn read_line(line: &[u8]) -> Result<Entry, String> {
    let line: Line<'_> = serde_json::from_slice(line).map_err(|e| e.to_string())?;
    if checksum(line.entry.get()) != line.sum {
        return Err("its checksum is wrong".to_owned());
    }
    serde_json::from_str(line.entry.get()).map_err(|e| e.to_string())
}

fn checksum(text: &str) -> String {
    let mut sum = hexadecimal(digest(&SHA256, text.as_bytes()).as_ref());
    sum.truncate(SUM_DIGITS);
    sum
}

/// A folder for its owner alone: what waits may hold texts.
fn make_private(folder: &Path) -> io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

fn create_private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn learned(n: u32) -> Entry {
        Entry::Learned {
            name: format!("name {n}"),
            value: "1".to_owned(),
        }
    }

    fn call(n: u32) -> Entry {
        let call = types::record::CallRecord {
            id: format!("call {n}"),
            ..Default::default()
        };
        Entry::Call(Box::new(call))
    }

    /// A folder of its own, gone when the test is over.
    struct Folder(PathBuf);

    impl Folder {
        fn new() -> Folder {
            let folder = Folder(std::env::temp_dir().join(format!("jumpseat-spool-{}", uuid::Uuid::new_v4())));
            make_private(&folder.0).unwrap();
            folder
        }

        fn files(&self) -> Vec<PathBuf> {
            let mut files: Vec<PathBuf> = std::fs::read_dir(&self.0).unwrap().map(|f| f.unwrap().path()).collect();
            files.sort();
            files
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    fn drained(spool: &mut Spool, at_once: usize) -> Vec<Entry> {
        let mut all = Vec::new();
        while let Some(entries) = spool.next(at_once).unwrap() {
            all.extend(entries);
            spool.advance().unwrap();
        }
        all
    }

    #[test]
    fn what_is_appended_comes_back_in_order_also_after_a_restart_and_then_the_folder_is_empty() {
        let folder = Folder::new();
        let entries: Vec<Entry> = (0..100).map(call).collect();
        let mut spool = Spool::open(&folder.0, 1 << 20).unwrap();
        for batch in entries.chunks(9) {
            assert_eq!(spool.append(batch).unwrap(), Appended { shed: 0 });
        }
        assert_eq!(spool.len(), 100);
        drop(spool);
        let mut spool = Spool::open(&folder.0, 1 << 20).unwrap();
        assert_eq!(spool.len(), 100);
        assert_eq!(
            spool.next(7).unwrap().unwrap(),
            entries[..7],
            "and again until it is advanced"
        );
        assert_eq!(drained(&mut spool, 7), entries);
        assert!(spool.is_empty());
        assert_eq!(folder.files(), Vec::<PathBuf>::new());
    }

    #[test]
    fn a_torn_last_line_is_left_out_and_a_damaged_one_keeps_its_file() {
        let folder = Folder::new();
        let mut spool = Spool::open(&folder.0, 1 << 20).unwrap();
        spool.append(&[call(1), call(2), call(3)]).unwrap();
        drop(spool);
        let path = folder.files().remove(0);
        let whole = std::fs::read(&path).unwrap();
        for cut in 1..whole.len() {
            std::fs::write(&path, &whole[..cut]).unwrap();
            let mut spool = Spool::open(&folder.0, 1 << 20).unwrap();
            let expected = whole[..cut].iter().filter(|&&b| b == b'\n').count().saturating_sub(1);
            assert_eq!(drained(&mut spool, 2).len(), expected, "cut at {cut}");
            assert_eq!(folder.files(), Vec::<PathBuf>::new());
        }
        let text = String::from_utf8(whole).unwrap().replace("call 2", "call 7");
        std::fs::write(&path, text).unwrap();
        let mut spool = Spool::open(&folder.0, 1 << 20).unwrap();
        assert_eq!(drained(&mut spool, 10), [call(1), call(3)]);
        assert_eq!(folder.files(), [path.with_extension(DAMAGED)]);
    }

    #[test]
    fn a_segment_of_a_newer_version_or_of_a_living_process_is_left_alone() {
        let folder = Folder::new();
        let newer = folder.0.join("00000000000001-1-000001.spool");
        std::fs::write(&newer, "{\"jumpseat_spool\":2}\nwhatever\n").unwrap();
        let mut living = Spool::open(&folder.0, 1 << 20).unwrap();
        living.append(&[call(1)]).unwrap();
        let other = Spool::open(&folder.0, 1 << 20).unwrap();
        assert!(other.is_empty());
        assert_eq!(drained(&mut living, 9), [call(1)]);
        assert_eq!(folder.files(), [newer]);
    }

    #[test]
    fn what_may_be_shed_gets_half_of_the_room_and_the_rest_all_of_it() {
        let folder = Folder::new();
        let mut spool = Spool::open(&folder.0, 20_000).unwrap();
        let mut shed = 0;
        for n in 0..1000 {
            shed += spool.append(&[learned(n)]).unwrap().shed;
        }
        assert!(shed > 0 && spool.len() == 1000 - shed);
        let mut kept = 0;
        while spool.append(&[call(kept)]).is_ok() {
            kept += 1;
        }
        assert!(kept > 5, "{kept}");
        let all = drained(&mut spool, 100);
        assert_eq!(all.len() as u64, 1000 - shed + u64::from(kept));
        assert!(spool.append(&[call(0)]).is_ok(), "there is room again");
    }

    #[test]
    fn a_segment_that_took_nothing_does_not_stand_in_the_way_of_the_next() {
        let folder = Folder::new();
        let mut spool = Spool::open(&folder.0, 1 << 20).unwrap();
        spool.open_segment().unwrap().sealed = true;
        spool.append(&[call(1)]).unwrap();
        assert_eq!(drained(&mut spool, 9), [call(1)]);
        assert!(spool.is_empty());
        assert_eq!(folder.files(), Vec::<PathBuf>::new());
    }
}
