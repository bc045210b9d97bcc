//! The operations log: what people should know of the gateway's own state, beside the call log.

use std::io::{self, Write};
use std::sync::Mutex;

use anyhow::Context;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::log::{Log, LogFormat, LogLevel};
use crate::telemetry::line_writer::LineWriter;

/// Opens where lines go: the file of `log.file`, else standard output.
pub fn sink(log: &Log) -> anyhow::Result<Box<dyn Write + Send>> {
    match &log.file {
        None => Ok(Box::new(io::stdout())),
        Some(path) => {
            let file = std::fs::OpenOptions::new().create(true).append(true).open(path);
            let file = file.with_context(|| format!("failed to open `log.file` {}", path.display()))?;
            Ok(Box::new(file))
        }
    }
}

/// Sends tracing's events to the writer. `RUST_LOG` overrules `log.level`. A second call changes nothing.
pub fn install(log: &Log, writer: LineWriter) {
    let asked = std::env::var("RUST_LOG")
        .ok()
        .and_then(|text| text.parse::<Targets>().ok());
    let filter = asked.unwrap_or_else(|| Targets::new().with_default(level(log.level)));
    let lines = Lines(writer);
    let layer = tracing_subscriber::fmt::layer().with_writer(lines).with_target(false);
    // Tests and the demo start several gateways in one process; the first one's log serves.
    let _ = match log.format {
        LogFormat::Json => {
            let layer = layer.json().flatten_event(true).with_filter(filter);
            tracing_subscriber::registry().with(layer).try_init()
        }
        LogFormat::Text => {
            let layer = layer.with_ansi(false).with_filter(filter);
            tracing_subscriber::registry().with(layer).try_init()
        }
    };
}

fn level(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    }
}

struct Lines(LineWriter);

/// Collects what tracing writes for one event and queues it whole.
struct LineBuffer {
    writer: LineWriter,
    line: Mutex<Vec<u8>>,
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = LineBuffer;

    fn make_writer(&'a self) -> LineBuffer {
        LineBuffer {
            writer: self.0.clone(),
            line: Mutex::default(),
        }
    }
}

impl Write for LineBuffer {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        crate::fleet::memory::lock(&self.line).extend_from_slice(buf);
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for LineBuffer {
    fn drop(&mut self) {
        let line = std::mem::take(&mut *crate::fleet::memory::lock(&self.line));
        if !line.is_empty() {
            self.writer.write(line);
        }
    }
}
