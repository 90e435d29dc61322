/* hang.c - what many connections cost that want nothing good: some say nothing, some send a byte now and then (a
 * request's head, or a WebSocket's first message), and on new ones somebody guesses passwords.
 *
 * The server cuts each after its time; while the measurement lasts another one takes its place, so the number stays.
 * Then none comes any more, the last are cut, and the memory must have gone back. Resident memory is sampled all the
 * time: it must be flat, so the first figure (when all hang), the highest and the last are printed beside each other.
 *
 * A guess costs the server Argon2id's memory (64 MiB by default) while it is checked, one at a time; so guessing begins
 * after half of the time, with a column of its own. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tools/bench/bench.h"
#include "tools/bench/proc.h"

enum {
    EVENTS_MAX = 512,
    TURN_MS = 20,
    CONNECTING_MAX = 256,          /* begun and not yet accepted: below a listener's backlog */
    SAMPLE_MS = 250,
    BYTE_MS = 1000,                /* between two bytes of a slow sender */
    GUESSES_WAITING_MAX = 512,     /* without an answer: what is more is not begun, and counted */
    LAST_RESORT_S = 120,           /* for opening all, and for the last to be cut */
    MS = 1000000,                  /* in nanoseconds */
};

enum kind { SILENT, SLOW_HEAD, SLOW_FRAME, GUESS, KINDS };

struct hanger {
    int fd;                        /* -1: none */
    enum kind kind;
    bool connected;
    uint32_t sent;                 /* bytes of what it sends slowly */
    uint64_t due_ns;               /* of the next one */
};

struct hang {
    const struct hang_plan *plan;
    int epoll;
    struct hanger *all;
    uint32_t count, connecting, open;
    uint32_t guesses_open;
    uint64_t opened, cut, guesses, guesses_skipped, statuses[600];
    bool is_over;                  /* who is cut does not come again */
    uint64_t now_ns;
};

static const char head[] = "GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: ";
static const char upgrade[] =
    "GET /v1/ws HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Protocol: " SUBPROTOCOL "\r\n\r\n";
/* Of 60,000 bytes, it says. */
static const char frame[] = "\x82\xfe\xea\x60\x01\x02\x03\x04";

static void say(struct hanger *h, const char *at, size_t len)
{
    if (send(h->fd, at, len, MSG_NOSIGNAL) < 0 && errno != EAGAIN && errno != EPIPE && errno != ECONNRESET) {
        die("write: %s", strerror(errno));
    }
}

/* The n-th byte of what it sends slowly; what has no end goes on with one letter. */
static void say_byte(struct hanger *h)
{
    const char *text = h->kind == SLOW_HEAD ? head : frame;
    size_t len = h->kind == SLOW_HEAD ? sizeof head - 1 : sizeof frame - 1;
    say(h, h->sent < len ? text + h->sent : "x", 1);
    h->sent++;
}

static void hanger_open(struct hang *g, struct hanger *h, enum kind kind)
{
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(g->plan->server.port),
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    *h = (struct hanger){ .fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), .kind = kind };
    if (h->fd < 0) die("socket: %s (ulimit -n must be above the number of connections)", strerror(errno));
    if (connect(h->fd, (struct sockaddr *)&to, sizeof to) != 0 && errno != EINPROGRESS)
        die("connect: %s", strerror(errno));
    struct epoll_event event = { .events = EPOLLIN | EPOLLOUT, .data.ptr = h };
    if (epoll_ctl(g->epoll, EPOLL_CTL_ADD, h->fd, &event) != 0) die("epoll: %s", strerror(errno));
    g->connecting++;
    g->opened++;
}

static void on_connected(struct hang *g, struct hanger *h)
{
    struct epoll_event event = { .events = EPOLLIN, .data.ptr = h };
    char body[128], request[400];
    int err = 0;
    socklen_t len = sizeof err;
    if (getsockopt(h->fd, SOL_SOCKET, SO_ERROR, &err, &len) != 0 || err) die("connect: %s", strerror(err));
    if (epoll_ctl(g->epoll, EPOLL_CTL_MOD, h->fd, &event) != 0) die("epoll: %s", strerror(errno));
    g->connecting--;
    h->connected = true;
    h->due_ns = g->now_ns + (uint64_t)(rand() % BYTE_MS) * MS;      /* not all in one moment */
    if (h->kind != GUESS) g->open++;
    switch (h->kind) {
    case SLOW_FRAME:
        say(h, upgrade, sizeof upgrade - 1);
        break;
    case GUESS:
        snprintf(body, sizeof body, "{\"user\":\"guessed-%llu\",\"password\":\"not the password\"}",
                 (unsigned long long)(g->guesses % 1000));
        snprintf(request, sizeof request, "POST /v1/login HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"
                 "Content-Length: %zu\r\n\r\n%s", strlen(body), body);
        say(h, request, strlen(request));
        break;
    case SILENT:
    case SLOW_HEAD:
    case KINDS:
        break;
    }
}

static void on_end(struct hang *g, struct hanger *h)
{
    close(h->fd);
    h->fd = -1;
    if (h->kind == GUESS) {
        g->guesses_open--;
        return;
    }
    g->open--;
    g->cut++;
}

static void on_readable(struct hang *g, struct hanger *h)
{
    char room[4096];
    ssize_t n = recv(h->fd, room, sizeof room - 1, 0);
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0) {
        on_end(g, h);
        return;
    }
    room[n] = '\0';
    int status = 0;
    if (sscanf(room, "HTTP/1.1 %3d", &status) != 1) return;
    if (h->kind == GUESS) g->statuses[status % 600]++;
    else if (status == 503 || status == 429) die("the server refused a connection: %d", status);
}

static void hang_turn(struct hang *g)
{
    struct epoll_event events[EVENTS_MAX];
    int n = epoll_wait(g->epoll, events, EVENTS_MAX, TURN_MS);
    g->now_ns = now_ns();
    for (int i = 0; i < n; i++) {
        struct hanger *h = events[i].data.ptr;
        if (!h->connected) on_connected(g, h);
        else on_readable(g, h);
    }
    for (uint32_t i = 0; i < g->count; i++) {
        struct hanger *h = &g->all[i];
        if (h->fd < 0) {
            if (!g->is_over && h->kind != GUESS && g->connecting < CONNECTING_MAX) hanger_open(g, h, h->kind);
        } else if (h->connected && (h->kind == SLOW_HEAD || h->kind == SLOW_FRAME) && h->due_ns <= g->now_ns) {
            say_byte(h);
            h->due_ns += (uint64_t)BYTE_MS * MS;
        }
    }
}

/* As many as are due by now. */
static void guess(struct hang *g, uint64_t from_ns)
{
    uint64_t due = (g->now_ns - from_ns) / MS * g->plan->guesses_per_s / 1000;
    for (uint32_t i = g->count - GUESSES_WAITING_MAX; i < g->count && g->guesses + g->guesses_skipped < due; i++) {
        if (g->all[i].fd >= 0) continue;
        hanger_open(g, &g->all[i], GUESS);
        g->guesses_open++;
        g->guesses++;
    }
    if (g->guesses + g->guesses_skipped < due) g->guesses_skipped = due - g->guesses;
}

static void sample(struct hang *g, uint64_t *next_ns, struct proc_use *use, uint64_t *highest)
{
    if (g->now_ns < *next_ns) return;
    *next_ns = g->now_ns + (uint64_t)SAMPLE_MS * MS;
    proc_read(g->plan->server.pid, use);
    if (use->resident_bytes > *highest) *highest = use->resident_bytes;
}

static void wait_for(struct hang *g, uint32_t open, const char *what)
{
    uint64_t give_up = now_ns() + LAST_RESORT_S * UINT64_C(1000000000);
    while (g->open != open || g->connecting || g->guesses_open) {
        hang_turn(g);
        if (g->now_ns > give_up) die("%s: %u of %u connections after %d s", what, g->open, open, LAST_RESORT_S);
    }
}

static double mib(uint64_t bytes)
{
    return (double)bytes / 1048576;
}

static void print_table(const struct hang *g, const struct proc_use use[static 5], const uint64_t highest[static 2])
{
    const struct hang_plan *plan = g->plan;
    uint32_t count = plan->silent + plan->slow;
    printf("\n%u silent connections and %u slow senders for %u s: %llu opened, %llu cut by the server\n", plan->silent,
           plan->slow, plan->seconds, (unsigned long long)(g->opened - g->guesses), (unsigned long long)g->cut);
    printf("%u log-ins a second with a wrong password in the second half: %llu guessed", plan->guesses_per_s,
           (unsigned long long)g->guesses);
    for (int i = 0; i < 600; i++) {
        if (g->statuses[i]) printf(", %llu answered %d", (unsigned long long)g->statuses[i], i);
    }
    if (g->guesses_skipped)
        printf(", %llu not begun since %d waited", (unsigned long long)g->guesses_skipped, GUESSES_WAITING_MAX);
    printf("\n\n| resident memory, MiB: before | all hang | highest | last | highest while guessing | after they went | bytes per "
           "connection | CPU |\n|---:|---:|---:|---:|---:|---:|---:|---:|\n");
    printf("| %.1f | %.1f | %.1f | %.1f | %.1f | %.1f | %.0f | %.1f %% of a core, %.1f %% while guessing |\n",
           mib(use[0].resident_bytes), mib(use[1].resident_bytes), mib(highest[0]), mib(use[2].resident_bytes),
           mib(highest[1]), mib(use[4].resident_bytes),
           ((double)highest[0] - (double)use[0].resident_bytes) / count,
           (double)(use[2].cpu_ms - use[1].cpu_ms) / (plan->seconds * 5.0),
           (double)(use[3].cpu_ms - use[2].cpu_ms) / (plan->seconds * 5.0));
    fflush(stdout);
}

void measure_hang(const struct hang_plan *plan)
{
    struct hang g = { .plan = plan, .count = plan->silent + plan->slow + GUESSES_WAITING_MAX };
    struct proc_use use[5] = { 0 };      /* before, all there, half-way, at the end, after they went */
    uint64_t highest[2] = { 0 }, next_ns = 0;
    g.all = calloc(g.count, sizeof *g.all);
    g.epoll = epoll_create1(EPOLL_CLOEXEC);
    if (!g.all || g.epoll < 0) die("no memory for %u connections", g.count);
    for (uint32_t i = 0; i < g.count; i++) {
        enum kind kind = i < plan->silent ? SILENT : i % 2 ? SLOW_HEAD : SLOW_FRAME;
        g.all[i] = (struct hanger){ .fd = -1, .kind = i < plan->silent + plan->slow ? kind : GUESS };
    }
    proc_read(plan->server.pid, &use[0]);
    wait_for(&g, plan->silent + plan->slow, "opening");
    proc_read(plan->server.pid, &use[1]);
    for (int half = 0; half < 2; half++) {
        uint64_t from_ns = g.now_ns, until_ns = from_ns + plan->seconds * UINT64_C(500000000);
        do {
            hang_turn(&g);
            if (half == 1) guess(&g, from_ns);
            sample(&g, &next_ns, &use[2 + half], &highest[half]);
        } while (g.now_ns < until_ns);
        proc_read(plan->server.pid, &use[2 + half]);
    }
    g.is_over = true;
    wait_for(&g, 0, "cut by the server");
    proc_read(plan->server.pid, &use[4]);
    print_table(&g, use, highest);
    close(g.epoll);
    free(g.all);
}
