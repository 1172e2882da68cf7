// The guarded API of stable-diffusion.cpp, the way to its packed tokenizer vocabularies, and what
// the engine has no API for: to stop a call, to choose its threads, and to log from two threads.
#include "ggml_log.hpp"
#include "guard.hpp"

#include "ggml-backend.h"
#include "ggml.h"
#include "stable-diffusion.h"

#include <cstdarg>
#include <cstdio>
#include <memory>
#include <mutex>
#include <ostream>
#include <stdexcept>
#include <thread>

namespace {

void on_log(sd_log_level_t level, const char * text, void *) {
    switch (level) {
        case SD_LOG_ERROR: return trifold::log(trifold::log_level::error, text);
        case SD_LOG_WARN:  return trifold::log(trifold::log_level::warn, text);
        case SD_LOG_INFO:  return trifold::log(trifold::log_level::info, text);
        default:           return trifold::log(trifold::log_level::debug, text);
    }
}

// Unpacks one vocabulary: returns its size, and writes it to `out` unless that is null.
using unpack_fn = size_t (*)(const char * name, unsigned char * out, size_t capacity);
unpack_fn unpack = nullptr;

// What the host asks and tells the call that runs on this thread.
// Mirrored by `Hooks` in crates/trifold-diffusion-sys/src/watch.rs.
struct hooks {
    void (*stepped)(int step, int steps, float seconds);
    void (*loaded)(int done, int total);
    bool (*cancelled)(void *);
    int (*threads)(); // 0: as the context was made
};
const hooks nobody = {
    [](int, int, float) {},
    [](int, int) {},
    [](void *) { return false; },
    [] { return 0; },
};
const hooks * host = &nobody;

// Without a callback the engine draws a bar on stdout.
void on_progress(int step, int steps, float seconds, void *) {
    host->stepped(step, steps, seconds);
}

// What threads of the engine failed at. The one that started them has a share in it.
class thread_fault {
  public:
    void set(const char * message) {
        std::lock_guard<std::mutex> lock(mutex);
        if (first.empty()) {
            first = message;
        }
    }

    std::string take() {
        std::lock_guard<std::mutex> lock(mutex);
        return std::move(first);
    }

  private:
    std::mutex mutex;
    std::string first;
};

thread_local std::shared_ptr<thread_fault> own_fault;

// A thread of the engine, such that an exception or a failed assertion in it does not end the
// process. The engine has threads for reading weights only: each takes the next tensor that nobody
// has taken yet, and the engine waits until all are taken. So the thread goes on with the next one.
struct guarded_thread final : std::thread::_State {
    std::unique_ptr<std::thread::_State> work;
    std::shared_ptr<thread_fault> fault;

    void _M_run() override {
        for (bool done = false; !done;) {
            try {
                trifold::guarded_scope scope;
                work->_M_run();
                done = true;
            } catch (...) {
                trifold::fault description;
                trifold::describe_current_exception(&description);
                fault->set(description.message);
            }
        }
    }
};

} // namespace

// Called by the functions of vocab.h, which trifold-build generates.
std::string trifold_load_vocabulary(const char * name) {
    const size_t size = unpack == nullptr ? 0 : unpack(name, nullptr, 0);
    std::string text(size, '\0');
    if (size == 0 || unpack(name, reinterpret_cast<unsigned char *>(&text[0]), size) != size) {
        throw std::runtime_error(std::string("tokenizer vocabulary could not be unpacked: ") + name);
    }
    return text;
}

// The seal sends the engine's uses of what follows here (`wrap` in engines.toml).

// The tokenizer of T5 has a line left from debugging. A stream without a buffer prints nothing.
extern std::ostream no_output __asm__("__wrap__ZSt4cout");
std::ostream no_output(nullptr);

extern "C" {

// Every computation of the engine. Its context keeps the number of threads that it was made with,
// and it knows no way to stop; ggml's CPU backend knows both. A computation that was stopped is one
// that failed, to the engine: it cleans up, and says so to its caller.
ggml_status __real_ggml_backend_graph_compute(ggml_backend_t backend, ggml_cgraph * graph);

ggml_status __wrap_ggml_backend_graph_compute(ggml_backend_t backend, ggml_cgraph * graph) {
    ggml_backend_dev_t device = ggml_backend_get_device(backend);
    if (device != nullptr && ggml_backend_dev_type(device) == GGML_BACKEND_DEVICE_TYPE_CPU) {
        ggml_backend_reg_t reg = ggml_backend_dev_backend_reg(device);
        auto set_threads = reinterpret_cast<ggml_backend_set_n_threads_t>(
            ggml_backend_reg_get_proc_address(reg, "ggml_backend_set_n_threads"));
        auto set_abort = reinterpret_cast<ggml_backend_set_abort_callback_t>(
            ggml_backend_reg_get_proc_address(reg, "ggml_backend_set_abort_callback"));
        const int threads = host->threads();
        if (set_threads != nullptr && threads > 0) {
            set_threads(backend, threads);
        }
        if (set_abort != nullptr) {
            // Asked after every node of the graph, on the thread that called.
            set_abort(backend, host->cancelled, nullptr);
        }
    }
    // Other backends can only be stopped between computations.
    return host->cancelled(nullptr) ? GGML_STATUS_ABORTED : __real_ggml_backend_graph_compute(backend, graph);
}

// void log_printf(sd_log_level_t, const char * file, int line, const char * format, ...): the
// engine's own formats into one static buffer, without a lock.
void __wrap__Z10log_printf14sd_log_level_tPKciS1_z(
    sd_log_level_t level, const char * file, int line, const char * format, ...) {
    std::string text(file == nullptr ? "" : file);
    text.erase(0, text.find_last_of('/') + 1); // npos + 1 is 0
    text += ":" + std::to_string(line) + " - ";

    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    const int length = std::vsnprintf(nullptr, 0, format, arguments);
    va_end(arguments);
    if (length > 0) {
        const size_t start = text.size();
        text.resize(start + static_cast<size_t>(length) + 1);
        std::vsnprintf(&text[start], static_cast<size_t>(length) + 1, format, again);
        text.pop_back(); // the terminator
    }
    va_end(again);
    if (text.back() != '\n') {
        text += '\n';
    }
    on_log(level, text.c_str(), nullptr);
}

// void pretty_bytes_progress(int, int, uint64_t, float): the engine's own calls the same callback
// for weights that it reads as for steps that it samples. At the end all threads that read weights
// have been joined: now it can be said what they failed at.
void __wrap__Z21pretty_bytes_progressiimf(int done, int total, uint64_t, float) {
    host->loaded(done, total);
    std::string fault = done == total && own_fault != nullptr ? own_fault->take() : std::string();
    if (!fault.empty()) {
        throw trifold::failed_assertion{std::move(fault)};
    }
}

// void std::thread::_M_start_thread(std::thread::_State_ptr, void (*)())
void __real__ZNSt6thread15_M_start_threadESt10unique_ptrINS_6_StateESt14default_deleteIS1_EEPFvvE(
    std::thread *, std::unique_ptr<std::thread::_State>, void (*)());

void __wrap__ZNSt6thread15_M_start_threadESt10unique_ptrINS_6_StateESt14default_deleteIS1_EEPFvvE(
    std::thread * thread, std::unique_ptr<std::thread::_State> work, void (*depend)()) {
    if (own_fault == nullptr) {
        own_fault = std::make_shared<thread_fault>();
    }
    auto guarded = std::make_unique<guarded_thread>();
    guarded->work = std::move(work);
    guarded->fault = own_fault;
    __real__ZNSt6thread15_M_start_threadESt10unique_ptrINS_6_StateESt14default_deleteIS1_EEPFvvE(
        thread, std::move(guarded), depend);
}

} // extern "C"

extern "C" __attribute__((visibility("default"))) void TRIFOLD_NAME(start)(
    trifold::log_fn log, unpack_fn unpack_vocabulary, const hooks * host_hooks) {
    trifold::start(log);
    unpack = unpack_vocabulary;
    host = host_hooks;
    ggml_set_abort_callback(trifold::on_ggml_abort);
    ggml_log_set(trifold::on_ggml_log, nullptr);
    sd_set_log_callback(on_log, nullptr);
    sd_set_progress_callback(on_progress, nullptr);
}

#include "guarded.inc"
