// link-emulator: joins two network namespaces by an emulated link.
//
//     namespace A                      this process                     namespace B
//     sockets ─ TUN device ──► queue ──► rate ──► loss ──► delay ──► TUN device ─ sockets
//               TUN device ◄── delay ◄── loss ◄── rate ◄── queue ◄── TUN device
//
//     link-emulator NAMESPACE DEVICE NAMESPACE DEVICE [SETTING=VALUE]...
//
// It makes the devices, says "ready" on standard output, and lives until SIGTERM; the devices go with it. Addresses are
// the caller's business (two-links.sh). Settings, each for both directions, or for one with "ab." or "ba." before it:
//
//     rate=MBIT      of IP packets, 10^6 bit/s; 0: unlimited (1000)      loss=P       of a packet, 0 to 1 (0)
//     delay=MS       one way, added to the time on the wire (0)          reorder=P    of a packet to come late (0)
//     queue=BYTES    waiting for the wire; more is dropped (1000000)     extra=MS     by how much it comes late (1)
//     blackhole=on|off   nothing comes out, not even what is on the way  seed=N       of the draws; for both (1)
//
// Standard input takes the same while it runs, one a line, as "loss 0.001"; a line "stats" prints the counters, as SIGTERM
// does, a JSON object a direction. SIGUSR1 switches the black hole on, SIGUSR2 off.
//
// What keeps 1 Gbit/s cheap: the kernel hands over TCP in packets of up to 64 KiB (IFF_VNET_HDR, TSO), each worth many
// segments. Yet loss, lateness and a full queue strike *segments*, as on a wire: a packet out of whose middle some are
// lost is cut, and its remaining runs go on as packets of their own. A run is delivered when its last segment would be.
#define _GNU_SOURCE
#include <err.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum { LARGEST = sizeof(struct virtio_net_hdr) + 65536, READS_PER_TURN = 64 };
static const uint64_t MEMORY_PER_DIRECTION = 128 << 20;

// A packet on its way, as read from a device: virtio header, IP packet.
struct packet {
    struct packet *before, *after;
    uint64_t due;    // nanoseconds, monotonic clock
    size_t size;
    uint8_t bytes[];
};

struct direction {
    const char *name;
    int from, to;
    double rate, delay, queue, loss, reorder, extra;  // settings, in the units above
    bool blackhole;
    uint64_t wireFree;   // when the wire has sent all that was queued
    uint64_t lastDue;    // packets that are not late stay in order, even when the delay is shortened
    struct packet *first, *last;
    uint64_t memory;
    unsigned long long packets, segments, bytes, lost, late, overflowed, swallowed, refused, deepest;
};

static struct direction links[2] = {{.name = "ab"}, {.name = "ba"}};
static uint64_t seed = 1;

static uint64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static bool chance(double probability) {  // splitmix64
    if (probability <= 0) return false;
    uint64_t z = seed += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return (double)((z ^ z >> 31) >> 11) * 0x1p-53 < probability;
}

// ---------------------------------------------------------------------------------------------------- the packets

// Where a TCP super-packet's headers end, and what follows them.
struct layout {
    size_t ip, tcp, payload, segment;  // offsets of the headers and the payload; payload bytes a segment
    int count;                         // segments; 1 for every packet that is not to be cut
};

static size_t least(size_t a, size_t b) { return a < b ? a : b; }

static struct layout layoutOf(const uint8_t *bytes, size_t size) {
    struct virtio_net_hdr header;
    memcpy(&header, bytes, sizeof header);
    struct layout l = {.ip = sizeof header, .count = 1};
    if (header.gso_type != VIRTIO_NET_HDR_GSO_TCPV4 || header.gso_size == 0 || size < l.ip + 40) return l;
    l.tcp = l.ip + 4 * (size_t)(bytes[l.ip] & 15);
    if (size < l.tcp + 20) return l;
    l.payload = l.tcp + 4 * (size_t)(bytes[l.tcp + 12] >> 4);
    l.segment = header.gso_size;
    if (size > l.payload) l.count = (int)((size - l.payload + l.segment - 1) / l.segment);
    return l;
}

static uint16_t load16(const uint8_t *p) { return (uint16_t)(p[0] << 8 | p[1]); }
static void store16(uint8_t *p, uint32_t value) { p[0] = (uint8_t)(value >> 8), p[1] = (uint8_t)value; }
static uint16_t fold(uint32_t sum) {
    while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)sum;
}

// Makes `p`, a copy of the headers and the payload from segment `first` on, a packet of its own.
static void rewriteHeaders(struct packet *p, const struct layout *l, int first, bool isEnd) {
    uint8_t *ip = p->bytes + l->ip, *tcp = p->bytes + l->tcp;
    struct virtio_net_hdr header;
    memcpy(&header, p->bytes, sizeof header);
    if (p->size - l->payload <= l->segment) header.gso_type = VIRTIO_NET_HDR_GSO_NONE, header.gso_size = 0;
    memcpy(p->bytes, &header, sizeof header);

    uint16_t before = load16(ip + 2), after = (uint16_t)(p->size - l->ip);
    store16(ip + 2, after);
    store16(ip + 4, load16(ip + 4) + (uint32_t)first);
    uint32_t sum = 0;
    store16(ip + 10, 0);
    for (size_t i = 0; i < l->tcp - l->ip; i += 2) sum += load16(ip + i);
    store16(ip + 10, (uint16_t)~fold(sum));

    // The TCP checksum is the sum of the pseudo header so far, whose only changed word is the length.
    store16(tcp + 16, fold((uint32_t)load16(tcp + 16) + (uint16_t)~before + after));
    uint32_t sequence = ((uint32_t)load16(tcp + 4) << 16 | load16(tcp + 6)) + (uint32_t)first * (uint32_t)l->segment;
    store16(tcp + 4, sequence >> 16);
    store16(tcp + 6, sequence);
    if (!isEnd) tcp[13] &= (uint8_t)~0x09;  // FIN and PSH belong to the last segment
}

// ------------------------------------------------------------------------------------------------- the link itself

enum fate { PASSES, LATE, LOST, OVERFLOWS };

// Sends one segment down the wire, or does not. The queue is what the wire has not sent yet, in time times rate.
static enum fate decide(struct direction *d, uint64_t at, size_t size) {
    if (d->wireFree < at) d->wireFree = at;
    if (d->rate > 0) {
        double queued = (double)(d->wireFree - at) * d->rate / 8000;
        if (queued + (double)size > d->queue) return OVERFLOWS;
        if ((uint64_t)queued + size > d->deepest) d->deepest = (uint64_t)queued + size;
        d->wireFree += (uint64_t)((double)size * 8000 / d->rate);
    }
    return chance(d->loss) ? LOST : chance(d->reorder) ? LATE : PASSES;
}

// Puts segments `first` up to `end` of a packet on their way.
static void enqueue(struct direction *d, const uint8_t *bytes, size_t size, const struct layout *l, int first, int end,
                    bool late) {
    bool whole = first == 0 && end == l->count;
    size_t from = l->payload + (size_t)first * l->segment, to = least(size, l->payload + (size_t)end * l->segment);
    size_t length = whole ? size : l->payload + to - from;
    struct packet *p = malloc(sizeof *p + length);
    if (p == NULL || d->memory + sizeof *p + length > MEMORY_PER_DIRECTION) {
        d->overflowed += (uint64_t)(end - first);
        return free(p);
    }
    p->size = length;
    if (whole) {
        memcpy(p->bytes, bytes, size);
    } else {
        memcpy(p->bytes, bytes, l->payload);
        memcpy(p->bytes + l->payload, bytes + from, to - from);
        rewriteHeaders(p, l, first, end == l->count);
    }
    p->due = d->wireFree + (uint64_t)(d->delay * 1e6);
    if (late) {
        p->due += (uint64_t)(d->extra * 1e6);
    } else {
        if (p->due < d->lastDue) p->due = d->lastDue;
        d->lastDue = p->due;
    }
    struct packet *before = d->last;
    while (before != NULL && before->due > p->due) before = before->before;  // past the late ones, which are few
    p->before = before;
    p->after = before != NULL ? before->after : d->first;
    *(p->after != NULL ? &p->after->before : &d->last) = p;
    *(before != NULL ? &before->after : &d->first) = p;
    d->memory += sizeof *p + length;
}

// Draws what becomes of each segment; neighbours of the same fate go on as one packet.
static void admit(struct direction *d, uint64_t at, const uint8_t *bytes, size_t size) {
    struct layout l = layoutOf(bytes, size);
    enum fate run = PASSES;
    for (int first = 0, i = 0; i <= l.count; i++) {
        size_t payload = i + 1 < l.count ? l.segment : size - l.payload - (size_t)i * l.segment;
        uint64_t runEnds = d->wireFree;
        enum fate next = run;
        if (i < l.count) next = decide(d, at, l.count > 1 ? l.payload - l.ip + payload : size - l.ip);
        if (i > first && (i == l.count || next != run)) {
            uint64_t wireFree = d->wireFree, count = (uint64_t)(i - first);
            d->wireFree = runEnds;
            if (run == LOST) d->lost += count;
            if (run == OVERFLOWS) d->overflowed += count;
            if (run == LATE) d->late += count;
            if (run == PASSES || run == LATE) enqueue(d, bytes, size, &l, first, i, run == LATE);
            d->wireFree = wireFree;
            d->segments += count;
            first = i;
        }
        run = next;
    }
    d->packets++;
    d->bytes += size - l.ip;
}

static void readFrom(struct direction *d) {
    static uint8_t bytes[LARGEST];
    for (int i = 0; i < READS_PER_TURN; i++) {
        ssize_t size = read(d->from, bytes, sizeof bytes);
        if (size <= (ssize_t)sizeof(struct virtio_net_hdr)) return;
        if (d->blackhole) d->swallowed++;
        else admit(d, now(), bytes, (size_t)size);
    }
}

static void deliverDue(struct direction *d, uint64_t at) {
    for (struct packet *p; (p = d->first) != NULL && p->due <= at; free(p)) {
        d->first = p->after;
        *(p->after != NULL ? &p->after->before : &d->last) = NULL;
        d->memory -= sizeof *p + p->size;
        if (d->blackhole) d->swallowed++;
        else if (write(d->to, p->bytes, p->size) < 0) d->refused++;
    }
}

// ------------------------------------------------------------------------------------------------------- the outside

static int openDevice(const char *namespace, const char *device) {
    char path[256];
    snprintf(path, sizeof path, "/run/netns/%s", namespace);
    int space = open(path, O_RDONLY | O_CLOEXEC);
    if (space < 0 || setns(space, CLONE_NEWNET) < 0) err(1, "namespace %s", namespace);
    close(space);
    int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) err(1, "/dev/net/tun");
    struct ifreq request = {.ifr_flags = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR};
    snprintf(request.ifr_name, sizeof request.ifr_name, "%s", device);
    int headerSize = sizeof(struct virtio_net_hdr);
    if (ioctl(fd, TUNSETIFF, &request) < 0 || ioctl(fd, TUNSETVNETHDRSZ, &headerSize) < 0 ||
        ioctl(fd, TUNSETOFFLOAD, (unsigned long)(TUN_F_CSUM | TUN_F_TSO4)) < 0)
        err(1, "device %s in namespace %s", device, namespace);
    return fd;
}

static void printStats(void) {
    for (struct direction *d = links; d < links + 2; d++)
        printf("{\"direction\":\"%s\",\"packets\":%llu,\"segments\":%llu,\"bytes\":%llu,\"lost\":%llu,\"late\":%llu,"
               "\"overflowed\":%llu,\"swallowed\":%llu,\"refused\":%llu,\"deepest_queue\":%llu}\n",
               d->name, d->packets, d->segments, d->bytes, d->lost, d->late, d->overflowed, d->swallowed, d->refused,
               d->deepest);
    fflush(stdout);
}

static bool applyTo(struct direction *d, const char *name, const char *value) {
    char *end;
    double number = strtod(value, &end);
    bool isNumber = *value != 0 && *end == 0 && number >= 0;
    bool isOn = strcmp(value, "on") == 0;
    if (strcmp(name, "blackhole") == 0 && (isOn || strcmp(value, "off") == 0)) return d->blackhole = isOn, true;
    if (!isNumber) return false;
    struct { const char *name; double *place, most; } settings[] = {
        {"rate", &d->rate, 1e6},  {"delay", &d->delay, 60e3},    {"queue", &d->queue, 1e9},
        {"loss", &d->loss, 1},    {"reorder", &d->reorder, 1},   {"extra", &d->extra, 60e3},
    };
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++)
        if (strcmp(name, settings[i].name) == 0 && number <= settings[i].most)
            return *settings[i].place = number, true;
    return false;
}

// "loss 0.001", "ab.loss=0.001", "stats". False for what is none of these.
static bool apply(const char *line) {
    char word[32], value[32] = "";
    if (sscanf(line, " %31[^= \t\r\n]%*[= \t]%31[^ \t\r\n]", word, value) < 1) return true;
    if (strcmp(word, "stats") == 0) return printStats(), true;
    if (strcmp(word, "seed") == 0) return seed = strtoull(value, NULL, 0), true;
    bool one = strncmp(word, "ab.", 3) == 0 || strncmp(word, "ba.", 3) == 0, done = true;
    for (struct direction *d = links; d < links + 2; d++)
        if (!one || strncmp(word, d->name, 2) == 0) done = applyTo(d, one ? word + 3 : word, value) && done;
    return done;
}

// Applies whole lines; false at the end of the input.
static bool readCommands(void) {
    static char buffer[512];
    static size_t held;
    ssize_t count = read(0, buffer + held, sizeof buffer - 1 - held);
    if (count <= 0) return false;
    buffer[held += (size_t)count] = 0;
    char *line = buffer;
    for (char *end; (end = strchr(line, '\n')) != NULL; line = end + 1) {
        *end = 0;
        if (!apply(line)) warnx("not a setting: %s", line);
    }
    held -= (size_t)(line - buffer);
    memmove(buffer, line, held);
    if (held == sizeof buffer - 1) held = 0;  // no command is that long
    return true;
}

static void takeSignal(int signals) {
    struct signalfd_siginfo signal;
    if (read(signals, &signal, sizeof signal) != sizeof signal) return;
    if (signal.ssi_signo != SIGUSR1 && signal.ssi_signo != SIGUSR2) {
        printStats();
        exit(0);
    }
    links[0].blackhole = links[1].blackhole = signal.ssi_signo == SIGUSR1;
}

static void setTimer(int timer) {
    uint64_t next = 0;
    for (struct direction *d = links; d < links + 2; d++)
        if (d->first != NULL && (next == 0 || d->first->due < next)) next = d->first->due;
    struct itimerspec when = {.it_value = {(time_t)(next / 1000000000), (long)(next % 1000000000)}};
    timerfd_settime(timer, TFD_TIMER_ABSTIME, &when, NULL);  // a time that has passed already fires at once
}

int main(int count, char **words) {
    if (count < 5) errx(64, "usage: link-emulator NAMESPACE DEVICE NAMESPACE DEVICE [SETTING=VALUE]...");
    for (struct direction *d = links; d < links + 2; d++) d->rate = 1000, d->queue = 1e6, d->extra = 1;
    for (int i = 5; i < count; i++)
        if (!apply(words[i])) errx(64, "not a setting: %s", words[i]);

    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1), sigaddset(&set, SIGUSR2), sigaddset(&set, SIGTERM), sigaddset(&set, SIGINT);
    sigprocmask(SIG_BLOCK, &set, NULL);
    links[0].from = links[1].to = openDevice(words[1], words[2]);
    links[1].from = links[0].to = openDevice(words[3], words[4]);
    int timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK), signals = signalfd(-1, &set, SFD_CLOEXEC);
    int sources[] = {links[0].from, links[1].from, timer, signals, 0}, poll = epoll_create1(EPOLL_CLOEXEC);
    for (size_t i = 0; i < 5; i++) {
        struct epoll_event event = {.events = EPOLLIN, .data.fd = sources[i]};
        // Standard input may be a file or /dev/null, which epoll refuses: then there are no commands.
        if (epoll_ctl(poll, EPOLL_CTL_ADD, sources[i], &event) < 0 && sources[i] != 0) err(1, "epoll");
    }
    puts("ready");
    fflush(stdout);
    for (;;) {
        struct epoll_event events[5];
        int ready = epoll_wait(poll, events, 5, -1);
        for (int i = 0; i < ready; i++) {
            int fd = events[i].data.fd;
            uint64_t expirations;
            if (fd == signals) takeSignal(signals);
            else if (fd == 0) { if (!readCommands()) epoll_ctl(poll, EPOLL_CTL_DEL, 0, NULL); }
            else if (fd == timer) { if (read(timer, &expirations, sizeof expirations) < 0) continue; }
            else readFrom(fd == links[0].from ? &links[0] : &links[1]);
        }
        for (struct direction *d = links; d < links + 2; d++) deliverDue(d, now());
        setTimer(timer);
    }
}
