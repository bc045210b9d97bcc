//! What an attempt is expected to take before it begins: tokens and money, from what the target taught and the call asks for.

use policy::call::facts::CallFacts;
use policy::spend::estimate::{estimate, output_cap};
use types::dialect::Operation;
use types::money::NanoDollars;

use crate::fleet::memory::lock;
use crate::fleet::route::Target;

/// What of a call decides what it takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Characters of its prompt.
    pub prompt_chars: u64,
    /// The longest answer it asks for.
    pub max_output: Option<u64>,
    /// Answers it asks for.
    pub answers: u64,
    /// What is asked; `None` for what goes on as it came, of which nobody knows the measure.
    pub operation: Option<Operation>,
}

/// What an attempt at a target is expected to take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Quote {
    /// Tokens of the prompt.
    pub prompt: u64,
    /// Tokens of each answer.
    pub output: u64,
    /// Answers.
    pub answers: u64,
    /// What it costs; `None` where nobody knows the prices.
    pub cost: Option<NanoDollars>,
}

impl Size {
    /// Of facts alone, for a conversation.
    pub fn of(facts: &CallFacts) -> Size {
        Size {
            prompt_chars: facts.prompt_chars,
            max_output: facts.max_output_tokens,
            answers: 1,
            operation: Some(Operation::Generate),
        }
    }
}

impl Quote {
    /// What a call takes at a target: the usual answer of its route there, no longer than what is asked for and what the model gives.
    pub fn new(target: &Target, size: &Size) -> Quote {
        let prompt = || lock(&target.state.tokens).estimate(size.prompt_chars);
        let (prompt, output) = match size.operation {
            Some(Operation::Generate) => {
                let most = [size.max_output, target.facts.max_output].into_iter().flatten().min();
                // Where nobody asks for an end, the target's own is no expectation.
                let asked = size.max_output.and(most);
                let usual = lock(&target.usual).expect(asked);
                (prompt(), most.map_or(usual, |most| usual.min(most)))
            }
            Some(Operation::Embed) => (prompt(), 0),
            // Counting is free, and of what passes as it came nobody knows the measure.
            Some(Operation::CountTokens) | None => (0, 0),
        };
        let mut quote = Quote {
            prompt,
            output,
            answers: size.answers.max(1),
            cost: None,
        };
        let free = size.operation == Some(Operation::CountTokens);
        quote.cost = match &target.prices {
            _ if free => Some(NanoDollars::ZERO),
            Some(prices) => Some(estimate(quote.prompt, quote.generated(), prices)),
            None => None,
        };
        quote
    }

    /// Tokens of prompt and answers together.
    pub fn tokens(&self) -> u64 {
        self.prompt.saturating_add(self.generated())
    }

    fn generated(&self) -> u64 {
        self.output.saturating_mul(self.answers)
    }

    /// The same with an answer short enough for what is left, and how short. `None` when that would help nobody.
    pub fn within(&self, left: NanoDollars, target: &Target) -> Option<(Quote, u64)> {
        let prices = target.prices.as_ref()?;
        let generated = output_cap(left, self.prompt, self.generated(), prices)?;
        let each = generated / self.answers.max(1);
        let quote = Quote {
            output: each,
            cost: Some(estimate(self.prompt, each.saturating_mul(self.answers), prices)),
            ..*self
        };
        (each > 0).then_some((quote, each))
    }
}
