/* admin_status.c - status: what the server is doing, in numbers. */
#include <string.h>

#include "server/admin_impl.h"
#include "server/budget.h"
#include "server/keeper.h"

struct status_task {
    struct task task;
    uint64_t users, conversations, devices;
    struct backup_row backup;
};

static void add_stat(void *arg, const char *name, int is_count, const char *text, uint64_t value)
{
    json_t *sums = arg;
    json_int_t old = json_integer_value(json_object_get(sums, name));
    bool is_max = strstr(name, "_max") != NULL;
    json_int_t sum = is_max ? (old > (json_int_t)value ? old : (json_int_t)value) : old + (json_int_t)value;
    (void)is_count;
    (void)text;
    json_object_set_new(sums, name, json_integer(sum));
}

static void status_run(struct work *work, void *context)
{
    struct status_task *s = (struct status_task *)work;
    struct job_reader *reader = context;
    work->err = facts_counts(reader->facts, &s->users, &s->conversations, &s->devices);
    if (work->err) return;
    work->err = facts_backup_get(reader->facts, &s->backup);
    if (work->err == ERR_NOT_FOUND) work->err = 0;
}

/* What each shard says of itself, and all its counters added to `sums`. */
static json_t *describe_shards(const struct house *house, json_t *sums)
{
    json_t *shards = json_array();
    for (uint16_t i = 0; i < house->shards; i++) {
        const struct stats *s = &house->shard[i]->stats;
        stats_each(s, add_stat, sums);
        json_array_append_new(shards, json_pack("{s:i, s:I, s:I, s:I}", "shard", i, "sessions",
                                                (json_int_t)STAT_GET(s, sessions), "log_end",
                                                (json_int_t)STAT_GET(s, log_end), "read_only",
                                                (json_int_t)STAT_GET(s, read_only)));
    }
    return shards;
}

/* As measured last, at most BUDGET_EVERY_MS ago and a little. */
static json_t *describe_room(const struct budget_state *state)
{
    char text[BUDGET_TEXT_MAX];
    budget_text(state->is_short, text);
    bool free_known = state->use.disk_free != UINT64_MAX;
    return json_pack("{s:b, s:s, s:I, s:I, s:o, s:I, s:I, s:I}", "no_room", state->is_short != 0, "limit", text,
                     "disk_used", (json_int_t)state->use.disk_used, "disk_max", (json_int_t)state->limits.disk_max,
                     "disk_free", free_known ? json_integer((json_int_t)state->use.disk_free) : json_null(),
                     "disk_reserve", (json_int_t)state->limits.disk_reserve, "memory", (json_int_t)state->use.memory,
                     "memory_max", (json_int_t)state->limits.memory_max);
}

/* As of the last step; files: as of now, each takes a descriptor. */
static json_t *describe_keeper(const struct keeper_state *state, uint64_t files)
{
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:s?}", "files", (json_int_t)files, "unsorted",
                     (json_int_t)state->unsorted, "tables", (json_int_t)state->tables, "source_bytes",
                     (json_int_t)state->source_bytes, "written_bytes", (json_int_t)state->written_bytes, "sorted",
                     (json_int_t)state->sorted, "merged", (json_int_t)state->merged, "failed", (json_int_t)state->failed,
                     "forgotten", (json_int_t)state->forgotten, "error", state->err ? err_name(state->err) : NULL);
}

static json_t *describe_backup(const struct status_task *s)
{
    const struct admin *admin = s->task.admin;
    bool going = admin->backing_up != NULL, failed = admin->backup_failed_ms != 0;
    uint64_t done = atomic_load_explicit(&admin->backup_done, memory_order_relaxed);
    uint64_t total = atomic_load_explicit(&admin->backup_total, memory_order_relaxed);
    return json_pack("{s:b, s:I, s:I, s:I, s:I, s:s, s:I, s:I, s:s?, s:s}", "under_way", going, "began",
                     (json_int_t)(going ? admin->backup_began_ms : 0), "done_bytes", (json_int_t)(going ? done : 0),
                     "total_bytes", (json_int_t)(going ? total : 0), "made", (json_int_t)s->backup.made_ms, "path",
                     s->backup.path, "bytes", (json_int_t)s->backup.bytes, "failed", (json_int_t)admin->backup_failed_ms,
                     "error", failed ? err_name(admin->backup_err) : NULL, "text", failed ? admin->backup_why : "");
}

static void status_back(struct task *t)
{
    struct status_task *s = (struct status_task *)t;
    const struct admin_config *config = &t->admin->config;
    const struct shard *shard = t->admin->shard;
    struct logs_stats found;
    json_t *sums = json_object(), *shards = describe_shards(shard->house, sums);
    logs_stats(config->chat->store->logs, &found);
    json_int_t conns = json_integer_value(json_object_get(sums, "conns"));
    const struct budget_state *room = budget_state(config->budget);
    json_int_t resident = (json_int_t)room->use.memory;
    t->answer = json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:o, s:o, s:o, s:o}",
                          "server", config->chat->name, "address", config->address,
                          "up_ms", (json_int_t)(shard->wall_ms - config->started_ms),
                          "users", (json_int_t)s->users, "conversations", (json_int_t)s->conversations,
                          "devices", (json_int_t)s->devices, "resident_bytes", resident,
                          "resident_bytes_per_connection", conns ? resident / conns : 0,
                          "log_bytes_at_start", (json_int_t)found.bytes, "room", describe_room(room), "log",
                          describe_keeper(keeper_state(config->keeper), found.segments + shard->house->shards),
                          "backup", describe_backup(s), "shards", shards, "counters", sums);
    task_end(t, t->answer ? 0 : ERR_NOMEM);
}

static int start_status(struct task *t, json_t *request)
{
    (void)request;
    return task_read(t, status_run, status_back);
}

const struct request admin_status_requests[] = {
    { "status", "", WHOM_NONE, false, sizeof(struct status_task), start_status, NULL },
    { NULL, NULL, WHOM_NONE, false, 0, NULL, NULL },
};
