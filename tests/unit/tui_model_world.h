/* tui_model_world.h - a device whose store is filled by hand, and the model of its screen, for the tests of
 * tui/model*.c.
 *
 * We are alice, on device `mine`. Time is UTC, and now is noon of 4 March 2025, a Tuesday. */
#ifndef PIPIT_TESTS_TUI_MODEL_WORLD_H
#define PIPIT_TESTS_TUI_MODEL_WORLD_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tools/client/tui/model.h"

#define NOW_MS 1741089600000u     /* 2025-03-04 12:00:00 UTC */
#define MINUTE_MS 60000u
#define DAY_MS 86400000u

struct fixture {
    char dir[64];
    struct home *home;
    struct account account;
    struct model *model;
    uint64_t now_ms;
    struct model_place place;     /* of the last opening */
};

static const struct user_id alice = { "alice" }, bob = { "bob" }, carol = { "carol" };
static const struct device_id mine = { 77 }, other_device = { 78 }, bobs = { 5 };

static inline void start_model(struct fixture *f)
{
    assert_int_equal(model_new(f->home, &f->account, f->now_ms, &f->model), 0);
}

static inline int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    char parent[] = "/tmp/pipit-model-XXXXXX", why[256];
    if (!f || !mkdtemp(parent)) return -1;
    setenv("TZ", "UTC", 1);
    tzset();
    snprintf(f->dir, sizeof f->dir, "%s/home", parent);
    if (home_open(f->dir, true, &f->home, why)) return -1;
    f->account = (struct account){ .server = "ws://127.0.0.1:1", .user = alice, .device = mine };
    if (home_account_put(f->home, &f->account)) return -1;
    f->now_ms = NOW_MS;
    start_model(f);
    *state = f;
    return 0;
}

static inline int teardown(void **state)
{
    struct fixture *f = *state;
    char command[128];
    model_free(f->model);
    home_close(f->home);
    *strrchr(f->dir, '/') = '\0';
    snprintf(command, sizeof command, "rm -rf '%s'", f->dir);
    int rc = system(command);
    free(f);
    return rc;
}

/* ---- the store ---- */

static inline struct conv_id conv_of(const struct user_id *peer)
{
    return conv_id_direct(&alice, peer);
}

static inline void conv_put(struct fixture *f, const struct user_id *peer, uint64_t stored, uint64_t read)
{
    struct conv_row row = { .id = conv_of(peer), .peer = *peer, .has_stored = true, .stored = stored, .read = read };
    assert_int_equal(home_conv_put(f->home, &row), 0);
}

/* The message `seq` of the conversation with `peer` was said `seq` seconds after this. */
static uint64_t said_from_ms = NOW_MS - 60 * MINUTE_MS;

static inline struct msg_id id_of(const struct user_id *peer, uint64_t seq)
{
    struct msg_id id = { .v = { 0 } };
    put_u64(id.v, (said_from_ms + seq * 1000) << 16 | 0x7000);
    memcpy(id.v + 8, peer->v, 3);
    return id;
}

static inline struct msg_id put_body(struct fixture *f, const struct user_id *peer, const struct user_id *from,
                                     struct device_id device, uint64_t client_seq, uint64_t seq, struct bytes body,
                                     enum record_kind kind, enum message_state state)
{
    bool is_new;
    struct msg_message m = { .conv = conv_of(peer), .seq = seq, .kind = kind, .from = *from, .device = device,
                             .flags = RECORD_COUNTS, .client_seq = client_seq, .id = id_of(peer, seq), .body = body };
    assert_int_equal(home_message_put(f->home, &m, state, &is_new), 0);
    return m.id;
}

static inline struct msg_id put(struct fixture *f, const struct user_id *peer, const struct user_id *from,
                                struct device_id device, uint64_t client_seq, uint64_t seq, const char *text,
                                enum message_state state)
{
    struct buf body;
    buf_init(&body, 4 * BODY_BYTES_MAX);
    assert_int_equal(content_text_encode(bytes_of_str(text), &body), 0);
    struct msg_id id = put_body(f, peer, from, device, client_seq, seq, buf_bytes(&body), KIND_MESSAGE, state);
    buf_fini(&body);
    return id;
}

/* `peer` says "name seq", which was shown. */
static inline struct msg_id old(struct fixture *f, const struct user_id *peer, uint64_t seq)
{
    char text[48];
    snprintf(text, sizeof text, "%s %u", peer->v, (unsigned)seq);
    return put(f, peer, peer, bobs, seq, seq, text, MESSAGE_SHOWN);
}

static inline void many_old(struct fixture *f, const struct user_id *peer, uint64_t first, uint64_t last)
{
    assert_int_equal(home_begin(f->home), 0);
    for (uint64_t seq = first; seq <= last; seq++) old(f, peer, seq);
    assert_int_equal(home_commit(f->home), 0);
}

static inline void tell(struct fixture *f, enum sync_kind kind, const struct user_id *peer)
{
    struct sync_event e = { .kind = kind, .conv = conv_of(peer), .user = *peer };
    model_on_event(f->model, &e);
}

static inline void update(struct fixture *f)
{
    unsigned changed;
    assert_int_equal(model_update(f->model, f->now_ms, &changed), 0);
}

/* `peer` says "name seq" now: it is there and due, and the model is told. */
static inline struct msg_id comes(struct fixture *f, const struct user_id *peer, uint64_t seq)
{
    struct conv_row row;
    struct conv_id conv = conv_of(peer);
    char text[48];
    snprintf(text, sizeof text, "%s %u", peer->v, (unsigned)seq);
    struct msg_id id = put(f, peer, peer, bobs, seq, seq, text, MESSAGE_FRESH);
    uint64_t read = home_conv_get(f->home, &conv, &row) == 0 ? row.read : 0;
    conv_put(f, peer, seq, read);
    tell(f, SYNC_MESSAGE, peer);
    update(f);
    return id;
}

static inline uint64_t queue(struct fixture *f, const struct user_id *to, const char *text)
{
    struct buf body;
    uint64_t client_seq = 0;
    buf_init(&body, BODY_BYTES_MAX);
    assert_int_equal(content_text_encode(bytes_of_str(text), &body), 0);
    assert_int_equal(home_outbox_add(f->home, to, buf_bytes(&body), f->now_ms, &client_seq), 0);
    buf_fini(&body);
    return client_seq;
}

/* Typed in the chat. */
static inline uint64_t say(struct fixture *f, const struct user_id *to, const char *text)
{
    uint64_t client_seq = queue(f, to, text);
    assert_int_equal(model_sent(f->model, client_seq), 0);
    return client_seq;
}

/* What sync.c does when the answer comes. */
static inline struct msg_id accepted(struct fixture *f, const struct user_id *to, uint64_t client_seq, uint64_t seq,
                                     const char *text)
{
    struct conv_row row;
    struct conv_id conv = conv_of(to);
    if (home_conv_get(f->home, &conv, &row)) conv_put(f, to, 0, 0);
    struct msg_id id = put(f, to, &alice, mine, client_seq, seq, text, MESSAGE_SHOWN);
    assert_int_equal(home_outbox_remove(f->home, client_seq), 0);
    struct sync_event e = { .kind = SYNC_ACCEPTED, .conv = conv, .seq = seq, .id = id, .client_seq = client_seq,
                            .user = *to };
    model_on_event(f->model, &e);
    return id;
}

/* ---- the screen ---- */

static inline void open_with(struct fixture *f, const struct user_id *peer)
{
    assert_int_equal(model_open(f->model, peer, &f->place), 0);
}

static const char ticks_marks[] = { [TICKS_NONE] = ' ', [TICKS_WAITING] = '.', [TICKS_SENT] = 's',
                                    [TICKS_DELIVERED] = 'd', [TICKS_READ] = 'r', [TICKS_REFUSED] = 'x' };

/* All rows: "<bob 1", "s>hi" (own, with its ticks), "=Today", "+new messages", "#a note", "@messages stay", "~0", the number of the
 * gap's state; each followed by ";". */
static inline char *rows(struct fixture *f)
{
    static char all[64 * 1024];
    size_t len = 0;
    all[0] = '\0';
    for (size_t i = 0; i < model_row_count(f->model); i++) {
        const struct model_row *r = model_row(f->model, i);
        assert_int_equal(strlen(r->text), r->text_len);
        char head[3] = { 0 };
        if (r->id.kind == ROW_MESSAGE) {
            head[0] = r->is_own ? ticks_marks[r->ticks] : '<';
            if (r->is_own) head[1] = '>';
        } else {
            head[0] = "?=+#~@"[r->id.kind];
        }
        if (r->id.kind == ROW_GAP) len += (size_t)snprintf(all + len, sizeof all - len, "~%d;", r->gap);
        else len += (size_t)snprintf(all + len, sizeof all - len, "%s%s;", head, r->text);
        assert_true(len < sizeof all);
    }
    return all;
}

/* All messages of the window, and no more than these: "bob first" to "bob last". */
static inline void expect_window(struct fixture *f, const struct user_id *peer, uint64_t first, uint64_t last)
{
    char text[48];
    uint64_t seq = first;
    for (size_t i = 0; i < model_row_count(f->model); i++) {
        const struct model_row *r = model_row(f->model, i);
        if (r->id.kind != ROW_MESSAGE) continue;
        snprintf(text, sizeof text, "%s %u", peer->v, (unsigned)seq++);
        assert_string_equal(r->text, text);
    }
    assert_int_equal(seq, last + 1);
}

/* All rows stand on the screen. */
static inline bool see_all(struct fixture *f, bool foreground, struct model_seen *seen)
{
    return model_seen(f->model, 0, model_row_count(f->model), foreground, seen);
}

/* "name unread[!] last ticks;" for each conversation. */
static inline char *list(struct fixture *f)
{
    static char all[64 * 1024];
    size_t len = 0;
    all[0] = '\0';
    for (size_t i = 0; i < model_conv_count(f->model); i++) {
        const struct model_conv *c = model_conv(f->model, i);
        len += (size_t)snprintf(all + len, sizeof all - len, "%s %u%s %s%c%s;", c->name, c->unread,
                                c->marked ? "!" : "", c->last, ticks_marks[c->last_ticks], c->has_draft ? "draft" : "");
        assert_true(len < sizeof all);
    }
    return all;
}

#define CLAIM(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif
