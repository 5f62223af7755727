#define _GNU_SOURCE
#include "CSandbox.h"

#include <errno.h>

#ifdef __linux__

#include <fcntl.h>
#include <link.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif
#include <stddef.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

// landlock(7) by number and layout: the headers of a system may be older than the kernel it runs. The numbers are the
// same on all architectures.
#define LANDLOCK_CREATE_RULESET 444
#define LANDLOCK_ADD_RULE 445
#define LANDLOCK_RESTRICT_SELF 446
#define CREATE_RULESET_VERSION 1u
#define RULE_PATH_BENEATH 1
#define RULE_NET_PORT 2

// Kernels that know less take the longer struct as long as what they do not know is zero.
struct ruleset {
    uint64_t files;
    uint64_t network;
    uint64_t scopes;
};

struct path_beneath {
    uint64_t rights;
    int32_t parent;
} __attribute__((packed));

struct net_port {
    uint64_t rights;
    uint64_t port;
};

static int result(long returned) {
    return returned < 0 ? errno : 0;
}

int adit_forbid_core_dumps(void) {
    return result(prctl(PR_SET_DUMPABLE, 0, 0, 0, 0));
}

int adit_forbid_new_privileges(void) {
    return result(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
}

int adit_landlock_version(int *error) {
    long version = syscall(LANDLOCK_CREATE_RULESET, NULL, (size_t)0, CREATE_RULESET_VERSION);
    *error = result(version);
    return version < 0 ? 0 : (int)version;
}

int adit_landlock_make(uint64_t files, uint64_t network, uint64_t scopes, int *error) {
    struct ruleset ruleset = {files, network, scopes};
    long descriptor = syscall(LANDLOCK_CREATE_RULESET, &ruleset, sizeof ruleset, 0u);
    *error = result(descriptor);
    return (int)descriptor;
}

int adit_landlock_allow_beneath(int rules, const char *path, uint64_t rights) {
    int parent = open(path, O_PATH | O_CLOEXEC | O_DIRECTORY);
    if (parent < 0)
        return errno;
    struct path_beneath rule = {rights, parent};
    int error = result(syscall(LANDLOCK_ADD_RULE, rules, RULE_PATH_BENEATH, &rule, 0u));
    close(parent);
    return error;
}

int adit_landlock_allow_port(int rules, uint16_t port, uint64_t rights) {
    struct net_port rule = {rights, port};
    return result(syscall(LANDLOCK_ADD_RULE, rules, RULE_NET_PORT, &rule, 0u));
}

int adit_landlock_apply(int rules) {
    return result(syscall(LANDLOCK_RESTRICT_SELF, rules, 0u));
}

struct segments {
    uintptr_t page;
    int count;
    struct { uintptr_t begin, end; } all[256];
};

// A segment that may be written to holds what relocation or the program made of it: letting go of that would be loss.
static int add_segments(struct dl_phdr_info *object, size_t size, void *list) {
    (void)size;
    struct segments *segments = list;
    for (int i = 0; i < object->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &object->dlpi_phdr[i];
        if (segment->p_type != PT_LOAD || segment->p_flags & PF_W) continue;
        if (segments->count == sizeof segments->all / sizeof *segments->all) return ENOSPC;
        uintptr_t begin = (object->dlpi_addr + segment->p_vaddr + segments->page - 1) & ~(segments->page - 1);
        uintptr_t end = (object->dlpi_addr + segment->p_vaddr + segment->p_filesz) & ~(segments->page - 1);
        if (begin >= end) continue;
        segments->all[segments->count].begin = begin;
        segments->all[segments->count++].end = end;
    }
    return 0;
}

// Called once, with the loader's lock, which is recursive, so that nothing is unloaded meanwhile. All segments are listed first:
// the list is in one of them, and reading it maps what surrounds it.
static int release_segments(struct dl_phdr_info *object, size_t size, void *error) {
    (void)object, (void)size;
    struct segments segments = {.page = (uintptr_t)sysconf(_SC_PAGESIZE)};
    *(int *)error = dl_iterate_phdr(add_segments, &segments);
    for (int i = 0; i < segments.count; i++) {
        uintptr_t begin = segments.all[i].begin;
        if (madvise((void *)begin, segments.all[i].end - begin, MADV_DONTNEED) < 0) *(int *)error = errno;
    }
    return 1;
}

int adit_keep_little_freed_memory(void) {
#ifdef __GLIBC__
    // Blocks from 128 KiB on are mapped one by one, and unmapped when freed. That is what glibc begins with; but it lets the
    // limit grow to the largest block that is ever freed, and with it how much it keeps at the end of a heap, of which
    // malloc_trim gives back nothing except in the main thread. Fast bins would keep what is free below apart from the end.
    return mallopt(M_MMAP_THRESHOLD, 128 << 10) == 1 && mallopt(M_TRIM_THRESHOLD, 128 << 10) == 1
            && mallopt(M_MXFAST, 0) == 1 ? 0 : EINVAL;
#else
    return 0;
#endif
}

int adit_give_back_memory(void) {
#ifdef __GLIBC__
    // It keeps what is freed, for each thread by itself, except at the end of its heap: a single live block above holds
    // all that is free below. So after thousands of handshakes a relay would stay as large as it was at its largest.
    malloc_trim(0);
#endif
    int error = 0;
    dl_iterate_phdr(release_segments, &error);
    return error;
}

int adit_used(int64_t *cpu, int64_t *faults) {
    struct rusage used;
    if (getrusage(RUSAGE_SELF, &used) < 0)
        return errno;
    *cpu = (used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1000000000ll
        + (used.ru_utime.tv_usec + used.ru_stime.tv_usec) * 1000ll;
    *faults = used.ru_minflt;
    return 0;
}

#else

int adit_forbid_core_dumps(void) {
    return ENOSYS;
}

int adit_forbid_new_privileges(void) {
    return ENOSYS;
}

int adit_landlock_version(int *error) {
    *error = ENOSYS;
    return 0;
}

int adit_landlock_make(uint64_t files, uint64_t network, uint64_t scopes, int *error) {
    (void)files, (void)network, (void)scopes;
    *error = ENOSYS;
    return -1;
}

int adit_landlock_allow_beneath(int rules, const char *path, uint64_t rights) {
    (void)rules, (void)path, (void)rights;
    return ENOSYS;
}

int adit_landlock_allow_port(int rules, uint16_t port, uint64_t rights) {
    (void)rules, (void)port, (void)rights;
    return ENOSYS;
}

int adit_landlock_apply(int rules) {
    (void)rules;
    return ENOSYS;
}

int adit_keep_little_freed_memory(void) {
    return ENOSYS;
}

int adit_give_back_memory(void) {
    return ENOSYS;
}

int adit_used(int64_t *cpu, int64_t *faults) {
    (void)cpu, (void)faults;
    return ENOSYS;
}

#endif
