// Tool calls and JSON schemas, by llama.cpp's own `common` library, which has no C API.
//
// Texts that these functions give are UTF-8, end with a NUL and belong to the caller, who gives them
// back with chat_free_text. They are JSON objects; one with an "error" says what is wrong with what was
// given.
#pragma once

#include "llama.h"

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

// How a model writes tool calls, as found out from its chat template, for one conversation.
struct trifold_chat;

// Turns a JSON schema into a grammar: {"grammar"}.
char * chat_schema_to_grammar(const char * schema);

// Writes a conversation with tools down: {"prompt", "grammar", "lazy", "triggers", "stops", "preserved",
// "generation_prompt", "knows_tools"}. `request` is {"messages", "tools", "required", "parallel"}. Null if
// it cannot be done; the answer says why.
struct trifold_chat * chat_open(const struct llama_model * model, const char * request, char ** answer);

// Reads what the model has written: {"content", "reasoning", "calls": [{"id", "name", "arguments"}]}.
// `partial`: more will come.
char * chat_parse(const struct trifold_chat * chat, const char * text, size_t length, bool partial);

void chat_close(struct trifold_chat * chat);

void chat_free_text(char * text);

#ifdef __cplusplus
}
#endif
