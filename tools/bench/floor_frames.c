/* floor_frames.c - the floor's five frames: made once by the real codec, afterwards only patched.
 *
 * So they have the sizes and the fields of the server's, and the load generator reads them with the same code. Where a
 * number stands is found by encoding a frame with numbers that occur nowhere else in it. */
#include <string.h>

#include "storage/storage.h"
#include "tools/bench/bench.h"
#include "tools/bench/floor.h"

enum { MARK_REF = 0x7a31, MARK_SEQ = 0x7a32, MARK_COUNTED = 0x7a33, MARK_CLIENT_SEQ = 0x7a34, MARK_SETTLED = 0x7a35 };

static const uint8_t body_mark[BENCH_BODY_BYTES] = "where the body stands";

static uint16_t place_of(struct bytes in, const void *what, size_t len)
{
    const uint8_t *at = memmem(in.at, in.len, what, len);
    if (!at || memmem(at + 1, in.len - (size_t)(at + 1 - in.at), what, len)) die("a frame is not as the floor thinks");
    return (uint16_t)(at - in.at);
}

/* MessagePack's uint 16: cd, two bytes. The place is that of the two. */
static uint16_t place_of_number(struct bytes in, uint16_t number)
{
    uint8_t coded[3] = { 0xcd };
    put_u16(coded + 1, number);
    return place_of(in, coded, sizeof coded) + 1;
}

static void frame_of(const struct msg *msg, struct floor_frame *out)
{
    struct buf payload;
    buf_init(&payload, FLOOR_FRAME_MAX - WSFRAME_HEADER_MAX);
    if (msg_encode(msg, &payload) != 0) die("a frame of the floor is too long");
    memset(out, 0, sizeof *out);
    size_t head = wsframe_header(out->bytes, WSFRAME_BINARY, payload.len);
    memcpy(out->bytes + head, payload.at, payload.len);
    out->len = (uint16_t)(head + payload.len);
    buf_fini(&payload);
}

static struct bytes frame_bytes(const struct floor_frame *frame)
{
    return bytes_of(frame->bytes, frame->len);
}

static struct conv_id pair_conv(uint32_t from)
{
    struct user_id a = bench_user(from), b = bench_user(from + 1);
    return conv_id_direct(&a, &b);
}

/* An id as a server would make it: that of the first moment of 1970 is as long as any. */
static struct msg_id some_id(uint32_t from)
{
    struct msg_id none = { { 0 } };
    uint8_t random[8] = { 0 };
    put_u32(random, from);
    return msg_id_next(&none, 1, random);
}

void floor_layout_make(struct floor_layout *out)
{
    struct buf payload;
    buf_init(&payload, FLOOR_FRAME_MAX);
    struct msg send = { .type = MSG_SEND, .has_ref = true, .ref = MARK_REF };
    send.u.send = (struct msg_send){ .to = { .is_user = true, .user = bench_user(1) }, .client_seq = MARK_CLIENT_SEQ,
                                     .settled = MARK_SETTLED, .body = BYTES_OF(body_mark) };
    if (msg_encode(&send, &payload) != 0) die("SEND is too long for the floor");
    out->send_len = (uint16_t)payload.len;
    out->send_ref = place_of_number(buf_bytes(&payload), MARK_REF);
    out->send_client_seq = place_of_number(buf_bytes(&payload), MARK_CLIENT_SEQ);
    out->send_body = place_of(buf_bytes(&payload), body_mark, sizeof body_mark);

    buf_clear(&payload);
    struct msg delivered = { .type = MSG_DELIVERED };
    delivered.u.cursor = (struct msg_cursor){ .to = { .conv = pair_conv(0) }, .seq = MARK_SEQ };
    if (msg_encode(&delivered, &payload) != 0) die("DELIVERED is too long for the floor");
    out->delivered_len = (uint16_t)payload.len;
    out->delivered_seq = place_of_number(buf_bytes(&payload), MARK_SEQ);
    buf_fini(&payload);
}

void floor_accepted_make(uint32_t from, struct floor_frame *out)
{
    struct msg msg = { .type = MSG_ACCEPTED, .has_ref = true, .ref = MARK_REF };
    msg.u.accepted = (struct msg_accepted){ .conv = pair_conv(from), .seq = MARK_SEQ, .id = some_id(from),
                                            .client_seq = MARK_CLIENT_SEQ };
    frame_of(&msg, out);
    out->ref = place_of_number(frame_bytes(out), MARK_REF);
    out->seq = place_of_number(frame_bytes(out), MARK_SEQ);
    out->client_seq = place_of_number(frame_bytes(out), MARK_CLIENT_SEQ);
}

void floor_message_make(uint32_t from, struct floor_frame *out)
{
    struct msg msg = { .type = MSG_MESSAGE };
    msg.u.message = (struct msg_message){
        .conv = pair_conv(from), .seq = MARK_SEQ, .id = some_id(from), .kind = KIND_MESSAGE, .flags = RECORD_COUNTS,
        .counted = MARK_COUNTED, .from = bench_user(from), .device = bench_device(from), .client_seq = MARK_CLIENT_SEQ,
        .is_direct = true, .members = { bench_user(from), bench_user(from + 1) }, .body = BYTES_OF(body_mark) };
    frame_of(&msg, out);
    out->seq = place_of_number(frame_bytes(out), MARK_SEQ);
    out->counted = place_of_number(frame_bytes(out), MARK_COUNTED);
    out->client_seq = place_of_number(frame_bytes(out), MARK_CLIENT_SEQ);
    out->body = place_of(frame_bytes(out), body_mark, sizeof body_mark);
}

void floor_receipt_make(uint32_t from, struct floor_frame *out)
{
    struct msg msg = { .type = MSG_RECEIPT };
    msg.u.receipt = (struct msg_receipt){ .conv = pair_conv(from), .user = bench_user(from + 1), .delivered = MARK_SEQ,
                                          .time_ms = 1800000000000 };
    frame_of(&msg, out);
    out->seq = place_of_number(frame_bytes(out), MARK_SEQ);
}

size_t floor_record_bytes(void)
{
    struct record head = { .seq = MARK_SEQ };
    struct entry entry = { .sender = bench_user(0), .device = bench_device(0), .client_seq = MARK_CLIENT_SEQ,
                           .settled = MARK_SETTLED, .body = BYTES_OF(body_mark) };
    return record_bytes(&head, &entry);
}
