/* The launcher's process: the program that it executes, and the signals that it forwards. */
#include "launcher.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <unistd.h>

static const int FORWARDED[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP};
static const int IGNORED[] = {SIGPIPE, SIGXFSZ}; /* as Python does, from its start */

char program[PATH_MAX]; /* plumb-python */
char **arguments;
sigset_t blocked_at_start;
static struct sigaction forwarded_before[COUNT(FORWARDED)], ignored_before[COUNT(IGNORED)];
static volatile sig_atomic_t worker = -1, forwarded = 0;

/* -- the program -------------------------------------------------------------------------- */

static _Noreturn void fail(const char *what)
{
    dprintf(2, "plumb: %s: %s; install plumb again\n", what, strerror(errno));
    _exit(126);
}

/* Take the program from a folder, named by its first bytes, if it is there. */
static int take(const char *folder, size_t length)
{
    int written = snprintf(program, sizeof program, "%.*s/" COLD_PROGRAM, (int)length, folder);

    return written > 0 && (size_t)written < sizeof program && !access(program, X_OK);
}

static int take_beside(const char *file)
{
    return take(file, strrchr(file, '/') - file);
}

static int take_from_path(void)
{
    const char *entry = getenv("PATH");

    while (entry && *entry) {
        size_t length = strcspn(entry, ":");
        if (*entry == '/' && take(entry, length))
            return 1;
        entry += length + (entry[length] == ':');
    }
    return 0;
}

/* Find the program: beside this file; for a copy or a hard link of it, in PATH. */
void find_program(void)
{
    char file[PATH_MAX], missing[PATH_MAX];
    const char *started = (const char *)getauxval(AT_EXECFN);
    ssize_t length = readlink("/proc/self/exe", file, sizeof file - 1);

    if (length > 0)
        file[length] = 0;
    else if (!started || !realpath(started, file)) /* there is no /proc */
        fail("/proc/self/exe");
    if (take_beside(file))
        return;
    strcpy(missing, program);
    if (take_from_path())
        return;
    errno = ENOENT;
    fail(missing);
}

/* -- signals ------------------------------------------------------------------------------ */

static void block_forwarded(sigset_t *before)
{
    sigset_t unheard;

    sigemptyset(&unheard);
    for (size_t i = 0; i < COUNT(FORWARDED); i++)
        sigaddset(&unheard, FORWARDED[i]);
    sigprocmask(SIG_BLOCK, &unheard, before);
}

/* Remember how the caller has set them, and block them as long as nobody can be told of them. */
void note_signals(void)
{
    struct sigaction ignore = {.sa_handler = SIG_IGN};

    for (size_t i = 0; i < COUNT(FORWARDED); i++)
        sigaction(FORWARDED[i], NULL, &forwarded_before[i]);
    for (size_t i = 0; i < COUNT(IGNORED); i++)
        sigaction(IGNORED[i], &ignore, &ignored_before[i]);
    block_forwarded(&blocked_at_start);
}

static void tell_worker(int number)
{
    syscall(SYS_pidfd_send_signal, worker, number, NULL, 0);
}

static void forward(int number)
{
    int before = errno;

    if (number == SIGTSTP) { /* the worker has no terminal whose SIGTSTP would stop it */
        struct sigaction usual = {.sa_handler = SIG_DFL}, own;
        sigset_t stop;

        tell_worker(SIGSTOP);
        sigaction(SIGTSTP, &usual, &own);
        raise(SIGTSTP); /* the kernel discards it in a group that no shell waits for */
        sigemptyset(&stop);
        sigaddset(&stop, SIGTSTP);
        sigprocmask(SIG_UNBLOCK, &stop, NULL);
        sigprocmask(SIG_BLOCK, &stop, NULL);
        sigaction(SIGTSTP, &own, NULL);
        tell_worker(SIGCONT);
    } else {
        forwarded = number; /* first, as the worker may have ended */
        tell_worker(number);
    }
    errno = before;
}

/* Send signals on to the worker with that pidfd from now on. */
void forward_signals(int child)
{
    struct sigaction action = {.sa_handler = forward, .sa_flags = SA_RESTART};

    worker = child;
    for (size_t i = 0; i < COUNT(FORWARDED); i++)
        if (forwarded_before[i].sa_handler != SIG_IGN) /* nohup stays nohup */
            sigaction(FORWARDED[i], &action, NULL);
    sigprocmask(SIG_SETMASK, &blocked_at_start, NULL);
}

/* Whether Ctrl-C has come that nobody was told of, or whose worker does nothing for it. */
static int is_interrupted(void)
{
    sigset_t pending;

    sigpending(&pending);
    return sigismember(&pending, SIGINT) == 1 && sigismember(&blocked_at_start, SIGINT) == 0 &&
           forwarded_before[0].sa_handler == SIG_DFL;
}

/* Set signals as the caller had them, but leave one blocked; what has come meanwhile comes now. */
void give_back_signals(int left_blocked)
{
    sigset_t mask = blocked_at_start;

    block_forwarded(NULL);
    for (size_t i = 0; i < COUNT(FORWARDED); i++)
        sigaction(FORWARDED[i], &forwarded_before[i], NULL);
    for (size_t i = 0; i < COUNT(IGNORED); i++)
        sigaction(IGNORED[i], &ignored_before[i], NULL);
    if (forwarded)
        raise(forwarded); /* blocked still */
    if (is_interrupted()) {
        dprintf(2, "plumb: interrupted\n"); /* as plumb/__main__.py */
        _exit(130);
    }
    if (left_blocked)
        sigaddset(&mask, left_blocked);
    sigprocmask(SIG_SETMASK, &mask, NULL);
}

/* -- ends --------------------------------------------------------------------------------- */

_Noreturn void execute(char **command)
{
    execv(command[0], command);
    fail(command[0]);
}

/* Run the command in this process, by the Python program. */
_Noreturn void run_here(void)
{
    give_back_signals(0);
    arguments[0] = program;
    execute(arguments);
}

/* The same, where a worker has said so already: the program need not ask once more. */
_Noreturn void run_here_unasked(void)
{
    char number[12];

    sprintf(number, "%d", getpid());
    setenv(OWN_PROCESS, number, 1);
    run_here();
}

/* End as the worker did, which was killed: by the signal that was sent on to it, if any. */
_Noreturn void end_as_worker(int status, const char *text)
{
    give_back_signals(0);
    if (forwarded) {
        signal(forwarded, SIG_DFL);
        raise(forwarded);
    }
    dprintf(2, "%s\n", text);
    _exit(status);
}
