// What a process that is taken over may try, done in the real one: loaded with LD_PRELOAD, it waits for SIGUSR2, then
// connects to the ports in INTRUDER_PORTS (of 127.0.0.1) and looks whether it may send signals to the process
// INTRUDER_VICTIM. It says each result on standard error, as an error number or 0.
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int ports[8];
static int port_count;
static pid_t victim;

static void say(const char *what, int number, int error) {
    char line[80];
    int count = snprintf(line, sizeof line, "intruder: %s %d: %d\n", what, number, error);
    if (count > 0 && write(2, line, (size_t)count) < 0)
        _exit(70);
}

static int connect_to(int port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (descriptor < 0)
        return errno;
    int error = connect(descriptor, (struct sockaddr *)&address, sizeof address) == 0 ? 0 : errno;
    close(descriptor);
    return error;
}

static void intrude(int signal) {
    (void)signal;
    int saved = errno;
    for (int index = 0; index < port_count; index++)
        say("port", ports[index], connect_to(ports[index]));
    say("signal", (int)victim, kill(victim, 0) == 0 ? 0 : errno);
    errno = saved;
}

__attribute__((constructor)) static void lie_in_wait(void) {
    const char *list = getenv("INTRUDER_PORTS");
    const char *process = getenv("INTRUDER_VICTIM");
    if (list == NULL || process == NULL)
        return;
    victim = (pid_t)atoi(process);
    for (char *rest = (char *)list; *rest != 0 && port_count < 8; rest += *rest != 0)
        ports[port_count++] = (int)strtol(rest, &rest, 10);
    struct sigaction action = {.sa_handler = intrude, .sa_flags = SA_RESTART};
    sigaction(SIGUSR2, &action, NULL);
}
