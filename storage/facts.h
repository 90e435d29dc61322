/* facts.h - the rows: accounts, devices, invites, conversations, members, cursors, repeats; in SQLite, WAL,
 * synchronous=FULL, through the VFS over fsio.
 *
 * One writer (struct facts opened with writer=true) that belongs to the facts thread, any number of readers, each
 * of one thread. Calls block on the disk: never from a shard. A write counts once facts_commit() returned 0;
 * many requests share one transaction, and each of them stands in a savepoint so that its failure undoes
 * nothing else.
 *
 * Errors of every call, besides its own: ERR_NO_SPACE, ERR_IO, ERR_NOMEM, ERR_CORRUPT. */
#ifndef PIPIT_STORAGE_FACTS_H
#define PIPIT_STORAGE_FACTS_H

#include "proto/limits.h"
#include "storage/fold.h"
#include "storage/fsio.h"
#include "storage/vault.h"

struct facts;

/* Opens, and as writer makes the tables or runs the numbered migrations. ERR_NEWER: written by a newer version. */
int facts_open(const struct fsio *fs, const char *path, bool writer, struct facts **facts_out);
void facts_close(struct facts *facts);
int facts_begin(struct facts *facts);
int facts_commit(struct facts *facts);
void facts_rollback(struct facts *facts);
int facts_savepoint(struct facts *facts);                  /* not nested */
int facts_savepoint_end(struct facts *facts, bool keep);
/* A reader's snapshot: all reads between the two see one state. */
int facts_snapshot(struct facts *facts);
void facts_snapshot_end(struct facts *facts);

/* -- the node ------------------------------------------------------------------------------------------- */
struct node_row {
    uint8_t generation[16];       /* made at the first start; a restore makes another */
    uint8_t hash_key[16];         /* SipHash key that spreads users and conversations over shards */
};
int facts_node(struct facts *facts, struct node_row *out); /* writer: made when missing (its own transaction) */
uint64_t facts_flushed(struct facts *facts, uint32_t log); /* record number covered; 0: none, or unreadable */

/* -- accounts ------------------------------------------------------------------------------------------- */
enum { PASSWORD_HASH_MAX = 128, SECRET_HASH_BYTES = 32 };
struct user_row {                                          /* of an account that is there: never of a deleted one */
    struct user_id user;
    char password_hash[PASSWORD_HASH_MAX];                 /* libsodium's crypto_pwhash_str, NUL-terminated */
    uint64_t created_ms;
    uint64_t list_version;                                 /* of the user's device list; rises with each change */
    bool disabled;
};
int facts_user_add(struct facts *facts, const struct user_id *user, const char *password_hash, uint64_t now_ms);
                                                           /* ERR_EXISTS, also for a name ever used */
/* May somebody register this name? 0, or ERR_EXISTS: it is taken or was once, or (*alike_out) it looks like one that
 * is: they have one skeleton. */
int facts_name_check(struct facts *facts, const struct user_id *user, bool *alike_out);
/* The skeleton itself: the name without . _ -, 0 read as o, 1 as l, then rn as m and vv as w. */
int facts_skeleton(struct facts *facts, const char *name, char out[static USER_ID_LEN_MAX + 1]);
/* Another password, if `old_hash` still is the one that holds (NULL: whichever). ERR_AUTH: it is not, or no such
 * user. */
int facts_user_password(struct facts *facts, const struct user_id *user, const char *old_hash, const char *new_hash);
/* The account and its devices are gone; the name stays taken. Conversations stay with their other members.
 * ERR_NOT_FOUND. */
int facts_user_delete(struct facts *facts, const struct user_id *user, uint64_t now_ms);
int facts_user_get(struct facts *facts, const struct user_id *user, struct user_row *out);     /* ERR_NOT_FOUND */
/* Of an account that is there or was deleted (deleted_ms, 0: it is there), as long as it is not erased. ERR_NOT_FOUND. */
int facts_user_was(struct facts *facts, const struct user_id *user, struct user_row *out, uint64_t *deleted_ms_out);
/* What a list of users shows of each. */
struct user_summary {
    struct user_id user;
    uint64_t created_ms;
    uint64_t seen_ms;                                      /* when a device of it was last seen live; 0: never */
    uint64_t devices;                                      /* live ones */
    bool disabled;
};
/* Users above `after` (NULL: from the first) by name; at most `max`. *count_out of them in rows_out. */
int facts_user_list(struct facts *facts, const struct user_id *after, size_t max, struct user_summary *rows_out,
                    size_t *count_out);
/* Sets or clears `disabled`; a HELLO and a log-in look at it. ERR_NOT_FOUND. Idempotent. */
int facts_user_disable(struct facts *facts, const struct user_id *user, bool disabled);
int facts_counts(struct facts *facts, uint64_t *users_out, uint64_t *conversations_out, uint64_t *devices_out);

/* -- invites (facts_invite.c) ----------------------------------------------------------------------------- */
/* The code is kept as BLAKE2b-256 alone; the number is what people call an invite by. */
enum { INVITE_NOTE_BYTES_MAX = 200 };
struct invite_row {
    uint64_t number;                                       /* 1, 2, 3, …: never given twice */
    uint32_t uses, uses_left;
    uint64_t created_ms, expires_ms;
    bool revoked;
    char note[INVITE_NOTE_BYTES_MAX + 1];                  /* whom or what it is for; may be empty */
};
/* Takes uses, created_ms, expires_ms and note of `row`; tells its number. ERR_EXISTS: the same code. */
int facts_invite_add(struct facts *facts, const uint8_t hash[static SECRET_HASH_BYTES], const struct invite_row *row,
                     uint64_t *number_out);
/* Takes one use. ERR_INVITE: unknown, revoked, used up or expired at now_ms. */
int facts_invite_use(struct facts *facts, const uint8_t hash[static SECRET_HASH_BYTES], uint64_t now_ms);
/* The same check without taking a use: a refusal before a password is hashed. */
int facts_invite_check(struct facts *facts, const uint8_t hash[static SECRET_HASH_BYTES], uint64_t now_ms);
/* Those with a number above `after`, in order; at most `max`. */
int facts_invite_list(struct facts *facts, uint64_t after, size_t max, struct invite_row *rows_out,
                      size_t *count_out);
/* The number of a code, whatever its state. ERR_INVITE: none has it. */
int facts_invite_find(struct facts *facts, const uint8_t hash[static SECRET_HASH_BYTES], uint64_t *number_out);
/* It is good for nothing more. ERR_INVITE: no such number. Idempotent. */
int facts_invite_revoke(struct facts *facts, uint64_t number);
/* Deletes those that expired before `ms`, so that the table does not grow with the years. */
int facts_invite_forget(struct facts *facts, uint64_t ms);

/* -- devices ---------------------------------------------------------------------------------------------- */
struct device_row {
    struct user_id user;
    struct device_id device;
    uint8_t token_hash[SECRET_HASH_BYTES];                 /* BLAKE2b-256 of the token */
    char name[NAME_BYTES_MAX + 1];
    uint64_t created_ms;
    uint64_t since_ms;            /* it is sent what came after, and of older records what no device of its user has
                                   * acknowledged; the others it asks for by HISTORY */
    uint64_t live_ms;             /* when it was last seen live; sync tells cursors that moved after it */
    uint64_t seen_ms;             /* when it was last connected, as far as its shard told; 0: not known */
    uint64_t client_seq_max;      /* the highest it used, as far as committed records or its shard told */
    uint64_t list_version;        /* its user's, read in the same statement */
    bool revoked;
    bool user_disabled;
};
/* Adds the device and raises the user's list_version; since_ms is created_ms, whatever `row` says. ERR_NOT_FOUND
 * (user), ERR_TOO_MANY (DEVICES_PER_USER_MAX live ones), ERR_EXISTS (device id). */
int facts_device_add(struct facts *facts, const struct device_row *row);
int facts_device_get(struct facts *facts, const struct user_id *user, struct device_id device,
                     struct device_row *out);              /* ERR_NOT_FOUND */
/* All three forward only. */
int facts_device_seen(struct facts *facts, const struct user_id *user, struct device_id device,
                      uint64_t live_ms, uint64_t seen_ms, uint64_t client_seq_max);
/* How many rows of devices a user may have: the live ones, and of those revoked the newest. One that is forgotten looks
 * like one that never was. */
enum { DEVICE_ROWS_MAX = 4 * DEVICES_PER_USER_MAX };
/* The user's devices, revoked ones too, oldest first; at most DEVICE_ROWS_MAX. *count_out of them in rows_out. */
int facts_device_list(struct facts *facts, const struct user_id *user, struct device_row *rows_out, size_t *count_out);
/* Both change the list: its new version goes to *version_out. ERR_NOT_FOUND: no such live device of this user. */
int facts_device_name(struct facts *facts, const struct user_id *user, struct device_id device, const char *name,
                      uint64_t *version_out);
struct device_choice { struct device_id only, except; };   /* v 0: all of the user's, none spared */
/* Revokes what is chosen and live, which goes to rows_out (DEVICES_PER_USER_MAX of them fit). None chosen by `only`:
 * ERR_NOT_FOUND; else none is fine, and changes nothing. */
int facts_device_revoke(struct facts *facts, const struct user_id *user, struct device_choice choice,
                        struct device_row *rows_out, size_t *count_out, uint64_t *version_out);

/* -- conversations --------------------------------------------------------------------------------------- */
enum conv_type { CONV_DIRECT = 1, CONV_INBOX = 3 };        /* 2 is kept for groups; the scan goes by this order */
struct conv_row {
    struct conv_id conv;
    uint8_t type;
    uint64_t created_ms;
    uint64_t head;                /* last sequence; 0: nothing yet */
    uint64_t counted;             /* counting records up to it */
    struct msg_id last_id;        /* of the head; all zero: none */
    uint64_t marked_ms;           /* when any cursor last moved */
    uint64_t timer_s;             /* how long messages stay that come from now on; 0: for good */
};
/* The rows of a direct conversation. Idempotent. ERR_NOT_FOUND: one of the users does not exist. */
int facts_conv_add_direct(struct facts *facts, const struct conv_id *conv, const struct user_id *a,
                          const struct user_id *b, uint64_t now_ms);
int facts_inbox_add(struct facts *facts, const struct user_id *user, uint64_t now_ms);
int facts_conv_get(struct facts *facts, const struct conv_id *conv, struct conv_row *out);  /* ERR_NOT_FOUND */

struct member_row {
    struct user_id user;
    uint64_t from_seq;            /* sees records from here … */
    uint64_t to_seq;              /* … to here; 0: still a member */
    uint64_t read;                /* cursor, sequence */
    uint64_t read_ms;             /* when it last moved; 0: never */
    uint64_t delivered;           /* furthest of its devices */
    uint64_t delivered_ms;
    uint64_t sent;                /* sequence of the user's own last message; 0: none */
};
struct cursor_row {               /* a device that acknowledged or sent something here */
    struct user_id user;
    struct device_id device;
    uint64_t delivered;
    uint64_t settled;             /* all its client sequences below were answered: a send below is refused */
};
struct repeat_row {
    struct user_id user;
    struct device_id device;
    uint64_t client_seq, seq;
    struct msg_id id;
    uint64_t expiry_ms;           /* of the record; 0: none */
};
/* Each calls `each` for every row in a fixed order (members by user; cursors by user, device; repeats by user,
 * device, client_seq) and stops at its first non-zero answer, which is returned. */
int facts_members(struct facts *facts, const struct conv_id *conv,
                  int (*each)(void *arg, const struct member_row *row), void *arg);
int facts_cursors(struct facts *facts, const struct conv_id *conv,
                  int (*each)(void *arg, const struct cursor_row *row), void *arg);
int facts_repeats(struct facts *facts, const struct conv_id *conv,
                  int (*each)(void *arg, const struct repeat_row *row), void *arg);

/* A slice of the user's conversations for the scan of a session, in the fixed order (type, conversation id):
 * those after (after_type, after_conv); at most `max`. Inboxes are left out. */
struct scan_row {
    struct conv_id conv;
    uint8_t type;
    uint64_t head;
    uint64_t last_ms;             /* time of the head; 0: nothing yet */
    bool has_cursor;              /* false: this device never acknowledged anything here */
    uint64_t delivered;           /* this device's cursor; without one, the furthest of its user's devices, or what
                                   * lies below all that the user may see */
    uint64_t marked_ms;
};
int facts_scan(struct facts *facts, const struct user_id *user, struct device_id device, uint8_t after_type,
               const struct conv_id *after_conv, size_t max, struct scan_row *rows_out, size_t *count_out);

/* A slice of the user's direct conversations by id, those after `after` (all zero: from the first), as an export tells
 * them: what the facts know, a flush behind the log. `peer` is the user itself for notes to oneself. */
struct kept_row {
    struct conv_row conv;
    struct user_id peer;
    struct member_row member;
};
int facts_kept(struct facts *facts, const struct user_id *user, const struct conv_id *after, size_t max,
               struct kept_row *rows_out, size_t *count_out);

/* -- key files, backups (facts_keyfile.c) ------------------------------------------------------------------- */
/* Where one was ever written. Each backup adds at most one; an erasure writes them all, hence the bound. */
enum { KEYFILES_MAX = 64 };
struct keyfile_row {
    char path[FS_PATH_MAX];                                /* absolute */
    uint64_t written_ms;                                   /* when it last was */
    bool ok;                                               /* false: the last try did not reach it */
};
/* ERR_FULL: KEYFILES_MAX others are known. */
int facts_keyfile_put(struct facts *facts, const char *path, uint64_t written_ms, bool ok);
/* The first by path above `after` ("": of all). ERR_NOT_FOUND: no more. */
int facts_keyfile_next(struct facts *facts, const char *after, struct keyfile_row *out);
int facts_keyfile_forget(struct facts *facts, const char *path);    /* ERR_NOT_FOUND */

/* The last one that was whole: for who watches. In a restored folder it is the one before the cut. */
struct backup_row { uint64_t made_ms; char path[FS_PATH_MAX]; uint64_t bytes; };
int facts_backup_put(struct facts *facts, const struct backup_row *row);
int facts_backup_get(struct facts *facts, struct backup_row *row_out);    /* ERR_NOT_FOUND: there was none */

/* -- what may go (facts_retain.c) ---------------------------------------------------------------------------- */
/* A message that its sender deleted for everyone. The row stays until the message is off the disk (sweep.h). */
struct deleted_row {
    struct conv_id conv;
    uint64_t seq;
    uint64_t ms;                  /* when it was deleted */
    uint32_t log;                 /* the place of the record that did it; number 0: written before places were noted */
    uint64_t number;
};
/* Those of one conversation with from <= seq <= to, rising; at most `max`. */
int facts_deleted(struct facts *facts, const struct conv_id *conv, uint64_t from, uint64_t to, size_t max,
                  struct deleted_row *rows_out, size_t *count_out);
/* Of all conversations, by time, conversation and sequence: those behind `after` (all zero: from the first); at most `max`. */
int facts_deleted_oldest(struct facts *facts, const struct deleted_row *after, size_t max, struct deleted_row *rows_out,
                         size_t *count_out);
/* Its message is gone from the log. Idempotent. */
int facts_deleted_forget(struct facts *facts, const struct conv_id *conv, uint64_t seq);

/* Who must have a message before all have it: a row for each live device of each member whose account is there, and
 * one with device 0 for a member without any. */
struct holder_row {
    struct user_id user;
    struct device_id device;
    uint64_t since_ms;            /* of the device: it is not owed what came before, if its user had it */
    uint64_t delivered;           /* its cursor; 0: it never acknowledged anything here */
    uint64_t member_delivered;    /* the furthest of its user's devices, revoked ones too */
    uint64_t member_read;
};
int facts_holders(struct facts *facts, const struct conv_id *conv,
                  int (*each)(void *arg, const struct holder_row *row), void *arg);

/* -- folds ----------------------------------------------------------------------------------------------- */
/* Apply a fold and set the log's flushed number to fold_number(), inside the caller's transaction. Repeat entries
 * below a device's settled go, and of the rest the newest REPEATS_MAX stay. */
int facts_flush(struct facts *facts, const struct fold *fold);

#endif
