/* The plumb command where a compiler was there when it was installed: plumb/prefork/client.py in C.
 *
 * Python takes ten milliseconds to start, as long as a whole command in a worker of the prefork
 * server. This program sends the worker the same request, forwards the same signals, and ends the
 * same way. Whatever a worker cannot do, the command by itself, is done by the Python program
 * plumb-python, which pip has written into the same folder: this process executes it, so that the
 * caller sees one process throughout.
 *
 * launcher_process.c has that and the signals, launcher_root.c the root; client.py describes the
 * messages. Two differ:
 *   request  its identity is "launcher", its executable is plumb-python's path, and its home and
 *            streams are empty: the server knows them from an earlier call of that program.
 *   begun    exit status and message for a worker that is killed, and the words of a command that
 *            becomes a container's command (become.py), which gets the numbers of three descriptors,
 *            and whether SIGINT, which is blocked until then, is to be unblocked.
 */
#include "launcher.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#ifndef TIMEOUT
#define TIMEOUT 1 /* seconds that a worker has for each answer */
#endif
#define MAX_DATAGRAM (1 << 18)
#define MAX_WORDS 16 /* of the command that becomes a container's */
#define MAX_BEGUN 8192

enum { WILLING = 'w', BEGUN = 'b', STATUS = 's', COLD = 'c', BECOME = 'x' };

extern char **environ;

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
    struct stat found;

    if (warm && !strcmp(warm, "0"))
        return 1;
    for (char **word = arguments + 1; *arguments && *word; word++)
        if (strstr(*word, "/fd/"))
            return 1;
    for (size_t i = 0; i < COUNT(paths); i++)
        if (paths[i] && strstr(paths[i], "/fd/"))
            return 1;
    for (int number = 0; number < 3; number++)
        if (fstat(number, &found) || S_ISDIR(found.st_mode))
            return 1; /* Python starts without the one, and not with the other */
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
    do
        failed = connect(connection, (struct sockaddr *)&address, sizeof address);
    while (failed && errno == EINTR);
    if (through >= 0)
        close(through);
    return failed || !listener_is_ours(connection) ? -1 : connection;
}

static long now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000L + time.tv_nsec / 1000000;
}

/* Wait for a packet, TIMEOUT at most. What has come while this process was stopped is there too. */
static void await_packet(int connection)
{
    struct pollfd waiting = {.fd = connection, .events = POLLIN};
    long deadline = now() + TIMEOUT * 1000L, left = TIMEOUT * 1000L;

    while (poll(&waiting, 1, left > 0 ? left : 0) < 0 && errno == EINTR)
        left = deadline - now();
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

/* The worker's pidfd; -1 if none has said that it has begun. What it says is in `message`, its bytes in `size`. */
static int begun(int connection)
{
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(sizeof(int))];
    } control = {.room = {0}};
    struct iovec data = {message, MAX_BEGUN};
    struct msghdr packet = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = &control,
                            .msg_controllen = sizeof control};
    ssize_t length = recvmsg(connection, &packet, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
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

/* Wait until a worker has begun; its pidfd, or -1: then none has, and none will.
 *
 * Who has the streams ends as soon as the other end of the liveness pipe is closed, before it
 * begins; who has begun before has said so before. So the second look is the last word.
 */
static int await_begun(int connection, int *kept_open)
{
    int child;

    await_packet(connection);
    if ((child = begun(connection)) >= 0)
        return child;
    close(*kept_open);
    *kept_open = open("/dev/null", O_RDONLY | O_CLOEXEC);
    return begun(connection);
}

/* Ask for a worker, and give it the streams; its pidfd. */
static int ask(int connection, int count, int *kept_open)
{
    int liveness[2], child;
    char reply = 0;

    if (pipe2(liveness, O_CLOEXEC) || compose(count) ||
        send(connection, message, size, MSG_NOSIGNAL) != (ssize_t)size)
        run_here();
    await_packet(connection);
    recv(connection, &reply, 1, MSG_DONTWAIT);
    if (reply == COLD)
        run_here_unasked();
    if (reply != WILLING || send_streams(connection, liveness[0]))
        run_here();
    *kept_open = liveness[1];
    if ((child = await_begun(connection, kept_open)) < 0 || set_timeout(connection, 0))
        run_here();
    close(liveness[0]);
    return child;
}

/* -- while the worker works --------------------------------------------------------------- */

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
    char *command[MAX_WORDS + 5], numbers[3][12];
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
    command[count++] = sigismember(&blocked_at_start, SIGINT) == 1 ? "0" : "1";
    command[count] = NULL;
    give_back_signals(SIGINT); /* resume() in client.py unblocks it */
    execute(command);
}

static _Noreturn void wait_for(int connection, int child, int liveness)
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
        run_here_unasked();
    default:
        end_as_worker(atoi(status), killed);
    }
}

int main(int count, char **words)
{
    char root[PATH_MAX];
    const char *folder = root;
    int connection, child, kept_open;

    if (count < 1)
        _exit(126);
    if (getauxval(AT_SECURE)) {
        dprintf(2, "plumb: it runs neither setuid nor with capabilities of its file; use sudo\n");
        _exit(126);
    }
    arguments = words;
    find_program();
    note_signals();
    if (must_run_here() || find_root(root))
        run_here();
    if (!strcmp(root, DEFAULT_ROOT))
        folder = DEFAULT_RUN;
    if (!can_trust_root(root, folder) || (connection = connect_to(folder)) < 0)
        run_here();
    child = ask(connection, count, &kept_open);
    forward_signals(child);
    wait_for(connection, child, kept_open);
}
