// Preloaded (LD_PRELOAD) by tests: counts the system calls that change files below one folder, and fails at one of them.
//
// The process arms it with `failing_calls_arm(root, at, error)`: call number `at` (from 1) fails with `error`, or kills
// the process if `error` is 0. With `at` 0 the calls are only counted. The exchange of two folders always fails, as on
// NFS. A call that gets a path counts if the path lies below the root, one that gets a descriptor if the descriptor was
// opened there.

#include <cerrno>
#include <csignal>
#include <cstdarg>
#include <cstring>
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

namespace {

constexpr int kDescriptors = 65536;
char root[4096];
int fail_at, failure, calls;
bool armed, below_root[kDescriptors];

template <typename Function>
Function real(Function, const char* name) {
    return reinterpret_cast<Function>(dlsym(RTLD_NEXT, name));
}

bool is_below(const char* path, int folder = AT_FDCWD) {
    if (!armed || path == nullptr) return false;
    if (path[0] == '/') return std::strncmp(path, root, std::strlen(root)) == 0;
    return folder >= 0 && folder < kDescriptors && below_root[folder];
}

bool is_below(int descriptor) { return armed && descriptor >= 0 && descriptor < kDescriptors && below_root[descriptor]; }

// True if this call must fail; errno is then set.
bool fails(bool counted) {
    if (!counted || ++calls != fail_at) return false;
    if (failure == 0) kill(getpid(), SIGKILL);
    errno = failure;
    return true;
}

int opened(int descriptor, bool below) {
    if (descriptor >= 0 && descriptor < kDescriptors) below_root[descriptor] = below;
    return descriptor;
}

bool changes(int flags) { return (flags & (O_CREAT | O_TRUNC | O_RDWR | O_WRONLY)) != 0; }

mode_t mode_of(int flags, va_list arguments) { return (flags & O_CREAT) ? va_arg(arguments, mode_t) : 0; }

}  // namespace

#define REAL(name) real(&::name, #name)

extern "C" {

void failing_calls_arm(const char* folder, int at, int error) {
    std::strncpy(root, folder, sizeof(root) - 1);
    fail_at = at, failure = error, calls = 0, armed = true;
}

int failing_calls_disarm() {
    armed = false;
    return calls;
}

#define OPEN(name)                                                            \
    int name(const char* path, int flags, ...) {                              \
        va_list arguments;                                                    \
        va_start(arguments, flags);                                           \
        mode_t mode = mode_of(flags, arguments);                              \
        va_end(arguments);                                                    \
        bool below = is_below(path);                                          \
        if (fails(below && changes(flags))) return -1;                        \
        return opened(REAL(name)(path, flags, mode), below);                  \
    }
OPEN(open)
OPEN(open64)

#define OPENAT(name)                                                          \
    int name(int folder, const char* path, int flags, ...) {                  \
        va_list arguments;                                                    \
        va_start(arguments, flags);                                           \
        mode_t mode = mode_of(flags, arguments);                              \
        va_end(arguments);                                                    \
        bool below = is_below(path, folder);                                  \
        if (fails(below && changes(flags))) return -1;                        \
        return opened(REAL(name)(folder, path, flags, mode), below);          \
    }
OPENAT(openat)
OPENAT(openat64)

int close(int descriptor) {
    opened(descriptor, false);
    return REAL(close)(descriptor);
}

ssize_t write(int descriptor, const void* bytes, size_t size) {
    return fails(is_below(descriptor)) ? -1 : REAL(write)(descriptor, bytes, size);
}

int mkdir(const char* path, mode_t mode) { return fails(is_below(path)) ? -1 : REAL(mkdir)(path, mode); }

int rmdir(const char* path) { return fails(is_below(path)) ? -1 : REAL(rmdir)(path); }

int unlink(const char* path) { return fails(is_below(path)) ? -1 : REAL(unlink)(path); }

int unlinkat(int folder, const char* path, int flags) {
    return fails(is_below(path, folder)) ? -1 : REAL(unlinkat)(folder, path, flags);
}

int symlink(const char* target, const char* path) { return fails(is_below(path)) ? -1 : REAL(symlink)(target, path); }

int link(const char* from, const char* to) { return fails(is_below(to)) ? -1 : REAL(link)(from, to); }

int linkat(int folder, const char* from, int other, const char* to, int flags) {
    return fails(is_below(to, other)) ? -1 : REAL(linkat)(folder, from, other, to, flags);
}

int rename(const char* from, const char* to) { return fails(is_below(from)) ? -1 : REAL(rename)(from, to); }

int renameat2(int, const char*, int, const char*, unsigned int) {
    errno = EINVAL;
    return -1;
}

int utimensat(int folder, const char* path, const struct timespec times[2], int flags) {
    return fails(is_below(path, folder)) ? -1 : REAL(utimensat)(folder, path, times, flags);
}

int flock(int descriptor, int operation) {
    return fails(is_below(descriptor)) ? -1 : REAL(flock)(descriptor, operation);
}
}
