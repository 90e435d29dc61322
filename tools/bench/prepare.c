/* prepare.c - a data folder with users and devices, without a server. */
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "storage/storage.h"
#include "tools/bench/bench.h"

enum { USERS_PER_COMMIT = 1000 };

static void user_add(struct facts *facts, uint32_t n, uint64_t now_ms)
{
    struct user_id user = bench_user(n);
    struct device_row device = { .user = user, .device = bench_device(n), .name = "bench", .created_ms = now_ms };
    uint8_t token[TOKEN_BYTES];
    bench_token(n, token);
    crypto_generichash(device.token_hash, sizeof device.token_hash, token, sizeof token, NULL, 0);
    /* "!" is the hash of no password: these users have their token and cannot log in. */
    int err = facts_user_add(facts, &user, "!", now_ms);
    if (!err) err = facts_inbox_add(facts, &user, now_ms);
    if (!err) err = facts_device_add(facts, &device);
    if (err) die("cannot add %s: %s", user.v, err_text(err));
}

void prepare(const char *data, uint32_t count)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    struct store_opening how = { .shards = 1,
                                 .now_ms = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000 };
    static struct store store;
    char why[256];
    int err = store_open(fsio_posix(), data, &how, &store, why);
    if (err) die("%s: %s: %s", data, err_text(err), why);
    for (uint32_t n = 0; n < count;) {
        uint32_t end = count - n < USERS_PER_COMMIT ? count : n + USERS_PER_COMMIT;
        err = facts_begin(store.facts);
        if (err) die("%s: %s", data, err_text(err));
        for (; n < end; n++) user_add(store.facts, n, how.now_ms);
        err = facts_commit(store.facts);
        if (err) die("%s: %s", data, err_text(err));
    }
    store_close(&store);
}
