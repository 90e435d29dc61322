/* storerig_people.h - inside storerig*.c only: what is done to a store's rows of their own, and what they must say.
 *
 * Accounts, devices and invites are no fold: what a transaction did is there once it was committed, all of it, and
 * nothing of it when it was not. So each transaction leaves a state of people as a model knows them; after a crash the
 * rows must say what one of these states says: the last one committed by then, or a later one that was on its way. */
#ifndef PIPIT_TESTS_HARNESS_STORERIG_PEOPLE_H
#define PIPIT_TESTS_HARNESS_STORERIG_PEOPLE_H

#include "tests/harness/storerig.h"

enum { PEOPLE = RIG_USERS + 4, PEOPLE_DEVICES_MAX = 14, PEOPLE_INVITES_MAX = 40 };    /* rig_users are the first of them */

enum person_state { PERSON_NEVER, PERSON_THERE, PERSON_DELETED };

struct person_device {
    struct device_id id;
    char name[16];
    uint64_t created_ms, live_ms, seen_ms;
    uint64_t client_seq_max;                  /* of rig_devices 0: that is a fold's (check_devices) */
    bool revoked;
};
struct person {
    enum person_state is;
    char password[16];
    uint64_t created_ms, list_version;
    bool disabled;
    struct person_device devices[PEOPLE_DEVICES_MAX];
    size_t device_count;
};
struct people {
    struct person persons[PEOPLE];
    struct invite_row invites[PEOPLE_INVITES_MAX];    /* by number, those that are not forgotten */
    size_t invite_count;
    uint64_t invites_made;                    /* the number of the last one */
};

struct people_state {
    struct people people;
    uint64_t given_ops;                       /* operations of the disk before its commit */
    uint64_t acked_ops;                       /* when that had returned; RIG_NEVER: it did not, or not well */
};

struct rig_people {
    struct people now;
    struct people_state *states;
    size_t count, cap;
};

struct rig_people *rig_people_new(void);
void rig_people_free(struct rig_people *p);   /* NULL allowed */
/* The accounts that a rig begins with, in one transaction. */
void rig_people_begin(struct storerig *rig);
/* One transaction of a few acts, some of which are refused. */
void rig_people_act(struct storerig *rig);
/* The store was opened again: where do we stand? */
void rig_people_resume(struct storerig *rig);
bool rig_person_is_there(const struct storerig *rig, int user);
/* The state that the rows of `facts` are in, of those they may be in after `ops` operations; fails the test when it is
 * none of them. */
const struct people *rig_people_check(const struct storerig *rig, struct facts *facts, uint64_t ops);

/* storerig.c's */
uint64_t rig_draw(struct storerig *rig, uint64_t below);
uint64_t rig_ops(const struct storerig *rig);
/* Whether `err` is none; anything else must be excused by the disk. */
bool rig_went_well(const struct storerig *rig, int err);

#endif
