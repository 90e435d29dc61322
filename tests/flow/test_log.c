/* test_log.c - what the log lines of a server tell, at their most talkative: a connection can be followed by its id
 * from shard to shard, and nothing that people wrote, no password and no token is in them. */
#include <stdlib.h>
#include <unistd.h>

#include "tests/flow/flow.h"

enum { TEXT_MAX = 1 << 20 };

struct lines { int fd; char path[32]; char *text; };

static void lines_open(struct lines *l)
{
    strcpy(l->path, "/tmp/pipit-log-XXXXXX");
    l->fd = mkstemp(l->path);
    assert_true(l->fd >= 0);
    struct say_options options = { .fd = l->fd, .settings = { SAY_DEBUG, SAY_AS_TEXT, 0 } };
    assert_int_equal(say_start(&options), 0);
}

/* All that was said. */
static void lines_close(struct lines *l)
{
    say_stop();
    l->text = calloc(1, TEXT_MAX);
    assert_non_null(l->text);
    assert_true(pread(l->fd, l->text, TEXT_MAX - 1, 0) > 0);
    close(l->fd);
    unlink(l->path);
}

/* The value of `name` in the line at `at`, up to a space or the line's end. */
static bool value_of(const char *at, const char *name, char out[static 64])
{
    char key[32];
    const char *end = strchr(at, '\n');
    int len = snprintf(key, sizeof key, " %s=", name);
    const char *found = strstr(at, key);
    if (!found || !end || found > end) return false;
    found += len;
    snprintf(out, 64, "%.*s", (int)strcspn(found, " \n"), found);
    return true;
}

/* The first line of `event` that holds `what` ("": any), from `from` on. */
static const char *line_of(const char *from, const char *event, const char *what)
{
    char key[64];
    snprintf(key, sizeof key, " %s ", event);
    for (const char *at = from, *end; (end = strchr(at, '\n')); at = end + 1) {
        const char *e = strstr(at, key), *w = strstr(at, what);
        if (e && e < end && w && w < end) return at;
    }
    fail_msg("no line %s %s in\n%s", event, what, from);
    return NULL;
}

/* With four shards nearly every connection is accepted on another shard than its user's. */
static void a_connection_keeps_its_id_from_opening_over_its_session_to_the_end(void **state)
{
    (void)state;
    static const char *const users[] = { "alice", "bob", "carol", "dave", "erin", "frank" };
    enum { USERS = sizeof users / sizeof users[0] };
    struct lines l;
    struct rig *rig = rig_new(&(struct rig_options){ .shards = 4 });
    for (int i = 0; i < USERS; i++) rig_add(rig, users[i], 1);
    rig_up(rig);
    lines_open(&l);
    for (int i = 0; i < USERS; i++) talker_close(rig_talk(rig, users[i], 0));
    rig_down(rig);
    lines_close(&l);
    int moved = 0;
    for (int i = 0; i < USERS; i++) {
        char user[32], conn[64], key[80], id[64];
        snprintf(user, sizeof user, "user=%s ", users[i]);
        assert_true(value_of(line_of(l.text, "session_opened", user), "conn", conn));
        snprintf(key, sizeof key, "conn=%s ", conn);
        const char *opened = line_of(l.text, "conn_opened", key);
        const char *session = line_of(opened, "session_opened", key);
        const char *closed = line_of(session, "session_closed", key);
        line_of(opened, "conn_closed", key);
        assert_true(value_of(closed, "user", id));
        assert_string_equal(id, users[i]);
        moved += strstr(l.text, "conn_moved") != NULL;
        /* Nobody else has it. */
        const char *other = strstr(strchr(opened, '\n'), " conn_opened ");
        while (other) {
            assert_true(value_of(other, "conn", id));
            assert_string_not_equal(id, conn);
            other = strstr(other + 1, " conn_opened ");
        }
    }
    assert_true(moved > 0);
    free(l.text);
    rig_free(rig);
}

static int http(struct rig *rig, const char *path, const char *body)
{
    struct buf answer;
    int status;
    buf_init(&answer, FRAME_BYTES_MAX);
    talker_http(rig_port(rig), "POST", path, bytes_of(body, strlen(body)), &status, &answer);
    buf_fini(&answer);
    return status;
}

static void no_line_has_a_text_a_password_or_a_token(void **state)
{
    (void)state;
    struct lines l;
    struct rig *rig = rig_new(&(struct rig_options){ .shards = 2 });
    rig_add(rig, "alice", 1);
    rig_add(rig, "bob", 1);
    rig_up(rig);
    lines_open(&l);
    struct talker *a = rig_talk(rig, "alice", 0), *b = rig_talk(rig, "bob", 0);
    send_text(a, "bob", 1, "nobodys business");
    expect_text(b, "nobodys business");
    assert_int_equal(http(rig, "/v1/login", "{\"user\":\"alice\",\"password\":\"a password\"}"), 200);
    assert_int_equal(http(rig, "/v1/login", "{\"user\":\"alice\",\"password\":\"mistaken\"}"), 401);
    assert_int_equal(http(rig, "/v1/register",
                          "{\"user\":\"carol\",\"password\":\"another one\",\"invite\":\"no-such-invite\"}"), 403);
    struct talker *x = talker_upgrade(rig_port(rig));
    uint8_t wrong[TOKEN_BYTES] = "a token that is none, of 32 byte";
    struct user_id alice = rig_user("alice");
    talker_hello(x, &alice, rig_device(rig, "alice", 0)->device, wrong);
    talker_expect_close(x);
    talker_close(a);
    talker_close(b);
    talker_close(x);
    rig_down(rig);
    lines_close(&l);
    static const char *const secrets[] = { "business", "a password", "mistaken", "another one", "no-such-invite",
                                           "a token" };
    for (size_t i = 0; i < sizeof secrets / sizeof secrets[0]; i++) assert_null(strstr(l.text, secrets[i]));
    /* And it is not that nothing was said. */
    line_of(l.text, "login", "user=alice why=ok");
    line_of(l.text, "login_refused", "user=alice why=AUTH");
    line_of(l.text, "register_refused", "user=carol why=INVITE");
    line_of(l.text, "hello_refused", "user=alice");
    free(l.text);
    rig_free(rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_connection_keeps_its_id_from_opening_over_its_session_to_the_end),
        cmocka_unit_test(no_line_has_a_text_a_password_or_a_token),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
