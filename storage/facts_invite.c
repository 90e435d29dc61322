/* facts_invite.c - invites: what lets a stranger register.
 *
 * A code is known to whom it was given; here lies its hash, so that who reads the file can invite nobody. People name
 * an invite by its number. Rows of their own, as in facts_account.c; a revoked or used one stays to be listed until
 * some time after it would have expired. */
#include <assert.h>
#include <string.h>

#include "proto/err.h"
#include "storage/facts_impl.h"

int facts_invite_add(struct facts *facts, const uint8_t hash[static SECRET_HASH_BYTES], const struct invite_row *row,
                     uint64_t *number_out)
{
    assert(strlen(row->note) <= INVITE_NOTE_BYTES_MAX);
    struct query q;
    query_start(&q, facts->db,
                "INSERT INTO invites (hash, note, uses, uses_left, expires_ms, created_ms)"
                " VALUES (?1, ?2, ?3, ?3, ?4, ?5) RETURNING number");
    query_put_blob(&q, hash, SECRET_HASH_BYTES);
    query_put_text(&q, row->note);
    query_put_u64(&q, row->uses);
    query_put_u64(&q, row->expires_ms);
    query_put_u64(&q, row->created_ms);
    int err = query_row(&q);
    if (!err) *number_out = query_get_u64(&q);
    return query_end(&q, err);
}

int facts_invite_check(struct facts *facts, const uint8_t hash[static SECRET_HASH_BYTES], uint64_t now_ms)
{
    struct query q;
    query_start(&q, facts->db,
                "SELECT number FROM invites WHERE hash = ? AND uses_left > 0 AND expires_ms > ? AND NOT revoked");
    query_put_blob(&q, hash, SECRET_HASH_BYTES);
    query_put_u64(&q, now_ms);
    int err = query_end(&q, query_row(&q));
    return err == ERR_NOT_FOUND ? ERR_INVITE : err;
}

int facts_invite_use(struct facts *facts, const uint8_t hash[static SECRET_HASH_BYTES], uint64_t now_ms)
{
    int err = facts_invite_check(facts, hash, now_ms);
    if (err) return err;
    struct query q;
    query_start(&q, facts->db, "UPDATE invites SET uses_left = uses_left - 1 WHERE hash = ?");
    query_put_blob(&q, hash, SECRET_HASH_BYTES);
    return query_run(&q);
}

int facts_invite_list(struct facts *facts, uint64_t after, size_t max, struct invite_row *rows_out,
                      size_t *count_out)
{
    struct query q;
    size_t count = 0;
    query_start(&q, facts->db,
                "SELECT number, uses, uses_left, created_ms, expires_ms, revoked, note FROM invites"
                " WHERE number > ? ORDER BY number LIMIT ?");
    query_put_u64(&q, after);
    query_put_u64(&q, max);
    int err = 0;
    while (count < max && (err = query_row(&q)) == 0) {
        struct invite_row *row = &rows_out[count++];
        memset(row, 0, sizeof *row);
        row->number = query_get_u64(&q);
        row->uses = (uint32_t)query_get_u64(&q);
        row->uses_left = (uint32_t)query_get_u64(&q);
        row->created_ms = query_get_u64(&q);
        row->expires_ms = query_get_u64(&q);
        row->revoked = query_get_u64(&q) != 0;
        query_get_text(&q, row->note, sizeof row->note);
    }
    err = query_end(&q, err == ERR_END ? 0 : err);
    *count_out = err ? 0 : count;
    return err;
}

int facts_invite_find(struct facts *facts, const uint8_t hash[static SECRET_HASH_BYTES], uint64_t *number_out)
{
    struct query q;
    query_start(&q, facts->db, "SELECT number FROM invites WHERE hash = ?");
    query_put_blob(&q, hash, SECRET_HASH_BYTES);
    int err = query_row(&q);
    if (!err) *number_out = query_get_u64(&q);
    err = query_end(&q, err);
    return err == ERR_NOT_FOUND ? ERR_INVITE : err;
}

int facts_invite_revoke(struct facts *facts, uint64_t number)
{
    struct query q;
    query_start(&q, facts->db, "UPDATE invites SET revoked = 1 WHERE number = ? RETURNING 1");
    query_put_u64(&q, number);
    int err = query_end(&q, query_row(&q));
    return err == ERR_NOT_FOUND ? ERR_INVITE : err;
}

int facts_invite_forget(struct facts *facts, uint64_t ms)
{
    struct query q;
    query_start(&q, facts->db, "DELETE FROM invites WHERE expires_ms < ?");
    query_put_u64(&q, ms);
    return query_run(&q);
}
