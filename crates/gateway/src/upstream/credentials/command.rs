//! What an operator's command prints. The one module that starts programs, and only those of the operator's own file.
//!
//! No shell reads the words (unless the operator named one), nothing is written to its input, its output is bounded and never
//! logged, and it is killed when its time is over.

use std::process::Stdio;

use tokio::io::AsyncReadExt;
use tokio::process::Command;
use types::outcome::Failure;

use crate::config::credential::CommandSource;
use crate::config::secret::Secret;
use crate::upstream::credentials::ask::{refused, unreachable};

/// More than this is no key.
const OUTPUT_BYTES_MAX: u64 = 64 * 1024;

/// Runs it and reads what it prints, without the line break at the end.
pub async fn run(source: &CommandSource) -> Result<Secret, Failure> {
    let Some((program, arguments)) = source.words.split_first() else {
        return Err(refused("the command of its key is empty", None));
    };
    let spawned = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        // What a tool complains of may quote what it was asked for.
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn();
    let mut child =
        spawned.map_err(|error| refused(&format!("the command of its key could not be started: {error}"), None))?;
    let Some(stdout) = child.stdout.take() else {
        return Err(unreachable("the command of its key has no output"));
    };
    let read = async {
        let mut output = Vec::new();
        stdout.take(OUTPUT_BYTES_MAX + 1).read_to_end(&mut output).await?;
        if output.len() as u64 > OUTPUT_BYTES_MAX {
            return Ok((None, output));
        }
        Ok::<_, std::io::Error>((Some(child.wait().await?), output))
    };
    let (status, output) = match tokio::time::timeout(source.timeout, read).await {
        Ok(Ok(ended)) => ended,
        Ok(Err(error)) => {
            return Err(unreachable(&format!(
                "the command of its key could not be read: {error}"
            )));
        }
        Err(_) => {
            let message = format!("the command of its key took longer than {:?}", source.timeout);
            return Err(unreachable(&message));
        }
    };
    let Some(status) = status else {
        return Err(refused("the command of its key printed more than 64 KB", None));
    };
    if !status.success() {
        return Err(refused(&format!("the command of its key ended with {status}"), None));
    }
    let text = String::from_utf8(output).map_err(|_| refused("the command of its key printed no text", None))?;
    let text = text.trim_end_matches(['\r', '\n']);
    if text.is_empty() {
        return Err(refused("the command of its key printed nothing", None));
    }
    Ok(Secret::new(text))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn sh(script: &str) -> CommandSource {
        CommandSource {
            words: ["sh", "-c", script].map(str::to_owned).to_vec(),
            timeout: Duration::from_secs(5),
            refresh: None,
        }
    }

    #[tokio::test]
    async fn what_it_prints_is_the_key_and_what_goes_wrong_is_told_without_it() {
        let rows = [
            ("printf 'sk-1\\n'", Ok("sk-1")),
            ("echo canary >&2; echo sk-2", Ok("sk-2")),
            ("true", Err("printed nothing")),
            ("echo canary; exit 3", Err("ended with exit status: 3")),
            ("yes canary | head -c 100000", Err("more than 64 KB")),
            ("cat", Err("printed nothing")),
        ];
        for (script, wanted) in rows {
            let got = run(&sh(script)).await;
            match (&got, wanted) {
                (Ok(secret), Ok(wanted)) => assert_eq!(secret.expose(), wanted),
                (Err(failure), Err(wanted)) => {
                    assert!(failure.message.contains(wanted), "{script}: {failure:?}");
                    assert!(!format!("{failure:?}").contains("canary"), "{failure:?}");
                }
                (got, wanted) => panic!("{script}: {got:?} instead of {wanted:?}"),
            }
        }
        let gone = CommandSource {
            words: vec!["/no/such/program".into()],
            ..sh("")
        };
        assert!(run(&gone).await.unwrap_err().message.contains("could not be started"));
    }

    #[tokio::test]
    async fn it_is_given_up_when_its_time_is_over() {
        let slow = CommandSource {
            timeout: Duration::from_millis(50),
            ..sh("exec sleep 60")
        };
        let failure = run(&slow).await.unwrap_err();
        assert!(failure.message.contains("longer than 50ms"), "{failure:?}");
    }
}
