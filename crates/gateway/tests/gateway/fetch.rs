//! Images that a caller names by URL, before a provider that takes only their bytes. The guard has tests of its own beside it.

use http::Method;
use serde_json::json;

use crate::house::{House, Reply, provider};

/// Bedrock takes bytes alone, Anthropic URLs too.
fn house(fetch: &str, tiers: &str) -> House {
    let yaml = format!(
        "{fetch}providers:\n{}{}routes:\n  chat:\n    tiers: {tiers}\n",
        provider("primary", "bedrock_converse"),
        provider("second", "anthropic_messages"),
    );
    House::new(&["primary", "second"], &yaml)
}

async fn ask(house: &House, url: &str) -> Reply {
    let content = json!([{"type": "text", "text": "What is this?"}, {"type": "image_url", "image_url": {"url": url}}]);
    let body = json!({"model": "chat", "messages": [{"role": "user", "content": content}]});
    house
        .send(Method::POST, "/v1/chat/completions", &[], body.to_string().into())
        .await
}

const URL: &str = "https://images.example/cat.png";
const SOLE: &str = "[{ targets: [primary/alpha] }]";

#[tokio::test(start_paused = true)]
async fn without_fetching_a_url_goes_to_a_target_that_takes_it_or_is_refused_with_the_reason() {
    let house_of_two = house("", "[{ targets: [primary/alpha] }, { targets: [second/beta] }]");
    let reply = ask(&house_of_two, URL).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    assert_eq!(reply.header("x-jumpseat-target"), "second/beta");
    assert_eq!(
        house_of_two.attempts("primary"),
        0,
        "nothing was sent that it cannot take"
    );

    let sole = house("", SOLE);
    let reply = ask(&sole, URL).await;
    assert_eq!(reply.status, 400, "{reply:?}");
    let told = reply.told();
    assert_eq!(told.word, "unsupported_parameter", "{told:?}");
    assert!(told.message.to_lowercase().contains("url"), "{told:?}");
    assert_eq!(sole.attempts("primary"), 0);
}

#[tokio::test(start_paused = true)]
async fn with_it_what_is_no_public_address_is_refused_and_the_provider_hears_nothing() {
    for url in [
        "https://127.0.0.1/cat.png",
        "https://169.254.169.254/latest/meta-data/",
        "https://[::1]/cat.png",
        "http://images.example/cat.png",
        "file:///etc/passwd",
    ] {
        let house = house("fetch: { enabled: true }\n", SOLE);
        let reply = ask(&house, url).await;
        assert_eq!(reply.status, 400, "{url}: {reply:?}");
        assert_eq!(house.attempts("primary"), 0, "{url}");
        assert_eq!(reply.header("x-should-retry"), "false", "{url}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_image_that_came_with_the_request_needs_no_fetching() {
    let house = house("", SOLE);
    let pixel = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
    let reply = ask(&house, pixel).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    let sent = house.entries("primary")[0].body.clone();
    assert_eq!(sent["messages"][0]["content"][1]["image"]["format"], "png", "{sent}");
}
