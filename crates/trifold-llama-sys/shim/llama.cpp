// The guarded API of llama.cpp and mtmd.
#include "ggml_log.hpp"
#include "guard.hpp"

#include "ggml-backend.h"
#include "ggml.h"
#include "gguf.h"
#include "llama.h"
#include "mtmd-helper.h"
#include "mtmd.h"
#include "trifold_chat.h"

extern "C" __attribute__((visibility("default"))) void TRIFOLD_NAME(start)(trifold::log_fn log) {
    trifold::start(log);
    ggml_set_abort_callback(trifold::on_ggml_abort);
    ggml_log_set(trifold::on_ggml_log, nullptr);
    llama_log_set(trifold::on_ggml_log, nullptr);
    mtmd_log_set(trifold::on_ggml_log, nullptr);
    mtmd_helper_log_set(trifold::on_ggml_log, nullptr);
    llama_backend_init();
}

#include "guarded.inc"
