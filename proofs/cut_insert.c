/* Kills a process at one of its calls that change files, or has that call fail: preloaded by proofs/cut_insert.py.
 *
 * The file that CUT_AT names holds two numbers of eight bytes, mapped: how many such calls there are still to be (0 or less:
 * nothing happens), and whether the last one is to fail (for want of room) in place of the kill. Where CUT_ONLY is set only
 * those count that match it (fnmatch(3)): "write *data.bin", "rename *tmp_insert_*" (the old path). */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "preloaded.h"

static struct { int64_t left, fails; } *plan;
static const char *only;

__attribute__((constructor)) static void start(void) {
    const char *path = getenv("CUT_AT");
    int file = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (file < 0) return;
    void *mapped = mmap(NULL, sizeof *plan, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    only = getenv("CUT_ONLY");
    if (mapped != MAP_FAILED) plan = mapped;
}

/* Whether this call is to fail; a kill does not come back. */
static int cut(const char *call, const char *path) {
    char line[4200];
    if (!plan || plan->left <= 0) return 0;
    snprintf(line, sizeof line, "%s %s", call, path);
    if (only && fnmatch(only, line, 0) != 0) return 0;
    if (__atomic_sub_fetch(&plan->left, 1, __ATOMIC_SEQ_CST) != 0) return 0;
    if (!plan->fails) {
        kill(getpid(), SIGKILL);
        pause();
    }
    errno = ENOSPC;
    return 1;
}

static int cut_file(const char *call, int file) {
    char link[64], path[4096];
    if (!plan || plan->left <= 0) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, sizeof path - 1);
    path[length < 0 ? 0 : length] = 0;
    return cut(call, path);
}

/* The engine is loaded so that it would find the real calls before these. */
void *dlopen(const char *path, int mode) { return REAL(dlopen)(path, mode & ~RTLD_DEEPBIND); }

int rename(const char *from, const char *to) { return cut("rename", from) ? -1 : REAL(rename)(from, to); }

int open(const char *path, int flags, ...) {
    MODE(flags)
    return (flags & O_CREAT) && cut("open", path) ? -1 : REAL(open)(path, flags, mode);
}

int open64(const char *path, int flags, ...) {
    MODE(flags)
    return (flags & O_CREAT) && cut("open", path) ? -1 : REAL(open64)(path, flags, mode);
}

int mkdir(const char *path, mode_t mode) { return cut("mkdir", path) ? -1 : REAL(mkdir)(path, mode); }

int fsync(int file) { return cut_file("fsync", file) ? -1 : REAL(fsync)(file); }

int fdatasync(int file) { return cut_file("fdatasync", file) ? -1 : REAL(fdatasync)(file); }

ssize_t write(int file, const void *content, size_t length) {
    struct stat found;
    /* Threads wake each other by pipes, now more and now less often. */
    int counts = plan && plan->left > 0 && fstat(file, &found) == 0 && S_ISREG(found.st_mode);
    return counts && cut_file("write", file) ? -1 : REAL(write)(file, content, length);
}
