/* facts_impl.h - the inside of struct facts, for facts*.c alone. */
#ifndef PIPIT_STORAGE_FACTS_IMPL_H
#define PIPIT_STORAGE_FACTS_IMPL_H

#include "storage/db.h"
#include "storage/facts.h"

struct facts { struct db *db; };

/* facts_conv.c: the rows of a direct conversation, whoever its members are. Idempotent. */
int facts_conv_rows(struct facts *facts, const struct conv_id *conv, const struct user_id *a,
                    const struct user_id *b, uint64_t now_ms);

/* facts_erase.c: was this very name erased, or one that looks like it? */
int facts_name_was_erased(struct facts *facts, const struct user_id *user, bool *was_out, bool *alike_out);
/* What was begun to be erased: the next of each kind. ERR_NOT_FOUND: none. */
int facts_erasing_conv(struct facts *facts, struct conv_id *conv_out);
int facts_erasing_user(struct facts *facts, struct user_id *user_out);

/* What is left of a name when what looks alike is the same: an expression of SQL, in the index and in what asks it. It
 * is part of migration 3 and never changes: another one needs another index. */
#define FACTS_SKELETON(name)                                                                          \
    "replace(replace(replace(replace(replace(replace(replace(" name ", '.', ''), '_', ''), '-', '')," \
    " '0', 'o'), '1', 'l'), 'rn', 'm'), 'vv', 'w')"

/* facts_schema.c: [i] leads from version i to version i + 1. */
extern const char *const facts_migrations[];
extern const int facts_migration_count;

#endif
