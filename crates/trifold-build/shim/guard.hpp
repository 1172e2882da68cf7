// Guarded calls: every function of an engine's API behind a try/catch, so that a C++ exception or
// a failed GGML_ASSERT comes back to Rust as an error instead of ending the process.
//
// One copy of this is compiled into every sealed engine; nothing here is shared between engines.
#pragma once

#include <cstddef>
#include <cstdint>
#include <exception>
#include <new>
#include <string>
#include <type_traits>

#define TRIFOLD_JOIN2(a, b, c) a##b##_##c
#define TRIFOLD_JOIN(a, b, c) TRIFOLD_JOIN2(a, b, c)
// The exported name of one of our own functions: TRIFOLD_NAME(start) is trifold_llama_start.
#define TRIFOLD_NAME(name) TRIFOLD_JOIN(trifold_, TRIFOLD_ENGINE, name)

namespace trifold {

// Mirrored by `Fault` in crates/trifold-runtime/src/guard.rs.
enum class fault_kind : int32_t { none = 0, assertion = 1, exception = 2, out_of_memory = 3 };

struct fault {
    fault_kind kind;
    char message[2044];
};

// Levels as in tracing, mirrored by `log.rs`.
enum class log_level : int32_t { debug = 1, info = 2, warn = 3, error = 4, more = 5 };

using log_fn = void (*)(int32_t level, const char * text, size_t length);

// Hands a text to the host's log. `level` more: the last line goes on.
void log(log_level level, const char * text);
void log(log_level level, const char * text, size_t length);

// Called once, before anything else.
void start(log_fn log);

// Whether this thread is inside a guarded call.
bool is_inside();

// Throws when this thread is inside a guarded call; logs, and lets ggml abort, when it is not.
void on_ggml_abort(const char * message);

// Thrown by on_ggml_abort. Not a std::exception: engines catch those, and go on with broken state.
struct failed_assertion {
    std::string message;
};

class guarded_scope {
  public:
    guarded_scope();
    ~guarded_scope();
    guarded_scope(const guarded_scope &) = delete;
    guarded_scope & operator=(const guarded_scope &) = delete;
};

// Describes the exception in flight.
void describe_current_exception(fault * out) noexcept;

template <auto function> struct guarded;

template <typename R, typename... A, R (*function)(A...)> struct guarded<function> {
    using out_type = std::conditional_t<std::is_void_v<R>, unsigned char, R>;

    static bool call(fault * out_fault, out_type * out, A... arguments) noexcept {
        try {
            guarded_scope scope;
            if constexpr (std::is_void_v<R>) {
                (void) out;
                function(arguments...);
            } else {
                *out = function(arguments...);
            }
            return true;
        } catch (...) {
            describe_current_exception(out_fault);
            return false;
        }
    }
};

} // namespace trifold

// Exports a pointer to the guarded form of an API function, with the signature
//   bool (fault *, result *, arguments...)
#define TRIFOLD_GUARD(function)                                                                    \
    extern "C" __attribute__((visibility("default"), used)) constexpr auto TRIFOLD_JOIN(           \
        trifold_, TRIFOLD_ENGINE, guarded_##function) = &trifold::guarded<&::function>::call;
