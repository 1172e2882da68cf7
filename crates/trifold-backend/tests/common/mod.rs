//! The twin, a plugin for tests, and the engines that load it.
#![allow(dead_code)] // each test file uses a part

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Mutex,
};

use trifold_build::{Builder, Mode, plugin::Options};
use trifold_runtime::Host;

/// The twin for an engine, built once; in the aligned mode it is the same for all.
pub(crate) fn twin(engine: &str) -> PathBuf {
    static BUILT: Mutex<BTreeMap<String, PathBuf>> = Mutex::new(BTreeMap::new());
    let builder = Builder::from_env().unwrap();
    let own = (builder.mode == Mode::Pinned).then(|| engine.to_owned());
    let mut built = BUILT.lock().unwrap();
    let key = own.clone().unwrap_or_default();
    let path = built.entry(key).or_insert_with(|| {
        let options = Options {
            engine: own,
            ..Options::default()
        };
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("plugins");
        builder.plugin("twin", &options, &folder).unwrap().path
    });
    path.clone()
}

/// All engines.
pub(crate) fn hosts() -> [(&'static str, &'static Host); 3] {
    [
        ("llama", &trifold_llama_sys::HOST),
        ("whisper", &trifold_whisper_sys::HOST),
        ("diffusion", &trifold_diffusion_sys::HOST),
    ]
}
