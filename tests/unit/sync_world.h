/* sync_world.h - a device without a link, for the tests of sync.c and sync_in.c.
 *
 * The server is played by hand: frames are put in, and what leaves is looked at. We are alice, on device `mine`. */
#ifndef PIPIT_TESTS_SYNC_WORLD_H
#define PIPIT_TESTS_SYNC_WORLD_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/client/sync.h"

enum { FRAMES_MAX = 512, EVENTS_MAX = 512 };

struct fixture {
    char dir[64];
    struct home *home;
    struct account account;
    struct sync *sync;
    struct sync_time now;
    struct conv_id conv;          /* of alice, who is us, and bob */
    struct msg sent[FRAMES_MAX];  /* what left; they point into `frames` */
    uint8_t *frames[FRAMES_MAX];
    size_t sent_count;
    struct sync_event events[EVENTS_MAX];
    size_t event_count;
    uint8_t generation;
    uint64_t client_seq_max;      /* for WELCOME */
};

static const struct user_id alice = { "alice" }, bob = { "bob" }, carol = { "carol" };
static const struct device_id mine = { 77 }, other_device = { 78 }, bobs = { 5 };

/* ---- the world ---- */

static inline void on_send(void *arg, struct bytes frame)
{
    struct fixture *f = arg;
    assert_true(f->sent_count < FRAMES_MAX);
    uint8_t *copy = malloc(frame.len);
    assert_non_null(copy);
    memcpy(copy, frame.at, frame.len);
    f->frames[f->sent_count] = copy;
    assert_int_equal(msg_decode(bytes_of(copy, frame.len), &f->sent[f->sent_count], NULL), 0);
    f->sent_count++;
}

static inline void on_event(void *arg, const struct sync_event *e)
{
    struct fixture *f = arg;
    assert_true(f->event_count < EVENTS_MAX);
    f->events[f->event_count++] = *e;
}

static inline void forget(struct fixture *f)
{
    for (size_t i = 0; i < f->sent_count; i++) free(f->frames[i]);
    f->sent_count = f->event_count = 0;
}

static inline void open_home(struct fixture *f)
{
    static const struct sync_ops ops = { .send = on_send, .on_event = on_event };
    char why[256];
    assert_int_equal(home_open(f->dir, true, &f->home, why), 0);
    if (home_account_get(f->home, &f->account) == ERR_NOT_FOUND) {
        f->account = (struct account){ .server = "ws://127.0.0.1:1", .user = alice, .device = mine };
        assert_int_equal(home_account_put(f->home, &f->account), 0);
    }
    f->sync = sync_new(f->home, &f->account, &ops, f);
    assert_non_null(f->sync);
}

static inline void close_home(struct fixture *f)
{
    sync_free(f->sync);
    home_close(f->home);
}

static inline int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    char dir[] = "/tmp/pipit-sync-XXXXXX";
    if (!f || sodium_init() < 0 || !mkdtemp(dir)) return -1;
    memcpy(f->dir, dir, sizeof dir);
    f->conv = conv_id_direct(&alice, &bob);
    f->now = (struct sync_time){ .mono_ms = 1000000, .wall_ms = 1700000000000 };
    open_home(f);
    *state = f;
    return 0;
}

static inline int teardown(void **state)
{
    struct fixture *f = *state;
    char command[96];
    forget(f);
    close_home(f);
    snprintf(command, sizeof command, "rm -rf '%s'", f->dir);
    int rc = system(command);
    free(f);
    return rc;
}

static inline void begin(struct fixture *f)
{
    assert_int_equal(sync_begin(f->sync, f->now), 0);
}

static inline void end(struct fixture *f)
{
    assert_int_equal(sync_end(f->sync), 0);
}

static inline void step(struct fixture *f)
{
    begin(f);
    end(f);
}

static inline int give(struct fixture *f, const struct msg *m)
{
    struct buf frame;
    buf_init(&frame, FRAME_BYTES_MAX);
    assert_int_equal(msg_encode(m, &frame), 0);
    int err = sync_on_frame(f->sync, buf_bytes(&frame));
    buf_fini(&frame);
    return err;
}

static inline void welcome(struct fixture *f)
{
    struct msg m = { .type = MSG_WELCOME, .has_ref = true, .ref = 1 };
    m.u.welcome = (struct msg_welcome){ .now_ms = f->now.wall_ms, .heartbeat_ms = 30000,
                                        .client_seq_max = f->client_seq_max, .server = bytes_of_str("test") };
    m.u.welcome.generation[0] = f->generation;
    assert_int_equal(sync_on_up(f->sync), 0);
    begin(f);
    assert_int_equal(give(f, &m), 0);
    end(f);
}

static inline struct msg_message record(const struct fixture *f, uint64_t seq, const struct user_id *from,
                                 struct device_id device, uint64_t client_seq)
{
    static const uint8_t body[] = { 0x92, 0x00, 0xa2, 'h', 'i' };
    struct msg_message m = { .conv = f->conv, .seq = seq, .kind = KIND_MESSAGE, .flags = RECORD_COUNTS, .from = *from,
                             .device = device, .client_seq = client_seq, .is_direct = true,
                             .members = { alice, bob }, .body = BYTES_OF(body) };
    put_u64(m.id.v, seq << 16 | 0x7000);
    return m;
}

static inline struct msg_message from_bob(const struct fixture *f, uint64_t seq)
{
    return record(f, seq, &bob, bobs, seq);
}

static inline void message(struct fixture *f, const struct msg_message *record)
{
    struct msg m = { .type = MSG_MESSAGE };
    m.u.message = *record;
    assert_int_equal(give(f, &m), 0);
}

static inline void bob_says(struct fixture *f, uint64_t seq)
{
    struct msg_message m = from_bob(f, seq);
    message(f, &m);
}

static inline void tombstone(struct fixture *f, uint64_t from, uint64_t to)
{
    struct msg m = { .type = MSG_TOMBSTONE };
    m.u.tombstone = (struct msg_tombstone){ f->conv, { from, to } };
    assert_int_equal(give(f, &m), 0);
}

/* A page that says besides what is gone. */
static inline void page_with_gone(struct fixture *f, uint64_t ref, const uint64_t *seqs, size_t count, uint64_t head,
                                  bool more, const struct gone *gone, size_t gone_count)
{
    struct buf records, ranges, frame;
    struct msg_page p = { .conv = f->conv, .head = head, .more = more };
    buf_init(&records, FRAME_BYTES_MAX);
    buf_init(&ranges, FRAME_BYTES_MAX);
    buf_init(&frame, FRAME_BYTES_MAX);
    for (size_t i = 0; i < gone_count; i++) assert_int_equal(gone_add(&ranges, gone[i]), 0);
    p.gone = buf_bytes(&ranges);
    for (size_t i = 0; i < count; i++) {
        struct msg_message m = from_bob(f, seqs[i]);
        assert_int_equal(page_add(&records, &m), 0);
    }
    p.records = buf_bytes(&records);
    assert_int_equal(page_encode(ref, &p, (uint32_t)count, &frame), 0);
    assert_int_equal(sync_on_frame(f->sync, buf_bytes(&frame)), 0);
    buf_fini(&records);
    buf_fini(&ranges);
    buf_fini(&frame);
}

static inline void page(struct fixture *f, uint64_t ref, const uint64_t *seqs, size_t count, uint64_t head, bool more)
{
    page_with_gone(f, ref, seqs, count, head, more, NULL, 0);
}

static inline void accepted(struct fixture *f, uint64_t ref, uint64_t seq, uint64_t client_seq)
{
    struct msg m = { .type = MSG_ACCEPTED, .has_ref = true, .ref = ref };
    m.u.accepted = (struct msg_accepted){ .conv = f->conv, .seq = seq, .client_seq = client_seq };
    put_u64(m.u.accepted.id.v, seq << 16 | 0x7000);
    assert_int_equal(give(f, &m), 0);
}

static inline void error(struct fixture *f, uint64_t ref, int err, bool again, uint64_t in_ms)
{
    struct msg m = { .type = MSG_ERROR, .has_ref = true, .ref = ref };
    m.u.error = (struct msg_error){ .code = (uint64_t)-(int64_t)err, .name = bytes_of_str(err_name(err)),
                                    .text = bytes_of_str("because"), .again = again, .again_in_ms = in_ms };
    assert_int_equal(give(f, &m), 0);
}

static inline void receipt(struct fixture *f, const struct user_id *user, uint64_t delivered, uint64_t read)
{
    struct msg m = { .type = MSG_RECEIPT };
    m.u.receipt = (struct msg_receipt){ .conv = f->conv, .user = *user, .delivered = delivered, .read = read,
                                        .time_ms = 5 };
    assert_int_equal(give(f, &m), 0);
}

static inline uint64_t queue(struct fixture *f, const struct user_id *to, const char *text)
{
    struct buf body;
    uint64_t client_seq = 0;
    buf_init(&body, BODY_BYTES_MAX);
    assert_int_equal(content_text_encode(bytes_of_str(text), &body), 0);
    assert_int_equal(home_outbox_add(f->home, to, buf_bytes(&body), 1, &client_seq), 0);
    buf_fini(&body);
    return client_seq;
}

/* The only frame of this type that left since forget(); fails when there are others of it. */
static inline const struct msg *the_only(const struct fixture *f, enum msg_type type)
{
    const struct msg *found = NULL;
    for (size_t i = 0; i < f->sent_count; i++) {
        if (f->sent[i].type != type) continue;
        assert_null(found);
        found = &f->sent[i];
    }
    assert_non_null(found);
    return found;
}

static inline size_t count_of(const struct fixture *f, enum msg_type type)
{
    size_t count = 0;
    for (size_t i = 0; i < f->sent_count; i++) count += f->sent[i].type == type;
    return count;
}

static inline size_t told(const struct fixture *f, enum sync_kind kind)
{
    size_t count = 0;
    for (size_t i = 0; i < f->event_count; i++) count += f->events[i].kind == kind;
    return count;
}

static inline struct conv_row conv_of(const struct fixture *f)
{
    struct conv_row row;
    assert_int_equal(home_conv_get(f->home, &f->conv, &row), 0);
    return row;
}

static inline int count_row(void *arg, const struct message_row *row)
{
    (void)row;
    ++*(size_t *)arg;
    return 0;
}

static inline size_t fresh_count(const struct fixture *f)
{
    size_t count = 0;
    assert_int_equal(home_message_each_fresh(f->home, NULL, count_row, &count), 0);
    return count;
}

static inline int count_outbox(void *arg, const struct outbox_row *row)
{
    (void)row;
    ++*(size_t *)arg;
    return 0;
}

static inline size_t outbox_count(const struct fixture *f)
{
    size_t count = 0;
    assert_int_equal(home_outbox_each(f->home, count_outbox, &count), 0);
    return count;
}

#define CLAIM(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif
