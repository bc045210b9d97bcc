//! `GET /v1/models`: the names a client may put in `model`, in OpenAI's shape.

use bytes::Bytes;
use serde::Serialize;

use crate::config::topology::{ListedModel, Topology};

#[derive(Serialize)]
struct List<'a> {
    object: &'static str,
    data: Vec<Model<'a>>,
}

#[derive(Serialize)]
struct Model<'a> {
    id: &'a str,
    object: &'static str,
    created: u64,
    owned_by: &'a str,
}

/// All of them.
pub fn list(topology: &Topology) -> Bytes {
    let listed = topology.listed();
    to_json(&List {
        object: "list",
        data: listed.iter().map(model).collect(),
    })
}

/// One of them.
pub fn one(topology: &Topology, id: &str) -> Option<Bytes> {
    topology
        .listed()
        .iter()
        .find(|listed| listed.id == id)
        .map(|listed| to_json(&model(listed)))
}

fn model(listed: &ListedModel) -> Model<'_> {
    Model {
        id: &listed.id,
        object: "model",
        created: 0,
        owned_by: &listed.owned_by,
    }
}

fn to_json<T: Serialize>(value: &T) -> Bytes {
    serde_json::to_vec(value)
        .expect("strings and numbers always serialize")
        .into()
}
