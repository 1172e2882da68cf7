//! Sealing a library that has nothing to do with ggml: two versions of Lua in one program.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};

use trifold_build::{config::Config, elf, source, toolchain::Toolchain};

/// The versions that the package carries which are furthest apart, and what the program prints for them.
const VERSIONS: [(&str, &str); 2] = [("lua-5.1.5", "51"), ("lua-5.5.1", "55")];

#[test]
fn two_versions_of_lua_run_in_one_program() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path();
    let package = source::package(&Config::load().unwrap(), "lua-src", "551.1.0").unwrap();
    let mut link = Command::new("cc");
    for (name, short) in VERSIONS {
        let source = package.join(name);
        let archive = compile(&source, &place.join(name));
        let sealed = place.join(format!("lua{short}.o"));
        let output = seal(&[
            "--keep".into(),
            "lua_*".into(),
            "--keep".into(),
            "luaL_*".into(),
            "--prefix".into(),
            format!("v{short}_"),
            "--header".into(),
            place.join(format!("lua{short}.h")).display().to_string(),
            "-o".into(),
            sealed.display().to_string(),
            archive.display().to_string(),
        ]);
        assert!(output.status.success(), "{output:?}");
        let symbols = elf::symbols(&sealed).unwrap().global;
        assert!(symbols.contains(&format!("v{short}_luaL_newstate")));
        assert!(
            symbols
                .iter()
                .all(|name| name.starts_with(&format!("v{short}_lua")))
        );
        let caller = place.join(format!("call{short}.c"));
        std::fs::write(&caller, CALLER.replace("SHORT", short)).unwrap();
        link.arg(format!("-I{}", place.display()));
        let object = caller.with_extension("o");
        run(Command::new("cc")
            .arg("-c")
            .arg(format!("-I{}", place.display()))
            .arg(format!("-I{}", source.display()))
            .arg(&caller)
            .arg("-o")
            .arg(&object));
        link.arg(object).arg(sealed);
    }
    let main = place.join("main.c");
    std::fs::write(
        &main,
        "void call51(void), call55(void); int main(void) { call51(); call55(); call51(); }",
    )
    .unwrap();
    let program = place.join("both");
    run(link.arg(main).args(["-lm", "-o"]).arg(&program));
    let output = Command::new(program).output().unwrap();
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "Lua 5.1, 7 / 2 = 3.5\nLua 5.5, 7 // 2 = 3\nLua 5.1, 7 / 2 = 3.5\n"
    );
}

/// Written for Lua's own headers.
const CALLER: &str = r#"
#include "luaSHORT.h"
#include "lua.h"
#include "lualib.h"
#include "lauxlib.h"
void callSHORT(void) {
    lua_State * lua = luaL_newstate();
    luaL_openlibs(lua);
    (void) luaL_dostring(lua, "io.write(_VERSION, _VERSION == 'Lua 5.1' and ', 7 / 2 = ' .. 7 / 2"
        " or load('return \", 7 // 2 = \" .. 7 // 2')(), '\\n')  io.flush()");
    lua_close(lua);
}
"#;

#[test]
fn unsealed_they_do_not_even_link() {
    let folder = tempfile::tempdir().unwrap();
    let package = source::package(&Config::load().unwrap(), "lua-src", "551.1.0").unwrap();
    let archives =
        VERSIONS.map(|(name, _)| compile(&package.join(name), &folder.path().join(name)));
    let output = Command::new("cc")
        .args(["-shared", "-Wl,--whole-archive"])
        .args(&archives)
        .args(["-Wl,--no-whole-archive", "-o"])
        .arg(folder.path().join("both.so"))
        .output()
        .unwrap();
    assert!(!output.status.success());
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(words.contains("multiple definition of"), "{words}");
}

#[test]
fn json_tells_what_is_visible_hidden_and_needed() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("small.c");
    let text = "void *malloc(unsigned long); int small_helper; void *small_make(void) { small_helper++; return malloc(8); }";
    std::fs::write(&source, text).unwrap();
    let object = source.with_extension("o");
    run(Command::new("cc")
        .arg("-c")
        .arg(&source)
        .arg("-o")
        .arg(&object));
    let out = folder.path().join("sealed.o").display().to_string();
    let arguments = |more: &[&str]| -> Vec<String> {
        let object = object.display().to_string();
        let common = [object.as_str(), "-o", &out, "--keep", "small_make"];
        common
            .iter()
            .chain(more)
            .map(|&text| text.to_owned())
            .collect()
    };
    let output = seal(&arguments(&["--json", "--prefix", "my_"]));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let expected = serde_json::json!({
        "schema": 1,
        "exports": [{"name": "small_make", "sealed": "my_small_make"}],
        "hidden": 1,
        "outside": ["malloc"],
    });
    assert_eq!(report, expected);

    let output = seal(&arguments(&["--outside", "free"]));
    assert_eq!(output.status.code(), Some(1));
    let words = String::from_utf8_lossy(&output.stderr);
    let expected = "error: The seal of sealed.o does not hold: needs symbols that are not on the list: malloc\n\nhint: ";
    assert!(words.starts_with(expected), "{words}");
    // For whom this is a library of his own, and no engine.
    assert!(words.contains("--outside"), "{words}");

    let output = seal(&[
        "--keep".into(),
        "x".into(),
        "missing.a".into(),
        "-o".into(),
        out.clone(),
    ]);
    assert_eq!(output.status.code(), Some(1));
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(words.contains("Could not read: missing.a"), "{words}");
}

fn seal(arguments: &[String]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_trifold-pack"))
        .arg("seal")
        .args(arguments)
        .output()
        .unwrap()
}

/// A static archive of Lua without its two programs.
fn compile(source: &Path, out: &Path) -> PathBuf {
    std::fs::create_dir(out).unwrap();
    let toolchain = Toolchain::find().unwrap();
    let mut archive = toolchain.ar();
    let path = out.join("liblua.a");
    archive.arg("crsD").arg(&path);
    for entry in std::fs::read_dir(source).unwrap() {
        let file = entry.unwrap().path();
        let name = file.file_stem().unwrap().to_str().unwrap().to_owned();
        if file.extension().is_none_or(|end| end != "c")
            || ["lua", "luac", "onelua", "ltests"].contains(&name.as_str())
        {
            continue;
        }
        let object = out.join(name + ".o");
        run(Command::new("cc")
            .args(["-c", "-O1", "-fPIC", "-w", "-DLUA_USE_C89"])
            .arg(&file)
            .arg("-o")
            .arg(&object));
        archive.arg(object);
    }
    run(&mut archive);
    path
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {words}");
}
