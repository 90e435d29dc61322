/* storerig.h - what a server does to a data folder, without the server: a random but repeatable run over a store.
 *
 * People open conversations (key committed, then rows, then the first record with its members), send, acknowledge and
 * read; batches are committed and taken into folds, folds are flushed now and then. In between people register with
 * invites and delete their accounts, devices are added, named and revoked (storerig_people.h). The rig remembers every
 * record it ever appended, every state of people, and when it became durable, so that whoever opens the folder after a
 * crash knows what must be there, what may be, and what the rows must say (storerig_check).
 *
 * A failing disk is taken as the server takes it: on ERR_NO_SPACE what was not committed is forgotten and the run goes
 * on; after ERR_IO a log, the keys or the facts are left alone. */
#ifndef PIPIT_TESTS_HARNESS_STORERIG_H
#define PIPIT_TESTS_HARNESS_STORERIG_H

#include "storage/storage.h"
#include "tests/harness/disk.h"

enum {
    RIG_USERS = 4,
    RIG_DEVICES = 2,              /* of each user */
    RIG_CONVS = 10,               /* every pair of users, oneself included */
    RIG_LOGS_MAX = 3,
    RIG_RECORDS_MAX = 4000,
    RIG_NUMBERS_MAX = 2000,       /* of one log */
    RIG_BODY_MAX = 200,
    RIG_MARKS_MAX = 3,
    RIG_SEGMENT_BYTES = 6000,     /* a roll every few batches */
};
#define RIG_DIR "/data"
#define RIG_NEVER UINT64_MAX

struct rig_record {
    struct record head;
    struct entry entry;
    struct mark marks[RIG_MARKS_MAX];
    uint8_t body[RIG_BODY_MAX];
    int conv;
    struct rig_record *same_number;   /* an earlier one, dropped, whose place in the log this one has; or NULL */
    uint64_t given_ops;           /* operations of the disk when it was handed to the committer; RIG_NEVER: not yet */
    uint64_t acked_ops;           /* when its sync had returned; RIG_NEVER: it did not, or not well */
};

struct rig_place { uint64_t seq, counted; struct msg_id last_id; };
struct rig_conv {
    struct conv_id id;
    int users[2];
    struct vault_key key;
    bool is_open;                 /* its rows are committed: records may follow */
    uint64_t rows_ops;            /* when; RIG_NEVER: not */
    struct rig_place now, committed;
};

struct rig_people;

struct storerig {
    struct disk *disk;
    struct store store;
    uint64_t random;
    uint64_t now_ms;
    bool disk_is_good;            /* then every error is a failure of the test */
    bool facts_dead, vault_dead;
    uint64_t opened_ops;          /* when the first opening was committed */
    struct node_row node;
    struct fold *folds[RIG_LOGS_MAX];
    size_t pending[RIG_LOGS_MAX]; /* records from here on that belong to the log are not committed; see rig_commit() */
    struct rig_conv convs[RIG_CONVS];
    struct rig_people *people;    /* accounts, devices, invites */
    uint64_t client_seq[RIG_USERS][RIG_DEVICES];
    struct rig_record *records;   /* in the order of appending */
    size_t count;
    struct rig_record *latest[RIG_LOGS_MAX][RIG_NUMBERS_MAX];
};

extern const struct user_id rig_users[RIG_USERS];             /* in the order of their names */
extern const struct device_id rig_devices[RIG_DEVICES];       /* in the order in which rows give them */

/* On a disk of its own, whose journal starts at once; opens the store and makes the accounts. */
struct storerig *storerig_new(uint64_t seed);
void storerig_free(struct storerig *rig);                     /* the store must be closed, or its disk abandoned */
void storerig_run(struct storerig *rig, int steps, uint32_t shards);
/* Close and open again with this many shards: what no flush had covered is replayed. */
void storerig_restart(struct storerig *rig, uint32_t shards);
void storerig_close(struct storerig *rig);

/* What must be true of `store`, opened on what was left after `ops` operations of the rig's disk:
 * - every record whose sync had returned is found once, bit for bit; besides these only what had been handed over;
 * - the sequences of a conversation have no gap;
 * - the rows say what the records found say, computed here in another way than fold.c does it;
 * - accounts, devices and invites are as the last transaction committed by then left them, or a later one under way;
 * - the key of each record is there.
 * Fails the test otherwise, and says which operation. */
void storerig_check(const struct storerig *rig, struct store *store, uint64_t ops);

#endif
