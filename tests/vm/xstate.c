/* A ptrace for User-mode Linux on processors with more registers than it has room for.

   It keeps a process's registers by PTRACE_GETREGSET in 2,696 bytes, which is all up to AVX-512. With AMX there are
   11,008: the machine's kernel gives as many as there is room for, and does not take back less than all (EFAULT). Here
   the rest is put behind them as unused, which it is: the kernel gives AMX to none who has not asked for it. */

#define _GNU_SOURCE
#include <cpuid.h>
#include <dlfcn.h>
#include <elf.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>

#define XSTATE_BV 512           /* in the area of XSAVE: which registers are not in their initial state */
#define AMX (3UL << 17)         /* XTILECFG, XTILEDATA */

static long (*next)(enum __ptrace_request, ...);
static char whole[1 << 16];
static size_t size;

__attribute__((constructor)) static void begin(void)
{
    unsigned eax, enabled = 0, ecx, edx;

    next = (long (*)(enum __ptrace_request, ...))dlsym(RTLD_NEXT, "ptrace");
    __get_cpuid_count(0xd, 0, &eax, &enabled, &ecx, &edx);
    size = enabled <= sizeof(whole) ? enabled : 0;
}

static long set_all(pid_t pid, void *type, const struct iovec *given)
{
    struct iovec all = {whole, size};

    memset(whole, 0, size);
    memcpy(whole, given->iov_base, given->iov_len);
    *(uint64_t *)(whole + XSTATE_BV) &= ~AMX;
    return next(PTRACE_SETREGSET, pid, type, &all);
}

long ptrace(enum __ptrace_request request, ...)
{
    va_list words;
    va_start(words, request);
    pid_t pid = va_arg(words, pid_t);
    void *address = va_arg(words, void *);
    void *data = va_arg(words, void *);
    va_end(words);

    if (request == PTRACE_SETREGSET && address == (void *)NT_X86_XSTATE && ((struct iovec *)data)->iov_len < size)
        return set_all(pid, address, data);
    return next(request, pid, address, data);
}
