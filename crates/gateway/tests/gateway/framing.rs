//! Where the providers' dialects differ in how they fail: what a row of the suite must expect of each, and which rows have no
//! counterpart in one, with the reason.

/// Why a fault has no counterpart in a dialect; `None` when it has one.
pub fn no_counterpart(dialect: &str, fault: &str) -> Option<&'static str> {
    match (dialect, fault) {
        ("ollama_chat", "content-filter" | "content-filter-finish") => Some("Ollama filters nothing"),
        ("bedrock_converse", "content-filter") => {
            Some("a guardrail answers with 200 and a message of its own: a finish reason, not a rejection")
        }
        ("cohere_chat", "content-filter-finish") => Some("Cohere has no such finish reason: it rejects with 498"),
        _ => None,
    }
}

/// Something precedes a stream's first content. Without it, a stream cut there has not begun: the connection is lost.
pub fn has_preamble(dialect: &str) -> bool {
    !matches!(dialect, "gemini" | "ollama_chat")
}

/// The class of a stream cut ahead of its first token.
pub fn cut_at_the_start(dialect: &str) -> &'static str {
    if has_preamble(dialect) {
        "stream_broken"
    } else {
        "network"
    }
}

/// The class of a stream with neither content nor finish reason. Where the finish reason is the terminal event itself, that
/// stream lacks its end.
pub fn empty_stream(dialect: &str) -> &'static str {
    match dialect {
        "bedrock_converse" | "cohere_chat" | "ollama_chat" => "stream_broken",
        _ => "bad_response",
    }
}

/// The class of an overload that is told inside a stream, and its code. Cohere's last event has a text and no word for the kind.
pub fn overloaded_in_stream(dialect: &str) -> (&'static str, &'static str) {
    match dialect {
        "cohere_chat" => ("server_error", "server_error"),
        _ => ("overloaded", "server_is_overloaded"),
    }
}

/// It can be asked a light question while its breaker is open. Bedrock lists its models at another host, with another service's
/// signature.
pub fn has_health_check(dialect: &str) -> bool {
    dialect != "bedrock_converse"
}

/// It tells how much of the prompt was cached. Ollama does not.
pub fn tells_cached(dialect: &str) -> bool {
    dialect != "ollama_chat"
}

/// Tokens that it counts beside the client's prompt. Cohere's counts have a part of its own, here always 8.
pub fn own_prompt_tokens(dialect: &str) -> u64 {
    if dialect == "cohere_chat" { 8 } else { 0 }
}
