//! Named behaviours: short words for the faults people ask for, as in `gpt-4o!cut-40` or `x-fake-behave: 503`.
//!
//! A pure table; a name that carries numbers or durations (`cut-40`, `flap-2s-2s`) is parsed here.

use std::time::Duration;

use crate::{
    behaviour::{Behaviour, Cut, CutHow, Flap, Malformed, ScriptedToolCall, Silence, StreamError},
    duration::{self, Delay},
};

/// Every name, `N` standing for a number and `D` for a duration; for documents and for messages.
pub const NAMES: &[&str] = &[
    "ok",
    "400",
    "401",
    "402",
    "403",
    "404",
    "408",
    "409",
    "413",
    "422",
    "429",
    "498",
    "500",
    "502",
    "503",
    "504",
    "529",
    "insufficient-quota",
    "context-too-long",
    "content-filter",
    "content-filter-finish",
    "wrong-key",
    "model-not-found",
    "overloaded",
    "html",
    "empty",
    "reset",
    "silence",
    "silence-first-token",
    "slow-D",
    "first-token-D",
    "drip-D",
    "cut-N",
    "eof-N",
    "stall-N",
    "malformed-N",
    "no-terminator",
    "no-done",
    "error-first",
    "error-N",
    "odd",
    "tools",
    "refusal",
    "reasoning",
    "length",
    "flap-D-D",
    "refuse",
    "paraphrase",
    "repeat",
    "restart",
    "refuse-prefill",
    "split-N",
    "no-usage",
];

/// The behaviour of that name, without its name.
pub(crate) fn find(name: &str) -> Option<Behaviour> {
    let default = Behaviour::default;
    let error = |row: &str| {
        Some(Behaviour {
            error: Some(row.into()),
            ..default()
        })
    };
    let cut = |after, how| {
        Some(Behaviour {
            cut: Some(Cut { after, how }),
            ..default()
        })
    };
    let continues = |how| {
        Some(Behaviour {
            continues: Some(how),
            ..default()
        })
    };
    use crate::behaviour::Continue;
    match name {
        "ok" => return Some(default()),
        "insufficient-quota" => return error("insufficient_quota"),
        "context-too-long" => return error("context_too_long"),
        "content-filter" => return error("content_filter"),
        "wrong-key" => return error("wrong_key"),
        "model-not-found" => return error("model_not_found"),
        "overloaded" => return error("overloaded"),
        "content-filter-finish" => {
            return Some(Behaviour {
                finish: Some("content_filter".into()),
                tokens: Some(5),
                ..default()
            });
        }
        "html" => {
            return Some(Behaviour {
                status: Some(200),
                body: Some("<!DOCTYPE html>\n<html><head><title>Just a moment...</title></head><body>Checking your browser</body></html>\n".into()),
                content_type: Some("text/html; charset=utf-8".into()),
                ..default()
            });
        }
        "empty" => {
            return Some(Behaviour {
                empty: true,
                ..default()
            });
        }
        "reset" => return cut(0, CutHow::BeforeHeaders),
        "no-terminator" => return cut(0, CutHow::NoTerminator),
        "no-done" => return cut(0, CutHow::NoDone),
        "silence" => {
            return Some(Behaviour {
                silence: Some(Silence::BeforeHeaders),
                ..default()
            });
        }
        "silence-first-token" => {
            return Some(Behaviour {
                silence: Some(Silence::BeforeFirstToken),
                ..default()
            });
        }
        "error-first" => {
            let stream_error = StreamError {
                after: 0,
                first: true,
                error: StreamError::overloaded(),
            };
            return Some(Behaviour {
                stream_error: Some(stream_error),
                ..default()
            });
        }
        "odd" => return Some(Behaviour { odd: true, ..default() }),
        "tools" => {
            let call = ScriptedToolCall {
                name: "*".into(),
                arguments: None,
            };
            return Some(Behaviour {
                tool_calls: vec![call.clone(), call],
                ..default()
            });
        }
        "refusal" => {
            return Some(Behaviour {
                refusal: Some("I'm sorry, but I can't help with that request.".into()),
                ..default()
            });
        }
        "reasoning" => {
            let thought = "The question is simple, so I compare both readings first and then answer.";
            return Some(Behaviour {
                reasoning: Some(thought.into()),
                ..default()
            });
        }
        "length" => {
            return Some(Behaviour {
                finish: Some("length".into()),
                ..default()
            });
        }
        "refuse" => {
            return Some(Behaviour {
                refuse_connections: true,
                ..default()
            });
        }
        "paraphrase" => return continues(Continue::Paraphrase),
        "repeat" => return continues(Continue::Repeat),
        "restart" => return continues(Continue::Restart),
        "refuse-prefill" => return continues(Continue::RefusePrefill),
        "no-usage" => {
            return Some(Behaviour {
                usage: Some(crate::behaviour::UsageOverride::Off),
                ..default()
            });
        }
        _ => {}
    }
    if let Ok(status) = name.parse::<u16>() {
        return (400..=599).contains(&status).then(|| Behaviour {
            status: Some(status),
            ..default()
        });
    }
    if let Some(rest) = name.strip_prefix("first-token-").or_else(|| name.strip_prefix("slow-")) {
        return Some(Behaviour {
            first_token: Some(Delay::Fixed(duration::parse(rest).ok()?)),
            ..default()
        });
    }
    let (word, number) = name.split_once('-')?;
    if word == "flap" {
        let (up, down) = number.split_once('-')?;
        let (up, down) = (duration::parse(up).ok()?, duration::parse(down).ok()?);
        let flap = Flap {
            up,
            down,
            fails: Flap::unavailable(),
        };
        return (up + down > Duration::ZERO).then(|| Behaviour {
            flap: Some(flap),
            ..default()
        });
    }
    if word == "drip" {
        return Some(Behaviour {
            interval: Some(Delay::Fixed(duration::parse(number).ok()?)),
            ..default()
        });
    }
    let count: usize = number.parse().ok()?;
    match word {
        "cut" => cut(count, CutHow::Reset),
        "eof" => cut(count, CutHow::Eof),
        "stall" => Some(Behaviour {
            silence: Some(Silence::After(count)),
            ..default()
        }),
        "malformed" => Some(Behaviour {
            malformed: Some(Malformed { at: count }),
            ..default()
        }),
        "error" => {
            let stream_error = StreamError {
                after: count,
                first: false,
                error: StreamError::overloaded(),
            };
            Some(Behaviour {
                stream_error: Some(stream_error),
                ..default()
            })
        }
        "split" if count > 0 => Some(Behaviour {
            split: Some(count),
            ..default()
        }),
        _ => None,
    }
}

/// What to say about a name that is none.
pub(crate) fn unknown(name: &str) -> String {
    format!(
        "`{name}` is not a named behaviour; there are {} (N as in cut-40, D as in flap-2s-2s)",
        NAMES.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_listed_name_exists_and_others_do_not() {
        for name in NAMES {
            let example = name.replace('N', "40").replace('D', "2s");
            assert!(find(&example).is_some(), "{example}");
        }
        for name in [
            "",
            "cut",
            "cut-",
            "cut-x",
            "flap-2s",
            "flap-0s-0s",
            "299",
            "600",
            "split-0",
            "slow-",
            "ok-1",
        ] {
            assert!(find(name).is_none(), "{name}");
        }
    }
}
