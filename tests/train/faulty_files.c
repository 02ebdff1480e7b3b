/* Preloaded into a process: writing to files whose path contains a text fails with a chosen errno, as it does on
   a full disk (ENOSPC), a broken one (EIO) or a network file system whose server came back (ESTALE). Locks fail
   with the errno in MRC_FAULT_FLOCK. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static char failing[256];
static int fault;
static int hits;

/* Called through ctypes: from now on writing to paths that contain `text` fails; none if it is empty. */
void fault_set(const char *text, int number) {
    strncpy(failing, text, sizeof failing - 1);
    fault = number;
    hits = 0;
}

int fault_hits(void) { return hits; }

static int fails(const char *path) {
    if (!failing[0] || !path || !strstr(path, failing)) return 0;
    hits++;
    errno = fault;
    return 1;
}

static int fails_fd(int fd) {
    char link[32], path[4096];
    if (!failing[0]) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return fails(path);
}

#define NEXT(name) ((__typeof__(&name)) dlsym(RTLD_NEXT, #name))

#define OPENS(name)                                                             \
    int name(const char *path, int flags, ...) {                                \
        va_list arguments;                                                      \
        va_start(arguments, flags);                                             \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(arguments, mode_t) : 0; \
        va_end(arguments);                                                      \
        if ((flags & (O_WRONLY | O_RDWR)) && fails(path)) return -1;            \
        return NEXT(name)(path, flags, mode);                                   \
    }

OPENS(open)
OPENS(open64)

ssize_t write(int fd, const void *data, size_t size) {
    return fails_fd(fd) ? -1 : NEXT(write)(fd, data, size);
}

size_t fwrite(const void *data, size_t size, size_t count, FILE *file) {
    return fails_fd(fileno(file)) ? 0 : NEXT(fwrite)(data, size, count, file);
}

int fflush(FILE *file) {
    return file && fails_fd(fileno(file)) ? EOF : NEXT(fflush)(file);
}

int flock(int fd, int operation) {
    const char *number = getenv("MRC_FAULT_FLOCK");
    (void) fd;
    if (number) {
        errno = atoi(number);
        return -1;
    }
    return ((int (*)(int, int)) dlsym(RTLD_NEXT, "flock"))(fd, operation);
}
