/* server.c - see server.h. The one place that knows how the rooms are wired. */
#include "server/server.h"

#include <assert.h>
#include <malloc.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "server/admin.h"
#include "server/budget.h"
#include "server/chat/chat.h"
#include "server/keeper.h"
#include "server/net/net.h"
#include "server/reload.h"
#include "server/settings.h"

enum {
    /* job_threads = 0: as many as shards, within these. */
    JOB_THREADS_MIN = 2, JOB_THREADS_MAX = 4,
};

static const int signal_numbers[] = { SIGINT, SIGTERM, SIGHUP };
enum { SIGNALS = sizeof signal_numbers / sizeof signal_numbers[0] };

struct server {
    struct config config;                /* main's; what a reload brings is written to it */
    struct settings_test test;
    bool handle_signals;
    void (*on_ready)(void *arg, struct server *server);
    void *on_ready_arg;
    uint16_t shards;
    struct store store;
    struct house house;
    struct chat_config chat;
    struct net_config net;
    struct listening *listening;
    _Atomic int start_err;               /* of a shard's on_start */
    bool house_is_open;
    struct worker *backup;
    struct reload *reload;               /* NULL: there is none */
    /* -- main's shard -- */
    struct admin *admin;
    struct budget *budget;
    struct keeper *keeper;
    uv_signal_t signals[SIGNALS];
    uint32_t signals_open;
    uint64_t started_ms;
    struct settings now;                 /* as the shards have them, or will; not counted */
};

static struct server *server_of(const struct shard *shard)
{
    return (struct server *)((char *)shard->house - offsetof(struct server, house));
}

/* -- a serving shard --------------------------------------------------------------------------------------------- */

static void serve_start(struct shard *shard)
{
    struct server *server = server_of(shard);
    int err = chat_open(shard, &server->chat);
    if (!err) {
        err = net_open(shard, &server->net, server->listening);
    }
    if (!err) return;
    atomic_store(&server->start_err, err);
    house_stop(shard->house);
}

static void serve_stop(struct shard *shard)
{
    if (shard->chat) chat_stop(shard);
    if (shard->net) net_close(shard);
}

static bool serve_is_stopped(struct shard *shard)
{
    return (!shard->chat || chat_is_stopped(shard)) && (!shard->net || net_is_closed(shard));
}

static bool serve_slice(struct shard *shard)
{
    return shard->chat && chat_slice(shard);
}

static void serve_flush(struct shard *shard)
{
    if (shard->net) net_flush(shard);
}

static void serve_turn_end(struct shard *shard)
{
    if (shard->chat) chat_turn_end(shard);
}

static const struct shard_ops serve_ops = {
    .on_start = serve_start,
    .on_parcel = chat_on_parcel,
    .slice = serve_slice,
    .flush = serve_flush,
    .turn_end = serve_turn_end,
    .on_stop = serve_stop,
    .is_stopped = serve_is_stopped,
};

/* -- main's shard ------------------------------------------------------------------------------------------------ */

static void main_on_signal(uv_signal_t *handle, int number)
{
    struct server *server = handle->data;
    if (number == SIGHUP && server->reload) {
        server_reload(server);
        return;
    }
    say(SAY_INFO, "stopping", SAY_TEXT("by", number == SIGINT ? "SIGINT" : number == SIGTERM ? "SIGTERM" : "SIGHUP"));
    server_stop(server);
}

/* One that came while the server was starting is waiting, and is delivered now. The other threads have it blocked. */
static void take_hangups(void)
{
    sigset_t hangup;
    sigemptyset(&hangup);
    sigaddset(&hangup, SIGHUP);
    pthread_sigmask(SIG_UNBLOCK, &hangup, NULL);
}

static void main_shutdown(void *arg)
{
    say(SAY_INFO, "stopping", SAY_TEXT("by", "admin"));
    server_stop(arg);
}

static void main_start(struct shard *shard)
{
    struct server *server = server_of(shard);
    for (size_t i = 0; server->handle_signals && i < SIGNALS; i++) {
        uv_signal_t *handle = &server->signals[i];
        if (uv_signal_init(&shard->loop, handle)) continue;
        handle->data = server;
        server->signals_open++;
        uv_signal_start(handle, main_on_signal, signal_numbers[i]);
    }
    if (server->handle_signals) take_hangups();
    struct admin_config config = {
        .dir = server->store.dir, .chat = &server->chat, .backup = server->backup,
        .config = &server->config, .settings = &server->now.chat, .budget = server->budget, .keeper = server->keeper,
        .address = listening_text(server->listening),
        .started_ms = server->started_ms, .reload = server->reload, .shutdown = main_shutdown, .arg = server,
    };
    budget_start(server->budget);
    keeper_start(server->keeper);
    int err = admin_open(shard, &config, &server->admin);
    if (err) {
        say(SAY_WARN, "no_admin_socket", SAY_TEXT("folder", server->store.dir),
            SAY_TEXT("why", err == ERR_TOO_BIG ? "its path is too long for a Unix socket" : err_text(err)));
    }
    if (server->on_ready) server->on_ready(server->on_ready_arg, server);
}

static void signal_on_closed(uv_handle_t *handle)
{
    ((struct server *)handle->data)->signals_open--;
}

static bool main_slice(struct shard *shard)
{
    struct server *server = server_of(shard);
    if (server->reload) reload_step(server->reload);
    return false;
}

static void main_stop(struct shard *shard)
{
    struct server *server = server_of(shard);
    if (server->reload) reload_stop(server->reload);
    budget_stop(server->budget);
    keeper_stop(server->keeper);
    if (server->admin) admin_close(server->admin);
    for (uint32_t i = 0; server->handle_signals && i < SIGNALS; i++) {
        if (server->signals[i].data) uv_close((uv_handle_t *)&server->signals[i], signal_on_closed);
    }
}

static bool main_is_stopped(struct shard *shard)
{
    struct server *server = server_of(shard);
    return server->signals_open == 0 && (!server->admin || admin_is_closed(server->admin));
}

static const struct shard_ops main_ops = {
    .on_start = main_start,
    .on_parcel = errand_on_parcel,       /* main's shard sends errands, and hears that they are done */
    .slice = main_slice,
    .on_stop = main_stop,
    .is_stopped = main_is_stopped,
};

/* -- opening ------------------------------------------------------------------------------------------------------- */

static int make_workers(struct server *server)
{
    struct chat_config *chat = &server->chat;
    const struct config *c = &server->config;
    uint32_t jobs = server->shards < JOB_THREADS_MIN   ? JOB_THREADS_MIN
                    : server->shards > JOB_THREADS_MAX ? JOB_THREADS_MAX
                                                       : server->shards;
    if (c->job_threads) jobs = (uint32_t)c->job_threads;
    struct worker_config config = { .name = "facts", .threads = 1, .queue_max = (uint32_t)c->facts_queue_max,
                                    .arg = &server->store, .context_open = clerk_open, .context_close = free,
                                    .run_all = clerk_run_all };
    int err = worker_new(&server->house, &config, &chat->facts);
    if (err) return err;
    config = (struct worker_config){ .name = "job", .threads = jobs, .queue_max = (uint32_t)c->jobs_queue_max,
                                     .arg = &server->store, .context_open = reader_open,
                                     .context_close = reader_close };
    err = worker_new(&server->house, &config, &chat->jobs);
    if (err) return err;
    struct worker_config backup = config;
    backup.name = "backup";
    backup.threads = backup.queue_max = 1;
    err = worker_new(&server->house, &backup, &server->backup);
    if (err) return err;
    config.name = "password";
    config.threads = (uint32_t)c->password_threads;
    config.queue_max = (uint32_t)c->password_queue_max;
    chat->hashing_threads = config.threads;
    err = worker_new(&server->house, &config, &chat->hashing);
    if (!err) err = keeper_new(&server->house, &server->config, chat, &server->keeper);
    for (uint16_t i = 0; !err && i < server->shards; i++) {
        char name[16];
        snprintf(name, sizeof name, "commit-%u", (unsigned)i);
        config = (struct worker_config){ .name = name, .threads = 1, .queue_max = 1 };
        err = worker_new(&server->house, &config, &chat->committer[i]);
    }
    return err;
}

static int make_reload(struct server *server, const struct server_options *options)
{
    if (!options->read_config) return 0;
    struct reload_config config = {
        .jobs = server->chat.jobs, .read = options->read_config, .arg = options->arg, .config = &server->config,
        .now = &server->now, .store = &server->store, .test = &server->test, .done = options->on_reloaded, .done_arg = options->arg,
    };
    return reload_new(server->house.shard[server->shards], &config, &server->reload);
}

static int each_worker(struct server *server, int (*visit)(struct worker *))
{
    struct chat_config *chat = &server->chat;
    struct worker *keeping = server->keeper ? keeper_worker(server->keeper) : NULL;
    struct worker *first[] = { chat->facts, chat->jobs, chat->hashing, server->backup, keeping };
    int err = 0;
    for (size_t i = 0; i < sizeof first / sizeof first[0] && !err; i++) err = first[i] ? visit(first[i]) : 0;
    for (uint16_t i = 0; i < server->shards && !err; i++) {
        err = chat->committer[i] ? visit(chat->committer[i]) : 0;
    }
    return err;
}

static int stop_worker(struct worker *worker)
{
    worker_stop(worker);
    return 0;
}

static int free_worker(struct worker *worker)
{
    worker_free(worker);
    return 0;
}

static void free_workers(struct server *server)
{
    keeper_free(server->keeper);                     /* its worker too */
    server->keeper = NULL;
    each_worker(server, free_worker);
}

static void set_rooms(struct server *server, const struct server_options *options, struct certs *certs)
{
    struct chat_config *chat = &server->chat;
    chat->store = &server->store;
    chat->name = "pipitd " PIPIT_VERSION;
    settings_fill(&server->now, &server->config, &server->test, server->shards, certs);
    chat->settings = server->now.chat;
    server->net = (struct net_config){
        .events = &chat_conn_events,
        .ws_path = "/v1/ws",
        .api_prefix = "/v1/",
        .settings = server->now.net,
        .run = randombytes_uniform(1u << 20),
        .backlog = (int)server->config.listen_backlog,
    };
}

static void say_report(const struct server *server)
{
    const struct logs_report *r = &server->store.report;
    if (r->torn_count) {
        say(SAY_WARN, "torn_tail_cut", SAY_TEXT("file", r->torn_file), SAY_U64("offset", r->torn_offset),
            SAY_U64("bytes", r->torn_bytes), SAY_U64("count", r->torn_count));
    }
    say(SAY_INFO, "opened", SAY_TEXT("folder", server->store.dir), SAY_U64("segments", r->segments),
        SAY_U64("bytes", r->bytes), SAY_U64("replayed", r->replayed), SAY_U64("shards", server->shards));
}

int server_open(const struct server_options *options, struct server **server_out, char why[static 256])
{
    struct server *server = calloc(1, sizeof *server);
    if (!server) {
        snprintf(why, 256, "out of memory");
        return ERR_NOMEM;
    }
    const struct clock *clock = options->clock ? options->clock : clock_real();
    server->config = *options->config;
    server->test = options->test;
    server->handle_signals = options->handle_signals;
    server->on_ready = options->on_ready;
    server->on_ready_arg = options->arg;
    uint64_t shards = server->config.shards ? server->config.shards : uv_available_parallelism();
    server->shards = (uint16_t)(shards > SHARDS_MAX ? SHARDS_MAX : shards);
    server->started_ms = clock->wall_ms(clock->self);

    struct store_opening opening = { .shards = server->shards, .now_ms = server->started_ms,
                                     .segment_bytes = server->test.segment_bytes ? server->test.segment_bytes
                                                                                 : server->config.segment_mib << 20 };
    int err = store_open(options->fs ? options->fs : fsio_posix(), server->config.data, &opening, &server->store, why);
    if (err) goto fail_free;
    /* What a replay and the reading of unsorted files took is free again, and the process has it: give it back. */
    malloc_trim(0);
    (void)backup_tidy(server->store.fs, server->store.dir);    /* second names only: the next backup tries again */
    char problem[CERTS_WHY_MAX];
    struct certs *certs;
    err = settings_load_certs(&server->store, &server->config, &certs, problem);
    if (err) {
        snprintf(why, 256, "tls_cert: %.240s", problem);
        goto fail_store;
    }
    set_rooms(server, options, certs);
    certs_unref(certs);
    static const uint32_t unix_modes[] = { 0600, 0660, 0666 };      /* listen_unix_mode's words */
    char clause[LISTENING_WHY_MAX];
    struct listening_options places = { .shards = server->shards, .backlog = (int)server->config.listen_backlog,
                                        .sndbuf_bytes = (int)server->config.send_buffer_kib << 10,
                                        .unix_mode = unix_modes[server->config.listen_unix_mode] };
    err = listening_open(server->config.listen, &places, &server->listening, clause);
    if (err) {
        snprintf(why, 256, "listen: %s", clause);
        goto fail_store;
    }
    server->net.tls_port = listening_tls_port(server->listening);
    err = house_init(&server->house, server->shards, clock, server->store.node.hash_key);
    server->house_is_open = err == 0;
    if (!err) err = make_workers(server);
    if (!err) err = make_reload(server, options);
    if (!err) {
        err = budget_new(server->house.shard[server->shards], &server->config, &server->chat, &server->budget);
    }
    if (err) {
        snprintf(why, 256, "%s", err_text(err));
        goto fail_house;
    }
    say_report(server);
    settings_say_certs(server->now.net.certs);
    *server_out = server;
    return 0;

fail_house:
    budget_free(server->budget);
    reload_free(server->reload);
    free_workers(server);
    if (server->house_is_open) house_fini(&server->house);
    listening_close(server->listening);
fail_store:
    certs_unref(server->now.net.certs);
    store_close(&server->store);
fail_free:
    free(server);
    return err;
}

int server_add_user(struct server *server, const char *name, const char *password)
{
    struct user_id user;
    struct user_row row;
    char hash[PASSWORD_HASH_MAX];
    struct store *store = &server->store;
    int err = user_id_parse(bytes_of_str(name), &user);
    if (err) return err;
    err = facts_user_get(store->facts, &user, &row);
    if (err != ERR_NOT_FOUND) return err;             /* 0: there already */
    err = account_hash_password(password, &server->now.chat.password_cost, hash);
    if (!err) err = vault_begin(store->vault);
    if (err) return err;
    err = account_make_key(store->vault, &user, server->started_ms);
    if (!err) err = vault_commit(store->vault);
    if (err) {
        vault_rollback(store->vault);
        return err;
    }
    err = facts_begin(store->facts);
    if (!err) err = account_add(store->facts, &user, hash, server->started_ms);
    if (!err) err = facts_commit(store->facts);
    if (err) facts_rollback(store->facts);
    return err;
}

int server_add_device(struct server *server, const char *name, struct device_id *device_out,
                      uint8_t token_out[static TOKEN_BYTES])
{
    struct user_id user;
    struct device_row row;
    struct facts *facts = server->store.facts;
    int err = user_id_parse(bytes_of_str(name), &user);
    if (err) return err;
    account_new_device(&user, name, server->started_ms, &row, token_out);
    *device_out = row.device;
    err = facts_begin(facts);
    if (!err) err = facts_device_add(facts, &row);
    if (!err) err = facts_commit(facts);
    if (err) facts_rollback(facts);
    return err;
}

struct stat_sum { const char *name; uint64_t sum; };

static void sum_stat(void *arg, const char *name, int is_count, const char *text, uint64_t value)
{
    struct stat_sum *s = arg;
    (void)is_count;
    (void)text;
    if (strcmp(s->name, name) == 0) s->sum += value;
}

uint64_t server_stat(const struct server *server, const char *name)
{
    struct stat_sum s = { name, 0 };
    for (uint16_t i = 0; i < server->shards; i++) stats_each(&server->house.shard[i]->stats, sum_stat, &s);
    return s.sum;
}

void server_wake(struct server *server)
{
    for (uint16_t i = 0; i <= server->shards; i++) house_wake(&server->house, i);
}

int server_run(struct server *server, char why[static 256])
{
    int err = each_worker(server, worker_start);
    if (!err) err = house_start(&server->house, &serve_ops, &main_ops);
    if (!err) {
        house_run_main(&server->house);
        house_join(&server->house);
        err = atomic_load(&server->start_err);
    }
    each_worker(server, stop_worker);
    if (err) snprintf(why, 256, "starting: %s", err_text(err));
    else say(SAY_INFO, "stopped", SAY_TEXT("address", listening_text(server->listening)));
    return err;
}

void server_stop(struct server *server)
{
    house_stop(&server->house);
}

void server_reload(struct server *server)
{
    assert(server->reload);
    reload_want(server->reload);
}

void server_close(struct server *server)
{
    for (uint16_t i = 0; i < server->shards; i++) {
        struct shard *shard = server->house.shard[i];
        if (shard->chat) chat_free(shard);
        if (shard->net) net_free(shard);
    }
    listening_close(server->listening);
    if (server->admin) admin_free(server->admin);
    budget_free(server->budget);
    reload_free(server->reload);
    free_workers(server);
    house_fini(&server->house);
    certs_unref(server->now.net.certs);
    store_close(&server->store);
    free(server);
}

uint16_t server_port(const struct server *server)
{
    return listening_port(server->listening);
}

uint16_t server_shards(const struct server *server)
{
    return server->shards;
}

const char *server_address(const struct server *server)
{
    return listening_text(server->listening);
}

const char *server_tcp_address(const struct server *server)
{
    return listening_tcp(server->listening);
}

const struct logs_report *server_report(const struct server *server)
{
    return &server->store.report;
}
