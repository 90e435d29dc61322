/* budget.c - see budget.h. */
#include "server/budget.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct budget {
    struct work work;                    /* first, so that one is the other */
    struct shard *shard;
    const struct config *config;
    struct chat_config *chat;
    struct timeout again;
    bool under_way, stopping;
    struct budget_state state;
    /* -- the job's while it is under way -- */
    struct budget_use measured;
};

static const struct { unsigned bit; const char *name; } short_names[] = {
    { SHORT_OF_DISK_MAX, "disk_max" },
    { SHORT_OF_DISK_RESERVE, "disk_reserve" },
    { SHORT_OF_MEMORY_MAX, "memory_max" },
};

/* ---- judging ---- */

/* `limit` is what may be used; see the table in budget.h. */
static bool is_near(uint64_t used, uint64_t limit, bool was)
{
    if (limit == 0) return false;
    return used > limit - limit / (was ? 16 : 32);
}

static bool is_below(uint64_t have, uint64_t reserve, bool was)
{
    if (reserve == 0) return false;
    return have < reserve + (was ? reserve / 4 : 0);
}

unsigned budget_judge(const struct budget_limits *limits, const struct budget_use *use, unsigned was)
{
    unsigned is_short = 0;
    if (is_near(use->disk_used, limits->disk_max, was & SHORT_OF_DISK_MAX)) is_short |= SHORT_OF_DISK_MAX;
    if (is_below(use->disk_free, limits->disk_reserve, was & SHORT_OF_DISK_RESERVE)) is_short |= SHORT_OF_DISK_RESERVE;
    if (is_near(use->memory, limits->memory_max, was & SHORT_OF_MEMORY_MAX)) is_short |= SHORT_OF_MEMORY_MAX;
    return is_short;
}

void budget_text(unsigned is_short, char out[static BUDGET_TEXT_MAX])
{
    size_t len = 0;
    out[0] = '\0';
    for (size_t i = 0; i < sizeof short_names / sizeof short_names[0]; i++) {
        if (!(is_short & short_names[i].bit)) continue;
        int added = snprintf(out + len, BUDGET_TEXT_MAX - len, "%s%s", len ? " " : "", short_names[i].name);
        assert(added > 0 && len + (size_t)added < BUDGET_TEXT_MAX);
        len += (size_t)added;
    }
}

/* ---- measuring ---- */

static uint64_t resident_bytes(void)
{
    unsigned long pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    if (!f) return 0;
    if (fscanf(f, "%*u %lu", &pages) != 1) pages = 0;
    fclose(f);
    return (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static uint64_t database_bytes(const struct store *store)
{
    static const char *const names[] = { "facts.db", "facts.db-wal", "keys.db", "keys.db-wal" };
    uint64_t sum = 0;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char path[FS_PATH_MAX];
        bool there;
        uint64_t size;
        fs_path(path, store->dir, names[i]);
        if (store->fs->exists(store->fs->self, path, &there, &size) == 0 && there) sum += size;
    }
    return sum;
}

/* The closed files of all logs, and what each shard says of the one it writes. */
static uint64_t log_bytes(const struct budget *b)
{
    const struct house *house = b->shard->house;
    struct logs_stats found;
    logs_stats(b->chat->store->logs, &found);
    uint64_t sum = found.bytes;
    for (uint16_t i = 0; i < house->shards; i++) sum += STAT_GET(&house->shard[i]->stats, log_bytes);
    return sum;
}

static void measure_run(struct work *work, void *context)
{
    struct budget *b = (struct budget *)work;
    const struct store *store = b->chat->store;
    (void)context;
    b->measured.disk_used = log_bytes(b) + database_bytes(store);
    if (store->fs->space(store->fs->self, store->dir, &b->measured.disk_free)) b->measured.disk_free = UINT64_MAX;
    b->measured.memory = resident_bytes();
}

/* ---- telling ---- */

static void tell(const struct budget_state *state, unsigned was)
{
    char text[BUDGET_TEXT_MAX];
    budget_text(state->is_short, text);
    if (state->is_short) {
        say(SAY_WARN, "no_room", SAY_TEXT("limit", text), SAY_U64("disk_used", state->use.disk_used),
            SAY_U64("disk_free", state->use.disk_free), SAY_U64("memory", state->use.memory),
            SAY_TEXT("sends", "refused"));
        return;
    }
    budget_text(was, text);
    say(SAY_INFO, "room_again", SAY_TEXT("limit", text), SAY_U64("disk_used", state->use.disk_used),
        SAY_U64("disk_free", state->use.disk_free), SAY_U64("memory", state->use.memory));
}

static void take_in(struct budget *b)
{
    struct budget_state *state = &b->state;
    unsigned was = state->is_short;
    state->use = b->measured;
    state->limits = (struct budget_limits){ b->config->disk_max << 20, b->config->disk_reserve << 20,
                                            b->config->memory_max << 20 };
    state->is_short = budget_judge(&state->limits, &state->use, was);
    atomic_store_explicit(&b->chat->no_room, state->is_short != 0, memory_order_relaxed);
    if (state->is_short != was) tell(state, was);
}

static void measure_done(struct shard *shard, struct work *work)
{
    struct budget *b = (struct budget *)work;
    b->under_way = false;
    if (b->stopping) return;
    take_in(b);
    wheel_set(&shard->wheel, &b->again, BUDGET_EVERY_MS);
}

static void on_time(struct timeout *t)
{
    struct budget *b = (struct budget *)((char *)t - offsetof(struct budget, again));
    b->under_way = worker_submit(b->chat->jobs, b->shard, &b->work);
    if (!b->under_way) wheel_set(&b->shard->wheel, &b->again, BUDGET_EVERY_MS);      /* the jobs are busy */
}

/* ---- a life ---- */

int budget_new(struct shard *main_shard, const struct config *config, struct chat_config *chat,
               struct budget **budget_out)
{
    struct budget *b = calloc(1, sizeof *b);
    if (!b) return ERR_NOMEM;
    b->shard = main_shard;
    b->config = config;
    b->chat = chat;
    b->work.run = measure_run;
    b->work.done = measure_done;
    b->again.fire = on_time;
    measure_run(&b->work, NULL);
    take_in(b);
    *budget_out = b;
    return 0;
}

void budget_start(struct budget *budget)
{
    wheel_set(&budget->shard->wheel, &budget->again, BUDGET_EVERY_MS);
}

void budget_stop(struct budget *budget)
{
    budget->stopping = true;
    wheel_cancel(&budget->shard->wheel, &budget->again);
}

void budget_free(struct budget *budget)
{
    if (!budget) return;
    assert(!budget->under_way);                      /* main's shard ends only when its works are back */
    free(budget);
}

const struct budget_state *budget_state(const struct budget *budget)
{
    return &budget->state;
}
