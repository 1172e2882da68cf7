// The guarded API of transcribe.cpp.
#include "guard.hpp"

#include "ggml.h"
#include "transcribe.h"

static void on_log(transcribe_log_level level, const char * text, void *) {
    using trifold::log_level;
    switch (level) {
        case TRANSCRIBE_LOG_LEVEL_ERROR: return trifold::log(log_level::error, text);
        case TRANSCRIBE_LOG_LEVEL_WARN:  return trifold::log(log_level::warn, text);
        case TRANSCRIBE_LOG_LEVEL_INFO:  return trifold::log(log_level::info, text);
        case TRANSCRIBE_LOG_LEVEL_CONT:  return trifold::log(log_level::more, text);
        default:                         return trifold::log(log_level::debug, text);
    }
}

extern "C" __attribute__((visibility("default"))) void TRIFOLD_NAME(start)(trifold::log_fn log) {
    trifold::start(log);
    ggml_set_abort_callback(trifold::on_ggml_abort);
    transcribe_log_set(on_log, nullptr);
}

#include "guarded.inc"
