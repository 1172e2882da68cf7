//! What every `-sys` crate has besides its bindings.

/// Defines the engine of a `-sys` crate: `ENGINE`, `SEALED_SYMBOLS`, `GGML_MODE`, `terminate_handler()`.
///
/// The arguments are the upstream project's name, and the three functions that each shim exports. `start`
/// is the shim's function itself or, if it takes more than the log, a call of it.
///
/// ```ignore
/// trifold_runtime::sealed_engine! {
///     "whisper.cpp",
///     cpu_level: trifold_whisper_cpu_level,
///     start: trifold_whisper_start,
///     terminate_handler: trifold_whisper_terminate_handler,
/// }
/// ```
///
/// `host: name` names the shim's function for a backend loader, which is then `HOST`.
/// `open: name` at the end names the function that a shared library of the engine exports besides its API;
/// the crate then has the feature `c-api`, off by default.
#[macro_export]
macro_rules! sealed_engine {
    (
        $title:literal,
        cpu_level: $cpu_level:ident,
        start: $start:ident,
        terminate_handler: $terminate_handler:ident
        $(, host: $host:ident)?
        $(, open: $open:ident)? $(,)?
    ) => {
        $crate::sealed_engine! {
            $title,
            cpu_level: $cpu_level,
            start: |log| {
                unsafe extern "C" {
                    fn $start(log: $crate::guard::LogFn);
                }
                // SAFETY: a function of the sealed object, with this signature; it keeps the pointer,
                // which is to a function and so lives forever.
                unsafe { $start(log) }
            },
            terminate_handler: $terminate_handler
            $(, host: $host)?
            $(, open: $open)?
        }
    };
    (
        $title:literal,
        cpu_level: $cpu_level:ident,
        start: |$log:ident| $start:block,
        terminate_handler: $terminate_handler:ident
        $(, host: $host:ident)?
        $(, open: $open:ident)? $(,)?
    ) => {
        #[doc = concat!($title, ": entered only after a look at the CPU.")]
        pub static ENGINE: $crate::Engine = $crate::Engine::new(
            $title,
            env!("TRIFOLD_CPU_LEVELS"),
            cpu_level,
            start,
        );

        /// How many symbols the sealed object defines: the API and its guarded forms. The build has read
        /// the object back and found these and no other.
        pub const SEALED_SYMBOLS: &str = env!("TRIFOLD_SEALED_SYMBOLS");

        /// `aligned` or `pinned`: which ggml the engine was compiled against.
        pub const GGML_MODE: &str = env!("TRIFOLD_MODE");

        $(
            /// The engine as a backend loader sees it.
            // SAFETY: the function returns a constant of the sealed object, with this layout.
            pub static HOST: $crate::Host = unsafe {
                $crate::Host::new(&ENGINE, include_str!(env!("TRIFOLD_FINGERPRINT")), || {
                    unsafe extern "C" {
                        fn $host() -> *const $crate::host::Table;
                    }
                    $host()
                })
            };
        )?

        fn cpu_level(level: i32) -> u32 {
            unsafe extern "C" {
                fn $cpu_level(level: i32) -> u32;
            }
            // SAFETY: a function of the sealed object that reads a constant and writes one variable, before
            // any other call.
            unsafe { $cpu_level(level) }
        }

        fn start() {
            let $log: $crate::guard::LogFn = on_log;
            $start
        }

        /// The address of the process's C++ terminate handler: ggml would install its own, the seal keeps
        /// it from doing so. For `trifold_runtime::process::Snapshot`.
        pub fn terminate_handler() -> usize {
            unsafe extern "C" {
                fn $terminate_handler() -> usize;
            }
            // SAFETY: a function of the sealed object that reads a global and returns a pointer.
            unsafe { $terminate_handler() }
        }

        $(
            /// For C: looks at the CPU, and connects the log. 0, or -1 if the CPU cannot run the engine.
            #[cfg(feature = "c-api")]
            #[unsafe(no_mangle)]
            pub extern "C" fn $open(log: Option<$crate::guard::LogFn>) -> i32 {
                $crate::c_api::open(&ENGINE, log)
            }
        )?

        unsafe extern "C" fn on_log(level: i32, text: *const std::ffi::c_char, length: usize) {
            // SAFETY: the shim passes a text and its length.
            unsafe { $crate::guard::receive_log($title, level, text, length) }
        }
    };
}
