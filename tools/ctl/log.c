/* log.c - pipitctl log show: segment files, printed, without a server. A body stays sealed here: its key is in keys.db,
 * which is the server's. A damaged file is told on standard error, with file and offset. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "proto/proto.h"
#include "storage/storage.h"
#include "tools/ctl/ctl.h"

struct summary { uint64_t records, marks, bytes, last_batch, batches; };

static const char *kind_name(uint8_t kind)
{
    switch (kind) {
    case KIND_MESSAGE:   return "message";
    case KIND_TOMBSTONE: return "tombstone";
    case KIND_MARKS:     return "marks";
    default:             return "unknown";
    }
}

static void format_time(uint64_t ms, char out[static 32])
{
    time_t s = (time_t)(ms / 1000);
    struct tm tm;
    if (!gmtime_r(&s, &tm) || !strftime(out, 32, "%Y-%m-%dT%H:%M:%S", &tm)) strcpy(out, "?");
}

static int print_record(void *arg, uint64_t offset, uint64_t batch, const struct record *r, struct bytes whole)
{
    struct summary *sum = arg;
    char conv[CONV_ID_TEXT], id[MSG_ID_TEXT], time[32];
    conv_id_print(&r->partition, conv);
    msg_id_print(&r->id, id);
    format_time(msg_id_ms(&r->id), time);
    printf("%10" PRIu64 "  batch %" PRIu64 "  record %" PRIu64 "  %-9s  %s  seq %" PRIu64 "  counted %" PRIu64
           "  key %" PRIu64 "%s%s  %zu sealed bytes  %s  %s\n",
           offset, batch, r->number, kind_name(r->kind), conv, r->seq, r->counted, r->key,
           r->flags & RECORD_COUNTS ? "  counts" : "", r->flags & RECORD_SENDER_CAUGHT_UP ? "  caught-up" : "",
           r->sealed.len, time, id);
    sum->records++;
    sum->marks += r->kind == KIND_MARKS;
    sum->bytes += whole.len;
    if (batch != sum->last_batch) sum->batches++;
    sum->last_batch = batch;
    return 0;
}

static int inspect_file(const char *path)
{
    struct segment_head head;
    struct summary sum = { 0 };
    uint64_t offset = 0;
    char made[32];
    memset(&head, 0, sizeof head);
    printf("%s\n", path);
    int err = segment_walk(fsio_posix(), path, &head, print_record, &sum, &offset);
    if (err && sum.records == 0 && head.first_number == 0) {
        if (err == ERR_NOT_FOUND) fprintf(stderr, "%s: no such file\n", path);
        else fprintf(stderr, "%s: at byte %" PRIu64 ": %s\n", path, offset, err_text(err));
        return 1;
    }
    format_time(head.made_ms, made);
    printf("log %u from record %" PRIu64 ", made %s: %" PRIu64 " records (%" PRIu64 " of marks) in %" PRIu64
           " batches, %" PRIu64 " bytes\n", head.log, head.first_number, made, sum.records, sum.marks, sum.batches,
           sum.bytes);
    if (!err) return 0;
    fprintf(stderr, "%s: at byte %" PRIu64 ": %s%s\n", path, offset, err_text(err),
            err == ERR_TORN ? " (a server that is writing, or was killed: the next start cuts it)" : "");
    return 1;
}

int ctl_log_show(const struct arguments *a)
{
    int code = EXIT_DONE;
    for (int i = 0; i < a->count; i++) {
        if (inspect_file(a->words[i])) code = EXIT_REFUSED;
    }
    return code;
}
