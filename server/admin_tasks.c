/* admin_tasks.c - what the owner of a server can ask of it, request by request.
 *
 * What takes time goes where everyone's does: passwords to the hashing thread, reads to a job, rows to the clerk. A task
 * holds its client until its answer is written; the work goes on when the client has gone. */
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "server/admin_impl.h"

enum {
    ADMIN_NAMES_MAX = 10000,             /* users in one request: one transaction */
    ADMIN_LIST_ROWS = 500,
    INVITE_GROUPS = 4, INVITE_GROUP = 5, /* 20 characters of 31: 99 bits */
    INVITE_DAYS = 7,
};

struct task {
    struct work work;                    /* hashing, or a job */
    struct clerk_work clerk;
    struct admin *admin;
    struct client *client;               /* held: freed by the task when the client went away meanwhile */
    char password_hash[PASSWORD_HASH_MAX];
    char *password;
    struct password_cost cost;           /* a copy: settings may change meanwhile */
    uint64_t now_ms;
    size_t name_count;
    struct user_id *names;
    struct device_row *devices;          /* device-add */
    uint8_t (*tokens)[TOKEN_BYTES];
    size_t failed_at;                    /* the name that made the transaction fail */
    uint8_t invite_hash[SECRET_HASH_BYTES];
    uint32_t invite_uses;
    uint64_t invite_expires_ms;
    struct user_id after;
    bool has_after;
    struct user_row *rows;               /* user-list */
    size_t row_count;
    uint64_t users, conversations, device_total;
    json_t *answer;
};

/* -- tasks ----------------------------------------------------------------------------------------------------------- */

static void task_free(struct task *t)
{
    if (t->password) sodium_memzero(t->password, strlen(t->password));
    free(t->password);
    free(t->names);
    free(t->devices);
    free(t->tokens);
    free(t->rows);
    json_decref(t->answer);
    free(t);
}

static void task_end(struct task *t, int err)
{
    struct client *c = t->client;
    char text[160];
    if (err) {
        const char *name = t->failed_at < t->name_count ? t->names[t->failed_at].v : NULL;
        if (name) snprintf(text, sizeof text, "%s: %s", name, err_text(err));
        client_refuse(c, err, name ? text : NULL);
    } else {
        client_answer(c, t->answer);
        t->answer = NULL;
    }
    task_free(t);
    client_done(c);
}

static struct task *task_of_clerk(struct clerk_work *w)
{
    return (struct task *)((char *)w - offsetof(struct task, clerk));
}

static void clerk_done(struct shard *shard, struct work *work)
{
    (void)shard;
    task_end(task_of_clerk((struct clerk_work *)work), work->err);
}

static void task_to_clerk(struct task *t)
{
    t->clerk.work.done = clerk_done;
    if (!worker_submit(t->admin->config.chat->facts, t->admin->shard, &t->clerk.work)) task_end(t, ERR_BUSY);
}

/* -- user-add: one password for all the names ------------------------------------------------------------------------- */

static int add_keys(struct clerk_work *w, struct vault *vault)
{
    struct task *t = task_of_clerk(w);
    int err = 0;
    for (size_t i = 0; i < t->name_count && !err; i++) err = account_make_key(vault, &t->names[i], t->now_ms);
    return err;
}

static int add_rows(struct clerk_work *w, struct facts *facts)
{
    struct task *t = task_of_clerk(w);
    int err = 0;
    for (size_t i = 0; i < t->name_count && !err; i++) {
        err = account_add(facts, &t->names[i], t->password_hash, t->now_ms);
        if (err) t->failed_at = i;
    }
    return err;
}

static void hash_run(struct work *work, void *context)
{
    struct task *t = (struct task *)work;
    (void)context;
    work->err = account_hash_password(t->password, &t->cost, t->password_hash);
}

static void hash_done(struct shard *shard, struct work *work)
{
    struct task *t = (struct task *)work;
    (void)shard;
    if (work->err) {
        task_end(t, work->err);
        return;
    }
    t->clerk.key = add_keys;
    t->clerk.rows = add_rows;
    task_to_clerk(t);
}

static int start_user_add(struct task *t, json_t *request, const char **why)
{
    const char *password = json_string_value(json_object_get(request, "password"));
    size_t len = password ? strlen(password) : 0;
    *why = NULL;
    if (len < PASSWORD_BYTES_MIN || len > PASSWORD_BYTES_MAX) return ERR_PASSWORD;
    t->password = strdup(password);
    if (!t->password) return ERR_NOMEM;
    t->work.run = hash_run;
    t->work.done = hash_done;
    return worker_submit(t->admin->config.chat->hashing, t->admin->shard, &t->work) ? 0 : ERR_BUSY;
}

/* -- device-add: a device for each name, its token told once ----------------------------------------------------------- */

static int device_rows(struct clerk_work *w, struct facts *facts)
{
    struct task *t = task_of_clerk(w);
    int err = 0;
    for (size_t i = 0; i < t->name_count && !err; i++) {
        err = facts_device_add(facts, &t->devices[i]);
        if (err) t->failed_at = i;
    }
    return err;
}

static int start_device_add(struct task *t, json_t *request, const char **why)
{
    const char *name = json_string_value(json_object_get(request, "name"));
    *why = NULL;
    t->devices = calloc(t->name_count, sizeof *t->devices);
    t->tokens = calloc(t->name_count, sizeof *t->tokens);
    json_t *list = json_array();
    t->answer = json_pack("{s:o}", "devices", list);
    if (!t->devices || !t->tokens || !t->answer) return ERR_NOMEM;
    for (size_t i = 0; i < t->name_count; i++) {
        char device[DEVICE_ID_TEXT], token[2 * TOKEN_BYTES + 1];
        account_new_device(&t->names[i], name ? name : "admin", t->now_ms, &t->devices[i], t->tokens[i]);
        device_id_print(t->devices[i].device, device);
        sodium_bin2hex(token, sizeof token, t->tokens[i], TOKEN_BYTES);
        json_array_append_new(list, json_pack("{s:s, s:s, s:s}", "user", t->names[i].v, "device", device,
                                              "token", token));
    }
    t->clerk.rows = device_rows;
    task_to_clerk(t);
    return 0;
}

/* -- invite ------------------------------------------------------------------------------------------------------------ */

static int invite_rows(struct clerk_work *w, struct facts *facts)
{
    struct task *t = task_of_clerk(w);
    return facts_invite_add(facts, t->invite_hash, t->invite_uses, t->invite_expires_ms, t->now_ms);
}

static void make_invite(char out[static INVITE_GROUPS * (INVITE_GROUP + 1)])
{
    /* No 0, 1, i, l, o: it is read from a screen and typed. */
    static const char letters[] = "abcdefghjkmnpqrstuvwxyz23456789";
    size_t at = 0;
    for (int g = 0; g < INVITE_GROUPS; g++) {
        for (int i = 0; i < INVITE_GROUP; i++) out[at++] = letters[randombytes_uniform(sizeof letters - 1)];
        out[at++] = '-';
    }
    out[at - 1] = '\0';
}

static int start_invite(struct task *t, json_t *request, const char **why)
{
    char code[INVITE_GROUPS * (INVITE_GROUP + 1)];
    json_t *uses = json_object_get(request, "uses"), *days = json_object_get(request, "days");
    json_int_t u = uses ? json_integer_value(uses) : 1, d = days ? json_integer_value(days) : INVITE_DAYS;
    *why = "uses: 1 to 100000; days: 1 to 3650";
    if (u < 1 || u > 100000 || d < 1 || d > 3650) return ERR_RANGE;
    make_invite(code);
    account_secret_hash(bytes_of_str(code), t->invite_hash);
    t->invite_uses = (uint32_t)u;
    t->invite_expires_ms = t->now_ms + (uint64_t)d * 24 * 3600 * 1000;
    t->answer = json_pack("{s:s, s:I, s:I}", "invite", code, "uses", u, "expires", (json_int_t)t->invite_expires_ms);
    if (!t->answer) return ERR_NOMEM;
    t->clerk.rows = invite_rows;
    task_to_clerk(t);
    return 0;
}

/* -- user-list, status: a job reads ---------------------------------------------------------------------------------------- */

static void list_run(struct work *work, void *context)
{
    struct task *t = (struct task *)work;
    struct job_reader *reader = context;
    t->rows = calloc(ADMIN_LIST_ROWS, sizeof *t->rows);
    work->err = t->rows ? facts_user_list(reader->facts, t->has_after ? &t->after : NULL, ADMIN_LIST_ROWS, t->rows,
                                          &t->row_count)
                        : ERR_NOMEM;
}

static void list_done(struct shard *shard, struct work *work)
{
    struct task *t = (struct task *)work;
    (void)shard;
    if (!work->err) {
        json_t *list = json_array();
        for (size_t i = 0; i < t->row_count; i++) {
            json_array_append_new(list, json_pack("{s:s, s:I, s:b}", "user", t->rows[i].user.v, "created",
                                                  (json_int_t)t->rows[i].created_ms, "disabled", t->rows[i].disabled));
        }
        t->answer = json_pack("{s:o, s:b}", "users", list, "more", t->row_count == ADMIN_LIST_ROWS);
    }
    task_end(t, work->err);
}

static int start_user_list(struct task *t, json_t *request, const char **why)
{
    const char *after = json_string_value(json_object_get(request, "after"));
    *why = "after: a user name";
    if (after) {
        if (user_id_parse(bytes_of_str(after), &t->after)) return ERR_NAME;
        t->has_after = true;
    }
    *why = NULL;
    t->work.run = list_run;
    t->work.done = list_done;
    return worker_submit(t->admin->config.chat->jobs, t->admin->shard, &t->work) ? 0 : ERR_BUSY;
}

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

static uint64_t resident_bytes(void)
{
    unsigned long pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    if (!f) return 0;
    if (fscanf(f, "%*u %lu", &pages) != 1) pages = 0;
    fclose(f);
    return (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void status_run(struct work *work, void *context)
{
    struct task *t = (struct task *)work;
    struct job_reader *reader = context;
    work->err = facts_counts(reader->facts, &t->users, &t->conversations, &t->device_total);
}

static void status_done(struct shard *shard, struct work *work)
{
    struct task *t = (struct task *)work;
    const struct house *house = shard->house;
    const struct admin_config *config = &t->admin->config;
    if (!work->err) {
        json_t *sums = json_object(), *shards = json_array();
        for (uint16_t i = 0; i < house->shards; i++) {
            const struct stats *s = &house->shard[i]->stats;
            stats_each(s, add_stat, sums);
            json_array_append_new(shards, json_pack("{s:i, s:I, s:I, s:I}", "shard", i, "sessions",
                                                    (json_int_t)STAT_GET(s, sessions), "log_end",
                                                    (json_int_t)STAT_GET(s, log_end), "read_only",
                                                    (json_int_t)STAT_GET(s, read_only)));
        }
        struct logs_stats found;
        logs_stats(config->chat->store->logs, &found);
        json_int_t conns = json_integer_value(json_object_get(sums, "conns"));
        json_int_t rss = (json_int_t)resident_bytes();
        t->answer = json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:o}",
                              "server", config->chat->name, "address", config->address,
                              "up_ms", (json_int_t)(shard->wall_ms - config->started_ms),
                              "users", (json_int_t)t->users, "conversations", (json_int_t)t->conversations,
                              "devices", (json_int_t)t->device_total, "resident_bytes", rss,
                              "resident_bytes_per_connection", conns ? rss / conns : 0,
                              "log_bytes_at_start", (json_int_t)found.bytes, "shards", shards, "counters", sums);
    }
    task_end(t, work->err);
}

static int start_status(struct task *t, json_t *request, const char **why)
{
    (void)request;
    *why = NULL;
    t->work.run = status_run;
    t->work.done = status_done;
    return worker_submit(t->admin->config.chat->jobs, t->admin->shard, &t->work) ? 0 : ERR_BUSY;
}

/* -- requests ---------------------------------------------------------------------------------------------------------------- */

static int take_names(struct task *t, json_t *request, const char **why)
{
    json_t *users = json_object_get(request, "users");
    size_t count = json_array_size(users);
    *why = "users: 1 to 10000 names";
    if (count < 1 || count > ADMIN_NAMES_MAX) return ERR_RANGE;
    t->names = calloc(count, sizeof *t->names);
    if (!t->names) return ERR_NOMEM;
    for (size_t i = 0; i < count; i++) {
        const char *name = json_string_value(json_array_get(users, i));
        *why = NULL;
        if (!name || user_id_parse(bytes_of_str(name), &t->names[i])) return ERR_NAME;
    }
    t->name_count = count;
    t->failed_at = SIZE_MAX;
    return 0;
}

static const struct request {
    const char *name;
    bool names;
    /* 0: the task is under way, or has ended already. Else nothing is, and *why may say a clause. */
    int (*start)(struct task *t, json_t *request, const char **why);
} requests[] = {
    { "user-add", true, start_user_add },    { "device-add", true, start_device_add },
    { "user-list", false, start_user_list }, { "invite", false, start_invite },
    { "status", false, start_status },
};

static void start_task(struct client *c, const struct request *r, json_t *request)
{
    const char *why = NULL;
    struct task *t = calloc(1, sizeof *t);
    if (!t) {
        client_refuse(c, ERR_NOMEM, NULL);
        return;
    }
    t->admin = c->admin;
    t->client = c;
    t->cost = c->admin->config.settings->password_cost;
    t->now_ms = c->admin->shard->wall_ms;
    t->failed_at = SIZE_MAX;
    c->busy = true;
    int err = r->names ? take_names(t, request, &why) : 0;
    if (!err) err = r->start(t, request, &why);
    if (!err) return;
    c->busy = false;
    client_refuse(c, err, why);
    task_free(t);
}

void admin_serve_line(struct client *c, const char *line, size_t len)
{
    struct admin *admin = c->admin;
    json_t *request = json_loadb(line, len, JSON_REJECT_DUPLICATES, NULL);
    const char *name = json_string_value(json_object_get(request, "do"));
    size_t i = 0, count = sizeof requests / sizeof requests[0];
    while (name && i < count && strcmp(requests[i].name, name) != 0) i++;
    if (!name) {
        client_refuse(c, ERR_MALFORMED, "not a JSON object with `do`");
    } else if (strcmp(name, "shutdown") == 0) {
        client_answer(c, NULL);
        admin->config.shutdown(admin->config.arg);
    } else if (i == count) {
        client_refuse(c, ERR_UNKNOWN_TYPE, "no such request");
    } else {
        start_task(c, &requests[i], request);
    }
    json_decref(request);
}
