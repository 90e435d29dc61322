/* tally.h - records counted by kind and by conversation, in bounded memory.
 *
 * Conversations are counted in a table of TALLY_CONVS_MAX; when it is full, the smaller half is let go and counted anew
 * if it comes again. So what a conversation has may be more than is told, by as much as was ever let go of one. */
#ifndef PIPIT_TOOLS_CTL_TALLY_H
#define PIPIT_TOOLS_CTL_TALLY_H

#include <uthash.h>

#include "tools/ctl/log.h"

enum { TALLY_CONVS_MAX = 200000 };                   /* about 150 bytes each */

struct tally_conv {
    struct conv_id id;
    uint64_t records, bytes;
    uint64_t first_seq, last_seq;                    /* of records that have one; 0: none */
    UT_hash_handle hh;
};
struct tally {                                       /* begins as zeros */
    struct tally_conv *convs;                        /* after tally_sort(): the one with most bytes first */
    uint64_t let_go;                                 /* bytes, at most, that a conversation's count lacks */
    uint64_t records[LOG_RECORD_KINDS], bytes[LOG_RECORD_KINDS];
};

/* 0 or ERR_NOMEM. */
int tally_add(struct tally *t, const struct record *r, size_t bytes);
void tally_sort(struct tally *t);
void tally_fini(struct tally *t);

#endif
