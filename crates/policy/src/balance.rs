//! Balancers: the order in which a tier's targets are tried.
//!
//! They order what the planner found fit to be tried; they leave nothing out.

use crate::plan::Candidate;
use crate::rng::Rng;
use crate::route::Balance;

/// Orders the candidates of one tier in place.
///
/// By weight: at random, each place drawn by weight among those left; weight 0 comes after all others. Least busy:
/// fewest calls in flight for its weight first, ties by weight as before.
pub fn order(candidates: &mut [Candidate], balance: Balance, rng: &mut Rng) {
    if candidates.len() < 2 {
        return;
    }
    draw_by_weight(candidates, rng);
    match balance {
        Balance::Weighted => {}
        // a / wa < b / wb without dividing; a weight of 0 is the busiest of all.
        Balance::LeastBusy => candidates.sort_by(|a, b| {
            let (wa, wb) = (u64::from(a.weight), u64::from(b.weight));
            (wa == 0)
                .cmp(&(wb == 0))
                .then_with(|| (u64::from(a.in_flight) * wb.max(1)).cmp(&(u64::from(b.in_flight) * wa.max(1))))
        }),
    }
}

fn draw_by_weight(candidates: &mut [Candidate], rng: &mut Rng) {
    let mut total: u64 = candidates.iter().map(|c| u64::from(c.weight)).sum();
    for place in 0..candidates.len() {
        if total == 0 {
            return;
        }
        let mut drawn = rng.below(total);
        let chosen = (place..candidates.len())
            .find(|i| {
                let weight = u64::from(candidates[*i].weight);
                let hit = drawn < weight;
                drawn = drawn.saturating_sub(weight);
                hit
            })
            .expect("the draw is below the sum of the weights left");
        total -= u64::from(candidates[chosen].weight);
        // Rotated rather than swapped: those not drawn keep the order they were written in.
        candidates[place..=chosen].rotate_right(1);
    }
}

#[cfg(test)]
mod tests {
    use types::features::Features;
    use types::ids::{CredentialIx, TargetIx};

    use super::*;

    fn candidates(rows: &[(u32, u32)]) -> Vec<Candidate> {
        rows.iter()
            .enumerate()
            .map(|(i, (weight, in_flight))| Candidate {
                target: TargetIx(i as u32),
                tier: 0,
                credential: CredentialIx(0),
                weight: *weight,
                in_flight: *in_flight,
                no_headroom: false,
                troubled: false,
                probe: false,
                forced: false,
                degraded: Features::NONE,
            })
            .collect()
    }

    fn firsts(rows: &[(u32, u32)], balance: Balance) -> Vec<u32> {
        let (mut rng, mut counts) = (Rng::new(3), vec![0; rows.len()]);
        for _ in 0..10_000 {
            let mut tier = candidates(rows);
            order(&mut tier, balance, &mut rng);
            let mut seen: Vec<_> = tier.iter().map(|c| c.target.0).collect();
            counts[seen[0] as usize] += 1;
            seen.sort_unstable();
            assert_eq!(seen, (0..rows.len() as u32).collect::<Vec<_>>(), "nothing is lost");
        }
        counts
    }

    #[test]
    fn by_weight_each_is_first_as_often_as_its_weight_says() {
        let counts = firsts(&[(3, 0), (1, 0), (0, 0)], Balance::Weighted);
        assert!((7_300..7_700).contains(&counts[0]), "{counts:?}");
        assert_eq!(counts[2], 0, "weight 0 is never first");
    }

    #[test]
    fn least_busy_goes_by_calls_in_flight_for_the_weight_and_draws_among_equals() {
        assert_eq!(firsts(&[(1, 5), (1, 2), (1, 9)], Balance::LeastBusy), [0, 10_000, 0]);
        assert_eq!(firsts(&[(4, 5), (1, 2)], Balance::LeastBusy), [10_000, 0]);
        assert_eq!(firsts(&[(0, 0), (1, 50)], Balance::LeastBusy), [0, 10_000]);
        let counts = firsts(&[(1, 1), (1, 1)], Balance::LeastBusy);
        assert!((4_700..5_300).contains(&counts[0]), "{counts:?}");
    }
}
