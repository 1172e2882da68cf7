// The functions of Vulkan's loader that ggml-vulkan calls itself, looked up in the loader when they are first called:
// the plugin then loads where there is none, and says so instead. (All others it asks vkGetInstanceProcAddr for.)
//
// And the answer to whether there is a GPU here.
//
// Declared here, not by vulkan.h: this file is compiled without the headers. All types are numbers and pointers.
#include "guard.hpp"

#include "ggml-vulkan.h"

#include <cstdint>

#include <dlfcn.h>

namespace {

void * loader() {
    // As programs link it: the system's, by its name.
    static void * const library = dlopen("libvulkan.so.1", RTLD_NOW | RTLD_LOCAL);
    return library;
}

// Only called behind the score, so that there is a loader; what it has not got is null, as Vulkan's own answer.
void * look_up(const char * name) {
    return loader() == nullptr ? nullptr : dlsym(loader(), name);
}

template <typename R, typename... A> R call(void * function, A... arguments) {
    if (function == nullptr) {
        return R();
    }
    return reinterpret_cast<R (*)(A...)>(function)(arguments...);
}

} // namespace

// How many devices ggml takes; why there is none is in the log.
extern "C" int trifold_vulkan_score(void) {
    if (loader() == nullptr) {
        trifold::log(trifold::log_level::error, "Vulkan's loader (libvulkan.so.1) was not found");
        return 0;
    }
    if (ggml_backend_vk_reg() == nullptr) {
        trifold::log(trifold::log_level::error,
                     "Vulkan finds no driver for its version 1.2, or no device of that number (GGML_VK_VISIBLE_DEVICES)");
        return 0;
    }
    const int count = ggml_backend_vk_get_device_count();
    if (count == 0) {
        trifold::log(trifold::log_level::error,
                     "Vulkan finds no GPU (a software driver is taken only if GGML_VK_VISIBLE_DEVICES names its number)");
    }
    return count;
}

#define TRIFOLD_LOADER(result, ...)                                                                                    \
    static void * const function = look_up(__func__);                                                                  \
    return call<result>(function, __VA_ARGS__)

extern "C" {

void * vkGetInstanceProcAddr(void * instance, const char * name) {
    TRIFOLD_LOADER(void *, instance, name);
}

void * vkGetDeviceProcAddr(void * device, const char * name) {
    TRIFOLD_LOADER(void *, device, name);
}

void vkGetPhysicalDeviceFeatures2(void * device, void * features) {
    TRIFOLD_LOADER(void, device, features);
}

void vkCmdCopyBuffer(void * commands, void * from, void * to, uint32_t count, const void * regions) {
    TRIFOLD_LOADER(void, commands, from, to, count, regions);
}

} // extern "C"
