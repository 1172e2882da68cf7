//! How much memory a picture takes at the least, and how much there is.
//!
//! Linux grants memory that it does not have, and then ends the process that uses it. So a picture
//! that cannot possibly fit is refused beforehand.

use std::path::Path;

use crate::{DiffusionError, GenerateOptions};

/// Refuses a picture for which there is not enough memory.
pub(crate) fn check(options: &GenerateOptions) -> Result<(), DiffusionError> {
    let needed = needed(options);
    // A system that does not tell is believed to have enough.
    available().map_or(Ok(()), |available| compare(options, needed, available))
}

fn compare(options: &GenerateOptions, needed: u64, available: u64) -> Result<(), DiffusionError> {
    if needed <= available {
        return Ok(());
    }
    let GenerateOptions { width, height, .. } = *options;
    Err(DiffusionError::Memory {
        width,
        height,
        needed,
        available,
    })
}

/// The least that the engine takes for these pictures, in bytes, whatever the model.
fn needed(options: &GenerateOptions) -> u64 {
    let pixels = u64::from(options.width) * u64::from(options.height);
    // The tiny autoencoder's last layers, the smallest there are: 64 channels of f32 in and out, and
    // the patches of a 3x3 convolution as f16.
    let decoder = pixels * (2 * 64 * 4 + 64 * 9 * 2);
    // All pictures of a batch are kept as f32 and as u8 until the last is done.
    let results = pixels * 3 * (4 + 1) * u64::from(options.batch);
    decoder + results
}

/// What this process can still have, in bytes: of the machine, and of its control group.
fn available() -> Option<u64> {
    let machine = machine_available()?;
    Some(group_available().map_or(machine, |group| group.min(machine)))
}

fn machine_available() -> Option<u64> {
    let info = fs_err::read_to_string("/proc/meminfo").ok()?;
    let kib = |key: &str| -> Option<u64> {
        let line = info.lines().find_map(|line| line.strip_prefix(key))?;
        line.trim().strip_suffix(" kB")?.trim().parse().ok()
    };
    Some((kib("MemAvailable:")? + kib("SwapFree:").unwrap_or(0)) << 10)
}

/// The smallest remainder of this process's control group and of those above it (cgroup v2).
fn group_available() -> Option<u64> {
    let groups = fs_err::read_to_string("/proc/self/cgroup").ok()?;
    let own = groups.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let root = Path::new("/sys/fs/cgroup");
    root.join(own)
        .ancestors()
        .take_while(|folder| folder.starts_with(root))
        .filter_map(remainder)
        .min()
}

fn remainder(group: &Path) -> Option<u64> {
    let number = |name: &str| -> Option<u64> {
        fs_err::read_to_string(group.join(name))
            .ok()?
            .trim()
            .parse()
            .ok()
    };
    // No limit reads "max", which is no number. Cache is given back when it is needed.
    let stat = fs_err::read_to_string(group.join("memory.stat")).unwrap_or_default();
    let cache: u64 = stat
        .lines()
        .find_map(|line| line.strip_prefix("inactive_file "))
        .and_then(|bytes| bytes.trim().parse().ok())
        .unwrap_or(0);
    Some(number("memory.max")?.saturating_sub(number("memory.current")?.saturating_sub(cache)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(size: u32, batch: u32) -> GenerateOptions {
        let mut options = GenerateOptions::new("");
        (options.width, options.height, options.batch) = (size, size, batch);
        options
    }

    #[test]
    fn the_estimate_is_below_what_is_known_to_work() {
        // The demo model draws 128x128 in less than 280 MB, all included.
        assert!(needed(&options(128, 1)) < 280 << 20);
        // Stable Diffusion 1 draws 512x512 in 2.5 GB.
        assert!(needed(&options(512, 1)) < 2500 << 20);
    }

    #[test]
    fn size_and_batch_count() {
        let small = needed(&options(512, 1));
        assert!(needed(&options(512, 2)) > small);
        assert!(needed(&options(1024, 1)) > 3 * small);
        assert!(needed(&options(8192, 1)) > 100 << 30);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let options = options(4096, 1);
        let needed = needed(&options);
        compare(&options, needed, needed).unwrap();
        let error = compare(&options, needed, 2 << 30).unwrap_err();
        let message = error.to_string();
        assert!(
            message.starts_with("Not enough memory for a picture of 4096x4096 (expected at least "),
            "{message}"
        );
        assert!(message.ends_with(" MiB, found 2048 MiB)"), "{message}");
        assert!(error.hint().unwrap().contains("smaller"));
    }

    #[test]
    fn this_machine_has_memory() {
        let available = available().unwrap();
        assert!(available > 16 << 20, "{available}");
    }
}
