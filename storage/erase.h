/* erase.h - destroying for good: a conversation, or a user with all that is the user's alone.
 *
 * What makes it final is the key (vault.h): no record opens without it. The rows that tell who wrote to whom go as well.
 * It takes several transactions on two databases, so it is begun by one that remembers it: whatever stops the server
 * after that, a start goes on to the end (erase_finish()).
 *
 *   begin     facts    what is being erased is noted; of a user: the account and its devices are gone from here on
 *   keys      vault    NULL                             ┐ a slice of conversations at a time, and only when nobody has
 *   rows      facts    gone, and "scrub" is noted       ┘ them in memory: no fold of theirs may come after this
 *   scrub     both     outside any transaction: WALs into the files, and emptied
 *   files              all key files that can be reached are written anew (keyfile.h)
 *   done      facts    "scrub" is cleared
 *
 * Of an erased conversation is left: id, when it was made, the last sequence and message id, so that numbering goes on;
 * its members, who see nothing below; for each device up to where its sends were answered, so that no repeat of an old
 * one comes back as a new message. Of an erased user: a keyed hash of the name and one of its skeleton; nothing of its
 * direct conversations but the numbers of their keys in keys.db, whose partition is a hash of both names.
 *
 * Thread: facts and vault are their writers, on the facts thread; inside the caller's transaction but where it says
 * otherwise. Errors besides their own: those of facts.h. */
#ifndef PIPIT_STORAGE_ERASE_H
#define PIPIT_STORAGE_ERASE_H

#include "storage/facts.h"

/* What was destroyed. Each call adds to it. */
struct erase_count {
    uint64_t keys;
    uint64_t rows;                /* deleted, or emptied of all but numbers */
    uint64_t conversations;
    uint64_t records;             /* sequences that nobody can open any more */
};

/* -- a conversation ----------------------------------------------------------------------------------------- */
/* ERR_NOT_FOUND: there is no such direct conversation. Idempotent. */
int facts_erase_begin(struct facts *facts, const struct conv_id *conv);
/* Its rows, of which only the numbers stay. The keys must be gone. */
int facts_erase_conv(struct facts *facts, const struct conv_id *conv, struct erase_count *count);

/* -- a user ------------------------------------------------------------------------------------------------- */
/* The account is gone for everyone, and being erased; one that was deleted before may be erased too. Idempotent.
 * ERR_NOT_FOUND: nobody ever had that name; ERR_GONE: erased already. */
int facts_erase_begin_user(struct facts *facts, const struct user_id *user, uint64_t now_ms);
/* The partitions that are the user's or a direct conversation with it: at most `max` of those that are left, the inbox
 * among them. Any connection. */
int facts_erase_list(struct facts *facts, const struct user_id *user, size_t max, struct conv_id *convs_out,
                     size_t *count_out);
/* All rows of one of them. The keys must be gone. */
int facts_erase_whole(struct facts *facts, const struct conv_id *conv, struct erase_count *count);
/* When none is left: account, devices, notes of invites that have the name as a word; the name's hashes stay. */
int facts_erase_user(struct facts *facts, const struct user_id *user, struct erase_count *count);

/* -- afterwards --------------------------------------------------------------------------------------------- */
/* Outside a transaction: like vault_scrub(). */
int facts_scrub(struct facts *facts);
int facts_scrub_done(struct facts *facts);
/* At a start: ends all that was begun, in transactions of its own, and rewrites the key files that it reaches
 * (keyfile.h); of the others it is noted that they were not. */
int erase_finish(const struct fsio *fs, struct facts *facts, struct vault *vault, uint64_t now_ms,
                 struct erase_count *count);

#endif
