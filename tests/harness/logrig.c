/* logrig.c - records for tests of the log. See logrig.h. */
#include "tests/harness/logrig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/err.h"
#include "storage/view.h"
#include "tests/harness/chance.h"

const uint8_t rig_key[RECORD_KEY_BYTES] = "thirty-two bytes of no secrecy!";

struct conv_id rig_conv(uint32_t conversation)
{
    struct conv_id conv = { "conversation" };
    put_u32(conv.v + 12, conversation);
    return conv;
}

uint32_t rig_conv_number(const struct conv_id *conv)
{
    return get_u32(conv->v + 12);
}

static void head_make(struct record *head, uint32_t conversation, uint64_t seq, uint8_t kind)
{
    uint64_t random = ((uint64_t)conversation << 40) ^ seq;
    uint8_t low[8];
    put_u64(low, chance(&random));
    *head = (struct record){
        .partition = rig_conv(conversation), .key = conversation + 1, .seq = seq,
        .id = msg_id_next(&(struct msg_id){ { 0 } }, RIG_NOW_MS + seq, low),
        .kind = kind, .flags = (uint16_t)(seq & 1), .counted = seq / 2, .expiry_ms = seq % 3,
    };
}

void rig_message(struct rig_message *message, uint32_t conversation, uint64_t seq, size_t body_len)
{
    head_make(&message->head, conversation, seq, 1);
    uint64_t random = ((uint64_t)conversation << 32) + seq;
    for (size_t i = 0; i < body_len; i++)
        message->body[i] = (uint8_t)chance(&random);
    message->entry = (struct entry){
        .sender = { "alice" }, .device = { conversation + 7 }, .client_seq = seq, .settled = seq / 2 + 1,
        .body = bytes_of(message->body, body_len),
    };
}

int rig_append(struct log *log, uint32_t conversation, uint64_t seq, size_t body_len)
{
    struct rig_message message;
    rig_message(&message, conversation, seq, body_len);
    return log_append(log, &message.head, &message.entry, rig_key, NULL);
}

static void mark_make(struct record *head, struct mark *mark, uint32_t conversation, uint64_t seq)
{
    head_make(head, conversation, seq, RECORD_KIND_MARKS);
    *mark = (struct mark){ .user = { "bob" }, .device = { conversation + 9 }, .delivered = seq, .read = seq / 2,
                           .time_ms = RIG_NOW_MS + seq };
}

int rig_append_mark(struct log *log, uint32_t conversation, uint64_t seq)
{
    struct record head;
    struct mark mark;
    mark_make(&head, &mark, conversation, seq);
    return log_append(log, &head, &(struct entry){ .marks = &mark, .mark_count = 1 }, rig_key, NULL);
}

/* Made again with the same numbers it must be the same bytes: sealing draws nothing at random. */
bool rig_is_intact(const struct record *record, struct bytes whole)
{
    struct buf plain, again;
    struct entry_room room;
    struct entry entry;
    buf_init(&plain, RECORD_BYTES_MAX);
    buf_init(&again, RECORD_BYTES_MAX);
    int err = record_open(whole, record, rig_key, &plain, &room, &entry);
    struct rig_message message;
    struct mark mark;
    if (!err && record->kind == RECORD_KIND_MARKS) {
        mark_make(&message.head, &mark, rig_conv_number(&record->partition), record->seq);
        message.entry = (struct entry){ .marks = &mark, .mark_count = 1 };
    } else if (!err) {
        rig_message(&message, rig_conv_number(&record->partition), record->seq, entry.body.len);
    }
    if (!err) {
        message.head.log = record->log;
        message.head.number = record->number;
        err = record_write(&message.head, &message.entry, rig_key, &again);
    }
    bool same = !err && bytes_equal(whole, buf_bytes(&again));
    buf_fini(&plain);
    buf_fini(&again);
    return same;
}

int rig_logs_open(const struct fsio *fs, const char *dir, uint64_t segment_bytes, struct logs **logs_out,
                  struct logs_report *report_out)
{
    struct logs_opening how = { .segment_bytes = segment_bytes, .now_ms = RIG_NOW_MS };
    return logs_open(fs, dir, &how, logs_out, report_out);
}

bool rig_finds(struct log *log, uint32_t conversation, uint64_t from, uint64_t to, bool newest, size_t max,
               uint64_t first, uint64_t last)
{
    struct find find = { .partition = rig_conv(conversation), .what = FIND_RECORDS, .from = from, .to = to,
                         .newest = newest, .max = max, .bytes_max = SIZE_MAX };
    struct record_page page;
    struct view *view = log_view(log, &find);
    if (!view)
        return false;
    record_page_init(&page);
    bool good = view_read(view, &page) == 0 && page.count == (last >= first ? last - first + 1 : 0);
    for (size_t i = 0; good && i < page.count; i++) {
        const struct page_record *r = &page.records[i];
        good = r->record.seq == first + i && conv_id_equal(&r->record.partition, &find.partition) &&
               rig_is_intact(&r->record, r->whole);
    }
    record_page_fini(&page);
    view_free(view);
    return good;
}
