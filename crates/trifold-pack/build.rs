//! Compiles the helper that `coload` preloads into the processes it watches.

use std::{env, path::PathBuf, process::exit};

fn main() {
    println!("cargo:rerun-if-changed=shim/crash.c");
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    let mut command = cc::Build::new()
        .opt_level(1)
        .pic(true)
        .get_compiler()
        .to_command();
    command
        .args([
            "-shared",
            "-fvisibility=hidden",
            "-Wall",
            "-Wextra",
            "-Werror",
            "-g0",
        ])
        // The unwinder is inside: a library of its own would be loaded before those of the packages.
        .args(["-static-libgcc", "-Wl,--exclude-libs,ALL", "-Wl,-z,now"])
        .args(["shim/crash.c", "-o"])
        .arg(out.join("libtrifold-coload-crash.so"));
    match command.status() {
        Ok(status) if status.success() => {}
        failed => {
            println!("cargo:error=Could not compile shim/crash.c: {command:?} ({failed:?})");
            exit(1);
        }
    }
}
