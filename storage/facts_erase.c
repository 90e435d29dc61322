/* facts_erase.c - the rows of what is erased (erase.h), and the hashes that keep an erased name taken.
 *
 * A name is kept as BLAKE2b under a key made when the first one is erased. Whoever has this file has the key too and can
 * try names; what the hash prevents is reading them. */
#include <ctype.h>
#include <sodium.h>
#include <string.h>

#include "proto/err.h"
#include "storage/erase.h"
#include "storage/facts_impl.h"
#include "storage/inside.h"

enum { NAME_KEY_BYTES = 32, NAME_HASH_BYTES = 32 };

/* -- statements about one conversation or user -------------------------------------------------------------- */

static int run_counted(struct facts *facts, struct query *q, struct erase_count *count)
{
    int err = query_run(q);
    if (!err) count->rows += (uint64_t)sqlite3_changes(facts->db->sqlite);
    return err;
}

static int run_conv(struct facts *facts, const char *sql, const struct conv_id *conv, struct erase_count *count)
{
    struct query q;
    query_start(&q, facts->db, sql);
    query_put_blob(&q, conv->v, sizeof conv->v);
    return run_counted(facts, &q, count);
}

static int run_user(struct facts *facts, const char *sql, const struct user_id *user, struct erase_count *count)
{
    struct query q;
    query_start(&q, facts->db, sql);
    query_put_user(&q, user);
    return run_counted(facts, &q, count);
}

static int run_plain(struct facts *facts, const char *sql)
{
    struct query q;
    query_start(&q, facts->db, sql);
    return query_run(&q);
}

/* -- hashes of names ---------------------------------------------------------------------------------------- */

/* ERR_NOT_FOUND: no name was erased yet. */
static int name_key_get(struct facts *facts, uint8_t key[static NAME_KEY_BYTES])
{
    struct query q;
    query_start(&q, facts->db, "SELECT name_key FROM node WHERE name_key <> x''");
    int err = query_row(&q);
    if (!err) query_get_blob(&q, key, NAME_KEY_BYTES);
    return query_end(&q, err);
}

static int name_key_make(struct facts *facts, uint8_t key[static NAME_KEY_BYTES])
{
    int err = name_key_get(facts, key);
    if (err != ERR_NOT_FOUND) return err;
    randombytes_buf(key, NAME_KEY_BYTES);
    struct query q;
    query_start(&q, facts->db, "UPDATE node SET name_key = ? RETURNING 1");
    query_put_blob(&q, key, NAME_KEY_BYTES);
    err = query_end(&q, query_row(&q));
    return err == ERR_NOT_FOUND ? ERR_CORRUPT : err;       /* a node has its row from its first start on */
}

/* `what` keeps the two kinds apart: a name may be another one's skeleton. */
static void name_hash(const uint8_t key[static NAME_KEY_BYTES], char what, const char *name,
                      uint8_t out[static NAME_HASH_BYTES])
{
    crypto_generichash_state state;
    crypto_generichash_init(&state, key, NAME_KEY_BYTES, NAME_HASH_BYTES);
    crypto_generichash_update(&state, (const uint8_t *)&what, 1);
    crypto_generichash_update(&state, (const uint8_t *)name, strlen(name));
    crypto_generichash_final(&state, out, NAME_HASH_BYTES);
}

static int hash_is_there(struct facts *facts, const uint8_t hash[static NAME_HASH_BYTES], bool *is_there_out)
{
    struct query q;
    query_start(&q, facts->db, "SELECT 1 FROM erased_names WHERE hash = ?");
    query_put_blob(&q, hash, NAME_HASH_BYTES);
    int err = query_row(&q);
    *is_there_out = err == 0;
    err = query_end(&q, err);
    return err == ERR_NOT_FOUND ? 0 : err;
}

int facts_name_was_erased(struct facts *facts, const struct user_id *user, bool *was_out, bool *alike_out)
{
    uint8_t key[NAME_KEY_BYTES], hash[NAME_HASH_BYTES];
    char skeleton[USER_ID_LEN_MAX + 1];
    *was_out = *alike_out = false;
    int err = name_key_get(facts, key);
    if (err) return err == ERR_NOT_FOUND ? 0 : err;
    name_hash(key, 'n', user->v, hash);
    err = hash_is_there(facts, hash, was_out);
    if (!err) err = facts_skeleton(facts, user->v, skeleton);
    if (err) return err;
    name_hash(key, 's', skeleton, hash);
    return hash_is_there(facts, hash, alike_out);
}

static int keep_hash(struct facts *facts, const uint8_t key[static NAME_KEY_BYTES], char what, const char *name)
{
    uint8_t hash[NAME_HASH_BYTES];
    struct query q;
    name_hash(key, what, name, hash);
    query_start(&q, facts->db, "INSERT INTO erased_names (hash) VALUES (?) ON CONFLICT DO NOTHING");
    query_put_blob(&q, hash, sizeof hash);
    return query_run(&q);
}

static int keep_hashes(struct facts *facts, const struct user_id *user)
{
    uint8_t key[NAME_KEY_BYTES];
    char skeleton[USER_ID_LEN_MAX + 1];
    int err = name_key_make(facts, key);
    if (!err) err = facts_skeleton(facts, user->v, skeleton);
    if (!err) err = keep_hash(facts, key, 'n', user->v);
    if (!err) err = keep_hash(facts, key, 's', skeleton);
    return err;
}

/* -- a conversation ------------------------------------------------------------------------------------------ */

int facts_erase_begin(struct facts *facts, const struct conv_id *conv)
{
    struct query q;
    query_start(&q, facts->db,
                "INSERT INTO erasing (conv) SELECT conv FROM convs WHERE conv = ? AND type = 1"     /* CONV_DIRECT */
                " ON CONFLICT DO UPDATE SET conv = conv RETURNING 1");
    query_put_blob(&q, conv->v, sizeof conv->v);
    return query_end(&q, query_row(&q));
}

/* How many sequences its members could still see. */
static int count_records(struct facts *facts, const struct conv_id *conv, struct erase_count *count)
{
    struct query q;
    query_start(&q, facts->db,
                "SELECT max(0, head + 1 - coalesce((SELECT min(from_seq) FROM members m WHERE m.conv = c.conv), 1))"
                " FROM convs c WHERE conv = ?");
    query_put_blob(&q, conv->v, sizeof conv->v);
    int err = query_row(&q);
    if (!err) count->records += query_get_u64(&q);
    err = query_end(&q, err);
    if (!err) count->conversations++;
    return err == ERR_NOT_FOUND ? 0 : err;
}

static int erased(struct facts *facts, const struct conv_id *conv)
{
    struct erase_count none = { 0 };
    int err = run_conv(facts, "DELETE FROM erasing WHERE conv = ?", conv, &none);
    return err ? err : run_plain(facts, "UPDATE node SET scrub = 1 WHERE scrub = 0");
}

int facts_erase_conv(struct facts *facts, const struct conv_id *conv, struct erase_count *count)
{
    static const char *const steps[] = {
        "UPDATE members SET from_seq = (SELECT head + 1 FROM convs c WHERE c.conv = members.conv),"
        " read = 0, read_ms = 0, delivered = 0, delivered_ms = 0, sent = 0 WHERE conv = ?",
        /* What was accepted once is settled: a repeat is told so, and is no message again. */
        "UPDATE cursors SET delivered = 0, settled = max(settled, coalesce((SELECT max(client_seq) + 1 FROM repeats r"
        " WHERE r.conv = cursors.conv AND r.user = cursors.user AND r.device = cursors.device), 0)) WHERE conv = ?",
        "DELETE FROM repeats WHERE conv = ?",
        "DELETE FROM deleted WHERE conv = ?",
        "UPDATE convs SET marked_ms = 0 WHERE conv = ?",
    };
    int err = count_records(facts, conv, count);
    for (size_t i = 0; i < sizeof steps / sizeof steps[0] && !err; i++) err = run_conv(facts, steps[i], conv, count);
    return err ? err : erased(facts, conv);
}

int facts_erase_whole(struct facts *facts, const struct conv_id *conv, struct erase_count *count)
{
    static const char *const steps[] = {
        "DELETE FROM repeats WHERE conv = ?",
        "DELETE FROM deleted WHERE conv = ?",
        "DELETE FROM cursors WHERE conv = ?",
        "DELETE FROM members WHERE conv = ?",
        "DELETE FROM convs WHERE conv = ?",
    };
    int err = count_records(facts, conv, count);
    for (size_t i = 0; i < sizeof steps / sizeof steps[0] && !err; i++) err = run_conv(facts, steps[i], conv, count);
    return err ? err : erased(facts, conv);
}

/* -- a user -------------------------------------------------------------------------------------------------- */

int facts_erase_begin_user(struct facts *facts, const struct user_id *user, uint64_t now_ms)
{
    struct erase_count none = { 0 };
    int err = facts_user_delete(facts, user, now_ms);      /* ERR_NOT_FOUND: deleted before, perhaps */
    if (err && err != ERR_NOT_FOUND) return err;
    struct query q;
    query_start(&q, facts->db, "UPDATE users SET erasing = 1 WHERE user = ? RETURNING 1");
    query_put_user(&q, user);
    err = query_end(&q, query_row(&q));
    if (!err) return run_user(facts, "DELETE FROM devices WHERE user = ?", user, &none);
    if (err != ERR_NOT_FOUND) return err;
    bool was, alike;
    err = facts_name_was_erased(facts, user, &was, &alike);
    return err ? err : was ? ERR_GONE : ERR_NOT_FOUND;
}

int facts_erase_list(struct facts *facts, const struct user_id *user, size_t max, struct conv_id *convs_out,
                     size_t *count_out)
{
    struct query q;
    size_t count = 0;
    query_start(&q, facts->db,
                "SELECT conv FROM members INDEXED BY members_by_user"
                " WHERE user = ? AND type IN (1, 3) ORDER BY type, conv LIMIT ?");   /* CONV_DIRECT, CONV_INBOX */
    query_put_user(&q, user);
    query_put_u64(&q, max);
    int err = 0;
    while (count < max && (err = query_row(&q)) == 0) {
        query_get_blob(&q, convs_out[count].v, sizeof convs_out[count].v);
        count++;
    }
    err = query_end(&q, err == ERR_END ? 0 : err);
    *count_out = err ? 0 : count;
    return err;
}

/* Does `note` have the name as a word, in letters of any size? */
static bool names(const char *note, const char *name)
{
    size_t len = strlen(name);
    for (const char *at = note; *at; at++) {
        bool begins = at == note || !isalnum((unsigned char)at[-1]);
        if (begins && strncasecmp(at, name, len) == 0 && !isalnum((unsigned char)at[len])) return true;
    }
    return false;
}

static int erase_notes(struct facts *facts, const struct user_id *user, struct erase_count *count)
{
    struct invite_row rows[16];
    uint64_t after = 0;
    size_t got = sizeof rows / sizeof rows[0];
    int err = 0;
    while (!err && got == sizeof rows / sizeof rows[0]) {
        err = facts_invite_list(facts, after, sizeof rows / sizeof rows[0], rows, &got);
        for (size_t i = 0; i < got && !err; i++) {
            after = rows[i].number;
            if (!names(rows[i].note, user->v)) continue;
            struct query q;
            query_start(&q, facts->db, "UPDATE invites SET note = '' WHERE number = ?");
            query_put_u64(&q, after);
            err = run_counted(facts, &q, count);
        }
    }
    return err;
}

int facts_erase_user(struct facts *facts, const struct user_id *user, struct erase_count *count)
{
    int err = keep_hashes(facts, user);
    if (!err) err = erase_notes(facts, user, count);
    if (!err) err = run_user(facts, "DELETE FROM devices WHERE user = ?", user, count);
    if (!err) err = run_user(facts, "DELETE FROM users WHERE user = ?", user, count);
    return err ? err : run_plain(facts, "UPDATE node SET scrub = 1 WHERE scrub = 0");
}

/* -- afterwards ---------------------------------------------------------------------------------------------- */

int facts_scrub_is_due(struct facts *facts, bool *due_out)
{
    struct query q;
    *due_out = false;
    query_start(&q, facts->db, "SELECT scrub FROM node");
    int err = query_row(&q);
    if (!err) *due_out = query_get_u64(&q) != 0;
    return query_end(&q, err);
}

int facts_scrub(struct facts *facts)
{
    return db_scrub(facts->db);
}

int facts_scrub_done(struct facts *facts)
{
    return run_plain(facts, "UPDATE node SET scrub = 0");
}

/* -- what was begun ------------------------------------------------------------------------------------------ */

/* The next of each kind; ERR_NOT_FOUND: none. */
int facts_erasing_conv(struct facts *facts, struct conv_id *conv_out)
{
    struct query q;
    query_start(&q, facts->db, "SELECT conv FROM erasing LIMIT 1");
    int err = query_row(&q);
    if (!err) query_get_blob(&q, conv_out->v, sizeof conv_out->v);
    return query_end(&q, err);
}

int facts_erasing_user(struct facts *facts, struct user_id *user_out)
{
    struct query q;
    query_start(&q, facts->db, "SELECT user FROM users INDEXED BY users_erasing WHERE erasing = 1 LIMIT 1");
    int err = query_row(&q);
    if (!err) query_get_user(&q, user_out);
    return query_end(&q, err);
}
