// Whether this CPU can run the code of a backend, as far as its recipe says what that needs.
#pragma once

#include <cpuid.h>

namespace trifold {

#ifdef TRIFOLD_PLUGIN_AVX2
// A loader of ours has looked for all that the note names, before it opened this file; others look at nothing.
inline bool cpu_is_new_enough() {
    unsigned a = 0, b = 0, c = 0, d = 0;
    if (__get_cpuid(1, &a, &b, &c, &d) == 0 || (c & bit_OSXSAVE) == 0) {
        return false;
    }
    unsigned low = 0, high = 0;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    const bool saved = (low & 6) == 6; // the registers, by the operating system
    return saved && __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (b & bit_AVX2) != 0;
}
#else
inline bool cpu_is_new_enough() {
    return true;
}
#endif

} // namespace trifold
