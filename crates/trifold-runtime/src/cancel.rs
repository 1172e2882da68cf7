use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

/// Stops a running call from another thread. Clones share one flag.
///
/// ```
/// let token = trifold_runtime::CancelToken::new();
/// let elsewhere = token.clone();
/// std::thread::spawn(move || elsewhere.cancel()).join().unwrap();
/// assert!(token.is_cancelled());
/// ```
#[derive(Clone, Debug, Default)]
pub struct CancelToken(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    cancelled: AtomicBool,
    parent: Option<CancelToken>,
}

impl CancelToken {
    /// A token that is not cancelled.
    pub fn new() -> Self {
        Self::default()
    }

    /// A token that is cancelled with this one, and can be cancelled alone.
    ///
    /// ```
    /// let all = trifold_runtime::CancelToken::new();
    /// let one = all.child();
    /// one.cancel();
    /// assert!(one.is_cancelled() && !all.is_cancelled());
    /// all.cancel();
    /// assert!(all.child().is_cancelled());
    /// ```
    #[must_use]
    pub fn child(&self) -> Self {
        Self(Arc::new(Inner {
            cancelled: AtomicBool::new(false),
            parent: Some(self.clone()),
        }))
    }

    /// Asks every call that holds a clone, or a [child](Self::child), to stop. It cannot be taken back.
    pub fn cancel(&self) {
        self.0.cancelled.store(true, Ordering::Relaxed);
    }

    /// Whether [`CancelToken::cancel`] was called, of this token or of one that it is a child of.
    pub fn is_cancelled(&self) -> bool {
        self.0.cancelled.load(Ordering::Relaxed)
            || self.0.parent.as_ref().is_some_and(Self::is_cancelled)
    }
}
