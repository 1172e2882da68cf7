//! The note of a plugin: what it is, and the fingerprint of its ggml, to be read before it is loaded.
//!
//! It is an ELF note (`PT_NOTE`) in the section `.note.trifold.plugin`, with the owner `Trifold` and the type
//! 1. Its contents are text, lines of `name<tab>value`, in this order and all of them there:
//!
//! | line | what |
//! | --- | --- |
//! | `trifold plugin` | `1`, the version of this form |
//! | `name` | such as `cuda13` |
//! | `kind` | what devices are asked for by: `cuda` |
//! | `version` | the plugin's own |
//! | `title` | what people call it |
//! | `package` | what users install to have it |
//! | `engine` | the engine whose ggml it is for; empty if it is the one of all engines |
//! | `cpu` | features that the CPU must have, separated by commas |
//! | `fingerprint` | the number of bytes that follow, which are a [fingerprint's text](crate::fingerprint::Fingerprint::text) |

use std::path::Path;

/// What a plugin says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// Its name in `engines.toml`.
    pub name: String,
    /// What its devices are asked for by.
    pub kind: String,
    /// Its own version.
    pub version: String,
    /// What people call it.
    pub title: String,
    /// The package that users install to have it.
    pub package: String,
    /// The engine whose ggml it is for; empty if it is the one of all engines.
    pub engine: String,
    /// What the CPU must have.
    pub cpu_features: Vec<String>,
    /// The fingerprint of its ggml, as text.
    pub fingerprint: String,
}

/// The owner of the note.
pub const OWNER: &str = "Trifold";

/// The type of the note.
pub const TYPE: u32 = 1;

impl Note {
    /// The contents of the note.
    pub fn text(&self) -> String {
        let Self {
            name,
            kind,
            version,
            title,
            package,
            engine,
            cpu_features,
            fingerprint,
        } = self;
        let cpu = cpu_features.join(",");
        let length = fingerprint.len();
        format!(
            "trifold plugin\t1\nname\t{name}\nkind\t{kind}\nversion\t{version}\ntitle\t{title}\n\
             package\t{package}\nengine\t{engine}\ncpu\t{cpu}\nfingerprint\t{length}\n{fingerprint}"
        )
    }
}

/// Assembly that puts a file's bytes into a note.
pub(super) fn assembly(contents: &Path) -> String {
    let owner = OWNER.len() + 1;
    format!(
        ".section .note.trifold.plugin,\"a\",@note\n.balign 4\n.long {owner}\n.long 2f - 1f\n.long {TYPE}\n\
         .asciz \"{OWNER}\"\n.balign 4\n1:\n.incbin \"{}\"\n2:\n.balign 4\n\
         .section .note.GNU-stack,\"\",@progbits\n",
        contents.display()
    )
}
