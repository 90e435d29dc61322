/* keeper.c - see keeper.h. */
#include "server/keeper.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "server/pace.h"

#define DAY_MS (UINT64_C(24) * 3600 * 1000)

/* Rows that are good for nothing any more, on their way to the facts thread. */
struct forget {
    struct clerk_work work;              /* first, so that one is the other */
    struct keeper *keeper;
    bool under_way;
    size_t count;
    struct deleted_row rows[SWEEP_ROWS];
};

struct keeper {
    struct work work;                    /* first, so that one is the other */
    struct shard *shard;
    const struct config *config;
    const struct chat_config *chat;
    struct worker *worker;
    struct timeout again;
    bool under_way;
    struct keeper_state state;
    struct forget forget;
    uint64_t appended;                   /* records, by all shards, when that last rose … */
    uint64_t appended_ms;                /* … and when */
    _Atomic bool stopping;               /* main writes it, the step reads it */
    /* -- the step's while it is under way -- */
    uint64_t bytes_per_s;
    uint64_t now_ms;
    bool idle;
    struct facts *facts;
    struct retain_rules rules;
    struct retainer retainer;
    struct sweep sweep;
    bool sweeps;                         /* what it found before is forgotten */
    size_t gone_count;
    struct deleted_row gone[SWEEP_ROWS];
    struct pace pace;
    struct keep_report report;
};

/* ---- on its thread ---- */

static uint64_t flushed(void *arg, uint32_t log)
{
    struct keeper *k = arg;
    return facts_flushed(k->facts, log);
}

static int pace(void *arg, uint64_t bytes, bool hurry)
{
    struct keeper *k = arg;
    if (hurry) pace_forget(&k->pace);
    return pace_hold(&k->pace, hurry ? 0 : bytes, k->bytes_per_s, &k->stopping);
}

static int partition(void *arg, const struct conv_id *of)
{
    struct keeper *k = arg;
    return retainer_partition(&k->retainer, of);
}

static int fate(void *arg, const struct record *record, struct bytes whole, enum fate *fate_out)
{
    struct keeper *k = arg;
    return retainer_fate(&k->retainer, record, whole, fate_out);
}

static uint64_t dead_since(void *arg, struct sorted *table)
{
    struct keeper *k = arg;
    return retainer_dead_since(&k->retainer, table);
}

static void step_run(struct work *work, void *context)
{
    struct keeper *k = (struct keeper *)work;
    struct job_reader *reader = context;
    struct keep_how how = { .flushed = flushed, .fate = fate, .partition = partition, .dead_since = dead_since,
                            .pace = pace, .arg = k, .now_ms = k->now_ms, .idle = k->idle };
    k->facts = reader->facts;
    retainer_init(&k->retainer, reader->facts, reader->vault, &k->sweep);
    k->retainer.rules = k->rules;
    work->err = logs_keep(k->chat->store->logs, &how, &k->report);
    retainer_fini(&k->retainer);
    k->gone_count = 0;
    if (!work->err && k->sweeps)
        work->err = sweep_step(&k->sweep, k->chat->store->logs, k->facts, k->now_ms, k->gone, &k->gone_count);
}

/* On the facts thread. */
static int forget_rows(struct clerk_work *work, struct facts *facts)
{
    struct forget *f = (struct forget *)work;
    int err = 0;
    for (size_t i = 0; i < f->count && !err; i++) err = facts_deleted_forget(facts, &f->rows[i].conv, f->rows[i].seq);
    return err;
}

/* ---- on main's ---- */

static void say_step(const struct keeper *k, int err)
{
    const struct keep_report *r = &k->report;
    const char *what = r->did == KEEP_SORTED ? "sort" : "merge";
    if (err) {
        say(SAY_ERROR, "keeper_failed", SAY_TEXT("step", what), SAY_TEXT("why", err_name(err)),
            SAY_TEXT("file", r->bad_file), SAY_U64("offset", r->bad_offset));
    } else if (r->did == KEEP_SORTED || r->did == KEEP_MERGED) {
        say(SAY_INFO, r->did == KEEP_SORTED ? "log_sorted" : "log_merged", SAY_U64("serial", r->serial),
            SAY_U64("files", r->inputs), SAY_U64("bytes_in", r->bytes_in), SAY_U64("bytes_out", r->bytes_out),
            SAY_U64("records", r->records), SAY_U64("dropped", r->dropped));
    }
}

static void take_in(struct keeper *k, int err)
{
    const struct keep_report *r = &k->report;
    struct keeper_state *s = &k->state;
    s->err = err;
    if (err) {
        s->failed++;
        return;
    }
    s->sorted += r->did == KEEP_SORTED;
    s->merged += r->did == KEEP_MERGED;
    if (r->did == KEEP_SORTED || r->did == KEEP_MERGED) {
        s->bytes_out += r->bytes_out;
        s->dropped += r->dropped;
    }
    s->unsorted = r->unsorted;
    s->tables = r->tables;
    s->source_bytes = r->source_bytes;
    s->written_bytes = r->written_bytes;
}

static void forget_done(struct shard *shard, struct work *work)
{
    struct forget *f = (struct forget *)work;
    (void)shard;
    f->under_way = false;
    if (!work->err) f->keeper->state.forgotten += f->count;    /* else the next walk finds them again */
}

static void forget_begin(struct keeper *k)
{
    struct forget *f = &k->forget;
    if (k->gone_count == 0) return;
    memset(&f->work, 0, sizeof f->work);
    f->keeper = k;
    f->work.rows = forget_rows;
    f->work.work.done = forget_done;
    f->count = k->gone_count;
    memcpy(f->rows, k->gone, k->gone_count * sizeof f->rows[0]);
    f->under_way = worker_submit(k->chat->facts, k->shard, &f->work.work);
}

static void step_begin(struct keeper *k)
{
    const struct house *house = k->shard->house;
    uint64_t appended = 0;
    for (uint16_t i = 0; i < house->shards; i++) appended += STAT_GET(&house->shard[i]->stats, batch_records);
    if (appended != k->appended) {
        k->appended = appended;
        k->appended_ms = k->shard->now_ms;
    }
    k->idle = k->shard->now_ms - k->appended_ms >= KEEPER_IDLE_MS;
    k->bytes_per_s = k->config->keep_mib_per_s << 20;
    k->now_ms = k->shard->wall_ms;
    k->rules = (struct retain_rules){ k->now_ms, k->config->retain_days * DAY_MS, k->config->drop_delivered != 0,
                                      k->config->marks_days * DAY_MS };
    k->report = (struct keep_report){ .did = KEEP_NOTHING };
    k->sweeps = !k->forget.under_way;
    k->under_way = worker_submit(k->worker, k->shard, &k->work);
    assert(k->under_way);                            /* its only work */
}

static void step_done(struct shard *shard, struct work *work)
{
    struct keeper *k = (struct keeper *)work;
    k->under_way = false;
    if (atomic_load_explicit(&k->stopping, memory_order_relaxed)) return;
    take_in(k, work->err);
    forget_begin(k);
    say_step(k, work->err);
    if (work->err) wheel_set(&shard->wheel, &k->again, KEEPER_RETRY_MS);
    else if (k->report.did == KEEP_NOTHING) wheel_set(&shard->wheel, &k->again, KEEPER_EVERY_MS);
    else step_begin(k);
}

static void on_time(struct timeout *t)
{
    step_begin((struct keeper *)((char *)t - offsetof(struct keeper, again)));
}

/* ---- a life ---- */

int keeper_new(struct house *house, const struct config *config, const struct chat_config *chat,
               struct keeper **keeper_out)
{
    struct keeper *k = calloc(1, sizeof *k);
    if (!k) return ERR_NOMEM;
    struct worker_config worker = { .name = "keeper", .threads = 1, .nice = KEEPER_NICE, .queue_max = 1,
                                    .arg = chat->store, .context_open = reader_open, .context_close = reader_close };
    int err = worker_new(house, &worker, &k->worker);
    if (err) {
        free(k);
        return err;
    }
    k->shard = house->shard[house->shards];
    k->config = config;
    k->chat = chat;
    k->work.run = step_run;
    k->work.done = step_done;
    k->again.fire = on_time;
    *keeper_out = k;
    return 0;
}

struct worker *keeper_worker(const struct keeper *keeper)
{
    return keeper->worker;
}

void keeper_start(struct keeper *keeper)
{
    keeper->appended_ms = keeper->shard->now_ms;
    wheel_set(&keeper->shard->wheel, &keeper->again, KEEPER_EVERY_MS);
}

void keeper_stop(struct keeper *keeper)
{
    atomic_store_explicit(&keeper->stopping, true, memory_order_relaxed);
    wheel_cancel(&keeper->shard->wheel, &keeper->again);
}

void keeper_free(struct keeper *keeper)
{
    if (!keeper) return;
    assert(!keeper->under_way && !keeper->forget.under_way);   /* main's shard ends only when its works are back */
    worker_free(keeper->worker);
    sweep_fini(&keeper->sweep);
    free(keeper);
}

const struct keeper_state *keeper_state(const struct keeper *keeper)
{
    return &keeper->state;
}
