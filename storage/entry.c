/* entry.c - struct entry to bytes and back; the layout stands in entry.h.
 *
 * The seal has proved that these bytes are ours, yet decoding trusts no length: a key may be right and the writer a
 * later version or a broken one. What is decoded encodes to the same bytes again, so nothing can hide in a record. */
#include "storage/entry.h"

#include <assert.h>
#include <string.h>

#include "proto/err.h"

enum { FIELDS_KNOWN = (ENTRY_ENVELOPES << 1) - 1 };

/* The optional views in the order of their bits. */
static const struct { uint16_t field; size_t at; } views[] = {
    { ENTRY_LIST_VERSIONS, offsetof(struct entry, list_versions) },
    { ENTRY_MEDIA, offsetof(struct entry, media) },
    { ENTRY_WAKE, offsetof(struct entry, wake) },
    { ENTRY_BODY, offsetof(struct entry, body) },
    { ENTRY_ENVELOPES, offsetof(struct entry, envelopes) },
};
enum { VIEW_COUNT = sizeof views / sizeof views[0] };

static const struct bytes *view_of(const struct entry *entry, size_t i)
{
    return (const struct bytes *)(const void *)((const uint8_t *)entry + views[i].at);
}

static uint16_t fields_of(const struct entry *entry)
{
    uint16_t fields = 0;
    if (entry->group_version)
        fields |= ENTRY_GROUP_VERSION;
    if (entry->member_count)
        fields |= ENTRY_MEMBERS;
    for (size_t i = 0; i < VIEW_COUNT; i++)
        if (view_of(entry, i)->len)
            fields |= views[i].field;
    return fields;
}

static size_t user_bytes(const struct user_id *user)
{
    return 1 + strlen(user->v);
}

static void put_user(struct buf *to, const struct user_id *user)
{
    buf_put_u8(to, (uint8_t)strlen(user->v));
    buf_put(to, user->v, strlen(user->v));
}

/* A name on disk passed user_id_parse() when it came in, so it must pass again. */
static bool read_user(struct reader *from, bool may_be_empty, struct user_id *out)
{
    struct bytes name = reader_bytes(from, reader_u8(from));
    memset(out, 0, sizeof *out);
    if (from->bad)
        return false;
    return name.len == 0 ? may_be_empty : user_id_parse(name, out) == 0;
}

size_t entry_bytes(uint8_t kind, const struct entry *entry)
{
    if (kind == RECORD_KIND_MARKS) {
        assert(entry->mark_count <= MARKS_PER_RECORD_MAX);
        size_t len = 1 + 2;
        for (uint32_t i = 0; i < entry->mark_count; i++)
            len += user_bytes(&entry->marks[i].user) + 4 * 8;
        return len;
    }
    assert(entry->member_count == 0 || entry->member_count == 2);
    size_t len = 1 + 2 + user_bytes(&entry->sender) + 3 * 8;
    if (entry->group_version)
        len += 8;
    if (entry->member_count)
        len += user_bytes(&entry->members[0]) + user_bytes(&entry->members[1]);
    for (size_t i = 0; i < VIEW_COUNT; i++) {
        const struct bytes *view = view_of(entry, i);
        if (view->len > RECORD_BYTES_MAX)
            return (size_t)RECORD_BYTES_MAX + 1;      /* before a sum of huge lengths could wrap */
        if (view->len)
            len += 4 + view->len;
    }
    return len;
}

void entry_encode(uint8_t kind, const struct entry *entry, struct buf *to)
{
    buf_put_u8(to, ENTRY_FORMAT);
    if (kind == RECORD_KIND_MARKS) {
        buf_put_u16(to, (uint16_t)entry->mark_count);
        for (uint32_t i = 0; i < entry->mark_count; i++) {
            const struct mark *mark = &entry->marks[i];
            put_user(to, &mark->user);
            buf_put_u64(to, mark->device.v);
            buf_put_u64(to, mark->delivered);
            buf_put_u64(to, mark->read);
            buf_put_u64(to, mark->time_ms);
        }
        return;
    }
    uint16_t fields = fields_of(entry);
    buf_put_u16(to, fields);
    put_user(to, &entry->sender);
    buf_put_u64(to, entry->device.v);
    buf_put_u64(to, entry->client_seq);
    buf_put_u64(to, entry->settled);
    if (fields & ENTRY_GROUP_VERSION)
        buf_put_u64(to, entry->group_version);
    if (fields & ENTRY_MEMBERS) {
        put_user(to, &entry->members[0]);
        put_user(to, &entry->members[1]);
    }
    for (size_t i = 0; i < VIEW_COUNT; i++) {
        if (!(fields & views[i].field))
            continue;
        const struct bytes *view = view_of(entry, i);
        buf_put_u32(to, (uint32_t)view->len);
        buf_put(to, view->at, view->len);
    }
}

static int marks_decode(struct reader *from, struct entry_room *room, struct entry *out)
{
    uint16_t count = reader_u16(from);
    if (from->bad || count > MARKS_PER_RECORD_MAX)
        return ERR_CORRUPT;
    for (uint16_t i = 0; i < count; i++) {
        struct mark *mark = &room->marks[i];
        if (!read_user(from, false, &mark->user))
            return ERR_CORRUPT;
        mark->device.v = reader_u64(from);
        mark->delivered = reader_u64(from);
        mark->read = reader_u64(from);
        mark->time_ms = reader_u64(from);
    }
    out->marks = room->marks;
    out->mark_count = count;
    return 0;
}

static int message_decode(struct reader *from, struct entry *out)
{
    uint16_t fields = reader_u16(from);
    if (fields & ~FIELDS_KNOWN)
        return ERR_NEWER;
    if (!read_user(from, true, &out->sender))
        return ERR_CORRUPT;
    out->device.v = reader_u64(from);
    out->client_seq = reader_u64(from);
    out->settled = reader_u64(from);
    if (fields & ENTRY_GROUP_VERSION) {
        out->group_version = reader_u64(from);
        if (!out->group_version)
            return ERR_CORRUPT;
    }
    if (fields & ENTRY_MEMBERS) {
        out->member_count = 2;
        if (!read_user(from, false, &out->members[0]) || !read_user(from, false, &out->members[1]))
            return ERR_CORRUPT;
    }
    for (size_t i = 0; i < VIEW_COUNT; i++) {
        if (!(fields & views[i].field))
            continue;
        struct bytes view = reader_bytes(from, reader_u32(from));
        if (!view.len)
            return ERR_CORRUPT;
        memcpy((uint8_t *)out + views[i].at, &view, sizeof view);
    }
    return 0;
}

int entry_decode(uint8_t kind, struct bytes plain, struct entry_room *room, struct entry *out)
{
    struct reader from = reader_of(plain);
    memset(out, 0, sizeof *out);
    uint8_t format = reader_u8(&from);
    if (from.bad || format == 0)
        return ERR_CORRUPT;
    if (format > ENTRY_FORMAT)
        return ERR_NEWER;
    assert(kind != RECORD_KIND_MARKS || room);
    int err = kind == RECORD_KIND_MARKS ? marks_decode(&from, room, out) : message_decode(&from, out);
    if (!err && (from.bad || from.left > 0))
        err = ERR_CORRUPT;
    return err;
}
