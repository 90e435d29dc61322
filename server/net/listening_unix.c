/* listening_unix.c - a Unix socket: its file, and whose it is.
 *
 * One socket listens, and each shard has a descriptor of it: Unix sockets know no SO_REUSEPORT. A connection then wakes
 * all shards, one accepts it and the others find nothing. The alternative, one shard that accepts and hands over, would
 * make that shard the bottleneck of everybody behind the proxy, and a second way of handing over; a wake in vain costs
 * a microsecond, falls to shards that sleep anyway, and a busy shard takes less than its share, which is as it should
 * be.
 *
 * A file that stays behind when a server is killed is in the way of the next one. Whether anybody still listens is
 * found out by connecting: refused means dead, and only then is it replaced. It is removed at the end if it is still
 * the one that was made here. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "server/net/inside.h"

static int refuse(int err, char why[static LISTENING_WHY_MAX], const char *path, const char *text)
{
    snprintf(why, LISTENING_WHY_MAX, "unix:%.110s: %s", path, text);
    return err;
}

static int refuse_errno(char why[static LISTENING_WHY_MAX], const char *path)
{
    bool config = errno == EACCES || errno == ENOENT || errno == ENOTDIR || errno == EROFS || errno == EPERM;
    return refuse(config ? ERR_CONFIG : ERR_IO, why, path,
                  errno == ENOENT ? "its folder does not exist" : strerror(errno));
}

int unix_check(const char *path, char why[static LISTENING_WHY_MAX])
{
    char text[100];
    size_t max = sizeof((struct sockaddr_un *)0)->sun_path - 1, len = strlen(path);
    _Static_assert(sizeof((struct unix_file *)0)->path >= sizeof((struct sockaddr_un *)0)->sun_path, "every path fits");
    if (len == 0) return refuse(ERR_CONFIG, why, path, "no path; write unix:/run/pipit/pipit.sock");
    if (len <= max) return 0;
    snprintf(text, sizeof text, "its path has %zu bytes; a Unix socket's may have %zu", len, max);
    return refuse(ERR_CONFIG, why, path, text);
}

/* Nobody, somebody (ERR_IN_USE), or not to be found out. */
static int who_listens(const struct sockaddr_un *at, char why[static LISTENING_WHY_MAX])
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) return refuse_errno(why, at->sun_path);
    int err = connect(fd, (const struct sockaddr *)at, sizeof *at) == 0 ? 0 : errno;
    close(fd);
    if (err == ECONNREFUSED || err == ENOENT) return 0;
    /* EAGAIN: its queue is full, so there is one. */
    if (err == 0 || err == EAGAIN) return refuse(ERR_IN_USE, why, at->sun_path, "another program listens there");
    errno = err;
    return refuse_errno(why, at->sun_path);
}

static int clear_the_way(const struct sockaddr_un *at, char why[static LISTENING_WHY_MAX])
{
    struct stat st;
    if (lstat(at->sun_path, &st) != 0) return errno == ENOENT ? 0 : refuse_errno(why, at->sun_path);
    if (!S_ISSOCK(st.st_mode)) return refuse(ERR_CONFIG, why, at->sun_path, "there is a file, and it is no socket");
    int err = who_listens(at, why);
    if (err) return err;
    return unlink(at->sun_path) == 0 || errno == ENOENT ? 0 : refuse_errno(why, at->sun_path);
}

int unix_bind(const char *path, uint32_t mode, int backlog, struct unix_file *file_out, int *fd_out,
              char why[static LISTENING_WHY_MAX])
{
    struct sockaddr_un at = { .sun_family = AF_UNIX };
    struct stat st;
    strcpy(at.sun_path, path);
    int err = clear_the_way(&at, why);
    if (err) return err;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) return refuse_errno(why, path);
    if (bind(fd, (const struct sockaddr *)&at, sizeof at) != 0) {
        err = errno == EADDRINUSE ? refuse(ERR_IN_USE, why, path, "another program has just made it")
                                  : refuse_errno(why, path);
        close(fd);
        return err;
    }
    /* Nobody gets in before listen(), so the mode is right from the first connection on. */
    if (chmod(path, (mode_t)mode) != 0 || lstat(path, &st) != 0 || listen(fd, backlog) != 0) {
        err = refuse_errno(why, path);
        unlink(path);
        close(fd);
        return err;
    }
    strcpy(file_out->path, path);
    file_out->device = (uint64_t)st.st_dev;
    file_out->inode = (uint64_t)st.st_ino;
    *fd_out = fd;
    return 0;
}

void unix_remove(const struct unix_file *file)
{
    struct stat st;
    if (!file->path[0] || lstat(file->path, &st) != 0) return;
    if ((uint64_t)st.st_dev == file->device && (uint64_t)st.st_ino == file->inode) unlink(file->path);
}
