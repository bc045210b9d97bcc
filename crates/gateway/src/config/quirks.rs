//! The keys of `quirks:` in the JSON schema. [`wire::quirks::Quirks`] is what they are read into; a test holds both together.

use std::collections::BTreeMap;

use schemars::JsonSchema;

/// How a provider's requests differ from those of `openai_chat`.
#[derive(JsonSchema)]
#[schemars(rename = "Quirks", deny_unknown_fields)]
#[allow(dead_code, reason = "only its schema is used")]
pub(super) struct QuirksKeys {
    /// What the output limit is called.
    max_tokens: Option<MaxTokensWord>,
    /// Whether `stream_options` are sent.
    stream_options: Option<StreamOptionsWord>,
    /// Parameters it answers with an error: left out, and told in `x-jumpseat-dropped`.
    refuses: Option<Vec<String>>,
    /// Parameters it calls otherwise, by OpenAI's name: `{ seed: random_seed }`.
    renames: Option<BTreeMap<String, String>>,
    /// What instructions are called.
    system_role: Option<SystemRoleWord>,
    /// What earlier reasoning is called in the assistant's messages.
    reasoning_field: Option<ReasoningFieldWord>,
    /// Differences that need code.
    named: Option<Vec<NamedQuirkWord>>,
}

#[derive(JsonSchema)]
#[schemars(rename = "MaxTokens", rename_all = "snake_case")]
#[allow(dead_code, reason = "only its schema is used")]
enum MaxTokensWord {
    /// As the client called it.
    Keep,
    /// `max_tokens`.
    MaxTokens,
    /// `max_completion_tokens`.
    MaxCompletionTokens,
}

#[derive(JsonSchema)]
#[schemars(rename = "StreamOptions", rename_all = "snake_case")]
#[allow(dead_code, reason = "only its schema is used")]
enum StreamOptionsWord {
    /// As they are.
    Send,
    /// They are refused; usage comes unasked or not at all.
    Omit,
}

#[derive(JsonSchema)]
#[schemars(rename = "SystemRole", rename_all = "snake_case")]
#[allow(dead_code, reason = "only its schema is used")]
enum SystemRoleWord {
    /// As the client called them.
    Keep,
    /// `system`.
    System,
    /// `developer`.
    Developer,
}

#[derive(JsonSchema)]
#[schemars(rename = "ReasoningField", rename_all = "snake_case")]
#[allow(dead_code, reason = "only its schema is used")]
enum ReasoningFieldWord {
    /// As the client called it.
    Keep,
    /// `reasoning_content`.
    ReasoningContent,
    /// `reasoning`.
    Reasoning,
    /// It is refused, and left out.
    Omit,
}

#[derive(JsonSchema)]
#[schemars(rename = "NamedQuirk", rename_all = "snake_case")]
#[allow(dead_code, reason = "only its schema is used")]
enum NamedQuirkWord {
    /// Ids of tool calls must be nine letters or digits.
    ToolCallIdsOfNine,
    /// User and assistant must take turns.
    AlternatingRoles,
    /// A message's content must be one text.
    ContentAsText,
    /// Messages must have no `name`.
    MessagesWithoutName,
}

#[cfg(test)]
mod tests {
    use wire::quirks::Quirks;

    use crate::config::decode::decode;
    use crate::config::node::Node;
    use crate::config::schema::schema;

    #[test]
    fn the_schema_names_the_keys_that_are_read_and_every_word_is_taken() {
        let schema = schema();
        let definitions = &schema["definitions"];
        let keys: Vec<&String> = definitions["Quirks"]["properties"]
            .as_object()
            .unwrap()
            .keys()
            .collect();
        let read = serde_json::to_value(Quirks::default()).unwrap();
        assert_eq!(keys, read.as_object().unwrap().keys().collect::<Vec<_>>());
        let scalars = [
            ("max_tokens", "MaxTokens"),
            ("stream_options", "StreamOptions"),
            ("system_role", "SystemRole"),
            ("reasoning_field", "ReasoningField"),
        ];
        let words = |name: &str| {
            let words = definitions[name]["oneOf"].as_array().unwrap().iter();
            words
                .filter_map(|word| word["const"].as_str())
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        let mut texts: Vec<String> = words("NamedQuirk")
            .iter()
            .map(|word| format!("{{ named: [{word}] }}"))
            .collect();
        for (key, name) in scalars {
            texts.extend(words(name).iter().map(|word| format!("{{ {key}: {word} }}")));
        }
        assert!(texts.len() >= 13, "{texts:?}");
        for text in texts {
            assert!(decode::<Quirks>(&Node::parse(&text).unwrap()).is_ok(), "{text}");
        }
    }
}
