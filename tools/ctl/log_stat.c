/* log_stat.c - pipitctl log stat: what takes the room, by kind of record and of file, and by conversation.
 *
 * Conversations are counted in a table of CONVS_MAX; when it is full, the smaller half is let go and counted anew if it
 * comes again. So memory is bounded, and what a conversation has may be more than is told by as much as was ever let go
 * of one: that bound is printed when there is one. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <uthash.h>

#include "proto/proto.h"
#include "tools/ctl/log.h"

enum { CONVS_MAX = 200000, TOP_DEFAULT = 20 };       /* about 100 bytes each */

struct conv_sum { struct conv_id id; uint64_t records, bytes; UT_hash_handle hh; };
struct stat {
    struct conv_sum *convs;
    uint64_t let_go;                                 /* bytes, at most, that a conversation's count lacks */
    uint64_t records[LOG_RECORD_KINDS], bytes[LOG_RECORD_KINDS];
};

static int by_bytes(const struct conv_sum *a, const struct conv_sum *b)
{
    if (a->bytes != b->bytes) return a->bytes > b->bytes ? -1 : 1;
    return memcmp(&a->id, &b->id, sizeof a->id);
}

static void let_half_go(struct stat *s)
{
    struct conv_sum *c, *next;
    unsigned kept = 0;
    uint64_t largest = 0;
    HASH_SORT(s->convs, by_bytes);
    HASH_ITER(hh, s->convs, c, next) {
        if (++kept <= CONVS_MAX / 2) continue;
        if (c->bytes > largest) largest = c->bytes;
        HASH_DEL(s->convs, c);
        free(c);
    }
    s->let_go += largest;
}

static int count_record(void *arg, uint64_t offset, uint64_t batch, const struct record *r, struct bytes whole)
{
    struct stat *s = arg;
    struct conv_sum *c;
    unsigned kind = r->kind < LOG_RECORD_KINDS ? r->kind : 0;
    (void)offset;
    (void)batch;
    s->records[kind]++;
    s->bytes[kind] += whole.len;
    HASH_FIND(hh, s->convs, &r->partition, sizeof r->partition, c);
    if (!c) {
        if (HASH_COUNT(s->convs) >= CONVS_MAX) let_half_go(s);
        c = calloc(1, sizeof *c);
        if (!c) return ERR_NOMEM;
        c->id = r->partition;
        HASH_ADD(hh, s->convs, id, sizeof c->id, c);
    }
    c->records++;
    c->bytes += whole.len;
    return 0;
}

static void print_stat(struct stat *s, const uint64_t files[3], const uint64_t file_bytes[3], uint64_t top)
{
    struct conv_sum *c, *next;
    char id[CONV_ID_TEXT];
    for (int i = 0; i < 3; i++) {
        if (!files[i]) continue;
        printf("%-10s %8" PRIu64 " files    %14" PRIu64 " bytes on disk\n", log_kind((enum inspect_kind)i), files[i],
               file_bytes[i]);
    }
    for (unsigned i = 1; i <= LOG_RECORD_KINDS; i++) {
        unsigned kind = i % LOG_RECORD_KINDS;
        if (!s->records[kind]) continue;
        printf("%-10s %8" PRIu64 " records  %14" PRIu64 " bytes\n", log_record_kind((uint8_t)kind), s->records[kind],
               s->bytes[kind]);
    }
    printf("Bytes of records are those they were appended with; a sorted file keeps them in a shorter form.\n");
    HASH_SORT(s->convs, by_bytes);
    HASH_ITER(hh, s->convs, c, next) {
        if (top == 0) break;
        top--;
        conv_id_print(&c->id, id);
        printf("%s  %10" PRIu64 " records  %14" PRIu64 " bytes\n", id, c->records, c->bytes);
    }
    if (s->let_go) printf("Not exact: each of these may have up to %" PRIu64 " bytes more.\n", s->let_go);
}

int ctl_log_stat(const struct arguments *a)
{
    struct stat s = { 0 };
    struct log_file *files;
    struct conv_sum *c, *next;
    uint64_t top = TOP_DEFAULT, kinds[3] = { 0 }, kind_bytes[3] = { 0 };
    size_t count;
    int code;
    if (GIVEN(a, top) && !log_number(a, GIVEN(a, top), "top", 0, &top)) return EXIT_USAGE;
    if (!log_files(a, &files, &count, &code)) return code;
    code = EXIT_DONE;
    for (size_t i = 0; i < count; i++) {
        struct inspect_summary sum;
        uint64_t offset;
        int err = log_read(&files[i], false, count_record, &s, &sum, &offset);
        inspect_summary_fini(&sum);
        if (err == ERR_NOT_FOUND) {
            fprintf(stderr, "%s: was sorted or merged meanwhile; its records are not counted\n", files[i].file.name);
            continue;
        }
        kinds[files[i].file.kind]++;
        kind_bytes[files[i].file.kind] += files[i].file.bytes;
        if (!err) continue;
        log_complain(&files[i], offset, err);
        code = EXIT_REFUSED;
    }
    print_stat(&s, kinds, kind_bytes, top);
    HASH_ITER(hh, s.convs, c, next) {
        HASH_DEL(s.convs, c);
        free(c);
    }
    free(files);
    return code;
}
