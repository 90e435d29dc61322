/* reload.c - see reload.h. */
#include "server/reload.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

enum { RETRY_MS = 100 };                             /* the jobs were busy */

enum reload_state { IDLE, READING, SENDING };

struct reload {
    struct work work;                    /* READING: its job; first, so that one is the other */
    struct reload_config config;
    struct shard *shard;
    _Atomic bool wanted;
    bool stopping;
    enum reload_state state;
    struct timeout retry;
    struct reload_wait *asked;           /* for the next one */
    struct reload_wait *waiting;         /* for the one under way */
    struct config was;                   /* in force when that was read */
    /* -- the job's while READING -- */
    struct config read;
    struct certs *certs;                 /* counted */
    bool certs_changed;
    char certs_was[CERTS_TEXT_MAX], certs_now[CERTS_TEXT_MAX];
    struct config_problems problems;
    /* -- SENDING -- */
    struct settings *sending;
    uint16_t next;                       /* shard that is given it next */
    struct reload_report report;
};

/* ---- what came of it ---- */

static void tell(struct reload_wait **list, const struct reload_news *news)
{
    while (*list) {
        struct reload_wait *w = *list;
        DL_DELETE(*list, w);
        w->done(w, news);                            /* may free it, and may ask again */
    }
}

static void tell_waiting(struct reload *r)
{
    int err = r->report.err;
    if (!err && r->stopping && r->report.changed) err = ERR_GOING;    /* read, and not taken any more */
    struct reload_news news = { .err = err };
    if (!err) {
        news.was = &r->was;
        news.wanted = &r->read;
    }
    if (!err && r->certs_changed) {
        news.certs_was = r->certs_was;
        news.certs_now = r->certs_now;
    }
    if (err == ERR_CONFIG) news.problems = &r->problems;
    tell(&r->waiting, &news);
}

static void reload_end(struct reload *r)
{
    const struct reload_report *report = &r->report;
    settings_unref(r->sending);
    r->sending = NULL;
    certs_unref(r->certs);
    r->certs = NULL;
    r->state = IDLE;
    if (report->err) {
        say(SAY_ERROR, "reload_refused", SAY_TEXT("why", err_name(report->err)), SAY_U64("problems", report->problems),
            SAY_TEXT("in_force", "what was before"));
    } else {
        say(SAY_INFO, "reloaded", SAY_U64("changed", report->changed), SAY_U64("needs_restart", report->needs_restart));
    }
    if (r->config.done) r->config.done(r->config.done_arg, report);
    tell_waiting(r);
    config_problems_fini(&r->problems);
    shard_again(r->shard);                           /* it may be wanted again already */
}

static void say_problems(const struct config_problems *problems)
{
    struct bytes rest = buf_bytes(&problems->text);
    char line[CONFIG_PROBLEM_MAX];
    while (config_problems_next(&rest, line)) say(SAY_ERROR, "bad_setting", SAY_TEXT("why", line));
}

static void say_change(const struct config *was, const struct config *is, int key, bool taken)
{
    struct buf before, after;
    buf_init(&before, CONFIG_TEXT_MAX);
    buf_init(&after, CONFIG_TEXT_MAX);
    config_value_text(was, key, &before);
    config_value_text(is, key, &after);
    buf_put_u8(&before, 0);
    buf_put_u8(&after, 0);
    const char *old = before.err ? "" : (const char *)before.at, *new = after.err ? "" : (const char *)after.at;
    if (taken) {
        say(SAY_INFO, "setting_changed", SAY_TEXT("key", config_keys[key].name), SAY_TEXT("was", old),
            SAY_TEXT("now", new));
    } else {
        say(SAY_WARN, "setting_needs_restart", SAY_TEXT("key", config_keys[key].name), SAY_TEXT("is", old),
            SAY_TEXT("then", new));
    }
    buf_fini(&before);
    buf_fini(&after);
}

static void first_certificate(const struct certs *certs, char out[static CERTS_TEXT_MAX])
{
    if (certs_count(certs)) certs_text(certs, 0, out);
    else strcpy(out, "none");
}

/* Into `next`, which is what is in force now: what a reload may change. The rest is named. */
static void compare(struct reload *r, struct config *next)
{
    for (int key = 0; key < CONFIG_KEYS; key++) {
        if (config_same(next, &r->read, key)) continue;
        bool taken = config_keys[key].takes == CONFIG_RELOAD;
        say_change(next, &r->read, key, taken);
        if (taken) config_copy(next, &r->read, key);
        r->report.changed += taken;
        r->report.needs_restart += !taken;
    }
    const struct certs *before = r->config.now->net.certs;
    r->certs_changed = !certs_same(before, r->certs);
    if (!r->certs_changed) return;
    r->report.changed++;
    first_certificate(before, r->certs_was);
    first_certificate(r->certs, r->certs_now);
    settings_say_certs(r->certs);
}

/* All of it or, without memory, nothing. */
static void take(struct reload *r, const struct config *next)
{
    uint16_t shards = r->shard->house->shards;
    r->sending = settings_new(next, r->config.test, shards, r->certs);
    if (!r->sending) {
        r->report.err = ERR_NOMEM;
        reload_end(r);
        return;
    }
    struct say_settings log = settings_for_log(next);
    *r->config.config = *next;
    settings_fill(r->config.now, next, r->config.test, shards, r->certs);
    say_set(&log);
    r->next = 0;
    r->state = SENDING;
    shard_again(r->shard);                           /* reload_step() goes on */
}

static void read_done(struct shard *shard, struct work *work)
{
    struct reload *r = (struct reload *)work;
    struct config next = *r->config.config;
    (void)shard;
    assert(r->state == READING);
    r->was = next;
    r->report = (struct reload_report){ .err = work->err, .problems = r->problems.count };
    if (work->err) say_problems(&r->problems);
    else compare(r, &next);
    if (work->err || r->report.changed == 0 || r->stopping) reload_end(r);
    else take(r, &next);
}

static void read_run(struct work *work, void *context)
{
    struct reload *r = (struct reload *)work;
    (void)context;
    char why[CERTS_WHY_MAX];
    work->err = r->config.read(r->config.arg, &r->read, &r->problems);
    if (work->err) return;
    /* What is loaded is what counts: the files may be others by now than those that were checked. */
    work->err = settings_load_certs(r->config.store, &r->read, &r->certs, why);
    if (work->err == ERR_CONFIG) config_problem(&r->problems, "tls_cert: %s", why);
}

/* ---- the steps ---- */

static void begin(struct reload *r)
{
    config_problems_init(&r->problems);
    if (worker_submit(r->config.jobs, r->shard, &r->work)) {
        r->state = READING;
        r->waiting = r->asked;
        r->asked = NULL;
        return;
    }
    atomic_store(&r->wanted, true);
    wheel_set(&r->shard->wheel, &r->retry, RETRY_MS);
}

static void give(struct reload *r)
{
    struct house *house = r->shard->house;
    for (; r->next < house->shards; r->next++) {
        if (!settings_send(r->sending, house, r->next)) return;      /* woken when there is room */
    }
    if (settings_are_taken(r->sending)) reload_end(r);               /* woken by each who takes them */
}

static void on_retry(struct timeout *t)
{
    (void)t;                                         /* the turn's slice, which comes next, does it */
}

void reload_step(struct reload *r)
{
    if (r->stopping) return;
    if (r->state == SENDING) give(r);
    if (r->state == IDLE && !timeout_is_set(&r->retry) && atomic_exchange(&r->wanted, false)) begin(r);
}

void reload_want(struct reload *r)
{
    atomic_store(&r->wanted, true);
    house_wake(r->shard->house, r->shard->id);
}

int reload_ask(struct reload *r, struct reload_wait *wait)
{
    if (r->stopping) return ERR_GOING;
    DL_APPEND(r->asked, wait);
    reload_want(r);
    return 0;
}

/* ---- a life ---- */

int reload_new(struct shard *main_shard, const struct reload_config *config, struct reload **reload_out)
{
    struct reload *r = calloc(1, sizeof *r);
    if (!r) return ERR_NOMEM;
    r->shard = main_shard;
    r->config = *config;
    r->work.run = read_run;
    r->work.done = read_done;
    r->retry.fire = on_retry;
    *reload_out = r;
    return 0;
}

void reload_stop(struct reload *r)
{
    static const struct reload_news going = { .err = ERR_GOING };
    r->stopping = true;
    tell(&r->asked, &going);
    if (r->state != READING) tell(&r->waiting, &going);
    wheel_cancel(&r->shard->wheel, &r->retry);
}

void reload_free(struct reload *r)
{
    if (!r) return;
    assert(r->state != READING);                     /* main's shard ends only when its works are back */
    assert(!r->asked && !r->waiting);
    settings_unref(r->sending);
    free(r);
}
