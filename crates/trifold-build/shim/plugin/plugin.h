/* The interface between an engine and a backend plugin, beside ggml's own (ggml-backend-impl.h).
 *
 * A plugin has its own copy of ggml-base inside, with a log and an abort callback of its own. An engine hands
 * it a route for both, so that what happens inside a plugin is told, and fails, as if the engine had no plugin.
 * Mirrored by crates/trifold-backend/src/load.rs. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Raised when a function or structure below changes. */
#define TRIFOLD_PLUGIN_INTERFACE 1

#define TRIFOLD_PLUGIN_API __attribute__((visibility("default")))

struct trifold_plugin_facts {
    uint32_t interface; /* TRIFOLD_PLUGIN_INTERFACE */
    uint32_t size;      /* of this structure */
};

/* All of them are functions of the engine's own sealed object. */
struct trifold_plugin_route {
    /* Takes a piece of text; levels as in guard.hpp. */
    void (*log)(int32_t level, const char * text, size_t length);
    /* Whether this thread is inside a guarded call of the engine. */
    bool (*inside)(void);
    /* A check has failed on this thread. Throws if it is inside; else returns, and the plugin aborts. */
    void (*abort)(const char * message);
};

/* What this plugin is, for a look before anything else is called. It never changes. */
TRIFOLD_PLUGIN_API const struct trifold_plugin_facts * trifold_plugin_info(void);

/* Adds the route of an engine, once for each engine and before ggml_backend_init. The plugin keeps a copy.
 * False if there are too many. */
TRIFOLD_PLUGIN_API bool trifold_plugin_connect(const struct trifold_plugin_route * route);

#ifdef __cplusplus
}
#endif
