//! From where functions are reached, and what stands before them.

use std::collections::{BTreeSet, VecDeque};

use object::elf;

use super::{
    Cpu, Example, Need,
    features::{Features, Level},
    scan::{Code, entry_points},
};
use crate::{
    elf::{Image, Symbol},
    fields::Fields,
    owners,
};

/// A function that answers a question about the CPU is not longer than this, in bytes.
const SMALL: u64 = 512;

/// How far what is found out about the CPU is followed from function to function.
const ROUNDS: usize = 4;

/// A function that only finds out about the CPU and writes it down is not longer than this, in bytes.
const MEDIUM: u64 = 4096;

/// How many functions are shown of each kind.
const EXAMPLES: usize = 5;

/// How many steps of a way are shown.
const STEPS: usize = 6;

/// In the names of functions that are variants by intent.
const HINTS: [&str; 12] = [
    "avx",
    "fma",
    "haswell",
    "skylake",
    "icelake",
    "sapphire",
    "cooperlake",
    "zen",
    "amx",
    "sse4",
    "ssse3",
    "bmi",
];

/// Slots of a module that a PyInit function gives (`PyModuleDef.m_slots`), in bytes from its start.
const SLOTS: u64 = 72;

pub(super) fn judge(image: &Image, dynamic: &[Symbol], code: &Code, baseline: Level) -> Cpu {
    let graph = Graph::new(code, baseline);
    let load = load_roots(image, dynamic, code);
    let at_load = graph.reach(&load);
    let blind = !graph.looks.iter().any(|looks| *looks) && !dynamic.iter().any(|s| s.indirect);
    let exported: BTreeSet<u32> = dynamic
        .iter()
        .filter(|symbol| symbol.defined && symbol.visible && symbol.function && !symbol.indirect)
        .filter_map(|symbol| code.at(symbol.value))
        // What needs more itself may be a variant that should have been hidden.
        .filter(|&number| graph.level(number) <= baseline && !graph.is_hinted(number))
        .collect();
    let called = if blind {
        Reached::all(code.functions.len())
    } else {
        graph.reach(&exported)
    };
    let needs = |want: &dyn Fn(u32) -> bool, reached: Option<&Reached>| graph.need(want, reached);
    let in_load = |number: u32| at_load.has(number);
    Cpu {
        functions: code.functions.len(),
        vector_functions: count(code, |function| function.legacy || function.avx),
        avx_functions: count(code, |function| function.avx),
        looks: graph.looks.iter().filter(|looks| **looks).count(),
        at_load: needs(&in_load, Some(&at_load)),
        called: needs(
            &|number| !in_load(number) && called.has(number),
            Some(&called),
        ),
        variants: needs(&|number| !in_load(number) && !called.has(number), None),
    }
}

fn count(code: &Code, want: impl Fn(&super::functions::Function) -> bool) -> usize {
    code.functions
        .iter()
        .filter(|function| want(function))
        .count()
}

/// What runs when the file is loaded or imported.
fn load_roots(image: &Image, dynamic: &[Symbol], code: &Code) -> BTreeSet<u32> {
    let mut roots = BTreeSet::new();
    let mut add = |address: u64| {
        roots.extend(code.at(address));
    };
    if let Some(address) = image.value(elf::DT_INIT) {
        add(address);
    }
    if image.segment(elf::PT_INTERP).is_some() && image.entry != 0 {
        add(image.entry);
    }
    let array = (
        image.value(elf::DT_INIT_ARRAY),
        image.value(elf::DT_INIT_ARRAYSZ),
    );
    if let (Some(start), Some(size)) = array {
        let bytes = image.up_to(start, size).unwrap_or_default();
        for (place, entry) in (0..)
            .map(|number: u64| start.wrapping_add(8 * number))
            .zip(bytes.chunks_exact(8))
        {
            let in_place = Fields(entry).u64(0).unwrap_or_default();
            add(code.pointers.get(&place).copied().unwrap_or(in_place));
        }
    }
    for number in entry_points(dynamic, code) {
        add(code.functions[number as usize].start);
        for definition in range(&code.addresses, number) {
            let slots = definition
                .checked_add(SLOTS)
                .and_then(|place| code.pointers.get(&place));
            for slot in slots
                .into_iter()
                .flat_map(|slots| (1..32).map(|n| slots.wrapping_add(16 * n - 8)))
            {
                match code.pointers.get(&slot) {
                    Some(function) => add(*function),
                    None => break,
                }
            }
        }
    }
    roots
}

/// What belongs to one function in a list sorted by functions.
fn range<T: Copy>(list: &[(u32, T)], number: u32) -> impl Iterator<Item = T> {
    let start = list.partition_point(|(of, _)| *of < number);
    list[start..]
        .iter()
        .take_while(move |(of, _)| *of == number)
        .map(|(_, what)| *what)
}

struct Graph<'a> {
    code: &'a Code,
    /// What every CPU has.
    baseline: Level,
    /// Which functions look at the CPU.
    looks: Vec<bool>,
}

/// Functions that were reached, each with the one that it was reached from.
struct Reached(Vec<Option<u32>>);

/// For roots, which are reached from nowhere.
const ROOT: u32 = u32::MAX;

impl Reached {
    fn all(count: usize) -> Self {
        Self(vec![Some(ROOT); count])
    }

    fn has(&self, number: u32) -> bool {
        self.0.get(number as usize).is_some_and(Option::is_some)
    }
}

impl<'a> Graph<'a> {
    fn new(code: &'a Code, baseline: Level) -> Self {
        let mut looks: Vec<bool> = code
            .functions
            .iter()
            .map(|function| function.looks)
            .collect();
        let size = |number: usize| code.functions[number].end - code.functions[number].start;
        // What is found out is often written down by a caller, and read by way of a getter.
        for _ in 0..ROUNDS {
            let lines: BTreeSet<u64> = code
                .touches
                .iter()
                .filter(|(of, _)| looks[*of as usize] && size(*of as usize) <= MEDIUM)
                .map(|(_, line)| *line)
                .collect();
            let mut touching = looks.clone();
            for (of, line) in &code.touches {
                touching[*of as usize] |= lines.contains(line);
            }
            let mut next = touching.clone();
            for (caller, callee) in &code.calls {
                let callee = *callee as usize;
                next[*caller as usize] |=
                    touching[callee] && (code.functions[callee].looks || size(callee) <= SMALL);
            }
            looks = next;
        }
        Self {
            code,
            baseline,
            looks,
        }
    }

    fn level(&self, number: u32) -> Level {
        self.code.functions[number as usize].features.level()
    }

    fn features(&self, number: u32) -> Features {
        self.code.functions[number as usize].features
    }

    /// Whether a call is a choice: the caller looks at the CPU, and the callee needs more of it.
    fn is_choice(&self, caller: u32, callee: u32) -> bool {
        self.looks[caller as usize] && self.level(callee) > self.level(caller)
    }

    fn is_hinted(&self, number: u32) -> bool {
        let name = self.code.functions[number as usize].name.as_deref();
        name.is_some_and(|name| {
            let name = name.to_lowercase();
            HINTS.iter().any(|hint| name.contains(hint))
        })
    }

    /// What is reached by direct calls that are no choice.
    fn reach(&self, roots: &BTreeSet<u32>) -> Reached {
        let mut from = vec![None; self.code.functions.len()];
        let mut queue: VecDeque<u32> = roots.iter().copied().collect();
        for root in roots {
            from[*root as usize] = Some(ROOT);
        }
        while let Some(caller) = queue.pop_front() {
            for callee in range(&self.code.calls, caller) {
                if from[callee as usize].is_none() && !self.is_choice(caller, callee) {
                    from[callee as usize] = Some(caller);
                    queue.push_back(callee);
                }
            }
        }
        Reached(from)
    }

    fn need(&self, want: &dyn Fn(u32) -> bool, reached: Option<&Reached>) -> Need {
        let count = u32::try_from(self.code.functions.len()).unwrap_or(u32::MAX);
        let wanted: Vec<u32> = (0..count).filter(|&number| want(number)).collect();
        let features = wanted.iter().fold(Features::default(), |all, &number| {
            all.and(self.features(number))
        });
        let mut users = wanted;
        users.retain(|&number| self.level(number) > self.baseline);
        // The highest levels and those with names say most.
        let mut shown = users.clone();
        shown.sort_by_key(|&number| {
            let function = &self.code.functions[number as usize];
            (
                std::cmp::Reverse(self.level(number).min(Level::V4)),
                function.name.is_none(),
                number,
            )
        });
        Need {
            level: features.level(),
            features: features.above(self.baseline).names(),
            functions: users.len(),
            examples: shown
                .iter()
                .take(EXAMPLES)
                .map(|&number| Example {
                    function: self.name(number),
                    features: self.features(number).above(self.baseline).names(),
                    route: reached
                        .map(|reached| self.route(reached, number))
                        .unwrap_or_default(),
                })
                .collect(),
        }
    }

    fn route(&self, reached: &Reached, number: u32) -> Vec<String> {
        let mut way = Vec::new();
        let mut at = number;
        while let Some(Some(from)) = reached.0.get(at as usize).copied() {
            if from == ROOT {
                break;
            }
            way.push(from);
            at = from;
        }
        way.reverse();
        let name = |&number: &u32| self.name(number);
        if way.len() <= STEPS {
            return way.iter().map(name).collect();
        }
        let skipped = way.len() - STEPS + 1;
        let mut route = vec![name(&way[0]), format!("({skipped} more)")];
        route.extend(way[1 + skipped..].iter().map(name));
        route
    }

    fn name(&self, number: u32) -> String {
        let function = &self.code.functions[number as usize];
        match &function.name {
            Some(name) => owners::readable(name),
            None => format!("code at {:#x}", function.start),
        }
    }
}
