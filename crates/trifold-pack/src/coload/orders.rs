//! In which orders to load.

use std::collections::BTreeSet;

/// The factorial of more does not fit.
pub(super) const MOST: usize = 34;

/// How many orders so many things have.
pub(super) fn possible(count: usize) -> u128 {
    (1..=count as u128).product()
}

/// At most `limit` orders of all, spread evenly from the given one to its reverse. In order, each
/// once.
pub(super) fn of_all(count: usize, limit: usize) -> Vec<Vec<usize>> {
    let last = possible(count) - 1;
    let steps = (limit.max(1) as u128 - 1).min(last);
    (0..=steps)
        .map(|step| {
            // `last * step / steps`, which could overflow.
            let (whole, rest) = match steps {
                0 => (0, 0),
                _ => (last / steps * step, last % steps * step / steps),
            };
            permutation(count, whole + rest)
        })
        .collect()
}

/// Both orders of every pair, then orders of all.
pub(super) fn plan(count: usize, limit: usize) -> Vec<Vec<usize>> {
    let pairs = (0..count).flat_map(|first| (first + 1..count).map(move |second| (first, second)));
    let both = pairs.flat_map(|(first, second)| [vec![first, second], vec![second, first]]);
    let mut seen = BTreeSet::new();
    both.chain(of_all(count, limit))
        .filter(|order| seen.insert(order.clone()))
        .collect()
}

/// The permutation of this rank, by dictionary order.
fn permutation(count: usize, mut rank: u128) -> Vec<usize> {
    let mut left: Vec<usize> = (0..count).collect();
    let mut order = Vec::with_capacity(count);
    while !left.is_empty() {
        let below = possible(left.len() - 1);
        let place = usize::try_from(rank / below).unwrap_or_default();
        rank %= below;
        order.push(left.remove(place.min(left.len() - 1)));
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_order_of_few() {
        let orders = of_all(3, 24);
        let expected = [
            [0, 1, 2],
            [0, 2, 1],
            [1, 0, 2],
            [1, 2, 0],
            [2, 0, 1],
            [2, 1, 0],
        ];
        assert_eq!(orders, expected);
        assert_eq!(plan(2, 24), [[0, 1], [1, 0]]);
        assert_eq!(plan(3, 24).len(), 6 + 6);
    }

    #[test]
    fn some_orders_of_many_from_the_given_one_to_its_reverse() {
        for count in [5, 20, MOST] {
            let orders = of_all(count, 24);
            assert_eq!(orders.len(), 24);
            assert_eq!(orders[0], (0..count).collect::<Vec<_>>());
            assert_eq!(orders[23], (0..count).rev().collect::<Vec<_>>());
            let different: BTreeSet<_> = orders.iter().collect();
            assert_eq!(different.len(), 24);
            for order in &orders {
                let mut sorted = order.clone();
                sorted.sort_unstable();
                assert_eq!(sorted, orders[0]);
            }
        }
        assert_eq!(of_all(4, 1), [[0, 1, 2, 3]]);
        assert_eq!(of_all(4, 0), [[0, 1, 2, 3]]);
    }
}
