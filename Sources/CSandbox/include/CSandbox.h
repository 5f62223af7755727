#ifndef ADIT_CSANDBOX_H
#define ADIT_CSANDBOX_H

#include <stdint.h>

// What a process may give up on Linux: prctl(2) is variadic, libc has no functions for landlock(7), and
// dl_iterate_phdr(3) is hidden from Swift. Where they are not to be had, every function fails with ENOSYS.
//
// Each returns 0 or an error number, unless it says otherwise.

/// No core dump holds this process's memory, and no other process of the same user may read it.
int adit_forbid_core_dumps(void);

/// Nothing that the calling thread, or one that it makes later, executes may gain a privilege.
int adit_forbid_new_privileges(void);

/// The version of Landlock in this kernel, from 1; 0 without it, and *error says why.
int adit_landlock_version(int *error);

/// Makes an empty set of rules: all of these rights are taken away but for what the rules give back. A file descriptor,
/// or -1, and *error says why.
int adit_landlock_make(uint64_t files, uint64_t network, uint64_t scopes, int *error);

/// Gives back `rights` to files under the directory `path`.
int adit_landlock_allow_beneath(int rules, const char *path, uint64_t rights);

/// Gives back `rights` to the TCP port `port`.
int adit_landlock_allow_port(int rules, uint16_t port, uint64_t rights);

/// Holds the calling thread, and those that it makes later, to the rules, for ever. Needs `adit_forbid_new_privileges`.
int adit_landlock_apply(int rules);

/// Has little of what is freed be kept at the end of a thread's heap, from now on, in every thread: the one place from which
/// `adit_give_back_memory` gives back nothing.
int adit_keep_little_freed_memory(void);

/// Gives back to the system memory that was freed, and unmaps the pages of the program and its libraries that are
/// read-only and as in their files. What of those is still in use comes back from the page cache by itself.
int adit_give_back_memory(void);

/// What this process has used: CPU time in nanoseconds, and minor faults, the times that it touched memory that was not
/// mapped yet and could be without a disk.
int adit_used(int64_t *cpu, int64_t *faults);

#endif
