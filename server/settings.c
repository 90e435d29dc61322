/* settings.c - see settings.h. */
#include "server/settings.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HOUR_MS (UINT64_C(3600) * 1000)
#define DAY_MS (24 * HOUR_MS)

void settings_fill(struct settings *s, const struct config *config, const struct settings_test *test, uint16_t shards,
                   struct certs *certs)
{
    struct certs *before = s->net.certs;
    s->chat = (struct chat_settings){
        .heartbeat_ms = test->heartbeat_ms ? test->heartbeat_ms : config->heartbeat_s * 1000,
        .password_cost = { .ops = config->password_passes, .memory_bytes = (size_t)config->password_mib << 20 },
        .pages_max = test->pages_max ? test->pages_max : (uint32_t)config->catchup_pages_max,
        .convs_hot_max = (uint32_t)config->conversations_hot_max,
        .fanout_bytes_max = (size_t)config->fanout_mib << 20,
        .fold_rows_max = (uint32_t)config->fold_rows_max,
        .registration = (enum registration)config->registration,
        .attempts_account = { (uint32_t)config->attempts_account_max,
                              (uint32_t)config->attempts_account_refill_s * 1000 },
        .attempts_address = { (uint32_t)config->attempts_address_max,
                              (uint32_t)config->attempts_address_refill_s * 1000 },
        .attempts_kept_max = (uint32_t)config->attempts_kept_max,
        .delete_ms = config->delete_for_everyone_s * 1000,
        .retain_ms = config->retain_days * DAY_MS,
        .drop_delivered = config->drop_delivered != 0,
        .segment_ms = config->segment_hours * HOUR_MS,
        .marks_ms = config->marks_days * DAY_MS,
    };
    if (test->cheap_passwords) {
        s->chat.password_cost = (struct password_cost){ crypto_pwhash_OPSLIMIT_MIN, crypto_pwhash_MEMLIMIT_MIN };
    }
    s->net = (struct net_settings){
        .conns_max = (uint32_t)((config->connections_max + shards - 1) / shards),
        .conns_per_address_max = (uint32_t)config->connections_per_address_max,
        .request_ms = (uint32_t)config->http_request_s * 1000,
        .message_ms = (uint32_t)config->message_s * 1000,
        .keepalive_ms = (uint32_t)config->http_keepalive_s * 1000,
        .linger_ms = (uint32_t)config->close_linger_s * 1000,
        .certs = certs_ref(certs),
        .redirects = config->tls_plain != 0,
    };
    certs_unref(before);
    _Static_assert(NET_ORIGINS_BYTES_MAX >= sizeof config->allowed_origins, "a list of origins fits");
    strcpy(s->net.allowed_origins, config->allowed_origins);
}

struct settings *settings_new(const struct config *config, const struct settings_test *test, uint16_t shards,
                              struct certs *certs)
{
    struct settings *s = calloc(1, sizeof *s);
    if (!s) return NULL;
    settings_fill(s, config, test, shards, certs);
    atomic_init(&s->refs, 1);
    return s;
}

void settings_unref(struct settings *s)
{
    if (!s || atomic_fetch_sub(&s->refs, 1) != 1) return;
    certs_unref(s->net.certs);
    free(s);
}

int settings_load_certs(const struct store *store, const struct config *config, struct certs **certs_out,
                        char why[static CERTS_WHY_MAX])
{
    uint8_t secret[CERTS_SECRET_BYTES] = { 0 };
    *certs_out = NULL;
    _Static_assert(sizeof secret == SECRET_BYTES, "one is made for the other");
    int err = config->tls_cert[0] ? secret_open(store->fs, store->dir, "tickets", secret) : 0;
    if (err) snprintf(why, CERTS_WHY_MAX, "%.200s/tickets.key: %s", store->dir, err_text(err));
    else err = certs_load(config->tls_cert, config->tls_key, secret, certs_out, why);
    sodium_memzero(secret, sizeof secret);
    return err;
}

void settings_say_certs(const struct certs *certs)
{
    char text[CERTS_TEXT_MAX];
    for (uint32_t i = 0; i < certs_count(certs); i++) {
        certs_text(certs, i, text);
        say(SAY_INFO, "certificate", SAY_TEXT("for", text));
    }
}

static void take(struct shard *shard, void *arg)
{
    struct settings *s = arg;
    /* A shard that could not start has neither, and the house is about to stop. */
    if (shard->chat) chat_set(shard, &s->chat);
    if (shard->net) net_set(shard, &s->net);
    settings_unref(s);
    house_wake(shard->house, shard->house->shards);
}

bool settings_are_taken(const struct settings *s)
{
    return atomic_load(&s->refs) == 1;
}

struct say_settings settings_for_log(const struct config *config)
{
    return (struct say_settings){ (enum say_level)config->log_level, (enum say_format)config->log_format,
                                  (uint32_t)config->log_rate_max };
}

bool settings_send(struct settings *s, struct house *house, uint16_t to)
{
    atomic_fetch_add(&s->refs, 1);
    if (house_call(house, to, take, s)) return true;
    settings_unref(s);
    return false;
}
