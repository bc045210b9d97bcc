//! Where in a configuration something stands: `routes.chat.tiers[0].targets`.

use std::fmt;

/// A path from the root of the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Place(Vec<Step>);

/// One step of a [`Place`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Into a map.
    Key(String),
    /// Into a list, from 0.
    Index(usize),
}

impl Place {
    /// The whole file.
    pub fn root() -> Place {
        Place::default()
    }

    /// The value of a key below.
    pub fn key(&self, key: &str) -> Place {
        self.step(Step::Key(key.to_owned()))
    }

    /// The element of a list below.
    pub fn index(&self, index: usize) -> Place {
        self.step(Step::Index(index))
    }

    /// The steps from the root.
    pub fn steps(&self) -> &[Step] {
        &self.0
    }

    fn step(&self, step: Step) -> Place {
        let mut steps = self.0.clone();
        steps.push(step);
        Place(steps)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, step) in self.0.iter().enumerate() {
            match step {
                Step::Index(index) => write!(f, "[{index}]")?,
                Step::Key(key) if key.contains(['.', '[', ' ']) => write!(f, "[{key:?}]")?,
                Step::Key(key) if position == 0 => f.write_str(key)?,
                Step::Key(key) => write!(f, ".{key}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_written_as_a_path_and_names_with_dots_are_quoted() {
        let tier = Place::root().key("routes").key("chat").key("tiers").index(0);
        assert_eq!(tier.to_string(), "routes.chat.tiers[0]");
        let model = Place::root().key("models").key("gpt-5.5").key("features");
        assert_eq!(model.to_string(), "models[\"gpt-5.5\"].features");
    }
}
