//! Small files, each with one thing to find.

use trifold_pack::{Kind, Level, Relro};

use crate::support::{Compiled, audited, clean_extension, finding, rules};

const SHOW: &str = "#define SHOW __attribute__((visibility(\"default\")))\n";

fn show(source: &str) -> String {
    format!("{SHOW}{source}")
}

#[test]
fn an_extension_without_findings() {
    let package = audited(&clean_extension().path);
    assert_eq!(package.findings.len(), 0, "{:#?}", package.findings);
    let native = &package.natives[0];
    assert_eq!(native.facts.kind, Kind::Extension);
    assert_eq!(native.facts.exports.len(), 1);
    assert_eq!(native.facts.needed, ["libc.so.6"]);
    let hardening = native.facts.hardening.unwrap();
    assert_eq!(hardening.relro, Relro::Full);
    assert!(hardening.bind_now && hardening.nx_stack && hardening.pie && hardening.stack_protector);
    assert!(native.cpu.functions >= 2);
    assert_eq!(native.cpu.called.level, Level::V1);
}

#[test]
fn engines_that_others_can_bind_to() {
    let library = Compiled::new(
        "libggml.so",
        &show("SHOW void ggml_init(void) {} SHOW int gguf_free(void) { return 1; }"),
        &[],
    );
    let package = audited(&library.path);
    let found = finding(&package, "TP001");
    assert_eq!(
        found.message,
        "exports 2 functions of engines: 1 ggml_*, 1 gguf_*"
    );
    assert_eq!(found.details, ["ggml_init", "gguf_free"]);
    assert!(found.denied);
}

#[test]
fn cpp_of_an_extension() {
    let source = "//c++\n#include <string>\nnamespace engine { struct Node { virtual ~Node(); }; Node::~Node() {} template <class T> T twice(T x) { static T last; last = x; return x + last; } template int twice(int); }\nstd::string text(const std::string &a) { return a + \"x\"; }\nextern \"C\" void *PyInit_m() { return nullptr; }";
    let arguments = ["-shared", "-fPIC", "-O0", "-fvisibility=default"];
    let extension = Compiled::with("m.so", source, arguments.into_iter());
    let package = audited(&extension.path);
    let found = finding(&package, "TP002");
    assert!(found.message.contains("C++ engine::"), "{}", found.message);
    assert!(
        found
            .details
            .iter()
            .any(|name| name == "engine::Node::~Node"),
        "{:?}",
        found.details
    );
    assert!(finding(&package, "TP003").message.contains("C++ std::"));
    // The static of the template.
    assert!(finding(&package, "TP004").message.contains("C++ engine::"));
    // A library in C++ exports C++ with good reason.
    let library = Compiled::with(
        "libm.so",
        &source.replace("PyInit_m", "start"),
        arguments.into_iter(),
    );
    assert!(!rules(&audited(&library.path)).contains(&"TP002"));
}

#[test]
fn cpp_of_a_program() {
    let source = "//c++\nnamespace engine { struct Base { virtual ~Base() {} }; int run() { return 1; } }\nint main() { engine::Base b; return engine::run(); }";
    let exporting = Compiled::with("p", source, ["-rdynamic"].into_iter());
    let package = audited(&exporting.path);
    let found = finding(&package, "TP006");
    assert!(found.message.contains("C++ engine::"), "{}", found.message);
    assert!(!found.denied);
    assert!(!rules(&package).contains(&"TP002"));
    let closed = Compiled::with("p", source, [].into_iter());
    assert!(!rules(&audited(&closed.path)).contains(&"TP006"));
}

#[test]
fn stripped_of_all_section_headers() {
    let library = Compiled::new(
        "libggml.so",
        &show(
            "SHOW void ggml_init(void) {}\nvoid *malloc(unsigned long);\nSHOW void *ggml_new(void) { return malloc(1); }",
        ),
        &[],
    );
    let whole = audited(&library.path);
    let mut bytes = library.bytes();
    bytes[0x28..0x30].fill(0); // e_shoff
    bytes[0x3a..0x40].fill(0); // their size, number and names
    fs_err::write(&library.path, bytes).unwrap();
    let package = audited(&library.path);
    assert_eq!(
        package.natives[0].facts.exports,
        whole.natives[0].facts.exports
    );
    assert_eq!(
        package.natives[0].facts.needed_versions,
        whole.natives[0].facts.needed_versions
    );
    assert_eq!(
        finding(&package, "TP001").message,
        finding(&whole, "TP001").message
    );
}

#[test]
fn both_kinds_of_hash_tables() {
    for style in ["sysv", "gnu", "both"] {
        let style = format!("-Wl,--hash-style={style}");
        let library = Compiled::new(
            "libx.so",
            &show("SHOW void one(void) {} SHOW void two(void) {}"),
            &[&style],
        );
        let names: Vec<String> = audited(&library.path).natives[0]
            .facts
            .exports
            .iter()
            .map(|export| export.name.clone())
            .collect();
        assert_eq!(names, ["one", "two"], "{style}");
    }
}

#[test]
fn versions_of_symbols() {
    let source = show("#include <math.h>\nSHOW double f(double x) { return exp(x); }");
    let package = audited(&Compiled::new("libx.so", &source, &["-lm"]).path);
    let native = &package.natives[0];
    let need = native
        .facts
        .needed_versions
        .iter()
        .find(|need| need.symbols == ["exp"])
        .unwrap();
    assert_eq!(
        (need.library.as_str(), need.version.as_str()),
        ("libm.so.6", "GLIBC_2.29")
    );
    // No policy is of exactly 2.29 or 2.30.
    assert_eq!(native.floor.tag, "manylinux_2_31_x86_64");
    assert_eq!(native.floor.because, ["GLIBC_2.29 of libm.so.6 for exp"]);
}

#[test]
fn search_paths_and_names() {
    let arguments = [
        "-Wl,-rpath,/opt/build/lib:$ORIGIN/../lib",
        "-Wl,-soname,libx.so.3",
    ];
    let package = audited(&Compiled::new("libx.so", "int x;", &arguments).path);
    assert_eq!(
        finding(&package, "TP015").message,
        "looks for libraries in /opt/build/lib"
    );
    let facts = &package.natives[0].facts;
    assert_eq!(facts.soname.as_deref(), Some("libx.so.3"));
    assert_eq!(facts.search_path, ["/opt/build/lib", "$ORIGIN/../lib"]);
}

#[test]
fn hardening_that_is_missing() {
    let source = show("SHOW int f(int x) { return x; }");
    for (arguments, rule) in [
        (["-Wl,-z,norelro", "-g0"], "TP030"),
        (["-Wl,-z,lazy", "-g0"], "TP031"),
        (["-Wl,-z,execstack", "-g0"], "TP032"),
        (["-fno-stack-protector", "-g0"], "TP034"),
    ] {
        let package = audited(&Compiled::new("libx.so", &source, &arguments).path);
        assert!(
            rules(&package).contains(&rule),
            "{arguments:?}: {:?}",
            rules(&package)
        );
    }
    let program = Compiled::with(
        "fixed",
        "int main(void) { return 0; }",
        ["-no-pie"].into_iter(),
    );
    let package = audited(&program.path);
    assert_eq!(package.natives[0].facts.kind, Kind::Program);
    assert!(rules(&package).contains(&"TP033"));
    let program = Compiled::with(
        "moving",
        "int main(void) { return 0; }",
        ["-pie", "-fPIE"].into_iter(),
    );
    assert!(!rules(&audited(&program.path)).contains(&"TP033"));
}

#[test]
fn debug_information() {
    let source = show("SHOW int f(int x) { return x; }");
    let arguments = ["-shared", "-fPIC", "-g"];
    let package = audited(&Compiled::with("libx.so", &source, arguments.into_iter()).path);
    assert!(
        finding(&package, "TP040")
            .message
            .contains("of debug information")
    );
    assert!(finding(&package, "TP041").message.contains("symbol table"));
    assert!(package.natives[0].facts.debug_bytes > 0);
}

const AVX2: &str = "__attribute__((target(\"avx2\"),noinline)) void kernel(int *x) { for (int i = 0; i < 64; i++) x[i] = x[i] * 3 + 1; }\n";

#[test]
fn code_for_newer_cpus_at_load() {
    let source = show(&format!(
        "int data[64];\n{AVX2}__attribute__((noinline)) void between(void) {{ kernel(data); }}\n__attribute__((constructor)) void start(void) {{ between(); }}\nSHOW int *get(void) {{ return data; }}"
    ));
    let arguments = ["-shared", "-fPIC", "-O2", "-ftree-vectorize"];
    let package = audited(&Compiled::with("libx.so", &source, arguments.into_iter()).path);
    let found = finding(&package, "TP020");
    assert!(
        found
            .message
            .starts_with("needs x86-64-v3 to load it: AVX, AVX2 in 1 of"),
        "{}",
        found.message
    );
    assert_eq!(found.details.len(), 1);
    assert!(
        found.details[0].ends_with("kernel uses AVX, AVX2"),
        "{:?}",
        found.details
    );
}

#[test]
fn code_for_newer_cpus_when_called() {
    let source = show(&format!(
        "{AVX2}SHOW void run(int *x) {{ kernel(x); x[0]++; }}"
    ));
    let package = audited(&Compiled::new("libx.so", &source, &["-O2"]).path);
    assert!(
        finding(&package, "TP021")
            .message
            .starts_with("needs x86-64-v3 to call it")
    );
    assert_eq!(package.natives[0].cpu.looks, 0);
}

#[test]
fn code_for_newer_cpus_behind_a_look() {
    for look in [
        // A look of its own, written down by a constructor and read by a function.
        "static int has;\n__attribute__((constructor)) void look(void) { unsigned a = 7, b, c = 0, d; __asm__(\"cpuid\" : \"+a\"(a), \"=b\"(b), \"+c\"(c), \"=d\"(d)); has = b >> 5 & 1; }\nSHOW void run(int *x) { if (has) kernel(x); else x[0]++; }",
        // A library's: PyTorch asks cpuinfo.
        "int cpuinfo_initialize(void);\nSHOW void run(int *x) { if (cpuinfo_initialize()) kernel(x); else x[0]++; }",
        // The compiler's.
        "SHOW void run(int *x) { __builtin_cpu_init(); if (__builtin_cpu_supports(\"avx2\")) kernel(x); else x[0]++; }",
    ] {
        let source = show(&format!("{AVX2}{look}"));
        let package = audited(&Compiled::new("libx.so", &source, &["-O2"]).path);
        assert!(!finding(&package, "TP022").denied);
        assert!(
            !rules(&package).contains(&"TP021"),
            "{:#?}",
            package.findings
        );
        assert!(package.natives[0].cpu.looks > 0);
        assert_eq!(package.natives[0].cpu.variants.level, Level::V3);
    }
}

#[test]
fn a_module_whose_slot_needs_a_newer_cpu() {
    // As PyModuleDef has it: m_slots is at 72 bytes; slots are pairs of a number and a pointer.
    let source = show(&format!(
        "static int data[64];\n{AVX2}static int exec(void *m) {{ kernel(data); return m != 0; }}\nstruct slot {{ long id; void *value; }};\nstatic struct slot slots[] = {{{{ 2, exec }}, {{ 0, 0 }}}};\nstatic struct {{ char head[72]; struct slot *slots; char tail[24]; }} definition = {{ .slots = slots }};\nSHOW void *PyInit_m(void) {{ return &definition; }}"
    ));
    let package = audited(&Compiled::new("m.abi3.so", &source, &["-O2"]).path);
    assert!(finding(&package, "TP020").message.contains("AVX2"));
}

#[test]
fn ggml_and_what_it_says_of_itself() {
    let source = show(
        "#include <stdarg.h>\n#include <stdio.h>\nstruct tensor { char head[200]; char name[128]; };\nSHOW const char *ggml_version(void) { return \"0.9.5\"; }\nSHOW const char *ggml_commit(void) { return \"a1b2c3d\"; }\nSHOW unsigned long ggml_tensor_overhead(void) { return 368; }\nSHOW void ggml_init(void) { puts(\"GGML_ASSERT(x) failed\"); }\nSHOW struct tensor *ggml_format_name(struct tensor *t, const char *f, ...) { va_list a; va_start(a, f); vsnprintf(t->name, sizeof t->name, f, a); va_end(a); return t; }\nvoid fill(void);\nSHOW void *ggml_backend_cpu_reg(void) { static struct { int version; void *table; } r = { 2, ggml_init }; return &r; }",
    );
    let package = audited(&Compiled::new("libggml.so", &source, &["-O2"]).path);
    let ggml = package.natives[0].ggml.as_ref().unwrap();
    assert_eq!(ggml.version.as_deref(), Some("0.9.5"));
    assert_eq!(ggml.commit.as_deref(), Some("a1b2c3d"));
    assert_eq!(ggml.max_name, Some(128));
    assert_eq!(ggml.api_version, Some(2));
    assert_eq!(ggml.tensor_overhead, Some(368));
    assert!(ggml.exported);
    // Hidden and stripped, it is still found, by what it says when it fails.
    let hidden = source.replace("visibility(\"default\")", "used");
    let package = audited(&Compiled::new("libx.so", &hidden, &[]).path);
    let ggml = package.natives[0].ggml.as_ref().unwrap();
    assert_eq!((ggml.version.as_deref(), ggml.exported), (None, false));
}

/// As ggml has them: the function before `ggml_version`, and that one.
const VERSION: &str = "#include <stdlib.h>\n#include <stdio.h>\n__attribute__((noinline,used)) static void trace(void) { if (getenv(\"GGML_NO_BACKTRACE\")) puts(\"GGML_ASSERT(x)\"); }\n__attribute__((noinline,used)) static const char *version(void) { return \"0.9.5-dev\"; }\n__attribute__((noinline,used)) static const char *other(void) { return \"1.2.3\"; }\n";

#[test]
fn the_version_of_a_hidden_ggml() {
    let package =
        audited(&Compiled::new("libx.so", VERSION, &["-O2", "-fno-stack-protector"]).path);
    let ggml = package.natives[0].ggml.as_ref().unwrap();
    assert_eq!(ggml.version.as_deref(), Some("0.9.5-dev"));
    assert_eq!((ggml.core, ggml.exported), (true, false));
    // What gives back versions elsewhere is not taken for it.
    let elsewhere = VERSION.replace("GGML_NO_BACKTRACE", "NO_BACKTRACE");
    let package = audited(&Compiled::new("libx.so", &elsewhere, &["-O2"]).path);
    assert_eq!(package.natives[0].ggml.as_ref().unwrap().version, None);
}

#[test]
fn parts_and_users_of_a_ggml_elsewhere() {
    let uses = "#include <stdio.h>\nvoid ggml_free(void *);\nSHOW void NAME(void *c) { puts(\"GGML_ASSERT(x)\"); ggml_free(c); }";
    // llama.cpp as a shared library: it says what ggml's header makes it say.
    let user = show(&uses.replace("NAME", "llama_free"));
    let package = audited(&Compiled::new("libllama.so", &user, &[]).path);
    assert_eq!(package.natives[0].ggml, None);
    assert!(!rules(&package).contains(&"TP060"));
    let part = show(&uses.replace("NAME", "ggml_backend_free"));
    let package = audited(&Compiled::new("libggml-cpu.so", &part, &[]).path);
    let ggml = package.natives[0].ggml.as_ref().unwrap();
    assert_eq!((ggml.core, ggml.exported), (false, true));
    assert_eq!(
        finding(&package, "TP060").message,
        "has a part of ggml, exported"
    );
}

#[test]
fn members_of_a_static_archive() {
    let source = show("SHOW void ggml_init(void) {}");
    let object = Compiled::with(
        "ggml.o",
        &source,
        ["-c", "-fPIC", "-fvisibility=hidden"].into_iter(),
    );
    let archive = object.folder().join("libggml.a");
    let status = std::process::Command::new("ar")
        .arg("rcs")
        .arg(&archive)
        .arg(&object.path)
        .status();
    assert!(status.unwrap().success());
    let package = audited(&archive);
    assert_eq!(package.natives[0].path, "ggml.o");
    assert_eq!(package.natives[0].facts.kind, Kind::Object);
    assert_eq!(package.natives[0].facts.exports[0].name, "ggml_init");
    // To export is what objects are for.
    assert!(!rules(&package).contains(&"TP001"));
}

fn archive(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut bytes = b"!<arch>\n".to_vec();
    for (name, contents) in members {
        bytes.extend(format!("{name:<16}{:<32}{:<10}`\n", 0, contents.len()).into_bytes());
        bytes.extend(*contents);
        bytes.resize(bytes.len().next_multiple_of(2), b'\n');
    }
    bytes
}

/// The beginning of an object for Windows.
const COFF: [u8; 20] = [
    0x64, 0x86, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
];

#[test]
fn members_for_other_systems_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("libx.a");
    let object = Compiled::with("x.o", "int x;", ["-c"].into_iter()).bytes();
    let macho = [0xcf, 0xfa, 0xed, 0xfe, 7, 0, 0, 1].repeat(20);
    let others: [(&str, &[u8]); 4] = [
        ("w.o/", &COFF),
        ("m.o/", &macho),
        ("b.o/", b"BC\xc0\xde"),
        ("a.a/", b"!<arch>\n"),
    ];
    fs_err::write(
        &path,
        archive(&[&[("x.o/", &object[..])], &others[..]].concat()),
    )
    .unwrap();
    let package = audited(&path);
    assert_eq!(package.natives.len(), 1);
    let found = crate::support::findings(&package, "TP090");
    let files: Vec<_> = found.iter().filter_map(|f| f.file.as_deref()).collect();
    assert_eq!(files, ["a.a", "b.o", "m.o", "w.o"]);
    assert!(
        found[3].message.contains("a COFF object for x86-64"),
        "{found:#?}"
    );
    assert!(!rules(&package).contains(&"TP092"));
    // Of these alone nothing is known: that must not pass.
    fs_err::write(&path, archive(&others)).unwrap();
    let found = audited(&path);
    let found = finding(&found, "TP092");
    assert_eq!(
        found.message,
        "has 4 native files, and none of a kind that is audited"
    );
    assert!(found.denied);
    for members in [&[][..], &[("notes.txt/", &b"text"[..])]] {
        fs_err::write(&path, archive(members)).unwrap();
        let inputs = [trifold_pack::Input::Path(path.clone())];
        let error = trifold_pack::audit(&inputs, &trifold_pack::Config::default()).unwrap_err();
        let expected = "Not supported: a static archive without an object at ";
        assert!(error.to_string().starts_with(expected), "{error}");
    }
}

#[test]
fn names_of_members_as_others_write_them() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("libx.a");
    let object = Compiled::with("x.o", "int x;", ["-c"].into_iter()).bytes();
    let with_name = [b"by_bsd.o\0\0\0\0", &object[..]].concat();
    let members: [(&str, &[u8]); 6] = [
        ("/", b"\0\0\0\0"),
        ("//", b"first/\nthe_second_long_name.o/\n"),
        ("/7", &object),
        ("#1/12", &with_name),
        ("short.o/", &object),
        ("old.o", &object),
    ];
    fs_err::write(&path, archive(&members)).unwrap();
    let package = audited(&path);
    let paths: Vec<&str> = package
        .natives
        .iter()
        .map(|native| native.path.as_str())
        .collect();
    assert_eq!(
        paths,
        ["by_bsd.o", "old.o", "short.o", "the_second_long_name.o"]
    );
}

#[test]
fn an_object_with_more_sections_than_symbols_can_number() {
    use crate::synthetic::{CODE, PROGBITS, STRTAB, SYMTAB, Section, object, symbol};
    const SECTIONS: u32 = 66_000;
    let code = |bytes: &[u8]| Section {
        kind: PROGBITS,
        flags: CODE,
        bytes: bytes.to_vec(),
        ..Section::default()
    };
    let mut sections = vec![code(&[0xc3]); SECTIONS as usize - 1];
    // vpaddb ymm0, ymm0, ymm0
    sections.push(code(&[0xc5, 0xfd, 0xfc, 0xc0, 0xc3]));
    sections.push(Section {
        kind: SYMTAB,
        link: SECTIONS + 3,
        bytes: symbol(1, 0xffff, 5),
        ..Section::default()
    });
    sections.push(Section {
        kind: 18, // the numbers of symbols' sections
        link: SECTIONS + 1,
        bytes: SECTIONS.to_le_bytes().to_vec(),
        ..Section::default()
    });
    sections.push(Section {
        kind: STRTAB,
        bytes: b"\0kernel\0".to_vec(),
        ..Section::default()
    });
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.o");
    fs_err::write(&path, object(&sections)).unwrap();
    let native = &audited(&path).natives[0];
    let examples = &native.cpu.called.examples;
    assert_eq!(examples.len(), 1, "{examples:#?}");
    assert_eq!(examples[0].function, "kernel");
    assert_eq!(examples[0].features, ["AVX2"]);
}

#[test]
fn a_backend_plugin_has_nothing_to_hide() {
    let folder = tempfile::tempdir().unwrap();
    let builder = trifold_build::Builder::from_env().unwrap();
    let options = trifold_build::plugin::Options {
        engine: Some("llama".into()),
        ..Default::default()
    };
    let plugin = builder.plugin("twin", &options, folder.path()).unwrap();
    let denied: Vec<String> = audited(&plugin.path)
        .findings
        .iter()
        .filter(|finding| finding.denied)
        .map(|finding| format!("{} {}", finding.rule, finding.message))
        .collect();
    assert_eq!(denied, [""; 0]);

    let package = audited(&plugin.path);
    let ggml = package.natives[0].ggml.as_ref().unwrap();
    let told = |name: &str| {
        let lines = plugin.note.fingerprint.lines();
        lines
            .filter_map(|line| line.split_once('\t'))
            .find(|(key, _)| *key == name)
            .unwrap()
            .1
    };
    assert_eq!(ggml.version.as_deref(), Some(told("ggml version")));
    let number = ggml.max_name.map(|number| number.to_string());
    assert_eq!(number.as_deref(), Some(told("GGML_MAX_NAME")));
    assert!(!ggml.exported);
    let print = ggml.fingerprint.as_ref().unwrap();
    let text = trifold_pack::Data::from_bytes(plugin.note.fingerprint.as_bytes(), "fingerprint");
    assert_eq!(print.sha256, text.sha256().unwrap());
    assert!(print.fields > 100, "{print:?}");
    let words = format!(
        "fingerprint {} of {} fields",
        &print.sha256[..16],
        print.fields
    );
    let message = &finding(&package, "TP060").message;
    assert!(message.contains(&words), "{message}");
    // A note that is cut off is damage, and nothing that is left out.
    let mut bytes = fs_err::read(&plugin.path).unwrap();
    let length = b"\nfingerprint\t";
    let place = bytes
        .windows(length.len())
        .position(|window| window == length)
        .unwrap();
    bytes[place + length.len()] ^= 1;
    let data = trifold_pack::Data::from_bytes(bytes, "plugin.so");
    let error = trifold_pack::of_data(&data, &trifold_pack::Config::default()).unwrap_err();
    assert!(
        error.to_string().contains("the note of a plugin"),
        "{error}"
    );
}
