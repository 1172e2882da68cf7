//! How a call is stopped in the middle of a computation.
//!
//! The engine asks its own abort callback between computations only, and in some functions not at all.
//! The shim asks here instead, after every node of a graph and every share of a spectrogram: always on the
//! thread that called the engine, so a thread-local says which token counts.

use std::{cell::RefCell, ffi::c_void};

use trifold_runtime::{CancelToken, log};

thread_local! {
    static CURRENT: RefCell<Option<CancelToken>> = const { RefCell::new(None) };
}

/// Runs `call`. Once `token` is cancelled, the engine's computations in it fail: functions return what
/// they do when they fail, and what they worked on can be used again. Without a token nothing stops them.
pub fn cancellable<R>(token: Option<&CancelToken>, call: impl FnOnce() -> R) -> R {
    struct Reset(Option<CancelToken>);

    impl Drop for Reset {
        fn drop(&mut self) {
            CURRENT.replace(self.0.take());
        }
    }

    let _reset = Reset(CURRENT.replace(token.cloned()));
    call()
}

/// Whether the call on this thread should stop. Asked very often.
pub(crate) extern "C" fn is_cancelled(_: *mut c_void) -> bool {
    let cancelled =
        CURRENT.with_borrow(|token| token.as_ref().is_some_and(CancelToken::is_cancelled));
    if cancelled {
        log::expect_failure();
    }
    cancelled
}

#[cfg(test)]
mod tests {
    use std::ptr::null_mut;

    use trifold_runtime::CancelToken;

    use super::{cancellable, is_cancelled};

    #[test]
    fn the_innermost_call_counts_on_its_own_thread() {
        let (outer, inner) = (CancelToken::new(), CancelToken::new());
        inner.cancel();
        cancellable(Some(&outer), || {
            assert!(!is_cancelled(null_mut()));
            cancellable(Some(&inner), || {
                assert!(is_cancelled(null_mut()));
                let elsewhere = std::thread::spawn(|| is_cancelled(null_mut()));
                assert!(!elsewhere.join().unwrap());
                cancellable(None, || assert!(!is_cancelled(null_mut())));
            });
            outer.cancel();
            assert!(is_cancelled(null_mut()));
        });
        assert!(!is_cancelled(null_mut()));
    }

    #[test]
    fn a_panic_ends_the_call() {
        let token = CancelToken::new();
        token.cancel();
        std::panic::catch_unwind(|| cancellable(Some(&token), || panic!("inside"))).unwrap_err();
        assert!(!is_cancelled(null_mut()));
    }
}
