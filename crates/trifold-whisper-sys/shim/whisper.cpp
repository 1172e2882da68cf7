// The guarded API of whisper.cpp, and what the engine has no API for: to stop a call in the middle of a
// computation.
#include "ggml_log.hpp"
#include "guard.hpp"

#include "ggml-backend.h"
#include "ggml.h"
#include "whisper.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

namespace {

// Whether the call that runs on this thread should stop: see crates/trifold-whisper-sys/src/cancel.rs.
using cancelled_fn = bool (*)(void *);
cancelled_fn cancelled = [](void *) { return false; };

// The work of a spectrogram in many small shares.
//
// The engine gives every n-th frame to one of n threads, does the first share itself, and has no way to
// stop. Here it is told of many more threads than there are. They are noted instead of started, and when
// the engine waits for the first of them, all are worked off on the threads that there are, until the
// call is cancelled. As none of them runs while the engine does, it may be left at that point.
class shares {
  public:
    // Of up to 5 s of audio, some 10 ms of work.
    static int count(int n_samples, int n_threads) {
        return std::max(n_threads, n_samples / (5 * WHISPER_SAMPLE_RATE));
    }

    explicit shares(int n_threads) : n_threads(n_threads) {}

    void note(std::unique_ptr<std::thread::_State> share) {
        noted.push_back(std::move(share));
    }

    // Throws `stopped`, or what a share has thrown.
    void work_off() {
        std::vector<std::thread> helpers;
        const size_t most = std::min(noted.size(), static_cast<size_t>(std::max(n_threads, 1)));
        try {
            helpers.reserve(most);
            while (helpers.size() + 1 < most) {
                helpers.emplace_back([this] { work([] { return false; }); });
            }
        } catch (...) {
            // No room for another thread: those that there are do it all.
        }
        work([] { return cancelled(nullptr); }); // Only this thread knows what it is called for.
        for (std::thread & helper : helpers) {
            helper.join();
        }
        noted.clear();
        if (fault) {
            std::rethrow_exception(fault);
        }
        if (stop) {
            throw stopped{};
        }
    }

    struct stopped {};

  private:
    template <typename F> void work(F should_stop) noexcept {
        while (!stop) {
            const size_t index = next++;
            if (index >= noted.size()) {
                return;
            }
            if (should_stop()) {
                stop = true;
                return;
            }
            try {
                noted[index]->_M_run();
            } catch (...) {
                std::lock_guard<std::mutex> lock(mutex);
                fault = std::current_exception();
                stop = true;
            }
        }
    }

    const int n_threads;
    std::vector<std::unique_ptr<std::thread::_State>> noted;
    std::atomic<size_t> next{0};
    std::atomic<bool> stop{false};
    std::mutex mutex;
    std::exception_ptr fault;
};

// Those of the spectrogram that this thread is at.
thread_local shares * current_shares = nullptr;

// For as long as it lives.
class current_shares_scope {
  public:
    explicit current_shares_scope(shares * now) : before(std::exchange(current_shares, now)) {}
    ~current_shares_scope() { current_shares = before; }
    current_shares_scope(const current_shares_scope &) = delete;
    current_shares_scope & operator=(const current_shares_scope &) = delete;

  private:
    shares * const before;
};

} // namespace

// The seal sends the uses of what follows here (`wrap` in engines.toml).
extern "C" {

// Every computation of the encoder and decoder. To the engine one that was stopped is one that failed:
// it resets the scheduler, and says so to its caller.
ggml_status __real_ggml_backend_sched_graph_compute(ggml_backend_sched_t sched, ggml_cgraph * graph);

ggml_status __wrap_ggml_backend_sched_graph_compute(ggml_backend_sched_t sched, ggml_cgraph * graph) {
    for (int i = 0; i < ggml_backend_sched_get_n_backends(sched); i++) {
        ggml_backend_t backend = ggml_backend_sched_get_backend(sched, i);
        ggml_backend_dev_t device = ggml_backend_get_device(backend);
        if (device != nullptr && ggml_backend_dev_type(device) == GGML_BACKEND_DEVICE_TYPE_CPU) {
            auto set_abort = reinterpret_cast<ggml_backend_set_abort_callback_t>(ggml_backend_reg_get_proc_address(
                ggml_backend_dev_backend_reg(device), "ggml_backend_set_abort_callback"));
            if (set_abort != nullptr) {
                // Asked after every node of the graph, on the thread that called.
                set_abort(backend, cancelled, nullptr);
            }
        }
    }
    // Other backends can only be stopped between computations.
    return cancelled(nullptr) ? GGML_STATUS_ABORTED : __real_ggml_backend_sched_graph_compute(sched, graph);
}

// Only calls from outside of the engine come here: those inside its one source file are bound already.
int __real_whisper_pcm_to_mel_with_state(
    whisper_context * ctx, whisper_state * state, const float * samples, int n_samples, int n_threads);

int __wrap_whisper_pcm_to_mel_with_state(
    whisper_context * ctx, whisper_state * state, const float * samples, int n_samples, int n_threads) {
    shares work(n_threads);
    current_shares_scope scope(&work);
    try {
        const int count = shares::count(n_samples, n_threads);
        return __real_whisper_pcm_to_mel_with_state(ctx, state, samples, n_samples, count);
    } catch (const shares::stopped &) {
        return -1;
    }
}

// void std::thread::_M_start_thread(std::thread::_State_ptr, void (*)())
void __real__ZNSt6thread15_M_start_threadESt10unique_ptrINS_6_StateESt14default_deleteIS1_EEPFvvE(
    std::thread *, std::unique_ptr<std::thread::_State>, void (*)());

void __wrap__ZNSt6thread15_M_start_threadESt10unique_ptrINS_6_StateESt14default_deleteIS1_EEPFvvE(
    std::thread * thread, std::unique_ptr<std::thread::_State> work, void (*depend)()) {
    if (current_shares != nullptr) {
        current_shares->note(std::move(work));
        return;
    }
    __real__ZNSt6thread15_M_start_threadESt10unique_ptrINS_6_StateESt14default_deleteIS1_EEPFvvE(
        thread, std::move(work), depend);
}

// void std::thread::join()
void __real__ZNSt6thread4joinEv(std::thread *);

void __wrap__ZNSt6thread4joinEv(std::thread * thread) {
    if (current_shares == nullptr) {
        return __real__ZNSt6thread4joinEv(thread);
    }
    // The first time for all of them. The threads that it starts are real.
    shares * work = current_shares;
    current_shares_scope scope(nullptr);
    work->work_off();
}

} // extern "C"

extern "C" __attribute__((visibility("default"))) void TRIFOLD_NAME(start)(
    trifold::log_fn log, cancelled_fn host_cancelled) {
    trifold::start(log);
    cancelled = host_cancelled;
    ggml_set_abort_callback(trifold::on_ggml_abort);
    ggml_log_set(trifold::on_ggml_log, nullptr);
    whisper_log_set(trifold::on_ggml_log, nullptr);
}

#include "guarded.inc"
