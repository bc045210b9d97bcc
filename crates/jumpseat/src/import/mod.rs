//! `jumpseat import`: another gateway's configuration as one of ours, and line by line what could not be carried over.
//!
//! It reads one file and writes one; it asks no provider and reads no environment variable. A literal secret of the source is
//! written nowhere: see [`secrets`]. Start at [`run`].

mod address;
mod draft;
mod facts;
mod litellm;
mod plan;
mod reader;
mod report;
mod secrets;
mod tensorzero;
mod toml_tree;
mod yaml;

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::path::Path;

use anyhow::Context;
use gateway::config;
use gateway::config::env::{Env, MapEnv};
use gateway::config::node::Node;
use gateway::config::notice::{ConfigErrors, Notice};
use serde_json::json;

use crate::cli::{ImportArgs, ImportFrom};
use crate::outcome::{CommandError, Ended};

use draft::Draft;
use facts::Facts;
use report::{Finding, Kind};

/// What came out of an import.
struct Imported {
    /// The configuration; `None` when nothing could be written.
    text: Option<String>,
    findings: Vec<Finding>,
    /// The environment variables that the configuration reads.
    variables: Vec<String>,
    providers: usize,
    routes: usize,
}

/// Runs it.
pub fn run(args: &ImportArgs, as_json: bool) -> Result<Ended, CommandError> {
    let shown = args.source.display().to_string();
    let source = std::fs::read_to_string(&args.source)
        .map_err(|error| CommandError::Usage(format!("error: {shown}: cannot be read: {error}")))?;
    if let Some(output) = args.output.as_deref().filter(|o| !args.force && o.exists()) {
        return Err(exists(output));
    }
    let name = args.source.file_name().map(|n| n.to_string_lossy().into_owned());
    let imported =
        import(args.from, &source, &name.unwrap_or_else(|| shown.clone())).map_err(|error| CommandError::Config {
            file: shown.clone(),
            errors: ConfigErrors {
                errors: vec![error],
                warnings: Vec::new(),
            },
        })?;
    if let (Some(output), Some(text)) = (&args.output, &imported.text) {
        write(output, text, args.force)?;
    }
    match as_json {
        true => {
            let told = json!({
                "source": shown,
                "output": args.output,
                "configuration": imported.text,
                "providers": imported.providers,
                "routes": imported.routes,
                "environment": imported.variables,
                "findings": imported.findings,
            });
            println!("{told}");
        }
        false => tell(&imported, args.output.as_deref(), &shown),
    }
    Ok(match imported.text {
        Some(_) => Ended::Fine,
        None => Ended::NotWell,
    })
}

fn import(from: ImportFrom, source: &str, file: &str) -> Result<Imported, Notice> {
    let (tree, facts) = match from {
        ImportFrom::Litellm => (Node::parse(source)?, include_str!("litellm.yaml")),
        ImportFrom::Tensorzero => (toml_tree::parse(source)?, include_str!("tensorzero.yaml")),
    };
    let facts = Facts::shipped(facts);
    let mut draft = Draft::new(file, &facts);
    match from {
        ImportFrom::Litellm => litellm::import(&tree, &mut draft),
        ImportFrom::Tensorzero => tensorzero::import(&tree, &mut draft),
    }
    let (providers, routes) = draft.plan.counts();
    let head = [
        format!("Made by `jumpseat import {}` from {file}.", from.word()),
        "Comments tell what needs a look; what could not be carried over is in the list that the command printed."
            .to_owned(),
    ];
    let text = draft.plan.text(&head);
    draft.secrets.keep_read(&text);
    let variables: Vec<String> = draft.secrets.variables().map(str::to_owned).collect();
    let mut findings = draft.report.finish();
    if providers == 0 {
        findings.push(whole(
            Kind::NotCarriedOver,
            "nothing could be written: there is no provider to write",
        ));
        return Ok(Imported {
            text: None,
            findings,
            variables: Vec::new(),
            providers,
            routes,
        });
    }
    findings.extend(judged(&text, &variables));
    Ok(Imported {
        text: Some(text),
        findings,
        variables,
        providers,
        routes,
    })
}

/// What is wrong with the written configuration once every variable is set: nothing, or there is something to mend by hand.
fn judged(text: &str, variables: &[String]) -> Vec<Finding> {
    /// An environment in which every variable and file has a text that is fit for an address, a key and a header.
    struct AllSet(MapEnv);
    impl Env for AllSet {
        fn var(&self, name: &str) -> Option<String> {
            self.0.var(name)
        }

        fn file(&self, _: &str) -> std::io::Result<String> {
            Ok("https://set.example/v1".to_owned())
        }

        fn today(&self) -> String {
            self.0.today()
        }
    }
    let set = variables.iter().map(|v| (v.as_str(), "https://set.example/v1"));
    match config::load(text, &AllSet(MapEnv::of(set))) {
        Ok(_) => Vec::new(),
        Err(refused) => refused
            .errors
            .iter()
            .map(|error| {
                let place = match error.path.is_empty() {
                    true => "the written configuration".to_owned(),
                    false => format!("`{}` of the written configuration", error.path),
                };
                whole(Kind::ToDo, format!("{place} must be mended: {}", error.message))
            })
            .collect(),
    }
}

fn whole(kind: Kind, message: impl Into<String>) -> Finding {
    Finding {
        line: None,
        path: String::new(),
        kind,
        message: message.into(),
    }
}

fn tell(imported: &Imported, output: Option<&Path>, source: &str) {
    if let (Some(text), None) = (&imported.text, output) {
        print!("{text}");
    }
    for finding in &imported.findings {
        eprintln!("{}", finding.in_file(source));
    }
    if !imported.variables.is_empty() {
        eprintln!("variables that it reads: {}", imported.variables.join(", "));
    }
    let count = |kind: Kind| imported.findings.iter().filter(|f| f.kind == kind).count();
    let place = output.map(|o| format!(" in {}", o.display())).unwrap_or_default();
    eprintln!(
        "{}{place}: {}, {}; to do: {}, changed: {}, not carried over: {}",
        if imported.text.is_some() {
            "written"
        } else {
            "nothing written"
        },
        counted(imported.providers, "provider"),
        counted(imported.routes, "route"),
        count(Kind::ToDo),
        count(Kind::Changed),
        count(Kind::NotCarriedOver)
    );
}

fn counted(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

fn write(output: &Path, text: &str, force: bool) -> Result<(), CommandError> {
    let opened = OpenOptions::new()
        .write(true)
        .create(force)
        .truncate(force)
        .create_new(!force)
        .open(output);
    let mut file = match opened {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::AlreadyExists => return Err(exists(output)),
        Err(error) => {
            return Err(CommandError::Usage(format!(
                "error: {}: cannot be written: {error}",
                output.display()
            )));
        }
    };
    file.write_all(text.as_bytes())
        .with_context(|| format!("error: {}: cannot be written", output.display()))?;
    Ok(())
}

fn exists(output: &Path) -> CommandError {
    CommandError::Usage(format!(
        "error: {}: exists already; `--force` overwrites it",
        output.display()
    ))
}
