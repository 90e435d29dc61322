/* fuzz_admin.c - whatever is said to the admin socket of a whole server.
 *
 * Not crashing is half of it. The other half: each line gets one answer, an object that is ok or a refusal with a name
 * and a text, in order; and the last line, which asks for nothing special, is served however odd those before it were.
 *
 * An input that changed something (the audit log tells) gets a new server after it, so that each finds the same one. */
#include <assert.h>
#include <errno.h>
#include <jansson.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/harness/rig.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { LAST_RESORT_MS = 60000, ANSWERS_BYTES_MAX = 64 * 1024 * 1024 };

static const char last_line[] = "\n{\"do\":\"user-list\",\"after\":\"zz\"}\n";
static const char last_answer[] = "{\"users\":[],\"more\":false,\"ok\":true}";

static struct rig *rig;

static void take_down(void)
{
    rig_free(rig);
    rig = NULL;
}

static void bring_up(void)
{
    static bool known;
    rig = rig_new(&(struct rig_options){ .real_folder = true, .disk = disk_new(1) });
    rig_add(rig, "alice", 1);
    rig_add(rig, "bob", 1);
    rig_up(rig);
    if (!known) atexit(take_down);
    known = true;
}

static bool has_changed(void)
{
    char path[300];
    snprintf(path, sizeof path, "%s/audit.log", rig_folder(rig));
    uint64_t bytes = disk_file_size(rig_disk(rig), path);
    return bytes != UINT64_MAX && bytes > 0;
}

static int dial(void)
{
    struct sockaddr_un to = { .sun_family = AF_UNIX };
    snprintf(to.sun_path, sizeof to.sun_path, "%s/admin.sock", rig_folder(rig));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to)) abort();
    return fd;
}

static void expect_answer(const char *line, size_t len)
{
    json_t *answer = json_loadb(line, len, JSON_REJECT_DUPLICATES, NULL), *ok = json_object_get(answer, "ok");
    assert(json_is_object(answer) && json_is_boolean(ok));
    if (json_is_false(ok)) {
        const char *name = json_string_value(json_object_get(answer, "error"));
        const char *text = json_string_value(json_object_get(answer, "text"));
        assert(name && name[0] && text && text[0]);
    }
    json_decref(answer);
}

/* Says all of `said` and hears what comes meanwhile, until there are `lines` answers. False: the server closed. */
static bool converse(int fd, struct bytes said, size_t lines, struct buf *heard)
{
    size_t count = 0;
    while (count < lines) {
        struct pollfd p = { .fd = fd, .events = (short)(POLLIN | (said.len ? POLLOUT : 0)) };
        char piece[16 * 1024];
        int ready = poll(&p, 1, LAST_RESORT_MS);
        if (ready < 0 && errno == EINTR) continue;         /* the fuzzer has a timer */
        if (ready != 1) abort();
        if (p.revents & POLLIN) {
            ssize_t n = read(fd, piece, sizeof piece);
            if (n <= 0) return false;
            for (ssize_t i = 0; i < n; i++) count += piece[i] == '\n';
            buf_put(heard, piece, (size_t)n);
            assert(!heard->err);
        } else if (p.revents & POLLOUT) {
            ssize_t n = send(fd, said.at, said.len, MSG_NOSIGNAL | MSG_DONTWAIT);
            if (n < 0) return false;
            said = bytes_of(said.at + n, said.len - (size_t)n);
        } else {
            return false;
        }
    }
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf said, heard;
    size_t lines = 2;
    if (!rig) bring_up();
    for (size_t i = 0; i < size; i++) lines += data[i] == '\n';
    buf_init(&said, size + sizeof last_line);
    buf_init(&heard, ANSWERS_BYTES_MAX);
    if (size) buf_put(&said, data, size);
    buf_put(&said, last_line, sizeof last_line - 1);
    int fd = dial();
    bool all = converse(fd, buf_bytes(&said), lines, &heard);
    close(fd);

    size_t at = 0, len = 0;
    for (; at < heard.len; at += len + 1) {
        const uint8_t *end = memchr(heard.at + at, '\n', heard.len - at);
        assert(end || !all);
        len = (end ? (size_t)(end - heard.at) : heard.len) - at;
        if (end) expect_answer((const char *)heard.at + at, len);
    }
    /* Only a shutdown ends the connection. */
    if (!all) assert(memmem(data, size, "shutdown", 8) || memmem(data, size, "\\u00", 4));
    else assert(len == sizeof last_answer - 1 && memcmp(heard.at + at - len - 1, last_answer, len) == 0);
    buf_fini(&said);
    buf_fini(&heard);
    if (!all || has_changed()) take_down();
    return 0;
}
