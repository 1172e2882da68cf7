// The CPU in the part of another accelerator, with memory of its own that others cannot look into: engines
// treat it as a GPU. It lets everything about plugins be tried where there is no GPU.
#include "ggml-backend-impl.h"
#include "ggml-backend.h"
#include "ggml-cpu.h"
#include "ggml-impl.h"
#include "ggml.h"

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include <dlfcn.h>
#include <unistd.h>

namespace {

// Two of them, so that work can be split.
constexpr size_t n_devices = 2;
constexpr size_t alignment = 64;

extern ggml_backend_reg registration;
extern ggml_backend_device devices[n_devices];
extern ggml_backend_buffer_type buffer_types[n_devices];

size_t index_of(ggml_backend_dev_t device) {
    return static_cast<size_t>(device - devices);
}

ggml_backend_dev_t real_cpu() {
    return ggml_backend_reg_dev_get(ggml_backend_cpu_reg(), 0);
}

// Memory.

void buffer_free(ggml_backend_buffer_t buffer) {
    std::free(buffer->context);
}

void * buffer_base(ggml_backend_buffer_t buffer) {
    return buffer->context;
}

char * at(const ggml_tensor * tensor, size_t offset) {
    return static_cast<char *>(tensor->data) + offset;
}

void buffer_memset(ggml_backend_buffer_t, ggml_tensor * tensor, uint8_t value, size_t offset, size_t size) {
    std::memset(at(tensor, offset), value, size);
}

void buffer_set(ggml_backend_buffer_t, ggml_tensor * tensor, const void * data, size_t offset, size_t size) {
    std::memcpy(at(tensor, offset), data, size);
}

void buffer_get(ggml_backend_buffer_t, const ggml_tensor * tensor, void * data, size_t offset, size_t size) {
    std::memcpy(data, at(tensor, offset), size);
}

void buffer_clear(ggml_backend_buffer_t buffer, uint8_t value) {
    std::memset(buffer->context, value, buffer->size);
}

const char * buffer_type_name(ggml_backend_buffer_type_t type) {
    return ggml_backend_dev_name(type->device);
}

ggml_backend_buffer_t buffer_alloc(ggml_backend_buffer_type_t type, size_t size) {
    void * memory = nullptr;
    if (posix_memalign(&memory, alignment, size + alignment) != 0) {
        return nullptr;
    }
    ggml_backend_buffer_i iface{};
    iface.free_buffer = buffer_free;
    iface.get_base = buffer_base;
    iface.memset_tensor = buffer_memset;
    iface.set_tensor = buffer_set;
    iface.get_tensor = buffer_get;
    iface.clear = buffer_clear;
    return ggml_backend_buffer_init(type, iface, memory, size);
}

size_t buffer_alignment(ggml_backend_buffer_type_t) {
    return alignment;
}

bool buffer_is_host(ggml_backend_buffer_type_t) {
    return false;
}

// Computation: by a CPU backend, which is the context of ours.

ggml_backend_t real(ggml_backend_t backend) {
    return static_cast<ggml_backend_t>(backend->context);
}

const char * backend_name(ggml_backend_t backend) {
    return ggml_backend_dev_name(backend->device);
}

void backend_free(ggml_backend_t backend) {
    ggml_backend_free(real(backend));
    delete backend;
}

ggml_status backend_compute(ggml_backend_t backend, ggml_cgraph * graph) {
    return ggml_backend_graph_compute(real(backend), graph);
}

ggml_guid guid = {0x54, 0x77, 0x69, 0x6e, 0x1d, 0x5a, 0x4e, 0x0b, 0x9a, 0x11, 0x6f, 0x03, 0x77, 0x21, 0x0c, 0xee};

// A device.

const char * device_name(ggml_backend_dev_t device) {
    static const char * const names[n_devices] = {"TWIN0", "TWIN1"};
    return names[index_of(device)];
}

const char * device_description(ggml_backend_dev_t) {
    return "The CPU in the part of an accelerator";
}

// Whether this is a copy whose name says that it is wrong in some way.
bool is_named(const char * how) {
    Dl_info self{};
    const bool found = dladdr(reinterpret_cast<void *>(&is_named), &self) != 0 && self.dli_fname != nullptr;
    return found && std::strstr(self.dli_fname, how) != nullptr;
}

void device_memory(ggml_backend_dev_t, size_t * free, size_t * total) {
    // As of a device that fails after a while: its trial and one look are well.
    static std::atomic<size_t> n_asked{0};
    GGML_ASSERT(n_asked++ < n_devices || !is_named("-tired.so"));
    const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    *total = page * static_cast<size_t>(sysconf(_SC_PHYS_PAGES));
    *free = page * static_cast<size_t>(sysconf(_SC_AVPHYS_PAGES));
}

enum ggml_backend_dev_type device_type(ggml_backend_dev_t) {
    return GGML_BACKEND_DEVICE_TYPE_GPU;
}

void device_props(ggml_backend_dev_t device, ggml_backend_dev_props * props) {
    props->name = device_name(device);
    props->description = device_description(device);
    props->type = device_type(device);
    device_memory(device, &props->memory_free, &props->memory_total);
    props->caps = {};
}

ggml_backend_t device_init(ggml_backend_dev_t device, const char *) {
    ggml_backend_t inner = ggml_backend_cpu_init();
    if (inner == nullptr) {
        return nullptr;
    }
    ggml_backend_t backend = new ggml_backend{};
    backend->guid = &guid;
    backend->iface.get_name = backend_name;
    backend->iface.free = backend_free;
    backend->iface.graph_compute = backend_compute;
    backend->device = device;
    backend->context = inner;
    return backend;
}

ggml_backend_buffer_type_t device_buffer_type(ggml_backend_dev_t device) {
    return &buffer_types[index_of(device)];
}

bool device_supports_op(ggml_backend_dev_t, const ggml_tensor * op) {
    return ggml_backend_dev_supports_op(real_cpu(), op);
}

bool device_supports_buffer_type(ggml_backend_dev_t device, ggml_backend_buffer_type_t type) {
    return type->iface.get_name == buffer_type_name && type->device == device;
}

// The backend as a whole.

const char * reg_name(ggml_backend_reg_t) {
    return "TWIN";
}

size_t reg_device_count(ggml_backend_reg_t) {
    return n_devices;
}

ggml_backend_dev_t reg_device(ggml_backend_reg_t, size_t index) {
    return &devices[index];
}

void set_n_threads(ggml_backend_t backend, int n_threads) {
    ggml_backend_cpu_set_n_threads(real(backend), n_threads);
}

void set_abort_callback(ggml_backend_t backend, ggml_abort_callback callback, void * data) {
    ggml_backend_cpu_set_abort_callback(real(backend), callback, data);
}

// For tests of loaders: what becomes of a failed check in a plugin, and of what it says and prints.

void fail_a_check() {
    GGML_ASSERT(false && "a check of the twin");
}

void speak() {
    GGML_LOG_WARN("%s\n", "the twin logs");
    std::fprintf(stderr, "%s\n", "the twin prints");
}

// A copy of this file whose name says so does not come through its start.
void behave_as_named() {
    if (is_named("-crash.so")) {
        *static_cast<volatile int *>(nullptr) = 1;
    }
    while (is_named("-hang.so")) {
        usleep(10 * 1000);
    }
}

void * reg_proc_address(ggml_backend_reg_t, const char * name) {
    const auto is = [name](const char * other) { return std::strcmp(name, other) == 0; };
    if (is("ggml_backend_set_n_threads")) {
        return reinterpret_cast<void *>(set_n_threads);
    }
    if (is("ggml_backend_set_abort_callback")) {
        return reinterpret_cast<void *>(set_abort_callback);
    }
    if (is("trifold_twin_fail_a_check")) {
        return reinterpret_cast<void *>(fail_a_check);
    }
    if (is("trifold_twin_speak")) {
        return reinterpret_cast<void *>(speak);
    }
    return nullptr;
}

ggml_backend_reg registration;
ggml_backend_device devices[n_devices];
ggml_backend_buffer_type buffer_types[n_devices];

bool fill_in() {
    registration.api_version = GGML_BACKEND_API_VERSION;
    registration.iface.get_name = reg_name;
    registration.iface.get_device_count = reg_device_count;
    registration.iface.get_device = reg_device;
    registration.iface.get_proc_address = reg_proc_address;
    for (size_t i = 0; i < n_devices; i++) {
        ggml_backend_device & device = devices[i];
        device.reg = &registration;
        device.iface.get_name = device_name;
        device.iface.get_description = device_description;
        device.iface.get_memory = device_memory;
        device.iface.get_type = device_type;
        device.iface.get_props = device_props;
        device.iface.init_backend = device_init;
        device.iface.get_buffer_type = device_buffer_type;
        device.iface.supports_op = device_supports_op;
        device.iface.supports_buft = device_supports_buffer_type;
        ggml_backend_buffer_type & type = buffer_types[i];
        type.device = &device;
        type.iface.get_name = buffer_type_name;
        type.iface.alloc_buffer = buffer_alloc;
        type.iface.get_alignment = buffer_alignment;
        type.iface.is_host = buffer_is_host;
    }
    return true;
}

} // namespace

extern "C" ggml_backend_reg_t trifold_twin_reg(void) {
    behave_as_named();
    static const bool filled = fill_in();
    (void) filled;
    return &registration;
}
