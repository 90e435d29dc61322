/* test_admin.c - the admin socket, spoken to as pipitctl does and as it should not be: lines of JSON over DIR/admin.sock.
 *
 * A server in this process on a temporary folder, since the socket is a file. What a request changes is looked for where
 * it matters: in a session, in a log-in, in the next list, in DIR/audit.log. */
#include "tests/flow/flow.h"

#include <errno.h>
#include <jansson.h>
#include <poll.h>
#include <sodium.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { LAST_RESORT_MS = 60000, LINE_MAX_BYTES = 1024 * 1024, CLIENTS_TRIED = 64 };

/* -- a client of the socket --------------------------------------------------------------------------------------------- */

struct wire {
    int fd;
    struct buf in;
};

static void wire_open(struct wire *w, struct rig *rig)
{
    struct sockaddr_un to = { .sun_family = AF_UNIX };
    snprintf(to.sun_path, sizeof to.sun_path, "%s/admin.sock", rig_folder(rig));
    w->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    buf_init(&w->in, 4 * LINE_MAX_BYTES);
    assert_int_equal(connect(w->fd, (struct sockaddr *)&to, sizeof to), 0);
}

static void wire_close(struct wire *w)
{
    close(w->fd);
    buf_fini(&w->in);
}

/* All of it, or as much as goes out before the server closes. */
static bool wire_write(struct wire *w, const char *text, size_t len)
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

static void wire_say(struct wire *w, const char *line)
{
    assert_true(wire_write(w, line, strlen(line)));
    assert_true(wire_write(w, "\n", 1));
}

/* The next line, NULL when the server has closed. */
static json_t *wire_hear(struct wire *w)
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
        assert_int_equal(poll(&wait, 1, LAST_RESORT_MS), 1);
        ssize_t n = read(w->fd, piece, sizeof piece);
        if (n <= 0) return NULL;
        buf_put(&w->in, piece, (size_t)n);
        assert_int_equal(w->in.err, 0);
    }
}

static json_t *wire_ask(struct wire *w, const char *line)
{
    wire_say(w, line);
    json_t *answer = wire_hear(w);
    assert_non_null(answer);
    return answer;
}

static bool is_ok(json_t *answer)
{
    return json_is_true(json_object_get(answer, "ok"));
}

static const char *text_of(json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text ? text : "";
}

static json_int_t number_of(json_t *object, const char *name)
{
    return json_integer_value(json_object_get(object, name));
}

/* One request on a connection of its own. */
static json_t *ask(struct rig *rig, const char *line)
{
    struct wire w;
    wire_open(&w, rig);
    json_t *answer = wire_ask(&w, line);
    wire_close(&w);
    return answer;
}

static void expect_ok(struct rig *rig, const char *line)
{
    json_t *answer = ask(rig, line);
    if (!is_ok(answer)) fprintf(stderr, "%s: %s\n", line, text_of(answer, "text"));
    assert_true(is_ok(answer));
    json_decref(answer);
}

static void expect_refused(json_t *answer, int err, const char *clause)
{
    assert_false(is_ok(answer));
    assert_string_equal(text_of(answer, "error"), err_name(err));
    if (!strstr(text_of(answer, "text"), clause)) fprintf(stderr, "it said: %s\n", text_of(answer, "text"));
    assert_non_null(strstr(text_of(answer, "text"), clause));
    json_decref(answer);
}

/* The user's row of user-list, NULL when there is none; decref it. */
static json_t *user_row(struct rig *rig, const char *name)
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

static bool has_user(struct rig *rig, const char *name)
{
    json_t *row = user_row(rig, name);
    json_decref(row);
    return row != NULL;
}

/* -- the audit log -------------------------------------------------------------------------------------------------------- */

static char *audit_log(struct rig *rig)
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

static size_t count_lines(const char *text)
{
    size_t n = 0;
    for (; *text; text++) n += *text == '\n';
    return n;
}

static void assert_last_audit_line(struct rig *rig, const char *ending)
{
    const char *text = audit_log(rig);
    size_t len = strlen(text), want = strlen(ending);
    if (len < want || strcmp(text + len - want, ending) != 0) fprintf(stderr, "audit.log:\n%s", text);
    assert_true(len >= want);
    assert_string_equal(text + len - want, ending);
}

/* -- a server ------------------------------------------------------------------------------------------------------------- */

static int setup(void **state)
{
    struct rig *rig = rig_new(&(struct rig_options){ .shards = 2, .real_folder = true });
    rig_add(rig, "alice", 2);
    rig_add(rig, "bob", 1);
    rig_up(rig);
    *state = rig;
    return 0;
}

static int teardown(void **state)
{
    rig_free(*state);
    return 0;
}

/* -- lines ---------------------------------------------------------------------------------------------------------------- */

static void what_is_no_request_is_refused_by_name_and_the_next_line_is_served(void **state)
{
    static const struct { const char *line; int err; const char *clause; } bad[] = {
        { "", ERR_MALFORMED, "not JSON" },
        { "hello", ERR_MALFORMED, "not JSON, at byte" },
        { "{\"do\":\"status\"", ERR_MALFORMED, "not JSON" },
        { "{\"do\":\"status\",\"do\":\"status\"}", ERR_MALFORMED, "duplicate" },
        { "{}", ERR_MALFORMED, "`do`" },
        { "[\"status\"]", ERR_MALFORMED, "`do`" },
        { "{\"do\":7}", ERR_MALFORMED, "`do`" },
        { "{\"do\":\"frobnicate\"}", ERR_UNKNOWN_TYPE, "frobnicate: no such request" },
        { "{\"do\":\"\"}", ERR_UNKNOWN_TYPE, "no such request" },
        { "{\"do\":\"status\",\"verbose\":true}", ERR_UNSUPPORTED, "verbose: not a member of status" },
        { "{\"do\":\"invite\",\"use\":5}", ERR_UNSUPPORTED, "use: not a member of invite, which may have: uses days note" },
        { "{\"do\":\"invite\",\"\":5}", ERR_UNSUPPORTED, "not a member" },
        { "{\"do\":\"user-add\",\"password\":\"a password\"}", ERR_RANGE, "users: a list of 1 to 10000" },
        { "{\"do\":\"user-add\",\"users\":\"carol\",\"password\":\"a password\"}", ERR_RANGE, "users:" },
        { "{\"do\":\"user-add\",\"users\":[7],\"password\":\"a password\"}", ERR_NAME, "not a text:" },
        { "{\"do\":\"user-add\",\"users\":[\"Carol\"],\"password\":\"a password\"}", ERR_NAME, "Carol:" },
        { "{\"do\":\"user-add\",\"users\":[\"carol\"]}", ERR_PASSWORD, "password:" },
        { "{\"do\":\"user-add\",\"users\":[\"carol\"],\"password\":\"short\"}", ERR_PASSWORD, "8 to 256" },
        { "{\"do\":\"user-list\",\"after\":7}", ERR_NAME, "after:" },
        { "{\"do\":\"device-add\",\"users\":[\"bob\"],\"name\":\"a\\nb\"}", ERR_RANGE, "name: a text of at most 64" },
    };
    struct rig *rig = *state;
    struct wire w;
    wire_open(&w, rig);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) expect_refused(wire_ask(&w, bad[i].line), bad[i].err, bad[i].clause);
    json_t *answer = wire_ask(&w, "{\"do\":\"status\"}");
    assert_true(is_ok(answer));
    assert_int_equal(number_of(answer, "users"), 2);
    json_decref(answer);
    wire_close(&w);
    assert_string_equal(audit_log(rig), "");
}

static void a_line_over_the_limit_is_refused_and_ends_the_connection(void **state)
{
    struct rig *rig = *state;
    struct wire w;
    char *line = malloc(LINE_MAX_BYTES + 1);
    assert_non_null(line);
    memset(line, ' ', LINE_MAX_BYTES + 1);
    wire_open(&w, rig);
    (void)wire_write(&w, line, LINE_MAX_BYTES + 1);
    free(line);
    json_t *answer = wire_hear(&w);
    assert_non_null(answer);
    expect_refused(answer, ERR_TOO_BIG, "1 MiB");
    assert_null(wire_hear(&w));
    wire_close(&w);
    expect_ok(rig, "{\"do\":\"status\"}");
}

static void requests_of_one_write_are_answered_in_order(void **state)
{
    struct rig *rig = *state;
    struct wire w;
    wire_open(&w, rig);
    /* The first takes a password to hash, the last two nothing at all. */
    wire_say(&w, "{\"do\":\"user-add\",\"users\":[\"carol\"],\"password\":\"a password\"}\n"
                 "{\"do\":\"user-list\",\"after\":\"bob\"}\n{\"do\":\"nothing\"}\n{\"do\":\"invite\",\"uses\":0}");
    json_t *answer = wire_hear(&w);
    assert_true(is_ok(answer));
    assert_null(json_object_get(answer, "users"));
    json_decref(answer);
    answer = wire_hear(&w);
    assert_string_equal(text_of(json_array_get(json_object_get(answer, "users"), 0), "user"), "carol");
    json_decref(answer);
    expect_refused(wire_hear(&w), ERR_UNKNOWN_TYPE, "nothing");
    expect_refused(wire_hear(&w), ERR_RANGE, "uses");
    wire_close(&w);
}

static void a_line_may_come_byte_by_byte(void **state)
{
    struct rig *rig = *state;
    struct wire w;
    wire_open(&w, rig);
    for (const char *at = "{\"do\":\"status\"}\n"; *at; at++) assert_true(wire_write(&w, at, 1));
    json_t *answer = wire_hear(&w);
    assert_true(is_ok(answer));
    json_decref(answer);
    wire_close(&w);
}

static void what_a_client_asked_for_is_done_though_it_has_gone(void **state)
{
    struct rig *rig = *state;
    struct wire w;
    wire_open(&w, rig);
    wire_say(&w, "{\"do\":\"user-add\",\"users\":[\"carol\"],\"password\":\"a password\"}");
    wire_close(&w);
    while (!has_user(rig, "carol")) { }
}

static void more_clients_than_allowed_are_told_so(void **state)
{
    struct rig *rig = *state;
    struct wire w[CLIENTS_TRIED];
    int count = 0;
    json_t *answer = NULL;
    while (count < CLIENTS_TRIED) {
        wire_open(&w[count], rig);
        (void)wire_write(&w[count], "{\"do\":\"status\"}\n", 16);
        answer = wire_hear(&w[count++]);
        assert_non_null(answer);
        if (!is_ok(answer)) break;
        json_decref(answer);
    }
    assert_in_range(count, 3, CLIENTS_TRIED - 1);
    expect_refused(answer, ERR_BUSY, "too many clients");
    assert_null(wire_hear(&w[count - 1]));
    while (count > 0) wire_close(&w[--count]);
    bool served = false;             /* as soon as the server has seen one of them go */
    while (!served) {
        wire_open(&w[0], rig);
        (void)wire_write(&w[0], "{\"do\":\"status\"}\n", 16);
        answer = wire_hear(&w[0]);
        served = is_ok(answer);
        json_decref(answer);
        wire_close(&w[0]);
    }
}

static void the_socket_is_its_owners_alone(void **state)
{
    struct rig *rig = *state;
    char path[256];
    struct stat st;
    snprintf(path, sizeof path, "%s/admin.sock", rig_folder(rig));
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
}

static void shutdown_is_answered_and_stops_the_server(void **state)
{
    struct rig *rig = *state;
    struct wire w;
    wire_open(&w, rig);
    json_t *answer = wire_ask(&w, "{\"do\":\"shutdown\"}");
    assert_true(is_ok(answer));
    json_decref(answer);
    assert_null(wire_hear(&w));
    wire_close(&w);
    assert_last_audit_line(rig, " act=shutdown outcome=OK\n");
    rig_down(rig);
    rig_up(rig);
    expect_ok(rig, "{\"do\":\"status\"}");
}

/* -- users ---------------------------------------------------------------------------------------------------------------- */

static void a_name_given_twice_leaves_none_of_its_request_behind(void **state)
{
    struct rig *rig = *state;
    expect_refused(ask(rig, "{\"do\":\"user-add\",\"users\":[\"carol\",\"dave\",\"carol\"],\"password\":\"a password\"}"),
                   ERR_EXISTS, "carol: ");
    assert_false(has_user(rig, "carol"));
    assert_false(has_user(rig, "dave"));
    expect_refused(ask(rig, "{\"do\":\"user-add\",\"users\":[\"carol\",\"alice\"],\"password\":\"a password\"}"),
                   ERR_EXISTS, "alice: ");
    assert_false(has_user(rig, "carol"));
    assert_last_audit_line(rig, " act=user-add whom=carol,alice outcome=EXISTS\n");
    expect_ok(rig, "{\"do\":\"user-add\",\"users\":[\"carol\",\"dave\"],\"password\":\"a password\"}");
    assert_true(has_user(rig, "dave"));
    assert_last_audit_line(rig, " act=user-add whom=carol,dave outcome=OK\n");
    assert_null(strstr(audit_log(rig), "a password"));
}

static void a_long_list_of_users_comes_in_pages_each_once_and_in_order(void **state)
{
    enum { USERS = 1203 };
    struct rig *rig = *state;
    json_t *names = json_array(), *row;
    char name[16], line[128], last[40] = "";
    for (int i = 0; i < USERS; i++) {
        snprintf(name, sizeof name, "u%04d", i);
        json_array_append_new(names, json_string(name));
    }
    json_t *request = json_pack("{s:s, s:o, s:s}", "do", "user-add", "users", names, "password", "a password");
    char *text = json_dumps(request, JSON_COMPACT);
    expect_ok(rig, text);
    free(text);
    json_decref(request);

    size_t seen = 0, pages = 0, i;
    bool more = true;
    struct wire w;
    wire_open(&w, rig);
    while (more) {
        if (last[0]) snprintf(line, sizeof line, "{\"do\":\"user-list\",\"after\":\"%s\"}", last);
        else snprintf(line, sizeof line, "{\"do\":\"user-list\"}");
        json_t *answer = wire_ask(&w, line), *users = json_object_get(answer, "users");
        assert_true(json_array_size(users) <= 500);
        json_array_foreach(users, i, row) {
            assert_true(strcmp(text_of(row, "user"), last) > 0);
            snprintf(last, sizeof last, "%s", text_of(row, "user"));
            seen++;
        }
        more = json_is_true(json_object_get(answer, "more"));
        pages++;
        json_decref(answer);
    }
    wire_close(&w);
    assert_int_equal(seen, USERS + 2);
    assert_int_equal(pages, 3);
}

static void the_list_shows_devices_and_when_one_was_last_seen(void **state)
{
    struct rig *rig = *state;
    json_t *row = user_row(rig, "alice");
    assert_int_equal(number_of(row, "devices"), 2);
    assert_int_equal(number_of(row, "seen"), 0);
    assert_false(json_is_true(json_object_get(row, "disabled")));
    assert_true(number_of(row, "created") > 0);
    json_decref(row);
    struct talker *a = rig_talk(rig, "alice", 0);
    talker_expect(a, MSG_SYNCED);
    talker_close(a);
    json_int_t seen = 0;
    while (seen == 0) {                  /* noted when the session has ended */
        row = user_row(rig, "alice");
        seen = number_of(row, "seen");
        json_decref(row);
    }
}

static int log_in(struct rig *rig, const char *user, const char *password)
{
    char text[256];
    struct buf body;
    int status;
    buf_init(&body, 4096);
    snprintf(text, sizeof text, "{\"user\":\"%s\",\"password\":\"%s\"}", user, password);
    talker_http(rig_port(rig), "POST", "/v1/login", bytes_of_str(text), &status, &body);
    buf_fini(&body);
    return status;
}

/* Two sessions of alice, synced, and one of bob. */
struct sessions { struct talker *a, *b, *bob; };

static struct sessions sessions_open(struct rig *rig)
{
    struct sessions s = { rig_talk(rig, "alice", 0), rig_talk(rig, "alice", 1), rig_talk(rig, "bob", 0) };
    talker_expect(s.a, MSG_SYNCED);
    talker_expect(s.b, MSG_SYNCED);
    talker_expect(s.bob, MSG_SYNCED);
    return s;
}

static void sessions_close(struct sessions *s)
{
    talker_close(s->a);
    talker_close(s->b);
    talker_close(s->bob);
}

/* GOODBYE says why, and the connection ends. */
static void assert_thrown_out(struct talker *t, int err)
{
    const struct msg *m = talker_expect(t, MSG_GOODBYE);
    assert_string_equal(err_name(-(int)m->u.goodbye.code), err_name(err));
    talker_expect_close(t);
}

static void assert_hello_refused(struct rig *rig, const char *user, uint32_t index, int err)
{
    const struct rig_device *d = rig_device(rig, user, index);
    struct talker *t = talker_upgrade(rig_port(rig));
    talker_hello(t, &d->user, d->device, d->token);
    const struct msg *m = talker_next(t);
    if (m->type == MSG_ERROR) assert_error(m, err);
    else assert_string_equal(err_name(-(int)m->u.goodbye.code), err_name(err));
    talker_close(t);
}

static void a_disabled_user_is_out_at_once_until_enabled(void **state)
{
    struct rig *rig = *state;
    struct sessions s = sessions_open(rig);
    expect_ok(rig, "{\"do\":\"user-disable\",\"user\":\"alice\"}");
    assert_last_audit_line(rig, " act=user-disable whom=alice outcome=OK\n");
    assert_thrown_out(s.a, ERR_AUTH);
    assert_thrown_out(s.b, ERR_AUTH);
    assert_int_equal(log_in(rig, "alice", "a password"), 401);
    assert_hello_refused(rig, "alice", 0, ERR_AUTH);
    json_t *row = user_row(rig, "alice");
    assert_true(json_is_true(json_object_get(row, "disabled")));
    json_decref(row);
    send_text(s.bob, "alice", 1, "are you there");       /* bob is let alone, and what he says is kept */
    expect_ok(rig, "{\"do\":\"user-enable\",\"user\":\"alice\"}");
    assert_last_audit_line(rig, " act=user-enable whom=alice outcome=OK\n");
    struct talker *again = rig_talk(rig, "alice", 0);
    expect_text(again, "are you there");
    talker_close(again);
    assert_int_equal(log_in(rig, "alice", "a password"), 200);
    sessions_close(&s);
    expect_refused(ask(rig, "{\"do\":\"user-disable\",\"user\":\"nobody\"}"), ERR_NOT_FOUND, "nobody: no such user");
    expect_refused(ask(rig, "{\"do\":\"user-enable\",\"user\":\"nobody\"}"), ERR_NOT_FOUND, "nobody: no such user");
    expect_refused(ask(rig, "{\"do\":\"user-disable\"}"), ERR_NAME, "not a text:");
}

static void a_removed_user_is_gone_and_its_name_stays_taken(void **state)
{
    struct rig *rig = *state;
    struct sessions s = sessions_open(rig);
    expect_ok(rig, "{\"do\":\"user-remove\",\"user\":\"alice\"}");
    assert_last_audit_line(rig, " act=user-remove whom=alice outcome=OK\n");
    assert_thrown_out(s.a, ERR_REVOKED);
    assert_thrown_out(s.b, ERR_REVOKED);
    assert_int_equal(talker_settle(s.bob), 0);
    sessions_close(&s);
    assert_false(has_user(rig, "alice"));
    assert_int_equal(log_in(rig, "alice", "a password"), 401);
    expect_refused(ask(rig, "{\"do\":\"user-add\",\"users\":[\"alice\"],\"password\":\"a password\"}"), ERR_EXISTS, "alice: ");
    expect_refused(ask(rig, "{\"do\":\"user-remove\",\"user\":\"alice\"}"), ERR_NOT_FOUND, "alice: no such user");
    expect_refused(ask(rig, "{\"do\":\"user-disable\",\"user\":\"alice\"}"), ERR_NOT_FOUND, "alice: ");
}

static void another_password_logs_out_all_devices_or_keeps_them(void **state)
{
    struct rig *rig = *state;
    struct sessions s = sessions_open(rig);
    expect_ok(rig, "{\"do\":\"user-password\",\"user\":\"alice\",\"password\":\"the second one\",\"keep_devices\":true}");
    assert_last_audit_line(rig, " act=user-password whom=alice revoked=0 outcome=OK\n");
    assert_int_equal(log_in(rig, "alice", "a password"), 401);
    assert_int_equal(log_in(rig, "alice", "the second one"), 200);    /* a third device */
    send_text(s.a, "bob", 1, "still here");
    json_t *answer = ask(rig, "{\"do\":\"user-password\",\"user\":\"alice\",\"password\":\"the third one\"}");
    assert_true(is_ok(answer));
    assert_int_equal(number_of(answer, "revoked"), 3);
    json_decref(answer);
    assert_thrown_out(s.a, ERR_REVOKED);
    assert_thrown_out(s.b, ERR_REVOKED);
    assert_hello_refused(rig, "alice", 0, ERR_REVOKED);
    assert_int_equal(log_in(rig, "alice", "the second one"), 401);
    assert_int_equal(log_in(rig, "alice", "the third one"), 200);
    sessions_close(&s);
    assert_null(strstr(audit_log(rig), "second"));
    assert_null(strstr(audit_log(rig), "third"));
    expect_refused(ask(rig, "{\"do\":\"user-password\",\"user\":\"nobody\",\"password\":\"a password\"}"), ERR_NOT_FOUND,
                   "nobody: no such user");
    expect_refused(ask(rig, "{\"do\":\"user-password\",\"user\":\"bob\",\"password\":\"short\"}"), ERR_PASSWORD, "password:");
    expect_refused(ask(rig, "{\"do\":\"user-password\",\"user\":\"bob\",\"password\":\"a password\",\"keep_devices\":1}"),
                   ERR_TYPE, "keep_devices: true or false");
}

static void a_name_that_looks_like_another_is_not_added(void **state)
{
    struct rig *rig = *state;
    expect_refused(ask(rig, "{\"do\":\"user-add\",\"users\":[\"b0b\"],\"password\":\"a password\"}"), ERR_EXISTS,
                   "b0b: looks like a name that is taken");
    assert_false(has_user(rig, "b0b"));
}

/* -- devices -------------------------------------------------------------------------------------------------------------- */

static void a_device_that_was_added_opens_a_session_with_its_token(void **state)
{
    struct rig *rig = *state;
    json_t *answer = ask(rig, "{\"do\":\"device-add\",\"users\":[\"alice\",\"bob\"],\"name\":\"a bot\"}");
    json_t *devices = json_object_get(answer, "devices"), *row = json_array_get(devices, 1);
    struct user_id bob = rig_user("bob");
    struct device_id device;
    uint8_t token[TOKEN_BYTES];
    assert_int_equal(json_array_size(devices), 2);
    assert_string_equal(text_of(row, "user"), "bob");
    assert_int_equal(device_id_parse(bytes_of_str(text_of(row, "device")), &device), 0);
    assert_int_equal(sodium_hex2bin(token, sizeof token, text_of(row, "token"), 2 * TOKEN_BYTES, NULL, NULL, NULL), 0);
    struct talker *b = talker_open(rig_port(rig), &bob, device, token);
    talker_expect(b, MSG_SYNCED);
    talker_close(b);
    assert_last_audit_line(rig, " act=device-add whom=alice,bob outcome=OK\n");
    assert_null(strstr(audit_log(rig), text_of(row, "token")));
    json_decref(answer);
}

static void a_users_sessions_hear_of_a_device_that_was_added(void **state)
{
    struct rig *rig = *state;
    struct sessions s = sessions_open(rig);
    json_t *answer = ask(rig, "{\"do\":\"device-add\",\"users\":[\"bob\",\"alice\"],\"name\":\"a bot\"}");
    assert_true(is_ok(answer));
    json_decref(answer);
    struct talker *all[] = { s.a, s.b, s.bob };
    for (int i = 0; i < 3; i++) {
        const struct msg *m = talker_expect(all[i], MSG_DEVICE_CHANGED);
        assert_int_equal(m->u.device_changed.what, DEVICE_ADDED);
        assert_int_equal(m->u.device_changed.name.len, 5);
    }
    sessions_close(&s);
}

static void a_revoked_device_is_out_at_once_and_the_others_hear_of_it(void **state)
{
    struct rig *rig = *state;
    struct sessions s = sessions_open(rig);
    char id[DEVICE_ID_TEXT], line[200], ending[128];
    device_id_print(rig_device(rig, "alice", 1)->device, id);
    json_t *answer = ask(rig, "{\"do\":\"device-list\",\"user\":\"alice\"}"), *row;
    size_t i, found = 0;
    assert_int_equal(json_array_size(json_object_get(answer, "devices")), 2);
    json_array_foreach(json_object_get(answer, "devices"), i, row) found += strcmp(text_of(row, "device"), id) == 0;
    assert_int_equal(found, 1);
    json_decref(answer);
    snprintf(line, sizeof line, "{\"do\":\"device-revoke\",\"user\":\"alice\",\"device\":\"%s\"}", id);
    expect_ok(rig, line);
    snprintf(ending, sizeof ending, " act=device-revoke whom=alice device=%s outcome=OK\n", id);
    assert_last_audit_line(rig, ending);
    assert_thrown_out(s.b, ERR_REVOKED);
    assert_int_equal(talker_expect(s.a, MSG_DEVICE_CHANGED)->u.device_changed.what, DEVICE_REVOKED);
    assert_hello_refused(rig, "alice", 1, ERR_REVOKED);
    sessions_close(&s);
    answer = ask(rig, "{\"do\":\"device-list\",\"user\":\"alice\"}");
    json_array_foreach(json_object_get(answer, "devices"), i, row) {
        assert_int_equal(json_is_true(json_object_get(row, "revoked")), strcmp(text_of(row, "device"), id) == 0);
    }
    json_decref(answer);
    expect_refused(ask(rig, line), ERR_NOT_FOUND, "alice: no such device");
    expect_refused(ask(rig, "{\"do\":\"device-revoke\",\"user\":\"alice\",\"device\":\"7\"}"), ERR_RANGE, "device:");
    expect_refused(ask(rig, "{\"do\":\"device-list\",\"user\":\"nobody\"}"), ERR_NOT_FOUND, "nobody: no such user");
}

static void a_device_for_nobody_adds_none(void **state)
{
    struct rig *rig = *state;
    expect_refused(ask(rig, "{\"do\":\"device-add\",\"users\":[\"bob\",\"nobody\"]}"), ERR_NOT_FOUND, "nobody: ");
    json_t *row = user_row(rig, "bob");
    assert_int_equal(number_of(row, "devices"), 1);
    json_decref(row);
    assert_last_audit_line(rig, " act=device-add whom=bob,nobody outcome=NOT_FOUND\n");
}

/* -- invites -------------------------------------------------------------------------------------------------------------- */

static int register_with(struct rig *rig, const char *user, const char *code)
{
    char text[256];
    struct buf body;
    int status;
    buf_init(&body, 4096);
    snprintf(text, sizeof text, "{\"user\":\"%s\",\"password\":\"a password\",\"invite\":\"%s\"}", user, code);
    talker_http(rig_port(rig), "POST", "/v1/register", bytes_of_str(text), &status, &body);
    buf_fini(&body);
    return status;
}

/* The invite's row; decref it. */
static json_t *invite_row(struct rig *rig, json_int_t number)
{
    json_t *answer = ask(rig, "{\"do\":\"invite-list\"}"), *row, *found = NULL;
    size_t i;
    json_array_foreach(json_object_get(answer, "invites"), i, row) {
        if (number_of(row, "number") == number) found = json_incref(row);
    }
    json_decref(answer);
    assert_non_null(found);
    return found;
}

static void an_invites_bounds_are_told(void **state)
{
    static const struct { const char *line, *clause; } bad[] = {
        { "{\"do\":\"invite\",\"uses\":0}", "uses: a whole number from 1 to 100000" },
        { "{\"do\":\"invite\",\"uses\":100001}", "uses:" },
        { "{\"do\":\"invite\",\"uses\":\"3\"}", "uses:" },
        { "{\"do\":\"invite\",\"uses\":1.5}", "uses:" },
        { "{\"do\":\"invite\",\"days\":0}", "days: a whole number from 1 to 3650" },
        { "{\"do\":\"invite\",\"days\":4000}", "days:" },
        { "{\"do\":\"invite\",\"days\":-1}", "days:" },
        { "{\"do\":\"invite\",\"note\":7}", "note: a text of at most 200 bytes" },
        { "{\"do\":\"invite\",\"note\":\"a\\u001bb\"}", "note:" },
        { "{\"do\":\"invite-list\",\"after\":-1}", "after:" },
        { "{\"do\":\"invite-revoke\"}", "either `number`" },
        { "{\"do\":\"invite-revoke\",\"number\":0}", "either `number`" },
        { "{\"do\":\"invite-revoke\",\"number\":1,\"invite\":\"x\"}", "either `number`" },
    };
    struct rig *rig = *state;
    char line[300];
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) expect_refused(ask(rig, bad[i].line), ERR_RANGE, bad[i].clause);
    snprintf(line, sizeof line, "{\"do\":\"invite\",\"note\":\"%0201d\"}", 0);
    expect_refused(ask(rig, line), ERR_RANGE, "note:");
    json_t *answer = ask(rig, "{\"do\":\"invite-list\"}");
    assert_int_equal(json_array_size(json_object_get(answer, "invites")), 0);
    json_decref(answer);
}

static void an_invite_is_listed_by_number_with_what_is_left_of_it(void **state)
{
    struct rig *rig = *state;
    json_t *answer = ask(rig, "{\"do\":\"invite\",\"uses\":2,\"days\":3,\"note\":\"the ch\xc3\xa2teau\"}");
    json_int_t number = number_of(answer, "number");
    char code[64];
    snprintf(code, sizeof code, "%s", text_of(answer, "invite"));
    assert_true(number > 0);
    json_t *row = invite_row(rig, number);
    assert_string_equal(text_of(row, "state"), "good");
    assert_string_equal(text_of(row, "note"), "the ch\xc3\xa2teau");
    assert_int_equal(number_of(row, "uses"), 2);
    assert_int_equal(number_of(row, "uses_left"), 2);
    assert_int_equal(number_of(row, "expires") - number_of(row, "created"), 3 * 24 * 3600 * 1000);
    assert_int_equal(number_of(row, "expires"), number_of(answer, "expires"));
    json_decref(row);
    json_decref(answer);
    assert_int_equal(register_with(rig, "carol", code), 201);
    row = invite_row(rig, number);
    assert_int_equal(number_of(row, "uses_left"), 1);
    json_decref(row);
    assert_int_equal(register_with(rig, "dave", code), 201);
    assert_int_equal(register_with(rig, "erin", code), 403);
    row = invite_row(rig, number);
    assert_string_equal(text_of(row, "state"), "used");
    json_decref(row);
    assert_null(strstr(audit_log(rig), code));
    assert_non_null(strstr(audit_log(rig), " act=invite invite=1 uses=2 expires="));
}

static void a_revoked_invite_lets_nobody_in(void **state)
{
    struct rig *rig = *state;
    char line[128], code[2][64];
    json_int_t number[2];
    for (int i = 0; i < 2; i++) {
        json_t *answer = ask(rig, "{\"do\":\"invite\",\"uses\":5}");
        snprintf(code[i], sizeof code[i], "%s", text_of(answer, "invite"));
        number[i] = number_of(answer, "number");
        json_decref(answer);
    }
    assert_int_not_equal(number[0], number[1]);
    snprintf(line, sizeof line, "{\"do\":\"invite-revoke\",\"number\":%lld}", (long long)number[0]);
    expect_ok(rig, line);
    assert_last_audit_line(rig, " act=invite-revoke invite=1 outcome=OK\n");
    assert_int_equal(register_with(rig, "carol", code[0]), 403);
    assert_int_equal(register_with(rig, "carol", code[1]), 201);
    snprintf(line, sizeof line, "{\"do\":\"invite-revoke\",\"invite\":\"%s\"}", code[1]);
    json_t *answer = ask(rig, line), *row = invite_row(rig, number[1]);
    assert_int_equal(number_of(answer, "number"), number[1]);
    assert_string_equal(text_of(row, "state"), "revoked");
    assert_int_equal(number_of(row, "uses_left"), 4);
    json_decref(answer);
    json_decref(row);
    assert_int_equal(register_with(rig, "dave", code[1]), 403);
    assert_null(strstr(audit_log(rig), code[1]));
    expect_refused(ask(rig, "{\"do\":\"invite-revoke\",\"number\":99}"), ERR_INVITE, "no such invite");
    expect_refused(ask(rig, "{\"do\":\"invite-revoke\",\"invite\":\"guessed\"}"), ERR_INVITE, "no such invite");
    assert_null(strstr(audit_log(rig), "guessed"));
}

/* -- audit ---------------------------------------------------------------------------------------------------------------- */

static void each_act_leaves_a_line_that_says_who_did_it_and_a_question_leaves_none(void **state)
{
    struct rig *rig = *state;
    char who[64];
    expect_ok(rig, "{\"do\":\"status\"}");
    expect_ok(rig, "{\"do\":\"user-list\"}");
    expect_ok(rig, "{\"do\":\"invite-list\"}");
    assert_string_equal(audit_log(rig), "");
    expect_ok(rig, "{\"do\":\"invite\"}");
    expect_ok(rig, "{\"do\":\"device-add\",\"users\":[\"bob\"]}");
    assert_int_equal(count_lines(audit_log(rig)), 2);
    snprintf(who, sizeof who, "Z uid=%lu pid=%ld act=invite ", (unsigned long)getuid(), (long)getpid());
    assert_non_null(strstr(audit_log(rig), who));
    rig_down(rig);
    rig_up(rig);
    expect_ok(rig, "{\"do\":\"invite\"}");
    assert_int_equal(count_lines(audit_log(rig)), 3);
}

static void what_cannot_be_audited_is_not_done(void **state)
{
    struct rig *rig = *state;
    char path[256];
    snprintf(path, sizeof path, "%s/audit.log", rig_folder(rig));
    assert_int_equal(mkdir(path, 0700), 0);       /* nobody can write a line into a folder, root included */
    expect_refused(ask(rig, "{\"do\":\"user-add\",\"users\":[\"carol\"],\"password\":\"a password\"}"), ERR_IO,
                   "the audit log cannot be written");
    assert_false(has_user(rig, "carol"));
    expect_refused(ask(rig, "{\"do\":\"invite\"}"), ERR_IO, "nothing was done");
    expect_refused(ask(rig, "{\"do\":\"device-add\",\"users\":[\"bob\"]}"), ERR_IO, "nothing was done");
    expect_refused(ask(rig, "{\"do\":\"shutdown\"}"), ERR_IO, "nothing was done");
    json_t *answer = ask(rig, "{\"do\":\"invite-list\"}"), *row = user_row(rig, "bob");
    assert_int_equal(json_array_size(json_object_get(answer, "invites")), 0);
    assert_int_equal(number_of(row, "devices"), 1);
    json_decref(answer);
    json_decref(row);
    assert_int_equal(rmdir(path), 0);
    expect_ok(rig, "{\"do\":\"user-add\",\"users\":[\"carol\"],\"password\":\"a password\"}");
    assert_true(has_user(rig, "carol"));
}

static void the_audit_log_may_be_moved_away_while_the_server_runs(void **state)
{
    struct rig *rig = *state;
    char path[256], old[272];
    snprintf(path, sizeof path, "%s/audit.log", rig_folder(rig));
    snprintf(old, sizeof old, "%s.1", path);
    expect_ok(rig, "{\"do\":\"invite\"}");
    assert_int_equal(rename(path, old), 0);
    expect_ok(rig, "{\"do\":\"invite\"}");
    assert_int_equal(count_lines(audit_log(rig)), 1);
    assert_last_audit_line(rig, " outcome=OK\n");
}

/* A server whose files are in memory, and its socket in a folder. */
static struct rig *rig_on_a_disk(struct disk **disk_out)
{
    *disk_out = disk_new(1);
    struct rig *rig = rig_new(&(struct rig_options){ .real_folder = true, .disk = *disk_out });
    rig_add(rig, "alice", 1);
    rig_up(rig);
    expect_ok(rig, "{\"do\":\"invite\"}");
    return rig;
}

/* In the next two the line is on disk when the rows turn out not to be. */
static void what_a_full_disk_took_back_is_not_audited_as_done(void **state)
{
    (void)state;
    struct disk *disk;
    struct rig *rig = rig_on_a_disk(&disk);
    disk_set_capacity(disk, disk_used(disk) + 600);    /* room for lines, and for no page of a database */
    expect_refused(ask(rig, "{\"do\":\"invite\"}"), ERR_NO_SPACE, "full");
    assert_null(strstr(audit_log(rig), " act=invite invite=2 "));
    expect_refused(ask(rig, "{\"do\":\"user-add\",\"users\":[\"carol\",\"dave\"],\"password\":\"a password\"}"),
                   ERR_NO_SPACE, "full");
    disk_set_capacity(disk, UINT64_MAX);
    assert_false(has_user(rig, "carol"));
    expect_ok(rig, "{\"do\":\"invite\"}");
    json_t *answer = ask(rig, "{\"do\":\"invite-list\"}");
    assert_int_equal(json_array_size(json_object_get(answer, "invites")), 2);
    json_decref(answer);
    assert_int_equal(count_lines(audit_log(rig)), 2);
    rig_free(rig);
}

static void what_a_failing_disk_took_back_has_its_line_corrected(void **state)
{
    (void)state;
    struct disk *disk;
    struct rig *rig = rig_on_a_disk(&disk);
    disk_fail_write(disk, 2);                          /* 1: the line */
    expect_refused(ask(rig, "{\"do\":\"invite\"}"), ERR_IO, "");
    assert_int_equal(count_lines(audit_log(rig)), 2);
    assert_non_null(strstr(audit_log(rig), " act=invite invite=2 "));
    assert_last_audit_line(rig, " outcome=IO\n");
    rig_free(rig);
}

#define ON_A_SERVER(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_A_SERVER(what_is_no_request_is_refused_by_name_and_the_next_line_is_served),
        ON_A_SERVER(a_line_over_the_limit_is_refused_and_ends_the_connection),
        ON_A_SERVER(requests_of_one_write_are_answered_in_order),
        ON_A_SERVER(a_line_may_come_byte_by_byte),
        ON_A_SERVER(what_a_client_asked_for_is_done_though_it_has_gone),
        ON_A_SERVER(more_clients_than_allowed_are_told_so),
        ON_A_SERVER(the_socket_is_its_owners_alone),
        ON_A_SERVER(shutdown_is_answered_and_stops_the_server),
        ON_A_SERVER(a_name_given_twice_leaves_none_of_its_request_behind),
        ON_A_SERVER(a_long_list_of_users_comes_in_pages_each_once_and_in_order),
        ON_A_SERVER(the_list_shows_devices_and_when_one_was_last_seen),
        ON_A_SERVER(a_disabled_user_is_out_at_once_until_enabled),
        ON_A_SERVER(a_removed_user_is_gone_and_its_name_stays_taken),
        ON_A_SERVER(another_password_logs_out_all_devices_or_keeps_them),
        ON_A_SERVER(a_name_that_looks_like_another_is_not_added),
        ON_A_SERVER(a_users_sessions_hear_of_a_device_that_was_added),
        ON_A_SERVER(a_revoked_device_is_out_at_once_and_the_others_hear_of_it),
        ON_A_SERVER(a_device_that_was_added_opens_a_session_with_its_token),
        ON_A_SERVER(a_device_for_nobody_adds_none),
        ON_A_SERVER(an_invites_bounds_are_told),
        ON_A_SERVER(an_invite_is_listed_by_number_with_what_is_left_of_it),
        ON_A_SERVER(a_revoked_invite_lets_nobody_in),
        ON_A_SERVER(each_act_leaves_a_line_that_says_who_did_it_and_a_question_leaves_none),
        ON_A_SERVER(what_cannot_be_audited_is_not_done),
        cmocka_unit_test(what_a_full_disk_took_back_is_not_audited_as_done),
        cmocka_unit_test(what_a_failing_disk_took_back_has_its_line_corrected),
        ON_A_SERVER(the_audit_log_may_be_moved_away_while_the_server_runs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
