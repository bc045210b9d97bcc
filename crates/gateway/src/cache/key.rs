//! What a kept answer is found by: a digest of who may have it, the route, and the request in the one form of all dialects.
//!
//! The whole digest is the key. A request that has no such form (only its own dialect can say it), or whose answer rests on more than
//! the request, has no key: it is neither looked up nor kept.

use std::fmt::Write;

use ring::digest::{Context, SHA256};
use types::principal::Principal;
use wire::canonical::{self, Scope};
use wire::server;

use crate::engine::body::{Ask, RequestBody};
use crate::fleet::route::Route;

/// A change of what goes into a key, beside the request's form, which has a version of its own.
const VERSION: u8 = 1;

/// A key: a word and a SHA-256 in hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(String);

impl Key {
    /// As stores take it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Who may have an answer, and of which route: what every key begins with.
#[derive(Debug, Clone)]
pub struct Realm(Vec<u8>);

impl Realm {
    /// A caller's at a route.
    ///
    /// Callers of one tenant share answers. Those that may only be served by some targets share them with those that may be served
    /// by the same.
    pub fn of(principal: &Principal, route: &Route) -> Realm {
        // Direct routes are all called alike.
        let direct = route.targets.iter().filter(|_| route.direct);
        let direct: Vec<&str> = direct.map(|target| target.facts.id.as_str()).collect();
        Realm::named(principal, route.cache.shared, route.policy.name.as_str(), &direct)
    }

    fn named(principal: &Principal, shared: bool, route: &str, direct: &[&str]) -> Realm {
        let mut realm = Realm(vec![VERSION]);
        match (shared, principal.tenant()) {
            (true, _) => realm.0.push(0),
            (false, None) => realm.0.push(1),
            (false, Some(tenant)) => {
                realm.0.push(2);
                realm.text(&tenant);
            }
        }
        match &principal.targets {
            None => realm.0.push(0),
            Some(targets) => {
                let mut targets: Vec<&str> = targets.iter().map(|t| &**t).collect();
                targets.sort_unstable();
                targets.dedup();
                realm.0.push(1);
                realm.0.extend_from_slice(&(targets.len() as u64).to_le_bytes());
                targets.into_iter().for_each(|target| realm.text(target));
            }
        }
        realm.text(route);
        direct.iter().for_each(|target| realm.text(target));
        realm
    }

    fn text(&mut self, text: &str) {
        self.0.extend_from_slice(&(text.len() as u64).to_le_bytes());
        self.0.extend_from_slice(text.as_bytes());
    }

    /// The key of a request; `None` when it has none. Work in proportion to the request.
    pub fn key(&self, body: &RequestBody) -> Option<Key> {
        self.digest(b"exact", body, Scope::Whole)
            .map(|hex| Key(format!("exact:{hex}")))
    }

    /// What requests have in common that ask something else of the same conversation, and what this one asks.
    pub fn question<'b>(&self, body: &'b RequestBody) -> Option<(String, &'b str)> {
        let Ask::Generate = body.ask else { return None };
        let question = canonical::question(body.neutral().ok()?)?;
        Some((self.digest(b"beside", body, Scope::BesideTheQuestion)?, question))
    }

    fn digest(&self, kind: &[u8], body: &RequestBody, scope: Scope) -> Option<String> {
        let mut context = Context::new(&SHA256);
        context.update(&(kind.len() as u64).to_le_bytes());
        context.update(kind);
        context.update(&(self.0.len() as u64).to_le_bytes());
        context.update(&self.0);
        // Those are about what a request means, not about how it is carried.
        for name in server::rewritten_headers(body.dialect) {
            let given = body.forwarded.iter().filter(|(given, _)| given == name);
            for (_, value) in given {
                context.update(&(value.len() as u64).to_le_bytes());
                context.update(value.as_bytes());
            }
        }
        context.update(b"request");
        let mut sink = |piece: &[u8]| context.update(piece);
        match &body.ask {
            Ask::Generate => {
                let request = body
                    .neutral()
                    .ok()
                    .filter(|request| canonical::is_repeatable(request))?;
                canonical::chat(request, scope, &mut sink);
            }
            Ask::Embed => canonical::embedding(body.embedding().ok()?, &mut sink),
            Ask::CountTokens | Ask::Opaque(_) => return None,
        }
        let mut hex = String::with_capacity(64);
        for byte in context.finish().as_ref() {
            let _ = write!(hex, "{byte:02x}");
        }
        Some(hex)
    }
}

#[cfg(test)]
impl Key {
    pub(crate) fn of_test(text: &str) -> Key {
        Key(text.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use types::ids::KeyId;

    use super::*;

    fn principal(key: Option<&str>, owner: Option<&str>, targets: Option<&[&str]>) -> Principal {
        Principal {
            key: key.map(KeyId::from),
            owner: owner.map(Arc::from),
            targets: targets.map(|t| t.iter().map(|t| Arc::from(*t)).collect()),
            ..Principal::default()
        }
    }

    #[test]
    fn nobody_finds_what_another_tenant_asked_unless_the_route_shares() {
        let callers = [
            principal(None, None, None),
            principal(Some("a"), None, None),
            principal(Some("b"), None, None),
            principal(Some("a"), Some("ann"), None),
            principal(Some("a"), Some("bob"), None),
            // One cannot be called like another's way of being called.
            principal(Some("owner:ann"), None, None),
            principal(Some("a"), Some("key:a"), None),
            principal(Some("a"), None, Some(&[])),
            principal(Some("a"), None, Some(&["p/m"])),
            principal(Some("a"), None, Some(&["p/m", "q/*"])),
        ];
        let mut realms: Vec<Vec<u8>> = callers
            .iter()
            .map(|caller| Realm::named(caller, false, "chat", &[]).0)
            .collect();
        realms.sort();
        realms.dedup();
        assert_eq!(realms.len(), callers.len());
        let same = |one: &Principal, two: &Principal, shared: bool| {
            Realm::named(one, shared, "chat", &[]).0 == Realm::named(two, shared, "chat", &[]).0
        };
        assert!(same(&callers[0], &callers[3], true), "shared is shared");
        let (ann, ann_too) = (&callers[3], principal(Some("c"), Some("ann"), None));
        assert!(same(ann, &ann_too, false), "the keys of one owner are one tenant");
        let turned = principal(Some("a"), None, Some(&["q/*", "p/m", "q/*"]));
        assert!(same(&callers[9], &turned, false));
    }

    #[test]
    fn routes_and_targets_named_directly_are_apart() {
        let anyone = Principal::default();
        let rows: [(&str, &[&str]); 4] = [("a", &[]), ("ab", &[]), ("direct", &["p/m"]), ("direct", &["p/n"])];
        let mut realms: Vec<_> = rows
            .map(|(route, direct)| Realm::named(&anyone, true, route, direct).0)
            .into();
        realms.sort();
        realms.dedup();
        assert_eq!(realms.len(), rows.len());
    }
}
