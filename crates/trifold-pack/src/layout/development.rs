//! What a C or C++ program, or another language, needs to call a sealed engine: the library under its
//! names, headers, and descriptions for pkg-config and CMake.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
};

use trifold_build::{Builder, Sealed, config::Engine, source::Tree};

use crate::PackError;

/// Installs an engine's library below a prefix.
pub(super) fn install(
    builder: &Builder,
    engine: &str,
    library: &Path,
    prefix: &Path,
) -> Result<(), PackError> {
    let sealed = builder.build(engine)?;
    let (tree, ggml) = builder.trees(engine)?;
    let installing = Installing {
        builder,
        description: builder.config.engine(engine)?,
        sealed: &sealed,
        package: format!("trifold-{engine}"),
        file: library
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned(),
        prefix,
    };
    installing.library(library)?;
    installing.headers(&tree, &ggml)?;
    installing.licences(&tree)?;
    installing.descriptions()
}

struct Installing<'a> {
    builder: &'a Builder,
    description: &'a Engine,
    sealed: &'a Sealed,
    /// `trifold-llama`
    package: String,
    /// `libtrifold-llama.so.1`
    file: String,
    prefix: &'a Path,
}

impl Installing<'_> {
    fn library(&self, library: &Path) -> Result<(), PackError> {
        let folder = self.folder("lib")?;
        copy(library, &folder.join(&self.file))?;
        let link = folder.join(format!("lib{}.so", self.package));
        std::os::unix::fs::symlink(&self.file, &link)
            .map_err(PackError::io("Could not make the link", link))
    }

    /// Upstream's headers, and one of ours to include in their place.
    fn headers(&self, tree: &Tree, ggml: &Tree) -> Result<(), PackError> {
        let folder = self.folder(&format!("include/{}", self.package))?;
        let public = ggml.ggml.join("include");
        let entries =
            fs_err::read_dir(&public).map_err(PackError::io("Could not read", &public))?;
        for entry in entries {
            let path = entry
                .map_err(PackError::io("Could not read", &public))?
                .path();
            let name = path.file_name().unwrap_or_default();
            // Of the C API, and of the backends that are inside.
            let known = [
                "ggml.h",
                "ggml-alloc.h",
                "ggml-backend.h",
                "ggml-cpu.h",
                "ggml-opt.h",
                "gguf.h",
            ];
            if known.iter().any(|known| name == *known) {
                copy(&path, &folder.join(name))?;
            }
        }
        for header in &self.description.api.headers {
            let found = self
                .description
                .includes
                .iter()
                .map(|include| tree.root.join(include).join(header))
                .find(|path| path.is_file());
            if let Some(path) = found {
                copy(&path, &folder.join(header))?;
            }
        }
        write(&folder.join(format!("{}.h", self.package)), &self.header())
    }

    fn header(&self) -> String {
        let Sealed {
            engine,
            version,
            ggml_version,
            exports,
            ..
        } = self.sealed;
        let title = &self.description.title;
        let mut text = format!(
            "/* {title} {version} with ggml {ggml_version}, sealed. Include this instead of its own headers, and in a\n\
             \x20* file of its own for each engine.\n\
             \x20*\n\
             \x20* The functions have names of their own in the library, so that no other copy of the engine or of ggml\n\
             \x20* in the process matters. Functions of ggml that are not named here are declared, and not in the\n\
             \x20* library. */\n\
             #pragma once\n\n"
        );
        for define in &self.builder.config.common.defines {
            if let Some((name, value)) = define
                .split_once('=')
                .filter(|(name, _)| name.starts_with("GGML_"))
            {
                // Writing to a string does not fail.
                let _ = writeln!(
                    text,
                    "#if !defined({name})\n#define {name} {value}\n#elif {name} != {value}\n\
                     #error \"{name} must be {value}: the library was compiled with it\"\n#endif\n"
                );
            }
        }
        for name in &exports.functions {
            let _ = writeln!(text, "#define {name} {}{name}", exports.prefix);
        }
        text.push('\n');
        for header in &self.description.api.headers {
            let _ = writeln!(text, "#include \"{header}\"");
        }
        let _ = write!(
            text,
            "\n#include <stddef.h>\n#include <stdint.h>\n\n\
             #ifdef __cplusplus\nextern \"C\" {{\n#endif\n\n\
             /* Gets what the engine logs; `text` is `length` bytes. Levels: 1 debug, 2 info, 3 warning, 4 error, 5 goes\n\
             \x20* on with the line before. May be called on any thread. */\n\
             typedef void (*trifold_{engine}_log)(int32_t level, const char * text, size_t length);\n\n\
             /* To be called once, before all else; `log` may be NULL. The engine prints nothing by itself. 0, or -1 if\n\
             \x20* this CPU cannot run it, which is logged. */\n\
             int32_t trifold_{engine}_open(trifold_{engine}_log log);\n\n\
             #ifdef __cplusplus\n}}\n#endif\n"
        );
        text
    }

    fn licences(&self, tree: &Tree) -> Result<(), PackError> {
        let folder = self.folder(&format!("share/licenses/{}", self.package))?;
        for licence in &self.description.licences {
            let name = licence.to_string_lossy().replace('/', "-");
            copy(&tree.root.join(licence), &folder.join(name))?;
        }
        Ok(())
    }

    fn descriptions(&self) -> Result<(), PackError> {
        let Self { package, file, .. } = self;
        let engine = &self.sealed.engine;
        let version = env!("CARGO_PKG_VERSION");
        let title = &self.description.title;
        let folder = self.folder("lib/pkgconfig")?;
        write(
            &folder.join(format!("{package}.pc")),
            &format!(
                "prefix=${{pcfiledir}}/../..\n\n\
                 Name: {package}\n\
                 Description: {title} {}, sealed\n\
                 Version: {version}\n\
                 Cflags: -I${{prefix}}/include/{package}\n\
                 Libs: -L${{prefix}}/lib -l{package}\n",
                self.sealed.version
            ),
        )?;
        let folder = self.folder(&format!("lib/cmake/{package}"))?;
        write(
            &folder.join(format!("{package}-config.cmake")),
            &format!(
                "get_filename_component(_trifold_prefix \"${{CMAKE_CURRENT_LIST_DIR}}/../../..\" ABSOLUTE)\n\
                 if(NOT TARGET trifold::{engine})\n\
                 \x20 add_library(trifold::{engine} SHARED IMPORTED)\n\
                 \x20 set_target_properties(trifold::{engine} PROPERTIES\n\
                 \x20   IMPORTED_LOCATION \"${{_trifold_prefix}}/lib/{file}\"\n\
                 \x20   IMPORTED_SONAME \"{file}\"\n\
                 \x20   INTERFACE_INCLUDE_DIRECTORIES \"${{_trifold_prefix}}/include/{package}\")\n\
                 endif()\n\
                 unset(_trifold_prefix)\n"
            ),
        )?;
        write(
            &folder.join(format!("{package}-config-version.cmake")),
            &format!(
                "set(PACKAGE_VERSION \"{version}\")\n\
                 if(PACKAGE_FIND_VERSION VERSION_GREATER PACKAGE_VERSION)\n\
                 \x20 set(PACKAGE_VERSION_COMPATIBLE FALSE)\n\
                 else()\n\
                 \x20 set(PACKAGE_VERSION_COMPATIBLE TRUE)\n\
                 endif()\n"
            ),
        )
    }

    fn folder(&self, name: &str) -> Result<PathBuf, PackError> {
        let folder = self.prefix.join(name);
        fs_err::create_dir_all(&folder).map_err(PackError::io("Could not create", &folder))?;
        Ok(folder)
    }
}

fn copy(from: &Path, to: &Path) -> Result<(), PackError> {
    // Not with its permissions: files of a registry package may be read-only.
    let bytes = fs_err::read(from).map_err(PackError::io("Could not read", from))?;
    fs_err::write(to, bytes).map_err(PackError::io("Could not write", to))
}

fn write(path: &Path, text: &str) -> Result<(), PackError> {
    fs_err::write(path, text).map_err(PackError::io("Could not write", path))
}
