/* secret.c - see secret.h. */
#include "storage/secret.h"

#include <sodium.h>
#include <stdio.h>

#include "proto/err.h"
#include "storage/outfile.h"

static int secret_read(const struct fsio *fs, const char *path, uint8_t secret[static SECRET_BYTES])
{
    struct infile in;
    int err = infile_open(fs, path, &in);
    if (err) return err;
    err = in.size == SECRET_BYTES ? infile_read(&in, secret, SECRET_BYTES) : ERR_CORRUPT;
    infile_close(&in);
    return err == ERR_END ? ERR_CORRUPT : err;
}

static int secret_make(const struct fsio *fs, const char *path, uint8_t secret[static SECRET_BYTES])
{
    struct outfile out;
    int err = outfile_open(fs, path, true, &out);
    if (err) return err;
    randombytes_buf(secret, SECRET_BYTES);
    outfile_put(&out, secret, SECRET_BYTES);
    return outfile_finish(&out);
}

int secret_open(const struct fsio *fs, const char *dir, const char *name, uint8_t secret_out[static SECRET_BYTES])
{
    char path[FS_PATH_MAX];
    int len = snprintf(path, sizeof path, "%s/%s.key", dir, name);
    if (len < 0 || (size_t)len >= sizeof path) return ERR_TOO_BIG;
    int err = secret_read(fs, path, secret_out);
    return err == ERR_NOT_FOUND ? secret_make(fs, path, secret_out) : err;
}
