//! What cannot be measured, and the help.

use std::{fmt::Write as _, process::Command};

use crate::support::{Folder, snapshot, wheel};

#[test]
fn help() {
    let folder = Folder::new();
    snapshot!(folder, folder.coload(["--help"]), @r#"
    exit code: 0
    ----- stdout -----
    Load packages together in one process, in every order, and say what happens

    Usage: trifold-pack coload [OPTIONS] [PACKAGE]...

    Arguments:
      [PACKAGE]...  Python modules, named as in `import`; wheels; or shared libraries: paths with a `/`,
                    or names that end in `.so`, which are opened by `ctypes.CDLL`. Two or more

    Options:
          --python <PATH>         The interpreter, or its environment's folder [default: python3]. With
                                  it, wheels are unpacked beside what it has installed. Without it, they
                                  are installed into a new environment with what they depend on, by pip,
                                  which may use the network
          --orders <N>            How many orders of all packages to try; both orders of each pair are
                                  always tried [default: 24]
          --time-limit <SECONDS>  How long each process may take [default: 60]
          --flags <FLAGS>         How to open what is loaded: RTLD_LOCAL, as Python does, or RTLD_GLOBAL
                                  [default: local,global]
          --check <CODE>          Python code to run after loading. It sees modules by name, and
                                  libraries by path in the dictionary `libraries`; an exception is a
                                  failure
          --json                  Print the report as JSON
          --schema                Print the schema of the JSON report
      -h, --help                  Print help

    Examples:
      trifold-pack coload numpy onnxruntime
      trifold-pack coload dist/ours.whl theirs --python .venv/bin/python
      trifold-pack coload ./libfirst.so ./libsecond.so --flags global
      trifold-pack coload numpy torch --check 'assert numpy.ones(3).sum() == torch.ones(3).sum()'

    The packages are loaded, and so their code runs. Each order is tried in a process of its own, with
    each of the flags; and once more with LD_DEBUG=bindings and LD_BIND_NOW=1, with which the loader
    tells every symbol that it resolves.

    Exit code: 0 if all are safe together, 1 if not, 2 if that cannot be measured.
    ----- stderr -----
    "#);
}

/// What each of these says.
fn refusals(folder: &Folder, cases: &[&[&str]]) -> String {
    let mut all = String::new();
    for arguments in cases {
        let found = folder.coload(*arguments);
        let found = found.replace("----- stdout -----\n----- stderr -----\n", "");
        let _ = write!(all, "$ coload {}\n{found}\n", arguments.join(" "));
    }
    without_the_interpreter(&all)
}

#[test]
fn arguments_that_mean_nothing() {
    let folder = Folder::new();
    let fine = folder.library("libfine.so", "int fine(void) { return 1; }");
    let mut other = fs_err::read(&fine).unwrap();
    other[4] = 1;
    folder.write("lib32.so", &other);
    folder.write("libtext.so", "INPUT(libfine.so)\n");
    let found = refusals(
        &folder,
        &[
            &["libfine.so"],
            &["libfine.so", "libfine.so"],
            &["libfine.so", "no-such-name"],
            &["libfine.so", "./absent.so"],
            &["libfine.so", "."],
            &["libfine.so", "lib32.so"],
            &["libfine.so", "libtext.so"],
            &["libfine.so", "json", "--time-limit", "0"],
            &["libfine.so", "json", "--orders", "0"],
        ],
    );
    snapshot!(folder, found, @r#"
    $ coload libfine.so
    exit code: 2
    error: Expected 2 to 34 packages or libraries to load together (found: 1)

    hint: Name those that shall live in one process

    $ coload libfine.so libfine.so
    exit code: 2
    error: Expected each package once: libfine.so

    hint: Leave one of the two out

    $ coload libfine.so no-such-name
    exit code: 2
    error: Expected a Python module, a wheel or a shared library: no-such-name

    hint: A module is named as in `import`; a file by its path, with a `/` in it

    $ coload libfine.so ./absent.so
    exit code: 2
    error: No file at: ./absent.so

    hint: See that the path is right; a Python module is named without `/`

    $ coload libfine.so .
    exit code: 2
    error: Expected a Python module, a wheel or a shared library: .

    hint: A module is named as in `import`; a file by its path, with a `/` in it

    $ coload libfine.so lib32.so
    exit code: 2
    error: Expected a shared library for x86-64 Linux: [FOLDER]/lib32.so (found: a 32-bit little-endian ELF file for x86-64)

    hint: Give a `.so` that is built for this machine, a wheel, or a module's name

    $ coload libfine.so libtext.so
    exit code: 2
    error: Expected a shared library for x86-64 Linux: [FOLDER]/libtext.so (found: it begins with "INPUT(li")

    hint: Give a `.so` that is built for this machine, a wheel, or a module's name

    $ coload libfine.so json --time-limit 0
    exit code: 2
    error: invalid value '0' for '--time-limit <SECONDS>': expected seconds, from 0.1 to 86400

    For more information, try '--help'.

    $ coload libfine.so json --orders 0
    exit code: 2
    error: invalid value '0' for '--orders <N>': 0 is not in 1..=10000

    For more information, try '--help'.
    "#);
}

#[test]
fn interpreters_that_do_not_fit() {
    let folder = Folder::new();
    folder.library("libfine.so", "int fine(void) { return 1; }");
    let answer = "{\"implementation\": \"\", \"version\": [2, 7, 18], \"executable\": \"x\", \
        \"machine\": \"x86_64\", \"libc\": null, \"abi\": \"\", \"suffixes\": [], \"missing\": []}";
    let python2 = folder.write("python2", format!("#!/bin/sh\necho '{answer}'\n"));
    let permissions = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs_err::set_permissions(&python2, permissions).unwrap();
    let found = refusals(
        &folder,
        &[
            &["libfine.so", "trifold_of_nobody"],
            &["libfine.so", "json", "--python", "./no/python"],
            &["libfine.so", "json", "--python", "/bin/true"],
            &["libfine.so", "json", "--python", "./python2"],
        ],
    );
    snapshot!(folder, found, @r#"
    $ coload libfine.so trifold_of_nobody
    exit code: 2
    error: No module in the Python at [PYTHON]: trifold_of_nobody

    hint: Install them there, or name the interpreter that has them with --python

    $ coload libfine.so json --python ./no/python
    exit code: 2
    error: Could not start Python: ./no/python
      Caused by: No such file or directory (os error 2)

    hint: Name an interpreter with --python

    $ coload libfine.so json --python /bin/true
    exit code: 2
    error: Expected CPython 3.9 or newer for x86-64 and glibc at: /bin/true (found: exit code 0, "")

    hint: Name another interpreter with --python, such as `--python .venv/bin/python`

    $ coload libfine.so json --python ./python2
    exit code: 2
    error: Expected CPython 3.9 or newer for x86-64 and glibc at: ./python2 (found: Python 2.7.18)

    hint: Name another interpreter with --python, such as `--python .venv/bin/python`
    "#);
}

#[test]
fn wheels_that_cannot_be_loaded() {
    let folder = Folder::new();
    folder.library("libfine.so", "int fine(void) { return 1; }");
    folder.write("old.whl", "");
    folder.write("bad-1-py3-none-any.whl", "not a zip file");
    let nothing = Vec::new;
    wheel(
        &folder,
        "mac-1-cp311-cp311-macosx_11_0_arm64.whl",
        &[("mac.py", nothing())],
    );
    wheel(
        &folder,
        "out-1-py3-none-any.whl",
        &[("../../out.py", nothing())],
    );
    wheel(
        &folder,
        "none-1-py3-none-any.whl",
        &[("none-1.dist-info/METADATA", nothing())],
    );
    wheel(
        &folder,
        "fine-1-py3-none-any.whl",
        &[("fine.py", nothing())],
    );
    let found = refusals(
        &folder,
        &[
            &["libfine.so", "old.whl"],
            &["libfine.so", "bad-1-py3-none-any.whl"],
            &["libfine.so", "out-1-py3-none-any.whl"],
            &[
                "libfine.so",
                "none-1-py3-none-any.whl",
                "--python",
                "python3",
            ],
            &["libfine.so", "mac-1-cp311-cp311-macosx_11_0_arm64.whl"],
            &["json", "fine-1-py3-none-any.whl"],
        ],
    );
    snapshot!(folder, found, @r#"
    $ coload libfine.so old.whl
    exit code: 2
    error: Expected a wheel: old.whl (its name is not NAME-VERSION-PYTHON-ABI-PLATFORM.whl)

    hint: Give a wheel as it was built or downloaded, under its own name

    $ coload libfine.so bad-1-py3-none-any.whl
    exit code: 2
    error: Expected a wheel: bad-1-py3-none-any.whl (no end of a zip archive)

    hint: Give a wheel as it was built or downloaded, under its own name

    $ coload libfine.so out-1-py3-none-any.whl
    exit code: 2
    error: Expected a wheel: out-1-py3-none-any.whl (file 1 of it leads outside)

    hint: Give a wheel as it was built or downloaded, under its own name

    $ coload libfine.so none-1-py3-none-any.whl --python python3
    exit code: 2
    error: Expected a wheel: [FOLDER]/none-1-py3-none-any.whl (it has no module)

    hint: Give a wheel as it was built or downloaded, under its own name

    $ coload libfine.so mac-1-cp311-cp311-macosx_11_0_arm64.whl
    exit code: 2
    error: Expected a wheel for CPython [VERSION] on x86_64 glibc: [FOLDER]/mac-1-cp311-cp311-macosx_11_0_arm64.whl (found: cp311-cp311-macosx_11_0_arm64)

    hint: Choose another interpreter with --python, or another wheel of the package

    $ coload json fine-1-py3-none-any.whl
    exit code: 2
    error: Expected an interpreter for the modules beside the wheels: json

    hint: Name the one that has them with --python; the wheels are unpacked beside it
    "#);
}

/// Without the version and the place of the interpreter.
fn without_the_interpreter(text: &str) -> String {
    let python = Command::new("python3")
        .args([
            "-c",
            "import sys; print(sys.executable); print('%d.%d' % sys.version_info[:2])",
        ])
        .output()
        .unwrap();
    let python = String::from_utf8(python.stdout).unwrap();
    let (executable, version) = python.trim().split_once('\n').unwrap();
    text.replace(executable, "[PYTHON]")
        .replace(&format!("CPython {version}"), "CPython [VERSION]")
}
