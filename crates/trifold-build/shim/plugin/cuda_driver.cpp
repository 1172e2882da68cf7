// The functions of CUDA's driver that ggml-cuda calls itself, looked up in the driver when they are first called:
// the plugin then loads where there is no driver, and says so instead. (The rest of the driver is called by
// CUDA's runtime, which looks it up in the same way.)
//
// Declared here, not by cuda.h: this file is compiled without the toolkit. All types are numbers and pointers.
#include <cstddef>
#include <cstdint>

#include <dlfcn.h>

namespace {

// CUresult
constexpr int error_not_initialized = 3;

void * driver() {
    // As CUDA's own libraries open it: the system's, by its name.
    static void * const library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
    return library;
}

template <typename... A> int call(void * function, A... arguments) {
    if (function == nullptr) {
        return error_not_initialized;
    }
    return reinterpret_cast<int (*)(A...)>(function)(arguments...);
}

void * look_up(const char * name) {
    return driver() == nullptr ? nullptr : dlsym(driver(), name);
}

} // namespace

#define TRIFOLD_DRIVER(...)                                                                                            \
    static void * const function = look_up(__func__);                                                                  \
    return call(function, __VA_ARGS__)

extern "C" {

int cuGetErrorString(int error, const char ** text) {
    if (driver() == nullptr) {
        *text = "no driver of NVIDIA's was found";
        return 0;
    }
    TRIFOLD_DRIVER(error, text);
}

int cuDeviceGet(int * device, int ordinal) {
    TRIFOLD_DRIVER(device, ordinal);
}

int cuDeviceGetAttribute(int * value, int attribute, int device) {
    TRIFOLD_DRIVER(value, attribute, device);
}

int cuMemGetAllocationGranularity(size_t * granularity, const void * properties, int option) {
    TRIFOLD_DRIVER(granularity, properties, option);
}

int cuMemCreate(uint64_t * handle, size_t size, const void * properties, uint64_t flags) {
    TRIFOLD_DRIVER(handle, size, properties, flags);
}

int cuMemRelease(uint64_t handle) {
    TRIFOLD_DRIVER(handle);
}

int cuMemAddressReserve(uint64_t * address, size_t size, size_t alignment, uint64_t wanted, uint64_t flags) {
    TRIFOLD_DRIVER(address, size, alignment, wanted, flags);
}

int cuMemAddressFree(uint64_t address, size_t size) {
    TRIFOLD_DRIVER(address, size);
}

int cuMemMap(uint64_t address, size_t size, size_t offset, uint64_t handle, uint64_t flags) {
    TRIFOLD_DRIVER(address, size, offset, handle, flags);
}

int cuMemUnmap(uint64_t address, size_t size) {
    TRIFOLD_DRIVER(address, size);
}

int cuMemSetAccess(uint64_t address, size_t size, const void * descriptions, size_t count) {
    TRIFOLD_DRIVER(address, size, descriptions, count);
}

} // extern "C"
