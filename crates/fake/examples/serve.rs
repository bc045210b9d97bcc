//! Starts a fake provider as a process of its own, for tests in other languages: `serve --listen 127.0.0.1:0 [--seed N] [--bench]`.
//!
//! The first line of its output is its address, as in `http://127.0.0.1:40123`. Ends with ctrl-c.

use std::{env, error::Error};

use jumpseat_fake::Fake;
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut listen = "127.0.0.1:0".to_owned();
    let mut seed = 0;
    let mut bench = false;
    let mut arguments = env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or(format!("{argument} needs a value"));
        match argument.as_str() {
            "--listen" => listen = value()?,
            "--seed" => seed = value()?.parse()?,
            "--bench" => bench = true,
            other => return Err(format!("unknown argument {other}; there are --listen, --seed and --bench").into()),
        }
    }
    let listener = TcpListener::bind(&listen).await?;
    println!("http://{}", listener.local_addr()?);
    let fake = if bench { Fake::bench() } else { Fake::with_seed(seed) };
    let shutdown = async {
        // Without signals the fake runs until it is killed.
        let _ = tokio::signal::ctrl_c().await;
    };
    fake.serve(listener, shutdown).await?;
    Ok(())
}
