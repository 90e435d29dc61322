/* clerk.c - the facts thread: many requests, one transaction on keys, one on facts.
 *
 * Keys come first and are committed before any row is written: a row or a record may never name a key that a crash can
 * take away. A key without rows does no harm. A request that fails undoes its own savepoint; a transaction that fails
 * fails all in it, and each is told. */
#include <stdlib.h>

#include "server/chat/chat.h"

struct clerk { struct facts *facts; struct vault *vault; };

int clerk_open(void *store, void **context_out)
{
    struct store *st = store;
    struct clerk *clerk = malloc(sizeof *clerk);
    if (!clerk) return ERR_NOMEM;
    *clerk = (struct clerk){ st->facts, st->vault };
    *context_out = clerk;
    return 0;
}

static void run_keys(struct work *list, struct clerk *clerk)
{
    bool any = false;
    for (struct work *w = list; w; w = w->next) any = any || ((struct clerk_work *)w)->key;
    if (!any) return;
    int all = vault_begin(clerk->vault);
    for (struct work *w = list; w && !all; w = w->next) {
        struct clerk_work *c = (struct clerk_work *)w;
        if (c->key) w->err = c->key(c, clerk->vault);
    }
    if (!all) all = vault_commit(clerk->vault);
    if (!all) return;
    vault_rollback(clerk->vault);
    for (struct work *w = list; w; w = w->next) {
        if (((struct clerk_work *)w)->key) w->err = all;
    }
}

static int run_row(struct clerk_work *c, struct facts *facts)
{
    int err = facts_savepoint(facts);
    if (err) return err;
    int result = c->rows(c, facts);
    err = facts_savepoint_end(facts, result == 0);
    return result ? result : err;
}

static void run_rows(struct work *list, struct clerk *clerk)
{
    bool any = false;
    for (struct work *w = list; w; w = w->next) any = any || (((struct clerk_work *)w)->rows && !w->err);
    if (!any) return;
    int all = facts_begin(clerk->facts);
    for (struct work *w = list; w && !all; w = w->next) {
        struct clerk_work *c = (struct clerk_work *)w;
        if (c->rows && !w->err) w->err = run_row(c, clerk->facts);
    }
    if (!all) all = facts_commit(clerk->facts);
    if (!all) return;
    facts_rollback(clerk->facts);
    for (struct work *w = list; w; w = w->next) {
        if (((struct clerk_work *)w)->rows && !w->err) w->err = all;
    }
}

static void run_apart(struct work *list, struct clerk *clerk)
{
    for (struct work *w = list; w; w = w->next) {
        struct clerk_work *c = (struct clerk_work *)w;
        if (c->apart && !w->err) w->err = c->apart(c, clerk->facts, clerk->vault);
    }
}

void clerk_run_all(struct work *list, void *context)
{
    for (struct work *w = list; w; w = w->next) w->err = 0;
    run_keys(list, context);
    run_rows(list, context);
    run_apart(list, context);
}

int reader_open(void *store, void **context_out)
{
    struct job_reader *r = calloc(1, sizeof *r);
    if (!r) return ERR_NOMEM;
    int err = store_reader_open(store, &r->facts, &r->vault);
    if (err) {
        free(r);
        return err;
    }
    *context_out = r;
    return 0;
}

void reader_close(void *context)
{
    struct job_reader *r = context;
    facts_close(r->facts);
    vault_close(r->vault);
    free(r);
}
