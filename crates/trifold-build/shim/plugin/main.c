/* A plugin is a shared library that can be run: `ld.so PLUGIN`. The loader jumps to trifold_plugin_main, which
 * calls glibc as any program's start files do. Those of the machine that builds may ask for a newer glibc;
 * see crates/trifold-build/shim/start.c. */
#include <elf.h>
#include <stddef.h>

#define HIDDEN __attribute__((visibility("hidden")))

typedef void constructor(int, char **, char **);

/* The linker's; of a shared library the only way to its list of constructors. */
extern const Elf64_Dyn _DYNAMIC[] HIDDEN;
extern const Elf64_Ehdr __ehdr_start HIDDEN;

HIDDEN int trifold_plugin_try(int, char **, char **);

/* The loader leaves the constructors of what it runs to its start files. */
HIDDEN void trifold_plugin_construct(int count, char ** arguments, char ** environment) {
    const char * base = (const char *) &__ehdr_start;
    constructor * const * constructors = NULL;
    size_t size = 0;
    for (const Elf64_Dyn * entry = _DYNAMIC; entry->d_tag != DT_NULL; entry++) {
        if (entry->d_tag == DT_INIT_ARRAY) {
            constructors = (constructor * const *) (base + entry->d_un.d_ptr);
        } else if (entry->d_tag == DT_INIT_ARRAYSZ) {
            size = entry->d_un.d_val;
        }
    }
    for (size_t i = 0; constructors != NULL && i < size / sizeof(constructor *); i++) {
        constructors[i](count, arguments, environment);
    }
}

/* As the psABI says: the arguments lie on the stack, and rdx holds a function for the end. */
__asm__(".text\n"
        ".globl trifold_plugin_main\n"
        ".hidden trifold_plugin_main\n"
        ".type trifold_plugin_main, @function\n"
        "trifold_plugin_main:\n"
        ".cfi_startproc\n"
        ".cfi_undefined rip\n"
        "    xorl %ebp, %ebp\n"
        "    movq %rdx, %r9\n"
        "    popq %rsi\n"
        "    movq %rsp, %rdx\n"
        "    andq $-16, %rsp\n"
        "    pushq %rax\n"
        "    pushq %rsp\n"
        "    leaq trifold_plugin_construct(%rip), %rcx\n"
        "    xorl %r8d, %r8d\n"
        "    leaq trifold_plugin_try(%rip), %rdi\n"
        "    call *__libc_start_main@GOTPCREL(%rip)\n"
        "    hlt\n"
        ".cfi_endproc\n"
        ".size trifold_plugin_main, . - trifold_plugin_main\n");
