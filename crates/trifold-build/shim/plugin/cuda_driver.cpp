// The functions of CUDA's driver that ggml-cuda calls itself, looked up in the driver when they are first called:
// the plugin then loads where there is no driver, and says so instead. (The rest of the driver is called by
// CUDA's runtime, which looks it up in the same way.)
//
// And the answer to whether there is a GPU here that this plugin has code for, and if not, which package has.
//
// Declared here, not by cuda.h: this file is compiled without the toolkit. All types are numbers and pointers.
#include "guard.hpp"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <sstream>
#include <string>

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

template <typename... A> bool called(const char * name, A... arguments) {
    return call(look_up(name), arguments...) == 0;
}

// Whether code for an architecture (`90`; `120a`, which no other GPU runs; `100-virtual`, compiled by the driver)
// runs on a GPU of a compute capability (`90` for 9.0).
bool runs(const std::string & architecture, int capability) {
    char * end = nullptr;
    const int number = static_cast<int>(std::strtol(architecture.c_str(), &end, 10));
    const std::string rest = end;
    if (rest == "-virtual") {
        return number <= capability;
    }
    return rest.empty() ? number / 10 == capability / 10 && number <= capability : number == capability;
}

// Whether one of a line's architectures does.
bool any_runs(std::istream & architectures, int capability) {
    for (std::string architecture; architectures >> architecture;) {
        if (runs(architecture, capability)) {
            return true;
        }
    }
    return false;
}

// `PACKAGE ARCHITECTURE…; …`: the package for a GPU, if there is one.
std::string package_for(int capability) {
    std::istringstream packages(TRIFOLD_PLUGIN_PACKAGES);
    for (std::string line; std::getline(packages, line, ';');) {
        std::istringstream words(line);
        std::string package;
        words >> package;
        if (any_runs(words, capability)) {
            return package;
        }
    }
    return {};
}

int capability_of(int device) {
    // CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR and _MINOR
    int major = 0;
    int minor = 0;
    const bool known = called("cuDeviceGetAttribute", &major, 75, device) &&
                       called("cuDeviceGetAttribute", &minor, 76, device);
    return known ? 10 * major + minor : 0;
}

// One GPU that the plugin has no code for, in a sentence.
std::string missing(int device, int capability) {
    char name[128] = "";
    if (!called("cuDeviceGetName", name, static_cast<int>(sizeof(name)) - 1, device)) {
        name[0] = '\0';
    }
    std::ostringstream text;
    text << "no code for " << (name[0] == '\0' ? "GPU" : name) << " (compute capability " << capability / 10 << '.'
         << capability % 10 << ") in this plugin (it has " << TRIFOLD_PLUGIN_ARCHITECTURES << "); ";
    const std::string package = package_for(capability);
    if (package.empty()) {
        text << "no package has any";
    } else {
        text << "install " << package;
    }
    return text.str();
}

} // namespace

#define TRIFOLD_DRIVER(...)                                                                                            \
    static void * const function = look_up(__func__);                                                                  \
    return call(function, __VA_ARGS__)

// 0 if there is no GPU that the plugin has code for; why is in the log.
extern "C" int trifold_cuda_score(void) {
    int count = 0;
    if (driver() == nullptr) {
        trifold::log(trifold::log_level::error, "no driver of NVIDIA's was found");
        return 0;
    }
    if (!called("cuInit", 0u) || !called("cuDeviceGetCount", &count) || count == 0) {
        trifold::log(trifold::log_level::error, "NVIDIA's driver finds no GPU");
        return 0;
    }
    int usable = 0;
    for (int ordinal = 0; ordinal < count; ordinal++) {
        int device = 0;
        const int capability = called("cuDeviceGet", &device, ordinal) ? capability_of(device) : 0;
        std::istringstream architectures(TRIFOLD_PLUGIN_ARCHITECTURES);
        if (any_runs(architectures, capability)) {
            usable++;
        } else {
            trifold::log(trifold::log_level::error, missing(device, capability).c_str());
        }
    }
    return usable;
}

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
