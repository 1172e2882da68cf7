//! Whether packages are safe beside each other.

use std::collections::BTreeSet;

use super::report::{Binding, BindingKind, Flags, Outcome, Run, Safety, Seen, Verdict};

/// For each pair, and for all of more than two.
pub(super) fn all(
    count: usize,
    flags: &[Flags],
    alone: &[Run],
    together: &[Run],
    bindings: &[Binding],
) -> Vec<Verdict> {
    let pairs =
        (0..count).flat_map(|first| (first + 1..count).map(move |second| vec![first, second]));
    let all = (count > 2).then(|| (0..count).collect());
    pairs
        .chain(all)
        .flat_map(|packages: Vec<usize>| {
            flags
                .iter()
                .map(move |&flags| one(packages.clone(), flags, alone, together, bindings))
        })
        .collect()
}

fn one(
    packages: Vec<usize>,
    flags: Flags,
    alone: &[Run],
    together: &[Run],
    bindings: &[Binding],
) -> Verdict {
    let of_these = |run: &Run| {
        run.flags == flags
            && run.order.len() == packages.len()
            && run.order.iter().all(|package| packages.contains(package))
    };
    let fail_alone: Vec<_> = alone
        .iter()
        .filter(|run| {
            run.flags == flags && run.outcome != Outcome::Ok && packages.contains(&run.order[0])
        })
        .map(|run| run.order[0])
        .collect();
    let runs = || together.iter().enumerate().filter(|(_, run)| of_these(run));
    let failures: Vec<_> = runs()
        .filter(|(_, run)| !matches!(run.outcome, Outcome::Ok | Outcome::Skipped { .. }))
        .map(|(number, _)| number)
        .collect();
    // Also what the two do when others are there.
    let symbols: BTreeSet<_> = bindings
        .iter()
        .filter(|binding| {
            binding.kind == BindingKind::Package
                && packages.contains(&binding.from)
                && packages.contains(&binding.to)
        })
        .flat_map(|binding| {
            let taken = binding
                .symbols
                .iter()
                .filter(|symbol| symbol.runs.iter().any(|&run| together[run].flags == flags));
            taken.map(move |symbol| (&binding.source, &symbol.name))
        })
        .collect();
    let all_seen = runs().all(|(_, run)| run.seen == Seen::All);
    let safety = if !fail_alone.is_empty() {
        Safety::Unknown
    } else if !failures.is_empty() {
        Safety::Fails
    } else if !symbols.is_empty() {
        Safety::Entangled
    } else if !all_seen {
        Safety::Unknown
    } else {
        Safety::Safe
    };
    Verdict {
        symbols: symbols.len(),
        packages,
        flags,
        safety,
        failures,
        alone: fail_alone,
    }
}
