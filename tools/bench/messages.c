/* messages.c - the load: direct messages between pairs, each followed through all five frames.
 *
 *   sender               server               receiver
 *     | SEND ------------> |                     |        t0
 *     | <-------- ACCEPTED | (on disk)           |        accepted
 *     |                    | MESSAGE ----------> |        arrived
 *     |                    | <-------- DELIVERED |
 *     | <--------- RECEIPT | (on disk)           |        receipt: the message is done, the next one may go
 *
 * Each pair keeps `depth` messages in flight. A message carries its number; the receiver must see 0, 1, 2, … and the
 * sender's answers must come in that order with sequences to match, or the measurement ends with an error: nothing
 * lost, nothing twice, nothing out of order.
 *
 * A round opens its sessions, warms up (first messages make conversations), measures for a while, lets what is in
 * flight end, and closes. Server and floor take turns, so that a machine that slows down slows both; the table has
 * the medians of the rounds. Latencies are those of messages that began and ended inside the measured time. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/bench/bench.h"
#include "tools/bench/fleet.h"
#include "tools/bench/histogram.h"
#include "tools/bench/proc.h"

enum {
    WARM_UP_MS = 1500,
    DRAIN_SECONDS_MAX = 30,        /* last resort: what is in flight must end within it */
    ROUNDS_MAX = 64,
};

struct pair {
    struct peer *from, *to;
    struct user_id to_user;
    struct conv_id conv;
    uint64_t first_seq;            /* of message 0; 0: not known yet */
    uint64_t first_client_seq;
    uint64_t sent, accepted, arrived, done;     /* messages; sent >= accepted, arrived >= done */
    uint64_t began_ns[BENCH_DEPTH_MAX];         /* of message n: [n % BENCH_DEPTH_MAX] */
};

struct load {
    struct fleet fleet;
    struct pair *pairs;
    uint32_t pair_count, depth;
    uint64_t run;                  /* in every body: a message of another run is not taken for ours */
    bool stopping;                 /* no new messages */
    uint64_t measure_from_ns;      /* UINT64_MAX: not measuring */
    uint64_t done;
    struct histogram accepted, arrived, receipt;
};

/* One line of the table. */
enum figure {
    RATE, ACCEPTED_P50, ACCEPTED_P99, ACCEPTED_P999, ARRIVED_P50, ARRIVED_P99, ARRIVED_P999,
    RECEIPT_P50, RECEIPT_P99, RECEIPT_P999, CPU, READS, WRITES, LOG_BYTES, DISK_BYTES, FIGURES
};
static const char *const figure_text[FIGURES] = {
    [RATE] = "messages/s",
    [ACCEPTED_P50] = "SEND to ACCEPTED, ms, p50",
    [ACCEPTED_P99] = "                      p99",
    [ACCEPTED_P999] = "                      p99.9",
    [ARRIVED_P50] = "SEND to MESSAGE, ms,  p50",
    [ARRIVED_P99] = "                      p99",
    [ARRIVED_P999] = "                      p99.9",
    [RECEIPT_P50] = "SEND to RECEIPT, ms,  p50",
    [RECEIPT_P99] = "                      p99",
    [RECEIPT_P999] = "                      p99.9",
    [CPU] = "CPU seconds per million",
    [READS] = "read calls per message",
    [WRITES] = "write calls per message",
    [LOG_BYTES] = "log bytes per message",
    [DISK_BYTES] = "bytes to the disk per message",
};

/* ---- one message ---- */

static struct pair *pair_of(struct load *load, const struct peer *peer)
{
    return &load->pairs[peer->number / 2];
}

static void pair_say(struct load *load, struct pair *pair)
{
    uint64_t n = pair->sent++;
    uint8_t body[BENCH_BODY_BYTES];
    memset(body, 0xa5, sizeof body);
    put_u64(body, load->run);
    put_u64(body + 8, n);
    uint64_t client_seq = pair->first_client_seq + n;
    struct msg msg = { .type = MSG_SEND, .has_ref = true, .ref = client_seq };
    msg.u.send = (struct msg_send){ .to = { .is_user = true, .user = pair->to_user }, .client_seq = client_seq,
                                    .settled = pair->first_client_seq + pair->accepted, .body = BYTES_OF(body) };
    pair->began_ns[n % BENCH_DEPTH_MAX] = load->fleet.now_ns;
    fleet_say(&load->fleet, pair->from, &msg);
}

static void pair_fill(struct load *load, struct pair *pair)
{
    while (!load->stopping && pair->sent - pair->done < load->depth) pair_say(load, pair);
}

static void time_add(struct load *load, const struct pair *pair, uint64_t n, struct histogram *to)
{
    uint64_t began = pair->began_ns[n % BENCH_DEPTH_MAX];
    if (began >= load->measure_from_ns) histogram_add(to, load->fleet.now_ns - began);
}

/* Message n of the pair has sequence `seq`: the first one told fixes all others, gaps would show. */
static void pair_check_seq(struct pair *pair, uint64_t n, uint64_t seq, const char *what)
{
    if (pair->first_seq == 0) pair->first_seq = seq - n;
    if (pair->first_seq == 0 || seq != pair->first_seq + n)
        die("user %u: %s of message %" PRIu64 " has sequence %" PRIu64 ", not %" PRIu64, pair->from->number, what, n,
            seq, pair->first_seq + n);
}

static void pair_on_accepted(struct load *load, struct pair *pair, const struct msg *msg)
{
    const struct msg_accepted *a = &msg->u.accepted;
    uint64_t n = pair->accepted++;
    if (n >= pair->sent || a->client_seq != pair->first_client_seq + n || msg->ref != a->client_seq)
        die("user %u: ACCEPTED of client sequence %" PRIu64 " where %" PRIu64 " was next", pair->from->number,
            a->client_seq, pair->first_client_seq + n);
    pair_check_seq(pair, n, a->seq, "ACCEPTED");
    time_add(load, pair, n, &load->accepted);
}

static void pair_on_arrived(struct load *load, struct pair *pair, const struct msg_message *m)
{
    if (!conv_id_equal(&m->conv, &pair->conv) || m->body.len != BENCH_BODY_BYTES || get_u64(m->body.at) != load->run)
        die("user %u: a message that nobody sent in this run", pair->to->number);
    uint64_t n = pair->arrived++, told = get_u64(m->body.at + 8);
    if (told != n || n >= pair->sent)
        die("user %u: message %" PRIu64 " came where %" PRIu64 " was next: lost, twice or out of order",
            pair->to->number, told, n);
    pair_check_seq(pair, n, m->seq, "MESSAGE");
    time_add(load, pair, n, &load->arrived);
    struct msg msg = { .type = MSG_DELIVERED };
    msg.u.cursor = (struct msg_cursor){ .to = { .conv = pair->conv }, .seq = m->seq };
    fleet_say(&load->fleet, pair->to, &msg);
}

static void pair_on_receipt(struct load *load, struct pair *pair, const struct msg_receipt *r)
{
    if (!user_id_equal(&r->user, &pair->to_user) || pair->first_seq == 0) return;
    while (pair->done < pair->sent && pair->first_seq + pair->done <= r->delivered) {
        if (pair->done >= pair->arrived)
            die("user %u: a receipt for a message that has not arrived", pair->from->number);
        time_add(load, pair, pair->done++, &load->receipt);
        load->done++;
    }
    pair_fill(load, pair);
}

static void load_on_message(struct fleet *fleet, struct peer *peer, const struct msg *msg)
{
    struct load *load = fleet->arg;
    struct pair *pair = pair_of(load, peer);
    if (msg->type == MSG_ACCEPTED && peer == pair->from) pair_on_accepted(load, pair, msg);
    else if (msg->type == MSG_MESSAGE && peer == pair->to) pair_on_arrived(load, pair, &msg->u.message);
    else if (msg->type == MSG_RECEIPT && peer == pair->from) pair_on_receipt(load, pair, &msg->u.receipt);
    else die("user %u: %s was not expected", peer->number, msg_type_name(msg->type));
}

/* ---- one round ---- */

static void load_open(struct load *load, uint16_t port, uint32_t pairs, uint32_t depth)
{
    *load = (struct load){ .pair_count = pairs, .depth = depth, .measure_from_ns = UINT64_MAX };
    load->run = now_ns() ^ (uint64_t)getpid() << 40;
    load->pairs = calloc(pairs, sizeof *load->pairs);
    if (!load->pairs) die("no memory for %u pairs", pairs);
    fleet_open(&load->fleet, port, pairs * 2);
    load->fleet.on_message = load_on_message;
    load->fleet.arg = load;
    for (uint32_t i = 0; i < pairs; i++) {
        struct pair *pair = &load->pairs[i];
        pair->from = &load->fleet.peers[2 * i];
        pair->to = &load->fleet.peers[2 * i + 1];
        struct user_id from_user = bench_user(2 * i);
        pair->to_user = bench_user(2 * i + 1);
        pair->conv = conv_id_direct(&from_user, &pair->to_user);
        pair->first_client_seq = pair->from->client_seq_max + 1;
    }
}

static void load_run_until(struct load *load, uint64_t until_ns)
{
    do fleet_turn(&load->fleet, 10);
    while (load->fleet.now_ns < until_ns);
}

static void load_drain(struct load *load)
{
    load->stopping = true;
    load->measure_from_ns = UINT64_MAX;
    uint64_t give_up = now_ns() + DRAIN_SECONDS_MAX * UINT64_C(1000000000);
    for (uint32_t i = 0; i < load->pair_count; i++) {
        const struct pair *pair = &load->pairs[i];
        while (pair->done < pair->sent || pair->accepted < pair->sent) {
            fleet_turn(&load->fleet, 100);
            if (load->fleet.now_ns > give_up)
                die("user %u: of %" PRIu64 " messages %" PRIu64 " were accepted, %" PRIu64 " arrived, %" PRIu64
                    " have their receipt", pair->from->number, pair->sent, pair->accepted, pair->arrived, pair->done);
        }
    }
}

static void round_run(const struct target *target, const struct messages_plan *plan, double figures[FIGURES])
{
    struct load load;
    load_open(&load, target->port, plan->pairs, plan->depth);
    load.fleet.now_ns = now_ns();
    for (uint32_t i = 0; i < load.pair_count; i++) pair_fill(&load, &load.pairs[i]);
    load_run_until(&load, now_ns() + WARM_UP_MS * UINT64_C(1000000));

    struct proc_use before, after;
    uint64_t log_before = folder_bytes(target->folder), done_before = load.done;
    proc_read(target->pid, &before);
    uint64_t from_ns = now_ns();
    load.measure_from_ns = from_ns;
    load_run_until(&load, from_ns + plan->seconds * UINT64_C(1000000000));
    uint64_t took_ns = now_ns() - from_ns;
    proc_read(target->pid, &after);
    uint64_t log_after = folder_bytes(target->folder);
    double done = (double)(load.done - done_before);
    load_drain(&load);
    if (done <= 0) die("not one message in %u s", plan->seconds);

    const struct histogram *times[] = { &load.accepted, &load.arrived, &load.receipt };
    static const double quantiles[] = { 0.5, 0.99, 0.999 };
    for (int t = 0; t < 3; t++)
        for (int q = 0; q < 3; q++)
            figures[ACCEPTED_P50 + 3 * t + q] = (double)histogram_quantile(times[t], quantiles[q]) / 1e6;
    figures[RATE] = done / ((double)took_ns / 1e9);
    figures[CPU] = (double)(after.cpu_ms - before.cpu_ms) * 1e3 / done;
    figures[READS] = (double)(after.reads - before.reads) / done;
    figures[WRITES] = (double)(after.writes - before.writes) / done;
    figures[LOG_BYTES] = (double)(log_after - log_before) / done;
    figures[DISK_BYTES] = (double)(after.disk_bytes - before.disk_bytes) / done;
    free(load.pairs);
    fleet_close(&load.fleet);
}

/* ---- the table ---- */

static int double_compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

struct spread { double least, median, most; };

static struct spread spread_of(double (*rounds)[FIGURES], uint32_t count, enum figure figure)
{
    double values[ROUNDS_MAX];
    for (uint32_t i = 0; i < count; i++) values[i] = rounds[i][figure];
    qsort(values, count, sizeof *values, double_compare);
    double median = (values[(count - 1) / 2] + values[count / 2]) / 2;
    return (struct spread){ values[0], median, values[count - 1] };
}

void measure_messages(const struct messages_plan *plan)
{
    static double server[ROUNDS_MAX][FIGURES], base[ROUNDS_MAX][FIGURES];
    if (plan->rounds < 1 || plan->rounds > ROUNDS_MAX) die("1 to %d rounds", ROUNDS_MAX);
    for (uint32_t i = 0; i < plan->rounds; i++) {
        round_run(&plan->server, plan, server[i]);
        round_run(&plan->floor, plan, base[i]);
    }
    printf("\n%u pairs, %d-byte bodies, %u in flight for each pair; medians of %u rounds of %u s\n\n", plan->pairs,
           BENCH_BODY_BYTES, plan->depth, plan->rounds, plan->seconds);
    printf("| %-29s | %10s | %10s | %6s |\n|---|---:|---:|---:|\n", "", "pipitd", "floor", "ratio");
    for (enum figure i = RATE; i < FIGURES; i++) {
        struct spread s = spread_of(server, plan->rounds, i), f = spread_of(base, plan->rounds, i);
        int digits = s.median < 100 && f.median < 100 ? 2 : 0;
        printf("| %-29s | %10.*f | %10.*f | %6.2f |\n", figure_text[i], digits, s.median, digits, f.median,
               f.median > 0 ? s.median / f.median : 0.0);
    }
    struct spread s = spread_of(server, plan->rounds, RATE), f = spread_of(base, plan->rounds, RATE);
    printf("\nmessages/s from %.0f to %.0f (floor: %.0f to %.0f)\n", s.least, s.most, f.least, f.most);
    fflush(stdout);
}
