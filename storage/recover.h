/* recover.h - inside recover*.c only: the sorted files of a start, and which numbers they hold.
 *
 * Nobody keeps a list of files: each says what it replaces. So a start opens them all, by header and footer, and of two
 * that overlap the one with the higher serial holds all of the other, which was about to be removed. Anything else is
 * corruption. Their data is not read. */
#ifndef PIPIT_STORAGE_RECOVER_H
#define PIPIT_STORAGE_RECOVER_H

#include "storage/logs.h"

struct found_table {
    char name[SORTED_NAME_BYTES];
    struct sorted *table;         /* NULL: a file that was never finished ("….new") */
    bool obsolete;                /* a newer one holds all of it */
};
struct found_span { struct sorted_span span; size_t table; };
struct found_tables {
    struct found_table *at;
    size_t count, cap;
    struct found_span *spans;     /* of those that count, by (log, first number): no two overlap */
    size_t span_count;
    uint64_t serial;              /* the highest seen, unfinished files included */
};

/* Takes `name` if it is that of a sorted file or an unfinished one. *mine_out says so. 0 or ERR_NOMEM. */
int tables_on_name(struct found_tables *tables, const char *name, bool *mine_out);
/* Open them, and find out which count. Changes nothing. Errors of sorted_open(); ERR_CORRUPT also when two overlap and
 * neither holds the other: *bad_out and *bad_offset_out tell the file. */
int tables_survey(struct found_tables *tables, struct logs *logs, const char **bad_out, uint64_t *bad_offset_out);
/* Which span holds record `number` of `log`; NULL: none. */
const struct found_span *tables_find(const struct found_tables *tables, uint32_t log, uint64_t number);
/* Remove what does not count. *removed_out: whether anything was. */
int tables_mend(struct found_tables *tables, struct logs *logs, bool *removed_out);
/* Those that count; `out` has room for count of them. Returns how many. */
size_t tables_good(const struct found_tables *tables, struct sorted **out);
void tables_fini(struct found_tables *tables);

#endif
