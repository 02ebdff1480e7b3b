/* Preloaded into a process: writing to files whose path contains a text fails with a chosen errno, as it does on
   a full disk (ENOSPC), a broken one (EIO) or a network file system whose server came back (ESTALE). The texts and
   numbers are those in MRC_FAULTS=text:errno,..., or the one that the process sets itself. A text that starts with
   "fsync " fails only when the file is flushed, where network file systems report what they could not write. Locks fail with the
   errno in MRC_FAULT_FLOCK. fsync of files whose path contains "/model-" waits until the file
   MRC_SAVE_WAITS_FOR exists. */

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

#define MAX_FAULTS 64

static struct { char text[256]; int number; } faults[MAX_FAULTS];
static int count;
static int hits;

static void add(const char *text, int number) {
    strncpy(faults[count].text, text, sizeof faults[count].text - 1);
    faults[count++].number = number;
}

__attribute__((constructor)) static void read_environment(void) {
    const char *list = getenv("MRC_FAULTS");
    char *copy = list ? strdup(list) : NULL, *rest = NULL;
    for (char *item = copy ? strtok_r(copy, ",", &rest) : NULL; item && count < MAX_FAULTS;
         item = strtok_r(NULL, ",", &rest)) {
        char *colon = strrchr(item, ':');
        if (!colon) continue;
        *colon = 0;
        add(item, atoi(colon + 1));
    }
    free(copy);
}

/* Called through ctypes: from now on writing to paths that contain `text` fails; none if it is empty. */
void fault_set(const char *text, int number) {
    count = hits = 0;
    memset(faults, 0, sizeof faults);
    if (text[0]) add(text, number);
}

int fault_hits(void) { return hits; }

static int fails_at(const char *path, int at_fsync) {
    for (int i = 0; path && i < count; i++) {
        int only_fsync = !strncmp(faults[i].text, "fsync ", 6);
        if (only_fsync != at_fsync || !strstr(path, faults[i].text + (only_fsync ? 6 : 0))) continue;
        hits++;
        errno = faults[i].number;
        return 1;
    }
    return 0;
}

static int fails(const char *path) { return fails_at(path, 0); }

static int fails_fd(int fd) {
    char link[32], path[4096];
    if (!count) return 0;
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

int fsync(int fd) {
    char link[32], path[4096];
    const char *awaited = getenv("MRC_SAVE_WAITS_FOR");
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    path[length > 0 ? length : 0] = 0;
    while (awaited && strstr(path, "/model-") && access(awaited, F_OK)) usleep(50000);
    return fails_at(path, 1) ? -1 : NEXT(fsync)(fd);
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
