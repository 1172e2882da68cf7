//! Several things at once, each of which is mostly a process that is waited for.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

/// The most processes at a time: what they load takes memory.
const MOST: usize = 4;

/// The results, in the order of the plans; or the first error, after which no further plan is begun.
pub(crate) fn in_parallel<P: Sync, T: Send, E: Send>(
    plans: &[P],
    one: impl Fn(&P) -> Result<T, E> + Sync,
) -> Result<Vec<T>, E> {
    let next = AtomicUsize::new(0);
    let results = Mutex::new(BTreeMap::new());
    let workers = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..workers.min(MOST).min(plans.len()) {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let Some(plan) = plans.get(number) else {
                        return;
                    };
                    let result = one(plan);
                    if result.is_err() {
                        next.store(plans.len(), Ordering::Relaxed);
                    }
                    results
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .insert(number, result);
                }
            });
        }
    });
    results
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner)
        .into_values()
        .collect()
}

#[cfg(test)]
mod tests {
    use super::in_parallel;

    #[test]
    fn results_come_in_the_order_of_the_plans() {
        let plans: Vec<u64> = (0..100).rev().collect();
        let squares = in_parallel(&plans, |plan| Ok::<_, ()>(plan * plan)).unwrap();
        let expected: Vec<u64> = plans.iter().map(|plan| plan * plan).collect();
        assert_eq!(squares, expected);
        assert_eq!(in_parallel(&[], |_: &u64| Ok::<u64, ()>(1)), Ok(vec![]));
    }

    #[test]
    fn an_error_ends_it() {
        let found = in_parallel(
            &[1, 2, 3],
            |&plan| if plan == 2 { Err(plan) } else { Ok(()) },
        );
        assert_eq!(found, Err(2));
    }
}
