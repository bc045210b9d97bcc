//! `jumpseat export`: calls, attempts or texts out of the store, as JSON lines, CSV or Parquet.
//!
//! It reads the store of the configuration page by page, beside a running gateway, and holds no more than a page and a row group in
//! memory. A file appears under its name when it is whole.

mod csv;
mod jsonl;
mod parquet;
mod rows;

use std::fs::File;
use std::io::{BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use gateway::clock::Clock;
use gateway::config::units::parse_retention;
use gateway::recorder::redact::Redactor;
use serde_json::json;
use store::records::Records;
use store::records::address::Address;
use store::records::query::CallQuery;
use types::ids::KeyId;
use types::time::UnixMillis;

use crate::cli::{ExportArgs, ExportFormat, ExportWhat};
use crate::export::rows::{Row, attempts, calls, payloads};
use crate::outcome::{CommandError, Ended};
use crate::source;

/// Rows read at once.
const PAGE: u32 = 1_000;
/// Between two lines of progress.
const PROGRESS: Duration = Duration::from_millis(200);

/// Runs it.
pub fn run(args: &ExportArgs, json: bool) -> Result<Ended, CommandError> {
    let source = source::load(args.config.as_deref())?;
    let config = &source.loaded.config;
    let now = Clock::real().now().wall;
    let query = CallQuery {
        since: time(args.since.as_deref(), now)?.unwrap_or(UnixMillis(0)),
        until: time(args.until.as_deref(), now)?.unwrap_or(now),
        key: args.key.as_deref().map(KeyId::from),
        route: args.route.clone(),
        after: None,
        limit: PAGE,
    };
    let mut kinds = config.record.redact.clone();
    kinds.extend(args.redact.iter().map(|kind| kind.kind()));
    let redactor = Redactor::new(&kinds);
    let format = format(args);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("failed to start the runtime")?;
    let exported = runtime.block_on(async {
        let records = open(&config.store.url).await?;
        let rows = export(&records, args, format, query, &redactor).await;
        records.close().await;
        rows
    })?;
    let what = args.what.word();
    match &args.output {
        Some(path) if json => println!("{}", json!({"exported": what, "rows": exported, "file": path})),
        Some(path) if *path != Path::new("-") => eprintln!("{exported} {what} in {}", path.display()),
        Some(_) | None => eprintln!("{exported} {what}"),
    }
    Ok(Ended::Fine)
}

/// The store, which must be there already: an export makes none.
async fn open(url: &str) -> anyhow::Result<Records> {
    if let Address::Sqlite(path) = Address::parse(url).context("failed to read `store.url`")? {
        let file = Path::new(&path);
        if !file.exists() {
            bail!("there is no store at `{}` (`store.url`)", file.display());
        }
    }
    Records::open(url).await.context("failed to open the store")
}

/// What is asked for by the format, else by the file's name, else JSON lines.
fn format(args: &ExportArgs) -> ExportFormat {
    let named = args
        .output
        .as_deref()
        .and_then(Path::extension)
        .and_then(|e| e.to_str());
    args.format.unwrap_or(match named {
        Some("csv") => ExportFormat::Csv,
        Some("parquet" | "pq") => ExportFormat::Parquet,
        Some(_) | None => ExportFormat::Jsonl,
    })
}

/// `7d` before now, a day or a time of RFC 3339 in UTC.
fn time(text: Option<&str>, now: UnixMillis) -> Result<Option<UnixMillis>, CommandError> {
    let Some(text) = text else { return Ok(None) };
    if let Ok(ago) = parse_retention(text) {
        return Ok(Some(UnixMillis(now.0.saturating_sub(ago.as_millis() as u64))));
    }
    let whole = match text.len() {
        10 => format!("{text}T00:00:00Z"),
        _ => text.to_owned(),
    };
    match whole.parse::<jiff::Timestamp>() {
        Ok(time) => Ok(Some(UnixMillis(time.as_millisecond().max(0) as u64))),
        Err(_) => Err(CommandError::Usage(format!(
            "error: `{text}` is no time: write it like 7d, 2026-11-01 or 2026-11-01T12:00:00Z"
        ))),
    }
}

async fn export(
    records: &Records,
    args: &ExportArgs,
    format: ExportFormat,
    query: CallQuery,
    redactor: &Redactor,
) -> anyhow::Result<u64> {
    let target = Target::open(args.output.as_deref(), format)?;
    let progress = Progress::begin(args.what.word(), &query);
    let (rows, target) = match args.what {
        ExportWhat::Calls => write_all(calls(records, query), format, target, progress).await?,
        ExportWhat::Attempts => write_all(attempts(records, query), format, target, progress).await?,
        ExportWhat::Payloads => write_all(payloads(records, query, redactor), format, target, progress).await?,
    };
    target.keep()?;
    Ok(rows)
}

/// Writes every row of a source in a format.
async fn write_all<R: Row>(
    mut source: impl rows::Source<Row = R>,
    format: ExportFormat,
    target: Target,
    mut progress: Progress,
) -> anyhow::Result<(u64, Target)> {
    let mut rows = 0;
    let mut sheet = Sheet::<R>::begin(format, target)?;
    loop {
        let page = source.next_page().await?;
        let Some(last) = page.last() else { break };
        progress.tell(rows, last.at());
        rows += page.len() as u64;
        sheet.write(&page)?;
    }
    progress.end();
    Ok((rows, sheet.finish()?))
}

/// A page's way into bytes.
enum Sheet<R: Row> {
    Jsonl(Target, std::marker::PhantomData<R>),
    Csv(Target),
    Parquet(Box<parquet::Writer<R>>),
}

impl<R: Row> Sheet<R> {
    fn begin(format: ExportFormat, mut target: Target) -> anyhow::Result<Sheet<R>> {
        Ok(match format {
            ExportFormat::Jsonl => Sheet::Jsonl(target, std::marker::PhantomData),
            ExportFormat::Csv => {
                csv::head::<R>(&mut target)?;
                Sheet::Csv(target)
            }
            ExportFormat::Parquet => Sheet::Parquet(Box::new(parquet::Writer::begin(target)?)),
        })
    }

    fn write(&mut self, page: &[R]) -> anyhow::Result<()> {
        match self {
            Sheet::Jsonl(target, _) => page.iter().try_for_each(|row| jsonl::line(target, row))?,
            Sheet::Csv(target) => page.iter().try_for_each(|row| csv::line(target, row))?,
            Sheet::Parquet(writer) => writer.write(page)?,
        }
        Ok(())
    }

    fn finish(self) -> anyhow::Result<Target> {
        match self {
            Sheet::Jsonl(target, _) | Sheet::Csv(target) => Ok(target),
            Sheet::Parquet(writer) => writer.finish(),
        }
    }
}

/// Where bytes go: standard output, or a file that gets its name when it is whole.
pub enum Target {
    /// Standard output.
    Out(BufWriter<std::io::Stdout>),
    /// A file.
    File {
        /// Written beside it.
        file: BufWriter<File>,
        /// Its name so far.
        partial: PathBuf,
        /// Its name in the end.
        path: PathBuf,
    },
}

impl Target {
    fn open(path: Option<&Path>, format: ExportFormat) -> anyhow::Result<Target> {
        let Some(path) = path.filter(|path| *path != Path::new("-")) else {
            if format == ExportFormat::Parquet && std::io::stdout().is_terminal() {
                bail!("Parquet is nothing for a terminal: name a file with `-o`");
            }
            return Ok(Target::Out(BufWriter::new(std::io::stdout())));
        };
        let mut partial = path.as_os_str().to_owned();
        partial.push(".partial");
        let partial = PathBuf::from(partial);
        let file = create(&partial).with_context(|| format!("failed to write {}", partial.display()))?;
        Ok(Target::File {
            file: BufWriter::new(file),
            partial,
            path: path.to_owned(),
        })
    }

    fn keep(mut self) -> anyhow::Result<()> {
        self.flush()?;
        if let Target::File { partial, path, .. } = &self {
            std::fs::rename(partial, path).with_context(|| format!("failed to write {}", path.display()))?;
        }
        Ok(())
    }
}

/// Who called and what was said is nobody else's to read.
fn create(path: &Path) -> std::io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = File::options();
    options.write(true).create(true).truncate(true).mode(0o600).open(path)
}

impl Write for Target {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        match self {
            Target::Out(out) => out.write(bytes),
            Target::File { file, .. } => file.write(bytes),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        match self {
            Target::Out(out) => out.flush(),
            Target::File { file, .. } => file.flush(),
        }
    }
}

/// How far it is, on a terminal: by the time that the rows have reached.
struct Progress {
    what: &'static str,
    shown: bool,
    since: Option<UnixMillis>,
    until: UnixMillis,
    last: Option<Instant>,
}

impl Progress {
    fn begin(what: &'static str, query: &CallQuery) -> Progress {
        Progress {
            what,
            shown: std::io::stderr().is_terminal(),
            since: (query.since.0 > 0).then_some(query.since),
            until: query.until,
            last: None,
        }
    }

    fn tell(&mut self, rows: u64, at: UnixMillis) {
        if !self.shown || self.last.is_some_and(|last| last.elapsed() < PROGRESS) {
            return;
        }
        self.last = Some(Instant::now());
        // Without `--since` the first row is the beginning.
        let since = *self.since.get_or_insert(at);
        let (done, whole) = (
            at.0.saturating_sub(since.0),
            self.until.0.saturating_sub(since.0).max(1),
        );
        let share = (done as f64 / whole as f64).min(1.0);
        let bar = "█".repeat((share * 30.0) as usize);
        eprint!("\r{bar:░<30} {:3.0} %  {rows} {}", share * 100.0, self.what);
    }

    fn end(&self) {
        if self.last.is_some() {
            eprint!("\r\x1b[K");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_from_now_or_by_the_calendar() {
        let now = UnixMillis(1_795_219_200_000);
        for (text, expected) in [
            ("7d", 1_795_219_200_000 - 7 * 86_400_000),
            ("90d", 1_795_219_200_000 - 90 * 86_400_000),
            ("2026-11-21", 1_795_219_200_000),
            ("2026-11-21T01:00:00+01:00", 1_795_219_200_000),
        ] {
            assert_eq!(time(Some(text), now).unwrap(), Some(UnixMillis(expected)), "{text}");
        }
        assert!(time(Some("yesterday"), now).is_err() && time(None, now).unwrap().is_none());
    }
}
