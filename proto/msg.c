/* msg.c - questions about a message that need no walk over its frame. */
#include "proto/codec.h"
#include "proto/err.h"
#include "proto/mpack.h"

/* Neither absent nor an array or map of nothing. */
static bool raw_is_set(struct bytes raw)
{
    struct reader r = reader_of(raw);
    struct mpack_item item;
    return raw.len > 0 && mpack_next(&r, &item) && item.number > 0;
}

const char *send_unsupported(const struct msg_send *send)
{
    if (send->group_version != 0) return "group_version";
    if (raw_is_set(send->list_versions)) return "list_versions";
    if (raw_is_set(send->envelopes)) return "envelopes";
    if (raw_is_set(send->media)) return "media";
    if (raw_is_set(send->wake)) return "wake";
    return NULL;
}

const char *msg_type_name(unsigned type)
{
    switch (type) {
#define MSG_NAME_CASE(name, code, member, direction) case MSG_##name: return #name;
    MSG_LIST(MSG_NAME_CASE)
#undef MSG_NAME_CASE
    }
    return "?";
}

int body_next(struct bytes *rest, uint64_t *number_out)
{
    if (rest->len < sizeof *number_out) return ERR_END;
    *number_out = get_u64(rest->at);
    *rest = bytes_of(rest->at + sizeof *number_out, rest->len - sizeof *number_out);
    return 0;
}
