//! The list of names that a client may ask for, in the shape its SDK reads.

use bytes::Bytes;
use http::Method;
use serde_json::json;

use crate::house::{House, NAMES, Reply, three};
use crate::ingress::Ingress;

const ROUTE: &str = "models: [gpt-4o, \"vendor/odd name\"]\ntiers: [{ targets: [primary/alpha] }]";

async fn get(path: &str, headers: &[(&str, &str)]) -> Reply {
    let house = House::new(&NAMES, &three("openai_chat", ROUTE));
    house.send(Method::GET, path, headers, Bytes::new()).await
}

const ANTHROPIC: &[(&str, &str)] = &[("anthropic-version", "2023-06-01")];

#[tokio::test(start_paused = true)]
async fn openais_sdks_read_a_list_of_objects() {
    let list = get("/v1/models", &[]).await.json();
    assert_eq!(list["object"], "list");
    for model in list["data"].as_array().unwrap() {
        assert_eq!(model["object"], "model", "{model}");
        assert!(model["created"].is_u64() && model["owned_by"].is_string(), "{model}");
    }
    assert_eq!(get("/v1/models/gpt-4o", &[]).await.json()["id"], "gpt-4o");
    assert_eq!(get("/models", &[]).await.json(), list, "also without the version");
}

#[tokio::test(start_paused = true)]
async fn anthropics_sdks_read_one_page() {
    let list = get("/v1/models", ANTHROPIC).await.json();
    let data = list["data"].as_array().unwrap();
    assert_eq!((&list["has_more"], &list["first_id"]), (&json!(false), &data[0]["id"]));
    assert_eq!(list["last_id"], data[data.len() - 1]["id"]);
    for model in data {
        assert_eq!(model["type"], "model", "{model}");
        assert!(
            model["display_name"].is_string() && model["created_at"].as_str().unwrap().ends_with('Z'),
            "{model}"
        );
    }
    assert_eq!(get("/v1/models/chat", ANTHROPIC).await.json()["id"], "chat");
}

#[tokio::test(start_paused = true)]
async fn googles_sdks_read_names_with_a_prefix() {
    let list = get("/v1beta/models", &[]).await.json();
    let names: Vec<&str> = list["models"]
        .as_array()
        .unwrap()
        .iter()
        .map(|m| m["name"].as_str().unwrap())
        .collect();
    assert!(
        names.contains(&"models/chat") && names.contains(&"models/gpt-4o"),
        "{names:?}"
    );
    assert_eq!(get("/v1beta/models/chat", &[]).await.json()["name"], "models/chat");
}

#[tokio::test(start_paused = true)]
async fn a_name_with_odd_signs_is_found_by_its_escaped_path_and_one_that_is_not_there_is_a_404_in_each_shape() {
    assert_eq!(
        get("/v1/models/vendor%2Fodd%20name", &[]).await.json()["id"],
        "vendor/odd name"
    );
    let rows: [(&str, &[(&str, &str)], Ingress, &str); 3] = [
        ("/v1/models/nobody", &[], Ingress::Chat, "model_not_found"),
        ("/v1/models/nobody", ANTHROPIC, Ingress::Messages, "not_found_error"),
        ("/v1beta/models/nobody", &[], Ingress::Gemini, "NOT_FOUND"),
    ];
    for (path, headers, ingress, word) in rows {
        let reply = Reply {
            ingress,
            ..get(path, headers).await
        };
        assert_eq!(reply.status, 404, "{path} {headers:?}");
        assert_eq!(reply.told().word, word, "{path} {headers:?}");
    }
}
