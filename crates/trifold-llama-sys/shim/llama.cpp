// The guarded API of llama.cpp and mtmd.
#include "guard.hpp"

#include "ggml-backend.h"
#include "ggml.h"
#include "gguf.h"
#include "llama.h"
#include "mtmd-helper.h"
#include "mtmd.h"
#include "trifold_chat.h"

namespace {

trifold::log_level level_of(ggml_log_level level) {
    switch (level) {
        case GGML_LOG_LEVEL_ERROR: return trifold::log_level::error;
        case GGML_LOG_LEVEL_WARN:  return trifold::log_level::warn;
        case GGML_LOG_LEVEL_INFO:  return trifold::log_level::info;
        case GGML_LOG_LEVEL_CONT:  return trifold::log_level::more;
        default:                   return trifold::log_level::debug;
    }
}

void on_log(ggml_log_level level, const char * text, void *) {
    trifold::log(level_of(level), text);
}

} // namespace

extern "C" __attribute__((visibility("default"))) void TRIFOLD_NAME(start)(trifold::log_fn log) {
    trifold::start(log);
    ggml_set_abort_callback(trifold::on_ggml_abort);
    ggml_log_set(on_log, nullptr);
    llama_log_set(on_log, nullptr);
    mtmd_log_set(on_log, nullptr);
    mtmd_helper_log_set(on_log, nullptr);
    llama_backend_init();
}

#include "guarded.inc"
