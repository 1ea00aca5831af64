/* Kills a process at one of its calls that change files, or has that call fail: preloaded by proofs/cut_insert.py.
 *
 * The file that CUT_AT names holds two numbers of eight bytes, mapped: how many such calls there are still to be (0 or less:
 * nothing happens), and whether the last one is to fail (for want of room) in place of the kill. With CUT_RENAMES only
 * those count which put rows in place. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static struct { int64_t left, fails; } *plan;
static int only_renames;

__attribute__((constructor)) static void start(void) {
    const char *path = getenv("CUT_AT");
    int file = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (file < 0) return;
    void *mapped = mmap(NULL, sizeof *plan, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    only_renames = getenv("CUT_RENAMES") != NULL;
    if (mapped != MAP_FAILED) plan = mapped;
}

/* Whether this call is to fail; a kill does not come back. */
static int cut(int puts_in_place) {
    if (!plan || (only_renames && !puts_in_place) || plan->left <= 0) return 0;
    if (__atomic_sub_fetch(&plan->left, 1, __ATOMIC_SEQ_CST) != 0) return 0;
    if (!plan->fails) {
        kill(getpid(), SIGKILL);
        pause();
    }
    errno = ENOSPC;
    return 1;
}

/* The engine is loaded so that it would find the real calls before these. */
void *dlopen(const char *path, int mode) { return REAL(dlopen)(path, mode & ~RTLD_DEEPBIND); }

int rename(const char *from, const char *to) {
    return cut(strstr(from, "/tmp_insert_") != NULL) ? -1 : REAL(rename)(from, to);
}

int mkdir(const char *path, mode_t mode) { return cut(0) ? -1 : REAL(mkdir)(path, mode); }

int fsync(int file) { return cut(0) ? -1 : REAL(fsync)(file); }

int fdatasync(int file) { return cut(0) ? -1 : REAL(fdatasync)(file); }

ssize_t write(int file, const void *content, size_t length) {
    struct stat found;
    /* Threads wake each other by pipes, now more and now less often. */
    int counts = plan && plan->left > 0 && fstat(file, &found) == 0 && S_ISREG(found.st_mode);
    return counts && cut(0) ? -1 : REAL(write)(file, content, length);
}
