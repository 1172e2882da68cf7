// What every sealed engine shares: the guard, and a watch over the process.
//
// The seal links with `ld --wrap` for each name below, so that the engine's calls come here:
// what it would print goes to the host's log, and it cannot start another process.
#include "guard.hpp"

#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

namespace trifold {

namespace {

log_fn host_log = nullptr;
thread_local int guarded_depth = 0;

std::string formatted(const char * format, va_list arguments) {
    va_list again;
    va_copy(again, arguments);
    const int length = std::vsnprintf(nullptr, 0, format, again);
    va_end(again);
    if (length <= 0) {
        return {};
    }
    std::vector<char> buffer(static_cast<size_t>(length) + 1);
    std::vsnprintf(buffer.data(), buffer.size(), format, arguments);
    return std::string(buffer.data(), static_cast<size_t>(length));
}

bool is_terminal_stream(FILE * stream) {
    return stream == stdout || stream == stderr;
}

// Engines print diagnostics to stderr and progress to stdout.
void log_stream(FILE * stream, const char * text, size_t length) {
    log(stream == stderr ? log_level::warn : log_level::info, text, length);
}

} // namespace

void start(log_fn log) {
    host_log = log;
}

void log(log_level level, const char * text, size_t length) {
    if (host_log != nullptr && text != nullptr && length > 0) {
        host_log(static_cast<int32_t>(level), text, length);
    }
}

void log(log_level level, const char * text) {
    log(level, text, text == nullptr ? 0 : std::strlen(text));
}

guarded_scope::guarded_scope() {
    ++guarded_depth;
}

guarded_scope::~guarded_scope() {
    --guarded_depth;
}

bool is_inside() {
    return guarded_depth > 0;
}

void on_ggml_abort(const char * message) {
    if (guarded_depth > 0) {
        throw failed_assertion{message};
    }
    log(log_level::error, message);
}

void describe_current_exception(fault * out) noexcept {
    auto set = [out](fault_kind kind, const char * message) {
        out->kind = kind;
        std::strncpy(out->message, message, sizeof(out->message) - 1);
        out->message[sizeof(out->message) - 1] = '\0';
    };
    try {
        throw;
    } catch (const failed_assertion & failed) {
        set(fault_kind::assertion, failed.message.c_str());
    } catch (const std::bad_alloc &) {
        set(fault_kind::out_of_memory, "out of memory");
    } catch (const std::exception & error) {
        set(fault_kind::exception, error.what());
    } catch (...) {
        set(fault_kind::exception, "an exception of unknown type");
    }
}

} // namespace trifold

// For the check that no engine has changed it.
extern "C" __attribute__((visibility("default"))) std::terminate_handler TRIFOLD_NAME(terminate_handler)(void) {
    return std::get_terminate();
}

using trifold::formatted;
using trifold::is_terminal_stream;
using trifold::log_stream;

extern "C" {

size_t __real_fwrite(const void *, size_t, size_t, FILE *);
int __real_fputc(int, FILE *);
int __real_fflush(FILE *);

size_t __wrap_fwrite(const void * data, size_t size, size_t count, FILE * stream) {
    if (!is_terminal_stream(stream)) {
        return __real_fwrite(data, size, count, stream);
    }
    log_stream(stream, static_cast<const char *>(data), size * count);
    return count;
}

int __wrap_vfprintf(FILE * stream, const char * format, va_list arguments) {
    const std::string text = formatted(format, arguments);
    __wrap_fwrite(text.data(), 1, text.size(), stream);
    return static_cast<int>(text.size());
}

int __wrap_fprintf(FILE * stream, const char * format, ...) {
    va_list arguments;
    va_start(arguments, format);
    const int written = __wrap_vfprintf(stream, format, arguments);
    va_end(arguments);
    return written;
}

int __wrap_vprintf(const char * format, va_list arguments) {
    return __wrap_vfprintf(stdout, format, arguments);
}

int __wrap_printf(const char * format, ...) {
    va_list arguments;
    va_start(arguments, format);
    const int written = __wrap_vfprintf(stdout, format, arguments);
    va_end(arguments);
    return written;
}

int __wrap_fputs(const char * text, FILE * stream) {
    return static_cast<int>(__wrap_fwrite(text, 1, std::strlen(text), stream));
}

int __wrap_puts(const char * text) {
    const std::string line = std::string(text) + "\n";
    return static_cast<int>(__wrap_fwrite(line.data(), 1, line.size(), stdout));
}

int __wrap_fputc(int character, FILE * stream) {
    if (!is_terminal_stream(stream)) {
        return __real_fputc(character, stream);
    }
    const char text = static_cast<char>(character);
    log_stream(stream, &text, 1);
    return character;
}

int __wrap_putchar(int character) {
    return __wrap_fputc(character, stdout);
}

int __wrap_fflush(FILE * stream) {
    return is_terminal_stream(stream) ? 0 : __real_fflush(stream);
}

void __wrap_perror(const char * text) {
    __wrap_fprintf(stderr, "%s: %s\n", text, std::strerror(errno));
}

// rand() belongs to the process. An engine that wants randomness of its own has its own generators.
void __wrap_srand(unsigned) {}

// Before it aborts, ggml forks, runs a debugger on its parent and prints a backtrace. -1 is "could
// not fork", which it takes quietly; what it would call after that fails the same way.
int __wrap_fork(void) {
    return -1;
}

int __wrap_pipe(int *) {
    return -1;
}

int __wrap_waitpid(int, int *, int) {
    return -1;
}

int __wrap_prctl(int, ...) {
    return -1;
}

int __wrap_execlp(const char *, const char *, ...) {
    return -1;
}

int __wrap_backtrace(void **, int) {
    return 0;
}

void __wrap_backtrace_symbols_fd(void * const *, int, int) {}

__attribute__((noreturn)) void __wrap__Exit(int) {
    std::abort();
}

} // extern "C"
