/* log_stat.c - pipitctl log stat: what takes the room, by kind of record and of file, and by conversation. Memory is
 * bounded, see tally.h: what a conversation's count may lack is printed when there is such a thing. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "proto/proto.h"
#include "tools/ctl/tally.h"

enum { TOP_DEFAULT = 20, FILE_KINDS = 3 };

static int count_record(void *arg, uint64_t offset, uint64_t batch, const struct record *r, struct bytes whole)
{
    (void)offset, (void)batch;
    return tally_add(arg, r, whole.len);
}

static void print_stat(struct tally *t, const uint64_t files[FILE_KINDS], const uint64_t file_bytes[FILE_KINDS],
                       uint64_t top)
{
    struct tally_conv *c, *next;
    char id[CONV_ID_TEXT];
    for (int i = 0; i < FILE_KINDS; i++) {
        if (!files[i]) continue;
        printf("%-10s %8" PRIu64 " files    %14" PRIu64 " bytes on disk\n", log_kind((enum inspect_kind)i), files[i],
               file_bytes[i]);
    }
    for (unsigned i = 1; i <= LOG_RECORD_KINDS; i++) {
        unsigned kind = i % LOG_RECORD_KINDS;
        if (!t->records[kind]) continue;
        printf("%-10s %8" PRIu64 " records  %14" PRIu64 " bytes\n", log_record_kind((uint8_t)kind), t->records[kind],
               t->bytes[kind]);
    }
    printf("Bytes of records are those they were appended with; a sorted file keeps them in a shorter form.\n");
    if (HASH_COUNT(t->convs))
        printf("In %u%s conversations and inboxes; the largest:\n", HASH_COUNT(t->convs), t->let_go ? " or more" : "");
    tally_sort(t);
    HASH_ITER(hh, t->convs, c, next) {
        if (top == 0) break;
        top--;
        conv_id_print(&c->id, id);
        printf("%s  %10" PRIu64 " records  %14" PRIu64 " bytes\n", id, c->records, c->bytes);
    }
    if (t->let_go) printf("Not exact: each of these may have up to %" PRIu64 " bytes more.\n", t->let_go);
}

int ctl_log_stat(const struct arguments *a)
{
    struct tally t = { 0 };
    struct log_file *files;
    uint64_t top = TOP_DEFAULT, kinds[FILE_KINDS] = { 0 }, kind_bytes[FILE_KINDS] = { 0 };
    size_t count;
    int code;
    if (GIVEN(a, top) && !log_number(a, GIVEN(a, top), "top", 0, &top)) return EXIT_USAGE;
    if (!log_files(a, &files, &count, &code)) return code;
    code = EXIT_DONE;
    for (size_t i = 0; i < count; i++) {
        struct inspect_summary sum;
        uint64_t offset;
        int err = log_read(&files[i], false, count_record, &t, &sum, &offset);
        inspect_summary_fini(&sum);
        if (err == ERR_NOT_FOUND) {
            fprintf(stderr, "%s: was sorted or merged meanwhile; its records are not counted\n", files[i].file.name);
            continue;
        }
        kinds[files[i].file.kind]++;
        kind_bytes[files[i].file.kind] += files[i].file.bytes;
        if (!err) continue;
        log_complain(&files[i], offset, err);
        fprintf(stderr, "%s: what lies behind that is not counted\n", files[i].file.name);
        code = EXIT_REFUSED;
    }
    print_stat(&t, kinds, kind_bytes, top);
    tally_fini(&t);
    free(files);
    return code;
}
