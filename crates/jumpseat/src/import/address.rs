//! A provider's address as this configuration takes it: with `/v1` for `openai_chat`, without a version for the others.
//!
//! What cannot be an address (a placeholder, one with a password in it) is not written; the reason is told instead.

use http::Uri;
use types::dialect::DialectName;

use crate::import::secrets::begins_as_secret;

/// The label of an address on this machine or network.
pub const LOCAL: &str = "local";

/// An address that can be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// As it is written.
    pub url: String,
    /// The word in it that names a provider: `local`, or a label of its host.
    pub label: String,
    /// What was done to it that its owner should know.
    pub changed: Option<String>,
}

/// Why an address is not written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// It is a placeholder or no `http` address.
    NoUrl,
    /// It carries a name, a password or a key.
    Credentials,
}

/// How an address is brought into form.
#[derive(Debug, Clone, Copy)]
pub struct Form<'a> {
    /// The dialect spoken there.
    pub dialect: DialectName,
    /// What must stand behind the host.
    pub path: Option<&'a str>,
    /// It is taken as it is: the server is not a known one.
    pub verbatim: bool,
}

/// Brings an address into form.
pub fn address(text: &str, form: Form) -> Result<Address, Refused> {
    let uri: Uri = text.trim().parse().map_err(|_| Refused::NoUrl)?;
    let scheme = uri.scheme_str().filter(|s| *s == "http" || *s == "https");
    let (Some(scheme), Some(authority)) = (scheme, uri.authority()) else {
        return Err(Refused::NoUrl);
    };
    if authority.as_str().contains('@') || uri.path().split('/').any(begins_as_secret) {
        return Err(Refused::Credentials);
    }
    let mut changed = Vec::new();
    if uri.query().is_some() {
        changed.push("what stands behind the `?` of the address is left out".to_owned());
    }
    let path = uri.path().trim_end_matches('/');
    let wanted = path_of(path, form);
    if wanted != path {
        changed.push(match wanted.is_empty() {
            true => format!("`{path}` is left out of the address: it is added to every call"),
            false => format!("the address is written with the path `{wanted}`"),
        });
    }
    Ok(Address {
        url: format!("{scheme}://{authority}{wanted}"),
        label: label(authority.host()),
        changed: (!changed.is_empty()).then(|| changed.join("; ")),
    })
}

fn path_of(path: &str, form: Form) -> String {
    if form.dialect != DialectName::OpenaiChat {
        let path = ["/messages", "/v1", "/v1beta"]
            .iter()
            .fold(path, |path, end| path.strip_suffix(end).unwrap_or(path));
        return path.to_owned();
    }
    let path = path.strip_suffix("/chat/completions").unwrap_or(path);
    match form.path {
        Some(wanted) if !path.ends_with(wanted) => {
            // What stands there may be the older form of the same path: `/openai/deployments/…`.
            let first = wanted.split('/').nth(1).unwrap_or_default();
            let before = path
                .split_once(&format!("/{first}/"))
                .map_or(path, |(before, _)| before);
            format!("{before}{wanted}")
        }
        None if path.is_empty() && !form.verbatim => "/v1".to_owned(),
        Some(_) | None => path.to_owned(),
    }
}

/// The first telling label of a host, in letters that a provider's name may have.
fn label(host: &str) -> String {
    let host = host.trim_matches(['[', ']']);
    let number = host.contains(':') || host.chars().all(|c| c.is_ascii_digit() || c == '.');
    if number || host == "localhost" || host.ends_with(".internal") || host.ends_with(".local") {
        return LOCAL.to_owned();
    }
    let told = host
        .split('.')
        .find(|label| !matches!(*label, "api" | "www" | "inference" | "llm" | ""));
    let label: String = told
        .unwrap_or("server")
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || *c == '-' || *c == '_')
        .collect();
    match label.is_empty() {
        true => "server".to_owned(),
        false => label.to_ascii_lowercase(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_gets_the_path_its_dialect_wants() {
        use DialectName::{AnthropicMessages, Gemini, OpenaiChat};
        let v1 = Some("/openai/v1");
        for (text, dialect, path, verbatim, expected, label) in [
            (
                "https://eu.example.com/",
                OpenaiChat,
                v1,
                false,
                "https://eu.example.com/openai/v1",
                "eu",
            ),
            (
                "https://eu.example.com/openai/v1/",
                OpenaiChat,
                v1,
                false,
                "https://eu.example.com/openai/v1",
                "eu",
            ),
            (
                "https://x.com/openai/deployments/y",
                OpenaiChat,
                v1,
                false,
                "https://x.com/openai/v1",
                "x",
            ),
            (
                "http://localhost:11434",
                OpenaiChat,
                None,
                false,
                "http://localhost:11434/v1",
                "local",
            ),
            (
                "http://10.0.0.7:8000",
                OpenaiChat,
                None,
                true,
                "http://10.0.0.7:8000",
                "local",
            ),
            (
                "https://api.example.com/v1?key=1",
                OpenaiChat,
                None,
                false,
                "https://api.example.com/v1",
                "example",
            ),
            (
                "https://x.com/v1/chat/completions",
                OpenaiChat,
                None,
                true,
                "https://x.com/v1",
                "x",
            ),
            (
                "https://x.com/v1/messages",
                AnthropicMessages,
                None,
                false,
                "https://x.com",
                "x",
            ),
            ("https://x.com/v1", AnthropicMessages, None, false, "https://x.com", "x"),
            ("https://x.com/v1beta", Gemini, None, false, "https://x.com", "x"),
        ] {
            let form = Form {
                dialect,
                path,
                verbatim,
            };
            let address = address(text, form).unwrap();
            assert_eq!(
                (address.url.as_str(), address.label.as_str()),
                (expected, label),
                "{text}"
            );
        }
    }

    #[test]
    fn placeholders_and_passwords_are_no_address() {
        let form = Form {
            dialect: DialectName::OpenaiChat,
            path: None,
            verbatim: false,
        };
        for (text, expected) in [
            ("<your-endpoint>", Refused::NoUrl),
            ("your_api_base", Refused::NoUrl),
            ("ftp://x.com", Refused::NoUrl),
            ("https://me:pass@x.com/v1", Refused::Credentials),
            ("https://x.com/sk-1234/v1", Refused::Credentials),
        ] {
            assert_eq!(address(text, form), Err(expected), "{text}");
        }
    }
}
