// One ggml for several engines: what it keeps one of for the process is here kept once for each engine.
//
// The engines are linked with `ld --wrap` for the two functions below, so that each one's callback is
// added to the others instead of taking their place.
#include "guard.hpp"

#include "ggml.h"

#include <algorithm>
#include <mutex>
#include <vector>

namespace {

struct sink {
    ggml_log_callback callback;
    void * user_data;

    bool operator==(const sink & other) const {
        return callback == other.callback && user_data == other.user_data;
    }
};

std::mutex mutex;
std::vector<sink> sinks;
std::vector<ggml_abort_callback_t> abort_callbacks;

template <typename T> std::vector<T> copy_of(const std::vector<T> & shared) {
    const std::lock_guard<std::mutex> lock(mutex);
    return shared;
}

template <typename T> void add(std::vector<T> & shared, const T & value) {
    const std::lock_guard<std::mutex> lock(mutex);
    if (std::find(shared.begin(), shared.end(), value) == shared.end()) {
        shared.push_back(value);
    }
}

// Nobody can say for which engine ggml speaks: each one's log gets it.
void on_log(ggml_log_level level, const char * text, void *) {
    for (const auto & sink : copy_of(sinks)) {
        sink.callback(level, text, sink.user_data);
    }
}

// The callback of the engine that has a guarded call on this thread throws.
void on_abort(const char * message) {
    for (const auto & callback : copy_of(abort_callbacks)) {
        callback(message);
    }
}

// What ggml would print.
void on_print(int32_t level, const char * text, size_t length) {
    const std::string whole(text, length);
    const bool bad = level >= static_cast<int32_t>(trifold::log_level::warn);
    on_log(bad ? GGML_LOG_LEVEL_WARN : GGML_LOG_LEVEL_INFO, whole.c_str(), nullptr);
}

} // namespace

extern "C" {

__attribute__((visibility("default"))) void __wrap_ggml_log_set(ggml_log_callback callback, void * user_data) {
    if (callback == nullptr) {
        return;
    }
    add(sinks, sink{callback, user_data});
    trifold::start(on_print);
    ggml_log_set(on_log, nullptr);
}

__attribute__((visibility("default"))) ggml_abort_callback_t
__wrap_ggml_set_abort_callback(ggml_abort_callback_t callback) {
    if (callback != nullptr) {
        add(abort_callbacks, callback);
    }
    return ggml_set_abort_callback(on_abort);
}

} // extern "C"
