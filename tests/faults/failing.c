// What a machine can do to a process, as a library that is loaded before libc (LD_PRELOAD): the Nth call of a kind
// fails, or ends the process by a signal. Counted are calls on files below a folder, by a process and all that it forks.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/uio.h>
#include <unistd.h>

enum { NONE, WRITE, FSYNC, RENAME, OPEN, MMAP, READ };

static struct {
  _Atomic int kind, nth, count;
  int error, signal, lasting;
  char folder[4096];
} *armed;  // in memory that a fork shares

__attribute__((constructor)) static void begin(void) {
  armed = mmap(NULL, sizeof *armed, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
}

// From now on: the Nth call of a kind ends with an error, and each after it where it is lasting, or a signal is sent to
// the process group.
void arm_failure(int kind, int nth, int error, int signal, int lasting, const char *folder) {
  strncpy(armed->folder, folder, sizeof armed->folder - 1);
  armed->error = error;
  armed->signal = signal;
  armed->lasting = lasting;
  armed->nth = nth;
  armed->count = 0;
  armed->kind = kind;
}

// No call fails from now on; return how many of the kind there were.
int disarm_failure(void) {
  armed->kind = NONE;
  return armed->count;
}

#define REAL(name)                                         \
  static typeof(&name) real;                               \
  if (!real) real = (typeof(&name))dlsym(RTLD_NEXT, #name)

static int below(const char *path) {
  size_t n = strlen(armed->folder);
  return path && strncmp(path, armed->folder, n) == 0 && path[n] == '/';
}

// Tell whether this call on a path is to fail: how many times one has before, from 1, with errno set; 0: it is not.
static int strikes(int kind, const char *path) {
  if (!armed || armed->kind != kind || !below(path)) return 0;
  int since = atomic_fetch_add(&armed->count, 1) + 2 - armed->nth;
  if (since < 1 || (since > 1 && !armed->lasting)) return 0;
  if (armed->signal) {
    kill(0, armed->signal);
    return 0;
  }
  errno = armed->error;
  return since;
}

static int strikes_fd(int kind, int fd) {
  if (!armed || armed->kind != kind) return 0;
  char link[32], path[4096];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t n = readlink(link, path, sizeof path - 1);
  path[n > 0 ? n : 0] = 0;
  return strikes(kind, path);
}

// Of the first write that a full disk doesn't take, half is written.
static int halves(int since) { return since == 1 && armed->lasting; }

ssize_t write(int fd, const void *from, size_t n) {
  REAL(write);
  int since = strikes_fd(WRITE, fd);
  return !since ? real(fd, from, n) : halves(since) && n > 1 ? real(fd, from, n / 2) : -1;
}

ssize_t pwrite(int fd, const void *from, size_t n, off_t at) {
  REAL(pwrite);
  int since = strikes_fd(WRITE, fd);
  return !since ? real(fd, from, n, at) : halves(since) && n > 1 ? real(fd, from, n / 2, at) : -1;
}
ssize_t pwrite64(int, const void *, size_t, off64_t) __attribute__((alias("pwrite")));

size_t fwrite(const void *from, size_t size, size_t n, FILE *file) {
  REAL(fwrite);
  int since = strikes_fd(WRITE, fileno(file));
  if (!since) return real(from, size, n, file);
  size_t written = halves(since) ? real(from, size, n / 2, file) : 0;
  errno = armed->error;
  return written;
}

ssize_t writev(int fd, const struct iovec *from, int n) {
  REAL(writev);
  return strikes_fd(WRITE, fd) ? -1 : real(fd, from, n);
}

ssize_t sendfile(int to, int from, off_t *at, size_t n) {
  REAL(sendfile);
  return strikes_fd(WRITE, to) ? -1 : real(to, from, at, n);
}
ssize_t sendfile64(int, int, off64_t *, size_t) __attribute__((alias("sendfile")));

int fsync(int fd) {
  REAL(fsync);
  return strikes_fd(FSYNC, fd) ? -1 : real(fd);
}

int fdatasync(int fd) {
  REAL(fdatasync);
  return strikes_fd(FSYNC, fd) ? -1 : real(fd);
}

int rename(const char *from, const char *to) {
  REAL(rename);
  return strikes(RENAME, to) ? -1 : real(from, to);
}

ssize_t read(int fd, void *to, size_t n) {
  REAL(read);
  return strikes_fd(READ, fd) ? -1 : real(fd, to, n);
}

ssize_t pread(int fd, void *to, size_t n, off_t at) {
  REAL(pread);
  return strikes_fd(READ, fd) ? -1 : real(fd, to, n, at);
}
ssize_t pread64(int, void *, size_t, off64_t) __attribute__((alias("pread")));

static int to_write(int flags) { return (flags & O_ACCMODE) != O_RDONLY; }

int open(const char *path, int flags, ...) {
  REAL(open);
  va_list rest;
  va_start(rest, flags);
  mode_t mode = va_arg(rest, mode_t);
  va_end(rest);
  return to_write(flags) && strikes(OPEN, path) ? -1 : real(path, flags, mode);
}
int open64(const char *, int, ...) __attribute__((alias("open")));

int openat(int folder, const char *path, int flags, ...) {
  REAL(openat);
  va_list rest;
  va_start(rest, flags);
  mode_t mode = va_arg(rest, mode_t);
  va_end(rest);
  return to_write(flags) && strikes(OPEN, path) ? -1 : real(folder, path, flags, mode);
}
int openat64(int, const char *, int, ...) __attribute__((alias("openat")));

FILE *fopen(const char *path, const char *mode) {
  REAL(fopen);
  return strpbrk(mode, "wa+") && strikes(OPEN, path) ? NULL : real(path, mode);
}
FILE *fopen64(const char *, const char *) __attribute__((alias("fopen")));

void *mmap(void *at, size_t n, int how, int flags, int fd, off_t from) {
  REAL(mmap);
  return fd >= 0 && strikes_fd(MMAP, fd) ? MAP_FAILED : real(at, n, how, flags, fd, from);
}
void *mmap64(void *, size_t, int, int, int, off64_t) __attribute__((alias("mmap")));
