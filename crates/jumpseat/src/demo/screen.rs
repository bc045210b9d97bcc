//! What a person sees: the opening, a line a second, the summary, and what to try. Colours only on a terminal that wants them.
//!
//! Nothing is reckoned here. Lines keep to about 100 columns.

use std::io::{self, IsTerminal, Write};

use serde_json::Value;

use crate::demo::stage::{DIALECTS, Stage, TARGETS};
use crate::demo::story::Act;
use crate::demo::summary::Summary;
use crate::demo::tally::{Counts, Tally, TargetTally, count};
use crate::demo::traffic::chat;
use crate::table::table;

/// Calls of one second shown as digits; more end in `…`.
const SERVED_SHOWN_MAX: usize = 16;

/// Where the story is told.
pub struct Screen {
    out: Box<dyn Write>,
    coloured: bool,
}

#[derive(Clone, Copy)]
enum Paint {
    Bold = 1,
    Dim = 2,
    Red = 31,
    Green = 32,
    Yellow = 33,
}

impl Screen {
    /// Standard output.
    pub fn of_people() -> Screen {
        Screen::new(Box::new(io::stdout()), io::stdout().is_terminal())
    }

    /// Standard error: standard output is a machine's.
    pub fn beside() -> Screen {
        Screen::new(Box::new(io::stderr()), io::stderr().is_terminal())
    }

    fn new(out: Box<dyn Write>, terminal: bool) -> Screen {
        let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        Screen {
            out,
            coloured: terminal && !dumb && !set("NO_COLOR"),
        }
    }

    /// Tells a line. It fails when nobody reads any more; then the story ends.
    pub fn line(&mut self, text: impl AsRef<str>) -> io::Result<()> {
        writeln!(self.out, "{}", text.as_ref())?;
        self.out.flush()
    }

    /// What this is, who is in it, and where to look.
    pub fn opening(&mut self, stage: &Stage, once: bool) -> io::Result<()> {
        let title = self.paint(Paint::Bold, "Jumpseat");
        self.line(format!(
            "{title} is one endpoint in front of every LLM provider: one URL and one key for your application."
        ))?;
        self.line(
            "When a provider fails, stalls or grows slow, another one answers. See it happen: three fake providers,",
        )?;
        self.line(
            "a real gateway and a little traffic in this one process. No keys, no network, about twenty seconds.",
        )?;
        self.line("")?;
        let arrows = [
            "                             ┌─▶",
            "your application ─▶ Jumpseat ┼─▶",
            "                             └─▶",
        ];
        for (tier, (arrow, target)) in arrows.iter().zip(TARGETS).enumerate() {
            let name = self.paint(Paint::Bold, &format!("{} {target:<14}", tier + 1));
            let first = ["is asked first", "when 1 fails", "when 1 and 2 fail"][tier];
            self.line(format!("  {arrow} {name} speaks {:<19} {first}", DIALECTS[tier]))?;
        }
        self.line("")?;
        self.line("Breakers open for 2 to 4 seconds here, so that you need not wait; by default it is 30 s to 5 min.")?;
        self.line(
            "In the lines below, one a second, each digit of `served by` is a call and the provider that answered it.",
        )?;
        self.line(format!(
            "Every number is read from http://{}/metrics",
            stage.gateway.admin
        ))?;
        self.line(format!("The gateway's log is {}", stage.log.display()))?;
        if !once {
            self.line("Ctrl-C ends it all at any time.")?;
        }
        self.line("")?;
        let head = self.paint(
            Paint::Dim,
            &row(["s", "calls", "failed", "p95"], "served by", "breakers", "fallbacks"),
        );
        self.line(head)
    }

    /// An act begins.
    pub fn act(&mut self, number: usize, act: &Act) -> io::Result<()> {
        let title = self.paint(Paint::Bold, &format!("{number}. {}", act.title));
        let notice = self.paint(Paint::Dim, act.notice);
        self.line(format!("\n{title}\n   {notice}"))
    }

    /// One second of traffic.
    pub fn second(&mut self, second: u32, came: &Tally) -> io::Result<()> {
        let (calls, failed) = (came.ended().to_string(), came.failed().to_string());
        let p95 = duration(came.p95());
        let states = states(&came.targets);
        let numbers = [second.to_string(), calls, failed, p95];
        let line = row(
            numbers.each_ref().map(String::as_str),
            &served(&came.targets),
            &states,
            &words(&came.fallbacks),
        );
        let paint = match () {
            () if came.failed() > 0 => Some(Paint::Red),
            () if !came.fallbacks.is_empty() => Some(Paint::Yellow),
            () if came.ended() > 0 => Some(Paint::Green),
            () => None,
        };
        let line = paint.map_or(line.clone(), |paint| self.paint(paint, &line));
        self.line(line)
    }

    /// The numbers of the whole story, and what they mean.
    pub fn summary(&mut self, summary: &Summary) -> io::Result<()> {
        let total = &summary.total;
        let title = self.paint(Paint::Bold, &format!("In {:.0} seconds, by /metrics", summary.seconds));
        self.line(format!("\n{title}"))?;
        let mut rows = table(["target", "calls served", "attempts failed", "p95", "breaker opened"]);
        for target in &total.targets {
            let failures = target.failures();
            let failed = match failures.values().sum::<u64>() {
                0 => "0".to_owned(),
                all => format!("{all} ({})", words(&failures)),
            };
            let times = match target.opened {
                0 => "never".to_owned(),
                opened => format!("{opened} times, now {}", target.state()),
            };
            rows.add_row([
                target.target.clone(),
                target.served().to_string(),
                failed,
                duration(target.p95()),
                times,
            ]);
        }
        for line in rows.trim_fmt().lines() {
            self.line(format!(" {line}"))?;
        }
        let fell: u64 = total.fallbacks.values().sum();
        self.line(format!(
            "  calls {} · answered {} · p95 {}",
            total.ended(),
            total.answered(),
            duration(total.p95())
        ))?;
        self.line(format!("  fallbacks {fell} ({})", words(&total.fallbacks)))?;
        let verdict = format!("  failures seen by the client: {}", total.failed());
        let verdict = self.paint(if summary.is_well() { Paint::Green } else { Paint::Red }, &verdict);
        let (sent, failed) = (summary.seen.sent, summary.seen.failed);
        self.line(format!(
            "{verdict} (the client's own count: {sent} calls, {failed} failed)"
        ))?;
        for failure in &summary.seen.failures {
            self.line(format!("    {failure}"))?;
        }
        self.meaning(summary)
    }

    fn meaning(&mut self, summary: &Summary) -> io::Result<()> {
        let total = &summary.total;
        let fell: u64 = total.fallbacks.values().sum();
        let wasted: u64 = total.targets[0].failures().values().sum();
        let spared = count(&total.fallbacks, "breaker_open");
        let title = self.paint(Paint::Bold, "What you just saw");
        self.line(format!("\n{title}"))?;
        let calls = total.ended();
        self.line(format!("  {fell} of {calls} calls could not be served by the primary: others answered, in API dialects of their own."))?;
        self.line(format!("  The sick primary cost {wasted} attempts; its breaker spared {spared} calls the wait, they did not even try it."))?;
        match summary.recovered_after() {
            Some(seconds) => self.line(format!("  Once it was well, one call made sure, and within {seconds} s it served again. Nobody touched anything.")),
            None => self.line("  It is well, but not back in use yet: see the log."),
        }
    }

    /// What can be tried while everything goes on running.
    pub fn open_house(&mut self, stage: &Stage) -> io::Result<()> {
        let (data, primary) = (stage.gateway.data, stage.providers[0]);
        let title = self.paint(Paint::Bold, "Your turn: everything goes on running until Ctrl-C");
        self.line(format!("\n{title}"))?;
        let tries = [
            (
                "a call; the x-jumpseat-… headers say who answered",
                format!("curl -i http://{data}/v1/chat/completions -d '{}'", chat(false)),
            ),
            (
                "the same as a stream",
                format!("curl -N http://{data}/v1/chat/completions -d '{}'", chat(true)),
            ),
            (
                "break the primary, any way that docs/fake.md knows",
                format!("curl -X PUT http://{primary}/fake/script -d '{{\"then\":\"503\"}}'"),
            ),
            ("mend it", format!("curl -X DELETE http://{primary}/fake/script")),
        ];
        for (what, command) in tries {
            let what = self.paint(Paint::Dim, &format!("# {what}"));
            self.line(format!("  {what}\n  {command}"))?;
        }
        self.line(format!(
            "  Admin: http://{}  (/metrics, /targets, /ready)",
            stage.gateway.admin
        ))?;
        self.line(format!(
            "  OpenAI's SDKs: base_url http://{data}/v1, any key, model \"{}\"",
            crate::demo::stage::ROUTE
        ))
    }

    fn paint(&self, paint: Paint, text: &str) -> String {
        if self.coloured {
            format!("\x1b[{}m{text}\x1b[0m", paint as u8)
        } else {
            text.to_owned()
        }
    }
}

/// Prints JSON to standard output.
pub fn print_json(value: &Value) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{value:#}")?;
    out.flush()
}

fn row([second, calls, failed, p95]: [&str; 4], served: &str, states: &str, fallbacks: &str) -> String {
    let line = format!("  {second:>2}  {calls:>5}  {failed:>6}  {p95:>6}  {served:<17}  {states:<19}  {fallbacks}");
    line.trim_end().to_owned()
}

/// A digit a call: the tier that answered it.
fn served(targets: &[TargetTally]) -> String {
    let digits = targets
        .iter()
        .enumerate()
        .map(|(tier, t)| (tier + 1).to_string().repeat(t.served() as usize));
    let digits: String = digits.collect();
    match digits.get(..SERVED_SHOWN_MAX) {
        Some(shown) if digits.len() > SERVED_SHOWN_MAX => format!("{shown}…"),
        _ => digits,
    }
}

/// The targets that do not take every call: `1 open, 2 resting`.
fn states(targets: &[TargetTally]) -> String {
    let idle = targets.iter().enumerate().filter(|(_, t)| !t.is_in_use());
    idle.map(|(tier, t)| format!("{} {}", tier + 1, t.state()))
        .collect::<Vec<_>>()
        .join(", ")
}

fn words(counts: &Counts) -> String {
    counts
        .iter()
        .map(|(word, n)| format!("{n} {word}"))
        .collect::<Vec<_>>()
        .join(", ")
}

fn duration(seconds: Option<f64>) -> String {
    match seconds {
        None => "-".to_owned(),
        Some(seconds) if seconds < 0.9995 => format!("{:.0} ms", seconds * 1000.0),
        Some(seconds) => format!("{seconds:.1} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_at_a_glance() {
        for (seconds, text) in [
            (None, "-"),
            (Some(0.0873), "87 ms"),
            (Some(0.9999), "1.0 s"),
            (Some(1.52), "1.5 s"),
        ] {
            assert_eq!(duration(seconds), text);
        }
    }

    #[test]
    fn a_row_keeps_its_columns_and_ends_without_blanks() {
        assert_eq!(
            row(["1", "8", "0", "90 ms"], "11111111", "", ""),
            "   1      8       0   90 ms  11111111"
        );
    }
}
