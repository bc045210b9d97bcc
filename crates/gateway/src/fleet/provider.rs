//! A provider made ready: its connections, its credentials as headers, its breaker.

use std::sync::{Arc, Mutex};

use http::header::{HeaderName, HeaderValue};
use http::{HeaderMap, Uri};
use policy::credential::CredentialCell;
use policy::provider::ProviderCell;
use policy::route::{BreakerPolicy, RestPolicy};
use policy::target::DomainIx;
use secrecy::ExposeSecret;
use types::dialect::DialectName;
use types::ids::ProviderId;
use types::time::Now;
use wire::hosting::Hosting;
use wire::quirks::Quirks;

use crate::config::topology::ProviderSpec;
use crate::fleet::memory::{Memory, lock};
use crate::upstream::client::{UpstreamClient, base_headers};
use crate::upstream::link::Dialer;

/// A provider made ready.
pub struct Provider {
    /// Its name.
    pub id: ProviderId,
    /// Its wire format.
    pub dialect: DialectName,
    /// As the provider's own SDK takes it, without a slash at the end.
    pub base_url: String,
    /// How its dialect is served there.
    pub hosting: Hosting,
    /// Where it differs from its dialect.
    pub quirks: Quirks,
    /// What fails with it.
    pub domain: DomainIx,
    /// Its connections.
    pub client: UpstreamClient,
    /// In the order they are tried. Never empty for an enabled provider.
    pub credentials: Vec<Credential>,
    /// Its breaker.
    pub cell: Arc<Mutex<ProviderCell>>,
    headers: HeaderMap,
    credential_header: HeaderName,
}

/// A credential made ready.
pub struct Credential {
    /// Its name in logs: never the secret.
    pub name: String,
    /// Its rests.
    pub cell: Arc<Mutex<CredentialCell>>,
    header: Option<HeaderValue>,
}

impl Provider {
    /// Makes a provider ready. The connections are new; what was learned of it is kept.
    pub fn new(
        spec: &ProviderSpec,
        dialer: Dialer,
        memory: &Memory,
        breaker: &BreakerPolicy,
        rest: &RestPolicy,
    ) -> Provider {
        let shown = wire::dialect::credential_header(spec.dialect);
        let credentials = spec
            .credentials
            .iter()
            .map(|credential| {
                let secret = credential.secret.expose_secret();
                let header = HeaderValue::try_from(format!("{}{secret}", shown.prefix))
                    .ok()
                    .map(|mut value| {
                        value.set_sensitive(true);
                        value
                    });
                let header = header.filter(|_| !secret.is_empty());
                Credential {
                    name: credential.id.to_string(),
                    cell: memory.credential(&spec.id, secret, rest),
                    header,
                }
            })
            .collect();
        Provider {
            id: spec.id.clone(),
            dialect: spec.dialect,
            base_url: spec.base_url.trim_end_matches('/').to_owned(),
            hosting: spec.hosting.clone(),
            quirks: spec.quirks.clone(),
            domain: spec.domain,
            client: UpstreamClient::new(dialer),
            credentials,
            cell: memory.provider(&spec.id, breaker),
            headers: base_headers(wire::dialect::fixed_headers(spec.dialect), &spec.headers),
            credential_header: HeaderName::from_static(shown.name),
        }
    }

    /// The headers of a request with one of the credentials.
    pub fn headers(&self, credential: usize) -> HeaderMap {
        let mut headers = self.headers.clone();
        if let Some(value) = self.credentials.get(credential).and_then(|c| c.header.clone()) {
            headers.insert(self.credential_header.clone(), value);
        }
        headers
    }

    /// `base_url` with a path behind it. `None` when the two make no URL, which a checked configuration never does.
    pub fn uri(&self, path: &str) -> Option<Uri> {
        Uri::try_from(format!("{}{path}", self.base_url)).ok()
    }

    /// Whether it counts as one of two open providers of a failure domain.
    pub fn in_trouble(&self, now: Now) -> bool {
        lock(&self.cell).is_open(now)
    }

    /// The operator changed the policies; connections and what was learned stay.
    pub fn reconfigure(&self, breaker: &BreakerPolicy, rest: &RestPolicy) {
        lock(&self.cell).reconfigure(*breaker);
        for credential in &self.credentials {
            lock(&credential.cell).reconfigure(*rest);
        }
    }
}
