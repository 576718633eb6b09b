/* The plumb command where a compiler was there when it was installed: plumb/prefork/client.py in C.
 *
 * Python takes ten milliseconds to start, as long as a whole command in a worker of the prefork
 * server. This program sends the worker the same request, forwards the same signals, and ends the
 * same way. Whatever a worker cannot do, the command by itself, is done by the Python program
 * plumb-python, which pip has written into the same folder: this process executes it, so that the
 * caller sees one process throughout.
 *
 * client.py describes the messages. Three differ:
 *   request  its identity is "launcher", its executable is plumb-python's path, and its home and
 *            streams are empty: the server knows them from an earlier call of that program.
 *   begun    exit status and message for a worker that is killed, and the words of a command that
 *            becomes a container's command (become.py), which gets the numbers of three descriptors.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define DEFAULT_ROOT "/var/lib/plumb"
#define DEFAULT_RUN "/run/plumb"
#define SOCKET "command.sock"
#define COLD_PROGRAM "plumb-python"
#define OWN_PROCESS "PLUMB_OWN_PROCESS"
#define TIMEOUT 1 /* seconds that a worker has to begin */
#define MAX_DATAGRAM (1 << 18)
#define MAX_WORDS 16 /* of the command that becomes a container's */
#define MAX_BEGUN 8192

enum { WILLING = 'w', BEGUN = 'b', STATUS = 's', COLD = 'c', BECOME = 'x' };

extern char **environ;

static const int FORWARDED[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP};
static const int IGNORED[] = {SIGPIPE, SIGXFSZ}; /* as Python does, from its start */
#define COUNT(list) (sizeof(list) / sizeof((list)[0]))

static char program[PATH_MAX]; /* plumb-python */
static char **arguments;
static sigset_t blocked_at_start;
static struct sigaction forwarded_before[COUNT(FORWARDED)], ignored_before[COUNT(IGNORED)];
static volatile sig_atomic_t child = -1, forwarded = 0;

/* -- the command by itself --------------------------------------------------------------- */

static void restore_signals(void)
{
    for (size_t i = 0; i < COUNT(FORWARDED); i++)
        sigaction(FORWARDED[i], &forwarded_before[i], NULL);
    for (size_t i = 0; i < COUNT(IGNORED); i++)
        sigaction(IGNORED[i], &ignored_before[i], NULL);
    sigprocmask(SIG_SETMASK, &blocked_at_start, NULL);
}

static _Noreturn void fail(const char *what)
{
    dprintf(2, "plumb: %s: %s; install plumb again\n", what, strerror(errno));
    _exit(126);
}

static _Noreturn void run_here(void)
{
    restore_signals();
    arguments[0] = program;
    execv(program, arguments);
    fail(program);
}

/* -- the root, as plumb/root.py has it ---------------------------------------------------- */

/* Absolute path of the root, without empty parts and single dots; symbolic links and ".." stay. */
static int find_root(char root[PATH_MAX])
{
    char given[2 * PATH_MAX], *rest = given, *part;
    const char *named = getenv("PLUMB_ROOT");
    size_t length = 0;

    if (!named || !*named)
        named = DEFAULT_ROOT;
    if (strlen(named) >= PATH_MAX)
        return -1;
    if (*named == '/')
        strcpy(given, named);
    else {
        if (!getcwd(given, PATH_MAX))
            return -1;
        strcat(given, "/");
        strcat(given, named);
    }
    while ((part = strsep(&rest, "/"))) {
        if (!*part || !strcmp(part, "."))
            continue;
        int added = snprintf(root + length, PATH_MAX - length, "/%s", part);
        if (added < 0 || (size_t)added >= PATH_MAX - length)
            return -1;
        length += added;
    }
    if (!length)
        strcpy(root, "/");
    return 0;
}

static int is_ours(const struct stat *found, int directory)
{
    return found->st_uid == geteuid() && !(found->st_mode & (S_IWGRP | S_IWOTH)) &&
           (S_ISDIR(found->st_mode) != 0) == directory;
}

/* A path that does not exist can be trusted; a symbolic link cannot. */
static int can_trust(const char *folder, const char *name, int directory)
{
    char path[2 * PATH_MAX];
    struct stat found;

    snprintf(path, sizeof path, "%s%s", folder, name);
    return lstat(path, &found) || is_ours(&found, directory);
}

static int can_trust_root(const char *root, const char *folder)
{
    struct stat link, found;

    if (!lstat(root, &link) && !stat(root, &found) &&
        (link.st_uid != geteuid() || !is_ours(&found, 1)))
        return 0;
    return (!strcmp(folder, root) || can_trust(folder, "", 1)) && can_trust(folder, "/netns", 1) &&
           can_trust(folder, "/fixes", 1) && can_trust(root, "/containers", 1) &&
           can_trust(root, "/plumb.db", 0) && can_trust(root, "/plumb.db-wal", 0) &&
           can_trust(root, "/plumb.db-shm", 0) && can_trust(folder, "/agent.sock", 0) &&
           can_trust(folder, "/" SOCKET, 0);
}

/* -- the request -------------------------------------------------------------------------- */

static char message[MAX_DATAGRAM];
static size_t size;

static int append(const char *part)
{
    size_t length = strlen(part) + 1; /* with the NUL, which separates it from the next */

    if (length > sizeof message - size)
        return -1;
    memcpy(message + size, part, length);
    size += length;
    return 0;
}

static int append_blocked(void)
{
    char numbers[4 * 65] = "";
    size_t length = 0;

    for (int number = 1; number < SIGRTMAX + 1; number++)
        if (sigismember(&blocked_at_start, number) == 1)
            length += sprintf(numbers + length, "%d ", number);
    return append(numbers);
}

static int compose(int count)
{
    char number[12];

    sprintf(number, "%d", count);
    if (append("launcher") || append(program) || append("") || append_blocked() || append("") ||
        append("") || append("") || append(number))
        return -1;
    for (char **word = arguments; *word; word++)
        if (append(*word))
            return -1;
    for (char **entry = environ; *entry; entry++) {
        if (**entry == '=')
            return -1; /* a variable without a name cannot be set in another process */
        if (strchr(*entry, '=') && append(*entry))
            return -1;
    }
    size--;
    return 0;
}

/* Whether only the caller's own process can run the command; see ask() in client.py. */
static int must_run_here(void)
{
    const char *warm = getenv("PLUMB_WARM"), *paths[] = {getenv("PLUMB_CONFIG"), getenv("PLUMB_ROOT")};

    if (warm && !strcmp(warm, "0"))
        return 1;
    for (char **word = arguments + 1; *arguments && *word; word++)
        if (strstr(*word, "/fd/"))
            return 1;
    for (size_t i = 0; i < COUNT(paths); i++)
        if (paths[i] && strstr(paths[i], "/fd/"))
            return 1;
    for (int number = 0; number < 3; number++)
        if (fcntl(number, F_GETFD) < 0)
            return 1;
    return 0;
}

/* -- the connection ----------------------------------------------------------------------- */

static int set_timeout(int connection, int seconds)
{
    struct timeval time = {.tv_sec = seconds};

    return setsockopt(connection, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof time) ||
           setsockopt(connection, SOL_SOCKET, SO_SNDTIMEO, &time, sizeof time);
}

/* The path may be another since can_trust_root. */
static int listener_is_ours(int connection)
{
    struct ucred listener;
    socklen_t length = sizeof listener;

    return !getsockopt(connection, SOL_SOCKET, SO_PEERCRED, &listener, &length) &&
           listener.uid == geteuid();
}

static int connect_to(const char *folder)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int connection = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0), through = -1, failed;

    if (connection < 0 || set_timeout(connection, TIMEOUT))
        return -1;
    if (strlen(folder) + sizeof "/" SOCKET <= sizeof address.sun_path)
        snprintf(address.sun_path, sizeof address.sun_path, "%.94s/" SOCKET, folder);
    else {
        through = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
        snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/" SOCKET, through);
    }
    failed = connect(connection, (struct sockaddr *)&address, sizeof address);
    if (through >= 0)
        close(through);
    return failed || !listener_is_ours(connection) ? -1 : connection;
}

static int send_streams(int connection, int liveness)
{
    int streams[] = {0, 1, 2, liveness};
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(sizeof streams)];
    } control = {.header = {.cmsg_len = CMSG_LEN(sizeof streams),
                            .cmsg_level = SOL_SOCKET,
                            .cmsg_type = SCM_RIGHTS}};
    struct iovec data = {"d", 1};
    struct msghdr packet = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = &control,
                            .msg_controllen = sizeof control};

    memcpy(CMSG_DATA(&control.header), streams, sizeof streams);
    return sendmsg(connection, &packet, MSG_NOSIGNAL) == 1 ? 0 : -1;
}

/* The worker's pidfd; -1 if none has begun. What it says is in `message`, its bytes in `size`. */
static int begun(int connection)
{
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(sizeof(int))];
    } control = {.room = {0}};
    struct iovec data = {message, MAX_BEGUN};
    struct msghdr packet = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = &control,
                            .msg_controllen = sizeof control};
    ssize_t length = recvmsg(connection, &packet, MSG_CMSG_CLOEXEC);
    struct cmsghdr *rights = length > 0 ? CMSG_FIRSTHDR(&packet) : NULL;
    int descriptor;

    if (!rights || rights->cmsg_type != SCM_RIGHTS || message[0] != BEGUN ||
        packet.msg_flags & (MSG_TRUNC | MSG_CTRUNC))
        return -1;
    memcpy(&descriptor, CMSG_DATA(rights), sizeof descriptor);
    message[length] = 0;
    size = length;
    return descriptor;
}

/* -- while the worker works --------------------------------------------------------------- */

static void tell_worker(int number)
{
    syscall(SYS_pidfd_send_signal, child, number, NULL, 0);
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
        tell_worker(number);
        forwarded = number;
    }
    errno = before;
}

static void forward_signals(void)
{
    struct sigaction action = {.sa_handler = forward, .sa_flags = SA_RESTART};

    for (size_t i = 0; i < COUNT(FORWARDED); i++)
        if (forwarded_before[i].sa_handler != SIG_IGN) /* nohup stays nohup */
            sigaction(FORWARDED[i], &action, NULL);
}

/* First byte of the next message, with the text behind it; 0 if the worker has ended. */
static int receive(int connection, char *text, size_t room, int flags)
{
    ssize_t length;

    do
        length = recv(connection, text, room - 1, flags);
    while (length < 0 && errno == EINTR);
    text[length > 0 ? length : 0] = 0;
    return length > 0 ? text[0] : 0;
}

/* Become a container's command, by become.py; the worker's message waits for it. */
static _Noreturn void become(char *words, const char *end, const int descriptors[3])
{
    char *command[MAX_WORDS + 4], numbers[3][12];
    size_t count = 0;

    while (words < end && count < MAX_WORDS) {
        command[count++] = words;
        words += strlen(words) + 1;
    }
    for (int i = 0; i < 3; i++) {
        fcntl(descriptors[i], F_SETFD, 0);
        sprintf(numbers[i], "%d", descriptors[i]);
        command[count++] = numbers[i];
    }
    command[count] = NULL;
    restore_signals();
    execv(command[0], command);
    fail(command[0]);
}

static _Noreturn void end_as_worker(int status, const char *text)
{
    restore_signals();
    if (forwarded) {
        signal(forwarded, SIG_DFL);
        raise(forwarded);
    }
    dprintf(2, "%s\n", text);
    _exit(status);
}

static _Noreturn void wait_for(int connection, int liveness)
{
    char text[32];
    const int descriptors[] = {connection, child, liveness};
    char *status = message + 1, *killed = status + strlen(status) + 1;

    switch (receive(connection, text, sizeof text, MSG_PEEK)) {
    case STATUS:
        receive(connection, text, sizeof text, 0);
        receive(connection, message, 2, 0); /* that it has gone, and keeps nothing open */
        _exit(atoi(text + 1));
    case BECOME:
        become(killed + strlen(killed) + 1, message + size, descriptors);
    case COLD:
        sprintf(text, "%d", getpid());
        setenv(OWN_PROCESS, text, 1); /* or plumb-python would ask once more */
        run_here();
    default:
        end_as_worker(atoi(status), killed);
    }
}

/* -- main --------------------------------------------------------------------------------- */

static int find_program(void)
{
    ssize_t length = readlink("/proc/self/exe", program, sizeof program);
    char *name;

    if (length < 1 || length >= (ssize_t)(sizeof program - sizeof COLD_PROGRAM))
        return -1;
    program[length] = 0;
    name = strrchr(program, '/') + 1;
    strcpy(name, COLD_PROGRAM);
    return 0;
}

static void note_signals(void)
{
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    sigset_t unheard;

    for (size_t i = 0; i < COUNT(FORWARDED); i++)
        sigaction(FORWARDED[i], NULL, &forwarded_before[i]);
    for (size_t i = 0; i < COUNT(IGNORED); i++)
        sigaction(IGNORED[i], &ignore, &ignored_before[i]);
    sigemptyset(&unheard);
    for (size_t i = 0; i < COUNT(FORWARDED); i++)
        sigaddset(&unheard, FORWARDED[i]);
    sigprocmask(SIG_BLOCK, &unheard, &blocked_at_start); /* as long as nobody can be told of them */
}

int main(int count, char **words)
{
    char root[PATH_MAX], reply;
    const char *folder = root;
    int connection, liveness[2];

    arguments = words;
    if (find_program())
        fail("/proc/self/exe");
    note_signals();
    if (count < 1 || must_run_here() || find_root(root))
        run_here();
    if (!strcmp(root, DEFAULT_ROOT))
        folder = DEFAULT_RUN;
    if (!can_trust_root(root, folder) || (connection = connect_to(folder)) < 0)
        run_here();
    if (pipe2(liveness, O_CLOEXEC) || compose(count) ||
        send(connection, message, size, MSG_NOSIGNAL) != (ssize_t)size ||
        recv(connection, &reply, 1, 0) != 1 || reply != WILLING ||
        send_streams(connection, liveness[0]) || (child = begun(connection)) < 0 ||
        set_timeout(connection, 0))
        run_here(); /* who begins only now is killed: the pipe's end closes */
    close(liveness[0]);
    forward_signals();
    sigprocmask(SIG_SETMASK, &blocked_at_start, NULL);
    wait_for(connection, liveness[1]);
}
