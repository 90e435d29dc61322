/* account_export.c - a page of what the server has of a user, as JSON.
 *
 * The page is built as a tree of jansson's, so that what is left out (times that never were) is simply not there, and
 * printed once. Nobody but the client's person reads it, so it says names and times in full. */
#include "proto/account.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "proto/err.h"

struct export {
    json_t *root, *devices, *convs;    /* the second and third are within the first */
    bool failed;                       /* out of memory on the way */
};

struct export *export_new(const struct export_account *account)
{
    struct export *e = calloc(1, sizeof *e);
    if (!e) return NULL;
    e->root = account ? json_pack("{s:s, s:I, s:I}", "user", account->user.v, "created_ms",
                                  (json_int_t)account->created_ms, "list_version", (json_int_t)account->list_version)
                      : json_object();
    if (account && e->root) {
        e->devices = json_array();
        e->failed |= json_object_set_new(e->root, "devices", e->devices) != 0;
    }
    e->convs = json_array();
    e->failed |= json_object_set_new(e->root, "conversations", e->convs) != 0;
    return e;
}

void export_free(struct export *e)
{
    if (!e) return;
    json_decref(e->root);
    free(e);
}

/* A number that is left out when it is 0: a time that never was, a sequence that is none. */
static void put_if_set(struct export *e, json_t *object, const char *name, uint64_t v)
{
    if (v > 0) e->failed |= json_object_set_new(object, name, json_integer((json_int_t)v)) != 0;
}

void export_add_device(struct export *e, const struct export_device *d)
{
    char id[DEVICE_ID_TEXT];
    if (e->failed) return;
    device_id_print(d->device, id);
    json_t *o = json_pack("{s:s, s:s, s:I, s:b}", "device", id, "name", d->name, "created_ms",
                          (json_int_t)d->created_ms, "revoked", d->revoked ? 1 : 0);
    put_if_set(e, o, "live_ms", d->live_ms);
    e->failed |= json_array_append_new(e->devices, o) != 0;
}

void export_add_conv(struct export *e, const struct export_conv *c)
{
    char id[CONV_ID_TEXT];
    if (e->failed) return;
    conv_id_print(&c->conv, id);
    json_t *o = json_pack("{s:s, s:s, s:I, s:I, s:I}", "conversation", id, "with", c->peer.v, "created_ms",
                          (json_int_t)c->created_ms, "head", (json_int_t)c->head, "counted", (json_int_t)c->counted);
    put_if_set(e, o, "last_ms", c->last_ms);
    put_if_set(e, o, "read", c->read);
    put_if_set(e, o, "read_ms", c->read_ms);
    put_if_set(e, o, "delivered", c->delivered);
    put_if_set(e, o, "delivered_ms", c->delivered_ms);
    put_if_set(e, o, "sent", c->sent);
    e->failed |= json_array_append_new(e->convs, o) != 0;
}

int export_encode(struct export *e, const struct conv_id *more, struct buf *to)
{
    char after[EXPORT_AFTER_TEXT];
    if (more) {
        conv_id_print(more, after);
        e->failed |= json_object_set_new(e->root, "after", json_string(after)) != 0;
    }
    if (e->failed) return ERR_NOMEM;
    size_t len = json_dumpb(e->root, NULL, 0, JSON_COMPACT);
    uint8_t *at = len > 0 ? buf_grow(to, len) : NULL;
    int err = len > 0 ? to->err : ERR_NOMEM;
    if (!err && json_dumpb(e->root, (char *)at, len, JSON_COMPACT) != len) err = ERR_NOMEM;
    return err;
}

int export_query_parse(const char *query, struct conv_id *after_out)
{
    static const struct conv_id from_the_first;
    static const char name[] = "after=";
    *after_out = from_the_first;
    for (const char *at = query; *at;) {
        size_t len = strcspn(at, "&"), skip = sizeof name - 1;
        if (len >= skip && memcmp(at, name, skip) == 0 && conv_id_parse(bytes_of(at + skip, len - skip), after_out)) {
            *after_out = from_the_first;
            return ERR_MALFORMED;
        }
        at += len;
        if (*at == '&') at++;
    }
    return 0;
}
