//! What happens next in virtual time: a heap by time, then by the order in which it was planned.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use types::ids::AttemptNo;
use types::time::Mono;

/// Something due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Due {
    /// A call comes.
    Arrive(u32),
    /// The next step of an attempt of a call.
    Step(u32, AttemptNo),
    /// A call asked to be woken.
    Wake(u32),
    /// A client loses patience.
    Leave(u32),
    /// Health checks of open targets.
    HealthCheck,
}

/// All that is due.
#[derive(Debug, Default)]
pub struct Agenda {
    heap: BinaryHeap<Reverse<(Mono, u64, Due)>>,
    planned: u64,
}

impl Agenda {
    /// Plans something. Of things due at once the one planned first comes first.
    pub fn plan(&mut self, at: Mono, due: Due) {
        self.heap.push(Reverse((at, self.planned, due)));
        self.planned += 1;
    }

    /// The next thing, with its time.
    pub fn pop(&mut self) -> Option<(Mono, Due)> {
        self.heap.pop().map(|Reverse((at, _, due))| (at, due))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_comes_first_and_then_the_order_of_planning() {
        let mut agenda = Agenda::default();
        for (at, due) in [
            (2, Due::Wake(9)),
            (1, Due::Leave(5)),
            (1, Due::Arrive(7)),
            (0, Due::HealthCheck),
        ] {
            agenda.plan(Mono(at), due);
        }
        let order: Vec<_> = std::iter::from_fn(|| agenda.pop()).map(|(_, due)| due).collect();
        assert_eq!(order, [Due::HealthCheck, Due::Leave(5), Due::Arrive(7), Due::Wake(9)]);
    }
}
