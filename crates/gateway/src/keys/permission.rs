//! What a principal may: which names it may put in `model`, and which targets may serve it.
//!
//! Judged on what a name leads to, never on the name: an alias is judged by its route. A key that may name certain routes only
//! may not name targets either, unless it says which: else every route would be open to it by its targets' names.

use std::sync::Arc;

use http::StatusCode;
use policy::pattern::Allowed;
use types::principal::Principal;
use wire::opaque::Endpoint;
use wire::request::BadRequest;

use crate::config::topology::{DIRECT, Resolution, RouteSpec, Topology};
use crate::fleet::route::Route;
use crate::ingress::reply::Refusal;

/// Whether a name is of a pattern, in which `*` stands for any text.
pub fn matches(pattern: &str, name: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else {
        return pattern == name;
    };
    let Some(mut name) = name.strip_prefix(first) else {
        return false;
    };
    let mut pieces = rest.split('*').peekable();
    while let Some(piece) = pieces.next() {
        if pieces.peek().is_none() {
            return name.ends_with(piece);
        }
        // The leftmost place leaves most room for what follows.
        match name.find(piece) {
            Some(at) => name = &name[at + piece.len()..],
            None => return false,
        }
    }
    true
}

fn any<T: AsRef<str>>(patterns: &Option<Vec<T>>, name: &str) -> bool {
    patterns
        .as_ref()
        .is_none_or(|patterns| patterns.iter().any(|pattern| matches(pattern.as_ref(), name)))
}

/// Whether a target may serve its calls.
pub fn may_be_served_by(principal: &Principal, target: &str) -> bool {
    any(&principal.targets, target)
}

/// Whom its calls may be served by, for the plan; `None`: everybody.
pub fn allowed(principal: &Principal) -> Option<Arc<Allowed>> {
    let targets = principal.targets.as_ref()?;
    Some(Arc::new(Allowed::new(targets.iter().map(|target| &**target))))
}

/// Whether it may put a name in `model` that leads to this route with these targets.
fn may_name<'a>(principal: &Principal, route: &str, direct: bool, mut targets: impl Iterator<Item = &'a str>) -> bool {
    let named = if direct {
        principal.routes.is_none() || principal.targets.is_some()
    } else {
        any(&principal.routes, route)
    };
    named && (principal.targets.is_none() || targets.any(|target| may_be_served_by(principal, target)))
}

/// Refuses a call to a route that the principal may not name, or none of whose targets may serve it.
pub fn check_route(principal: &Principal, route: &Route, model: &str) -> Result<(), Box<Refusal>> {
    let targets = route.targets.iter().map(|target| target.facts.id.as_str());
    if may_name(principal, route.policy.name.as_str(), route.direct, targets) {
        return Ok(());
    }
    let model: String = model.chars().take(128).collect();
    let name = &principal.name;
    Err(refusal(
        format!("the key `{name}` may not use the model `{model}`"),
        Some("model"),
    ))
}

/// Refuses what acts on the provider's account, unless the key may.
pub fn check_endpoint(principal: &Principal, endpoint: Endpoint) -> Result<(), Box<Refusal>> {
    let allowed = match endpoint {
        Endpoint::Files | Endpoint::Batches => principal.permissions.files,
        Endpoint::Images | Endpoint::Audio | Endpoint::Moderations | Endpoint::Rerank => true,
    };
    if allowed {
        return Ok(());
    }
    let (name, word) = (&principal.name, endpoint.as_str());
    Err(refusal(format!("the key `{name}` may not use `/v1/{word}`"), None))
}

/// Whether it may see a name in the list of models, and in what is said to be near to another.
pub fn may_see(principal: &Principal, topology: &Topology, name: &str) -> bool {
    if principal.routes.is_none() && principal.targets.is_none() {
        return true;
    }
    let may = |route: &RouteSpec| {
        let targets = route.targets.iter().map(|target| target.facts.id.as_str());
        let name = route.policy.name.as_str();
        may_name(principal, name, name == DIRECT, targets)
    };
    match topology.resolve(name) {
        Resolution::Route(index) => may(&topology.routes[index]),
        Resolution::Direct(route) => may(&route),
        Resolution::Unknown { .. } => false,
    }
}

fn refusal(message: String, param: Option<&str>) -> Box<Refusal> {
    let complaint = BadRequest {
        message,
        param: param.map(str::to_owned),
        code: Some("permission_denied"),
    };
    Refusal::new(StatusCode::FORBIDDEN, complaint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_text() {
        let cases = [
            ("chat", "chat", true),
            ("chat", "chat2", false),
            ("chat*", "chat", true),
            ("chat*", "chat-fast", true),
            ("*", "", true),
            ("*", "anything/at all", true),
            ("openai/*", "openai/gpt-5.5", true),
            ("openai/*", "azure/openai/gpt", false),
            ("*-mini", "gpt-mini", true),
            ("*-mini", "gpt-mini-2", false),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "acb", false),
            ("ab*ba", "aba", false),
            ("**", "x", true),
            ("", "", true),
            ("", "x", false),
        ];
        for (pattern, name, wanted) in cases {
            assert_eq!(matches(pattern, name), wanted, "{pattern} {name}");
        }
    }

    #[test]
    fn routes_and_targets_open_what_they_name_and_nothing_beside() {
        let list = |names: Option<&[&str]>| names.map(|n| n.iter().map(|n| Arc::from(*n)).collect());
        // What may be named, by route and by target: (route `chat` of a/x and b/y, target a/x, target b/y).
        let rows: [(Option<&[&str]>, Option<&[&str]>, [bool; 3]); 9] = [
            (None, None, [true, true, true]),
            (Some(&["chat"]), None, [true, false, false]),
            (Some(&["other"]), None, [false, false, false]),
            (Some(&[]), None, [false, false, false]),
            (None, Some(&["a/*"]), [true, true, false]),
            (None, Some(&["c/*"]), [false, false, false]),
            (Some(&["chat"]), Some(&["a/*"]), [true, true, false]),
            (Some(&[]), Some(&["a/*"]), [false, true, false]),
            (None, Some(&[]), [false, false, false]),
        ];
        for (routes, targets, wanted) in rows {
            let principal = Principal {
                routes: list(routes),
                targets: list(targets),
                ..Principal::default()
            };
            let told = [
                may_name(&principal, "chat", false, ["a/x", "b/y"].into_iter()),
                may_name(&principal, DIRECT, true, ["a/x"].into_iter()),
                may_name(&principal, DIRECT, true, ["b/y"].into_iter()),
            ];
            assert_eq!(told, wanted, "{routes:?} {targets:?}");
        }
    }
}
