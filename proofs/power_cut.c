/* Records what a file layer that drops unsynced writes would keep. Preloaded into an edge by proofs/power_cut.py.
 *
 * Of each file made in one directory it keeps a second name elsewhere, so that what is unlinked or replaced can be brought
 * back, and one line per event in a log: what was made, moved, removed and cut, and, at the end of each sync, how long
 * the file was when the sync began. What a sync of the directory covers is likewise what was logged before it began. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "preloaded.h"

static const char *directory, *graves;
static size_t prefix;
static int log_file = -1;
static dev_t watched_device;
static ino_t watched_inode;

__attribute__((constructor)) static void start(void) {
    struct stat found;
    directory = getenv("CUT_DIRECTORY");
    graves = getenv("CUT_GRAVES");
    const char *log_path = getenv("CUT_LOG");
    if (!directory || !graves || !log_path || stat(directory, &found) != 0) return;
    prefix = strlen(directory);
    watched_device = found.st_dev;
    watched_inode = found.st_ino;
    log_file = REAL(open)(log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

static const char *name_in(const char *path) {
    if (log_file < 0 || strncmp(path, directory, prefix) != 0 || path[prefix] != '/') return NULL;
    return strchr(path + prefix + 1, '/') ? NULL : path + prefix + 1;
}

static void say(const char *format, ...) {
    char line[512];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    if (length <= 0 || REAL(write)(log_file, line, (size_t)length) != length) abort();
}

static int opened(int file, const char *path, int flags) {
    const char *name = name_in(path);
    struct stat found;
    if (file < 0 || !name || !(flags & (O_CREAT | O_TRUNC)) || fstat(file, &found) != 0) return file;
    char grave[4096];
    snprintf(grave, sizeof grave, "%s/%lu", graves, (unsigned long)found.st_ino);
    /* It has one already where the file was opened before. */
    (void)!link(path, grave);
    say("made %lu %s\n", (unsigned long)found.st_ino, name);
    if (flags & O_TRUNC) say("cut %lu 0\n", (unsigned long)found.st_ino);
    return file;
}

int open(const char *path, int flags, ...) {
    MODE(flags)
    return opened(REAL(open)(path, flags, mode), path, flags);
}

int open64(const char *path, int flags, ...) {
    MODE(flags)
    return opened(REAL(open64)(path, flags, mode), path, flags);
}

int openat(int at, const char *path, int flags, ...) {
    MODE(flags)
    return opened(REAL(openat)(at, path, flags, mode), path, flags);
}

int openat64(int at, const char *path, int flags, ...) {
    MODE(flags)
    return opened(REAL(openat64)(at, path, flags, mode), path, flags);
}

static int synced(int file, int (*real)(int)) {
    struct stat before;
    if (log_file < 0 || fstat(file, &before) != 0 || before.st_dev != watched_device) return real(file);
    int is_directory = before.st_ino == watched_inode;
    if (is_directory) say("names %lu\n", (unsigned long)gettid());
    int result = real(file);
    if (result == 0 && is_directory) say("names-kept %lu\n", (unsigned long)gettid());
    if (result == 0 && !is_directory) say("kept %lu %lld\n", (unsigned long)before.st_ino, (long long)before.st_size);
    return result;
}

int fsync(int file) { return synced(file, REAL(fsync)); }

int fdatasync(int file) { return synced(file, REAL(fdatasync)); }

static int was_cut(int result, int file, long long length) {
    struct stat found;
    if (result == 0 && log_file >= 0 && fstat(file, &found) == 0 && found.st_dev == watched_device)
        say("cut %lu %lld\n", (unsigned long)found.st_ino, length);
    return result;
}

int ftruncate(int file, off_t length) { return was_cut(REAL(ftruncate)(file, length), file, length); }

int ftruncate64(int file, off64_t length) { return was_cut(REAL(ftruncate64)(file, length), file, length); }

int rename(const char *from, const char *to) {
    const char *old = name_in(from), *new = name_in(to);
    int result = REAL(rename)(from, to);
    if (result == 0 && old && new) say("moved %s %s\n", old, new);
    return result;
}

int unlink(const char *path) {
    const char *name = name_in(path);
    int result = REAL(unlink)(path);
    if (result == 0 && name) say("removed %s\n", name);
    return result;
}
