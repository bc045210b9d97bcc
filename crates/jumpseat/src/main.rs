//! The command line, nothing else: each command reads its arguments, asks the house, and prints.
//!
//! Exit codes: 0 fine, 1 failed, 2 bad usage or configuration. What a machine reads goes to standard output, what a person is
//! told beside it to standard error.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod admin_client;
mod audit;
mod budgets;
mod check;
mod cli;
mod config;
mod demo;
mod explain;
mod export;
mod fake;
mod import;
mod keys;
mod models;
mod outcome;
mod serve;
mod source;
mod store;
mod table;
mod validate;

use std::process::ExitCode;

use clap::Parser;

use crate::cli::{AdminCommand, Cli, Command};
use crate::outcome::Ended;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let Cli { command, json } = Cli::parse();
    let ended = match command {
        Command::Serve(args) => serve::run(&args),
        Command::Validate(args) => validate::run(&args, json),
        Command::Config(args) => config::run(&args, json),
        Command::Explain(args) => explain::run(&args, json),
        Command::Export(args) => export::run(&args, json),
        Command::Models(args) => models::run(&args, json),
        Command::Check(args) => check::run(&args, json),
        Command::Keys(args) => keys::run(&args, json),
        Command::Store(args) => self::store::run(&args, json),
        Command::Budgets(args) => budgets::run(&args, json),
        Command::Audit(args) => audit::run(&args, json),
        Command::Admin(args) => match args.command {
            AdminCommand::Openapi => {
                print!("{}", gateway::admin::openapi::text());
                Ok(Ended::Fine)
            }
        },
        Command::Import(args) => import::run(&args, json),
        Command::Fake(args) => fake::run(&args, json),
        Command::Demo(args) => demo::run(&args, json),
    };
    outcome::exit_code(ended, json)
}
