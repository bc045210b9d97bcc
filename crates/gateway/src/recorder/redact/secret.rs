//! Keys, tokens and passwords: by their prefixes, by what is said before them, and by the names of members they stand in.

use std::sync::LazyLock;

use crate::recorder::redact::{Found, begins_word};

/// What stands in a secret's place.
pub const WORD: &str = "[secret]";

/// How keys begin, those of providers of models and of what stands around them in a prompt, the gateway's own among them. The
/// longer prefixes of a family are covered by its shortest.
const PREFIXES: [&str; 5] = [
    "sk- sk_live_ sk_test_ rk_live_ rk_test_ js- gsk_ xai- csk- hf_ r8_ pplx- nvapi- fw_ tgp_v1_ jina_ tvly- pa- rpa_ voyage-",
    "AIza ya29. GOCSPX- ghp_ gho_ ghu_ ghs_ ghr_ github_pat_ glpat- glrt- xoxb- xoxp- xoxa- xoxr- xoxs- xoxe- xapp- whsec_ SG. npm_",
    "pypi- dop_v1_ shpat_ shpss_ lsv2_ dapi ABSK bedrock-api-key- AGE-SECRET-KEY-1 hvs. hvb. sbp_ supabase_ phc_ phx_ lin_api_",
    "secret_ ntn_ EAAG pat- key_ cfut_ sq0csp- sq0atp-",
    "hooks.slack.com/services/ discord.com/api/webhooks/ hooks.zapier.com/hooks/",
];

static BEGINNINGS: LazyLock<Vec<&'static [u8]>> = LazyLock::new(|| {
    PREFIXES
        .iter()
        .flat_map(|line| line.split_whitespace())
        .map(str::as_bytes)
        .collect()
});

/// Bytes after a prefix that make a key of it: fewer are a word such as `sk-learn`.
const AFTER_PREFIX_MIN: usize = 16;

/// What is judged of a token; none in use is longer but those that have another form.
const JUDGED_LEN: usize = 512;

/// Names of members whose text is a secret whatever it looks like. Compared without case, `-` and `_`.
const NAMES: &str = "password passwd pwd passphrase secret clientsecret apikey xapikey apitoken accesstoken refreshtoken idtoken \
    authtoken bearertoken sessiontoken privatekey secretkey secretaccesskey awssecretaccesskey authorization proxyauthorization \
    xgoogapikey connectionstring";

/// Words before a long token that make a secret of it.
const WORDS: &str = "key token secret password passwd pwd passphrase credential credentials authorization bearer";

/// Whether a member of this name holds a secret.
pub fn is_name(name: &str) -> bool {
    let plain: String = name
        .chars()
        .filter(|c| !matches!(c, '-' | '_'))
        .collect::<String>()
        .to_ascii_lowercase();
    NAMES.split_whitespace().any(|known| known == plain)
}

/// Every secret in a text.
pub fn find(text: &str) -> Vec<Found> {
    let bytes = text.as_bytes();
    let mut found = private_keys(text);
    let mut at = 0;
    while at < bytes.len() {
        if !bytes[at].is_ascii_alphanumeric() || !begins_word(bytes, at) {
            at += 1;
            continue;
        }
        if let Some(end) = token_at(bytes, at) {
            found.push(Found {
                range: at..end,
                word: WORD,
            });
            at = end;
        } else if let Some((start, end)) = named_at(bytes, at) {
            found.push(Found {
                range: start..end,
                word: WORD,
            });
            at = end;
        } else {
            // To the word's end, so that a long text without spaces is looked through once.
            at += 1;
            while at < bytes.len() && bytes[at].is_ascii_alphanumeric() && !begins_word(bytes, at) {
                at += 1;
            }
        }
    }
    found.extend(passwords_in_urls(bytes));
    found
}

/// A byte of keys and tokens.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'/' | b'+' | b'=' | b'~')
}

/// Where the bytes of a kind end.
fn run(bytes: &[u8], start: usize, within: impl Fn(u8) -> bool) -> usize {
    start + bytes[start..].iter().take_while(|b| within(**b)).count()
}

/// The same of the first few hundred bytes: what is judged by them is read on only when it is taken, so that each byte of a text is
/// read a bounded number of times.
fn short_run(bytes: &[u8], start: usize, within: impl Fn(u8) -> bool) -> usize {
    run(&bytes[..bytes.len().min(start + JUDGED_LEN)], start, within)
}

/// A token that is known by its own form, and where it ends.
fn token_at(bytes: &[u8], at: usize) -> Option<usize> {
    let rest = &bytes[at..];
    let key = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b'/');
    for prefix in BEGINNINGS.iter() {
        if !rest.starts_with(prefix) {
            continue;
        }
        let start = at + prefix.len();
        let end = trimmed(bytes, start, short_run(bytes, start, key));
        let body = &bytes[start..end];
        // A key has digits or both cases; `secret_` before a word in small letters is a name.
        let mixed = body.iter().any(u8::is_ascii_digit) || has_both_cases(body);
        if body.len() >= AFTER_PREFIX_MIN && mixed {
            return Some(trimmed(bytes, start, run(bytes, start, key)));
        }
    }
    // AWS: long-lived and session keys' ids.
    if rest.len() >= 20 && [&b"AKIA"[..], b"ASIA"].iter().any(|p| rest.starts_with(p)) {
        let end = short_run(bytes, at, |b| b.is_ascii_uppercase() || b.is_ascii_digit());
        if end - at == 20 {
            return Some(end);
        }
    }
    // JSON web tokens: `{"` in base64, then two parts more; the last is empty where nobody signed.
    if rest.starts_with(b"eyJ") {
        let part = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'=');
        let head = short_run(bytes, at, part);
        if bytes.get(head) == Some(&b'.') && bytes[head + 1..].starts_with(b"eyJ") {
            let body = run(bytes, head + 1, part);
            let end = match bytes.get(body) {
                Some(b'.') => run(bytes, body + 1, part),
                _ => body,
            };
            return Some(end);
        }
    }
    None
}

/// A long token after a word such as `password:`, and where it begins and ends.
fn named_at(bytes: &[u8], at: usize) -> Option<(usize, usize)> {
    let end = short_run(bytes, at, |b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
    let name = bytes[at..end].to_ascii_lowercase();
    let last = name.rsplit(|b| matches!(b, b'_' | b'-')).next().unwrap_or_default();
    let known = WORDS
        .split_whitespace()
        .map(str::as_bytes)
        .find(|word| last == *word || last.ends_with(b"apikey"))?;
    let mut start = end;
    let skip = |mut from: usize, which: &[u8], max: usize| {
        let limit = from + max;
        while from < limit && bytes.get(from).is_some_and(|b| which.contains(b)) {
            from += 1;
        }
        from
    };
    start = skip(start, b"\\\"'`", 4);
    let before = start;
    start = skip(start, b" \t", 2);
    let assigned = matches!(bytes.get(start), Some(b':' | b'='));
    if assigned {
        start = skip(start, b":=>", 2);
    } else if bytes[start..].starts_with(b"is ") || bytes[start..].starts_with(b"is: ") {
        start = skip(start + 2, b":", 1);
    } else if start == before && !known.starts_with(b"bearer") {
        return None;
    }
    start = skip(start, b" \t", 2);
    start = skip(start, b"\\\"'`", 4);
    for scheme in [&b"bearer "[..], b"basic ", b"token "] {
        if bytes.len() >= start + scheme.len() && bytes[start..start + scheme.len()].eq_ignore_ascii_case(scheme) {
            start += scheme.len();
        }
    }
    let password = matches!(known, b"password" | b"passwd" | b"pwd" | b"passphrase");
    let within = |b: u8| match password {
        true => b.is_ascii_graphic() && !matches!(b, b'"' | b'\'' | b'`' | b'\\' | b',' | b';' | b'<' | b'>' | b')'),
        false => is_token(b),
    };
    let stop = trimmed(bytes, start, short_run(bytes, start, within));
    let value = &bytes[start..stop];
    let sound = match password && assigned {
        true => value.len() >= 4 && value.iter().any(|b| !b.is_ascii_lowercase()),
        false => value.len() >= 16 && is_random(value),
    };
    sound.then(|| (start, trimmed(bytes, start, run(bytes, start, within))))
}

/// Without the full stop that ends a sentence.
fn trimmed(bytes: &[u8], start: usize, mut end: usize) -> usize {
    while end > start && matches!(bytes[end - 1], b'.' | b'/' | b'-') {
        end -= 1;
    }
    end
}

fn has_both_cases(bytes: &[u8]) -> bool {
    bytes.iter().any(u8::is_ascii_lowercase) && bytes.iter().any(u8::is_ascii_uppercase)
}

/// Whether a token looks drawn by chance: digits and letters, and more than three bits in each byte.
fn is_random(token: &[u8]) -> bool {
    let digits = token.iter().any(u8::is_ascii_digit);
    let letters = token.iter().any(u8::is_ascii_alphabetic);
    if !letters || !(digits || has_both_cases(token) && token.len() >= 24) {
        return false;
    }
    let mut counts = [0u32; 256];
    for byte in token {
        counts[usize::from(*byte)] += 1;
    }
    let len = token.len() as f64;
    let bits: f64 = counts
        .iter()
        .filter(|count| **count > 0)
        .map(|count| f64::from(*count) / len)
        .map(|share| -share * share.log2())
        .sum();
    bits > 3.0
}

/// Blocks of PEM that hold a private key, to their end, or to the text's where it is cut.
fn private_keys(text: &str) -> Vec<Found> {
    let mut found = Vec::new();
    let mut from = 0;
    while let Some(at) = text[from..].find("-----BEGIN ").map(|at| at + from) {
        let head = &text[at..];
        let label_end = head[11..].find("-----").map_or(head.len(), |end| end + 11);
        if !head[..label_end].contains("PRIVATE KEY") || label_end > 80 {
            from = at + 11;
            continue;
        }
        let end = head.find("-----END ").map_or(text.len(), |end| {
            let behind = at + end + 9;
            text[behind..]
                .find("-----")
                .map_or(text.len(), |last| behind + last + 5)
        });
        found.push(Found {
            range: at..end,
            word: WORD,
        });
        from = end;
    }
    found
}

/// `postgres://user:password@host`.
fn passwords_in_urls(bytes: &[u8]) -> Vec<Found> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(scheme) = bytes[at..].windows(3).position(|w| w == b"://").map(|p| p + at) {
        let start = scheme + 3;
        let end = run(bytes, start, |b| {
            b.is_ascii_graphic() && !matches!(b, b'/' | b'?' | b'#' | b'"' | b'\'' | b'\\' | b'<')
        });
        at = start;
        let authority = &bytes[start..end];
        let Some(host) = authority.iter().rposition(|b| *b == b'@') else {
            continue;
        };
        if let Some(colon) = authority[..host]
            .iter()
            .position(|b| *b == b':')
            .filter(|colon| colon + 1 < host)
        {
            found.push(Found {
                range: start + colon + 1..start + host,
                word: WORD,
            });
        }
    }
    found
}
