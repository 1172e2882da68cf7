/* Two engines, each with a ggml of its own, in one program. */
#include <stdio.h>

int text(const char * path);
int picture(const char * path);

int main(int argc, char ** argv) {
    if (argc != 3) {
        return 9;
    }
    const int failed = text(argv[1]);
    return failed != 0 ? failed : 10 * picture(argv[2]);
}
