/* change.h - a user's devices have changed: sessions that must end do, the others hear of it.
 *
 * Whoever committed rows about a user's devices or account (a device added, named or revoked; an account disabled,
 * deleted, its password reset) sends a change to the shard where the user's sessions are, and answers its own peer when
 * it is done: by then every session concerned has got its GOODBYE and no HELLO read the rows as they were before. What
 * a closed session had accepted stays.
 *
 *     struct change *c = change_new(&user);                   before the rows: NULL is "out of memory"
 *     …  facts_device_revoke(facts, &user, choice, …) …       the rows, committed
 *     c->close = ERR_REVOKED;                                 choice, told and so on as was done
 *     c->done = my_done;
 *     change_send(shard, c);                                  any shard, main's too
 *
 * Thread: its sender's shard. */
#ifndef PIPIT_CHAT_CHANGE_H
#define PIPIT_CHAT_CHANGE_H

#include "proto/proto.h"
#include "server/chat/errand.h"
#include "storage/storage.h"

struct change_told { enum device_change what; struct device_id device; char name[NAME_BYTES_MAX + 1]; };

struct change {
    struct errand errand;
    struct user_id user;
    int close;                           /* ERR_REVOKED, ERR_AUTH: reason of the sessions that end; 0: none does */
    struct device_choice choice;         /* whose sessions: one device's, all of the user's, or all but one's */
    /* DEVICE_CHANGED to the sessions that stay, but for the one with this number (0: to all of them). */
    uint64_t asker_number;
    uint64_t list_version;
    uint32_t told_count;
    struct change_told told[DEVICES_PER_USER_MAX];
    void (*done)(struct shard *shard, struct change *c);    /* frees it with change_free(), or keeps it */
    void *arg;                           /* the sender's */
};

struct change *change_new(const struct user_id *user);      /* zeroed but for the user; NULL: out of memory */
void change_free(struct change *c);
/* One more line of DEVICE_CHANGED. At most DEVICES_PER_USER_MAX. */
void change_tell(struct change *c, enum device_change what, struct device_id device, const char *name);
/* What facts_device_revoke() did: its sessions end as ERR_REVOKED, and it is told. */
void change_revoked(struct change *c, struct device_choice choice, const struct device_row *rows, size_t count,
                    uint64_t list_version);
/* errand_send()'s rule for done() holds here too. */
void change_send(struct shard *shard, struct change *c);

#endif
