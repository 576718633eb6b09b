/* Records what a process does to the files of one folder: for tests/store/torn.py, by LD_PRELOAD.
   A record is one letter, the path's length, an offset, a size, the path, and the data written. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILES 1024
static char paths[FILES][512];
#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static int watched(const char *path) {
    const char *root = getenv("RECORD_ROOT");
    size_t length = strlen(path);
    return root && !strncmp(path, root, strlen(root)) && !(length > 4 && !strcmp(path + length - 4, "-shm"));
}

static void record(char op, const char *path, uint64_t offset, const void *data, uint64_t size) {
    static int log = -1;
    struct __attribute__((packed)) { char op; uint16_t length; uint64_t offset, size; } head = {
        op, strlen(path), offset, size};
    if (log < 0)
        log = REAL(open)(getenv("RECORD_LOG"), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    REAL(write)(log, &head, sizeof head);
    REAL(write)(log, path, head.length);
    if (data)
        REAL(write)(log, data, size);
}

static int opened(int fd, const char *path, int flags, int was_there) {
    if (fd >= 0 && fd < FILES) {
        paths[fd][0] = 0;
        if (watched(path)) {
            strncpy(paths[fd], path, sizeof paths[fd] - 1);
            if ((flags & O_CREAT) && !was_there)
                record('c', path, 0, 0, 0);
            if (flags & O_TRUNC)
                record('t', path, 0, 0, 0);
        }
    }
    return fd;
}

#define OPEN(name)                                                      \
    int name(const char *path, int flags, ...) {                        \
        va_list rest;                                                   \
        va_start(rest, flags);                                          \
        int mode = va_arg(rest, int), was_there = !access(path, F_OK);  \
        va_end(rest);                                                   \
        return opened(REAL(name)(path, flags, mode), path, flags, was_there); \
    }
OPEN(open)
OPEN(open64)

static const char *path_of(int fd) { return fd >= 0 && fd < FILES && paths[fd][0] ? paths[fd] : 0; }

int close(int fd) {
    if (fd >= 0 && fd < FILES)
        paths[fd][0] = 0;
    return REAL(close)(fd);
}

ssize_t write(int fd, const void *data, size_t size) {
    off_t at = path_of(fd) ? lseek(fd, 0, SEEK_CUR) : 0;
    if (path_of(fd))
        record('w', path_of(fd), at, data, size);
    return REAL(write)(fd, data, size);
}

#define PWRITE(name, offset_type)                                              \
    ssize_t name(int fd, const void *data, size_t size, offset_type offset) {  \
        if (path_of(fd))                                                       \
            record('w', path_of(fd), offset, data, size);                      \
        return REAL(name)(fd, data, size, offset);                             \
    }
PWRITE(pwrite, off_t)
PWRITE(pwrite64, off64_t)

#define TRUNCATE(name, offset_type)                         \
    int name(int fd, offset_type size) {                    \
        if (path_of(fd))                                    \
            record('t', path_of(fd), size, 0, 0);           \
        return REAL(name)(fd, size);                        \
    }
TRUNCATE(ftruncate, off_t)
TRUNCATE(ftruncate64, off64_t)

#define SYNC(name)                                   \
    int name(int fd) {                               \
        int done = REAL(name)(fd);                   \
        if (path_of(fd))                             \
            record('s', path_of(fd), 0, 0, 0);       \
        return done;                                 \
    }
SYNC(fsync)
SYNC(fdatasync)

int unlink(const char *path) {
    if (watched(path))
        record('u', path, 0, 0, 0);
    return REAL(unlink)(path);
}
