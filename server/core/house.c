/* house.c - makes the shards and the pipes between them, runs their threads, and takes all down again.
 *
 * Everything that any thread may touch exists before the first thread runs and goes after the last has ended: the
 * pipes, and each shard's loop with its wake. So a wake for a shard that has ended meanwhile is harmless, and no
 * thread ever asks whether another is still there. */
#include <assert.h>
#include <sodium/crypto_shorthash.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/bytes.h"
#include "proto/err.h"
#include "server/core/shard.h"

_Static_assert(crypto_shorthash_KEYBYTES == 16 && crypto_shorthash_BYTES == 8, "SipHash-2-4");

static int house_make_pipes(struct house *house)
{
    for (uint16_t from = 0; from <= house->shards; from++) {
        for (uint16_t to = 0; to <= house->shards; to++) {
            int err = pipe_new(PIPE_SLOTS, &house->pipe[from][to]);
            if (err) return err;
        }
    }
    return 0;
}

int house_init(struct house *house, uint16_t shards, const struct clock *clock, const uint8_t hash_key[static 16])
{
    assert(shards >= 1 && shards <= SHARDS_MAX);
    memset(house, 0, sizeof *house);
    house->shards = shards;
    house->clock = clock;
    memcpy(house->hash_key, hash_key, sizeof house->hash_key);
    pthread_mutex_init(&house->starting, NULL);
    atomic_init(&house->busy, shards);    /* main's joins when it pushes */

    int err = house_make_pipes(house);
    for (uint16_t id = 0; id <= shards && !err; id++)
        err = shard_open(house, id, &house->shard[id]);
    if (err) house_fini(house);
    return err;
}

void house_fini(struct house *house)
{
    assert(!house->workers);
    for (uint16_t id = 0; id <= house->shards; id++) {
        shard_close(house->shard[id]);
        house->shard[id] = NULL;
    }
    for (uint16_t from = 0; from <= house->shards; from++) {
        for (uint16_t to = 0; to <= house->shards; to++) {
            pipe_free(house->pipe[from][to]);
            house->pipe[from][to] = NULL;
        }
    }
    pthread_mutex_destroy(&house->starting);
}

/* ---- running ---- */

static void *shard_thread(void *arg)
{
    struct shard *shard = arg;
    struct house *house = shard->house;
    /* Wait until all threads exist. */
    pthread_mutex_lock(&house->starting);
    bool started = house->started;
    pthread_mutex_unlock(&house->starting);
    if (!started) return NULL;

    char name[16];    /* Linux's limit */
    snprintf(name, sizeof name, "shard-%u", (unsigned)shard->id);
    pthread_setname_np(pthread_self(), name);
    shard_run(shard);
    /* The last one out: main's shard may end now. */
    if (atomic_fetch_sub(&house->running, 1) == 1) house_wake(house, house->shards);
    return NULL;
}

int house_start(struct house *house, const struct shard_ops *ops, const struct shard_ops *main_ops)
{
    static const struct shard_ops none;
    pthread_mutex_lock(&house->starting);
    uint16_t made = 0;
    for (; made < house->shards; made++) {
        struct shard *shard = house->shard[made];
        shard->ops = ops ? ops : &none;
        if (pthread_create(&shard->thread, NULL, shard_thread, shard)) break;
    }
    house->shard[house->shards]->ops = main_ops ? main_ops : &none;
    bool started = made == house->shards;
    house->started = started;
    if (started) atomic_store(&house->running, made);
    pthread_mutex_unlock(&house->starting);
    if (started) return 0;
    while (made > 0) pthread_join(house->shard[--made]->thread, NULL);
    return ERR_NOMEM;
}

void house_run_main(struct house *house)
{
    bool ran = atomic_exchange(&house->main_ran, true);
    assert(!ran);
    (void)ran;
    shard_run(house->shard[house->shards]);
}

void house_stop(struct house *house)
{
    atomic_store(&house->stopping, true);
    for (uint16_t id = 0; id <= house->shards; id++)
        house_wake(house, id);
}

void house_join(struct house *house)
{
    if (!house->started) return;
    if (!atomic_load(&house->main_ran)) house_run_main(house);
    for (uint16_t id = 0; id < house->shards; id++)
        pthread_join(house->shard[id]->thread, NULL);
    house->started = false;
}

void house_wake(struct house *house, uint16_t shard)
{
    /* libuv drops a wake when one is pending, and reads that flag without a barrier. Lacking this fence the read may
     * pass our publish, and the parcel sleeps until someone else wakes the shard. Pairs with the fence in
     * shard_on_wake(). */
    atomic_thread_fence(memory_order_seq_cst);
    uv_async_send(&house->shard[shard]->wake);
}

/* ---- homes ---- */

/* The hash is read as a big-endian number, so that a home does not depend on the machine. */
static uint16_t home_of(const struct house *house, struct bytes id)
{
    uint8_t hash[crypto_shorthash_BYTES];
    crypto_shorthash(hash, id.at, id.len, house->hash_key);
    return (uint16_t)(get_u64(hash) % house->shards);
}

uint16_t shard_of_user(const struct house *house, const struct user_id *user)
{
    return home_of(house, user_id_bytes(user));
}

uint16_t shard_of_conv(const struct house *house, const struct conv_id *conv)
{
    return home_of(house, BYTES_OF(conv->v));
}

uint16_t shard_of_address(const struct house *house, struct bytes address)
{
    return home_of(house, address);
}
