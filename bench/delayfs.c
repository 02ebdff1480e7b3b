/* delayfs BACKING MOUNT [FUSE options]: passes everything through, but waits before each operation that a network
   file system sends to its server. The kernel holds a directory's lock over create and rename, as it does for NFS
   and Lustre. Waits, in microseconds, are in the environment: CREATE_US, CLOSE_US, RENAME_US, LOOKUP_US, SETATTR_US.
   Prints the number of each operation when it is unmounted.

   cc -O2 -o delayfs delayfs.c $(pkg-config --cflags --libs fuse3) */

#define FUSE_USE_VERSION 312
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fuse.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

struct operation { const char *name; long wait, count; };
static struct operation create_ = {"CREATE_US"}, close_ = {"CLOSE_US"}, rename_ = {"RENAME_US"},
                        lookup_ = {"LOOKUP_US"}, setattr_ = {"SETATTR_US"};
static char *root;

static void delay(struct operation *operation) {
    __atomic_fetch_add(&operation->count, 1, __ATOMIC_RELAXED);
    struct timespec t = {operation->wait / 1000000, operation->wait % 1000000 * 1000};
    nanosleep(&t, NULL);
}

#define BACKING(to, path) char to[PATH_MAX]; snprintf(to, sizeof to, "%s%s", root, path)
#define RESULT(call) return (call) == -1 ? -errno : 0
typedef struct fuse_file_info Info;

static int do_getattr(const char *path, struct stat *out, Info *info) {
    if (info) RESULT(fstat(info->fh, out));
    BACKING(to, path);
    delay(&lookup_);
    RESULT(lstat(to, out));
}
static int do_readdir(const char *path, void *buffer, fuse_fill_dir_t fill, off_t offset, Info *info,
                      enum fuse_readdir_flags flags) {
    BACKING(to, path);
    DIR *directory = opendir(to);
    if (!directory) return -errno;
    for (struct dirent *entry; (entry = readdir(directory));) fill(buffer, entry->d_name, NULL, 0, 0);
    closedir(directory);
    return 0;
}
static int opened(const char *path, mode_t mode, Info *info, int flags, struct operation *operation) {
    BACKING(to, path);
    delay(operation);
    int descriptor = open(to, info->flags | flags, mode);
    if (descriptor < 0) return -errno;
    info->fh = descriptor;
    return 0;
}
static int do_create(const char *path, mode_t mode, Info *info) {
    return opened(path, mode, info, O_CREAT, &create_);
}
static int do_open(const char *path, Info *info) { return opened(path, 0, info, 0, &lookup_); }
static int do_read(const char *path, char *buffer, size_t size, off_t offset, Info *info) {
    ssize_t count = pread(info->fh, buffer, size, offset);
    return count < 0 ? -errno : count;
}
static int do_write(const char *path, const char *buffer, size_t size, off_t offset, Info *info) {
    ssize_t count = pwrite(info->fh, buffer, size, offset);
    return count < 0 ? -errno : count;
}
static int do_flush(const char *path, Info *info) {
    if ((fcntl(info->fh, F_GETFL) & O_ACCMODE) != O_RDONLY) delay(&close_);
    return 0;
}
static int do_release(const char *path, Info *info) { RESULT(close(info->fh)); }
static int do_fsync(const char *path, int data_only, Info *info) { delay(&close_); return 0; }
static int do_rename(const char *path, const char *target, unsigned flags) {
    BACKING(from, path);
    BACKING(to, target);
    delay(&rename_);
    RESULT(renameat2(AT_FDCWD, from, AT_FDCWD, to, flags));
}
static int do_unlink(const char *path) { BACKING(to, path); delay(&rename_); RESULT(unlink(to)); }
static int do_mkdir(const char *path, mode_t mode) { BACKING(to, path); delay(&create_); RESULT(mkdir(to, mode)); }
static int do_rmdir(const char *path) { BACKING(to, path); RESULT(rmdir(to)); }
static int do_truncate(const char *path, off_t size, Info *info) {
    BACKING(to, path);
    delay(&setattr_);
    RESULT(info ? ftruncate(info->fh, size) : truncate(to, size));
}
static int do_utimens(const char *path, const struct timespec times[2], Info *info) {
    BACKING(to, path);
    delay(&setattr_);
    RESULT(utimensat(AT_FDCWD, to, times, AT_SYMLINK_NOFOLLOW));
}
static int do_chmod(const char *path, mode_t mode, Info *info) {
    BACKING(to, path);
    delay(&setattr_);
    RESULT(chmod(to, mode));
}
static int do_statfs(const char *path, struct statvfs *out) { BACKING(to, path); RESULT(statvfs(to, out)); }
static void *do_init(struct fuse_conn_info *connection, struct fuse_config *config) {
    config->use_ino = config->hard_remove = 1;
    config->entry_timeout = config->attr_timeout = 60;
    config->negative_timeout = 0;
    connection->max_background = 512;
    return NULL;
}
static void do_destroy(void *data) {
    fprintf(stderr, "%ld creates, %ld closes, %ld renames, %ld lookups, %ld setattrs\n", create_.count,
            close_.count, rename_.count, lookup_.count, setattr_.count);
}

static const struct fuse_operations operations = {
    .init = do_init, .destroy = do_destroy, .getattr = do_getattr, .readdir = do_readdir, .create = do_create,
    .open = do_open, .read = do_read, .write = do_write, .flush = do_flush, .release = do_release,
    .fsync = do_fsync, .rename = do_rename, .unlink = do_unlink, .mkdir = do_mkdir, .rmdir = do_rmdir,
    .truncate = do_truncate, .utimens = do_utimens, .chmod = do_chmod, .statfs = do_statfs,
};

int main(int count, char **arguments) {
    struct operation *all[] = {&create_, &close_, &rename_, &lookup_, &setattr_};
    for (int i = 0; i < 5; i++) all[i]->wait = getenv(all[i]->name) ? atol(getenv(all[i]->name)) : 0;
    if (count < 3 || !(root = realpath(arguments[1], NULL))) return 2;
    arguments[1] = arguments[0];
    return fuse_main(count - 1, arguments + 1, &operations, NULL);
}
