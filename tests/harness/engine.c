/* engine.c - see engine.h. */
#include "tests/harness/engine.h"

#include <assert.h>
#include <pthread.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/err.h"
#include "tests/harness/chance.h"

enum {
    SEGMENT_BYTES = 24 * 1024,    /* a roll every few acts */
    BODY_MAX = 3000,
    BATCH_MAX = 12,
    START_MS = 1700000000,
};

struct engine {
    struct store store;
    uint64_t random;
    uint64_t now_ms;
    struct engine_model *model;
    struct fold *folds[ENGINE_LOGS_MAX];
    uint32_t shards;
    struct vault_key keys[ENGINE_CONVS];
    bool has_key[ENGINE_CONVS];
    _Atomic uint64_t flushed[LOGS_MAX];
    struct buf plain;
    struct record_page page;
    pthread_t keeper;
    bool keeps;                   /* the thread runs */
    atomic_bool stop;
    int keeper_err;               /* once it has been joined */
    char keeper_why[ENGINE_WHY_MAX];
};

__attribute__((format(printf, 2, 3)))
static int differs(char why[static ENGINE_WHY_MAX], const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(why, ENGINE_WHY_MAX, format, args);
    va_end(args);
    return ERR_CORRUPT;
}

/* -- what a record holds ------------------------------------------------------------------------------------------- */

static struct conv_id conv_of(uint32_t c)
{
    struct conv_id conv = { "engine" };
    put_u32(conv.v + 12, c);
    return conv;
}

static size_t body_of(uint32_t c, uint64_t seq, uint8_t body[static BODY_MAX])
{
    uint64_t random = ((uint64_t)c << 40) + seq;
    size_t len = chance_below(&random, 40) ? chance_below(&random, 300) : chance_below(&random, BODY_MAX);
    for (size_t i = 0; i < len; i++) body[i] = (uint8_t)chance(&random);
    return len;
}

static void head_of(const struct engine *e, uint32_t c, uint64_t seq, uint8_t kind, struct record *out)
{
    /* The lower half of an id is random always: a sequence given again after a crash has another one. */
    uint8_t low[8];
    randombytes_buf(low, sizeof low);
    *out = (struct record){
        .partition = conv_of(c), .key = e->keys[c].number, .seq = seq, .kind = kind, .flags = (uint16_t)(seq & 1),
        .counted = seq / 2, .id = msg_id_next(&(struct msg_id){ { 0 } }, START_MS + seq * 1000, low),
    };
}

static int check_record(struct engine *e, uint32_t c, const struct page_record *r, char why[static ENGINE_WHY_MAX])
{
    static uint8_t body[BODY_MAX];
    const struct record *record = &r->record;
    struct vault_key key;
    struct entry_room room;
    struct entry entry;
    unsigned long seq = record->seq;
    const struct engine_conv *conv = &e->model->convs[c];
    int err = vault_get_number(e->store.vault, record->key, &key);
    if (err == ERR_GONE && (record->seq <= conv->erased_to || conv->erasing)) return 0;
    if (err) return differs(why, "conversation %u, record %lu: its key: %s", c, seq, err_name(err));
    if (record->seq <= conv->erased_to) return differs(why, "conversation %u, record %lu: erased, and has a key", c, seq);
    err = record_open(r->whole, record, key.key, &e->plain, &room, &entry);
    if (err) return differs(why, "conversation %u, record %lu: %s", c, seq, err_name(err));
    size_t len = body_of(c, record->seq, body);
    if (!bytes_equal(entry.body, bytes_of(body, len)) || entry.client_seq != record->seq)
        return differs(why, "conversation %u, record %lu: another body", c, seq);
    return 0;
}

/* -- reading ------------------------------------------------------------------------------------------------------- */

static int read_page(struct engine *e, const struct find *find)
{
    /* The log that a conversation lives in knows its own open segment; all closed ones are everybody's. */
    struct log *log = e->store.log[get_u32(find->partition.v + 12) % e->shards];
    struct view *view = log_view(log, find);
    if (!view) return ERR_NOMEM;
    int err = view_read(view, &e->page);
    view_free(view);
    return err;
}

/* What must be in the page is there, in order, and nothing twice or out of range. */
static int check_page(struct engine *e, uint32_t c, const struct find *find, char why[static ENGINE_WHY_MAX])
{
    const struct engine_conv *conv = &e->model->convs[c];
    uint64_t sure_from = (conv->gone_to > conv->erased_to ? conv->gone_to : conv->erased_to) + 1;
    if (conv->erasing) sure_from = conv->committed + 1;
    if (sure_from < find->from) sure_from = find->from;
    uint64_t sure_to = find->to < conv->committed ? find->to : conv->committed;
    const struct record_page *page = &e->page;
    if (page->count > find->max) return differs(why, "conversation %u: %zu of at most %zu", c, page->count, find->max);
    for (size_t i = 0; i < page->count; i++) {
        const struct record *r = &page->records[i].record;
        unsigned long seq = r->seq, before = i ? page->records[i - 1].record.seq : 0;
        if (r->kind == RECORD_KIND_MARKS || seq < find->from || seq > find->to || (i && seq <= before))
            return differs(why, "conversation %u: record %lu is not asked for", c, seq);
        if (i && seq != before + 1 && seq > sure_from && before + 1 <= sure_to)
            return differs(why, "conversation %u: nothing between %lu and %lu", c, before, seq);
        int err = check_record(e, c, &page->records[i], why);
        if (err) return err;
    }
    /* The end from which it was picked has all; the other one too, unless there is more. */
    if (sure_from > sure_to) return 0;
    uint64_t first = page->count ? page->records[0].record.seq : UINT64_MAX;
    uint64_t last = page->count ? page->records[page->count - 1].record.seq : 0;
    bool at_top = find->newest || !page->more, at_bottom = !find->newest || !page->more;
    if ((at_top && last < sure_to) || (at_bottom && first > sure_from))
        return differs(why, "conversation %u: %lu..%lu for %lu..%lu", c, (unsigned long)first, (unsigned long)last,
                       (unsigned long)sure_from, (unsigned long)sure_to);
    if (page->more && page->count == 0) return differs(why, "conversation %u: an empty page, and more", c);
    return 0;
}

static int act_page(struct engine *e, char why[static ENGINE_WHY_MAX])
{
    uint32_t c = (uint32_t)chance_below(&e->random, ENGINE_CONVS);
    uint64_t head = e->model->convs[c].committed, a = chance_below(&e->random, head + 2),
             b = chance_below(&e->random, head + 2);
    struct find find = { .partition = conv_of(c), .what = FIND_RECORDS, .from = a < b ? a : b, .to = a < b ? b : a,
                         .newest = chance_below(&e->random, 2), .max = 1 + chance_below(&e->random, 60),
                         .bytes_max = chance_below(&e->random, 4) ? SIZE_MAX : 2000 };
    if (chance_below(&e->random, 4) == 0) find.to = UINT64_MAX;
    int err = read_page(e, &find);
    e->model->pages++;
    return err ? err : check_page(e, c, &find, why);
}

int engine_compare(struct engine *e, char why[static ENGINE_WHY_MAX])
{
    for (uint32_t c = 0; c < ENGINE_CONVS; c++) {
        for (int newest = 0; newest < 2; newest++) {
            struct find find = { .partition = conv_of(c), .what = FIND_RECORDS, .from = 1, .to = UINT64_MAX,
                                 .newest = newest, .max = 50, .bytes_max = SIZE_MAX };
            do {
                int err = read_page(e, &find);
                if (!err) err = check_page(e, c, &find, why);
                if (err) return err;
                if (!e->page.count) break;
                if (newest) find.to = e->page.records[0].record.seq - 1;
                else find.from = e->page.records[e->page.count - 1].record.seq + 1;
            } while (e->page.more);
        }
    }
    return 0;
}

/* -- writing ------------------------------------------------------------------------------------------------------- */

static int key_of(struct engine *e, uint32_t c)
{
    struct conv_id id = conv_of(c);
    if (e->has_key[c]) return 0;
    int err = vault_begin(e->store.vault);
    if (err) return err;
    err = vault_make(e->store.vault, &id, e->now_ms, &e->keys[c]);
    if (!err) err = vault_commit(e->store.vault);
    if (err) vault_rollback(e->store.vault);
    e->has_key[c] = !err;
    return err;
}

static int say(struct engine *e, struct log *log, uint32_t c)
{
    static uint8_t body[BODY_MAX];
    struct record head;
    struct position at;
    uint64_t seq = e->model->convs[c].given + 1;
    struct entry entry = { .sender = { "alice" }, .device = { 7 }, .client_seq = seq, .settled = seq };
    head_of(e, c, seq, FOLD_KIND_MESSAGE, &head);
    entry.body = bytes_of(body, body_of(c, seq, body));
    int err = log_append(log, &head, &entry, e->keys[c].key, &at);
    if (err) return err;
    head.log = at.log;
    head.number = at.number;
    e->model->convs[c].given = seq;
    err = fold_record(e->folds[at.log], &head, &entry);
    if (err || chance_below(&e->random, 3)) return err;
    struct mark mark = { { "bob" }, { 9 }, seq, 0, e->now_ms };
    entry = (struct entry){ .marks = &mark, .mark_count = 1 };
    head_of(e, c, seq, RECORD_KIND_MARKS, &head);
    return log_append(log, &head, &entry, e->keys[c].key, NULL);
}

static void settle(struct engine *e, uint32_t shard, bool durable)
{
    for (uint32_t c = shard; c < ENGINE_CONVS; c += e->shards) {
        struct engine_conv *conv = &e->model->convs[c];
        if (durable) conv->committed = conv->given;
        else conv->given = conv->committed;
    }
}

static int act_append(struct engine *e)
{
    uint32_t shard = (uint32_t)chance_below(&e->random, e->shards);
    struct log *log = e->store.log[shard];
    uint64_t count = 1 + chance_below(&e->random, BATCH_MAX);
    int err = 0;
    while (count-- && !err) {
        uint64_t skewed = chance_below(&e->random, ENGINE_CONVS) * chance_below(&e->random, ENGINE_CONVS) / ENGINE_CONVS;
        uint32_t c = (uint32_t)(skewed / e->shards * e->shards + shard) % ENGINE_CONVS;
        if (c % e->shards != shard) c = shard;
        err = key_of(e, c);
        if (!err) err = say(e, log, c);
        e->model->records++;
    }
    if (!err) err = log_commit(log);
    if (err) return err;
    settle(e, shard, true);
    return 0;
}

/* As its age does it. */
static int act_close_segment(struct engine *e)
{
    struct log *log = e->store.log[chance_below(&e->random, e->shards)];
    log_roll(log, e->now_ms);
    return log_commit(log);
}

static int act_flush(struct engine *e)
{
    struct facts *facts = e->store.facts;
    uint32_t shard = (uint32_t)chance_below(&e->random, e->shards);
    if (fold_rows(e->folds[shard]) == 0) return 0;
    int err = facts_begin(facts);
    if (err) return err;
    uint64_t number = fold_number(e->folds[shard]);
    err = facts_flush(facts, e->folds[shard]);
    if (!err) err = facts_commit(facts);
    else facts_rollback(facts);
    if (err) return err;
    e->flushed[shard] = number;
    fold_free(e->folds[shard]);
    e->folds[shard] = fold_new(shard);
    return e->folds[shard] ? 0 : ERR_NOMEM;
}

/* -- removing ------------------------------------------------------------------------------------------------------ */

static int act_age(struct engine *e)
{
    struct engine_conv *conv = &e->model->convs[chance_below(&e->random, ENGINE_CONVS)];
    if (conv->committed > conv->gone_to) conv->gone_to += chance_below(&e->random, (conv->committed - conv->gone_to) / 2 + 1);
    return 0;
}

static uint64_t keep_flushed(void *arg, uint32_t log)
{
    return ((struct engine *)arg)->flushed[log];
}

static int keep_fate(void *arg, const struct record *record, struct bytes whole, enum fate *fate_out)
{
    struct engine *e = arg;
    uint32_t c = get_u32(record->partition.v + 12);
    (void)whole;
    const struct engine_conv *conv = &e->model->convs[c];
    *fate_out = record->seq <= conv->gone_to || record->seq <= conv->erased_to ? FATE_DROP : FATE_KEEP;
    return 0;
}

static int keep_pace(void *arg, uint64_t bytes, bool hurry)
{
    (void)bytes, (void)hurry;
    return atomic_load(&((struct engine *)arg)->stop) ? ERR_AGAIN : 0;
}

static int keep_step(struct engine *e, bool idle, char why[static ENGINE_WHY_MAX])
{
    struct keep_how how = { .flushed = keep_flushed, .fate = keep_fate, .pace = keep_pace, .arg = e,
                            .now_ms = UINT64_C(1700000000000), .idle = idle };
    struct keep_report report;
    int err = logs_keep(e->store.logs, &how, &report);
    if (err == ERR_CORRUPT) return differs(why, "keeping: %s at %lu", report.bad_file, (unsigned long)report.bad_offset);
    if (!err && report.did == KEEP_SORTED) e->model->sorts++;
    if (!err && report.did == KEEP_MERGED) e->model->merges++;
    return err;
}

static int act_keep(struct engine *e, char why[static ENGINE_WHY_MAX])
{
    bool idle = chance_below(&e->random, 2);
    return e->keeps ? 0 : keep_step(e, idle, why);
}

static void *keeper_run(void *arg)
{
    struct engine *e = arg;
    for (bool idle = false; !e->keeper_err && !atomic_load(&e->stop); idle = !idle) {
        e->keeper_err = keep_step(e, idle, e->keeper_why);
    }
    return NULL;
}

int engine_keep_beside(struct engine *e)
{
    assert(!e->keeps);
    if (pthread_create(&e->keeper, NULL, keeper_run, e)) return ERR_NOMEM;
    e->keeps = true;
    return 0;
}

static void keeper_stop(struct engine *e)
{
    if (!e->keeps) return;
    atomic_store(&e->stop, true);
    pthread_join(e->keeper, NULL);
    e->keeps = false;
}

/* Once begun it is done, now or by the next opening: nobody was told that it failed. */
static int erase(struct engine *e, uint32_t c)
{
    struct conv_id id = conv_of(c);
    struct engine_conv *conv = &e->model->convs[c];
    uint64_t erased;
    conv->erasing = true;
    int err = vault_begin(e->store.vault);
    if (err) return err;
    err = vault_erase(e->store.vault, &id, &erased);
    if (!err) err = vault_commit(e->store.vault);
    else vault_rollback(e->store.vault);
    if (!err) err = vault_scrub(e->store.vault);
    if (err) return err;
    conv->erased_to = conv->committed;
    conv->erasing = false;
    e->has_key[c] = false;
    return 0;
}

static int act_erase(struct engine *e)
{
    int err = erase(e, (uint32_t)chance_below(&e->random, ENGINE_CONVS));
    if (!err) e->model->erases++;
    return err;
}

int engine_act(struct engine *e, char why[static ENGINE_WHY_MAX])
{
    uint64_t draw = chance_below(&e->random, 1000);
    why[0] = '\0';
    e->model->acts++;
    e->now_ms += chance_below(&e->random, 2000);
    if (draw < 500) return act_append(e);
    if (draw < 700) return act_page(e, why);
    if (draw < 800) return act_flush(e);
    if (draw < 960) return act_keep(e, why);
    if (draw < 970) return act_close_segment(e);
    if (draw < 995) return act_age(e);
    return act_erase(e);
}

/* -- opening and closing ------------------------------------------------------------------------------------------- */

/* Where each conversation ends: between what was committed and what was given. */
static int find_ends(struct engine *e, char why[static ENGINE_WHY_MAX])
{
    for (uint32_t c = 0; c < ENGINE_CONVS; c++) {
        struct engine_conv *conv = &e->model->convs[c];
        struct find find = { .partition = conv_of(c), .what = FIND_RECORDS, .from = 1, .to = UINT64_MAX, .newest = true,
                             .max = 1, .bytes_max = SIZE_MAX };
        int err = read_page(e, &find);
        if (err) return err;
        uint64_t end = e->page.count ? e->page.records[0].record.seq : 0;
        if (end > conv->given) return differs(why, "conversation %u ends at %lu, and %lu were given", c,
                                              (unsigned long)end, (unsigned long)conv->given);
        if (end > conv->committed) conv->committed = end;
        conv->given = conv->committed;
    }
    return 0;
}

static int finish_erases(struct engine *e)
{
    int err = 0;
    for (uint32_t c = 0; c < ENGINE_CONVS && !err; c++)
        if (e->model->convs[c].erasing) err = erase(e, c);
    return err;
}

static void engine_free(struct engine *e)
{
    for (uint32_t i = 0; i < ENGINE_LOGS_MAX; i++) fold_free(e->folds[i]);
    record_page_fini(&e->page);
    buf_fini(&e->plain);
    free(e);
}

int engine_open(const struct fsio *fs, const char *dir, uint32_t shards, uint64_t seed, struct engine_model *model,
                struct engine **engine_out, char why[static ENGINE_WHY_MAX])
{
    struct engine *e = calloc(1, sizeof *e);
    char clause[256];
    if (!e) return ERR_NOMEM;
    e->random = seed;
    e->now_ms = UINT64_C(1700000000000);
    e->model = model;
    e->shards = shards;
    buf_init(&e->plain, RECORD_BYTES_MAX);
    record_page_init(&e->page);
    why[0] = '\0';
    struct store_opening how = { .shards = shards, .now_ms = e->now_ms, .segment_bytes = SEGMENT_BYTES };
    int err = store_open(fs, dir, &how, &e->store, clause);
    if (err) {
        snprintf(why, ENGINE_WHY_MAX, "opening: %.180s", clause);
        engine_free(e);
        return err;
    }
    model->opens++;
    for (uint32_t i = 0; i < shards; i++) {
        e->folds[i] = fold_new(i);
        if (!e->folds[i]) err = ERR_NOMEM;
    }
    for (uint32_t i = 0; i < LOGS_MAX; i++) e->flushed[i] = facts_flushed(e->store.facts, i);
    if (!err) err = find_ends(e, why);
    if (!err) err = finish_erases(e);
    if (!err) err = engine_compare(e, why);
    if (err) engine_abandon(e);
    else *engine_out = e;
    return err;
}

void engine_close(struct engine *e)
{
    keeper_stop(e);
    store_close(&e->store);
    engine_free(e);
}

void engine_abandon(struct engine *e)
{
    keeper_stop(e);
    store_close(&e->store);
    engine_free(e);
}
