//! The admin API's description for programs, written from the table of [`crate::admin::api`] alone.

use std::sync::OnceLock;

use http::{Response, StatusCode};
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use crate::admin::api::route::{ApiRoute, Needs};
use crate::admin::api::table;
use crate::ingress::reply::{self, ReplyBody};

/// The document: OpenAPI 3.1.
pub fn document() -> Value {
    let mut settings = SchemaSettings::draft2020_12();
    settings.definitions_path = "/components/schemas".into();
    settings.meta_schema = None;
    let mut generator = settings.into_generator();
    let mut paths = Map::new();
    for route in table(None) {
        let mut operation = json!({
            "operationId": operation_id(&route),
            "summary": route.summary,
            "x-needs": needs(route.needs),
        });
        let mut parameters = Vec::new();
        if route.path.contains("{id}") {
            parameters.push(json!({ "name": "id", "in": "path", "required": true, "schema": { "type": "string" } }));
        }
        if let Some(query) = route.query {
            let schema = query(&mut generator).to_value();
            parameters.extend(query_parameters(&schema, &generator.definitions().clone()));
        }
        let mut set = |key: &str, value: Value| {
            if let Some(map) = operation.as_object_mut() {
                map.insert(key.to_owned(), value);
            }
        };
        if !parameters.is_empty() {
            set("parameters", parameters.into());
        }
        if let Some(body) = route.body {
            let schema = body(&mut generator).to_value();
            set(
                "requestBody",
                json!({ "content": { "application/json": { "schema": schema } } }),
            );
        }
        let answer = match route.answer {
            Some(answer) => json!({ "schema": answer(&mut generator).to_value() }),
            None => json!({}),
        };
        let mut answers = Map::new();
        answers.insert(
            route.status.as_str().to_owned(),
            json!({ "description": "Done", "content": { route.kind: answer } }),
        );
        match route.needs {
            Needs::Nobody => set("security", json!([])),
            Needs::Watcher => set("security", json!([{}, { "token": [] }])),
            Needs::Role(_) => {}
        }
        if route.needs != Needs::Nobody {
            let error = json!({ "$ref": "#/components/responses/Error" });
            answers.insert("default".to_owned(), error);
        }
        set("responses", answers.into());
        let method = route.method.as_str().to_ascii_lowercase();
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        if let Some(path) = path.as_object_mut() {
            path.insert(method, operation);
        }
    }
    let mut schemas: Map<String, Value> = generator.take_definitions(true).into_iter().collect();
    // They are written out where they stand, one parameter a field.
    schemas.retain(|name, _| !name.ends_with("Query"));
    schemas.sort_keys();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Jumpseat admin API",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "On the admin listener. Every request carries `Authorization: Bearer <admin token>`; `x-needs` says the least role.",
        },
        "servers": [{ "url": "http://127.0.0.1:4001" }],
        "security": [{ "token": [] }],
        "paths": paths,
        "components": {
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer" } },
            "responses": { "Error": {
                "description": "It was not done",
                "content": { "application/json": { "schema": { "$ref": "#/components/schemas/Error" } } },
            } },
            "schemas": with_error(schemas),
        },
    })
}

/// The document as text.
pub fn text() -> &'static str {
    static TEXT: OnceLock<String> = OnceLock::new();
    TEXT.get_or_init(|| {
        let mut text = serde_json::to_string_pretty(&document()).expect("a JSON value is writable");
        text.push('\n');
        text
    })
}

/// `GET /api/openapi.json`.
pub fn page() -> Response<ReplyBody> {
    reply::json(StatusCode::OK, text().as_bytes())
}

fn with_error(mut schemas: Map<String, Value>) -> Map<String, Value> {
    let error = json!({
        "type": "object",
        "required": ["error"],
        "properties": { "error": {
            "type": "object",
            "required": ["code", "message"],
            "properties": {
                "code": { "type": "string", "description": "One word" },
                "message": { "type": "string", "description": "What is wrong, and what to do" },
                "field": { "type": "string", "description": "The field of the body or query that is wrong" },
            },
        } },
    });
    schemas.insert("Error".to_owned(), error);
    schemas
}

fn needs(needs: Needs) -> &'static str {
    match needs {
        Needs::Nobody => "nobody",
        Needs::Watcher => "viewer, where tokens are configured",
        Needs::Role(role) => role.as_str(),
    }
}

/// `POST /api/v1/keys/{id}/rotate` → `post_keys_id_rotate`, `GET /targets` → `get_page_targets`.
fn operation_id(route: &ApiRoute) -> String {
    let path = match route.path.strip_prefix("/api") {
        Some(path) => path.trim_start_matches("/v1").to_owned(),
        None => format!("page{}", route.path),
    };
    let words = path
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty());
    let method = route.method.as_str().to_ascii_lowercase();
    std::iter::once(method.as_str())
        .chain(words)
        .collect::<Vec<_>>()
        .join("_")
}

/// One parameter for each field of a query's schema.
fn query_parameters(schema: &Value, definitions: &Map<String, Value>) -> Vec<Value> {
    let name = schema
        .get("$ref")
        .and_then(Value::as_str)
        .and_then(|path| path.rsplit('/').next());
    let schema = name.and_then(|name| definitions.get(name)).unwrap_or(schema);
    let fields = schema.get("properties").and_then(Value::as_object);
    fields
        .into_iter()
        .flatten()
        .map(|(name, field)| {
            let mut field = field.clone();
            let told = field
                .as_object_mut()
                .and_then(|field| field.shift_remove("description"));
            json!({ "name": name, "in": "query", "description": told, "schema": field })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_is_whole() {
        let document = document();
        let text = document.to_string();
        for part in text.split("\"$ref\":\"#/").skip(1) {
            let path = format!("/{}", part.split('"').next().unwrap());
            assert!(document.pointer(&path).is_some(), "{path} leads nowhere");
        }
        let mut ids: Vec<String> = table(None).iter().map(operation_id).collect();
        let all = ids.len();
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), all, "{ids:?}");
        assert!(
            !text.contains("sha256") && !text.contains("digest"),
            "digests are nowhere"
        );
    }
}
