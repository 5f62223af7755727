#!/bin/bash
# two-links.sh - three network namespaces joined by two emulated links, for tests of long, narrow and bad networks.
#
#   ┌─ NAME-client ──────┐   link    ┌─ NAME-relay ────────┐   link    ┌─ NAME-agent ───────┐
#   │ link0 10.77.1.2/30 ├─"client"──┤ link1  10.77.1.1/30 │           │                    │
#   │                    │ emulator  │ link2  10.77.2.1/30 ├─"agent"───┤ link0 10.77.2.2/30 │
#   └────────────────────┘           └─────────────────────┘ emulator  └────────────────────┘
#
# Nobody forwards, so client and agent meet only through what runs in the relay's namespace. There is no way out of the
# three. On both links, direction ab leads toward the relay on "client" and away from it on "agent": from client to agent.
#
#   two-links.sh up [NAME] [SETTING=VALUE]... [-- SETTING=VALUE...]
#                                   builds it and prints NAME, which is adit-PID unless it is given; the settings before
#                                   -- are both links', those behind it the agent's alone (see link-emulator.c)
#   two-links.sh in NAME client|relay|agent COMMAND...   runs COMMAND in that namespace (as: ip netns exec NAME-client ...)
#   two-links.sh tell NAME client|agent SETTING VALUE    changes a running link: tell NAME client ab.loss 0.001
#   two-links.sh stats NAME                              prints the counters of each link and direction
#   two-links.sh down NAME...                            removes all of it; what still runs inside is the caller's to end
#
# For instance, 1 Gbit/s and 40 ms of round trip on each link, with a packet in a thousand lost on the client's:
#   name=$(Tests/Emulator/two-links.sh up delay=20 queue=5000000)
#   Tests/Emulator/two-links.sh tell "$name" client loss 0.001
#
# Needs root, iproute2, /dev/net/tun and a C compiler (or LINK_EMULATOR, which names a program that is built already).
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
states=${TMPDIR:-/tmp}

usage() { sed -n '2,/^set /{/^set /!s/^# \{0,1\}//p}' "$0"; exit "${1:-64}"; }
fail() { echo "two-links.sh: $*" >&2; exit 1; }
state() { [ -d "$states/$1.links" ] || fail "no links named $1"; echo "$states/$1.links"; }

build() {  # directory; prints the emulator's path
    if [ -n "${LINK_EMULATOR:-}" ]; then echo "$LINK_EMULATOR"; return; fi
    "${CC:-cc}" -std=c11 -O2 -Wall -Wextra -Werror -o "$1/link-emulator" "$here/link-emulator.c"
    echo "$1/link-emulator"
}

address() {  # namespace device address
    ip netns exec "$1" sysctl -qw "net.ipv6.conf.$2.disable_ipv6=1"   # no chatter of the kernel's own
    ip -n "$1" link set "$2" txqueuelen 5000 up    # the queue is the emulator's; this one must not drop
    ip -n "$1" address add "$3" dev "$2"
}

start_link() {  # state name namespace device address namespace device address setting...
    local d=$1 link=$2 a=$3 a_device=$4 a_address=$5 b=$6 b_device=$7 b_address=$8; shift 8
    mkfifo "$d/$link.commands"
    "$emulator" "$a" "$a_device" "$b" "$b_device" "$@" <>"$d/$link.commands" >"$d/$link.out" 2>"$d/$link.err" &
    echo $! >"$d/$link.pid"
    for _ in $(seq 500); do
        if grep -q ready "$d/$link.out"; then
            address "$a" "$a_device" "$a_address"
            address "$b" "$b_device" "$b_address"
            return
        fi
        kill -0 $! 2>/dev/null || break
        sleep 0.01
    done
    fail "link $link did not start: $(cat "$d/$link.err")"
}

up() {
    local name=adit-$$ both=() agents=() d place
    case "${1:-}" in ''|--|*=*) ;; *) name=$1; shift;; esac
    while [ $# -gt 0 ] && [ "$1" != -- ]; do both+=("$1"); shift; done
    if [ "${1:-}" = -- ]; then shift; agents=("$@"); fi
    d=$states/$name.links
    mkdir -m 700 "$d"
    trap 'down "$name"' EXIT    # half of it is worth nothing
    emulator=$(build "$d")
    for place in client relay agent; do
        ip netns add "$name-$place"
        ip -n "$name-$place" link set lo up
        # Every connection finds its own way: no window or round trip remembered of an earlier one.
        ip netns exec "$name-$place" sysctl -qw net.ipv4.tcp_no_metrics_save=1
    done
    start_link "$d" client "$name-client" link0 10.77.1.2/30 "$name-relay" link1 10.77.1.1/30 ${both[@]+"${both[@]}"}
    start_link "$d" agent "$name-relay" link2 10.77.2.1/30 "$name-agent" link0 10.77.2.2/30 \
        ${both[@]+"${both[@]}"} ${agents[@]+"${agents[@]}"}
    trap - EXIT
    echo "$name"
}

tell() {  # name link setting value
    local d; d=$(state "$1")
    [ -p "$d/$2.commands" ] || fail "no link $2"
    echo "${*:3}" >"$d/$2.commands"
}

stats() {  # name
    local d link before; d=$(state "$1")
    for link in client agent; do
        before=$(wc -l <"$d/$link.out")
        tell "$1" "$link" stats
        for _ in $(seq 100); do
            [ "$(wc -l <"$d/$link.out")" -ge $((before + 2)) ] && break
            sleep 0.01
        done
        tail -n 2 "$d/$link.out" | sed "s/{/{\"link\":\"$link\",/"
    done
}

down() {
    local name d file place
    for name; do
        d=$states/$name.links
        for file in "$d"/*.pid; do
            [ -e "$file" ] || continue
            kill "$(cat "$file")" 2>/dev/null || true
        done
        for place in client relay agent; do
            if ip netns list | grep -q "^$name-$place\b"; then ip netns delete "$name-$place"; fi
        done
        rm -rf "$d"
    done
}

command=${1:-}
[ $# -eq 0 ] || shift
case $command in
    up) up "$@";;
    down) [ $# -ge 1 ] || usage; down "$@";;
    tell) [ $# -ge 3 ] || usage; tell "$@";;
    stats) [ $# -eq 1 ] || usage; stats "$1";;
    in) [ $# -ge 3 ] || usage; exec ip netns exec "$1-$2" "${@:3}";;
    -h|--help) usage 0;;
    *) usage;;
esac
