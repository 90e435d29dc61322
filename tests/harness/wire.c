/* wire.c - see wire.h. */
#include "tests/harness/wire.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

void wire_open(struct wire *w, struct rig *rig)
{
    struct sockaddr_un to = { .sun_family = AF_UNIX };
    snprintf(to.sun_path, sizeof to.sun_path, "%s/admin.sock", rig_folder(rig));
    w->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    buf_init(&w->in, 4 * WIRE_LINE_MAX);
    assert_int_equal(connect(w->fd, (struct sockaddr *)&to, sizeof to), 0);
}

void wire_close(struct wire *w)
{
    close(w->fd);
    buf_fini(&w->in);
}

bool wire_write(struct wire *w, const char *text, size_t len)
{
    while (len > 0) {
        ssize_t n = send(w->fd, text, len, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return false;
        text += n;
        len -= (size_t)n;
    }
    return true;
}

void wire_say(struct wire *w, const char *line)
{
    assert_true(wire_write(w, line, strlen(line)));
    assert_true(wire_write(w, "\n", 1));
}

json_t *wire_hear(struct wire *w)
{
    for (;;) {
        uint8_t *end = w->in.len ? memchr(w->in.at, '\n', w->in.len) : NULL;
        if (end) {
            size_t len = (size_t)(end - w->in.at);
            json_t *answer = json_loadb((char *)w->in.at, len, 0, NULL);
            assert_non_null(answer);
            memmove(w->in.at, end + 1, w->in.len - len - 1);
            w->in.len -= len + 1;
            return answer;
        }
        char piece[4096];
        struct pollfd wait = { .fd = w->fd, .events = POLLIN };
        assert_int_equal(poll(&wait, 1, WIRE_MS_MAX), 1);
        ssize_t n = read(w->fd, piece, sizeof piece);
        if (n <= 0) return NULL;
        buf_put(&w->in, piece, (size_t)n);
        assert_int_equal(w->in.err, 0);
    }
}

json_t *wire_ask(struct wire *w, const char *line)
{
    wire_say(w, line);
    json_t *answer = wire_hear(w);
    assert_non_null(answer);
    return answer;
}

bool is_ok(json_t *answer)
{
    return json_is_true(json_object_get(answer, "ok"));
}

const char *text_of(json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text ? text : "";
}

json_int_t number_of(json_t *object, const char *name)
{
    return json_integer_value(json_object_get(object, name));
}

json_t *ask(struct rig *rig, const char *line)
{
    struct wire w;
    wire_open(&w, rig);
    json_t *answer = wire_ask(&w, line);
    wire_close(&w);
    return answer;
}

void expect_ok(struct rig *rig, const char *line)
{
    json_t *answer = ask(rig, line);
    if (!is_ok(answer)) fprintf(stderr, "%s: %s\n", line, text_of(answer, "text"));
    assert_true(is_ok(answer));
    json_decref(answer);
}

void expect_refused(json_t *answer, int err, const char *clause)
{
    assert_false(is_ok(answer));
    assert_string_equal(text_of(answer, "error"), err_name(err));
    if (!strstr(text_of(answer, "text"), clause)) fprintf(stderr, "it said: %s\n", text_of(answer, "text"));
    assert_non_null(strstr(text_of(answer, "text"), clause));
    json_decref(answer);
}

json_t *user_row(struct rig *rig, const char *name)
{
    json_t *answer = ask(rig, "{\"do\":\"user-list\"}"), *row, *found = NULL;
    size_t i;
    assert_true(is_ok(answer));
    json_array_foreach(json_object_get(answer, "users"), i, row) {
        if (strcmp(text_of(row, "user"), name) == 0) found = json_incref(row);
    }
    json_decref(answer);
    return found;
}

bool has_user(struct rig *rig, const char *name)
{
    json_t *row = user_row(rig, name);
    json_decref(row);
    return row != NULL;
}

/* -- the audit log ------------------------------------------------------------------------------------------------- */

char *audit_log(struct rig *rig)
{
    static char text[64 * 1024];
    char path[256];
    snprintf(path, sizeof path, "%s/audit.log", rig_folder(rig));
    if (rig_disk(rig)) {
        uint64_t size = disk_file_size(rig_disk(rig), path);
        if (size == UINT64_MAX) size = 0;
        assert_true(size < sizeof text);
        if (size) disk_file_read(rig_disk(rig), path, 0, text, (size_t)size);
        text[size] = '\0';
        return text;
    }
    FILE *f = fopen(path, "r");
    size_t len = f ? fread(text, 1, sizeof text - 1, f) : 0;
    text[len] = '\0';
    if (f) fclose(f);
    return text;
}

size_t count_lines(const char *text)
{
    size_t n = 0;
    for (; *text; text++) n += *text == '\n';
    return n;
}

void assert_last_audit_line(struct rig *rig, const char *ending)
{
    const char *text = audit_log(rig);
    size_t len = strlen(text), want = strlen(ending);
    if (len < want || strcmp(text + len - want, ending) != 0) fprintf(stderr, "audit.log:\n%s", text);
    assert_true(len >= want);
    assert_string_equal(text + len - want, ending);
}

int wire_setup(void **state)
{
    struct rig *rig = rig_new(&(struct rig_options){ .shards = 2, .real_folder = true });
    rig_add(rig, "alice", 2);
    rig_add(rig, "bob", 1);
    rig_up(rig);
    *state = rig;
    return 0;
}

int wire_teardown(void **state)
{
    rig_free(*state);
    return 0;
}
