// ggml's log, and that of its descendants, into ours.
#pragma once

#include "guard.hpp"

#include "ggml.h"

namespace trifold {

inline log_level level_of(ggml_log_level level) {
    switch (level) {
        case GGML_LOG_LEVEL_ERROR: return log_level::error;
        case GGML_LOG_LEVEL_WARN:  return log_level::warn;
        case GGML_LOG_LEVEL_INFO:  return log_level::info;
        case GGML_LOG_LEVEL_CONT:  return log_level::more;
        default:                   return log_level::debug;
    }
}

// For `ggml_log_set` and its like.
inline void on_ggml_log(ggml_log_level level, const char * text, void *) {
    log(level_of(level), text);
}

} // namespace trifold
