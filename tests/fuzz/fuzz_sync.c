/* fuzz_sync.c - whatever a server says to a device that is logged in, and what the device's store makes of it.
 *
 * An input is steps: two bytes of length and a frame, or one of the lengths below, which is something that happens on this
 * side. A frame that ends the link is followed by a new one. Not crashing is half of it. The other half: what leaves is a
 * frame as a client may say it; nothing is acknowledged that is not stored, and what is stored without a gap never
 * shrinks but for a server with another past; what is told is safe to print. */
#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/client/sync.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SEND = 0xffff, READ = 0xfffe, LOST = 0xfffd, ASK = 0xfffc, LATER = 0xfffb, STEPS_MAX = 64 };

static const struct user_id alice = { "alice" }, bob = { "bob" };

struct device {
    struct home *home;
    struct account account;
    struct sync *sync;
    struct sync_time now;
    struct conv_id conv;             /* of alice, who is us, and bob */
    uint64_t stored;                 /* its prefix without a gap, at the end of the last step */
};

/* Zeros when the store has none. */
static struct conv_row conv_of(const struct device *d, const struct conv_id *conv)
{
    static const struct conv_row none;
    struct conv_row row;
    int err = home_conv_get(d->home, conv, &row);
    assert(err == 0 || err == ERR_NOT_FOUND);
    return err == 0 ? row : none;
}

static uint64_t stored_of(const struct device *d)
{
    struct conv_row row = conv_of(d, &d->conv);
    return row.has_stored ? row.stored : 0;
}

/* Called when the transaction is committed. */
static void on_send(void *arg, struct bytes frame)
{
    const struct device *d = arg;
    struct msg m;
    struct conv_row row;
    assert(frame.len <= FRAME_BYTES_MAX && msg_decode(frame, &m, NULL) == 0);
    switch (m.type) {
    case MSG_DELIVERED:
    case MSG_READ:
        assert(!m.u.cursor.to.is_user);
        if (home_conv_get(d->home, &m.u.cursor.to.conv, &row) == ERR_NOT_FOUND) break;    /* of what is gone whole */
        /* Another device of ours may have read further than we have got: so says the server. */
        assert(m.u.cursor.seq <= row.stored || (m.type == MSG_READ && m.u.cursor.seq <= row.read));
        break;
    case MSG_HELLO: case MSG_SEND: case MSG_HISTORY: case MSG_INFO: case MSG_PING: case MSG_DEVICES:
        break;
    default:
        assert(!"a frame that only a server says");
    }
}

static void on_event(void *arg, const struct sync_event *e)
{
    (void)arg;
    assert(memchr(e->text, '\0', sizeof e->text) && bytes_is_line(bytes_of_str(e->text)));
}

static void connect_again(struct device *d)
{
    sync_on_lost(d->sync);
    assert(sync_on_up(d->sync) == 0);
}

static void happen(struct device *d, uint16_t what)
{
    static const uint8_t body[] = { 0x92, 0x00, 0xa2, 'h', 'i' };
    struct msg ask = { .type = MSG_HISTORY, .has_ref = true, .u.history = { .to.conv = d->conv, .limit = 10 } };
    struct buf request;
    uint64_t number;
    int err;
    switch (what) {
    case SEND:
        assert(home_outbox_add(d->home, &bob, BYTES_OF(body), d->now.wall_ms, &number) == 0);
        break;
    case READ:
        err = sync_read(d->sync, &d->conv, stored_of(d));
        assert(err == 0 || err == ERR_NOT_FOUND);
        break;
    case ASK:
        buf_init(&request, FRAME_BYTES_MAX);
        assert(msg_encode(&ask, &request) == 0);
        assert(home_errand_add(d->home, buf_bytes(&request), d->now.wall_ms, &number) == 0);
        buf_fini(&request);
        break;
    case LATER:
        d->now.mono_ms += RETRY_MS_MAX + 1;
        d->now.wall_ms += RETRY_MS_MAX + 1;
        break;
    }
}

/* Takes one step from the input; false: no more. */
static bool step(struct device *d, struct reader *in)
{
    uint16_t len = reader_u16(in);
    if (in->bad) return false;
    if (len == LOST) {
        connect_again(d);
        return true;
    }
    bool generation = d->account.has_generation;
    uint8_t before[sizeof d->account.generation];
    memcpy(before, d->account.generation, sizeof before);
    assert(sync_begin(d->sync, d->now) == 0);
    int err = 0;
    if (len >= LATER) happen(d, len);
    else err = sync_on_frame(d->sync, reader_bytes(in, len < in->left ? len : in->left));
    assert(err <= 0 && err != ERR_IO && err != ERR_CORRUPT);
    if (!err) err = sync_end(d->sync);
    else sync_abort(d->sync);
    if (err) connect_again(d);
    bool same_past = !generation || memcmp(before, d->account.generation, sizeof before) == 0;
    uint64_t stored = stored_of(d);
    assert(stored >= d->stored || !same_past);
    d->stored = stored;
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct sync_ops ops = { .send = on_send, .on_event = on_event };
    char dir[64], why[256], holder[64];
    struct device d = { .now = { .mono_ms = 1000000, .wall_ms = 1700000000000 } };
    d.account = (struct account){ .server = "ws://127.0.0.1:1", .user = alice, .device = { 77 } };
    d.conv = conv_id_direct(&alice, &bob);
    snprintf(dir, sizeof dir, "%s/pipit-fuzz-XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    if (!mkdtemp(dir) || home_open(dir, true, &d.home, why) || home_account_put(d.home, &d.account)) abort();
    d.sync = sync_new(d.home, &d.account, &ops, &d);
    if (!d.sync || sync_on_up(d.sync)) abort();
    struct reader in = reader_of(bytes_of(data, size));
    for (int i = 0; i < STEPS_MAX && step(&d, &in); i++) {}
    sync_free(d.sync);
    if (home_lock(d.home, "fuzz", holder) || home_erase(d.home)) abort();
    home_close(d.home);
    return 0;
}
