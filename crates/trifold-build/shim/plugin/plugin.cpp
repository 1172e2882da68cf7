// What makes a plugin of one of ggml's backends: its entry points, the way of its log and of its failed
// checks to the engines that use it, and the program that it is when it is run (main.c).
#include "cpu_check.hpp"
#include "ggml_log.hpp"
#include "guard.hpp"
#include "plugin.h"

#include "ggml-backend-impl.h"
#include "ggml-backend.h"
#include "ggml.h"

#include <atomic>
#include <cstdio>
#include <cstring>
#include <exception>
#include <mutex>
#include <string>

#include <unistd.h>

// The backend's own function that returns its registration.
extern "C" ggml_backend_reg_t TRIFOLD_PLUGIN_REGISTER(void);
#ifdef TRIFOLD_PLUGIN_SCORE
extern "C" int TRIFOLD_PLUGIN_SCORE(void);
#endif

namespace {

// Each engine of a process has one; a process with more copies of engines than that is not to be expected.
constexpr size_t max_routes = 64;
trifold_plugin_route routes[max_routes];
// Routes below this number are complete and never change: they are read without a lock, also by a thread
// that is about to abort.
std::atomic<size_t> n_routes{0};
std::mutex connecting;

// The route of the engine that has a call on this thread.
const trifold_plugin_route * current_route() {
    const size_t count = n_routes.load(std::memory_order_acquire);
    for (size_t i = 0; i < count; i++) {
        if (routes[i].inside()) {
            return &routes[i];
        }
    }
    return nullptr;
}

// On a thread of the backend's own nobody can say for which engine it speaks: the first takes it.
void to_route(int32_t level, const char * text, size_t length) {
    const trifold_plugin_route * route = current_route();
    if (route == nullptr && n_routes.load(std::memory_order_acquire) > 0) {
        route = &routes[0];
    }
    if (route != nullptr) {
        route->log(level, text, length);
    }
}

// What the engine throws here passes through this plugin's frames: both use the unwinder of libgcc_s.
void on_abort(const char * message) {
    const trifold_plugin_route * route = current_route();
    if (route != nullptr) {
        route->abort(message);
    }
    trifold::log(trifold::log_level::error, message);
}

const trifold_plugin_facts info = {TRIFOLD_PLUGIN_INTERFACE, sizeof(trifold_plugin_facts)};

} // namespace

extern "C" {

TRIFOLD_PLUGIN_API const trifold_plugin_facts * trifold_plugin_info() {
    return &info;
}

TRIFOLD_PLUGIN_API bool trifold_plugin_connect(const trifold_plugin_route * route) {
    const std::lock_guard<std::mutex> lock(connecting);
    const size_t count = n_routes.load(std::memory_order_relaxed);
    for (size_t i = 0; i < count; i++) {
        if (routes[i].abort == route->abort) {
            return true;
        }
    }
    if (count == max_routes) {
        return false;
    }
    routes[count] = *route;
    if (count == 0) {
        trifold::start(to_route);
        ggml_log_set(trifold::on_ggml_log, nullptr);
        ggml_set_abort_callback(on_abort);
    }
    n_routes.store(count + 1, std::memory_order_release);
    return true;
}

// ggml's entry point. What the engine has thrown passes through; the backend's own exceptions end here, as
// ggml's functions are C functions to their caller.
TRIFOLD_PLUGIN_API ggml_backend_reg_t ggml_backend_init() {
    if (!trifold::cpu_is_new_enough()) {
        trifold::log(trifold::log_level::error, "this CPU is too old for the plugin: it has no AVX2");
        return nullptr;
    }
    try {
        return TRIFOLD_PLUGIN_REGISTER();
    } catch (const std::exception & error) {
        trifold::log(trifold::log_level::error, error.what());
        return nullptr;
    }
}

#ifdef TRIFOLD_PLUGIN_SCORE
TRIFOLD_PLUGIN_API int ggml_backend_score() {
    return TRIFOLD_PLUGIN_SCORE();
}
#endif

} // extern "C"

// Run as a program, the plugin does what an engine would do first, and says what it found. An engine has this
// done by another process, before it opens the plugin itself: one that crashes or hangs does so there.
namespace {

void print(int stream, const char * text, size_t length) {
    while (length > 0) {
        const ssize_t written = write(stream, text, length);
        if (written <= 0) {
            return;
        }
        text += written;
        length -= static_cast<size_t>(written);
    }
}

bool nobody_inside() {
    return false;
}

void print_log(int32_t, const char * text, size_t length) {
    print(STDERR_FILENO, text, length);
}

// In one line, fields apart by tabs.
std::string field(const char * text) {
    std::string line = text == nullptr ? "" : text;
    for (char & c : line) {
        if (c == '\t' || c == '\n') {
            c = ' ';
        }
    }
    return line;
}

void print_line(const std::string & line) {
    print(STDOUT_FILENO, line.data(), line.size());
}

} // namespace

extern "C" int trifold_plugin_try(int, char **, char **) {
    const trifold_plugin_route route = {print_log, nobody_inside, nullptr};
    trifold_plugin_connect(&route);
#ifdef TRIFOLD_PLUGIN_SCORE
    if (ggml_backend_score() == 0) {
        print_line("refused\n");
        _exit(0);
    }
#endif
    ggml_backend_reg_t reg = ggml_backend_init();
    if (reg == nullptr) {
        print_line("failed\n");
        _exit(0);
    }
    print_line("backend\t" + std::to_string(reg->api_version) + "\t" + field(ggml_backend_reg_name(reg)) + "\n");
    for (size_t i = 0; i < ggml_backend_reg_dev_count(reg); i++) {
        ggml_backend_dev_t device = ggml_backend_reg_dev_get(reg, i);
        size_t free = 0;
        size_t total = 0;
        ggml_backend_dev_memory(device, &free, &total);
        print_line("device\t" + std::to_string(free) + "\t" + std::to_string(total) + "\t" +
                   field(ggml_backend_dev_name(device)) + "\t" + field(ggml_backend_dev_description(device)) + "\n");
    }
    print_line("end\n");
    // Without destructors: what they would do here is not what they do in an engine's process.
    _exit(0);
}
