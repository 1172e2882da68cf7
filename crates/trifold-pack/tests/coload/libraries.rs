//! Shared libraries.

use std::process::Command;

use crate::support::{Folder, STATE, snapshot};

#[test]
fn a_symbol_that_both_have() {
    let folder = Folder::new();
    folder.library("libone.so", &STATE.replace("NUMBER", "1"));
    folder.library("libtwo.so", &STATE.replace("NUMBER", "2"));
    snapshot!(folder, folder.coload(["libone.so", "./libtwo.so"]), @r#"
    exit code: 1
    ----- stdout -----
    Python [VERSION] at: [PYTHON]
    2 packages, 2 of 2 orders; 60 s for each process

    Alone        local  global
      libone.so  ok     ok
      libtwo.so  ok     ok

    Together                local  global
      libone.so, libtwo.so  ok     binds 1
      libtwo.so, libone.so  ok     binds 1

    libone.so takes 1 symbol of libtwo.so (RTLD_GLOBAL: 1 run)
      libone.so ← libtwo.so
        other  1  shared_state
    libtwo.so takes 1 symbol of libone.so (RTLD_GLOBAL: 1 run)
      libtwo.so ← libone.so
        other  1  shared_state

    Verdict
      libone.so + libtwo.so: safe with RTLD_LOCAL; not safe with RTLD_GLOBAL (2 symbols taken from another)
    ----- stderr -----
    "#);
}

#[test]
fn a_check_that_fails_where_a_symbol_is_anothers() {
    let folder = Folder::new();
    folder.library("libone.so", &STATE.replace("NUMBER", "1"));
    folder.library("libtwo.so", &STATE.replace("NUMBER", "2"));
    let check = "assert [library.ask() for name, library in sorted(libraries.items())] == [1, 2], 'mixed up'";
    snapshot!(folder, folder.coload(["libone.so", "libtwo.so", "--check", check]), @r#"
    exit code: 1
    ----- stdout -----
    Python [VERSION] at: [PYTHON]
    2 packages, 2 of 2 orders; 60 s for each process

    Alone        local  global
      libone.so  ok     ok
      libtwo.so  ok     ok

    Together                local  global
      libone.so, libtwo.so  ok     exception
      libtwo.so, libone.so  ok     exception

    AssertionError in the check: mixed up
      with RTLD_GLOBAL: libone.so, libtwo.so
      with RTLD_GLOBAL: libtwo.so, libone.so

    libone.so takes 1 symbol of libtwo.so (RTLD_GLOBAL: 1 run)
      libone.so ← libtwo.so
        other  1  shared_state
    libtwo.so takes 1 symbol of libone.so (RTLD_GLOBAL: 1 run)
      libtwo.so ← libone.so
        other  1  shared_state

    Verdict
      libone.so + libtwo.so: safe with RTLD_LOCAL; not safe with RTLD_GLOBAL (exception in 2 of 2 orders, 2 symbols taken from another)
    ----- stderr -----
    "#);
}

#[test]
fn a_crash_after_another() {
    let folder = Folder::new();
    folder.first();
    folder.after_the_first("libcrash.so", "*(volatile int *)8 = 1;");
    snapshot!(folder, folder.coload(["libfirst.so", "libcrash.so", "--flags", "local"]), @r#"
    exit code: 1
    ----- stdout -----
    Python [VERSION] at: [PYTHON]
    2 packages, 2 of 2 orders; 60 s for each process

    Alone          local
      libfirst.so  ok
      libcrash.so  ok

    Together                    local
      libfirst.so, libcrash.so  crash
      libcrash.so, libfirst.so  ok

    SIGSEGV while libcrash.so was loaded
      with RTLD_LOCAL: libfirst.so, libcrash.so
      #[N] trouble (libcrash.so+[ADDRESS])
      #[N] start (libcrash.so+[ADDRESS])

    Verdict
      libfirst.so + libcrash.so: not safe with RTLD_LOCAL (crash in 1 of 2 orders)
    ----- stderr -----
    "#);
}

#[test]
fn a_call_of_nothing() {
    let folder = Folder::new();
    folder.first();
    folder.after_the_first(
        "libnull.so",
        "void (*volatile none)(void) = 0; none(); never = 1;",
    );
    snapshot!(folder, folder.coload(["libfirst.so", "libnull.so", "--flags", "global"]), @r#"
    exit code: 1
    ----- stdout -----
    Python [VERSION] at: [PYTHON]
    2 packages, 2 of 2 orders; 60 s for each process

    Alone          global
      libfirst.so  ok
      libnull.so   ok

    Together                   global
      libfirst.so, libnull.so  crash
      libnull.so, libfirst.so  ok

    SIGSEGV while libnull.so was loaded
      with RTLD_GLOBAL: libfirst.so, libnull.so
      #[N] 0x0, where no file is mapped
      #[N] trouble (libnull.so+[ADDRESS])

    Verdict
      libfirst.so + libnull.so: not safe with RTLD_GLOBAL (crash in 1 of 2 orders)
    ----- stderr -----
    "#);
}

#[test]
fn an_abort_after_another() {
    let folder = Folder::new();
    folder.first();
    folder.after_the_first(
        "libabort.so",
        "fprintf(stderr, \"giving \\033[31mup\\n\"); abort();",
    );
    snapshot!(folder, folder.coload(["libfirst.so", "libabort.so", "--flags", "local"]), @r#"
    exit code: 1
    ----- stdout -----
    Python [VERSION] at: [PYTHON]
    2 packages, 2 of 2 orders; 60 s for each process

    Alone          local
      libfirst.so  ok
      libabort.so  ok

    Together                    local
      libfirst.so, libabort.so  crash
      libabort.so, libfirst.so  ok

    SIGABRT while libabort.so was loaded
      with RTLD_LOCAL: libfirst.so, libabort.so
      stderr: giving �[31mup
      #[N] trouble (libabort.so+[ADDRESS])
      #[N] start (libabort.so+[ADDRESS])

    Verdict
      libfirst.so + libabort.so: not safe with RTLD_LOCAL (crash in 1 of 2 orders)
    ----- stderr -----
    "#);
}

#[test]
fn a_hang_after_another() {
    let folder = Folder::new();
    folder.first();
    folder.after_the_first("libhang.so", "while (!never) usleep(1000);");
    let arguments = [
        "libfirst.so",
        "libhang.so",
        "--flags",
        "local",
        "--time-limit",
        "5",
    ];
    snapshot!(folder, folder.coload(arguments), @r#"
    exit code: 1
    ----- stdout -----
    Python [VERSION] at: [PYTHON]
    2 packages, 2 of 2 orders; 5 s for each process

    Alone          local
      libfirst.so  ok
      libhang.so   ok

    Together                   local
      libfirst.so, libhang.so  hang
      libhang.so, libfirst.so  ok

    Still running after 5 s, while libhang.so was loaded
      with RTLD_LOCAL: libfirst.so, libhang.so
      #[N] trouble (libhang.so+[ADDRESS])
      #[N] start (libhang.so+[ADDRESS])

    Verdict
      libfirst.so + libhang.so: not safe with RTLD_LOCAL (hang in 1 of 2 orders)
    ----- stderr -----
    "#);
}

#[test]
fn an_exit_after_another() {
    let folder = Folder::new();
    folder.first();
    folder.after_the_first("libexit.so", "_exit(5);");
    snapshot!(folder, folder.coload(["libfirst.so", "libexit.so", "--flags", "local"]), @r#"
    exit code: 1
    ----- stdout -----
    Python [VERSION] at: [PYTHON]
    2 packages, 2 of 2 orders; 60 s for each process

    Alone          local
      libfirst.so  ok
      libexit.so   ok

    Together                   local
      libfirst.so, libexit.so  exit 5
      libexit.so, libfirst.so  ok

    Exit code 5 while libexit.so was loaded
      with RTLD_LOCAL: libfirst.so, libexit.so

    Verdict
      libfirst.so + libexit.so: not safe with RTLD_LOCAL (exit in 1 of 2 orders)
    ----- stderr -----
    "#);
}

#[test]
fn one_that_fails_alone() {
    let folder = Folder::new();
    folder.first();
    folder.library(
        "libneeds.so",
        "int nobody_has_it(void); int call(void) { return nobody_has_it(); }",
    );
    folder.library("libfine.so", "int fine(void) { return 1; }");
    let arguments = [
        "libneeds.so",
        "libfirst.so",
        "libfine.so",
        "--flags",
        "global",
    ];
    snapshot!(folder, folder.coload(arguments), @r#"
    exit code: 1
    ----- stdout -----
    Python [VERSION] at: [PYTHON]
    3 packages, 6 of 6 orders of all, both of each pair; 60 s for each process

    Alone          global
      libneeds.so  exception
      libfirst.so  ok
      libfine.so   ok

    Together                                global
      libneeds.so, libfirst.so              skipped
      libfirst.so, libneeds.so              skipped
      libneeds.so, libfine.so               skipped
      libfine.so, libneeds.so               skipped
      libfirst.so, libfine.so               ok
      libfine.so, libfirst.so               ok
      libneeds.so, libfirst.so, libfine.so  skipped
      libneeds.so, libfine.so, libfirst.so  skipped
      libfirst.so, libneeds.so, libfine.so  skipped
      libfirst.so, libfine.so, libneeds.so  skipped
      libfine.so, libneeds.so, libfirst.so  skipped
      libfine.so, libfirst.so, libneeds.so  skipped

    OSError while libneeds.so was loaded: [FOLDER]/libneeds.so: undefined symbol: nobody_has_it
      with RTLD_GLOBAL: libneeds.so alone

    Verdict
      libneeds.so + libfirst.so: unknown with RTLD_GLOBAL (libneeds.so fails alone)
      libneeds.so + libfine.so: unknown with RTLD_GLOBAL (libneeds.so fails alone)
      libfirst.so + libfine.so: safe with RTLD_GLOBAL
      libneeds.so + libfirst.so + libfine.so: unknown with RTLD_GLOBAL (libneeds.so fails alone)
    ----- stderr -----
    "#);
}

#[test]
fn as_json() {
    let folder = Folder::new();
    folder.library("libone.so", &STATE.replace("NUMBER", "1"));
    folder.library("libtwo.so", &STATE.replace("NUMBER", "2"));
    let found = folder.coload(["libone.so", "libtwo.so", "--json"]);
    let (_, json) = found.split_once("----- stdout -----\n").unwrap();
    let (json, _) = json.split_once("----- stderr -----").unwrap();
    let report: serde_json::Value = serde_json::from_str(json).unwrap();
    assert_eq!(report["schema"], 1);
    assert_eq!(report["orders_possible"], "2");
    assert_eq!(report["together"].as_array().unwrap().len(), 4);
    let one = folder.path().canonicalize().unwrap().join("libone.so");
    assert_eq!(report["packages"][0]["files"][0], one.to_str().unwrap());
    let bindings = report["bindings"].as_array().unwrap();
    assert_eq!(bindings.len(), 2);
    for (binding, (from, run)) in bindings.iter().zip([(0, 3), (1, 1)]) {
        assert_eq!(binding["kind"], "package");
        assert_eq!(binding["from"], from);
        assert_eq!(binding["to"], 1 - from);
        // `ask` is looked up by ctypes in its own library only.
        let symbols = binding["symbols"].as_array().unwrap();
        assert_eq!(symbols.len(), 1);
        assert_eq!(symbols[0]["name"], "shared_state");
        assert_eq!(symbols[0]["runs"], serde_json::json!([run]));
        assert_eq!(report["together"][run]["flags"], "global");
        assert_eq!(report["together"][run]["outcome"]["result"], "ok");
        assert_eq!(report["together"][run]["seen"], "all");
    }
    let safety: Vec<_> = report["verdicts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|verdict| (&verdict["flags"], &verdict["safety"]))
        .map(|(flags, safety)| (flags.as_str().unwrap(), safety.as_str().unwrap()))
        .collect();
    assert_eq!(safety, [("local", "safe"), ("global", "entangled")]);
}

#[test]
fn an_interrupt_ends_what_was_started() {
    let folder = Folder::new();
    folder.first();
    folder.library("libwait.so", "#include <unistd.h>\n__attribute__((constructor)) static void start(void) { for (;;) pause(); }");
    let temporary = folder.path().join("temporary");
    fs_err::create_dir(&temporary).unwrap();
    let mut program = Command::new(env!("CARGO_BIN_EXE_trifold-pack"))
        .args(["coload", "./libfirst.so", "./libwait.so"])
        .current_dir(folder.path())
        .env("TMPDIR", &temporary)
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let files = |name: &str| {
        let pattern = |entry: Result<fs_err::DirEntry, _>| entry.unwrap().path();
        let inside = fs_err::read_dir(&temporary).unwrap().map(pattern);
        inside
            .flat_map(|folder| fs_err::read_dir(folder).unwrap().map(pattern))
            .filter(|path| path.join(name).exists())
            .count()
    };
    // The first line of the child's steps: it is loading.
    while files("steps") == 0 {
        assert!(program.try_wait().unwrap().is_none());
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let process = rustix::process::Pid::from_child(&program);
    rustix::process::kill_process(process, rustix::process::Signal::INT).unwrap();
    assert_eq!(program.wait().unwrap().code(), Some(2));
    assert_eq!(fs_err::read_dir(&temporary).unwrap().count(), 0);
}
