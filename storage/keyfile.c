/* keyfile.c - the key file: header, one entry for each key ever made, checksum. See keyfile.h.
 *
 *   header  80   at  0   8  "PIPITKEY"
 *                    8   4  format
 *                   12   4  0
 *                   16  16  node
 *                   32  16  generation
 *                   48   8  made when, ms since 1970
 *                   56   8  entries
 *                   64   8  highest key number ever given
 *                   72   8  checksum of bytes 0 to 71
 *   entry   65   at  0   8  number, above that of the entry before
 *                    8  16  partition
 *                   24   8  made when
 *                   32   1  1: key, 2: erased
 *                   33  32  key; zeros when erased
 *   end      8             checksum of all before it */
#include "storage/keyfile.h"

#include <assert.h>
#include <pthread.h>
#include <sodium.h>
#include <string.h>

#include "proto/err.h"
#include "storage/inside.h"
#include "storage/outfile.h"

#define MAGIC "PIPITKEY"

enum {
    AT_FORMAT = 8, AT_NODE = 16, AT_GENERATION = 32, AT_MADE = 48, AT_COUNT = 56, AT_LAST = 64, AT_SUM = 72,
    AT_PARTITION = 8, AT_KEY_MADE = 24, AT_STATE = 32, AT_KEY = 33,
    HAS_KEY = 1, IS_ERASED = 2,
    WIPE_BYTES = 64 * 1024,
};

/* Held from the snapshot of the keys until the file is in place, see keyfile.h. */
static pthread_mutex_t writing = PTHREAD_MUTEX_INITIALIZER;

void keyfile_node_id(const struct node_row *node, uint8_t out[static NODE_ID_BYTES])
{
    static const uint8_t what[] = "pipit node id";
    int rc = crypto_generichash(out, NODE_ID_BYTES, what, sizeof what, node->hash_key, sizeof node->hash_key);
    assert(rc == 0);
    (void)rc;
}

/* -- bytes --------------------------------------------------------------------------------------------------- */

static void head_put(const struct keyfile_head *head, uint8_t to[static KEYFILE_HEADER_BYTES])
{
    memset(to, 0, KEYFILE_HEADER_BYTES);
    memcpy(to, MAGIC, 8);
    put_u32(to + AT_FORMAT, KEYFILE_FORMAT);
    memcpy(to + AT_NODE, head->node, sizeof head->node);
    memcpy(to + AT_GENERATION, head->generation, sizeof head->generation);
    put_u64(to + AT_MADE, head->made_ms);
    put_u64(to + AT_COUNT, head->count);
    put_u64(to + AT_LAST, head->last_number);
    put_u64(to + AT_SUM, XXH3_64bits(to, AT_SUM));
}

static int head_get(const uint8_t from[static KEYFILE_HEADER_BYTES], struct keyfile_head *head)
{
    if (memcmp(from, MAGIC, 8) != 0) return ERR_CORRUPT;
    if (get_u32(from + AT_FORMAT) > KEYFILE_FORMAT) return ERR_NEWER;
    if (get_u64(from + AT_SUM) != XXH3_64bits(from, AT_SUM)) return ERR_CORRUPT;
    if (get_u32(from + AT_FORMAT) != KEYFILE_FORMAT || get_u32(from + AT_FORMAT + 4) != 0) return ERR_CORRUPT;
    memcpy(head->node, from + AT_NODE, sizeof head->node);
    memcpy(head->generation, from + AT_GENERATION, sizeof head->generation);
    head->made_ms = get_u64(from + AT_MADE);
    head->count = get_u64(from + AT_COUNT);
    head->last_number = get_u64(from + AT_LAST);
    /* SQLite counts signed. */
    return head->made_ms <= INT64_MAX && head->last_number <= INT64_MAX ? 0 : ERR_CORRUPT;
}

static void entry_put(const struct vault_row *row, uint8_t to[static KEYFILE_ENTRY_BYTES])
{
    memset(to, 0, KEYFILE_ENTRY_BYTES);
    put_u64(to, row->number);
    memcpy(to + AT_PARTITION, row->partition.v, sizeof row->partition.v);
    put_u64(to + AT_KEY_MADE, row->made_ms);
    to[AT_STATE] = row->erased ? IS_ERASED : HAS_KEY;
    if (!row->erased) memcpy(to + AT_KEY, row->key, sizeof row->key);
}

static int entry_get(const uint8_t from[static KEYFILE_ENTRY_BYTES], uint64_t above, uint64_t last,
                     struct vault_row *row)
{
    row->number = get_u64(from);
    memcpy(row->partition.v, from + AT_PARTITION, sizeof row->partition.v);
    row->made_ms = get_u64(from + AT_KEY_MADE);
    row->erased = from[AT_STATE] == IS_ERASED;
    memcpy(row->key, from + AT_KEY, sizeof row->key);
    if (row->number <= above || row->number > last || row->made_ms > INT64_MAX) return ERR_CORRUPT;
    if (from[AT_STATE] != HAS_KEY && !row->erased) return ERR_CORRUPT;
    return row->erased && !sodium_is_zero(row->key, sizeof row->key) ? ERR_CORRUPT : 0;
}

/* -- writing ------------------------------------------------------------------------------------------------- */

/* What is at `path` now: 0 and *file_out open, or -1 where nothing is. ERR_EXISTS: something else than a key file of
 * this node. */
static int old_open(const struct fsio *fs, const char *path, const uint8_t node[static NODE_ID_BYTES], int *file_out)
{
    uint8_t bytes[KEYFILE_HEADER_BYTES];
    struct keyfile_head head;
    size_t got = 0;
    int file;
    *file_out = -1;
    int err = fs->open(fs->self, path, FS_READ | FS_WRITE, &file);
    if (err) return err == ERR_NOT_FOUND ? 0 : err;
    err = fs->pread(fs->self, file, bytes, sizeof bytes, 0, &got);
    if (!err && (got < sizeof bytes || head_get(bytes, &head) || memcmp(head.node, node, NODE_ID_BYTES) != 0))
        err = ERR_EXISTS;
    if (err) fs->close(fs->self, file);
    else *file_out = file;
    return err;
}

/* Nothing leads to these bytes any more. That they may stay on the disk where this fails, or where files are not
 * overwritten in place, is no error: docs/disk.md says so. */
static void old_wipe(const struct fsio *fs, int file)
{
    static const uint8_t zeros[WIPE_BYTES];
    uint64_t size = 0;
    int err = fs->size(fs->self, file, &size);
    for (uint64_t at = 0; !err && at < size; at += WIPE_BYTES) {
        size_t len = size - at < WIPE_BYTES ? (size_t)(size - at) : WIPE_BYTES;
        err = fs->pwritev(fs->self, file, &(struct iovec){ (void *)zeros, len }, 1, at);
    }
    if (!err) fs->sync(fs->self, file);
}

static int put_row(void *arg, const struct vault_row *row)
{
    uint8_t bytes[KEYFILE_ENTRY_BYTES];
    struct outfile *out = arg;
    entry_put(row, bytes);
    outfile_put(out, bytes, sizeof bytes);
    sodium_memzero(bytes, sizeof bytes);
    return out->err;
}

static int write_new(const struct fsio *fs, const char *path, struct vault *vault, struct keyfile_head *head)
{
    struct outfile out;
    uint8_t bytes[KEYFILE_HEADER_BYTES];
    int err = outfile_open(fs, path, true, &out);
    if (err) return err;
    err = vault_snapshot(vault);
    if (err) {
        outfile_abort(&out);
        return err;
    }
    err = vault_count(vault, &head->count, &head->last_number);
    head_put(head, bytes);
    outfile_put(&out, bytes, sizeof bytes);
    if (!err) err = vault_each(vault, put_row, &out);
    vault_snapshot_end(vault);
    put_u64(bytes, outfile_sum(&out));
    outfile_put(&out, bytes, KEYFILE_END_BYTES);
    if (!err) return outfile_finish(&out);
    outfile_abort(&out);
    return err;
}

static int write_over(const struct fsio *fs, const char *path, struct vault *vault, const struct node_row *node,
                      uint64_t now_ms, bool must_exist, struct keyfile_head *head_out)
{
    struct keyfile_head head = { .made_ms = now_ms };
    int old = -1;
    keyfile_node_id(node, head.node);
    memcpy(head.generation, node->generation, sizeof head.generation);
    pthread_mutex_lock(&writing);
    int err = old_open(fs, path, head.node, &old);
    if (!err && must_exist && old < 0) err = ERR_NOT_FOUND;
    if (!err) err = write_new(fs, path, vault, &head);
    pthread_mutex_unlock(&writing);
    if (!err && old >= 0) old_wipe(fs, old);
    if (old >= 0) fs->close(fs->self, old);
    if (!err && head_out) *head_out = head;
    return err;
}

int keyfile_write(const struct fsio *fs, const char *path, struct vault *vault, const struct node_row *node,
                  uint64_t now_ms, struct keyfile_head *head_out)
{
    return write_over(fs, path, vault, node, now_ms, false, head_out);
}

/* -- reading ------------------------------------------------------------------------------------------------- */

static int read_entries(struct infile *in, const struct keyfile_head *head,
                        int (*each)(void *arg, const struct vault_row *row), void *arg)
{
    uint8_t bytes[KEYFILE_ENTRY_BYTES];
    struct vault_row row = { .number = 0 };
    int err = 0;
    for (uint64_t i = 0; !err && i < head->count; i++) {
        err = infile_read(in, bytes, sizeof bytes);
        if (!err) err = entry_get(bytes, row.number, head->last_number, &row);
        if (!err && each) err = each(arg, &row);
    }
    sodium_memzero(bytes, sizeof bytes);
    sodium_memzero(&row, sizeof row);
    return err;
}

static int read_all(struct infile *in, struct keyfile_head *head,
                    int (*each)(void *arg, const struct vault_row *row), void *arg)
{
    uint8_t bytes[KEYFILE_HEADER_BYTES];
    int err = infile_read(in, bytes, sizeof bytes);
    if (!err) err = head_get(bytes, head);
    if (err) return err == ERR_END ? ERR_CORRUPT : err;
    uint64_t rest = in->size - sizeof bytes;
    if (rest < KEYFILE_END_BYTES || (rest - KEYFILE_END_BYTES) % KEYFILE_ENTRY_BYTES != 0 ||
        (rest - KEYFILE_END_BYTES) / KEYFILE_ENTRY_BYTES != head->count)
        return ERR_CORRUPT;
    err = read_entries(in, head, each, arg);
    uint64_t sum = infile_sum(in);
    if (!err) err = infile_read(in, bytes, KEYFILE_END_BYTES);
    return err ? err : get_u64(bytes) == sum ? 0 : ERR_CORRUPT;
}

int keyfile_read(const struct fsio *fs, const char *path, struct keyfile_head *head_out,
                 int (*each)(void *arg, const struct vault_row *row), void *arg)
{
    struct infile in;
    int err = infile_open(fs, path, &in);
    if (err) return err;
    err = read_all(&in, head_out, each, arg);
    infile_close(&in);
    return err;
}

/* -- all that are known -------------------------------------------------------------------------------------- */

int keyfiles_rewrite(const struct fsio *fs, struct facts *facts, struct vault *vault, uint64_t now_ms,
                     struct keyfiles_report *report_out)
{
    struct keyfile_row row = { .path = "" };
    struct node_row node;
    memset(report_out, 0, sizeof *report_out);
    int err = facts_node(facts, &node);
    if (err) return err;
    while (!(err = facts_keyfile_next(facts, row.path, &row))) {
        assert(report_out->count < KEYFILES_MAX);
        struct keyfile_result *result = &report_out->results[report_out->count++];
        memcpy(result->path, row.path, sizeof result->path);
        result->err = write_over(fs, row.path, vault, &node, now_ms, true, NULL);
        result->written_ms = result->err ? row.written_ms : now_ms;
        if (result->err) report_out->failed++;
    }
    return err == ERR_NOT_FOUND ? 0 : err;
}

int keyfiles_note(struct facts *facts, const struct keyfiles_report *report)
{
    int err = 0;
    for (size_t i = 0; !err && i < report->count; i++) {
        const struct keyfile_result *result = &report->results[i];
        err = facts_keyfile_put(facts, result->path, result->written_ms, !result->err);
    }
    return err;
}
