/* idle.c - what a session costs that does nothing: resident bytes, and CPU for keeping it alive.
 *
 * The server's resident memory is read when it has started and again when all sessions are live (logged in, synced).
 * Kernel memory (a socket is about as large again) is not in it. Then nothing happens for a while but the server's
 * pings and our answers, and at the end each session must still answer. */
#include <inttypes.h>
#include <stdio.h>

#include "tools/bench/bench.h"
#include "tools/bench/fleet.h"
#include "tools/bench/proc.h"

enum { PONG_SECONDS_MAX = 30 };

static void idle_on_message(struct fleet *fleet, struct peer *peer, const struct msg *msg)
{
    if (msg->type != MSG_PONG) die("user %u: %s was not expected", peer->number, msg_type_name(msg->type));
    ++*(uint32_t *)fleet->arg;
}

void measure_idle(const struct target *server, uint32_t count, uint32_t seconds)
{
    struct proc_use before, live, after;
    struct fleet fleet;
    uint32_t pongs = 0;
    proc_read(server->pid, &before);
    uint64_t from_ns = now_ns();
    fleet_open(&fleet, server->port, count);
    fleet.on_message = idle_on_message;
    fleet.arg = &pongs;
    double open_s = (double)(now_ns() - from_ns) / 1e9;
    proc_read(server->pid, &live);

    from_ns = now_ns();
    do fleet_turn(&fleet, 100);
    while (fleet.now_ns < from_ns + seconds * UINT64_C(1000000000));
    proc_read(server->pid, &after);

    for (uint32_t i = 0; i < count; i++) {
        struct msg ping = { .type = MSG_PING, .has_ref = true, .ref = i + 1 };
        fleet_say(&fleet, &fleet.peers[i], &ping);
    }
    uint64_t give_up = now_ns() + PONG_SECONDS_MAX * UINT64_C(1000000000);
    while (pongs < count) {
        fleet_turn(&fleet, 100);
        if (fleet.now_ns > give_up) die("%u of %u sessions do not answer", count - pongs, count);
    }
    fleet_close(&fleet);

    printf("\n%u idle sessions, opened in %.1f s (%.0f/s, %.0f us of CPU each)\n\n", count, open_s, count / open_s,
           (double)(live.cpu_ms - before.cpu_ms) * 1e3 / count);
    printf("| resident memory, MiB: before | with all of them | after %u s | bytes per session | CPU while idle |\n"
           "|---:|---:|---:|---:|---:|\n", seconds);
    printf("| %.1f | %.1f | %.1f | %.0f | %.2f %% of a core |\n", (double)before.resident_bytes / 1048576,
           (double)live.resident_bytes / 1048576, (double)after.resident_bytes / 1048576,
           ((double)after.resident_bytes - (double)before.resident_bytes) / count,
           (double)(after.cpu_ms - live.cpu_ms) / (seconds * 10.0));
    fflush(stdout);
}
