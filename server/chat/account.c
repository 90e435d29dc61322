/* account.c - passwords, tokens and what a new user or device is made of. */
#include <sodium.h>
#include <string.h>

#include "server/chat/chat.h"

int account_hash_password(const char *password, const struct password_cost *cost, char out[static PASSWORD_HASH_MAX])
{
    _Static_assert(PASSWORD_HASH_MAX >= crypto_pwhash_STRBYTES, "a hash string must fit");
    return crypto_pwhash_str(out, password, strlen(password), cost->ops, cost->memory_bytes) ? ERR_BUSY : 0;
}

int account_make_key(struct vault *vault, const struct user_id *user, uint64_t now_ms)
{
    struct conv_id inbox = conv_id_inbox(user);
    struct vault_key key;
    int err = vault_make(vault, &inbox, now_ms, &key);
    sodium_memzero(&key, sizeof key);
    return err;
}

int account_add(struct facts *facts, const struct user_id *user, const char *password_hash, uint64_t now_ms)
{
    int err = facts_user_add(facts, user, password_hash, now_ms);
    return err ? err : facts_inbox_add(facts, user, now_ms);
}

void account_secret_hash(struct bytes secret, uint8_t out[static SECRET_HASH_BYTES])
{
    crypto_generichash(out, SECRET_HASH_BYTES, secret.at, secret.len, NULL, 0);
}

void account_new_device(const struct user_id *user, const char *name, uint64_t now_ms, struct device_row *row,
                        uint8_t token_out[static TOKEN_BYTES])
{
    memset(row, 0, sizeof *row);
    row->user = *user;
    do randombytes_buf(&row->device.v, sizeof row->device.v);
    while (row->device.v == 0);
    randombytes_buf(token_out, TOKEN_BYTES);
    account_secret_hash(bytes_of(token_out, TOKEN_BYTES), row->token_hash);
    strncpy(row->name, name, sizeof row->name - 1);
    row->created_ms = now_ms;
}

int account_check_device(struct facts *facts, const struct user_id *user, struct device_id device,
                         const uint8_t token_hash[static SECRET_HASH_BYTES], struct device_row *row)
{
    int err = facts_device_get(facts, user, device, row);
    if (err == ERR_NOT_FOUND) return ERR_AUTH;
    if (err) return err;
    if (sodium_memcmp(row->token_hash, token_hash, SECRET_HASH_BYTES) != 0) return ERR_AUTH;
    if (row->user_disabled) return ERR_AUTH;
    return row->revoked ? ERR_REVOKED : 0;
}

bool account_is_reserved(const char *skeleton)
{
    /* Each is its own skeleton. */
    static const char *const reserved[] = {
        "abuse", "admin", "administrator", "all", "api", "bot", "contact", "everyone", "help", "here", "hostmaster",
        "info", "mail", "moderator", "noreply", "null", "official", "operator", "owner", "pipit", "pipitctl", "pipitd",
        "postmaster", "root", "security", "server", "service", "staff", "support", "system", "undefined", "webmaster",
    };
    for (size_t i = 0; i < sizeof reserved / sizeof reserved[0]; i++)
        if (strcmp(reserved[i], skeleton) == 0) return true;
    return false;
}
