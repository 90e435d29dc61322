/* admin.c - see admin.h: the socket, its clients, their lines. What a line asks is in admin_*.c.
 *
 * A client sends one line, gets one line, and may send the next: whole lines that came early wait in its buffer. */
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utlist.h>

#include "server/admin_impl.h"

enum {
    ADMIN_LINE_BYTES_MAX = 1024 * 1024,  /* a request that names 10,000 users */
    ADMIN_CLIENTS_MAX = 16,
};

/* -- clients ------------------------------------------------------------------------------------------------------- */

static void client_free(struct client *c)
{
    buf_fini(&c->in);
    free(c);
}

static void client_on_closed(uv_handle_t *handle)
{
    struct client *c = handle->data;
    DL_DELETE(c->admin->clients, c);
    c->admin->client_count--;
    c->admin = NULL;
    if (!c->busy) client_free(c);        /* else its task does */
}

static void client_close(struct client *c)
{
    if (c->closing) return;
    c->closing = true;
    uv_close((uv_handle_t *)&c->pipe, client_on_closed);
}

struct line_write { uv_write_t req; char *text; };

static void line_written(uv_write_t *req, int status)
{
    struct line_write *w = (struct line_write *)req;
    (void)status;
    free(w->text);
    free(w);
}

static void client_write(struct client *c, json_t *answer)
{
    struct line_write *w = calloc(1, sizeof *w);
    char *text = json_dumps(answer, JSON_COMPACT);
    size_t len = text ? strlen(text) : 0;
    char *line = text ? realloc(text, len + 2) : NULL;
    if (!w || !line) {
        free(w);
        free(text);
        client_close(c);
        return;
    }
    memcpy(line + len, "\n", 2);
    w->text = line;
    uv_buf_t buf = uv_buf_init(line, (unsigned)(len + 1));
    if (uv_write(&w->req, (uv_stream_t *)&c->pipe, &buf, 1, line_written)) {
        free(line);
        free(w);
        client_close(c);
    }
}

void client_answer(struct client *c, json_t *answer)
{
    if (!answer) answer = json_object();
    if (!c->closing) {
        json_object_set_new(answer, "ok", json_true());
        client_write(c, answer);
    }
    json_decref(answer);
}

void client_refuse(struct client *c, int err, const char *text, json_t *more)
{
    if (c->closing) return;
    json_t *answer = json_pack("{s:b, s:s, s:s}", "ok", 0, "error", err_name(err), "text", text ? text : err_text(err));
    if (more) json_object_update(answer, more);
    client_write(c, answer);
    json_decref(answer);
}

/* The next whole lines, as long as none is being served. */
static void client_serve(struct client *c)
{
    while (!c->busy && !c->closing) {
        uint8_t *end = c->in.len ? memchr(c->in.at, '\n', c->in.len) : NULL;
        if (!end) return;
        size_t len = (size_t)(end - c->in.at);
        char *line = malloc(len + 1);    /* bytes: a NUL may be among them */
        if (line) memcpy(line, c->in.at, len);
        memmove(c->in.at, end + 1, c->in.len - len - 1);
        c->in.len -= len + 1;
        if (!line) {
            client_close(c);
            return;
        }
        admin_serve_line(c, line, len);
        sodium_memzero(line, len);       /* a password may have been in it */
        free(line);
    }
}

void client_done(struct client *c)
{
    c->busy = false;
    if (!c->admin) client_free(c);       /* its handle has gone */
    else client_serve(c);
}

static void client_on_alloc(uv_handle_t *handle, size_t size, uv_buf_t *buf)
{
    static char room[64 * 1024];         /* main's thread alone reads into it */
    (void)handle;
    (void)size;
    *buf = uv_buf_init(room, sizeof room);
}

static void client_on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct client *c = stream->data;
    if (n < 0) {
        client_close(c);
        return;
    }
    buf_put(&c->in, buf->base, (size_t)n);
    if (n > 0) sodium_memzero(buf->base, (size_t)n);
    if (c->in.err) {
        client_refuse(c, ERR_TOO_BIG, "a line is at most 1 MiB", NULL);
        client_close(c);
        return;
    }
    client_serve(c);
}

/* Who connected, for the audit: what the kernel noted then. */
static bool learn_peer(struct client *c)
{
    struct ucred peer;
    socklen_t len = sizeof peer;
    uv_os_fd_t fd;
    if (uv_fileno((uv_handle_t *)&c->pipe, &fd) || getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len)) return false;
    c->uid = peer.uid;
    c->pid = peer.pid;
    return true;
}

static void on_connection(uv_stream_t *listener, int status)
{
    struct admin *admin = listener->data;
    struct client *c = status == 0 ? calloc(1, sizeof *c) : NULL;
    if (!c) return;
    c->admin = admin;
    buf_init(&c->in, ADMIN_LINE_BYTES_MAX);
    c->pipe.data = c;
    if (uv_pipe_init(&admin->shard->loop, &c->pipe, 0)) {
        free(c);
        return;
    }
    admin->client_count++;
    DL_APPEND(admin->clients, c);
    if (uv_accept(listener, (uv_stream_t *)&c->pipe) || !learn_peer(c)) {
        client_close(c);
    } else if (admin->client_count > ADMIN_CLIENTS_MAX) {
        client_refuse(c, ERR_BUSY, "too many clients of the admin socket at once", NULL);
        client_close(c);
    } else if (uv_read_start((uv_stream_t *)&c->pipe, client_on_alloc, client_on_read)) {
        client_close(c);
    }
}

/* -- opening and closing ------------------------------------------------------------------------------------------- */

static void listener_on_closed(uv_handle_t *handle)
{
    ((struct admin *)handle->data)->listener_closed = true;
}

int admin_open(struct shard *main_shard, const struct admin_config *config, struct admin **admin_out)
{
    struct admin *admin = calloc(1, sizeof *admin);
    if (!admin) return ERR_NOMEM;
    admin->shard = main_shard;
    admin->config = *config;
    admin->listener.data = admin;
    int n = snprintf(admin->path, sizeof admin->path, "%s/admin.sock", config->dir);
    if (n < 0 || (size_t)n >= sizeof admin->path) {
        free(admin);
        return ERR_TOO_BIG;
    }
    int err = audit_new(config->chat->store->fs, config->dir, &admin->audit);
    if (!err && uv_pipe_init(&main_shard->loop, &admin->listener, 0)) err = ERR_IO;
    if (err) {
        audit_free(admin->audit);
        free(admin);
        return err;
    }
    unlink(admin->path);                 /* of a server that was killed: we hold the folder's lock */
    *admin_out = admin;
    if (uv_pipe_bind(&admin->listener, admin->path) == 0 && chmod(admin->path, 0600) == 0 &&
        uv_listen((uv_stream_t *)&admin->listener, ADMIN_CLIENTS_MAX, on_connection) == 0) {
        return 0;
    }
    admin_close(admin);                  /* freed with the server, once its handle is closed */
    return ERR_IO;
}

void admin_close(struct admin *admin)
{
    if (admin->closing) return;
    admin->closing = true;
    atomic_store_explicit(&admin->backup_stop, true, memory_order_relaxed);
    unlink(admin->path);
    uv_close((uv_handle_t *)&admin->listener, listener_on_closed);
    admin_erase_stop(admin);
    struct client *c, *tmp;
    DL_FOREACH_SAFE(admin->clients, c, tmp) client_close(c);
}

bool admin_is_closed(const struct admin *admin)
{
    return admin->listener_closed && !admin->clients && !admin->backing_up;
}

void admin_free(struct admin *admin)
{
    audit_free(admin->audit);
    free(admin);
}
