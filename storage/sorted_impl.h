/* sorted_impl.h - the inside of an open sorted segment, shared by sorted_open.c, sorted_read.c and sorted_scan.c. */
#ifndef PIPIT_STORAGE_SORTED_IMPL_H
#define PIPIT_STORAGE_SORTED_IMPL_H

#include "storage/sorted_form.h"

/* Nothing of it changes after sorted_open(), so every thread may read it. */
struct sorted {
    atomic_uint refs;
    const struct fsio *fs;
    int file;
    char name[SORTED_NAME_BYTES];
    uint64_t seed;
    uint64_t checksum;                   /* of the file before its footer */
    struct sorted_meta meta;
    struct sorted_layout layout;
    struct sorted_pins *pins;
    /* Checked when it was read, not again. NULL: did not fit the budget. */
    uint8_t *index;                      /* from layout.index_offset to layout.filter_offset */
    uint8_t *filter;                     /* from layout.filter_offset to layout.spans_offset */
    uint8_t *pages;                      /* the lowest pages where there are levels above, one behind the other */
};

/* `len` bytes at `offset`; a file that ends before is ERR_CORRUPT. */
int sorted_read(const struct sorted *table, void *to, size_t len, uint64_t offset);

/* Entries of an index page: those in memory, or read into `room` and checked. */
struct index_page {
    const uint8_t *entries;
    uint32_t count;
    uint64_t offset;                     /* of the page in the file */
};
/* Page `number` of `level`. `offset`: where it is, wanted only for a lowest page of an index that has levels above.
 * *reads rises with each pread; NULL: from the disk, even what is in memory.
 * Returns 0, ERR_CORRUPT (out->offset is set), ERR_IO or ERR_NOMEM. */
int sorted_page(const struct sorted *table, uint32_t level, uint64_t number, uint64_t offset, struct buf *room,
                struct index_page *out, uint32_t *reads);
/* The piece of the spans, checked, with as many as the footer says. The caller's to free in any case. */
int sorted_read_spans(const struct sorted *table, uint8_t **piece_out, struct bytes *payload_out);
/* Whether a lowest page may lie there. */
bool sorted_page_fits(const struct sorted *table, uint64_t number, uint64_t offset);
/* 0, with *perhaps_out; ERR_CORRUPT (*bad_offset), ERR_IO. */
int sorted_filter(const struct sorted *table, const struct conv_id *partition, bool *perhaps_out, uint32_t *reads,
                  uint64_t *bad_offset);

#endif
