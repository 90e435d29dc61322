/* fuzz_frame.c - whatever a peer sends to proto/ in frames: messages, pages, lists, content. Bodies of HTTP are
 * fuzz_account.c's.
 *
 * Not crashing is half of it. The other half: what was understood must be a fixed point. A decoded thing is
 * encoded, decoded and encoded again, and the two encodings must be the same bytes; so no value is read that
 * cannot be said, and none changes on its way. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "proto/proto.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { OUT_BYTES_MAX = 2 * FRAME_BYTES_MAX };

static void check_same(const struct buf *a, const struct buf *b)
{
    assert(bytes_equal(buf_bytes(a), buf_bytes(b)));
}

/* Frames that grow past the limit when nil and limits left out are filled in cannot be read again. */
static void check_msg(const struct msg *m, struct buf *once, struct buf *twice)
{
    struct msg back;
    const char *why;
    buf_clear(once);
    buf_clear(twice);
    assert(msg_encode(m, once) == 0);
    if (once->len > FRAME_BYTES_MAX) return;
    assert(msg_decode(buf_bytes(once), &back, &why) == 0);
    assert(back.type == m->type && back.has_ref == m->has_ref && back.ref == m->ref);
    assert(msg_encode(&back, twice) == 0);
    check_same(once, twice);
}

static void check_records(struct bytes rest, struct buf *once, struct buf *twice)
{
    struct msg_message record, back;
    while (page_next(&rest, &record) == 0) {
        buf_clear(once);
        buf_clear(twice);
        assert(page_add(once, &record) == 0);
        struct bytes one = buf_bytes(once);
        assert(page_next(&one, &back) == 0 && one.len == 0);
        assert(page_add(twice, &back) == 0);
        check_same(once, twice);
    }
}

static void check_gone(struct bytes rest, struct buf *once)
{
    struct gone gone, back;
    while (gone_next(&rest, &gone) == 0) {
        buf_clear(once);
        assert(gone_add(once, gone) == 0 && once->len <= GONE_BYTES_MAX);
        struct bytes one = buf_bytes(once);
        assert(gone_next(&one, &back) == 0 && one.len == 0 && back.from == gone.from && back.to == gone.to);
    }
}

static void check_members(struct bytes rest, struct buf *once, struct buf *twice)
{
    struct member_state member, back;
    while (members_next(&rest, &member) == 0) {
        buf_clear(once);
        buf_clear(twice);
        assert(members_add(once, &member) == 0);
        struct bytes one = buf_bytes(once);
        assert(members_next(&one, &back) == 0 && one.len == 0);
        assert(members_add(twice, &back) == 0);
        check_same(once, twice);
    }
}

static void check_seqs(struct bytes rest, struct buf *once)
{
    uint64_t seq, back;
    while (seqs_next(&rest, &seq) == 0) {
        buf_clear(once);
        assert(seqs_add(once, seq) == 0);
        struct bytes one = buf_bytes(once);
        assert(seqs_next(&one, &back) == 0 && one.len == 0 && back == seq);
    }
}

static void check_devices(struct bytes rest, struct buf *once, struct buf *twice)
{
    struct device_entry device, back;
    while (devices_next(&rest, &device) == 0) {
        buf_clear(once);
        buf_clear(twice);
        assert(devices_add(once, &device) == 0);
        struct bytes one = buf_bytes(once);
        assert(devices_next(&one, &back) == 0 && one.len == 0);
        assert(devices_add(twice, &back) == 0);
        check_same(once, twice);
    }
}

static void check_content(struct bytes in, struct buf *once)
{
    struct bytes text, back;
    if (content_text_decode(in, &text) != 0) return;
    buf_clear(once);
    assert(content_text_encode(text, once) == 0);
    assert(content_text_decode(buf_bytes(once), &back) == 0);
    assert(bytes_equal(text, back));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes in = bytes_of(data, size);
    struct buf once, twice;
    struct msg m;
    const char *why = NULL;
    buf_init(&once, OUT_BYTES_MAX);
    buf_init(&twice, OUT_BYTES_MAX);
    int err = msg_decode(in, &m, &why);
    assert((err == 0) == (why == NULL));
    if (err == 0) {
        check_msg(&m, &once, &twice);
        if (m.type == MSG_PAGE) check_records(m.u.page.records, &once, &twice);
        if (m.type == MSG_PAGE) check_gone(m.u.page.gone, &once);
        if (m.type == MSG_INFO_ANSWER) check_members(m.u.info_answer.members, &once, &twice);
        if (m.type == MSG_DELETE) check_seqs(m.u.remove.seqs, &once);
        if (m.type == MSG_DEVICE_LIST) check_devices(m.u.device_list.devices, &once, &twice);
        if (m.type == MSG_MESSAGE) check_content(m.u.message.body, &once);
        if (m.type == MSG_SEND) (void)send_unsupported(&m.u.send);
    }
    /* The same bytes without a frame around them: readers that must not rely on msg_decode() having looked. */
    check_records(in, &once, &twice);
    check_members(in, &once, &twice);
    check_seqs(in, &once);
    check_devices(in, &once, &twice);
    check_content(in, &once);
    buf_fini(&once);
    buf_fini(&twice);
    return 0;
}
