// A backend that is linked into an engine instead of being loaded (src/seal/inside.rs). It is registered when the
// engine starts: that is when the engine's shim sets the log of its ggml, and `ld --wrap` brings that call here.
#include "cpu_check.hpp"
#include "guard.hpp"

#include "ggml-backend.h"
#include "ggml.h"

#include <exception>

// The backend's own function that returns its registration.
extern "C" ggml_backend_reg_t TRIFOLD_PLUGIN_REGISTER(void);

namespace {

bool add_backend() {
    if (!trifold::cpu_is_new_enough()) {
        trifold::log(trifold::log_level::error, "this CPU is too old for the backend inside: it has no AVX2");
        return false;
    }
    try {
        ggml_backend_register(TRIFOLD_PLUGIN_REGISTER());
        return true;
    } catch (const std::exception & error) {
        trifold::log(trifold::log_level::error, error.what());
        return false;
    }
}

} // namespace

extern "C" {

void __real_ggml_log_set(ggml_log_callback callback, void * user_data);

void __wrap_ggml_log_set(ggml_log_callback callback, void * user_data) {
    __real_ggml_log_set(callback, user_data);
    // Engines pass their own callback on in the same way: once is enough.
    static const bool added = add_backend();
    (void) added;
}

} // extern "C"
