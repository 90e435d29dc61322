/* outfile.c - files written and read from one end to the other, see outfile.h. */
#include "storage/outfile.h"

#include <assert.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "proto/err.h"
#include "storage/vfs.h"

#define ASIDE ".new"

static void buffer_free(uint8_t *buffer)
{
    if (buffer) sodium_memzero(buffer, OUTFILE_BUFFER_BYTES);
    free(buffer);
}

/* -- writing ----------------------------------------------------------------------------------------------- */

static void outfile_release(struct outfile *out)
{
    buffer_free(out->buffer);
    XXH3_freeState(out->hash);
    out->buffer = NULL;
    out->hash = NULL;
}

int outfile_open(const struct fsio *fs, const char *path, bool aside, struct outfile *out)
{
    memset(out, 0, sizeof *out);
    if (strlen(path) + sizeof ASIDE > sizeof out->at) return ERR_TOO_BIG;
    out->fs = fs;
    strcpy(out->path, path);
    strcpy(out->at, path);
    out->buffer = malloc(OUTFILE_BUFFER_BYTES);
    out->hash = XXH3_createState();
    int err = out->buffer && out->hash ? 0 : ERR_NOMEM;
    if (!err && aside) {
        strcat(out->at, ASIDE);
        err = fs->unlink(fs->self, out->at);      /* of a try that was cut short; it may have another mode */
        if (err == ERR_NOT_FOUND) err = 0;
    }
    if (!err) err = fs->open(fs->self, out->at, FS_WRITE | FS_CREATE | FS_EXCLUSIVE, &out->file);
    if (err) {
        outfile_release(out);
        return err;
    }
    XXH3_64bits_reset(out->hash);
    return 0;
}

static void outfile_flush(struct outfile *out)
{
    struct iovec part = { out->buffer, out->len };
    if (!out->err && out->len) out->err = out->fs->pwritev(out->fs->self, out->file, &part, 1, out->bytes - out->len);
    out->len = 0;
}

void outfile_put(struct outfile *out, const void *at, size_t len)
{
    const uint8_t *from = at;
    XXH3_64bits_update(out->hash, at, len);
    while (len > 0) {
        size_t room = OUTFILE_BUFFER_BYTES - out->len, part = len < room ? len : room;
        memcpy(out->buffer + out->len, from, part);
        out->len += part;
        out->bytes += part;
        from += part;
        len -= part;
        if (out->len == OUTFILE_BUFFER_BYTES) outfile_flush(out);
    }
}

uint64_t outfile_sum(const struct outfile *out)
{
    return XXH3_64bits_digest(out->hash);
}

int outfile_finish(struct outfile *out)
{
    const struct fsio *fs = out->fs;
    outfile_flush(out);
    int err = out->err;
    if (!err) err = fs->sync(fs->self, out->file);
    fs->close(fs->self, out->file);
    bool aside = strcmp(out->at, out->path) != 0;
    if (!err && aside) err = fs->rename(fs->self, out->at, out->path);
    if (err) fs->unlink(fs->self, out->at);
    else if (aside) err = vfs_sync_folder_of(fs, out->path);
    outfile_release(out);
    return err;
}

void outfile_abort(struct outfile *out)
{
    out->fs->close(out->fs->self, out->file);
    out->fs->unlink(out->fs->self, out->at);
    outfile_release(out);
}

/* -- reading ----------------------------------------------------------------------------------------------- */

int infile_open(const struct fsio *fs, const char *path, struct infile *in)
{
    int file;
    int err = fs->open(fs->self, path, FS_READ, &file);
    return err ? err : infile_take(fs, file, in);
}

int infile_take(const struct fsio *fs, int file, struct infile *in)
{
    memset(in, 0, sizeof *in);
    in->fs = fs;
    in->file = file;
    int err = fs->size(fs->self, in->file, &in->size);
    in->buffer = malloc(OUTFILE_BUFFER_BYTES);
    in->hash = XXH3_createState();
    if (!err && (!in->buffer || !in->hash)) err = ERR_NOMEM;
    if (err) {
        infile_close(in);
        return err;
    }
    XXH3_64bits_reset(in->hash);
    return 0;
}

int infile_next(struct infile *in, size_t max, struct bytes *out)
{
    *out = BYTES_NONE;
    if (in->from == in->len) {
        in->from = in->len = 0;
        uint64_t left = in->size - in->bytes;
        size_t want = left < OUTFILE_BUFFER_BYTES ? (size_t)left : OUTFILE_BUFFER_BYTES, got = 0;
        int err = in->fs->pread(in->fs->self, in->file, in->buffer, want, in->bytes, &got);
        if (err) return err;
        if (got < want) return ERR_IO;            /* it became shorter while we read */
        in->len = got;
    }
    size_t part = in->len - in->from < max ? in->len - in->from : max;
    *out = bytes_of(in->buffer + in->from, part);
    XXH3_64bits_update(in->hash, out->at, part);
    in->from += part;
    in->bytes += part;
    return 0;
}

int infile_read(struct infile *in, void *to, size_t len)
{
    uint8_t *at = to;
    if (len > in->size - in->bytes) return ERR_END;
    while (len > 0) {
        struct bytes part;
        int err = infile_next(in, len, &part);
        if (err) return err;
        memcpy(at, part.at, part.len);
        at += part.len;
        len -= part.len;
    }
    return 0;
}

uint64_t infile_sum(const struct infile *in)
{
    return XXH3_64bits_digest(in->hash);
}

void infile_close(struct infile *in)
{
    in->fs->close(in->fs->self, in->file);
    buffer_free(in->buffer);
    XXH3_freeState(in->hash);
}
