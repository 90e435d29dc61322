/* fsio.c - the real disk behind the seam.
 *
 * A file is its descriptor. Every loop below exists because POSIX lets a call do less than it was asked for: reads
 * and writes come back short, and any of them may be interrupted. Callers see all of it or an error.
 *
 * Sync is fdatasync(2). It also writes what is needed to read the data back, the file's size included, so a file
 * that grew, or was just created, is covered; only its name is not: that is what sync_dir() is for. */
#include "storage/fsio.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "proto/err.h"

/* Data folders hold what people wrote: for the server's own user alone. */
enum { MODE_FILE = 0600, MODE_DIR = 0700 };

static int posix_open(void *self, const char *path, unsigned flags, int *file_out)
{
    int how = O_CLOEXEC;
    if ((flags & FS_READ) && (flags & FS_WRITE))
        how |= O_RDWR;
    else
        how |= (flags & FS_WRITE) ? O_WRONLY : O_RDONLY;
    if (flags & FS_CREATE)
        how |= O_CREAT;
    if (flags & FS_EXCLUSIVE)
        how |= O_EXCL;

    int file;
    do {
        file = open(path, how, MODE_FILE);
    } while (file < 0 && errno == EINTR);
    if (file < 0)
        return err_from_errno(errno);
    *file_out = file;
    return 0;
}

static void posix_close(void *self, int file)
{
    /* Linux frees the descriptor even when close() says EINTR: calling again could close another thread's. */
    close(file);
}

static int posix_pread(void *self, int file, void *to, size_t len, uint64_t offset, size_t *got_out)
{
    size_t got = 0;
    while (got < len) {
        ssize_t n = pread(file, (uint8_t *)to + got, len - got, (off_t)(offset + got));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_from_errno(errno);
        if (n == 0)
            break;
        got += (size_t)n;
    }
    *got_out = got;
    return 0;
}

static int posix_pwritev(void *self, int file, const struct iovec *parts, int count, uint64_t offset)
{
    size_t done = 0;                     /* bytes of parts[0] already written */
    while (count > 0) {
        if (parts->iov_len == done) {
            parts++;
            count--;
            done = 0;
            continue;
        }
        ssize_t n;
        if (done > 0)                    /* the rest of a part that was cut short: `parts` is not ours to change */
            n = pwrite(file, (uint8_t *)parts->iov_base + done, parts->iov_len - done, (off_t)offset);
        else
            n = pwritev(file, parts, count < IOV_MAX ? count : IOV_MAX, (off_t)offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_from_errno(errno);
        if (n == 0)
            return ERR_IO;               /* bytes left and no error: a device that will never take them */
        offset += (uint64_t)n;
        done += (size_t)n;
        while (count > 0 && done >= parts->iov_len) {
            done -= parts->iov_len;
            parts++;
            count--;
        }
    }
    return 0;
}

static int posix_sync(void *self, int file)
{
    /* Not repeated on EINTR either: Linux does not interrupt it, and a second call after a failed one would
     * report success for pages the kernel has already given up. */
    return fdatasync(file) ? err_from_errno(errno) : 0;
}

static int posix_write_back(void *self, int file, uint64_t offset, uint64_t len, uint64_t behind)
{
    int err = sync_file_range(file, (off_t)offset, (off_t)len, SYNC_FILE_RANGE_WRITE);
    if (!err && behind > 0)
        err = sync_file_range(file, (off_t)(offset - behind), (off_t)behind, SYNC_FILE_RANGE_WAIT_BEFORE);
    /* The wait takes an error of the pages away from a later fdatasync(), so it is told here. File systems and kernels
     * that know nothing of all this have lost nothing. */
    return err && (errno == EIO || errno == ENOSPC || errno == EDQUOT) ? err_from_errno(errno) : 0;
}

static int posix_truncate(void *self, int file, uint64_t size)
{
    int rc;
    do {
        rc = ftruncate(file, (off_t)size);
    } while (rc < 0 && errno == EINTR);
    return rc ? err_from_errno(errno) : 0;
}

static int posix_size(void *self, int file, uint64_t *size_out)
{
    struct stat st;
    if (fstat(file, &st))
        return err_from_errno(errno);
    *size_out = (uint64_t)st.st_size;
    return 0;
}

static int posix_rename(void *self, const char *from, const char *to)
{
    return rename(from, to) ? err_from_errno(errno) : 0;
}

static int posix_unlink(void *self, const char *path)
{
    return unlink(path) ? err_from_errno(errno) : 0;
}

static int posix_link(void *self, const char *from, const char *to)
{
    if (!link(from, to)) return 0;
    bool cannot = errno == EXDEV || errno == EPERM || errno == EMLINK || errno == EOPNOTSUPP;
    return cannot ? ERR_UNSUPPORTED : err_from_errno(errno);
}

static int posix_rmdir(void *self, const char *path)
{
    if (!rmdir(path)) return 0;
    return errno == ENOTEMPTY || errno == EEXIST ? ERR_IN_USE : err_from_errno(errno);
}

static int posix_mkdir(void *self, const char *path)
{
    if (!mkdir(path, MODE_DIR))
        return 0;
    int err = err_from_errno(errno);
    struct stat st;
    if (err == ERR_EXISTS && !stat(path, &st) && S_ISDIR(st.st_mode))
        return 0;
    return err;
}

static int posix_sync_dir(void *self, const char *path)
{
    int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        return err_from_errno(errno);
    int err = fsync(dir) ? err_from_errno(errno) : 0;
    close(dir);
    return err;
}

static int posix_list(void *self, const char *path, int (*each)(void *arg, const char *name), void *arg)
{
    DIR *dir = opendir(path);
    if (!dir)
        return err_from_errno(errno);
    int err = 0;
    while (!err) {
        errno = 0;                       /* the only way to tell the end from an error */
        const struct dirent *entry = readdir(dir);
        if (!entry) {
            err = errno ? err_from_errno(errno) : 0;
            break;
        }
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            err = each(arg, entry->d_name);
    }
    closedir(dir);
    return err;
}

static int posix_exists(void *self, const char *path, bool *exists_out, uint64_t *size_out)
{
    struct stat st;
    if (stat(path, &st)) {
        if (errno != ENOENT && errno != ENOTDIR)
            return err_from_errno(errno);
        *exists_out = false;
        *size_out = 0;
        return 0;
    }
    *exists_out = true;
    *size_out = (uint64_t)st.st_size;
    return 0;
}

/* An open-file-description lock belongs to this one open file, not to the process: closing some other descriptor of
 * the same file, in this or another descriptor table, does not release it as it would a classic POSIX lock. */
static int posix_lock(void *self, const char *path, int *lock_out)
{
    int file;
    int err = posix_open(self, path, FS_READ | FS_WRITE | FS_CREATE, &file);
    if (err)
        return err;
    struct flock whole = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
    if (fcntl(file, F_OFD_SETLK, &whole)) {
        err = errno == EAGAIN || errno == EACCES ? ERR_IN_USE : err_from_errno(errno);
        close(file);
        return err;
    }
    *lock_out = file;
    return 0;
}

static void posix_unlock(void *self, int lock)
{
    struct flock whole = { .l_type = F_UNLCK, .l_whence = SEEK_SET };
    /* Unlocking first: a copy of the descriptor elsewhere would keep the lock over our close. */
    fcntl(lock, F_OFD_SETLK, &whole);
    close(lock);
}

static int posix_space(void *self, const char *path, uint64_t *free_out)
{
    struct statvfs st;
    if (statvfs(path, &st))
        return err_from_errno(errno);
    *free_out = (uint64_t)st.f_bavail * st.f_frsize;
    return 0;
}

const struct fsio *fsio_posix(void)
{
    static const struct fsio posix = {
        .open = posix_open,
        .close = posix_close,
        .pread = posix_pread,
        .pwritev = posix_pwritev,
        .sync = posix_sync,
        .write_back = posix_write_back,
        .truncate = posix_truncate,
        .size = posix_size,
        .rename = posix_rename,
        .unlink = posix_unlink,
        .link = posix_link,
        .rmdir = posix_rmdir,
        .mkdir = posix_mkdir,
        .sync_dir = posix_sync_dir,
        .list = posix_list,
        .exists = posix_exists,
        .lock = posix_lock,
        .unlock = posix_unlock,
        .space = posix_space,
    };
    return &posix;
}

void fs_path(char out[static FS_PATH_MAX], const char *dir, const char *name)
{
    int len = snprintf(out, FS_PATH_MAX, "%s/%s", dir, name);
    assert(len > 0 && len < FS_PATH_MAX);
}
