//! The licence texts of what is inside a wheel: our own, the engine's and its libraries', and those of
//! the Rust crates.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    path::Path,
    process::Command,
};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;
use trifold_build::Builder;

/// Names under which packages keep their licences.
const NAMES: [&str; 5] = ["copying", "copyright", "licence", "license", "notice"];

/// Writes the texts of what `package` is made of into a folder, which then holds nothing else.
pub(crate) fn write(root: &Path, package: &str, engines: &[&str], out: &Path) -> Result<()> {
    if out.is_dir() {
        fs_err::remove_dir_all(out)?;
    }
    fs_err::create_dir_all(out)?;
    for name in ["LICENSE-APACHE", "LICENSE-MIT"] {
        fs_err::copy(root.join(name), out.join(name))?;
    }
    let builder = Builder::from_env()?;
    for engine in engines {
        let text = engine_texts(&builder, engine)?;
        fs_err::write(out.join(format!("{engine}-engine.txt")), text)?;
    }
    fs_err::write(out.join("rust-crates.txt"), crate_texts(root, package)?)?;
    Ok(())
}

fn engine_texts(builder: &Builder, name: &str) -> Result<String> {
    let (tree, ggml) = builder.trees(name)?;
    let engine = builder.config.engine(name)?;
    let mut all = String::new();
    for licence in &engine.licences {
        let text = fs_err::read_to_string(tree.root.join(licence))?;
        let text = match licence.extension() {
            Some(header) if header == "h" || header == "hpp" => head(&text),
            _ => text,
        };
        all += &entry(&format!("{}: {}", engine.title, licence.display()), &text);
    }
    if ggml.engine != tree.engine {
        // ggml comes with another engine's source, under that one's licence.
        let home = builder.config.engine(&ggml.engine)?;
        let text = fs_err::read_to_string(ggml.root.join(&home.licences[0]))?;
        all += &entry(&format!("ggml, from {}", home.title), &text);
    }
    all += &entry(
        "The GNU C++ library and the GNU compiler's support library",
        "Linked in under the GCC Runtime Library Exception, version 3.1: \
         https://www.gnu.org/licenses/gcc-exception-3.1.html",
    );
    Ok(all)
}

/// What a header without a licence file says of itself: its SPDX lines, or the beginning of its first
/// comment.
fn head(text: &str) -> String {
    let words = |line: &str| {
        let line = line.trim_start_matches(['/', '*', ' ']);
        line.trim_end().to_owned()
    };
    let begin: Vec<String> = text.lines().take(20).map(words).collect();
    let is_spdx = |line: &&String| line.starts_with("SPDX-");
    let mut lines: Vec<String> = begin.iter().filter(is_spdx).cloned().collect();
    if lines.is_empty() {
        let text = begin.into_iter().skip_while(String::is_empty);
        lines = text.take_while(|line| !line.is_empty()).collect();
    }
    format!(
        "{}\n\nThe words of the MIT licence, where it is one, are those of LICENSE-MIT beside this file.",
        lines.join("\n")
    )
}

/// The texts of all crates that are linked into `package`; the same text is given once.
fn crate_texts(root: &Path, package: &str) -> Result<String> {
    // By the text without its line breaks: many differ in these only.
    let mut texts: BTreeMap<String, (String, Vec<String>)> = BTreeMap::new();
    for linked in linked_crates(root, package)? {
        let name = format!("{} {}", text(&linked, "name"), text(&linked, "version"));
        let expression = linked["license"]
            .as_str()
            .unwrap_or("see the text")
            .to_owned();
        let manifest = Path::new(text(&linked, "manifest_path"));
        let found = files(manifest.parent().unwrap_or(root))?;
        ensure!(
            !found.is_empty() || linked["license"].is_string(),
            "No licence of {name} in {}",
            manifest.display()
        );
        // Where there is no text, the crate at least says which licence it is.
        let found = if found.is_empty() {
            vec![expression.clone()]
        } else {
            found
        };
        for text in found {
            let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
            let (_, crates) = texts.entry(words).or_insert_with(|| (text, Vec::new()));
            crates.push(format!("{name} ({expression})"));
        }
    }
    Ok(texts
        .into_values()
        .map(|(text, crates)| {
            let crates: BTreeSet<String> = crates.into_iter().collect();
            entry(&crates.into_iter().collect::<Vec<_>>().join("\n"), &text)
        })
        .collect())
}

/// What cargo links into a package: its normal dependencies, and theirs, without our own.
fn linked_crates(root: &Path, package: &str) -> Result<Vec<Value>> {
    let output = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["metadata", "--locked", "--format-version", "1"])
        .args(["--filter-platform", trifold_build::toolchain::TARGET])
        .current_dir(root)
        .output()?;
    if !output.status.success() {
        bail!(
            "cargo metadata failed: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    let metadata: Value = serde_json::from_slice(&output.stdout)?;
    let packages: BTreeMap<&str, &Value> = list(&metadata["packages"])
        .map(|package| (text(package, "id"), package))
        .collect();
    let nodes: BTreeMap<&str, &Value> = list(&metadata["resolve"]["nodes"])
        .map(|node| (text(node, "id"), node))
        .collect();
    let start = packages
        .iter()
        .find(|(_, found)| text(found, "name") == package)
        .with_context(|| format!("No package {package} in this workspace"))?;
    let mut seen = BTreeSet::from([*start.0]);
    let mut queue = VecDeque::from([*start.0]);
    while let Some(id) = queue.pop_front() {
        for dependency in list(&nodes[id]["deps"]) {
            let normal = list(&dependency["dep_kinds"]).any(|kind| kind["kind"].is_null());
            let id = text(dependency, "pkg");
            if normal && seen.insert(id) {
                queue.push_back(id);
            }
        }
    }
    Ok(seen
        .into_iter()
        .map(|id| packages[id].clone())
        .filter(|package| !package["source"].is_null())
        .collect())
}

fn files(folder: &Path) -> Result<Vec<String>> {
    let mut texts = Vec::new();
    let mut paths: Vec<_> = fs_err::read_dir(folder)?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<_>>()?;
    paths.sort();
    for path in paths.iter().filter(|path| path.is_file()) {
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .to_lowercase();
        if NAMES.iter().any(|known| name.starts_with(known)) {
            texts.push(
                String::from_utf8_lossy(&fs_err::read(path)?)
                    .trim()
                    .to_owned(),
            );
        }
    }
    Ok(texts)
}

fn entry(title: &str, text: &str) -> String {
    let line = "=".repeat(80);
    format!("{line}\n{title}\n{line}\n\n{}\n\n", text.trim())
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}
