//! The build cache: content-addressed, shared by every checkout and profile, safe for several
//! builds at once.
//!
//! A key is the SHA-256 of everything that went into an entry. An entry is written under a
//! temporary name and renamed, so that whoever finds it finds all of it; nothing is ever changed
//! afterwards. Locks only keep two builds from doing the same work.

use std::{
    fs::{File, TryLockError},
    io::Write as _,
    path::{Path, PathBuf},
    time::Duration,
};

use sha2::{Digest as _, Sha256};

use crate::{BuildError, env};

/// Between two looks for a free slot; a compile takes seconds.
const SLOT_POLL: Duration = Duration::from_millis(20);

/// A folder of entries.
#[derive(Clone, Debug)]
pub struct Cache {
    root: PathBuf,
}

/// Collects what an entry depends on.
#[derive(Debug)]
pub struct Key(Sha256);

/// A lock, held until dropped.
#[derive(Debug)]
pub struct Lock(#[expect(dead_code, reason = "held for its drop, which unlocks")] File);

impl Cache {
    /// The user's cache: `TRIFOLD_CACHE`, else `trifold` in `XDG_CACHE_HOME` or `~/.cache`.
    pub fn open() -> Result<Self, BuildError> {
        let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        let root = variable(env::CACHE)
            .map(PathBuf::from)
            .or_else(|| {
                variable("XDG_CACHE_HOME")
                    .map(PathBuf::from)
                    .filter(|base| base.is_absolute())
                    .map(|base| base.join("trifold"))
            })
            .or_else(|| variable("HOME").map(|home| PathBuf::from(home).join(".cache/trifold")))
            .ok_or(BuildError::NoCache)?;
        let root = std::path::absolute(&root)
            .map_err(BuildError::io("Could not find the build cache", &root))?;
        Self::at(root)
    }

    /// A cache in a folder of your choice, created if it is not there.
    pub fn at(root: impl Into<PathBuf>) -> Result<Self, BuildError> {
        let cache = Self { root: root.into() };
        cache.folder("locks")?;
        Ok(cache)
    }

    /// Its folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A folder inside, created if it is not there.
    pub fn folder(&self, name: &str) -> Result<PathBuf, BuildError> {
        let folder = self.root.join(name);
        fs_err::create_dir_all(&folder)
            .map_err(BuildError::io("Could not create the cache folder", &folder))?;
        Ok(folder)
    }

    /// Waits for the lock of this name.
    pub fn lock(&self, name: &str) -> Result<Lock, BuildError> {
        let (path, file) = self.lock_file(name)?;
        file.lock()
            .map_err(BuildError::io("Could not lock", path))?;
        Ok(Lock(file))
    }

    /// The lock of this name, or nothing if another build holds it.
    pub fn try_lock(&self, name: &str) -> Result<Option<Lock>, BuildError> {
        let (path, file) = self.lock_file(name)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Lock(file))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(BuildError::io("Could not lock", path)(error)),
        }
    }

    /// Waits for one of `count` slots. Cargo's own job server cannot be joined without unsafe code,
    /// and knows nothing of a second cargo at work; these locks limit all builds together.
    pub fn slot(&self, count: usize) -> Result<Lock, BuildError> {
        loop {
            for index in 0..count {
                if let Some(lock) = self.try_lock(&format!("slot-{index}"))? {
                    return Ok(lock);
                }
            }
            std::thread::sleep(SLOT_POLL);
        }
    }

    fn lock_file(&self, name: &str) -> Result<(PathBuf, File), BuildError> {
        let path = self.folder("locks")?.join(name);
        let file =
            File::create(&path).map_err(BuildError::io("Could not create the lock", &path))?;
        Ok((path, file))
    }
}

/// Writes a file whole or not at all.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), BuildError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let fail = || BuildError::io("Could not write", path);
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(fail())?;
    file.write_all(bytes).map_err(fail())?;
    file.persist(path).map_err(|error| fail()(error.error))?;
    Ok(())
}

impl Key {
    /// `kind` separates keys of different meaning.
    pub fn new(kind: &str) -> Self {
        let mut key = Self(Sha256::new());
        // Raised when the meaning of an entry changes without its inputs changing.
        key.text("trifold-build 1").text(kind);
        key
    }

    /// Adds a text. Lengths are hashed too: `ab`, `c` and `a`, `bc` differ.
    pub fn text(&mut self, text: &str) -> &mut Self {
        self.bytes(text.as_bytes())
    }

    /// Adds several texts.
    pub fn texts<T: AsRef<str>>(&mut self, texts: impl IntoIterator<Item = T>) -> &mut Self {
        for text in texts {
            self.text(text.as_ref());
        }
        self.text("end of list")
    }

    /// Adds bytes.
    pub fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.update((bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
        self
    }

    /// 32 hexadecimal digits.
    pub fn finish(self) -> String {
        use std::fmt::Write as _;
        self.0
            .finalize()
            .iter()
            .take(16)
            .fold(String::new(), |mut text, byte| {
                let _ = write!(text, "{byte:02x}");
                text
            })
    }
}
