//! What a generation of Claude takes and refuses, read from the model's name.
//!
//! The API is one, but a parameter that one model needs is a 400 at the next: thinking by budget or adaptive, sampling,
//! forced tools, prefill, system turns. [`Generation::of`] is the one place that knows (migration guides of Claude 4.5 to
//! 5.5). A model that is no Claude speaks this dialect as it was when others took it up; a Claude of an unknown version is
//! taken for the newest, since what was refused once has not come back.

/// What one model takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Generation {
    /// It can think, asked or unasked.
    pub thinks: bool,
    /// How thinking is asked for.
    pub thinking: ThinkingForm,
    /// How thinking is turned off.
    pub off: ThinkingOff,
    /// Thinking comes back without its text unless `display` asks for it.
    pub hides_thinking: bool,
    /// The effort words it knows beyond `high`.
    pub effort: EffortWords,
    /// Which sampling parameters it takes.
    pub sampling: SamplingRule,
    /// It takes a `tool_choice` of `any` or `tool`.
    pub forced_tools: bool,
    /// It continues a last turn of the assistant.
    pub prefill: bool,
    /// It takes turns of the role `system` behind a user turn.
    pub system_turns: bool,
    /// It takes `output_config.format` and strict tools.
    pub structured: bool,
}

/// How thinking is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ThinkingForm {
    /// `{"type":"enabled","budget_tokens":n}`.
    Budget,
    /// `{"type":"adaptive"}` with `output_config.effort`.
    Adaptive,
}

/// How thinking is turned off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ThinkingOff {
    /// It is off unless asked for.
    ByDefault,
    /// `{"type":"disabled"}`.
    Disabled,
    /// `{"type":"between_tools"}`.
    BetweenTools,
    /// Not at all.
    Never,
}

/// The effort words beyond `low`, `medium` and `high`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EffortWords {
    /// `max`.
    Max,
    /// `xhigh` and `max`.
    XhighMax,
}

/// Which sampling parameters are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SamplingRule {
    /// All.
    Any,
    /// `temperature` or `top_p`, not both.
    OneOfTwo,
    /// Defaults only.
    Fixed,
}

/// Another maker's model that speaks the dialect.
const FOREIGN: Generation = Generation {
    thinks: false,
    thinking: ThinkingForm::Budget,
    off: ThinkingOff::ByDefault,
    hides_thinking: false,
    effort: EffortWords::Max,
    sampling: SamplingRule::Any,
    forced_tools: true,
    prefill: true,
    system_turns: false,
    structured: true,
};

/// Where a name tells no version.
const NEWEST: (u32, u32) = (99, 0);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    Opus,
    Sonnet,
    Haiku,
    /// Fable and Mythos: always thinking, since their first.
    Thinker,
    Unknown,
}

impl Generation {
    /// What the model of this name takes. Vendor prefixes (`anthropic.`, `us.anthropic.`), dates and suffixes are seen past.
    pub fn of(model: &str) -> Generation {
        let name = model.to_ascii_lowercase();
        let Some(at) = name.find("claude") else {
            return FOREIGN;
        };
        let (family, version) = read_name(&name[at + "claude".len()..]);
        let thinker = family == Family::Thinker;
        Generation {
            thinks: thinker || version >= (3, 7),
            thinking: if thinker || version >= (4, 6) {
                ThinkingForm::Adaptive
            } else {
                ThinkingForm::Budget
            },
            off: match family {
                Family::Thinker => ThinkingOff::Never,
                _ if version < (5, 0) => ThinkingOff::ByDefault,
                _ if version < (5, 5) => ThinkingOff::Disabled,
                Family::Sonnet if version == (5, 5) => ThinkingOff::BetweenTools,
                Family::Haiku if version == (5, 5) => ThinkingOff::Disabled,
                Family::Opus | Family::Sonnet | Family::Haiku | Family::Unknown => ThinkingOff::Never,
            },
            hides_thinking: thinker || version >= (4, 7),
            effort: if thinker || version >= (4, 7) {
                EffortWords::XhighMax
            } else {
                EffortWords::Max
            },
            sampling: if thinker || version >= (4, 7) {
                SamplingRule::Fixed
            } else if version >= (4, 1) {
                SamplingRule::OneOfTwo
            } else {
                SamplingRule::Any
            },
            forced_tools: match family {
                Family::Thinker => version < (5, 1),
                Family::Haiku => version <= (5, 5),
                Family::Opus | Family::Sonnet | Family::Unknown => version < (5, 5),
            },
            prefill: !thinker && version < (4, 6),
            system_turns: match family {
                Family::Opus => version >= (4, 8),
                Family::Thinker => version >= (5, 0),
                Family::Sonnet | Family::Haiku | Family::Unknown => version >= (5, 5),
            },
            structured: thinker || version >= (4, 5),
        }
    }
}

/// Family and version of what stands behind `claude`: `-sonnet-4-5-20250929`, `-3-7-sonnet-20250219`, `-opus-4@20250514`.
fn read_name(rest: &str) -> (Family, (u32, u32)) {
    let mut family = Family::Unknown;
    let mut version: Option<(u32, u32)> = None;
    let mut major_was_last = false;
    for word in rest.split(|c: char| !c.is_ascii_alphanumeric()) {
        // A number of more than two digits is a date.
        let number = word.parse::<u32>().ok().filter(|_| word.len() <= 2);
        version = match (version, number) {
            (None, Some(major)) => Some((major, 0)),
            (Some((major, 0)), Some(minor)) if major_was_last => Some((major, minor)),
            (known, _) => known,
        };
        major_was_last = number.is_some() && version.is_some_and(|(_, minor)| minor == 0);
        match word {
            "opus" => family = Family::Opus,
            "sonnet" => family = Family::Sonnet,
            "haiku" => family = Family::Haiku,
            "fable" | "mythos" => family = Family::Thinker,
            // Claude Mythos Preview came before the numbered ones.
            "preview" => version = version.or(Some((4, 7))),
            _ => {}
        }
    }
    (family, version.unwrap_or(NEWEST))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_every_fashion_are_read() {
        let rows = [
            ("-sonnet-4-5-20250929", Family::Sonnet, (4, 5)),
            ("-opus-4-20250514", Family::Opus, (4, 0)),
            ("-4-opus-20250514", Family::Opus, (4, 0)),
            ("-opus-4@20250514", Family::Opus, (4, 0)),
            ("-3-7-sonnet-latest", Family::Sonnet, (3, 7)),
            ("-3-haiku-20240307", Family::Haiku, (3, 0)),
            ("-opus-4-6-v1:0", Family::Opus, (4, 6)),
            ("-sonnet-4.5", Family::Sonnet, (4, 5)),
            ("-sonnet-5", Family::Sonnet, (5, 0)),
            ("-haiku-5-5", Family::Haiku, (5, 5)),
            ("-fable-5-1", Family::Thinker, (5, 1)),
            ("-mythos-preview", Family::Thinker, (4, 7)),
            ("-2.1", Family::Unknown, (2, 1)),
            ("-next", Family::Unknown, NEWEST),
            ("", Family::Unknown, NEWEST),
        ];
        for (name, family, version) in rows {
            assert_eq!(read_name(name), (family, version), "claude{name}");
        }
    }

    #[test]
    fn each_generation_takes_what_its_migration_guide_says() {
        use SamplingRule::{Any, Fixed, OneOfTwo};
        use ThinkingForm::{Adaptive, Budget};
        use ThinkingOff::{BetweenTools, ByDefault, Disabled, Never};
        #[rustfmt::skip]
        let rows = [
            // model, thinking, off, sampling, forced tools, prefill, system turns, structured
            ("claude-3-7-sonnet-20250219", Budget, ByDefault, Any, true, true, false, false),
            ("claude-opus-4-1-20250805", Budget, ByDefault, OneOfTwo, true, true, false, false),
            ("claude-haiku-4-5-20251001", Budget, ByDefault, OneOfTwo, true, true, false, true),
            ("claude-sonnet-4-6", Adaptive, ByDefault, OneOfTwo, true, false, false, true),
            ("us.anthropic.claude-opus-4-7", Adaptive, ByDefault, Fixed, true, false, false, true),
            ("claude-opus-4-8", Adaptive, ByDefault, Fixed, true, false, true, true),
            ("claude-sonnet-5", Adaptive, Disabled, Fixed, true, false, false, true),
            ("claude-opus-5", Adaptive, Disabled, Fixed, true, false, true, true),
            ("claude-fable-5", Adaptive, Never, Fixed, true, false, true, true),
            ("claude-fable-5-1", Adaptive, Never, Fixed, false, false, true, true),
            ("claude-opus-5-5", Adaptive, Never, Fixed, false, false, true, true),
            ("claude-sonnet-5-5", Adaptive, BetweenTools, Fixed, false, false, true, true),
            ("claude-haiku-5-5", Adaptive, Disabled, Fixed, true, false, true, true),
            ("claude-opus-6", Adaptive, Never, Fixed, false, false, true, true),
            ("MiniMax-M3", Budget, ByDefault, Any, true, true, false, true),
        ];
        for (model, thinking, off, sampling, forced, prefill, system, structured) in rows {
            let found = Generation::of(model);
            assert_eq!(
                (found.thinking, found.off, found.sampling),
                (thinking, off, sampling),
                "{model}"
            );
            assert_eq!(
                (found.forced_tools, found.prefill, found.system_turns, found.structured),
                (forced, prefill, system, structured),
                "{model}"
            );
        }
    }
}
