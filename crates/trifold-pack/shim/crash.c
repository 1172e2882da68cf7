/*
 * Preloaded into the processes that `coload` starts. On a fatal signal, or when the parent asks with SIGQUIT, it writes
 * down where the process is. Only async-signal-safe calls after start-up: the heap may be what is broken. Symbols are
 * looked up by the parent.
 *
 * The report is text, one item a line:
 *   ready PID
 *   signal NUMBER CODE ADDRESS PC
 *   maps
 *   ... /proc/self/maps ...
 *   end maps
 *   frame ADDRESS        innermost first, from this handler on; an address inside of the call, not after it
 *   end
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <ucontext.h>
#include <unistd.h>
#include <unwind.h>

enum { STACK = 256 * 1024, FRAMES = 128, OUT_OF_THE_WAY = 200, UNWIND_SECONDS = 5 };

static const int FATAL[] = {SIGSEGV, SIGABRT, SIGBUS, SIGILL, SIGFPE};

static int report = -1;
static pid_t owner;
static volatile sig_atomic_t fatal;

static void put(const char *text, size_t length) {
    while (length > 0) {
        ssize_t written = write(report, text, length);
        if (written <= 0) {
            return;
        }
        text += written;
        length -= (size_t)written;
    }
}

static void put_text(const char *text) { put(text, strlen(text)); }

static void put_number(uint64_t value, unsigned base) {
    char digits[24];
    size_t at = sizeof digits;
    do {
        digits[--at] = "0123456789abcdef"[value % base];
        value /= base;
    } while (value != 0);
    put(digits + at, sizeof digits - at);
}

static void put_address(uintptr_t value) {
    put_text("0x");
    put_number(value, 16);
}

static void put_maps(void) {
    char block[4096];
    int maps = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
    if (maps < 0) {
        return;
    }
    put_text("maps\n");
    for (ssize_t got; (got = read(maps, block, sizeof block)) > 0;) {
        put(block, (size_t)got);
    }
    put_text("end maps\n");
    close(maps);
}

struct walk {
    int count;
    uintptr_t last;
};

static _Unwind_Reason_Code frame(struct _Unwind_Context *context, void *data) {
    struct walk *walk = data;
    int before = 0;
    uintptr_t address = _Unwind_GetIPInfo(context, &before);
    if (address == 0 && walk->count > 2) {
        return _URC_END_OF_STACK;
    }
    /* A return address is that of the next instruction, which may belong to the next function. */
    address -= before ? 0 : 1;
    put_text("frame ");
    put_address(address);
    put_text("\n");
    walk->last = address;
    return ++walk->count < FRAMES ? _URC_NO_REASON : _URC_END_OF_STACK;
}

static void give_up(int number) {
    (void)number;
    sigset_t blocked;
    sigemptyset(&blocked);
    sigaddset(&blocked, fatal);
    signal(fatal, SIG_DFL);
    sigprocmask(SIG_UNBLOCK, &blocked, NULL);
    raise(fatal);
}

static void handle(int number, siginfo_t *info, void *context) {
    const mcontext_t *machine = &((ucontext_t *)context)->uc_mcontext;
    uintptr_t pc = 0, sp = 0;
#if defined(__x86_64__)
    pc = (uintptr_t)machine->gregs[REG_RIP];
    sp = (uintptr_t)machine->gregs[REG_RSP];
#elif defined(__aarch64__)
    pc = machine->pc;
    sp = machine->sp;
#endif
    if (getpid() == owner) {
        if (number != SIGQUIT) {
            /* Unwinding may wait for the loader's lock, which another thread may hold for ever. */
            fatal = number;
            signal(SIGALRM, give_up);
            alarm(UNWIND_SECONDS);
        }
        put_text("signal ");
        put_number((uint64_t)number, 10);
        put_text(info->si_code < 0 ? " -" : " ");
        put_number((uint64_t)(info->si_code < 0 ? -(int64_t)info->si_code : info->si_code), 10);
        put_text(" ");
        put_address((uintptr_t)info->si_addr);
        put_text(" ");
        put_address(pc);
        put_text("\n");
        put_maps();
        struct walk walk = {0, 0};
        _Unwind_Backtrace(frame, &walk);
        if (walk.last == pc && sp != 0) {
            /* Jumped to where no code is, such as a null function: who did is on the top of the stack. */
            put_text("frame ");
            put_address(*(const uintptr_t *)sp - 1);
            put_text("\n");
        }
        put_text("end\n");
    }
    if (number != SIGQUIT) {
        signal(number, SIG_DFL);
        raise(number);
    }
}

__attribute__((constructor)) static void start(void) {
    const char *path = getenv("TRIFOLD_COLOAD_REPORT");
    if (path == NULL) {
        return;
    }
    /* Ended with the program that started it, however that ends. */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    int low = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (low < 0) {
        return;
    }
    report = fcntl(low, F_DUPFD_CLOEXEC, OUT_OF_THE_WAY);
    if (report < 0) {
        report = low;
    } else {
        close(low);
    }
    owner = getpid();

    stack_t stack = {.ss_size = STACK};
    stack.ss_sp = mmap(NULL, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (stack.ss_sp != MAP_FAILED) {
        sigaltstack(&stack, NULL);
    }
    struct sigaction action = {.sa_sigaction = handle, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    sigfillset(&action.sa_mask);
    sigdelset(&action.sa_mask, SIGALRM);
    for (size_t i = 0; i < sizeof FATAL / sizeof *FATAL; i++) {
        /* A crash while the crash is written ends the process. */
        sigdelset(&action.sa_mask, FATAL[i]);
    }
    for (size_t i = 0; i < sizeof FATAL / sizeof *FATAL; i++) {
        action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESETHAND;
        sigaction(FATAL[i], &action, NULL);
    }
    action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART;
    sigaction(SIGQUIT, &action, NULL);
    put_text("ready ");
    put_number((uint64_t)owner, 10);
    put_text("\n");
}
