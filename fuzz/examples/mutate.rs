//! Mutates the seeds on a stable compiler: `cargo run --release --example mutate -- COUNT [SEED]`.
//!
//! Without feedback about coverage, so it works on what the formats are made of: bytes, and numbers of two, four
//! and eight bytes at places that are a multiple of their size, preferably in headers and tables.

use std::{
    fs, io,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// Numbers that limits are at.
const NUMBERS: [u64; 14] = [
    0, 1, 2, 7, 16, 24, 64, 0x7f, 0xff, 0xffff, 0x7fff_ffff, 0xffff_ffff, 1 << 63, u64::MAX,
];

fn main() -> io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let number = |argument: Option<String>| argument.and_then(|text| text.parse().ok());
    let count: u64 = number(arguments.next()).unwrap_or(1_000_000);
    let seed: u64 = number(arguments.next()).unwrap_or(1);
    let corpus = corpus(&Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds"))?;
    let (started, done) = (Instant::now(), Arc::new(AtomicU64::new(0)));
    watch(Arc::clone(&done));
    let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let (mut slowest, mut slow_run) = (Duration::ZERO, 0);
    for run in 0..count {
        let (bytes, is_wheel) = &corpus[random.below(corpus.len())];
        let mut bytes = bytes.clone();
        mutate(&mut bytes, &mut random);
        // What was run when a panic ends the process: its seed and number are printed by `RUN`.
        RUN.store(run, Ordering::Relaxed);
        let before = Instant::now();
        trifold_fuzz::audit(&bytes, if *is_wheel { trifold_fuzz::WHEEL } else { "p.so" });
        if before.elapsed() > slowest {
            (slowest, slow_run) = (before.elapsed(), run);
        }
        done.store(run + 1, Ordering::Relaxed);
        if (run + 1).is_multiple_of(100_000) {
            println!("{} executions, {} s, slowest {slowest:?} (run {slow_run})", run + 1, started.elapsed().as_secs());
        }
    }
    println!("{count} executions from seed {seed}, {} s, slowest {slowest:?}", started.elapsed().as_secs());
    Ok(())
}

static RUN: AtomicU64 = AtomicU64::new(0);

/// Ends the process if one run takes longer than a minute, and says which panicked.
fn watch(done: Arc<AtomicU64>) {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        eprintln!("run {}", RUN.load(Ordering::Relaxed));
        hook(info);
    }));
    std::thread::spawn(move || {
        loop {
            let before = done.load(Ordering::Relaxed);
            std::thread::sleep(Duration::from_secs(60));
            if done.load(Ordering::Relaxed) == before {
                eprintln!("run {before} hangs");
                std::process::exit(1);
            }
        }
    });
}

/// Files to begin with, and whether each is a wheel.
fn corpus(seeds: &Path) -> io::Result<Vec<(Vec<u8>, bool)>> {
    let mut corpus = Vec::new();
    for (folder, is_wheel) in [("elf", false), ("wheel", true)] {
        let entries = fs::read_dir(seeds.join(folder))?;
        let mut files: Vec<_> = entries.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>()?;
        files.sort();
        for file in files {
            corpus.push((fs::read(file)?, is_wheel));
        }
    }
    Ok(corpus)
}

fn mutate(bytes: &mut Vec<u8>, random: &mut Random) {
    for _ in 0..=random.below(6) {
        if bytes.is_empty() {
            return;
        }
        let place = match random.below(4) {
            // Headers are at the start, and lists of sections and of entries at the end.
            0 => random.below(bytes.len().min(1024)),
            1 => bytes.len() - 1 - random.below(bytes.len().min(2048)),
            _ => random.below(bytes.len()),
        };
        match random.below(8) {
            0 | 1 => bytes[place] ^= 1 << random.below(8),
            2 => bytes[place] = random.next() as u8,
            3..=5 => {
                let size = [2, 4, 8][random.below(3)];
                let start = place / size * size;
                let near = bytes.len() as u64 ^ random.next() % 64;
                let number = if random.below(5) == 0 { near } else { NUMBERS[random.below(NUMBERS.len())] };
                for (byte, value) in bytes[start..].iter_mut().zip(&number.to_le_bytes()[..size]) {
                    *byte = *value;
                }
            }
            6 => {
                let count = random.below(64).min(bytes.len() - place);
                let from = random.below(bytes.len() - count + 1);
                bytes.copy_within(from..from + count, place);
            }
            _ => {
                if random.below(8) == 0 {
                    bytes.truncate(place);
                }
            }
        }
    }
}

/// Marsaglia's xorshift.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit.max(1) as u64).unwrap_or(0)
    }
}
