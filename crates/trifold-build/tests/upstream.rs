//! Our file lists and definitions against those that the upstream CMake files name.
//!
//! This is what fails first when an engine moves to a new revision; CONTRIBUTING.md says what to do.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use trifold_build::{Builder, Mode, cache::Cache, config::Config, source::Tree, units};

/// Definitions that upstream's CMake files can set and that we leave out on purpose.
const LEFT_OUT: &[(&str, &str)] = &[
    ("_GLIBCXX_ASSERTIONS", "debug builds"),
    ("HAVE_BUGGY_APPLE_LINKER", "not for Linux"),
    ("_DARWIN_C_SOURCE", "not for Linux"),
    ("__BSD_VISIBLE", "not for Linux"),
    ("_NETBSD_SOURCE", "not for Linux"),
    ("_BSD_SOURCE", "not for Linux"),
    ("_CRT_SECURE_NO_WARNINGS", "not for Linux"),
    (
        "_SILENCE_CXX17_CODECVT_HEADER_DEPRECATION_WARNING",
        "not for Linux",
    ),
    ("_DISABLE_CONSTEXPR_MUTEX_CONSTRUCTOR", "not for Linux"),
    ("_XOPEN_SOURCE", "700 on OpenBSD; 600 is in ours"),
    ("GGML_BACKEND_DL", "backends are linked in"),
    ("GGML_BACKEND_DIR", "backends are linked in"),
    ("GGML_BACKEND_BUILD", "shared libraries"),
    ("GGML_BACKEND_SHARED", "shared libraries"),
    ("GGML_SHARED", "shared libraries"),
    ("GGML_BUILD", "shared libraries"),
    ("LLAMA_BUILD", "shared libraries"),
    ("LLAMA_SHARED", "shared libraries"),
    ("WHISPER_SHARED", "shared libraries"),
    ("WHISPER_BUILD", "shared libraries"),
    ("SD_BUILD_SHARED_LIB", "shared libraries"),
    ("SD_BUILD_DLL", "shared libraries"),
    ("GGML_SCHED_NO_REALLOC", "a debugging aid, off upstream"),
    (
        "GGML_USE_OPENMP",
        "three engines must not bring three OpenMP runtimes",
    ),
    ("GGML_USE_ACCELERATE", "macOS"),
    ("ACCELERATE_NEW_LAPACK", "macOS"),
    ("ACCELERATE_LAPACK_ILP64", "macOS"),
    ("GGML_USE_CPU_HBM", "needs memkind; off upstream"),
    ("GGML_USE_CPU_KLEIDIAI", "Arm"),
    ("GGML_USE_CPU_RISCV64_SPACEMIT", "RISC-V"),
    ("GGML_NNPA", "s390x"),
    ("GGML_VXE", "s390x"),
    (
        "MTMD_VIDEO",
        "starts ffmpeg as a child process from inside a library",
    ),
    ("MA_NO_AVX2", "Windows on Arm"),
    ("LLAMA_SUBPROCESS", "starts child processes"),
    (
        "LLAMA_USE_LLGUIDANCE",
        "another engine for grammars, off upstream",
    ),
    ("SDCPP_BUILD_COMMIT", "only known in a git checkout"),
];

/// Files of llama.cpp's `common` that are for its programs: the command line, a console, downloads, logs,
/// samplers of their own. What the others need of them is in the shim.
const OF_PROGRAMS: &[&str] = &[
    "common/arg.cpp",
    "common/common.cpp",
    "common/console.cpp",
    "common/debug.cpp",
    "common/download.cpp",
    "common/fit.cpp",
    "common/hf-cache.cpp",
    "common/imatrix-loader.cpp",
    "common/llguidance.cpp",
    "common/log.cpp",
    "common/ngram-cache.cpp",
    "common/ngram-map.cpp",
    "common/ngram-mod.cpp",
    "common/preset.cpp",
    "common/reasoning-budget.cpp",
    "common/sampling.cpp",
    "common/speculative.cpp",
    "common/subproc.cpp",
];

/// Per engine: CMake file, the commands whose files we compile, and a prefix for these files.
fn lists(name: &str) -> Vec<(&'static str, &'static str, &'static str)> {
    let mut lists = vec![
        (
            "ggml/src/CMakeLists.txt",
            "add_library(ggml-base",
            "ggml/src/",
        ),
        ("ggml/src/CMakeLists.txt", "add_library(ggml", "ggml/src/"),
        (
            "ggml/src/ggml-cpu/CMakeLists.txt",
            "list(APPEND GGML_CPU_SOURCES",
            "ggml/src/",
        ),
    ];
    match name {
        "llama" => lists.extend([
            ("src/CMakeLists.txt", "set(LLAMA_CORE_SOURCES", "src/"),
            (
                "src/CMakeLists.txt",
                "file(GLOB LLAMA_MODELS_SOURCES",
                "src/",
            ),
            ("common/CMakeLists.txt", "add_library(${TARGET}", "common/"),
            (
                "common/parsers/sources.cmake",
                "set(LLAMA_CHAT_PARSERS_SOURCES",
                "common/parsers/",
            ),
            (
                "tools/mtmd/CMakeLists.txt",
                "add_library(mtmd",
                "tools/mtmd/",
            ),
            (
                "vendor/hash/CMakeLists.txt",
                "set(VENDOR_SRCS",
                "vendor/hash/",
            ),
            (
                "vendor/hash/CMakeLists.txt",
                "add_library(${TARGET} STATIC",
                "vendor/hash/",
            ),
        ]),
        "whisper" => lists.push(("src/CMakeLists.txt", "add_library(whisper", "src/")),
        "diffusion" => lists.extend([
            ("CMakeLists.txt", "file(GLOB SD_LIB_SOURCES", ""),
            (
                "thirdparty/CMakeLists.txt",
                "add_library(${Z_TARGET} OBJECT",
                "thirdparty/",
            ),
        ]),
        other => panic!("say which CMake lists belong to {other}"),
    }
    lists
}

#[test]
fn files_are_the_ones_that_upstream_compiles() {
    for (builder, name) in engines() {
        let (tree, _) = builder.trees(&name).unwrap();
        let ours = our_files(&builder, &name, &tree);
        let theirs = their_files(&name, &tree);
        let unknown: Vec<_> = ours.difference(&theirs).collect();
        let forgotten: Vec<_> = theirs.difference(&ours).collect();
        assert!(
            unknown.is_empty() && forgotten.is_empty(),
            "{name}: upstream does not compile {unknown:?}; we do not compile {forgotten:?}"
        );
        assert!(
            ours.len() > 15,
            "{name}: only {} files were compared",
            ours.len()
        );
    }
}

#[test]
fn definitions_are_ours_or_left_out_for_a_reason() {
    for (builder, name) in engines() {
        let (tree, _) = builder.trees(&name).unwrap();
        let engine = builder.config.engine(&name).unwrap();
        let ggml = &builder.config.ggml;
        let levels = builder.config.levels().map(|level| &level.defines);
        let ours: BTreeSet<&str> = [
            &builder.config.common.defines,
            &ggml.base_defines,
            &ggml.kernels_defines,
            &engine.defines,
        ]
        .into_iter()
        .chain(levels)
        .flatten()
        .map(|define| define.split('=').next().unwrap())
        .chain(engine.version_define.as_deref())
        .chain(["GGML_VERSION", "GGML_COMMIT"])
        .collect();
        let files: BTreeSet<_> = lists(&name)
            .into_iter()
            .map(|(file, ..)| file)
            .chain(["CMakeLists.txt"])
            .collect();
        let mut seen = 0;
        for file in files {
            for define in definitions(&tree.root.join(file)) {
                seen += 1;
                let known = ours.contains(define.as_str())
                    || LEFT_OUT.iter().any(|(name, _)| *name == define);
                assert!(
                    known,
                    "{name}: {file} sets {define}, which engines.toml does not"
                );
            }
        }
        assert!(seen > 5, "{name}: only {seen} definitions were compared");
    }
}

/// What shader compilers may know, and by which shader they are asked.
#[test]
fn features_of_shaders_are_those_of_upstream() {
    let (builder, name) = engines()
        .into_iter()
        .find(|(_, name)| name == "llama")
        .unwrap();
    let (tree, _) = builder.trees(&name).unwrap();
    let folder = "src/ggml-vulkan";
    let tests = commands(
        &tree.ggml.join(folder).join("CMakeLists.txt"),
        "test_shader_extension_support(",
    );
    let theirs: BTreeMap<String, String> = tests
        .into_iter()
        .map(|test| {
            (
                test[2].clone(),
                test[1].replace("${CMAKE_CURRENT_SOURCE_DIR}", folder),
            )
        })
        .collect();
    let recipe = builder.config.plugin("vulkan").unwrap();
    assert_eq!(recipe.glslc.as_ref().unwrap().features, theirs);
}

#[test]
fn files_that_are_compiled_in_their_own_way_are_among_those_compiled() {
    // One that upstream has renamed would be compiled like any other, without a word.
    for (mut builder, name) in engines() {
        for mode in [Mode::Aligned, Mode::Pinned] {
            builder.mode = mode;
            let (own, tree) = builder.trees(&name).unwrap();
            let ggml = &builder.config.ggml;
            let all = |patterns: &[String]| -> BTreeSet<String> {
                let patterns = patterns.iter();
                patterns
                    .flat_map(|pattern| units::glob(&tree.ggml, pattern).unwrap())
                    .collect()
            };
            let (base, kernels) = (all(&ggml.base), all(&ggml.kernels));
            let check = |field: &str, named: &[String], files: &BTreeSet<String>| {
                let unknown: Vec<_> = named.iter().filter(|file| !files.contains(*file)).collect();
                assert!(
                    unknown.is_empty(),
                    "{name}, {mode:?}: {field} of engines.toml names {unknown:?}, which is not there"
                );
            };
            let one = std::slice::from_ref;
            check("base_builders", one(&ggml.base_builders), &base);
            check("base_rows", one(&ggml.base_rows), &base);
            check("kernels_main", one(&ggml.kernels_main), &kernels);
            check(
                "kernels_inner_loops",
                one(&ggml.kernels_inner_loops),
                &kernels,
            );
            // Its tables are taken out of a header, if that has the form that is known.
            let shim = Path::new(env!("CARGO_MANIFEST_DIR"));
            let shim = shim.join(format!("../trifold-{name}-sys/shim"));
            let (config, cache) = (&builder.config, &builder.cache);
            let jobs = units::jobs(config, cache, &name, &own, &tree, &shim).unwrap();
            assert!(
                jobs.base.iter().any(|job| job.label == "tables.c"),
                "{name}, {mode:?}: ggml-common.h has another form (crates/trifold-build/src/units/tables.rs)"
            );
            // Older revisions do not have all of them yet.
            if mode == Mode::Aligned {
                check("base_small", &ggml.base_small, &base);
                check("kernels_small", &ggml.kernels_small, &kernels);
                check("kernels_intrinsics", &ggml.kernels_intrinsics, &kernels);
            }
        }
    }
}

#[test]
fn the_exclusion_of_ggml_cpp_is_still_right() {
    // It is left out because it holds nothing but the terminate handler.
    for (builder, name) in engines() {
        let (tree, _) = builder.trees(&name).unwrap();
        let text = fs_err::read_to_string(tree.ggml.join("src/ggml.cpp")).unwrap();
        assert!(text.contains("set_terminate"));
        let lines = text.lines().filter(|line| !line.trim().is_empty()).count();
        assert!(
            lines < 40,
            "{name}: ggml.cpp has grown to {lines} lines: see what else it does now"
        );
    }
}

fn engines() -> Vec<(Builder, String)> {
    let config = Config::load().unwrap();
    let cache = Cache::open().unwrap();
    let names: Vec<String> = config.engine.keys().cloned().collect();
    names
        .into_iter()
        .map(|name| {
            (
                Builder {
                    config: config.clone(),
                    cache: cache.clone(),
                    mode: Mode::Pinned,
                },
                name,
            )
        })
        .collect()
}

fn our_files(builder: &Builder, name: &str, tree: &Tree) -> BTreeSet<String> {
    let engine = builder.config.engine(name).unwrap();
    let ggml = &builder.config.ggml;
    let below = |patterns: &[String], root: &Path, prefix: &str| -> BTreeSet<String> {
        patterns
            .iter()
            .flat_map(|pattern| units::glob(root, pattern).unwrap())
            .map(|file| format!("{prefix}{file}"))
            .collect()
    };
    let mut files = below(&ggml.base, &tree.ggml, "ggml/");
    for file in &ggml.base_exclude {
        files.remove(&format!("ggml/{file}"));
    }
    files.extend(below(&ggml.kernels, &tree.ggml, "ggml/"));
    for unit in &engine.units {
        files.extend(below(&unit.files, &tree.root, ""));
        for file in &unit.exclude {
            files.remove(file);
        }
    }
    // Ours takes its place.
    files.extend(
        engine
            .vocabularies
            .iter()
            .map(|vocabularies| vocabularies.replaces.display().to_string()),
    );
    files
}

fn their_files(name: &str, tree: &Tree) -> BTreeSet<String> {
    let mut files = BTreeSet::new();
    for (cmake, command, prefix) in lists(name) {
        let mut found = 0;
        for arguments in commands(&tree.root.join(cmake), command) {
            for argument in arguments {
                let argument = argument.replace("${CMAKE_CURRENT_LIST_DIR}/", "");
                let is_source = [".c", ".cpp"].iter().any(|end| argument.ends_with(end));
                let other_system = ["arch/", "kleidiai/", "spacemit/", "coreml/", "openvino/"];
                let foreign = other_system.iter().any(|part| argument.contains(part))
                    && !argument.contains("arch/x86/");
                if !is_source
                    || foreign
                    || argument.contains("cpu-feats")
                    || argument.starts_with("${")
                {
                    continue;
                }
                found += 1;
                let path = normal(&format!("{prefix}{argument}"));
                if path.contains('*') {
                    // CMake's `src/model/*/*.cpp` has no match today; our lists would show one.
                    files.extend(expand(&tree.root, &path));
                } else {
                    files.insert(path);
                }
            }
        }
        assert!(
            found > 0,
            "{name}: no source files in `{command} …` of {cmake}"
        );
    }
    files.retain(|file| !OF_PROGRAMS.contains(&file.as_str()));
    // Left out on purpose; see the_exclusion_of_ggml_cpp_is_still_right.
    files.remove("ggml/src/ggml.cpp");
    files
}

fn expand(root: &Path, pattern: &str) -> Vec<String> {
    let Some((folders, rest)) = pattern.split_once("/*/") else {
        return units::glob(root, pattern).unwrap();
    };
    let mut found = Vec::new();
    for entry in fs_err::read_dir(root.join(folders)).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        found.extend(units::glob(root, &format!("{folders}/{name}/{rest}")).unwrap());
    }
    found
}

fn normal(path: &str) -> String {
    let mut parts = Vec::new();
    for part in path.split('/') {
        match part {
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// Names in `…compile_definitions(…)` and `add_definitions(…)`.
fn definitions(cmake: &Path) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for command in [
        "add_compile_definitions(",
        "target_compile_definitions(",
        "add_definitions(",
    ] {
        for arguments in commands(cmake, command) {
            let skip = usize::from(command.starts_with("target"));
            for argument in arguments.into_iter().skip(skip) {
                // `$<$<CONFIG:Debug>:NAME>`
                let argument = argument
                    .rsplit(':')
                    .next()
                    .unwrap()
                    .trim_end_matches('>')
                    .trim_start_matches("-D");
                let name = argument.split('=').next().unwrap();
                let keyword = ["PRIVATE", "PUBLIC", "INTERFACE"].contains(&name);
                if !keyword && !name.contains(['$', '{']) && !name.is_empty() {
                    names.insert(name.to_owned());
                }
            }
        }
    }
    names
}

/// The words of every command that starts with `start`, `name(` and perhaps its first words.
fn commands(cmake: &Path, start: &str) -> Vec<Vec<String>> {
    let text = fs_err::read_to_string(cmake).unwrap();
    let lines: Vec<&str> = text
        .lines()
        .map(|line| line.split(" #").next().unwrap())
        .filter(|line| !line.trim_start().starts_with('#'))
        .collect();
    let code = lines.join("\n");
    let code = code.replace("list (", "list(");
    let mut found = Vec::new();
    for (at, _) in code.match_indices(start) {
        let rest = &code[at + start.len()..];
        // A whole word: `add_library(ggml` is not `add_library(ggml-base`.
        if !start.ends_with('(') && !rest.starts_with(char::is_whitespace) {
            continue;
        }
        let body = rest.split(')').next().unwrap();
        found.push(
            body.split_whitespace()
                .map(|word| word.trim_matches('"').to_owned())
                .collect(),
        );
    }
    found
}
