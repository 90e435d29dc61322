/* logrig.h - records for tests of the log: each is made from (conversation, sequence) alone, so that whoever reads one
 * back can tell whether every byte of it is what was appended. */
#ifndef PIPIT_TESTS_HARNESS_LOGRIG_H
#define PIPIT_TESTS_HARNESS_LOGRIG_H

#include "storage/log.h"

#define RIG_NOW_MS UINT64_C(1700000000000)
extern const uint8_t rig_key[RECORD_KEY_BYTES];

struct conv_id rig_conv(uint32_t conversation);
uint32_t rig_conv_number(const struct conv_id *conv);

struct rig_message {
    struct record head;
    struct entry entry;
    uint8_t body[16 * 1024];
};
/* Message `seq` of a conversation with a body of `body_len` bytes; all of it follows from the three numbers. */
void rig_message(struct rig_message *message, uint32_t conversation, uint64_t seq, size_t body_len);
int rig_append(struct log *log, uint32_t conversation, uint64_t seq, size_t body_len);
/* One member's mark placed at `seq`. */
int rig_append_mark(struct log *log, uint32_t conversation, uint64_t seq);
/* Whether this is a record of rig_append() or rig_append_mark(), bit for bit. */
bool rig_is_intact(const struct record *record, struct bytes whole);

/* Open a folder of logs without replay, everything unflushed; asserts nothing. */
int rig_logs_open(const struct fsio *fs, const char *dir, uint64_t segment_bytes, struct logs **logs_out,
                  struct logs_report *report_out);
/* Whether a page of this range (max: 1 or more) has just the sequences first..last, each intact. */
bool rig_finds(struct log *log, uint32_t conversation, uint64_t from, uint64_t to, bool newest, size_t max,
               uint64_t first, uint64_t last);

#endif
