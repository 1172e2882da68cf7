// How a program begins on a glibc older than 2.34 (src/glibc.rs). There the start files that the compiler
// links bring the function that runs a program's own constructors; later ones leave that to glibc, and
// a program with them would begin without its constructors on an older one. Newer glibcs take a
// function that is given, as ever.
#define HIDDEN __attribute__((visibility("hidden")))

typedef void constructor(int, char **, char **);

extern constructor * __init_array_start[] HIDDEN;
extern constructor * __init_array_end[] HIDDEN;

// What destructors of static objects are registered with: null stands for the program.
HIDDEN void * __dso_handle = 0;

HIDDEN void trifold_construct(int count, char ** arguments, char ** environment) {
    for (constructor ** each = __init_array_start; each < __init_array_end; each++) {
        (*each)(count, arguments, environment);
    }
}

// As the psABI says: the arguments lie on the stack, and rdx holds a function for the end.
__asm__(".text\n"
        ".globl _start\n"
        ".type _start, @function\n"
        "_start:\n"
        ".cfi_startproc\n"
        ".cfi_undefined rip\n"
        "    xorl %ebp, %ebp\n"
        "    movq %rdx, %r9\n"
        "    popq %rsi\n"
        "    movq %rsp, %rdx\n"
        "    andq $-16, %rsp\n"
        "    pushq %rax\n"
        "    pushq %rsp\n"
        "    leaq trifold_construct(%rip), %rcx\n"
        "    xorl %r8d, %r8d\n"
        "    movq main@GOTPCREL(%rip), %rdi\n"
        "    call *__libc_start_main@GOTPCREL(%rip)\n"
        "    hlt\n"
        ".cfi_endproc\n"
        ".size _start, . - _start\n");
