// What the backend loader needs of an engine: to load a plugin into its ggml, to see which devices that has
// then, and the route of a plugin's log and failed checks (plugin/plugin.h). One table, the same for every
// engine; mirrored by crates/trifold-runtime/src/host.rs.
#include "guard.hpp"
#include "plugin.h"

#include "ggml-backend.h"

namespace {

enum class device_kind : int32_t { other = 0, cpu = 1, gpu = 2 };

// What is known of a device without asking it.
struct device {
    ggml_backend_dev_t handle;
    ggml_backend_reg_t backend;
};

struct description {
    device_kind kind;
    // Of the backend, which is never unloaded.
    const char * name;
    const char * description;
};

struct memory {
    size_t free;
    size_t total;
};

// Revisions differ in what they have besides these two: all of it is some kind of GPU.
device_kind kind_of(ggml_backend_dev_t handle) {
    switch (ggml_backend_dev_type(handle)) {
        case GGML_BACKEND_DEVICE_TYPE_CPU:   return device_kind::cpu;
        case GGML_BACKEND_DEVICE_TYPE_ACCEL: return device_kind::other;
        default:                             return device_kind::gpu;
    }
}

ggml_backend_reg_t load_plugin(const char * path) {
    return ggml_backend_load(path);
}

void * find_procedure(ggml_backend_reg_t backend, const char * name) {
    return ggml_backend_reg_get_proc_address(backend, name);
}

void call_procedure(void (*function)(void)) {
    function();
}

// Names and types as in ggml-rpc.h.
using add_server_fn = ggml_backend_reg_t (*)(const char *);
using serve_fn = void (*)(const char *, const char *, size_t, size_t, ggml_backend_dev_t *);

bool is_registered(ggml_backend_reg_t backend) {
    for (size_t i = 0; i < ggml_backend_reg_count(); i++) {
        if (ggml_backend_reg_get(i) == backend) {
            return true;
        }
    }
    return false;
}

// The devices of another computer, as a backend of their own. Null if this backend has none of that kind, or
// the server has no device.
ggml_backend_reg_t add_devices_of(ggml_backend_reg_t backend, const char * address) {
    void * function = ggml_backend_reg_get_proc_address(backend, "ggml_backend_rpc_add_server");
    if (function == nullptr) {
        return nullptr;
    }
    ggml_backend_reg_t server = reinterpret_cast<add_server_fn>(function)(address);
    if (server != nullptr && !is_registered(server)) {
        ggml_backend_register(server);
    }
    return server;
}

// Serves a device of this computer to others; returns only if it cannot go on. False if this backend cannot serve.
bool serve_device(ggml_backend_reg_t backend, const char * address, size_t n_threads, ggml_backend_dev_t device) {
    void * function = ggml_backend_reg_get_proc_address(backend, "ggml_backend_rpc_start_server");
    if (function == nullptr) {
        return false;
    }
    reinterpret_cast<serve_fn>(function)(address, nullptr, n_threads, 1, &device);
    return true;
}

size_t count_devices() {
    return ggml_backend_dev_count();
}

device device_at(size_t index) {
    ggml_backend_dev_t handle = ggml_backend_dev_get(index);
    return {handle, ggml_backend_dev_backend_reg(handle)};
}

description describe_device(ggml_backend_dev_t handle) {
    return {kind_of(handle), ggml_backend_dev_name(handle), ggml_backend_dev_description(handle)};
}

// Apart from the description: a GPU sets up a context for the answer, and another computer is asked over the
// network.
memory memory_of(ggml_backend_dev_t handle) {
    memory found{};
    ggml_backend_dev_memory(handle, &found.free, &found.total);
    return found;
}

void send(int32_t level, const char * text, size_t length) {
    trifold::log(static_cast<trifold::log_level>(level), text, length);
}

template <auto function> using guarded_fn = decltype(&trifold::guarded<function>::call);

struct host {
    trifold_plugin_route route;
    guarded_fn<&load_plugin> load;
    guarded_fn<&count_devices> count;
    guarded_fn<&device_at> at;
    guarded_fn<&describe_device> describe;
    guarded_fn<&memory_of> memory;
    guarded_fn<&find_procedure> procedure;
    guarded_fn<&call_procedure> call;
    guarded_fn<&add_devices_of> add_server;
    guarded_fn<&serve_device> serve;
};

const host table = {
    {send, trifold::is_inside, trifold::on_ggml_abort},
    &trifold::guarded<&load_plugin>::call,
    &trifold::guarded<&count_devices>::call,
    &trifold::guarded<&device_at>::call,
    &trifold::guarded<&describe_device>::call,
    &trifold::guarded<&memory_of>::call,
    &trifold::guarded<&find_procedure>::call,
    &trifold::guarded<&call_procedure>::call,
    &trifold::guarded<&add_devices_of>::call,
    &trifold::guarded<&serve_device>::call,
};

} // namespace

extern "C" __attribute__((visibility("default"))) const host * TRIFOLD_NAME(host)(void) {
    return &table;
}
