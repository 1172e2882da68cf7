//! Fingerprints of the three real revisions of ggml, and of one that was changed.

use std::path::Path;

use trifold_build::{
    Builder, Mode,
    fingerprint::{Difference, Fingerprint},
    toolchain::Toolchain,
};

struct Revisions {
    toolchain: Toolchain,
    builder: Builder,
}

impl Revisions {
    fn new() -> Self {
        let mut builder = Builder::from_env().unwrap();
        builder.mode = Mode::Pinned;
        Self {
            toolchain: Toolchain::find().unwrap(),
            builder,
        }
    }

    fn of(&self, engine: &str) -> Fingerprint {
        let (tree, _) = self.builder.trees(engine).unwrap();
        let defines = &self.builder.config.common.defines;
        Fingerprint::of_tree(&self.toolchain, &tree, defines).unwrap()
    }

    /// Of llama's ggml with some text of one file replaced, all of it.
    fn changed(&self, file: &str, from: &str, to: &str) -> Fingerprint {
        let (tree, _) = self.builder.trees("llama").unwrap();
        let folder = tempfile::tempdir().unwrap();
        for part in ["include", "src"] {
            copy_headers(&tree.ggml.join(part), &folder.path().join(part));
        }
        let path = folder.path().join(file);
        let text = fs_err::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{file} has no {from:?}");
        // The copy is as read-only as the package.
        fs_err::remove_file(&path).unwrap();
        fs_err::write(&path, text.replace(from, to)).unwrap();
        let defines = &self.builder.config.common.defines;
        let commit = &tree.label;
        let version = &tree.ggml_version;
        Fingerprint::of_folder(&self.toolchain, folder.path(), version, commit, defines).unwrap()
    }
}

fn copy_headers(from: &Path, to: &Path) {
    fs_err::create_dir_all(to).unwrap();
    for entry in fs_err::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "h") {
            fs_err::copy(&path, to.join(path.file_name().unwrap())).unwrap();
        }
    }
}

fn shown(differences: &[Difference]) -> Vec<String> {
    differences.iter().map(ToString::to_string).collect()
}

#[test]
fn it_has_what_a_plugin_and_an_engine_share() {
    let found = Revisions::new().of("llama");
    assert_eq!(found.version, "0.26.0");
    assert_eq!(found.constants["GGML_BACKEND_API_VERSION"], 3);
    assert_eq!(found.constants["GGML_MAX_NAME"], 128);
    assert_eq!(found.constants["GGML_MAX_DIMS"], 4);
    assert_eq!(found.constants.len(), 5, "{:?}", found.constants);

    let tensor = &found.structs["ggml_tensor"];
    assert_eq!(tensor.fields["type"].offset, 0);
    assert_eq!(tensor.fields["type"].kind, "enum ggml_type");
    assert_eq!(tensor.fields["ne"].kind, "[4]i64");
    assert_eq!(tensor.fields["src"].kind, "[10]*struct ggml_tensor");
    assert_eq!(tensor.fields["name"].kind, "[128]i8");
    for name in [
        "ggml_cgraph",
        "ggml_hash_set",
        "ggml_backend_i",
        "ggml_backend_buffer_i",
        "ggml_backend_buffer_type_i",
        "ggml_backend_device_i",
        "ggml_backend_reg_i",
        "ggml_backend_dev_props",
        "ggml_backend_dev_caps",
    ] {
        let layout = found.structs.get(name).expect(name);
        assert!(layout.size > 0 && !layout.fields.is_empty(), "{name}");
    }
    let compute = &found.structs["ggml_backend_i"].fields["graph_compute"].kind;
    assert!(
        compute.starts_with("*fn(*struct ggml_backend, *struct ggml_cgraph"),
        "{compute}"
    );

    assert_eq!(found.enums["ggml_type"]["GGML_TYPE_Q8_0"], 8);
    assert_eq!(found.enums["ggml_status"]["GGML_STATUS_ALLOC_FAILED"], -2);
    for name in [
        "ggml_op",
        "ggml_unary_op",
        "ggml_glu_op",
        "ggml_prec",
        "ggml_backend_dev_type",
    ] {
        assert!(found.enums[name].len() > 1, "{name}");
    }
    assert!(found.functions.contains_key("ggml_backend_set_n_threads_t"));
}

#[test]
fn it_is_the_same_every_time_and_as_json() {
    let revisions = Revisions::new();
    let found = revisions.of("whisper");
    assert_eq!(found.differences(&revisions.of("whisper")), []);
    let json = serde_json::to_string(&found).unwrap();
    assert_eq!(serde_json::from_str::<Fingerprint>(&json).unwrap(), found);
}

#[test]
fn the_three_revisions_differ_in_memory() {
    let revisions = Revisions::new();
    let [llama, whisper, diffusion] =
        ["llama", "whisper", "diffusion"].map(|name| revisions.of(name));
    let found = shown(&llama.differences(&whisper));
    for line in [
        "ggml version: expected 0.26.0, found 0.9.5",
        "GGML_BACKEND_API_VERSION: expected 3, found 2",
    ] {
        assert!(
            found.iter().any(|found| found == line),
            "{line} is not in {found:#?}"
        );
    }
    assert!(
        found
            .iter()
            .any(|line| line.starts_with("struct ggml_backend_i: ")),
        "{found:#?}"
    );
    for (one, other) in [
        (&llama, &whisper),
        (&llama, &diffusion),
        (&diffusion, &whisper),
    ] {
        let moved = one.memory_differences(other);
        assert!(
            moved
                .iter()
                .any(|found| found.field.starts_with("enum ggml_op: ")),
            "{} and {}: {:#?}",
            one.version,
            other.version,
            shown(&moved)
        );
    }
}

#[test]
fn what_upstreams_version_number_does_not_tell_is_found() {
    let revisions = Revisions::new();
    let original = revisions.of("llama");
    let shifted = revisions.changed(
        "include/ggml.h",
        "GGML_OP_DUP,",
        "GGML_OP_OURS, GGML_OP_DUP,",
    );
    let found = shown(&original.differences(&shifted));
    assert!(
        found.contains(&"enum ggml_op: GGML_OP_OURS: expected absent, found 1".into()),
        "{found:#?}"
    );
    assert!(
        found.contains(&"enum ggml_op: GGML_OP_DUP: expected 1, found 2".into()),
        "{found:#?}"
    );
    assert!(
        found.iter().all(|line| line.starts_with("enum ggml_op: ")),
        "{found:#?}"
    );

    let reordered = revisions.changed(
        "include/ggml.h",
        "int64_t ne[GGML_MAX_DIMS]",
        "int64_t ours; int64_t ne[GGML_MAX_DIMS]",
    );
    let found = shown(&original.differences(&reordered));
    let size = original.structs["ggml_tensor"].size;
    for line in [
        format!(
            "struct ggml_tensor: size: expected {size}, found {}",
            size + 8
        ),
        "struct ggml_tensor: ours: expected absent, found i64 at 16".into(),
        "struct ggml_tensor: ne: offset: expected 16, found 24".into(),
    ] {
        assert!(found.contains(&line), "{line} is not in {found:#?}");
    }
}

#[test]
fn definitions_count() {
    let revisions = Revisions::new();
    let (tree, _) = revisions.builder.trees("llama").unwrap();
    let short = ["GGML_MAX_NAME=64".to_owned()];
    let other = Fingerprint::of_tree(&revisions.toolchain, &tree, &short).unwrap();
    let found = shown(&revisions.of("llama").differences(&other));
    for line in [
        "GGML_MAX_NAME: expected 128, found 64",
        "struct ggml_tensor: name: type: expected [128]i8, found [64]i8",
    ] {
        assert!(
            found.iter().any(|found| found == line),
            "{line} is not in {found:#?}"
        );
    }
}

#[test]
fn headers_that_do_not_compile_are_an_error() {
    let revisions = Revisions::new();
    let empty = tempfile::tempdir().unwrap();
    let error =
        Fingerprint::of_folder(&revisions.toolchain, empty.path(), "1", "none", &[]).unwrap_err();
    let text = error.to_string();
    assert!(
        text.starts_with("Could not compile the headers of "),
        "{text}"
    );
    assert!(text.contains("ggml.h: No such file"), "{text}");
}
