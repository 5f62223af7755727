#define _GNU_SOURCE
#include "CPoller.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#ifdef __linux__
#include <linux/aio_abi.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#else
#include <sys/event.h>
#endif

struct adit_poller {
    // The epoll or kqueue descriptor; readable when one of its members has something to tell.
    int set;
    int bell;
    // What is written to for the bell to ring.
    int clapper;

    // Who watches the set: the kernel, or a thread that sleeps until it is armed and then in poll(2).
    bool by_thread;
#ifdef __linux__
    aio_context_t context;
    struct iocb request;
    bool is_under_way;
    // Requests that have completed, and whose events the kernel still keeps.
    int completed;
#endif
    // How often it was rung by `adit_poller_ring` since it was read.
    uint64_t rung;

    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool is_armed;
    bool is_ending;
    // Closed at its far end when the set ends.
    int end[2];
};

// MARK: - The set

#ifdef __linux__

static int make_set(void) {
    return epoll_create1(EPOLL_CLOEXEC);
}

// A broken connection is told of in any case.
static int control(adit_poller *poller, int operation, int socket, uint64_t id, uint32_t what) {
    struct epoll_event event = {
        .events = EPOLLET
            | (what & ADIT_POLLER_INPUT ? EPOLLIN | EPOLLPRI | EPOLLRDHUP : 0)
            | (what & ADIT_POLLER_OUTPUT ? EPOLLOUT : 0),
        .data.u64 = id,
    };
    return epoll_ctl(poller->set, operation, socket, &event) == 0 ? 0 : errno;
}

int adit_poller_add(adit_poller *poller, int socket, uint64_t id) {
    return control(poller, EPOLL_CTL_ADD, socket, id, ADIT_POLLER_INPUT);
}

int adit_poller_watch(adit_poller *poller, int socket, uint64_t id, uint32_t what) {
    return control(poller, EPOLL_CTL_MOD, socket, id, what);
}

static uint32_t meaning(uint32_t events) {
    return (events & ~(uint32_t)EPOLLOUT ? ADIT_POLLER_INPUT : 0)
        | (events & EPOLLOUT ? ADIT_POLLER_OUTPUT : 0)
        | (events & (EPOLLPRI | EPOLLRDHUP | EPOLLHUP | EPOLLERR) ? ADIT_POLLER_PIECEMEAL : 0)
        | (events & EPOLLERR ? ADIT_POLLER_BROKEN : 0);
}

int adit_poller_take(adit_poller *poller, adit_poller_event *events, int most) {
    struct epoll_event found[64];
    int count = epoll_wait(poller->set, found, most < 64 ? most : 64, 0);
    for (int i = 0; i < count; i++)
        events[i] = (adit_poller_event){ .id = found[i].data.u64, .what = meaning(found[i].events) };
    return count < 0 ? 0 : count;
}

#else

static int make_set(void) {
    return kqueue();
}

static int add(adit_poller *poller, int socket, int16_t filter, uint64_t id) {
    struct kevent change;
    EV_SET(&change, socket, filter, EV_ADD | EV_CLEAR, 0, 0, (void *)(uintptr_t)id);
    return kevent(poller->set, &change, 1, NULL, 0, NULL) == 0 ? 0 : errno;
}

int adit_poller_add(adit_poller *poller, int socket, uint64_t id) {
    return add(poller, socket, EVFILT_READ, id);
}

int adit_poller_watch(adit_poller *poller, int socket, uint64_t id, uint32_t what) {
    // Input stays: without its filter nothing would tell of a connection that breaks.
    return what & ADIT_POLLER_OUTPUT ? add(poller, socket, EVFILT_WRITE, id) : 0;
}

int adit_poller_take(adit_poller *poller, adit_poller_event *events, int most) {
    struct kevent found[64];
    int count = kevent(poller->set, NULL, 0, found, most < 64 ? most : 64, &(struct timespec){ 0 });
    for (int i = 0; i < count; i++) {
        // Nothing tells of urgent data here.
        uint32_t what = found[i].filter == EVFILT_READ ? ADIT_POLLER_INPUT | ADIT_POLLER_PIECEMEAL : ADIT_POLLER_OUTPUT;
        if (found[i].flags & EV_EOF)
            what |= ADIT_POLLER_INPUT | ADIT_POLLER_PIECEMEAL | (found[i].fflags != 0 ? ADIT_POLLER_BROKEN : 0);
        events[i] = (adit_poller_event){ .id = (uint64_t)(uintptr_t)found[i].udata, .what = what };
    }
    return count < 0 ? 0 : count;
}

#endif

// MARK: - The bell

#ifdef __linux__

static int make_bell(adit_poller *poller) {
    poller->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (poller->bell < 0)
        return errno;
    // Its reader closes the other one when it likes.
    poller->clapper = fcntl(poller->bell, F_DUPFD_CLOEXEC, 0);
    return poller->clapper < 0 ? errno : 0;
}

static int submit(adit_poller *poller) {
    struct iocb *request = &poller->request;
    poller->is_under_way = syscall(SYS_io_submit, poller->context, 1L, &request) == 1;
    return poller->is_under_way ? 0 : errno;
}

// Events of completed requests that may wait to be taken from the kernel.
enum { MOST_COMPLETED = 8 };

// A poll(2) that completes on an eventfd: Linux 4.19, which a container's profile may still forbid.
static bool begin_by_kernel(adit_poller *poller) {
    if (syscall(SYS_io_setup, MOST_COMPLETED, &poller->context) != 0)
        return false;
    poller->request = (struct iocb){
        .aio_lio_opcode = IOCB_CMD_POLL,
        .aio_fildes = (uint32_t)poller->set,
        .aio_buf = POLLIN,
        .aio_flags = IOCB_FLAG_RESFD,
        .aio_resfd = (uint32_t)poller->clapper,
    };
    // Whether it may be asked is found out by asking.
    if (submit(poller) == 0)
        return true;
    syscall(SYS_io_destroy, poller->context);
    poller->context = 0;
    return false;
}

static int arm_kernel(adit_poller *poller) {
    if (poller->is_under_way)
        return 0; // It has not rung since.
    if (poller->completed >= MOST_COMPLETED) {
        struct io_event events[MOST_COMPLETED];
        long taken = syscall(SYS_io_getevents, poller->context, 0L, (long)MOST_COMPLETED, events, NULL);
        poller->completed -= taken > 0 ? (int)taken : 0;
    }
    return submit(poller);
}

// That a request has completed is told by the count of rings: to ask the kernel would be one more system call.
static void heard_kernel(adit_poller *poller, uint64_t count) {
    if (count <= poller->rung || !poller->is_under_way)
        return;
    poller->is_under_way = false;
    poller->completed++;
}

static void end_by_kernel(adit_poller *poller) {
    if (poller->context != 0)
        syscall(SYS_io_destroy, poller->context);
}

#else

static int make_bell(adit_poller *poller) {
    int ends[2];
    if (pipe(ends) != 0)
        return errno;
    for (int i = 0; i < 2; i++) {
        fcntl(ends[i], F_SETFD, FD_CLOEXEC);
        fcntl(ends[i], F_SETFL, O_NONBLOCK);
    }
    // The other end may be closed before it.
    fcntl(ends[1], F_SETNOSIGPIPE, 1);
    poller->bell = ends[0];
    poller->clapper = ends[1];
    return 0;
}

static bool begin_by_kernel(adit_poller *poller) {
    (void)poller;
    return false;
}

static int arm_kernel(adit_poller *poller) {
    (void)poller;
    return ENOSYS;
}

static void heard_kernel(adit_poller *poller, uint64_t count) {
    (void)poller, (void)count;
}

static void end_by_kernel(adit_poller *poller) {
    (void)poller;
}

#endif

// Where there is no room for it, the bell has rung and was not read.
static bool ring(adit_poller *poller) {
    uint64_t once = 1;
    return write(poller->clapper, &once, sizeof once) > 0;
}

static void *watch(void *argument) {
    adit_poller *poller = argument;
    pthread_mutex_lock(&poller->lock);
    while (!poller->is_ending) {
        if (!poller->is_armed) {
            pthread_cond_wait(&poller->changed, &poller->lock);
            continue;
        }
        poller->is_armed = false;
        pthread_mutex_unlock(&poller->lock);
        struct pollfd watched[] = { { .fd = poller->set, .events = POLLIN }, { .fd = poller->end[0], .events = POLLIN } };
        while (poll(watched, 2, -1) < 0 && errno == EINTR) {}
        ring(poller);
        pthread_mutex_lock(&poller->lock);
    }
    pthread_mutex_unlock(&poller->lock);
    return NULL;
}

static int begin_by_thread(adit_poller *poller) {
    if (pipe(poller->end) != 0)
        return errno;
    fcntl(poller->end[0], F_SETFD, FD_CLOEXEC);
    fcntl(poller->end[1], F_SETFD, FD_CLOEXEC);
    pthread_mutex_init(&poller->lock, NULL);
    pthread_cond_init(&poller->changed, NULL);
    int error = pthread_create(&poller->thread, NULL, watch, poller);
    if (error != 0) {
        close(poller->end[0]);
        close(poller->end[1]);
    }
    poller->by_thread = error == 0;
    return error;
}

static int arm_thread(adit_poller *poller) {
    pthread_mutex_lock(&poller->lock);
    poller->is_armed = true;
    pthread_cond_signal(&poller->changed);
    pthread_mutex_unlock(&poller->lock);
    return 0;
}

static void end_by_thread(adit_poller *poller) {
    if (!poller->by_thread)
        return;
    pthread_mutex_lock(&poller->lock);
    poller->is_ending = true;
    pthread_cond_signal(&poller->changed);
    pthread_mutex_unlock(&poller->lock);
    close(poller->end[1]);
    pthread_join(poller->thread, NULL);
    close(poller->end[0]);
    pthread_cond_destroy(&poller->changed);
    pthread_mutex_destroy(&poller->lock);
}

int adit_poller_bell(const adit_poller *poller) {
    return poller->bell;
}

void adit_poller_ring(adit_poller *poller) {
    if (ring(poller))
        poller->rung++;
}

void adit_poller_heard(adit_poller *poller, uint64_t count) {
    if (!poller->by_thread)
        heard_kernel(poller, count);
    poller->rung = 0;
}

int adit_poller_arm(adit_poller *poller) {
    return poller->by_thread ? arm_thread(poller) : arm_kernel(poller);
}

// MARK: - Beginning and end

adit_poller *adit_poller_make(bool by_thread, int *error) {
    adit_poller *poller = calloc(1, sizeof *poller);
    if (poller == NULL) {
        *error = ENOMEM;
        return NULL;
    }
    poller->bell = -1;
    poller->clapper = -1;
    poller->set = make_set();
    *error = poller->set < 0 ? errno : make_bell(poller);
    if (*error == 0 && (by_thread || !begin_by_kernel(poller)))
        *error = begin_by_thread(poller);
    if (*error == 0)
        return poller;
    if (poller->bell >= 0)
        close(poller->bell);
    adit_poller_free(poller);
    return NULL;
}

void adit_poller_free(adit_poller *poller) {
    end_by_thread(poller);
    end_by_kernel(poller);
    if (poller->clapper >= 0)
        close(poller->clapper);
    if (poller->set >= 0)
        close(poller->set);
    free(poller);
}

// MARK: - Sockets

static int set_up(int socket) {
    int on = 1;
    // A connection that has ended already refuses options, and says more when it is read.
    setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(socket, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
#ifndef __linux__
    setsockopt(socket, SOL_SOCKET, SO_NOSIGPIPE, &on, sizeof on);
    fcntl(socket, F_SETFD, FD_CLOEXEC);
    fcntl(socket, F_SETFL, O_NONBLOCK);
#endif
    return socket;
}

int adit_socket_make(int domain) {
#ifdef __linux__
    int made = socket(domain, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
#else
    int made = socket(domain, SOCK_STREAM, 0);
#endif
    return made < 0 ? -errno : set_up(made);
}

int adit_socket_accept(int listener) {
#ifdef __linux__
    // It inherits the listener's options.
    int accepted;
    do
        accepted = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    while (accepted < 0 && errno == EINTR);
    return accepted < 0 ? -errno : accepted;
#else
    int accepted;
    do
        accepted = accept(listener, NULL, NULL);
    while (accepted < 0 && errno == EINTR);
    return accepted < 0 ? -errno : set_up(accepted);
#endif
}

ssize_t adit_socket_receive(int socket, void *bytes, size_t count) {
    ssize_t received;
    do
        received = recv(socket, bytes, count, 0);
    while (received < 0 && errno == EINTR);
    return received < 0 ? -errno : received;
}

ssize_t adit_socket_send(int socket, const void *bytes, size_t count) {
#ifdef __linux__
    const int flags = MSG_NOSIGNAL;
#else
    const int flags = 0;
#endif
    ssize_t sent;
    do
        sent = send(socket, bytes, count, flags);
    while (sent < 0 && errno == EINTR);
    return sent < 0 ? -errno : sent;
}
