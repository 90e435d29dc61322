/* codec_encode.c - struct msg to frames; the one file that knows msgpack-c.
 *
 * The packer writes straight into a struct buf, which keeps the first failure: no pack call below is checked,
 * the buffer is, once. Every number takes its shortest form, so equal messages are equal bytes, and a frame
 * built once serves all its receivers. What is out of range here is our own mistake, hence the asserts; what
 * peers send is judged in codec.c. */
#include "proto/codec.h"

#include <assert.h>
#include <msgpack.h>

#include "proto/err.h"
#include "proto/mpack.h"

/* ---- one field of each kind ---- */

static int write_to_buf(void *buf, const char *at, size_t len)
{
    buf_put(buf, at, len);
    return 0;    /* the buf remembers */
}

static msgpack_packer packer_to(struct buf *to)
{
    msgpack_packer p;
    msgpack_packer_init(&p, to, write_to_buf);
    return p;
}

static void put_number(msgpack_packer *p, uint64_t v)
{
    assert(v <= NUMBER_MAX);
    msgpack_pack_uint64(p, v);
}

static void put_number_or_nil(msgpack_packer *p, uint64_t v)
{
    if (v == 0) msgpack_pack_nil(p);
    else put_number(p, v);
}

static void put_bool(msgpack_packer *p, bool v)
{
    if (v) msgpack_pack_true(p);
    else msgpack_pack_false(p);
}

static void put_str(msgpack_packer *p, struct bytes s)
{
    msgpack_pack_str(p, s.len);
    if (s.len > 0) msgpack_pack_str_body(p, s.at, s.len);
}

static void put_bin(msgpack_packer *p, struct bytes b)
{
    msgpack_pack_bin(p, b.len);
    if (b.len > 0) msgpack_pack_bin_body(p, b.at, b.len);
}

static void put_user(msgpack_packer *p, const struct user_id *user)
{
    put_str(p, user_id_bytes(user));
}

static void put_device(msgpack_packer *p, struct device_id device)
{
    assert(device.v != 0);
    msgpack_pack_uint64(p, device.v);    /* random: all 64 bits */
}

static void put_device_or_nil(msgpack_packer *p, struct device_id device)
{
    if (device.v == 0) msgpack_pack_nil(p);
    else put_device(p, device);
}

/* Items that are MessagePack already. */
static void put_raw(msgpack_packer *p, struct bytes raw)
{
    if (raw.len > 0) write_to_buf(p->data, (const char *)raw.at, raw.len);
}

static void put_raw_or_nil(msgpack_packer *p, struct bytes raw)
{
    if (raw.len == 0) msgpack_pack_nil(p);
    else put_raw(p, raw);
}

static void put_where(msgpack_packer *p, const struct where *to)
{
    if (to->is_user) put_user(p, &to->user);
    else put_bin(p, BYTES_OF(to->conv.v));
}

/* [type, ref, and room for `fields` more. */
static void put_head(msgpack_packer *p, const struct msg *msg, size_t fields)
{
    msgpack_pack_array(p, 2 + fields);
    msgpack_pack_uint64(p, msg->type);
    if (msg->has_ref) msgpack_pack_uint64(p, msg->ref);
    else msgpack_pack_nil(p);
}

/* ---- requests ---- */

static void put_hello(msgpack_packer *p, const struct msg *msg)
{
    const struct msg_hello *m = &msg->u.hello;
    assert(m->token.len == TOKEN_BYTES);
    assert(m->agent.len <= NAME_BYTES_MAX);
    put_head(p, msg, 5);
    put_number(p, m->version);
    put_user(p, &m->user);
    put_device(p, m->device);
    put_bin(p, m->token);
    put_str(p, m->agent);
}

/* Fields behind `body` are left out from the end as long as they are nil. */
static size_t send_fields(const struct msg_send *m)
{
    if (m->expire_s != 0) return 10;
    if (m->wake.len > 0) return 9;
    if (m->media.len > 0) return 8;
    if (m->envelopes.len > 0) return 7;
    if (m->list_versions.len > 0) return 6;
    return m->group_version != 0 ? 5 : 4;
}

static void put_send(msgpack_packer *p, const struct msg *msg)
{
    const struct msg_send *m = &msg->u.send;
    size_t fields = send_fields(m);
    assert(m->client_seq > 0);
    assert(m->body.len >= 1 && m->body.len <= BODY_BYTES_MAX);
    put_head(p, msg, fields);
    put_where(p, &m->to);
    put_number(p, m->client_seq);
    put_number(p, m->settled);
    put_bin(p, m->body);
    if (fields >= 5) put_number_or_nil(p, m->group_version);
    if (fields >= 6) put_raw_or_nil(p, m->list_versions);
    if (fields >= 7) put_raw_or_nil(p, m->envelopes);
    if (fields >= 8) put_raw_or_nil(p, m->media);
    if (fields >= 9) put_raw_or_nil(p, m->wake);
    if (fields >= 10) put_number_or_nil(p, m->expire_s);
}

static void put_cursor(msgpack_packer *p, const struct msg *msg)
{
    put_head(p, msg, 2);
    put_where(p, &msg->u.cursor.to);
    put_number(p, msg->u.cursor.seq);
}

static void put_history(msgpack_packer *p, const struct msg *msg)
{
    const struct msg_history *m = &msg->u.history;
    assert(m->has_before + m->has_after + m->has_around <= 1);
    assert(m->limit >= 1 && m->limit <= PAGE_RECORDS_MAX);
    put_head(p, msg, m->has_around ? 5 : 4);
    put_where(p, &m->to);
    if (m->has_before) put_number(p, m->before);
    else msgpack_pack_nil(p);
    if (m->has_after) put_number(p, m->after);
    else msgpack_pack_nil(p);
    put_number(p, m->limit);
    if (m->has_around) put_number(p, m->around);
}

static void put_info(msgpack_packer *p, const struct msg *msg)
{
    put_head(p, msg, 2);
    put_where(p, &msg->u.info.to);
    put_number(p, msg->u.info.seq);
}

static void put_devices(msgpack_packer *p, const struct msg *msg)
{
    const struct msg_devices *m = &msg->u.devices;
    assert(m->name.len <= NAME_BYTES_MAX);
    size_t fields = m->has_name ? 3 : m->device.v != 0 ? 2 : 1;    /* what is nil at the end is left out */
    put_head(p, msg, fields);
    put_number(p, m->action);
    if (fields >= 2) put_device_or_nil(p, m->device);
    if (fields >= 3) put_str(p, m->name);
}

/* How many items stand in bare MessagePack that we made or have decoded. */
static uint32_t count_items(struct bytes items)
{
    struct reader r = reader_of(items);
    uint32_t count = 0;
    while (r.left > 0) {
        bool whole = mpack_skip(&r, NESTING_MAX);
        assert(whole);
        count++;
    }
    return count;
}

static void put_remove(msgpack_packer *p, const struct msg *msg)
{
    const struct msg_remove *m = &msg->u.remove;
    uint32_t count = count_items(m->seqs);
    assert(m->client_seq > 0);
    assert(count >= 1 && count <= DELETE_SEQS_MAX);
    put_head(p, msg, 4);
    put_where(p, &m->to);
    put_number(p, m->client_seq);
    put_number(p, m->settled);
    msgpack_pack_array(p, count);
    put_raw(p, m->seqs);
}

static void put_timer(msgpack_packer *p, const struct msg *msg)
{
    const struct msg_timer *m = &msg->u.timer;
    assert(m->client_seq > 0);
    put_head(p, msg, 4);
    put_where(p, &m->to);
    put_number(p, m->client_seq);
    put_number(p, m->settled);
    put_number(p, m->expire_s);
}

static void put_ping(msgpack_packer *p, const struct msg *msg)
{
    put_head(p, msg, 0);
}

/* ---- answers ---- */

static void put_limits(msgpack_packer *p, const struct msg_welcome *m)
{
#define LIMIT_COUNT(member) + 1
    msgpack_pack_map(p, 0 LIMIT_LIST(LIMIT_COUNT));
#undef LIMIT_COUNT
#define LIMIT_PUT(member)             \
    put_str(p, bytes_of_str(#member)); \
    put_number(p, m->member);
    LIMIT_LIST(LIMIT_PUT)
#undef LIMIT_PUT
}

static void put_welcome(msgpack_packer *p, const struct msg *msg)
{
    const struct msg_welcome *m = &msg->u.welcome;
    assert(m->server.len <= NAME_BYTES_MAX);
    put_head(p, msg, 7);
    put_number(p, m->now_ms);
    put_number(p, m->heartbeat_ms);
    put_bin(p, BYTES_OF(m->generation));
    put_number(p, m->client_seq_max);
    put_number(p, m->list_version);
    put_str(p, m->server);
    put_limits(p, m);
}

static void put_accepted(msgpack_packer *p, const struct msg *msg)
{
    const struct msg_accepted *m = &msg->u.accepted;
    put_head(p, msg, m->expiry_ms ? 5 : 4);
    put_bin(p, BYTES_OF(m->conv.v));
    put_number(p, m->seq);
    put_bin(p, BYTES_OF(m->id.v));
    put_number(p, m->client_seq);
    if (m->expiry_ms) put_number(p, m->expiry_ms);
}

static void put_page_of(msgpack_packer *p, const struct msg *msg, const struct msg_page *m, uint32_t count)
{
    uint32_t gone_count = count_items(m->gone);
    put_head(p, msg, gone_count ? 5 : 4);
    put_bin(p, BYTES_OF(m->conv.v));
    put_number(p, m->head);
    put_bool(p, m->more);
    msgpack_pack_array(p, count);
    put_raw(p, m->records);
    if (gone_count) msgpack_pack_array(p, gone_count);
    put_raw(p, m->gone);
}

static void put_info_answer_of(msgpack_packer *p, const struct msg *msg, const struct msg_info_answer *m,
                               uint32_t count)
{
    put_head(p, msg, 5);
    put_bin(p, BYTES_OF(m->conv.v));
    put_number(p, m->seq);
    put_bin(p, BYTES_OF(m->id.v));
    put_user(p, &m->from);
    msgpack_pack_array(p, count);
    put_raw(p, m->members);
}

static void put_page(msgpack_packer *p, const struct msg *msg)
{
    put_page_of(p, msg, &msg->u.page, count_items(msg->u.page.records));
}

static void put_info_answer(msgpack_packer *p, const struct msg *msg)
{
    put_info_answer_of(p, msg, &msg->u.info_answer, count_items(msg->u.info_answer.members));
}

static void put_device_list_of(msgpack_packer *p, const struct msg *msg, const struct msg_device_list *m,
                               uint32_t count)
{
    put_head(p, msg, 2);
    put_number(p, m->version);
    msgpack_pack_array(p, count);
    put_raw(p, m->devices);
}

static void put_device_list(msgpack_packer *p, const struct msg *msg)
{
    put_device_list_of(p, msg, &msg->u.device_list, count_items(msg->u.device_list.devices));
}

static void put_pong(msgpack_packer *p, const struct msg *msg)
{
    put_head(p, msg, 1);
    put_number(p, msg->u.pong.now_ms);
}

static void put_error(msgpack_packer *p, const struct msg *msg)
{
    const struct msg_error *m = &msg->u.error;
    put_head(p, msg, 5);
    put_number(p, m->code);
    put_str(p, m->name);
    put_str(p, m->text);
    put_bool(p, m->again);
    put_number_or_nil(p, m->again_in_ms);
}

/* ---- events ---- */

/* An expiry that is not there is left out. */
static size_t record_fields(const struct msg_message *m)
{
    return m->expiry_ms ? 12 : 11;
}

static void put_record(msgpack_packer *p, const struct msg_message *m)
{
    put_bin(p, BYTES_OF(m->conv.v));
    put_number(p, m->seq);
    put_bin(p, BYTES_OF(m->id.v));
    put_number(p, m->kind);
    put_number(p, m->flags);
    put_number(p, m->counted);
    put_user(p, &m->from);
    put_device(p, m->device);
    put_number(p, m->client_seq);
    if (m->is_direct) {
        msgpack_pack_array(p, 2);
        put_user(p, &m->members[0]);
        put_user(p, &m->members[1]);
    } else {
        msgpack_pack_nil(p);
    }
    put_bin(p, m->body);
    if (m->expiry_ms) put_number(p, m->expiry_ms);
}

static void put_message(msgpack_packer *p, const struct msg *msg)
{
    put_head(p, msg, record_fields(&msg->u.message));
    put_record(p, &msg->u.message);
}

static void put_receipt(msgpack_packer *p, const struct msg *msg)
{
    const struct msg_receipt *m = &msg->u.receipt;
    put_head(p, msg, 5);
    put_bin(p, BYTES_OF(m->conv.v));
    put_user(p, &m->user);
    put_number(p, m->delivered);
    put_number(p, m->read);
    put_number(p, m->time_ms);
}

static void put_device_changed(msgpack_packer *p, const struct msg *msg)
{
    const struct msg_device_changed *m = &msg->u.device_changed;
    assert(m->name.len <= NAME_BYTES_MAX);
    put_head(p, msg, 4);
    put_number(p, m->version);
    put_number(p, m->what);
    put_device(p, m->device);
    put_str(p, m->name);
}

static void put_synced(msgpack_packer *p, const struct msg *msg)
{
    put_head(p, msg, 0);
}

static void put_goodbye(msgpack_packer *p, const struct msg *msg)
{
    const struct msg_goodbye *m = &msg->u.goodbye;
    put_head(p, msg, 3);
    put_number(p, m->code);
    put_str(p, m->text);
    put_number(p, m->back_in_ms);
}

static void put_gone(msgpack_packer *p, struct gone gone)
{
    assert(gone.from > 0 && gone.from <= gone.to);
    put_number(p, gone.from);
    put_number(p, gone.to);
}

static void put_tombstone(msgpack_packer *p, const struct msg *msg)
{
    const struct msg_tombstone *m = &msg->u.tombstone;
    put_head(p, msg, 3);
    put_bin(p, BYTES_OF(m->conv.v));
    put_gone(p, m->gone);
}

/* ---- the face ---- */

int msg_encode(const struct msg *msg, struct buf *to)
{
    msgpack_packer p = packer_to(to);
    switch (msg->type) {
#define MSG_PUT(name, code, member, direction) case MSG_##name: put_##member(&p, msg); return to->err;
    MSG_LIST(MSG_PUT)
#undef MSG_PUT
    }
    assert(!"a message type of msg.h");
    return ERR_UNKNOWN_TYPE;
}

int page_add(struct buf *records, const struct msg_message *record)
{
    msgpack_packer p = packer_to(records);
    msgpack_pack_array(&p, record_fields(record));
    put_record(&p, record);
    return records->err;
}

int page_encode(uint64_t ref, const struct msg_page *page, uint32_t count, struct buf *to)
{
    struct msg head = { .type = MSG_PAGE, .has_ref = true, .ref = ref };
    msgpack_packer p = packer_to(to);
    put_page_of(&p, &head, page, count);
    return to->err;
}

int gone_add(struct buf *gone, struct gone range)
{
    msgpack_packer p = packer_to(gone);
    msgpack_pack_array(&p, 2);
    put_gone(&p, range);
    return gone->err;
}

int seqs_add(struct buf *seqs, uint64_t seq)
{
    msgpack_packer p = packer_to(seqs);
    put_number(&p, seq);
    return seqs->err;
}

int members_add(struct buf *members, const struct member_state *m)
{
    msgpack_packer p = packer_to(members);
    msgpack_pack_array(&p, m->before ? 4 : 3);
    put_user(&p, &m->user);
    put_number_or_nil(&p, m->delivered_ms);
    put_number_or_nil(&p, m->read_ms);
    if (m->before) put_number(&p, m->before);
    return members->err;
}

int info_answer_encode(uint64_t ref, const struct msg_info_answer *a, uint32_t count, struct buf *to)
{
    struct msg head = { .type = MSG_INFO_ANSWER, .has_ref = true, .ref = ref };
    msgpack_packer p = packer_to(to);
    put_info_answer_of(&p, &head, a, count);
    return to->err;
}

int devices_add(struct buf *devices, const struct device_entry *d)
{
    msgpack_packer p = packer_to(devices);
    msgpack_pack_array(&p, 5);
    put_device(&p, d->device);
    put_str(&p, d->name);
    put_number(&p, d->created_ms);
    put_number_or_nil(&p, d->live_ms);
    put_bool(&p, d->mine);
    return devices->err;
}

int device_list_encode(uint64_t ref, uint64_t version, struct bytes devices, uint32_t count, struct buf *to)
{
    struct msg head = { .type = MSG_DEVICE_LIST, .has_ref = true, .ref = ref };
    struct msg_device_list list = { version, devices };
    msgpack_packer p = packer_to(to);
    put_device_list_of(&p, &head, &list, count);
    return to->err;
}

int content_text_encode(struct bytes text, struct buf *to)
{
    msgpack_packer p = packer_to(to);
    msgpack_pack_array(&p, 2);
    put_number(&p, CONTENT_TEXT);
    put_str(&p, text);
    return to->err;
}
