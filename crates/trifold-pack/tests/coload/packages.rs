//! Python modules and wheels.

use crate::support::{Folder, STATE, snapshot, wheel};

#[test]
fn modules() {
    let folder = Folder::new();
    folder.write("modules/calm.py", "print('calm')\n");
    folder.write(
        "modules/jealous.py",
        "import sys\nif 'calm' in sys.modules:\n    raise RuntimeError('not beside calm')\n",
    );
    folder.write(
        "modules/sleepy.py",
        "import sys, time\n\ndef rest():\n    time.sleep(600)\n\nif 'calm' in sys.modules:\n    rest()\n",
    );
    let arguments = [
        "calm",
        "jealous",
        "sleepy",
        "--flags",
        "local",
        "--time-limit",
        "5",
    ];
    snapshot!(folder, folder.coload(arguments), @r#"
    exit code: 1
    ----- stdout -----
    Python [VERSION] at: [PYTHON]
    3 packages, 6 of 6 orders of all, both of each pair; 5 s for each process

    Alone      local
      calm     ok
      jealous  ok
      sleepy   ok

    Together                 local
      calm, jealous          exception
      jealous, calm          ok
      calm, sleepy           hang
      sleepy, calm           ok
      jealous, sleepy        ok
      sleepy, jealous        ok
      calm, jealous, sleepy  exception
      calm, sleepy, jealous  hang
      jealous, calm, sleepy  hang
      jealous, sleepy, calm  ok
      sleepy, calm, jealous  exception
      sleepy, jealous, calm  ok

    RuntimeError while jealous was loaded: not beside calm
      with RTLD_LOCAL: calm, jealous
      with RTLD_LOCAL: calm, jealous, sleepy
      with RTLD_LOCAL: sleepy, calm, jealous

    Still running after 5 s, while sleepy was loaded
      with RTLD_LOCAL: calm, sleepy
      with RTLD_LOCAL: calm, sleepy, jealous
      with RTLD_LOCAL: jealous, calm, sleepy
      File "[FOLDER]/modules/sleepy.py", line 4 in rest
      File "[FOLDER]/modules/sleepy.py", line 7 in <module>

    note: calm loads no native code of its own when it is imported; name the module that does
    note: jealous loads no native code of its own when it is imported; name the module that does
    note: sleepy loads no native code of its own when it is imported; name the module that does

    Verdict
      calm + jealous: not safe with RTLD_LOCAL (exception in 1 of 2 orders)
      calm + sleepy: not safe with RTLD_LOCAL (hang in 1 of 2 orders)
      jealous + sleepy: safe with RTLD_LOCAL
      calm + jealous + sleepy: not safe with RTLD_LOCAL (exception, hang in 4 of 6 orders)
    ----- stderr -----
    "#);
}

/// A wheel that opens its own library for everybody.
fn loud_wheel(folder: &Folder, name: &str, number: &str) {
    let library = folder.library(&format!("lib{name}.so"), &STATE.replace("NUMBER", number));
    let code = format!(
        "import ctypes, pathlib\n\
         library = ctypes.CDLL(str(pathlib.Path(__file__).with_name('lib{name}.so')), mode=ctypes.RTLD_GLOBAL)\n"
    );
    wheel(
        folder,
        &format!("{name}-1.2-py3-none-linux_x86_64.whl"),
        &[
            (&format!("{name}/__init__.py"), code.into_bytes()),
            (
                &format!("{name}/inner/__init__.py"),
                b"raise SystemExit\n".to_vec(),
            ),
            (
                &format!("{name}-1.2.data/platlib/{name}/lib{name}.so"),
                fs_err::read(library).unwrap(),
            ),
            ("tests/__init__.py", b"raise SystemExit\n".to_vec()),
        ],
    );
}

#[test]
fn wheels_beside_an_interpreter() {
    let folder = Folder::new();
    loud_wheel(&folder, "loud", "1");
    loud_wheel(&folder, "proud", "2");
    let found = folder.coload([
        "loud-1.2-py3-none-linux_x86_64.whl",
        "proud-1.2-py3-none-linux_x86_64.whl",
        "--python=python3",
        "--flags=local",
    ]);
    snapshot!(folder, found, @r#"
    exit code: 1
    ----- stdout -----
    Python [VERSION] at: [PYTHON]
    2 packages, 2 of 2 orders; 60 s for each process

    Alone        local
      loud 1.2   ok
      proud 1.2  ok

    Together               local
      loud 1.2, proud 1.2  binds 1
      proud 1.2, loud 1.2  binds 1

    loud 1.2 takes 1 symbol of proud 1.2 (RTLD_LOCAL: 1 run)
      loud/libloud.so ← proud/libproud.so
        other  1  shared_state
    proud 1.2 takes 1 symbol of loud 1.2 (RTLD_LOCAL: 1 run)
      proud/libproud.so ← loud/libloud.so
        other  1  shared_state

    Verdict
      loud 1.2 + proud 1.2: not safe with RTLD_LOCAL (2 symbols taken from another)
    ----- stderr -----
    "#);
}
