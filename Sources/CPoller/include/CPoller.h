#ifndef ADIT_CPOLLER_H
#define ADIT_CPOLLER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

// A set of sockets that an event loop of somebody else's watches as one descriptor: epoll(7) or kqueue(2), and a bell.
//
// The event loop reads the bell as it would read a pipe. One thread calls these functions; it closes a socket to take it
// out. Functions return 0 or an error number, unless they say otherwise.

typedef struct adit_poller adit_poller;

enum {
    /// There is input, or its end.
    ADIT_POLLER_INPUT = 1,
    /// There is room for output.
    ADIT_POLLER_OUTPUT = 2,
    /// From now on a read that comes back short may have left something, of which nothing more is told: the end of the
    /// peer's half, or what lies behind urgent data.
    ADIT_POLLER_PIECEMEAL = 4,
    /// The connection is broken.
    ADIT_POLLER_BROKEN = 8,
};

/// What has become possible with a socket since it was told the last time.
typedef struct {
    /// As given to `adit_poller_add`.
    uint64_t id;
    /// Of ADIT_POLLER_.
    uint32_t what;
} adit_poller_event;

/// A set without members. NULL, and *error says why. With `by_thread` a thread rings its bell, as it does where the
/// kernel cannot.
adit_poller *adit_poller_make(bool by_thread, int *error);

/// Ends the set. Its members and its bell are not closed.
void adit_poller_free(adit_poller *poller);

/// What to read, 8 bytes at the most, and to close. The same descriptor each time.
int adit_poller_bell(const adit_poller *poller);

/// Makes `socket` a member. That there is input is told once, and again when more has come.
int adit_poller_add(adit_poller *poller, int socket, uint64_t id);

/// From now on a member's input is told, or its room for output, or both, or neither: now if there is some, and again when
/// there is more, or when it was full and is not any more. A broken connection is told in any case, and with kqueue(2) so is
/// input.
///
/// - what: of ADIT_POLLER_INPUT and ADIT_POLLER_OUTPUT.
int adit_poller_watch(adit_poller *poller, int socket, uint64_t id, uint32_t what);

/// What was read from the bell: on Linux 8 bytes, the number of its rings. To be called each time, before the set is armed
/// again, or the bell does not ring any more.
void adit_poller_heard(adit_poller *poller, uint64_t count);

/// Has the bell ring, once, when there is something to take; at once if there is already. Call it at first, and when what
/// there was has been taken.
int adit_poller_arm(adit_poller *poller);

/// Rings the bell.
void adit_poller_ring(adit_poller *poller);

/// What there is to tell, without waiting: how many events, up to `most`.
int adit_poller_take(adit_poller *poller, adit_poller_event *events, int most);

// What follows returns what the system call does, or a negative error number. No call raises SIGPIPE, and every new
// socket is non-blocking, closed on exec, without Nagle's algorithm and with keepalive.

/// The next connection of a listener that was made here.
int adit_socket_accept(int listener);
int adit_socket_make(int domain);
ssize_t adit_socket_receive(int socket, void *bytes, size_t count);
ssize_t adit_socket_send(int socket, const void *bytes, size_t count);

#endif
