// What a backend writes to std::cerr goes to the log, line by line: its recipe wraps that name.
#include "guard.hpp"

#include <ostream>
#include <streambuf>
#include <string>

namespace {

// Without a buffer of its own, so that threads share nothing in it.
class log_buffer : public std::streambuf {
    static std::string & line() {
        static thread_local std::string line;
        return line;
    }

    std::streamsize xsputn(const char * text, std::streamsize count) override {
        std::string & line = log_buffer::line();
        line.append(text, static_cast<size_t>(count));
        const size_t end = line.rfind('\n');
        if (end != std::string::npos) {
            trifold::log(trifold::log_level::warn, line.data(), end + 1);
            line.erase(0, end + 1);
        }
        return count;
    }

    int_type overflow(int_type character) override {
        if (!traits_type::eq_int_type(character, traits_type::eof())) {
            const char text = traits_type::to_char_type(character);
            xsputn(&text, 1);
        }
        return traits_type::not_eof(character);
    }
};

log_buffer buffer;

} // namespace

extern std::ostream log_stream __asm__("__wrap__ZSt4cerr");
std::ostream log_stream(&buffer);
