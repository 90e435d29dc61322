/* codec.c - frames to struct msg. The way back is codec_encode.c.
 *
 * Two walks over the bytes. The first, mpack_skip(), proves that they are one MessagePack item with nothing
 * behind it, nested no deeper than NESTING_MAX, every length within the frame. The second takes field after
 * field. It would be safe alone, since its reader cannot overrun either; the first is there so that a frame
 * is refused as a whole when its unknown tail is broken, and so that the raw views handed out (a page's
 * records, envelopes) need no second thought. Neither allocates; both together cost a SEND well under 1 us.
 *
 * A struct fields keeps the first failure, and from then on every field reads as zero: so each message below
 * is a list of its fields, in the order of msg.h, with what is demanded of them. The clause that names the
 * field is put together by the preprocessor, since `why` must be constant. */
#include "proto/codec.h"

#include <string.h>

#include "proto/err.h"
#include "proto/mpack.h"

struct fields {
    struct reader in;      /* at the next field */
    uint64_t left;         /* fields not read yet */
    int err;               /* of the first failure */
    const char *why;
};

/* ---- one field of each kind ---- */

static void refuse(struct fields *f, int err, const char *why)
{
    if (f->err) return;
    f->err = err;
    f->why = why;
}

static struct mpack_item take(struct fields *f, enum mpack_kind want, const char *why)
{
    struct mpack_item item = { 0 };
    if (f->err) return item;
    if (f->left == 0) refuse(f, ERR_TYPE, why);
    else if (!mpack_next(&f->in, &item)) refuse(f, ERR_MALFORMED, why);
    else if (item.kind != want) refuse(f, ERR_TYPE, why);
    if (f->err) return (struct mpack_item){ 0 };
    f->left--;
    return item;
}

/* True when the next field is nil, which is stepped over, or when there is none. */
static bool take_nil(struct fields *f)
{
    if (f->err || f->left == 0) return true;
    struct reader ahead = f->in;
    struct mpack_item item;
    if (!mpack_next(&ahead, &item) || item.kind != MPACK_NIL) return false;
    f->in = ahead;
    f->left--;
    return true;
}

static uint64_t take_number(struct fields *f, const char *why_type, const char *why_range)
{
    uint64_t number = take(f, MPACK_UINT, why_type).number;
    if (number > NUMBER_MAX) refuse(f, ERR_RANGE, why_range);
    return f->err ? 0 : number;
}
#define TAKE_NUMBER(f, name) take_number(f, name " is not a number", name " is 2^63 or more")
#define TAKE_NUMBER_OR_NIL(f, name) (take_nil(f) ? 0 : TAKE_NUMBER(f, name))

static struct bytes take_str(struct fields *f, size_t max, const char *why_type, const char *why_long,
                             const char *why_utf8)
{
    struct bytes str = take(f, MPACK_STR, why_type).bytes;
    if (str.len > max) refuse(f, ERR_TOO_BIG, why_long);
    else if (!bytes_is_utf8(str)) refuse(f, ERR_MALFORMED, why_utf8);
    return f->err ? BYTES_NONE : str;
}
#define TAKE_STR(f, max, name) \
    take_str(f, max, name " is not a string", name " is too long", name " is not UTF-8")

/* A bin of one length only. */
static void take_fixed(struct fields *f, void *to, size_t len, const char *why)
{
    struct bytes bin = take(f, MPACK_BIN, why).bytes;
    if (!f->err && bin.len != len) refuse(f, ERR_TYPE, why);
    if (!f->err) memcpy(to, bin.at, len);
}
#define TAKE_16(f, to, name) take_fixed(f, to, 16, name " is not a bin of 16 bytes")

static void take_user(struct fields *f, struct user_id *to, const char *why_type, const char *why_name)
{
    struct bytes str = take(f, MPACK_STR, why_type).bytes;
    if (!f->err && user_id_parse(str, to) != 0) refuse(f, ERR_NAME, why_name);
}
#define TAKE_USER(f, to, name) take_user(f, to, name " is not a string", name " is not a user name")

static void take_device(struct fields *f, struct device_id *to)
{
    to->v = take(f, MPACK_UINT, "device is not a number").number;
    if (to->v == 0) refuse(f, ERR_RANGE, "device is 0");
}

static void take_device_or_nil(struct fields *f, struct device_id *to)
{
    if (!take_nil(f)) take_device(f, to);
}

static bool take_bool(struct fields *f, const char *why)
{
    return take(f, MPACK_BOOL, why).number != 0;
}

/* The bytes of one array or map as they stand, or none for nil. */
static struct bytes take_raw_or_nil(struct fields *f, enum mpack_kind want, const char *why)
{
    if (take_nil(f)) return BYTES_NONE;
    struct reader start = f->in, end = f->in;
    (void)take(f, want, why);
    if (!f->err && !mpack_skip(&end, NESTING_MAX)) refuse(f, ERR_MALFORMED, why);
    if (f->err) return BYTES_NONE;
    f->in = end;
    return bytes_of(start.at, start.left - end.left);
}
#define TAKE_ARRAY_OR_NIL(f, name) take_raw_or_nil(f, MPACK_ARRAY, name " is not an array")
#define TAKE_MAP_OR_NIL(f, name) take_raw_or_nil(f, MPACK_MAP, name " is not a map")

/* What stands within an array: its items one after another, without the header that counts them. */
static struct bytes take_items(struct fields *f, const char *why)
{
    uint64_t count = take(f, MPACK_ARRAY, why).number;
    if (f->err) return BYTES_NONE;
    struct reader start = f->in;
    while (count-- > 0)
        if (!mpack_skip(&f->in, NESTING_MAX)) {
            refuse(f, ERR_MALFORMED, why);
            return BYTES_NONE;
        }
    return bytes_of(start.at, start.left - f->in.left);
}

static struct gone take_gone(struct fields *f)
{
    struct gone g;
    g.from = TAKE_NUMBER(f, "from");
    g.to = TAKE_NUMBER(f, "to");
    if (g.from == 0 || g.from > g.to) refuse(f, ERR_RANGE, "from..to is no range of sequences");
    return f->err ? (struct gone){ 0, 0 } : g;
}

static void take_where(struct fields *f, struct where *to)
{
    static const char why[] = "to is not a string or a bin of 16 bytes";
    struct reader ahead = f->in;
    struct mpack_item item;
    to->is_user = !f->err && mpack_next(&ahead, &item) && item.kind == MPACK_STR;
    if (to->is_user) take_user(f, &to->user, why, "to is not a user name");
    else take_fixed(f, to->conv.v, sizeof to->conv.v, why);
}

/* ---- requests ---- */

static void take_hello(struct fields *f, struct msg_hello *m)
{
    m->version = TAKE_NUMBER(f, "version");
    TAKE_USER(f, &m->user, "user");
    take_device(f, &m->device);
    m->token = take(f, MPACK_BIN, "token is not a bin of 32 bytes").bytes;
    if (m->token.len != TOKEN_BYTES) refuse(f, ERR_TYPE, "token is not a bin of 32 bytes");
    m->agent = TAKE_STR(f, NAME_BYTES_MAX, "agent");
}

static void take_client_seq(struct fields *f, uint64_t *client_seq, uint64_t *settled)
{
    *client_seq = TAKE_NUMBER(f, "client_seq");
    if (*client_seq == 0) refuse(f, ERR_RANGE, "client_seq is 0");
    *settled = TAKE_NUMBER(f, "settled");
}

static void take_send(struct fields *f, struct msg_send *m)
{
    take_where(f, &m->to);
    take_client_seq(f, &m->client_seq, &m->settled);
    m->body = take(f, MPACK_BIN, "body is not a bin").bytes;
    if (m->body.len == 0) refuse(f, ERR_RANGE, "body is empty");
    if (m->body.len > BODY_BYTES_MAX) refuse(f, ERR_TOO_BIG, "body is too long");
    m->group_version = TAKE_NUMBER_OR_NIL(f, "group_version");
    m->list_versions = TAKE_MAP_OR_NIL(f, "list_versions");
    m->envelopes = TAKE_MAP_OR_NIL(f, "envelopes");
    m->media = TAKE_ARRAY_OR_NIL(f, "media");
    m->wake = TAKE_ARRAY_OR_NIL(f, "wake");
    m->expire_s = TAKE_NUMBER_OR_NIL(f, "expire_s");
    if (m->expire_s > EXPIRE_S_MAX) refuse(f, ERR_RANGE, "expire_s is above a year");
}

static void take_remove(struct fields *f, struct msg_remove *m)
{
    take_where(f, &m->to);
    take_client_seq(f, &m->client_seq, &m->settled);
    m->seqs = take_items(f, "seqs is not an array");
    if (f->err) return;
    struct bytes rest = m->seqs;
    uint64_t seq, count = 0;
    int err;
    for (; (err = seqs_next(&rest, &seq)) == 0; count++)
        if (seq == 0) refuse(f, ERR_RANGE, "seqs has a 0");
    if (err != ERR_END) refuse(f, err, "seqs has something that is not a number below 2^63");
    if (count == 0 || count > DELETE_SEQS_MAX) refuse(f, ERR_RANGE, "seqs are not 1 to 100");
}
_Static_assert(DELETE_SEQS_MAX == 100, "the text above says so");

static void take_timer(struct fields *f, struct msg_timer *m)
{
    take_where(f, &m->to);
    take_client_seq(f, &m->client_seq, &m->settled);
    m->expire_s = TAKE_NUMBER(f, "expire_s");
    bool is_fit = m->expire_s == 0 || (m->expire_s >= TIMER_S_MIN && m->expire_s <= EXPIRE_S_MAX);
    if (!is_fit) refuse(f, ERR_RANGE, "expire_s is neither 0 nor a minute to a year");
}

static void take_cursor(struct fields *f, struct msg_cursor *m)
{
    take_where(f, &m->to);
    m->seq = TAKE_NUMBER(f, "seq");
}

static void take_history(struct fields *f, struct msg_history *m)
{
    take_where(f, &m->to);
    m->has_before = !take_nil(f);
    if (m->has_before) m->before = TAKE_NUMBER(f, "before");
    m->has_after = !take_nil(f);
    if (m->has_after) m->after = TAKE_NUMBER(f, "after");
    if (m->has_before && m->has_after) refuse(f, ERR_RANGE, "before and after are both set");
    m->limit = TAKE_NUMBER(f, "limit");
    if (m->limit < 1 || m->limit > PAGE_RECORDS_MAX) refuse(f, ERR_RANGE, "limit is not 1 to 100");
    m->has_around = !take_nil(f);
    if (!m->has_around) return;
    m->around = TAKE_NUMBER(f, "around");
    if (m->has_before || m->has_after) refuse(f, ERR_RANGE, "around and before or after are both set");
}
_Static_assert(PAGE_RECORDS_MAX == 100, "the text above says so");

static void take_info(struct fields *f, struct msg_info *m)
{
    take_where(f, &m->to);
    m->seq = TAKE_NUMBER(f, "seq");
}

static void take_devices(struct fields *f, struct msg_devices *m)
{
    m->action = TAKE_NUMBER(f, "action");
    take_device_or_nil(f, &m->device);
    m->has_name = !take_nil(f);
    if (m->has_name) {
        m->name = TAKE_STR(f, NAME_BYTES_MAX, "name");
        if (!bytes_is_line(m->name)) refuse(f, ERR_MALFORMED, "name has a control character");
    }
    bool of_one = m->action == DEVICES_NAME || m->action == DEVICES_REVOKE;
    if (of_one && m->device.v == 0) refuse(f, ERR_TYPE, "device is nil");
    if (m->action == DEVICES_NAME && !m->has_name) refuse(f, ERR_TYPE, "name is nil");
}

static void take_ping(struct fields *f, struct msg_ping *m)
{
    (void)f;
    (void)m;
}

/* ---- answers ---- */

/* A limit the server does not name is the one of this version. */
static void limits_default(struct msg_welcome *m)
{
    m->frame_bytes_max = FRAME_BYTES_MAX;
    m->body_bytes_max = BODY_BYTES_MAX;
    m->text_bytes_max = TEXT_BYTES_MAX;
    m->window_messages_max = WINDOW_MESSAGES_MAX;
    m->window_bytes_max = WINDOW_BYTES_MAX;
    m->page_records_max = PAGE_RECORDS_MAX;
    m->unsettled_max = REPEATS_MAX;
}

/* Where the limit of that name is kept; NULL for a name of a later version. */
static uint64_t *limit_named(struct msg_welcome *m, struct bytes name)
{
#define LIMIT_IF(member) if (bytes_equal(name, bytes_of_str(#member))) return &m->member;
    LIMIT_LIST(LIMIT_IF)
#undef LIMIT_IF
    return NULL;
}

static void take_limits(struct fields *f, struct msg_welcome *m)
{
    limits_default(m);
    uint64_t pairs = take(f, MPACK_MAP, "limits is not a map").number;
    f->left += 2 * pairs;    /* what stands in the map is read as if it were fields */
    while (!f->err && pairs-- > 0) {
        struct bytes name = take(f, MPACK_STR, "limits has a name that is not a string").bytes;
        uint64_t *limit = limit_named(m, name);
        if (limit) {
            *limit = TAKE_NUMBER(f, "a limit");
        } else {
            f->left--;
            if (!mpack_skip(&f->in, NESTING_MAX)) refuse(f, ERR_MALFORMED, "limits is not a map");
        }
    }
}

static void take_welcome(struct fields *f, struct msg_welcome *m)
{
    m->now_ms = TAKE_NUMBER(f, "now_ms");
    m->heartbeat_ms = TAKE_NUMBER(f, "heartbeat_ms");
    TAKE_16(f, m->generation, "generation");
    m->client_seq_max = TAKE_NUMBER(f, "client_seq_max");
    m->list_version = TAKE_NUMBER(f, "list_version");
    m->server = TAKE_STR(f, NAME_BYTES_MAX, "server");
    take_limits(f, m);
}

static void take_accepted(struct fields *f, struct msg_accepted *m)
{
    TAKE_16(f, m->conv.v, "conv");
    m->seq = TAKE_NUMBER(f, "seq");
    TAKE_16(f, m->id.v, "id");
    m->client_seq = TAKE_NUMBER(f, "client_seq");
    m->expiry_ms = TAKE_NUMBER_OR_NIL(f, "expiry_ms");
}

static void take_page(struct fields *f, struct msg_page *m)
{
    TAKE_16(f, m->conv.v, "conv");
    m->head = TAKE_NUMBER(f, "head");
    m->more = take_bool(f, "more is not a boolean");
    m->records = take_items(f, "records is not an array");
    if (!take_nil(f)) m->gone = take_items(f, "gone is not an array");
}

static void take_info_answer(struct fields *f, struct msg_info_answer *m)
{
    TAKE_16(f, m->conv.v, "conv");
    m->seq = TAKE_NUMBER(f, "seq");
    TAKE_16(f, m->id.v, "id");
    TAKE_USER(f, &m->from, "from");
    m->members = take_items(f, "members is not an array");
}

static void take_pong(struct fields *f, struct msg_pong *m)
{
    m->now_ms = TAKE_NUMBER(f, "now_ms");
}

static void take_error(struct fields *f, struct msg_error *m)
{
    m->code = TAKE_NUMBER(f, "code");
    m->name = TAKE_STR(f, NAME_BYTES_MAX, "name");
    m->text = TAKE_STR(f, FRAME_BYTES_MAX, "text");
    m->again = take_bool(f, "again is not a boolean");
    m->again_in_ms = TAKE_NUMBER_OR_NIL(f, "again_in_ms");
}

static void take_device_list(struct fields *f, struct msg_device_list *m)
{
    m->version = TAKE_NUMBER(f, "version");
    m->devices = take_items(f, "devices is not an array");
}

/* ---- events ---- */

static void take_members(struct fields *f, struct msg_message *m)
{
    if (take_nil(f)) return;
    uint64_t count = take(f, MPACK_ARRAY, "members is not an array of two users").number;
    if (count != 2) refuse(f, ERR_TYPE, "members is not an array of two users");
    f->left += 2;    /* as in take_limits() */
    TAKE_USER(f, &m->members[0], "members");
    TAKE_USER(f, &m->members[1], "members");
    m->is_direct = !f->err;
}

static void take_message(struct fields *f, struct msg_message *m)
{
    TAKE_16(f, m->conv.v, "conv");
    m->seq = TAKE_NUMBER(f, "seq");
    TAKE_16(f, m->id.v, "id");
    m->kind = TAKE_NUMBER(f, "kind");
    m->flags = TAKE_NUMBER(f, "flags");
    m->counted = TAKE_NUMBER(f, "counted");
    TAKE_USER(f, &m->from, "from");
    take_device(f, &m->device);
    m->client_seq = TAKE_NUMBER(f, "client_seq");
    take_members(f, m);
    m->body = take(f, MPACK_BIN, "body is not a bin").bytes;
    m->expiry_ms = TAKE_NUMBER_OR_NIL(f, "expiry_ms");
}

static void take_receipt(struct fields *f, struct msg_receipt *m)
{
    TAKE_16(f, m->conv.v, "conv");
    TAKE_USER(f, &m->user, "user");
    m->delivered = TAKE_NUMBER(f, "delivered");
    m->read = TAKE_NUMBER(f, "read");
    m->time_ms = TAKE_NUMBER(f, "time_ms");
}

static void take_device_changed(struct fields *f, struct msg_device_changed *m)
{
    m->version = TAKE_NUMBER(f, "version");
    m->what = TAKE_NUMBER(f, "what");
    take_device(f, &m->device);
    m->name = TAKE_STR(f, NAME_BYTES_MAX, "name");
}

static void take_synced(struct fields *f, struct msg_synced *m)
{
    (void)f;
    (void)m;
}

static void take_goodbye(struct fields *f, struct msg_goodbye *m)
{
    m->code = TAKE_NUMBER(f, "code");
    m->text = TAKE_STR(f, FRAME_BYTES_MAX, "text");
    m->back_in_ms = TAKE_NUMBER(f, "back_in_ms");
}

static void take_tombstone(struct fields *f, struct msg_tombstone *m)
{
    TAKE_16(f, m->conv.v, "conv");
    m->gone = take_gone(f);
}

/* ---- the frame ---- */

/* Type and ref, of a frame that is broken further on as well, so that the error finds its request. */
static void take_head(struct fields *f, struct msg *msg)
{
    f->left = 1;
    f->left = take(f, MPACK_ARRAY, "the frame is not an array").number;
    if (f->err) f->err = ERR_MALFORMED;
    uint64_t type = take(f, MPACK_UINT, "type is not a number").number;
    msg->type = type <= UINT16_MAX ? (enum msg_type)type : 0;
    if (!f->err && f->left == 0) refuse(f, ERR_TYPE, "ref is missing");
    if (take_nil(f)) return;
    msg->ref = take(f, MPACK_UINT, "ref is not a number").number;
    msg->has_ref = !f->err;
}

/* What expects an answer, and every answer, has a ref; an event has none; the rest may. */
static void check_ref(struct fields *f, const struct msg *msg)
{
    switch (msg->type) {
    case MSG_DELIVERED:
    case MSG_READ:
    case MSG_ERROR:
        return;
    case MSG_MESSAGE:
    case MSG_RECEIPT:
    case MSG_DEVICE_CHANGED:
    case MSG_SYNCED:
    case MSG_GOODBYE:
    case MSG_TOMBSTONE:
        if (msg->has_ref) refuse(f, ERR_TYPE, "ref of an event is not nil");
        return;
    default:
        if (!msg->has_ref) refuse(f, ERR_TYPE, "ref is not a number");
        return;
    }
}

static void take_msg(struct fields *f, struct msg *msg)
{
    switch (msg->type) {
#define MSG_TAKE(name, code, member, direction) \
    case MSG_##name: check_ref(f, msg); take_##member(f, &msg->u.member); return;
    MSG_LIST(MSG_TAKE)
#undef MSG_TAKE
    }
    refuse(f, ERR_UNKNOWN_TYPE, "no such message type");
}

static bool is_one_item(struct bytes in)
{
    struct reader r = reader_of(in);
    return mpack_skip(&r, NESTING_MAX) && r.left == 0;
}

int msg_decode(struct bytes in, struct msg *msg_out, const char **why_out)
{
    memset(msg_out, 0, sizeof *msg_out);
    struct fields f = { .in = reader_of(in) };
    const char *ignored;
    if (!why_out) why_out = &ignored;
    take_head(&f, msg_out);
    int err = f.err;
    *why_out = f.why;
    if (in.len > FRAME_BYTES_MAX) {
        err = ERR_TOO_BIG;
        *why_out = "the frame is larger than 64 KiB";
    } else if (!is_one_item(in)) {
        err = ERR_MALFORMED;
        *why_out = "the frame is not exactly one MessagePack array";
    } else if (!err) {
        take_msg(&f, msg_out);
        err = f.err;
        *why_out = f.why;
    }
    return err;
}

/* ---- what stands within a frame ---- */

/* Opens the array at the start of `rest`, which must be whole; `next_out` is what follows it. */
static int open_array(struct bytes rest, struct fields *f_out, struct bytes *next_out)
{
    if (rest.len == 0) return ERR_END;
    struct reader end = reader_of(rest);
    if (!mpack_skip(&end, NESTING_MAX)) return ERR_MALFORMED;
    *next_out = bytes_of(end.at, end.left);
    *f_out = (struct fields){ .in = reader_of(rest), .left = 1 };
    f_out->left = take(f_out, MPACK_ARRAY, "not an array").number;
    return f_out->err;
}

int page_next(struct bytes *rest, struct msg_message *record_out)
{
    struct fields f;
    struct bytes next;
    memset(record_out, 0, sizeof *record_out);
    int err = open_array(*rest, &f, &next);
    if (err) return err;
    take_message(&f, record_out);
    if (!f.err) *rest = next;
    return f.err;
}

int gone_next(struct bytes *rest, struct gone *out)
{
    struct fields f;
    struct bytes next;
    *out = (struct gone){ 0, 0 };
    int err = open_array(*rest, &f, &next);
    if (err) return err;
    *out = take_gone(&f);
    if (!f.err) *rest = next;
    return f.err;
}

int seqs_next(struct bytes *rest, uint64_t *seq_out)
{
    if (rest->len == 0) return ERR_END;
    struct fields f = { .in = reader_of(*rest), .left = 1 };
    *seq_out = TAKE_NUMBER(&f, "seq");
    if (!f.err) *rest = bytes_of(f.in.at, f.in.left);
    return f.err;
}

int members_next(struct bytes *rest, struct member_state *out)
{
    struct fields f;
    struct bytes next;
    memset(out, 0, sizeof *out);
    int err = open_array(*rest, &f, &next);
    if (err) return err;
    TAKE_USER(&f, &out->user, "user");
    out->delivered_ms = TAKE_NUMBER_OR_NIL(&f, "delivered_ms");
    out->read_ms = TAKE_NUMBER_OR_NIL(&f, "read_ms");
    out->before = TAKE_NUMBER_OR_NIL(&f, "before");
    if (!f.err) *rest = next;
    return f.err;
}

int devices_next(struct bytes *rest, struct device_entry *out)
{
    struct fields f;
    struct bytes next;
    memset(out, 0, sizeof *out);
    int err = open_array(*rest, &f, &next);
    if (err) return err;
    take_device(&f, &out->device);
    out->name = TAKE_STR(&f, NAME_BYTES_MAX, "name");
    out->created_ms = TAKE_NUMBER(&f, "created_ms");
    out->live_ms = TAKE_NUMBER_OR_NIL(&f, "live_ms");
    out->mine = take_bool(&f, "mine is not a boolean");
    if (!f.err) *rest = next;
    return f.err;
}

int content_text_decode(struct bytes body, struct bytes *text_out)
{
    struct fields f;
    struct bytes next;
    *text_out = BYTES_NONE;
    if (open_array(body, &f, &next) != 0 || next.len != 0) return ERR_MALFORMED;
    uint64_t kind = TAKE_NUMBER(&f, "kind");
    if (f.err) return ERR_MALFORMED;
    if (kind != CONTENT_TEXT) return ERR_UNSUPPORTED;
    struct bytes text = TAKE_STR(&f, BODY_BYTES_MAX, "text");
    if (f.err) return ERR_MALFORMED;
    *text_out = text;
    return 0;
}
