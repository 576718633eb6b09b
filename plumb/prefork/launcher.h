/* What the launcher's files share. */
#ifndef PLUMB_LAUNCHER_H
#define PLUMB_LAUNCHER_H

#define _GNU_SOURCE
#include <limits.h>
#include <signal.h>
#include <stddef.h>

#define DEFAULT_ROOT "/var/lib/plumb"
#define DEFAULT_RUN "/run/plumb"
#define SOCKET "command.sock"
#define COLD_PROGRAM "plumb-python"
#define OWN_PROCESS "PLUMB_OWN_PROCESS"

#define COUNT(list) (sizeof(list) / sizeof((list)[0]))

/* launcher_process.c: the program that is executed, and the signals of this process */
extern char program[PATH_MAX];
extern char **arguments;
extern sigset_t blocked_at_start;

void find_program(void);
void note_signals(void);
void forward_signals(int child);
void give_back_signals(int left_blocked);
_Noreturn void execute(char **command);
_Noreturn void run_here(void);
_Noreturn void run_here_unasked(void);
_Noreturn void end_as_worker(int status, const char *text);

/* launcher_root.c: the root, as plumb/root.py has it */
int find_root(char root[PATH_MAX]);
int can_trust_root(const char *root, const char *folder);

#endif
