/* rig.c - see rig.h. */
#include "tests/harness/rig.h"

#include <pthread.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ENSURE(what, err)                                                                             \
    do {                                                                                              \
        int ensure_err = (err);                                                                       \
        if (ensure_err) {                                                                             \
            fprintf(stderr, "rig: %s: %s (%s:%d)\n", what, err_name(ensure_err), __FILE__, __LINE__); \
            abort();                                                                                  \
        }                                                                                             \
    } while (0)

struct rig {
    struct rig_options options;
    struct config config;
    struct disk *disk;
    struct server *server;
    pthread_t thread;
    bool running;
    bool stopped_on_purpose;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool ready;                       /* under lock, as the next three */
    bool reloaded;
    struct reload_report report;
    const struct config *reading;     /* what a reload finds; NULL: a problem */
    bool hold, held;                  /* a read of it, that has taken its copy, waits; it does */
    struct rig_device devices[RIG_DEVICES_MAX];
    uint32_t device_count;
};

struct user_id rig_user(const char *name)
{
    struct user_id user;
    ENSURE(name, user_id_parse(bytes_of_str(name), &user));
    return user;
}

struct rig *rig_new(const struct rig_options *options)
{
    if (sodium_init() < 0) abort();
    signal(SIGPIPE, SIG_IGN);                     /* as the program does */
    struct rig *rig = calloc(1, sizeof *rig);
    if (!rig) abort();
    rig->options = *options;
    config_defaults(&rig->config);
    strcpy(rig->config.listen, "127.0.0.1:0");
    rig->config.shards = options->shards ? options->shards : 1;
    rig->config.disk_reserve = 0;                 /* a disk that is full to the brim is what many tests want */
    if (options->conversations_hot_max) rig->config.conversations_hot_max = options->conversations_hot_max;
    if (options->real_folder) {
        strcpy(rig->config.data, "/tmp/pipit-test-XXXXXX");
        if (!mkdtemp(rig->config.data)) abort();
        rig->disk = options->disk;        /* a folder for the admin socket alone */
    } else {
        /* The admin socket is a real file even then: no folder of that name exists, and the server does without. */
        strcpy(rig->config.data, "/pipit-memory");
        rig->disk = options->disk ? options->disk : disk_new(options->seed ? options->seed : 1);
    }
    pthread_mutex_init(&rig->lock, NULL);
    pthread_cond_init(&rig->changed, NULL);
    return rig;
}

static void on_ready(void *arg, struct server *server)
{
    struct rig *rig = arg;
    (void)server;
    pthread_mutex_lock(&rig->lock);
    rig->ready = true;
    pthread_cond_broadcast(&rig->changed);
    pthread_mutex_unlock(&rig->lock);
}

/* On a job thread of the server. */
static int read_config(void *arg, struct config *config_out, struct config_problems *problems)
{
    struct rig *rig = arg;
    pthread_mutex_lock(&rig->lock);
    if (rig->reading) *config_out = *rig->reading;
    else config_problem(problems, "rig.conf:1: something is wrong");
    rig->held = rig->hold;
    pthread_cond_broadcast(&rig->changed);
    while (rig->hold) pthread_cond_wait(&rig->changed, &rig->lock);
    rig->held = false;
    pthread_mutex_unlock(&rig->lock);
    return problems->count ? ERR_CONFIG : 0;
}

static void on_reloaded(void *arg, const struct reload_report *report)
{
    struct rig *rig = arg;
    pthread_mutex_lock(&rig->lock);
    rig->report = *report;
    rig->reloaded = true;
    pthread_cond_broadcast(&rig->changed);
    pthread_mutex_unlock(&rig->lock);
}

void rig_reads(struct rig *rig, const struct config *config)
{
    pthread_mutex_lock(&rig->lock);
    rig->reading = config;
    pthread_mutex_unlock(&rig->lock);
}

void rig_hold_read(struct rig *rig)
{
    pthread_mutex_lock(&rig->lock);
    rig->hold = true;
    pthread_mutex_unlock(&rig->lock);
}

void rig_await_held_read(struct rig *rig)
{
    pthread_mutex_lock(&rig->lock);
    while (!rig->held) pthread_cond_wait(&rig->changed, &rig->lock);
    pthread_mutex_unlock(&rig->lock);
}

void rig_let_read(struct rig *rig)
{
    pthread_mutex_lock(&rig->lock);
    rig->hold = false;
    pthread_cond_broadcast(&rig->changed);
    pthread_mutex_unlock(&rig->lock);
}

void rig_reload_soon(struct rig *rig, const struct config *config)
{
    pthread_mutex_lock(&rig->lock);
    rig->reading = config;
    rig->reloaded = false;
    pthread_mutex_unlock(&rig->lock);
    server_reload(rig->server);
}

struct reload_report rig_reload(struct rig *rig, const struct config *config)
{
    rig_reload_soon(rig, config);
    pthread_mutex_lock(&rig->lock);
    while (!rig->reloaded) pthread_cond_wait(&rig->changed, &rig->lock);
    struct reload_report report = rig->report;
    pthread_mutex_unlock(&rig->lock);
    return report;
}

static int open_server(struct rig *rig, char why[static 256])
{
    struct server_options options = {
        .config = &rig->config,
        .fs = rig->disk ? disk_fs(rig->disk) : NULL,
        .clock = rig->options.hand ? &rig->options.hand->clock : NULL,
        .test = { .heartbeat_ms = rig->options.heartbeat_ms, .pages_max = rig->options.pages_max,
                  .segment_bytes = rig->options.segment_bytes,
                  .cheap_passwords = !rig->options.dear_passwords },
        .on_ready = on_ready,
        .read_config = read_config,
        .on_reloaded = on_reloaded,
        .arg = rig,
    };
    return server_open(&options, &rig->server, why);
}

static void *run(void *arg)
{
    struct rig *rig = arg;
    char why[256];
    int err = server_run(rig->server, why);
    if (err) fprintf(stderr, "rig: server: %s\n", why);
    return NULL;
}

int rig_try_up(struct rig *rig, char why[static 256])
{
    int err = open_server(rig, why);
    if (err) return err;
    rig->ready = false;
    if (pthread_create(&rig->thread, NULL, run, rig)) abort();
    rig->running = true;
    pthread_mutex_lock(&rig->lock);
    while (!rig->ready) pthread_cond_wait(&rig->changed, &rig->lock);
    pthread_mutex_unlock(&rig->lock);
    return 0;
}

void rig_up(struct rig *rig)
{
    char why[256] = "";
    int err = rig_try_up(rig, why);
    if (err) fprintf(stderr, "rig: %s\n", why);
    ENSURE("up", err);
}

void rig_down(struct rig *rig)
{
    if (!rig->running) return;
    server_stop(rig->server);
    pthread_join(rig->thread, NULL);
    server_close(rig->server);
    rig->server = NULL;
    rig->running = false;
}

void rig_free(struct rig *rig)
{
    if (!rig) return;
    rig_down(rig);
    disk_free(rig->disk);
    if (rig->options.real_folder) {
        char command[CONFIG_TEXT_MAX + 16];
        snprintf(command, sizeof command, "rm -rf '%s'", rig->config.data);
        if (system(command) != 0) fprintf(stderr, "rig: %s stays\n", rig->config.data);
    }
    pthread_mutex_destroy(&rig->lock);
    pthread_cond_destroy(&rig->changed);
    free(rig);
}

void rig_set_shards(struct rig *rig, uint16_t shards)
{
    rig->config.shards = shards;
}

void rig_crash(struct rig *rig, enum disk_crash mode, uint64_t seed)
{
    struct disk *old = rig->disk;
    if (!old || !rig->running) abort();
    struct disk *after = disk_crash(old, mode, seed);
    disk_stop_at(old, 0);             /* nothing more of the old server reaches anything */
    rig_down(rig);
    disk_free(old);
    rig->disk = after;
    rig_up(rig);
}

void rig_kill(struct rig *rig)
{
    rig_crash(rig, DISK_KEEP_ALL, 0);
}

void rig_add(struct rig *rig, const char *user, uint32_t devices)
{
    char why[256] = "";
    int err = open_server(rig, why);
    if (err) fprintf(stderr, "rig: %s\n", why);
    ENSURE("open", err);
    ENSURE("user", server_add_user(rig->server, user, "a password"));
    uint32_t index = 0;
    for (uint32_t i = 0; i < rig->device_count; i++) index += strcmp(rig->devices[i].user.v, user) == 0;
    for (uint32_t i = 0; i < devices; i++) {
        struct rig_device *d = &rig->devices[rig->device_count++];
        if (rig->device_count > RIG_DEVICES_MAX) abort();
        d->user = rig_user(user);
        d->index = index + i;
        ENSURE("device", server_add_device(rig->server, user, &d->device, d->token));
    }
    server_close(rig->server);
    rig->server = NULL;
}

void rig_invite(struct rig *rig, const char *code, uint32_t uses)
{
    const struct fsio *fs = rig->disk ? disk_fs(rig->disk) : fsio_posix();
    const struct clock *clock = rig->options.hand ? &rig->options.hand->clock : clock_real();
    struct invite_row row = { .uses = uses, .created_ms = clock->wall_ms(clock->self) };
    uint8_t hash[SECRET_HASH_BYTES];
    char path[CONFIG_TEXT_MAX + 16], why[256];
    struct facts *facts;
    uint64_t number;
    row.expires_ms = row.created_ms + 24 * 3600 * 1000;
    ENSURE("open", open_server(rig, why));         /* the folder is there from then on */
    server_close(rig->server);
    rig->server = NULL;
    snprintf(path, sizeof path, "%s/facts.db", rig->config.data);
    crypto_generichash(hash, sizeof hash, (const uint8_t *)code, strlen(code), NULL, 0);
    ENSURE("facts", facts_open(fs, path, true, &facts));
    ENSURE("begin", facts_begin(facts));
    ENSURE("invite", facts_invite_add(facts, hash, &row, &number));
    ENSURE("commit", facts_commit(facts));
    facts_close(facts);
}

struct config *rig_config(struct rig *rig)
{
    return &rig->config;
}

const struct rig_device *rig_device(const struct rig *rig, const char *user, uint32_t index)
{
    for (uint32_t i = 0; i < rig->device_count; i++) {
        if (rig->devices[i].index == index && strcmp(rig->devices[i].user.v, user) == 0) return &rig->devices[i];
    }
    fprintf(stderr, "rig: %s has no device %u\n", user, index);
    abort();
}

struct talker *rig_talk(struct rig *rig, const char *user, uint32_t index)
{
    const struct rig_device *d = rig_device(rig, user, index);
    return talker_open(rig_port(rig), &d->user, d->device, d->token);
}

uint16_t rig_port(const struct rig *rig)
{
    return server_port(rig->server);
}

struct server *rig_server(struct rig *rig)
{
    return rig->server;
}

struct disk *rig_disk(struct rig *rig)
{
    return rig->disk;
}

const char *rig_folder(const struct rig *rig)
{
    return rig->config.data;
}

void rig_turn_clock(struct rig *rig, uint64_t ms)
{
    clock_hand_advance(rig->options.hand, ms);
    server_wake(rig->server);
}

uint64_t rig_stat(struct rig *rig, const char *name)
{
    return server_stat(rig->server, name);
}
