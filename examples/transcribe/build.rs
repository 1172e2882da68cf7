//! Builds and seals the engine, or finds it in the cache.

fn main() -> std::process::ExitCode {
    trifold_build::script::run_with("transcribe", include_str!("engines.toml"))
}
