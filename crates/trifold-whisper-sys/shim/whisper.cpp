// The guarded API of whisper.cpp.
#include "guard.hpp"

#include "ggml-backend.h"
#include "ggml.h"
#include "whisper.h"

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
    whisper_log_set(on_log, nullptr);
}

#include "guarded.inc"
