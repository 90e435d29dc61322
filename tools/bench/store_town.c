/* store_town.c - see store.h. */
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tools/bench/store.h"

enum {
    SKEW = 10,
    ROWS_PER_COMMIT = 1000,
    /* Loaded between two looks of the keeper, and between two flushes of rows: about a segment. */
    LOAD_BYTES = 64 << 20,
};

static void must(int err, const char *what)
{
    if (err) die("%s: %s", what, err_text(err));
}

uint64_t town_random(struct town *town)                          /* splitmix64 */
{
    uint64_t z = town->random += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

uint32_t town_draw(struct town *town)
{
    double at = (double)(town_random(town) >> 11) / (double)(UINT64_C(1) << 53);
    uint32_t low = 0, high = TOWN_CONVS - 1;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (town->shares[middle] <= at) low = middle + 1;
        else high = middle;
    }
    return low;
}

uint64_t wall_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* -- opening ------------------------------------------------------------------------------------------------------- */

static void make_rows(struct town *town, uint64_t now_ms)
{
    struct facts *facts = town->store.facts;
    for (uint32_t c = 0; c < TOWN_CONVS;) {
        uint32_t end = c + ROWS_PER_COMMIT < TOWN_CONVS ? c + ROWS_PER_COMMIT : TOWN_CONVS;
        must(facts_begin(facts), "facts");
        for (; c < end; c++) {
            struct user_id a = bench_user(2 * c), b = bench_user(2 * c + 1);
            must(facts_user_add(facts, &a, "!", now_ms), "user");
            must(facts_user_add(facts, &b, "!", now_ms), "user");
            must(facts_conv_add_direct(facts, &town->convs[c].id, &a, &b, now_ms), "conversation");
        }
        must(facts_commit(facts), "facts");
    }
}

static void find_heads(struct town *town, uint64_t now_ms)
{
    struct conv_row row;
    must(vault_begin(town->store.vault), "keys");
    for (uint32_t c = 0; c < TOWN_CONVS; c++) {
        struct user_id a = bench_user(2 * c), b = bench_user(2 * c + 1);
        town->convs[c].id = conv_id_direct(&a, &b);
        must(vault_make(town->store.vault, &town->convs[c].id, now_ms, &town->convs[c].key), "key");
    }
    must(vault_commit(town->store.vault), "keys");
    if (facts_conv_get(town->store.facts, &town->convs[0].id, &row) == ERR_NOT_FOUND) make_rows(town, now_ms);
    for (uint32_t c = 0; c < TOWN_CONVS; c++) {
        must(facts_conv_get(town->store.facts, &town->convs[c].id, &row), "conversation");
        town->convs[c].head = row.head;
        town->convs[c].last_id = row.last_id;
    }
}

void town_open(struct town *town, const char *dir, uint64_t *ms_out)
{
    struct store_opening how = { .shards = 1, .now_ms = wall_ms() };
    char why[256];
    memset(town, 0, sizeof *town);
    town->dir = dir;
    town->random = 1;
    uint64_t began = now_ns();
    int err = store_open(fsio_posix(), dir, &how, &town->store, why);
    if (err) die("%s: %s: %s", dir, err_text(err), why);
    if (ms_out) *ms_out = (now_ns() - began) / 1000000;
    double sum = 0, whole = 0;
    for (uint32_t r = 0; r < TOWN_CONVS; r++) whole += 1.0 / (r + SKEW);
    for (uint32_t r = 0; r < TOWN_CONVS; r++) town->shares[r] = (sum += 1.0 / (r + SKEW)) / whole;
    town->convs = calloc(TOWN_CONVS, sizeof *town->convs);
    town->fold = fold_new(0);
    if (!town->convs || !town->fold) die("out of memory");
    find_heads(town, how.now_ms);
}

void town_close(struct town *town)
{
    town_flush(town);
    store_close(&town->store);
    fold_free(town->fold);
    free(town->convs);
}

/* -- writing ------------------------------------------------------------------------------------------------------- */

static int append(struct town *town, struct town_conv *conv, struct record *head, const struct entry *entry)
{
    struct position at;
    head->partition = conv->id;
    head->key = conv->key.number;
    int err = log_append(town->store.log[0], head, entry, conv->key.key, &at);
    if (err) return err;
    head->log = at.log;
    head->number = at.number;
    return 0;
}

static void fresh_id(struct town *town, const struct msg_id *before, uint64_t now_ms, struct msg_id *out)
{
    uint64_t random = town_random(town);
    *out = msg_id_next(before, now_ms, (const uint8_t *)&random);
}

void town_draft(struct town *town, uint32_t c, uint64_t now_ms, struct draft *out)
{
    struct town_conv *conv = &town->convs[c];
    for (size_t i = 0; i < sizeof out->body / sizeof *out->body; i++) out->body[i] = town_random(town);
    uint32_t sender = 2 * c + (uint32_t)(out->body[0] & 1);
    out->conv = c;
    out->head = (struct record){ .seq = conv->head + 1, .kind = FOLD_KIND_MESSAGE, .flags = 1,
                                 .counted = conv->head + 1 };
    out->entry = (struct entry){ .sender = bench_user(sender), .device = bench_device(sender),
                                 .client_seq = out->head.seq, .settled = out->head.seq,
                                 .body = bytes_of(out->body, sizeof out->body) };
    if (conv->head == 0) {
        out->entry.member_count = 2;
        out->entry.members[0] = bench_user(2 * c);
        out->entry.members[1] = bench_user(2 * c + 1);
    }
    fresh_id(town, &conv->last_id, now_ms, &out->head.id);
    conv->head = out->head.seq;
    conv->last_id = out->head.id;
}

int town_append(struct town *town, struct draft *draft)
{
    return append(town, &town->convs[draft->conv], &draft->head, &draft->entry);
}

int town_say(struct town *town, uint32_t c, uint64_t now_ms)
{
    struct town_conv *conv = &town->convs[c];
    struct msg_id last_id = conv->last_id;
    struct draft s;
    town_draft(town, c, now_ms, &s);
    int err = town_append(town, &s);
    if (err) {
        conv->head--;
        conv->last_id = last_id;
        return err;
    }
    town->messages++;
    town->message_bytes += record_bytes(&s.head, &s.entry);
    must(fold_record(town->fold, &s.head, &s.entry), "fold");

    uint32_t receiver = (2 * c + (uint32_t)(s.body[0] & 1)) ^ 1;
    struct mark mark = { bench_user(receiver), bench_device(receiver), s.head.seq, 0, now_ms };
    struct record place = { .seq = s.head.seq, .kind = RECORD_KIND_MARKS, .counted = s.head.counted };
    struct entry moves = { .marks = &mark, .mark_count = 1 };
    fresh_id(town, &conv->last_id, now_ms, &place.id);
    err = append(town, conv, &place, &moves);
    if (err == ERR_FULL) return 0;                               /* one mark less: receipts may be folded */
    must(err, "mark");
    must(fold_record(town->fold, &place, &moves), "fold");
    town->marks++;
    town->mark_bytes += record_bytes(&place, &moves);
    return 0;
}

void town_flush(struct town *town)
{
    must(log_commit(town->store.log[0]), "commit");
    if (fold_rows(town->fold) == 0) return;
    must(facts_begin(town->store.facts), "facts");
    must(facts_flush(town->store.facts, town->fold), "flush");
    must(facts_commit(town->store.facts), "facts");
    fold_free(town->fold);
    town->fold = fold_new(0);
    if (!town->fold) die("out of memory");
}

void town_load(struct town *town, uint64_t count, uint64_t begin_ms, uint64_t end_ms, bool keep)
{
    struct keeping k = { .town = town };
    uint64_t bytes = town->message_bytes + town->mark_bytes;
    bool keeps = false;
    for (uint64_t i = 0; i < count; i++) {
        uint32_t c = town_draw(town);
        uint64_t now_ms = begin_ms + (uint64_t)((double)(end_ms - begin_ms) * (double)i / (double)count);
        int err = town_say(town, c, now_ms);
        if (err == ERR_FULL) {
            must(log_commit(town->store.log[0]), "commit");
            err = town_say(town, c, now_ms);
        }
        must(err, "append");
        if (town->message_bytes + town->mark_bytes - bytes < LOAD_BYTES) continue;
        bytes = town->message_bytes + town->mark_bytes;
        town_flush(town);
        if (keeps) keeping_wait(&k);
        keeps = keep;
        k.flushed = log_committed(town->store.log[0]);
        k.now_ms = now_ms;
        if (keep) keeping_start(&k);
    }
    if (keeps) keeping_wait(&k);
    town_flush(town);
}
