// The guarded API of stable-diffusion.cpp, and the way to its packed tokenizer vocabularies.
#include "guard.hpp"

#include "ggml-backend.h"
#include "ggml.h"
#include "stable-diffusion.h"

#include <stdexcept>

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

void on_ggml_log(ggml_log_level level, const char * text, void *) {
    trifold::log(level_of(level), text);
}

void on_log(sd_log_level_t level, const char * text, void *) {
    switch (level) {
        case SD_LOG_ERROR: return trifold::log(trifold::log_level::error, text);
        case SD_LOG_WARN:  return trifold::log(trifold::log_level::warn, text);
        case SD_LOG_INFO:  return trifold::log(trifold::log_level::info, text);
        default:           return trifold::log(trifold::log_level::debug, text);
    }
}

// Without a callback the engine draws a bar on stdout.
void on_progress(int, int, float, void *) {}

// Unpacks one vocabulary: returns its size, and writes it to `out` unless that is null.
using unpack_fn = size_t (*)(const char * name, unsigned char * out, size_t capacity);
unpack_fn unpack = nullptr;

} // namespace

// Called by the functions of vocab.h, which trifold-build generates.
std::string trifold_load_vocabulary(const char * name) {
    const size_t size = unpack == nullptr ? 0 : unpack(name, nullptr, 0);
    std::string text(size, '\0');
    if (size == 0 || unpack(name, reinterpret_cast<unsigned char *>(&text[0]), size) != size) {
        throw std::runtime_error(std::string("tokenizer vocabulary could not be unpacked: ") + name);
    }
    return text;
}

extern "C" __attribute__((visibility("default"))) void TRIFOLD_NAME(start)(trifold::log_fn log, unpack_fn unpack_vocabulary) {
    trifold::start(log);
    unpack = unpack_vocabulary;
    ggml_set_abort_callback(trifold::on_ggml_abort);
    ggml_log_set(on_ggml_log, nullptr);
    sd_set_log_callback(on_log, nullptr);
    sd_set_progress_callback(on_progress, nullptr);
}

#include "guarded.inc"
