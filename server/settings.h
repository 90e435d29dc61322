/* settings.h - what a reload may change, made of a struct config, and carried to the shards.
 *
 * A struct settings is immutable and counted. Main makes one and gives each shard a parcel that holds a reference;
 * the shard copies its values (chat_set, net_set) and lets go, and the last one frees it. So nothing that changes is
 * shared, and nobody asks whether what he reads is still the newest. */
#ifndef PIPIT_SERVER_SETTINGS_H
#define PIPIT_SERVER_SETTINGS_H

#include <stdatomic.h>

#include "server/chat/chat.h"
#include "server/config.h"
#include "server/net/net.h"

struct settings {
    _Atomic uint32_t refs;
    struct chat_settings chat;
    struct net_settings net;
};

/* What tests ask for beyond what a settings file can say; 0 and false: nothing. */
struct settings_test {
    uint64_t heartbeat_ms;
    uint32_t pages_max;
    uint64_t segment_bytes;              /* of the log's files */
    bool cheap_passwords;                /* the least Argon2id allows */
};

/* The values for each of `shards` shards; refs is left alone. It holds a reference to `certs` (may be NULL) instead of
 * what it held before. */
void settings_fill(struct settings *s, const struct config *config, const struct settings_test *test, uint16_t shards,
                   struct certs *certs);
/* A counted one, with one reference, the caller's; NULL: out of memory. */
struct settings *settings_new(const struct config *config, const struct settings_test *test, uint16_t shards,
                              struct certs *certs);
/* The certificates that are set, with the store's secret for their tickets: certs_load(). Reads files. */
int settings_load_certs(const struct store *store, const struct config *config, struct certs **certs_out,
                        char why[static CERTS_WHY_MAX]);
void settings_unref(struct settings *s);                 /* any thread; NULL is allowed */
/* A log line for each. */
void settings_say_certs(const struct certs *certs);
/* What the log lines are to be. */
struct say_settings settings_for_log(const struct config *config);
/* Give it to shard `to`, from main's thread; takes a reference of its own. False: no room now; again in main's
 * slice. Main's shard is woken when it has been taken. */
bool settings_send(struct settings *s, struct house *house, uint16_t to);
/* All shards it was given to have taken it: the only reference is the caller's. */
bool settings_are_taken(const struct settings *s);

#endif
