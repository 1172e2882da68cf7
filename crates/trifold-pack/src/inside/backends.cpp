// Starts an engine, and prints the backends that it then has, one in each line.
#include <cstddef>
#include <cstdio>

#define JOIN2(a, b, c) a##b##_##c
#define JOIN(a, b, c) JOIN2(a, b, c)
#define ENGINE(name) JOIN(trifold_, TRIFOLD_ENGINE, name)

extern "C" {
// The first argument is the log of every engine; some take more, for calls that are not made here.
void ENGINE(start)(void *, void *, void *);
size_t ENGINE(ggml_backend_reg_count)(void);
void * ENGINE(ggml_backend_reg_get)(size_t);
const char * ENGINE(ggml_backend_reg_name)(void *);
}

int main() {
    ENGINE(start)(nullptr, nullptr, nullptr);
    for (size_t i = 0; i < ENGINE(ggml_backend_reg_count)(); i++) {
        std::puts(ENGINE(ggml_backend_reg_name)(ENGINE(ggml_backend_reg_get)(i)));
    }
}
