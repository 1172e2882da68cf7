//! How many threads an engine should use.
//!
//! Each engine's ggml spins its own pool: more threads than cores, or two busy pools on the same
//! cores, cost a factor of ten and more. So the default comes from the physical cores that this
//! process may use, and engines that run at once share one budget.

use std::{
    collections::BTreeSet,
    num::NonZeroUsize,
    sync::{Mutex, OnceLock, PoisonError},
};

/// As many threads as one call can ask for: ggml's own limit, `GGML_MAX_N_THREADS`.
pub const MAX: usize = 512;

/// Threads in use by running calls.
static IN_USE: Mutex<usize> = Mutex::new(0);

/// The number of threads that serve this process best: its physical cores, as far as its CPU
/// affinity and its cgroup's quota let it use them. At least one.
///
/// ```
/// let budget = trifold_runtime::threads::budget();
/// assert!(budget.get() <= std::thread::available_parallelism().unwrap().get());
/// ```
pub fn budget() -> NonZeroUsize {
    static BUDGET: OnceLock<NonZeroUsize> = OnceLock::new();
    *BUDGET.get_or_init(|| {
        // Affinity and quota, in logical CPUs.
        let available = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        physical_cores().map_or(available, |cores| cores.min(available))
    })
}

/// Threads taken from the budget; given back on drop.
#[derive(Debug)]
pub struct Lease {
    count: NonZeroUsize,
}

impl Lease {
    /// How many threads the holder may run.
    pub fn count(&self) -> NonZeroUsize {
        self.count
    }

    /// The same, as the engines want it.
    pub fn count_i32(&self) -> i32 {
        i32::try_from(self.count.get()).unwrap_or(i32::MAX)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut in_use = IN_USE.lock().unwrap_or_else(PoisonError::into_inner);
        *in_use = in_use.saturating_sub(self.count.get());
    }
}

/// Takes threads for one call. An explicit number is granted as it is; the default is what other
/// running calls have left of the [`budget`], and at least one.
pub fn lease(explicit: Option<NonZeroUsize>) -> Lease {
    let mut in_use = IN_USE.lock().unwrap_or_else(PoisonError::into_inner);
    let left = NonZeroUsize::new(budget().get().saturating_sub(*in_use));
    let count = explicit.or(left).unwrap_or(NonZeroUsize::MIN);
    *in_use += count.get();
    Lease { count }
}

/// Takes what is left of the [`budget`], but no more than `most`, and at least one: for work that more
/// threads would slow down.
pub fn lease_at_most(most: NonZeroUsize) -> Lease {
    let mut in_use = IN_USE.lock().unwrap_or_else(PoisonError::into_inner);
    let left = NonZeroUsize::new(budget().get().saturating_sub(*in_use));
    let count = left.map_or(NonZeroUsize::MIN, |left| left.min(most));
    *in_use += count.get();
    Lease { count }
}

/// The physical cores among the CPUs that this process may run on.
pub fn physical_cores() -> Option<NonZeroUsize> {
    let status = fs_err::read_to_string("/proc/self/status").ok()?;
    let list = status
        .lines()
        .find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?;
    let cores: BTreeSet<String> = cpus(list.trim())?
        .map(|cpu| {
            let path = format!("/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list");
            fs_err::read_to_string(path)
                .map_or_else(|_| cpu.to_string(), |text| text.trim().to_owned())
        })
        .collect();
    NonZeroUsize::new(cores.len())
}

/// The numbers of a list such as `0-3,8,10-11`.
fn cpus(list: &str) -> Option<impl Iterator<Item = usize>> {
    let ranges = list
        .split(',')
        .map(|part| {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            Some(first.parse().ok()?..=last.parse().ok()?)
        })
        .collect::<Option<Vec<_>>>()?;
    Some(ranges.into_iter().flatten())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_cpus() {
        assert_eq!(
            cpus("0-2,5,7-8").unwrap().collect::<Vec<_>>(),
            [0, 1, 2, 5, 7, 8]
        );
        assert!(cpus("0-x").is_none());
    }

    #[test]
    fn leases_share_one_budget_and_come_back() {
        let all = budget().get();
        {
            let first = lease(None);
            assert_eq!(first.count().get(), all);
            let second = lease(None);
            assert_eq!(
                second.count().get(),
                1,
                "the budget is spent: one thread each"
            );
            let explicit = lease(NonZeroUsize::new(7));
            assert_eq!(explicit.count().get(), 7, "an explicit number is granted");
            let modest = lease_at_most(NonZeroUsize::MAX);
            assert_eq!(modest.count().get(), 1, "a wish is not");
        }
        assert_eq!(lease_at_most(NonZeroUsize::MIN).count().get(), 1);
        assert_eq!(lease(None).count().get(), all);
    }
}
