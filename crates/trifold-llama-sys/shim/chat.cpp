// Tool calls and JSON schemas, by llama.cpp's own `common` library; and the few functions of its other
// parts (common.cpp, log.cpp) that the files compiled here call. Those parts bring downloads, a console
// and a logging thread with them.
#include "guard.hpp"

#include "trifold_chat.h"

// The engine's own "unicode.h" and others must be found before those of this folder, so it is no
// include folder here.
#include "../common/chat.h"
#include "../common/json-schema-to-grammar.h"
#include "../common/json.h"
#include "../common/log.h"

#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <exception>
#include <memory>
#include <new>
#include <string>
#include <vector>

struct trifold_chat {
    common_chat_parser_params syntax;
};

namespace {

char * given(const common_json & answer) {
    const std::string text = answer.dump_safe();
    char * copy = static_cast<char *>(std::malloc(text.size() + 1));
    if (copy == nullptr) {
        throw std::bad_alloc();
    }
    std::memcpy(copy, text.c_str(), text.size() + 1);
    return copy;
}

common_json error(const std::exception & error) {
    return common_json::object({ { "error", std::string(error.what()) } });
}

// A regular expression that matches this text.
std::string literally(const std::string & text) {
    std::string pattern;
    for (char character : text) {
        if (std::strchr(".^$|()*+?[]{}\\", character) != nullptr) {
            pattern += '\\';
        }
        pattern += character;
    }
    return pattern;
}

std::string pattern_of(const common_grammar_trigger & trigger) {
    switch (trigger.type) {
        case COMMON_GRAMMAR_TRIGGER_TYPE_WORD:
            return literally(trigger.value);
        case COMMON_GRAMMAR_TRIGGER_TYPE_PATTERN_FULL:
            return "^(?:" + trigger.value + ")$";
        default:
            return trigger.value;
    }
}

common_json texts(const std::vector<std::string> & values) {
    common_json array = common_json::array();
    for (const auto & value : values) {
        array.push_back(value);
    }
    return array;
}

// Whether the template shows tools to the model, or calls in its answers.
bool knows_tools(const common_chat_templates * templates) {
    for (const auto & [name, has] : common_chat_templates_get_caps(templates)) {
        if (has && (name == "supports_tools" || name == "supports_tool_calls")) {
            return true;
        }
    }
    return false;
}

common_json open(const llama_model * model, const common_json & request, trifold_chat & chat) {
    common_chat_templates_inputs inputs;
    inputs.messages = common_chat_msgs_parse_oaicompat(request.at("messages"));
    inputs.tools = common_chat_tools_parse_oaicompat(request.at("tools"));
    inputs.tool_choice =
        request.at("required").get<bool>() ? COMMON_CHAT_TOOL_CHOICE_REQUIRED : COMMON_CHAT_TOOL_CHOICE_AUTO;
    inputs.parallel_tool_calls = request.at("parallel").get<bool>();
    // As upstream's server: what a model thinks first is allowed by the grammar, and told apart.
    inputs.reasoning_format = COMMON_REASONING_FORMAT_DEEPSEEK;

    const auto templates = common_chat_templates_init(model, "");
    const common_chat_params params = common_chat_templates_apply(templates.get(), inputs);

    chat.syntax = common_chat_parser_params(params);
    chat.syntax.reasoning_format = inputs.reasoning_format;
    if (!params.parser.empty()) {
        chat.syntax.parser.load(params.parser);
    }
    std::vector<std::string> triggers;
    for (const auto & trigger : params.grammar_triggers) {
        triggers.push_back(pattern_of(trigger));
    }
    common_json answer = common_json::object();
    answer["prompt"] = params.prompt;
    answer["grammar"] = params.grammar;
    answer["lazy"] = params.grammar_lazy;
    answer["triggers"] = texts(triggers);
    answer["stops"] = texts(params.additional_stops);
    answer["preserved"] = texts(params.preserved_tokens);
    answer["generation_prompt"] = params.generation_prompt;
    answer["knows_tools"] = !params.grammar.empty() || knows_tools(templates.get());
    return answer;
}

// While an answer is not complete, that it cannot be read yet is no news.
thread_local bool quiet = false;

struct quiet_scope {
    quiet_scope() { quiet = true; }
    ~quiet_scope() { quiet = false; }
};

} // namespace

extern "C" {

char * chat_schema_to_grammar(const char * schema) {
    common_json answer = common_json::object();
    try {
        answer["grammar"] = json_schema_to_grammar(common_json::parse(schema));
    } catch (const std::bad_alloc &) {
        throw;
    } catch (const std::exception & failed) {
        answer = error(failed);
    }
    return given(answer);
}

trifold_chat * chat_open(const llama_model * model, const char * request, char ** answer) {
    auto chat = std::make_unique<trifold_chat>();
    *answer = nullptr;
    try {
        *answer = given(open(model, common_json::parse(request), *chat));
        return chat.release();
    } catch (const std::bad_alloc &) {
        throw;
    } catch (const std::exception & failed) {
        *answer = given(error(failed));
        return nullptr;
    }
}

char * chat_parse(const trifold_chat * chat, const char * text, size_t length, bool partial) {
    common_json answer = common_json::object();
    try {
        quiet_scope scope;
        const common_chat_msg message = common_chat_parse(std::string(text, length), partial, chat->syntax);
        common_json calls = common_json::array();
        for (const auto & call : message.tool_calls) {
            calls.push_back({ { "id", call.id }, { "name", call.name }, { "arguments", call.arguments } });
        }
        answer["content"] = message.content;
        answer["reasoning"] = message.reasoning_content;
        answer["calls"] = calls;
    } catch (const std::bad_alloc &) {
        throw;
    } catch (const std::exception & failed) {
        answer = error(failed);
    }
    return given(answer);
}

void chat_close(trifold_chat * chat) {
    delete chat;
}

void chat_free_text(char * text) {
    std::free(text);
}

// The seal sends the engine's uses of localtime here: its result would be shared with other threads.
tm * __wrap_localtime(const time_t * time) {
    thread_local tm local;
    return localtime_r(time, &local);
}

} // extern "C"

// Of log.cpp.

int common_log_get_verbosity_thold(void) {
    return quiet ? LOG_LEVEL_ERROR : LOG_LEVEL_WARN;
}

common_log * common_log_main() {
    return nullptr;
}

void common_log_add(common_log *, ggml_log_level level, const char * format, ...) {
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    std::vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    trifold::log(level == GGML_LOG_LEVEL_ERROR ? trifold::log_level::error : trifold::log_level::warn, text);
}

// Of common.cpp.

std::string string_join(const std::vector<std::string> & values, const std::string & separator) {
    std::string joined;
    for (const auto & value : values) {
        joined += &value == values.data() ? value : separator + value;
    }
    return joined;
}

std::vector<std::string> string_split(const std::string & text, const std::string & delimiter) {
    std::vector<std::string> parts(1);
    for (size_t at = 0; at < text.size();) {
        if (text.compare(at, delimiter.size(), delimiter) == 0) {
            parts.emplace_back();
            at += delimiter.size();
        } else {
            parts.back() += text[at++];
        }
    }
    return parts;
}

std::string string_repeat(const std::string & text, size_t times) {
    std::string repeated;
    for (; times > 0; times--) {
        repeated += text;
    }
    return repeated;
}

void string_replace_all(std::string & text, const std::string & search, const std::string & replacement) {
    size_t at = 0;
    while (!search.empty() && (at = text.find(search, at)) != std::string::npos) {
        text.replace(at, search.size(), replacement);
        at += replacement.size();
    }
}

std::string common_token_to_piece(const llama_vocab * vocab, llama_token token, bool special) {
    std::string piece(32, '\0');
    int32_t length = llama_token_to_piece(vocab, token, &piece[0], (int32_t) piece.size(), 0, special);
    if (length < 0) {
        piece.resize(-length);
        length = llama_token_to_piece(vocab, token, &piece[0], (int32_t) piece.size(), 0, special);
    }
    piece.resize(length < 0 ? 0 : length);
    return piece;
}

std::vector<llama_token> common_tokenize(
        const llama_vocab * vocab, const std::string & text, bool add_special, bool parse_special) {
    const auto bytes = (int32_t) text.size();
    std::vector<llama_token> tokens(text.size() + 8);
    const int32_t count = llama_tokenize(
        vocab, text.data(), bytes, tokens.data(), (int32_t) tokens.size(), add_special, parse_special);
    tokens.resize(count < 0 ? 0 : count);
    return tokens;
}
