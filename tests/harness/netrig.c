/* netrig.c - see netrig.h. The service's state is one mutex's: tests are not about speed. */
#include "tests/harness/netrig.h"

#include <assert.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proto/err.h"
#include "proto/wsframe.h"
#include "tests/harness/certbox.h"
#include "tests/harness/peer.h"

enum { CLOSED_MAX = 65536, LATER_MAX = 64, CONNS_MANY = 100000, BACKLOG = 1024 };

struct netrig {
    struct house house;
    struct net_config config;
    struct listening *listening;
    struct clock_hand *hand;
    _Atomic uint32_t drained;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    int closed[CLOSED_MAX];               /* errors told by on_closed, a queue */
    uint32_t closed_head, closed_tail;
    struct conn *later[LATER_MAX];        /* requests that wait, oldest first */
    uint32_t later_count;
};

static struct netrig *rig_of(const struct shard *shard)
{
    return (struct netrig *)((char *)shard->house - offsetof(struct netrig, house));
}

__attribute__((noreturn)) static void fail(const char *what)
{
    fprintf(stderr, "netrig: %s\n", what);
    abort();
}

/* -- the service -- */

/* What owns a connection that said H: proof that on_closed comes with its owner, and once. */
struct owner { uint64_t conn_id; };

static void send_bytes(struct conn *conn, struct bytes payload, bool binary)
{
    struct frame *f = frame_ws(payload);
    if (!f) fail("out of memory");
    if (!binary) f->at[0] = 0x81;
    conn_write(conn, f);
    frame_unref(f);
}

static void send_many(struct conn *conn, const char *args)
{
    unsigned count = 0, len = 0;
    if (sscanf(args, "%u %u", &count, &len) != 2 || len < 4) fail("S wants a count and a length of at least 4");
    char *payload = malloc(len + 1);
    if (!payload) fail("out of memory");
    for (unsigned i = 1; i <= count; i++) {
        memset(payload, 'x', len);
        char number[16];
        snprintf(number, sizeof number, "%04u", i % 10000);
        memcpy(payload, number, 4);
        send_bytes(conn, bytes_of(payload, len), true);
    }
    free(payload);
}

static void hello(struct conn *conn, struct bytes m)
{
    const struct shard *shard = conn_shard(conn);
    uint16_t home = (uint16_t)(m.at[1] - '0');
    if (home != shard->id) {
        handoff_send(conn, m.at[0] == 'M' ? (uint16_t)((shard->id + 1) % shard->house->shards) : home, m);
        return;
    }
    struct owner *owner = conn_owner(conn);
    if (!owner) {
        owner = malloc(sizeof *owner);
        if (!owner) fail("out of memory");
        owner->conn_id = conn_id(conn);
        conn_set_owner(conn, owner);
    }
    char *answer = malloc(m.len);
    if (!answer) fail("out of memory");
    memcpy(answer, m.at, m.len);
    answer[0] = 'W';
    send_bytes(conn, bytes_of(answer, m.len), true);
    free(answer);
}

static void on_message(struct conn *conn, struct bytes m, bool binary)
{
    char args[32] = "";
    assert(shard_is_current(conn_shard(conn)));
    if (m.len > 1 && m.len < sizeof args) memcpy(args, m.at + 1, m.len - 1);
    switch (binary && m.len ? m.at[0] : 0) {
    case 'H':
    case 'M':
        hello(conn, m);
        break;
    case 'S':
        send_many(conn, args);
        break;
    case 'C':
        conn_close(conn, -atoi(args));
        conn_close(conn, ERR_IO);
        break;
    case 'P':
        conn_pause(conn);
        break;
    case 'K':
        conn_ping(conn);
        break;
    case 'W':
        send_bytes(conn, bytes_of_str(conn_peer(conn)), true);
        break;
    default:
        send_bytes(conn, m, binary);
    }
}

static void on_request(struct conn *conn, const struct http_request *r)
{
    struct netrig *rig = rig_of(conn_shard(conn));
    if (strcmp(r->path, "/echo") == 0 || strcmp(r->path, "/v1/echo") == 0) {
        char text[HTTP_BODY_BYTES_MAX + 256];
        int len = snprintf(text, sizeof text, "%s %s %.*s", r->method, r->query, (int)r->body.len,
                           r->body.len ? (const char *)r->body.at : "");
        conn_respond(conn, 200, "X-Extra: 1\r\n", "text/plain", bytes_of(text, (size_t)len));
    } else if (strcmp(r->path, "/peer") == 0) {
        conn_respond(conn, 200, "", "text/plain", bytes_of_str(r->peer));
    } else if (strcmp(r->path, "/later") == 0) {
        pthread_mutex_lock(&rig->mutex);
        if (rig->later_count == LATER_MAX) fail("too many requests wait");
        rig->later[rig->later_count++] = conn;
        pthread_cond_broadcast(&rig->changed);
        pthread_mutex_unlock(&rig->mutex);
    } else {
        conn_respond(conn, 404, "", "", BYTES_NONE);
    }
}

static void on_closed(struct conn *conn, int err)
{
    struct netrig *rig = rig_of(conn_shard(conn));
    struct owner *owner = conn_owner(conn);
    if (owner && owner->conn_id != conn_id(conn)) fail("a closed connection has another's owner");
    free(owner);
    pthread_mutex_lock(&rig->mutex);
    for (uint32_t i = 0; i < rig->later_count; i++) {
        if (rig->later[i] != conn) continue;
        memmove(rig->later + i, rig->later + i + 1, (--rig->later_count - i) * sizeof rig->later[0]);
        break;
    }
    if (rig->closed_tail == CLOSED_MAX) fail("too many connections for one rig");
    rig->closed[rig->closed_tail++] = err;
    pthread_cond_broadcast(&rig->changed);
    pthread_mutex_unlock(&rig->mutex);
}

static void on_drained(struct conn *conn)
{
    atomic_fetch_add(&rig_of(conn_shard(conn))->drained, 1);
}

static const struct conn_events events = {
    .on_request = on_request,
    .on_message = on_message,
    .on_closed = on_closed,
    .on_drained = on_drained,
};

/* -- certificates -- */

static bool speaks_tls;

void netrig_speak_tls(void)
{
    static char ca_file[CERTBOX_PATH];
    certbox_issue("cert", "localhost", "127.0.0.1", 30);
    certbox_path("ca.pem", ca_file);
    peer_speak_tls(ca_file);
    speaks_tls = true;
}

/* -- the house -- */

static void on_start(struct shard *shard)
{
    struct netrig *rig = rig_of(shard);
    if (net_open(shard, &rig->config, rig->listening) != 0) fail("net_open");
}

static void on_parcel(struct shard *shard, const struct parcel *p)
{
    assert(p->kind == PARCEL_CONN);
    handoff_receive(shard, p->u.conn);
}

static bool is_stopped(struct shard *shard)
{
    return net_is_closed(shard);
}

struct netrig *netrig_up(const struct netrig_options *options)
{
    static const struct shard_ops ops = {
        .on_start = on_start, .on_parcel = on_parcel, .flush = net_flush, .on_stop = net_close, .is_stopped = is_stopped,
    };
    static const uint8_t key[16];
    char why[LISTENING_WHY_MAX];
    struct netrig *rig = calloc(1, sizeof *rig);
    if (!rig) fail("out of memory");
    signal(SIGPIPE, SIG_IGN);             /* as the program does */
    uint16_t shards = options->shards ? options->shards : 1;
    rig->config = (struct net_config){
        .events = &events, .ws_path = "/v1/ws", .api_prefix = "/v1/", .backlog = BACKLOG,
        .settings = { .conns_max = options->conns_max ? options->conns_max : CONNS_MANY,
                      .conns_per_address_max = options->conns_per_address_max, .request_ms = NETRIG_REQUEST_MS,
                      .message_ms = NETRIG_MESSAGE_MS,
                      .keepalive_ms = NETRIG_KEEPALIVE_MS, .linger_ms = NETRIG_LINGER_MS },
    };
    rig->config.settings.redirects = options->redirects;
    rig->config.settings.certs = speaks_tls ? certbox_load("cert", 7) : NULL;
    if (options->allowed_origins) strcpy(rig->config.settings.allowed_origins, options->allowed_origins);
    rig->hand = options->hand;
    pthread_mutex_init(&rig->mutex, NULL);
    pthread_cond_init(&rig->changed, NULL);
    const struct clock *clock = rig->hand ? &rig->hand->clock : clock_real();
    if (house_init(&rig->house, shards, clock, key) != 0) fail("house_init");
    const char *address = options->address ? options->address : "127.0.0.1:0";
    struct listening_options places = { .shards = shards, .backlog = BACKLOG,
                                        .sndbuf_bytes = 256 * 1024, .unix_mode = 0600 };
    if (listening_open(address, &places, &rig->listening, why) != 0) fail(why);
    rig->config.tls_port = listening_tls_port(rig->listening);
    if (house_start(&rig->house, &ops, NULL) != 0) fail("house_start");
    netrig_settle(rig);
    return rig;
}

uint16_t netrig_port(const struct netrig *rig)
{
    return listening_port(rig->listening);
}

const char *netrig_address(const struct netrig *rig)
{
    return listening_text(rig->listening);
}

void netrig_stop(struct netrig *rig)
{
    house_stop(&rig->house);
}

void netrig_down(struct netrig *rig)
{
    house_stop(&rig->house);
    house_join(&rig->house);
    uint64_t told = rig->closed_tail, accepted = netrig_stat(rig, "conns_accepted");
    if (told != accepted) fail("not every connection was told closed once");
    if (netrig_stat(rig, "conns") != 0) fail("the count of open connections did not return to zero");
    for (uint16_t i = 0; i < rig->house.shards; i++) net_free(rig->house.shard[i]);
    certs_unref(rig->config.settings.certs);
    listening_close(rig->listening);
    house_fini(&rig->house);
    pthread_mutex_destroy(&rig->mutex);
    pthread_cond_destroy(&rig->changed);
    free(rig);
}

struct call {
    void (*fn)(struct shard *shard, void *arg);
    void *arg;
    sem_t done;
};

static void run_call(struct shard *shard, void *arg)
{
    struct call *call = arg;
    if (call->fn) call->fn(shard, call->arg);
    sem_post(&call->done);
}

void netrig_call(struct netrig *rig, uint16_t shard, void (*fn)(struct shard *shard, void *arg), void *arg)
{
    struct call call = { .fn = fn, .arg = arg };
    sem_init(&call.done, 0, 0);
    if (!house_call(&rig->house, shard, run_call, &call)) fail("no room in a pipe");
    while (sem_wait(&call.done) != 0) {}
    sem_destroy(&call.done);
}

void netrig_settle(struct netrig *rig)
{
    /* A call runs in the draining part of a turn, so the second one comes after the first one's flush. */
    for (uint16_t i = 0; i < 2 * rig->house.shards; i++) netrig_call(rig, i / 2, NULL, NULL);
}

struct sum { const char *name; uint64_t value; bool found; };

static void add_stat(void *arg, const char *name, int is_count, const char *text, uint64_t value)
{
    struct sum *sum = arg;
    (void)is_count;
    (void)text;
    if (strcmp(name, sum->name) != 0) return;
    sum->value += value;
    sum->found = true;
}

uint64_t netrig_stat(struct netrig *rig, const char *name)
{
    struct sum sum = { .name = name };
    for (uint16_t i = 0; i < rig->house.shards; i++) stats_each(&rig->house.shard[i]->stats, add_stat, &sum);
    if (!sum.found) fail("no such counter");
    return sum.value;
}

void netrig_await(struct netrig *rig, const char *name, uint64_t value)
{
    /* Once more in the end: what counted may still be at work. */
    do netrig_settle(rig);
    while (netrig_stat(rig, name) < value);
    netrig_settle(rig);
}

uint32_t netrig_drained(struct netrig *rig)
{
    return atomic_load(&rig->drained);
}

void netrig_turn_clock(struct netrig *rig, uint64_t ms)
{
    clock_hand_advance(rig->hand, ms);
    netrig_settle(rig);
}

int netrig_closed(struct netrig *rig)
{
    pthread_mutex_lock(&rig->mutex);
    while (rig->closed_head == rig->closed_tail) pthread_cond_wait(&rig->changed, &rig->mutex);
    int err = rig->closed[rig->closed_head++];
    pthread_mutex_unlock(&rig->mutex);
    return err;
}

uint32_t netrig_closed_count(struct netrig *rig)
{
    pthread_mutex_lock(&rig->mutex);
    uint32_t count = rig->closed_tail - rig->closed_head;
    pthread_mutex_unlock(&rig->mutex);
    return count;
}

static void answer_later(struct shard *shard, void *arg)
{
    (void)shard;
    conn_respond(arg, 200, "", "text/plain", bytes_of_str("later"));
}

void netrig_answer(struct netrig *rig)
{
    pthread_mutex_lock(&rig->mutex);
    while (rig->later_count == 0) pthread_cond_wait(&rig->changed, &rig->mutex);
    struct conn *conn = rig->later[0];
    memmove(rig->later, rig->later + 1, --rig->later_count * sizeof rig->later[0]);
    uint16_t shard = conn_shard(conn)->id;
    pthread_mutex_unlock(&rig->mutex);
    netrig_call(rig, shard, answer_later, conn);
}

static void resume_one(void *arg, struct conn *conn)
{
    (void)arg;
    conn_resume(conn);
}

static void resume_all(struct shard *shard, void *arg)
{
    net_each(shard, resume_one, arg);
}

void netrig_resume(struct netrig *rig)
{
    for (uint16_t i = 0; i < rig->house.shards; i++) netrig_call(rig, i, resume_all, NULL);
}
