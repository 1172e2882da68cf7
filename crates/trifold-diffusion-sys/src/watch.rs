//! What runs around one call of the engine: progress out, cancellation and threads in.
//!
//! The engine has one progress callback per process and no way to stop. Its callbacks come on the
//! thread that called it, so a thread-local says whose they are, and two models can run at once.

use std::{
    any::Any,
    cell::Cell,
    ffi::c_void,
    panic::{self, AssertUnwindSafe},
};

/// Sees to one call of the engine, on the thread of the call.
pub trait Watch {
    /// `step` of `steps` of the sampler is done, and took `seconds`. Step 0 is the start.
    fn stepped(&self, step: i32, steps: i32, seconds: f32);

    /// `done` of `total` tensors were read; the engine reads weights when it first needs them.
    fn loaded(&self, done: i32, total: i32);

    /// Whether to stop. It is asked very often.
    fn is_cancelled(&self) -> bool;

    /// How many threads to compute with; `None`: as many as the context was made with.
    fn threads(&self) -> Option<i32>;
}

/// Runs `call`, whose engine calls `watch` sees to.
///
/// A call that [`Watch::is_cancelled`] stops fails as the engine's own calls do: the engine returns
/// nothing, or fails the check that something came out. A panic in `watch` stops the call and goes
/// on when it has returned.
pub fn watch<R>(watch: &dyn Watch, call: impl FnOnce() -> R) -> R {
    let scope = Scope {
        watch,
        panic: Cell::new(None),
    };
    let result = {
        let _reset = Reset(CURRENT.replace(Some((&raw const scope).cast())));
        call()
    };
    if let Some(payload) = scope.panic.take() {
        panic::resume_unwind(payload);
    }
    result
}

struct Scope<'a> {
    watch: &'a dyn Watch,
    panic: Cell<Option<Box<dyn Any + Send>>>,
}

thread_local! {
    /// The innermost scope of this thread; valid as long as it is here.
    static CURRENT: Cell<Option<*const Scope<'static>>> = const { Cell::new(None) };
}

struct Reset(Option<*const Scope<'static>>);

impl Drop for Reset {
    fn drop(&mut self) {
        CURRENT.set(self.0);
    }
}

/// Mirrors `hooks` of the shim.
#[repr(C)]
pub(crate) struct Hooks {
    stepped: extern "C" fn(i32, i32, f32),
    loaded: extern "C" fn(i32, i32),
    cancelled: extern "C" fn(*mut c_void) -> bool,
    threads: extern "C" fn() -> i32,
}

pub(crate) static HOOKS: Hooks = Hooks {
    stepped: on_stepped,
    loaded: on_loaded,
    cancelled: on_cancelled,
    threads: on_threads,
};

extern "C" fn on_stepped(step: i32, steps: i32, seconds: f32) {
    ask((), (), |watch| watch.stepped(step, steps, seconds));
}

extern "C" fn on_loaded(done: i32, total: i32) {
    ask((), (), |watch| watch.loaded(done, total));
}

extern "C" fn on_cancelled(_: *mut c_void) -> bool {
    ask(false, true, |watch| watch.is_cancelled())
}

extern "C" fn on_threads() -> i32 {
    ask(None, None, |watch| watch.threads()).unwrap_or(0)
}

/// Asks the watch of this thread, if there is one. Panics must not unwind through the engine: they
/// stay here until the call has returned.
fn ask<R>(nobody: R, panicked: R, question: impl FnOnce(&dyn Watch) -> R) -> R {
    let Some(scope) = CURRENT.get() else {
        return nobody;
    };
    // SAFETY: `watch` put the pointer there and takes it away before its scope ends, and this runs
    // on the same thread in between.
    let scope = unsafe { &*scope };
    if let Some(payload) = scope.panic.take() {
        scope.panic.set(Some(payload));
        return panicked;
    }
    panic::catch_unwind(AssertUnwindSafe(|| question(scope.watch))).unwrap_or_else(|payload| {
        scope.panic.set(Some(payload));
        panicked
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Counting {
        steps: Cell<i32>,
        panics_at: i32,
    }

    impl Watch for Counting {
        fn stepped(&self, step: i32, _: i32, _: f32) {
            assert!(step != self.panics_at, "step {step}");
            self.steps.set(self.steps.get() + 1);
        }
        fn loaded(&self, _: i32, _: i32) {}
        fn is_cancelled(&self) -> bool {
            self.steps.get() > 2
        }
        fn threads(&self) -> Option<i32> {
            Some(3)
        }
    }

    fn run(steps: i32) -> i32 {
        (1..=steps)
            .take_while(|step| {
                on_stepped(*step, steps, 0.0);
                !on_cancelled(std::ptr::null_mut())
            })
            .count()
            .try_into()
            .unwrap()
    }

    #[test]
    fn outside_of_a_scope_nothing_happens() {
        assert_eq!(run(5), 5);
        assert_eq!(on_threads(), 0);
    }

    #[test]
    fn scopes_nest_and_end() {
        let outer = Counting {
            steps: Cell::new(0),
            panics_at: -1,
        };
        let inner = Counting {
            steps: Cell::new(0),
            panics_at: -1,
        };
        watch(&outer, || {
            assert_eq!(on_threads(), 3);
            assert_eq!(watch(&inner, || run(5)), 2);
            on_stepped(1, 5, 0.0);
        });
        assert_eq!((outer.steps.get(), inner.steps.get()), (1, 3));
        assert_eq!(run(5), 5);
    }

    #[test]
    fn a_panic_stops_the_call_and_goes_on_after_it() {
        let counting = Counting {
            steps: Cell::new(0),
            panics_at: 2,
        };
        let mut done = 0;
        let result = panic::catch_unwind(AssertUnwindSafe(|| watch(&counting, || done = run(5))));
        assert_eq!(
            result.unwrap_err().downcast_ref::<String>().unwrap(),
            "step 2"
        );
        assert_eq!((done, counting.steps.get()), (1, 1));
        assert_eq!(run(5), 5);
    }
}
