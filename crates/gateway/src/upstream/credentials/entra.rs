//! Tokens of Microsoft Entra: for an application with a secret or a federated token, and for a machine's managed identity.
//!
//! Sources: Microsoft identity platform, client credentials flow; Azure IMDS (api-version 2018-02-01); App Service's
//! `IDENTITY_ENDPOINT` (2019-08-01).

use std::sync::Arc;

use http::Method;
use types::outcome::Failure;
use types::time::UnixMillis;

use crate::config::credential::{AzureMetadata, EntraProof, EntraSource};
use crate::config::env::Env;
use crate::config::secret::Secret;
use crate::upstream::client::UpstreamClient;
use crate::upstream::credentials::ask::{ask, encoded, form, question};
use crate::upstream::credentials::lease::Fetched;
use crate::upstream::credentials::token;

/// What managed identities are asked for.
const RESOURCE: &str = "https://cognitiveservices.azure.com/";

/// A token for an application.
pub async fn application(
    client: UpstreamClient,
    env: Arc<dyn Env + Send + Sync>,
    source: EntraSource,
    now: UnixMillis,
) -> Result<Fetched<Secret>, Failure> {
    let assertion = match &source.proof {
        EntraProof::Secret(_) => None,
        EntraProof::TokenFile(path) => Some(token::file(&*env, path)?),
    };
    let url = format!("{}/{}/oauth2/v2.0/token", source.authority, encoded(&source.tenant_id));
    let form = fields(&source, assertion.as_ref());
    let request = question(Method::POST, &url, &[], Some(form))?;
    let body = ask(&client, request, "Entra").await?;
    token::oauth(&body, "Entra", now)
}

fn fields(source: &EntraSource, assertion: Option<&Secret>) -> String {
    let mut fields = vec![
        ("grant_type", "client_credentials"),
        ("client_id", source.client_id.as_str()),
        ("scope", source.scope.as_str()),
    ];
    match (&source.proof, assertion) {
        (EntraProof::Secret(secret), _) => fields.push(("client_secret", secret.expose())),
        (EntraProof::TokenFile(_), assertion) => {
            fields.push((
                "client_assertion_type",
                "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            ));
            fields.push(("client_assertion", assertion.map_or("", Secret::expose)));
        }
    }
    form(&fields)
}

/// A token for the machine.
pub async fn machine(
    client: UpstreamClient,
    source: AzureMetadata,
    now: UnixMillis,
) -> Result<Fetched<Secret>, Failure> {
    let (version, header) = match &source.header {
        Some(shown) => ("2019-08-01", ("x-identity-header", shown.expose())),
        None => ("2018-02-01", ("metadata", "true")),
    };
    let mut query = vec![("api-version", version), ("resource", RESOURCE)];
    if let Some(client_id) = &source.client_id {
        query.push(("client_id", client_id));
    }
    let url = format!("{}?{}", source.endpoint, form(&query));
    let request = question(Method::GET, &url, &[header], None)?;
    let body = ask(&client, request, "Azure's managed identity").await?;
    token::oauth(&body, "Azure's managed identity", now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_names_the_application_its_proof_and_what_the_token_is_for() {
        let mut source = EntraSource {
            authority: "https://login.microsoftonline.com".into(),
            tenant_id: "t".into(),
            client_id: "app".into(),
            proof: EntraProof::Secret(Secret::new("s+1")),
            scope: "https://cognitiveservices.azure.com/.default".into(),
        };
        let common =
            "grant_type=client_credentials&client_id=app&scope=https%3A%2F%2Fcognitiveservices.azure.com%2F.default";
        assert_eq!(fields(&source, None), format!("{common}&client_secret=s%2B1"));
        source.proof = EntraProof::TokenFile("/t".into());
        let assertion = Secret::new("eyJ.a.b");
        let kind = "urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer";
        assert_eq!(
            fields(&source, Some(&assertion)),
            format!("{common}&client_assertion_type={kind}&client_assertion=eyJ.a.b")
        );
    }
}
