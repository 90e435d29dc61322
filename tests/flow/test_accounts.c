/* Accounts over HTTP: registering, logging in, changing a password, leaving; and what a device may ask of its own. */
#include <pthread.h>

#include "tests/flow/flow.h"
#include "tests/harness/web.h"

static struct web w;

/* ---- rigs ---- */

/* alice has two devices, bob one; "code" is an invite for three. Registration as the state says. */
struct world { struct rig *rig; struct web_device alice[2], bob; };

static struct world world_of(struct rig *rig)
{
    return (struct world){ rig,
                           { web_device_of(rig_device(rig, "alice", 0)), web_device_of(rig_device(rig, "alice", 1)) },
                           web_device_of(rig_device(rig, "bob", 0)) };
}

static struct world *open_world(uint16_t shards, enum registration registration)
{
    static struct world world;
    struct rig *rig = rig_new(&(struct rig_options){ .shards = shards });
    rig_config(rig)->registration = registration;
    rig_add(rig, "alice", 2);
    rig_add(rig, "bob", 1);
    rig_invite(rig, "code", 3);
    rig_up(rig);
    world = world_of(rig);
    return &world;
}

static int by_invite(void **state)
{
    *state = open_world(1, REGISTRATION_INVITE);
    return 0;
}

static int by_invite_on_four(void **state)
{
    *state = open_world(4, REGISTRATION_INVITE);
    return 0;
}

static int open_to_all(void **state)
{
    *state = open_world(4, REGISTRATION_OPEN);
    return 0;
}

static int closed(void **state)
{
    *state = open_world(1, REGISTRATION_CLOSED);
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;
    rig_free(world->rig);
    return 0;
}

/* ---- asking ---- */

static int post(struct world *world, const char *path, const struct web_device *device, const char *body)
{
    return web_ask(world->rig, NULL, "POST", path, device, body, &w);
}

static int enrol(struct world *world, const char *user, const char *invite)
{
    char body[256];
    snprintf(body, sizeof body, "{\"user\":\"%s\",\"password\":\"a password\"%s%s%s}", user,
             invite ? ",\"invite\":\"" : "", invite ? invite : "", invite ? "\"" : "");
    return post(world, "/v1/register", NULL, body);
}

static void assert_registration(struct world *world, const char *name)
{
    struct server_info info;
    assert_int_equal(web_ask(world->rig, NULL, "GET", "/v1/server", NULL, NULL, &w), 200);
    assert_int_equal(server_info_decode(bytes_of_str(w.body), &info), 0);
    assert_string_equal(registration_name(info.registration), name);
    assert_int_equal(info.protocol, PROTOCOL_VERSION);
    assert_memory_equal(info.server, "pipitd ", 7);
}

static void assert_says(const char *part)
{
    if (!strstr(w.body, part)) fail_msg("\"%s\" is not in %s", part, w.body);
}

/* ---- registering ---- */

static void who_has_an_invite_registers_logs_in_and_talks(void **state)
{
    struct world *world = *state;
    struct web_device carol;
    assert_registration(world, "invite");
    assert_int_equal(enrol(world, "carol", "code"), 201);
    assert_string_equal(w.body, "{\"user\":\"carol\"}");
    assert_int_equal(web_login(world->rig, NULL, "carol", "a password", &carol), 200);
    struct talker *c = web_talk(world->rig, &carol), *b = web_talk(world->rig, &world->bob);
    assert_int_equal(talker_welcome(c)->list_version, 1);
    send_text(c, "bob", 1, "here I am");
    expect_text(b, "here I am");
    talker_close(c);
    talker_close(b);
}

static void an_invite_is_good_for_its_uses_and_no_more(void **state)
{
    struct world *world = *state;
    assert_int_equal(enrol(world, "carol", "code"), 201);
    assert_int_equal(enrol(world, "dave", "code"), 201);
    assert_int_equal(enrol(world, "dave", "code"), 409);       /* takes no use */
    assert_int_equal(enrol(world, "erin", "code"), 201);
    enrol(world, "frank", "code");
    web_expect_error(&w, 403, "INVITE");
}

static void who_has_no_invite_learns_no_names(void **state)
{
    struct world *world = *state;
    static const char *const names[] = { "alice", "a1ice", "admin", "nobody-of-that-name" };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        static char none[sizeof w.body], wrong[sizeof w.body];
        enrol(world, names[i], NULL);
        web_expect_error(&w, 403, "INVITE");
        if (i == 0) strcpy(none, w.body);
        assert_string_equal(w.body, none);
        enrol(world, names[i], "guess");
        web_expect_error(&w, 403, "INVITE");
        if (i == 0) strcpy(wrong, w.body);
        assert_string_equal(w.body, wrong);
    }
}

static void a_name_is_taken_as_it_stands_or_refused(void **state)
{
    struct world *world = *state;
    static const struct { const char *name; int status; const char *error, *says; } names[] = {
        { "Carol", 400, "NAME", "no upper case" },     { "c", 400, "NAME", "2 to 32" },
        { ".carol", 400, "NAME", "letter or digit" },  { "caro l", 400, "NAME", "a-z" },
        { "zo\xC3\xAB", 400, "NAME", "a-z" },          { "\xE2\x80\x8F" "bob", 400, "NAME", "a-z" },
        { "b\xD0\xBE" "b", 400, "NAME", "a-z" },       { "bo\\u0000b", 400, "MALFORMED", "not JSON" },
        { "alice", 409, "EXISTS", "taken" },           { "a1ice", 409, "EXISTS", "looks like" },
        { "al.ice", 409, "EXISTS", "looks like" },     { "b0b", 409, "EXISTS", "looks like" },
        { "admin", 400, "NAME", "kept" },              { "r00t", 400, "NAME", "kept" },
        { "sup.port", 400, "NAME", "kept" },           { "p-i-p-i-t", 400, "NAME", "kept" },
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        enrol(world, names[i].name, NULL);
        web_expect_error(&w, names[i].status, names[i].error);
        assert_says(names[i].says);
    }
    assert_int_equal(enrol(world, "carol", NULL), 201);
    assert_int_equal(enrol(world, "caro1", NULL), 409);
    assert_int_equal(enrol(world, "carol.", NULL), 409);
    assert_int_equal(enrol(world, "carola", NULL), 201);
}

static void a_name_of_ten_thousand_bytes_is_too_big_and_disturbs_nothing(void **state)
{
    struct world *world = *state;
    static char body[10100], name[10001];
    memset(name, 'a', sizeof name - 1);
    snprintf(body, sizeof body, "{\"user\":\"%s\",\"password\":\"a password\"}", name);
    static const char *const paths[] = { "/v1/register", "/v1/login" };
    for (size_t i = 0; i < 2; i++) {
        post(world, paths[i], NULL, body);
        web_expect_error(&w, 413, "TOO_BIG");
        assert_says("2048 bytes");
    }
    name[1500] = '\0';                                         /* fits the body, and is no name */
    snprintf(body, sizeof body, "{\"user\":\"%s\",\"password\":\"a password\"}", name);
    post(world, "/v1/login", NULL, body);
    web_expect_error(&w, 400, "NAME");
    assert_int_equal(enrol(world, "carol", NULL), 201);
}

static void an_open_server_wants_no_invite(void **state)
{
    struct world *world = *state;
    assert_registration(world, "open");
    assert_int_equal(enrol(world, "carol", NULL), 201);
    assert_int_equal(enrol(world, "dave", "whatever"), 201);   /* not looked at */
}

static void a_closed_server_registers_nobody(void **state)
{
    struct world *world = *state;
    assert_registration(world, "closed");
    enrol(world, "carol", NULL);
    web_expect_error(&w, 403, "CLOSED_DOOR");
    enrol(world, "carol", "code");
    web_expect_error(&w, 403, "CLOSED_DOOR");
    post(world, "/v1/register", NULL, "no body at all");
    web_expect_error(&w, 403, "CLOSED_DOOR");
}

/* ---- credentials ---- */

static void a_device_path_wants_its_device(void **state)
{
    struct world *world = *state;
    static const struct { const char *method, *path, *body; } paths[] = {
        { "POST", "/v1/password", "{\"password\":\"a password\",\"new_password\":\"another one\"}" },
        { "POST", "/v1/logout", NULL },
        { "POST", "/v1/delete", "{\"password\":\"a password\"}" },
        { "GET", "/v1/export", NULL },
    };
    struct web_device wrong_token = world->alice[0], of_another = world->bob, unknown = world->alice[0];
    wrong_token.token[31] ^= 1;
    of_another.user = world->alice[0].user;
    unknown.device.v ^= 1;
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        const struct web_device *bad[] = { NULL, &wrong_token, &of_another, &unknown };
        for (size_t b = 0; b < 4; b++) {
            web_ask(world->rig, NULL, paths[i].method, paths[i].path, bad[b], paths[i].body, &w);
            web_expect_error(&w, 401, "AUTH");
        }
        web_ask_raw(world->rig, NULL, paths[i].method, paths[i].path, "Authorization: Basic YWxpY2U6eA==\r\n",
                    paths[i].body, &w);
        web_expect_error(&w, 401, "AUTH");
        web_ask(world->rig, NULL, i == 3 ? "POST" : "GET", paths[i].path, &world->alice[0], NULL, &w);
        assert_int_equal(w.status, 405);
        assert_says("UNSUPPORTED");
    }
    struct talker *a = web_talk(world->rig, &world->alice[0]);  /* nothing happened */
    talker_close(a);
}

/* ---- password ---- */

#define CHANGE(old, new, more) "{\"password\":\"" old "\",\"new_password\":\"" new "\"" more "}"

static void a_changed_password_is_the_one_that_opens(void **state)
{
    struct world *world = *state;
    struct web_device made;
    struct talker *a = web_talk(world->rig, &world->alice[0]), *other = web_talk(world->rig, &world->alice[1]);
    assert_int_equal(post(world, "/v1/password", &world->alice[0], CHANGE("a password", "another one", "")), 200);
    assert_string_equal(w.body, "{\"user\":\"alice\",\"logged_out\":0}");
    assert_int_equal(web_login(world->rig, NULL, "alice", "a password", &made), 401);
    assert_int_equal(web_login(world->rig, NULL, "alice", "another one", &made), 200);
    talker_settle(a);                                          /* tokens outlive a password */
    talker_settle(other);
    talker_close(a);
    talker_close(other);
    rig_down(world->rig);
    rig_up(world->rig);
    assert_int_equal(web_login(world->rig, NULL, "alice", "another one", &made), 200);
}

static void a_wrong_password_changes_nothing_and_is_told_from_a_wrong_token(void **state)
{
    struct world *world = *state;
    struct web_device made;
    post(world, "/v1/password", &world->alice[0],
         CHANGE("not the password", "another one", ",\"log_out_others\":true"));
    web_expect_error(&w, 403, "DENIED");
    post(world, "/v1/delete", &world->alice[0], "{\"password\":\"not the password\"}");
    web_expect_error(&w, 403, "DENIED");
    post(world, "/v1/password", &world->alice[0], CHANGE("a password", "short", ""));
    web_expect_error(&w, 400, "PASSWORD");
    assert_says("new_password");
    post(world, "/v1/password", &world->alice[0], "{\"password\":\"a password\"}");
    web_expect_error(&w, 400, "TYPE");
    assert_int_equal(web_login(world->rig, NULL, "alice", "a password", &made), 200);
    struct talker *other = web_talk(world->rig, &world->alice[1]);
    talker_close(other);
}

static void a_change_that_logs_out_the_others_leaves_the_one_that_asked(void **state)
{
    struct world *world = *state;
    struct talker *a = web_talk(world->rig, &world->alice[0]), *other = web_talk(world->rig, &world->alice[1]);
    struct talker *b = web_talk(world->rig, &world->bob);
    assert_int_equal(post(world, "/v1/password", &world->alice[0],
                          CHANGE("a password", "another one", ",\"log_out_others\":true")), 200);
    assert_string_equal(w.body, "{\"user\":\"alice\",\"logged_out\":1}");
    assert_int_equal(talker_expect(other, MSG_GOODBYE)->u.goodbye.code, -ERR_REVOKED);
    assert_int_equal(talker_expect_close(other), 4025);
    const struct msg *m = talker_expect(a, MSG_DEVICE_CHANGED);
    assert_int_equal(m->u.device_changed.what, DEVICE_REVOKED);
    assert_true(m->u.device_changed.device.v == world->alice[1].device.v);
    send_text(a, "bob", 1, "still here");
    expect_text(b, "still here");
    post(world, "/v1/logout", &world->alice[1], NULL);
    web_expect_error(&w, 401, "REVOKED");
    talker_close(a);
    talker_close(b);
    talker_close(other);
    /* And it stays so. */
    rig_down(world->rig);
    rig_up(world->rig);
    struct talker *t = talker_upgrade(rig_port(world->rig));
    talker_hello(t, &world->alice[1].user, world->alice[1].device, world->alice[1].token);
    assert_error(talker_expect(t, MSG_ERROR), ERR_REVOKED);
    assert_int_equal(talker_expect_close(t), 4025);
    talker_close(t);
}

struct late_login { struct rig *rig; int status; };

static void *log_in_late(void *arg)
{
    struct late_login *l = arg;
    struct web_device made;
    l->status = web_login(l->rig, NULL, "alice", "a password", &made);
    return NULL;
}

/* Somebody has the old password and logs in with it at the very moment in which it is changed to keep him out. */
static void a_log_in_does_not_slip_in_behind_a_change_of_password(void **state)
{
    struct clock_hand hand;
    (void)state;
    clock_hand_init(&hand, 1700000000000);
    for (int deletes = 0; deletes < 2; deletes++) {
        struct rig *rig = rig_new(&(struct rig_options){ .shards = 2, .hand = &hand });
        rig_config(rig)->password_threads = 2;
        rig_add(rig, "alice", 1);
        rig_up(rig);
        struct world world = { .rig = rig, .alice = { web_device_of(rig_device(rig, "alice", 0)) } };
        struct late_login late = { .rig = rig };
        pthread_t thread;
        disk_hold_one_read(rig_disk(rig));
        assert_int_equal(pthread_create(&thread, NULL, log_in_late, &late), 0);
        disk_await_held_read(rig_disk(rig));                   /* it has its snapshot: the old password is right */
        if (deletes) {
            assert_int_equal(post(&world, "/v1/delete", &world.alice[0], "{\"password\":\"a password\"}"), 200);
        } else {
            assert_int_equal(post(&world, "/v1/password", &world.alice[0],
                                  CHANGE("a password", "another one", ",\"log_out_others\":true")), 200);
        }
        disk_let_read(rig_disk(rig));
        pthread_join(thread, NULL);
        assert_int_equal(late.status, 401);
        rig_free(rig);
    }
}

/* ---- logout, delete ---- */

static void a_logged_out_device_is_closed_before_the_answer_and_keeps_what_it_sent(void **state)
{
    struct world *world = *state;
    struct talker *a = web_talk(world->rig, &world->alice[0]), *other = web_talk(world->rig, &world->alice[1]);
    send_text(a, "bob", 1, "my last words");
    assert_int_equal(post(world, "/v1/logout", &world->alice[0], NULL), 200);
    assert_string_equal(w.body, "{\"user\":\"alice\"}");
    assert_int_equal(talker_expect(a, MSG_GOODBYE)->u.goodbye.code, -ERR_REVOKED);
    assert_int_equal(talker_expect_close(a), 4025);
    assert_int_equal(talker_expect(other, MSG_DEVICE_CHANGED)->u.device_changed.what, DEVICE_REVOKED);
    web_ask(world->rig, NULL, "POST", "/v1/logout", &world->alice[0], NULL, &w);
    web_expect_error(&w, 401, "REVOKED");
    struct talker *b = web_talk(world->rig, &world->bob);
    expect_text(b, "my last words");
    talker_settle(other);
    talker_close(a);
    talker_close(b);
    talker_close(other);
}

static void a_deleted_account_is_gone_now_and_its_name_for_ever(void **state)
{
    struct world *world = *state;
    struct web_device made;
    struct talker *a = web_talk(world->rig, &world->alice[0]), *other = web_talk(world->rig, &world->alice[1]);
    struct talker *b = web_talk(world->rig, &world->bob);
    struct user_id alice = rig_user("alice"), bob = rig_user("bob");
    struct conv_id conv = conv_id_direct(&alice, &bob);
    send_text(a, "bob", 1, "remember me");
    expect_text(b, "remember me");
    assert_int_equal(post(world, "/v1/delete", &world->alice[0], "{\"password\":\"a password\"}"), 200);
    assert_int_equal(talker_expect_close(a), 4025);
    assert_int_equal(talker_expect_close(other), 4025);
    talker_close(a);
    talker_close(other);
    for (int round = 0; round < 2; round++) {
        static char unknown[WEB_BODY_MAX];
        post(world, "/v1/login", NULL, "{\"user\":\"nobody-here\",\"password\":\"a password\"}");
        strcpy(unknown, w.body);
        post(world, "/v1/login", NULL, "{\"user\":\"alice\",\"password\":\"a password\"}");
        web_expect_error(&w, 401, "AUTH");
        assert_string_equal(w.body, unknown);
        web_ask(world->rig, NULL, "GET", "/v1/export", &world->alice[0], NULL, &w);
        web_expect_error(&w, 401, "AUTH");
        assert_int_equal(enrol(world, "alice", "code"), 409);
        assert_int_equal(enrol(world, "a1ice", "code"), 409);
        struct talker *t = talker_upgrade(rig_port(world->rig));
        talker_hello(t, &alice, world->alice[1].device, world->alice[1].token);
        assert_error(talker_expect(t, MSG_ERROR), ERR_AUTH);
        talker_close(t);
        /* Bob keeps what he has. */
        struct msg history = { .type = MSG_HISTORY, .has_ref = true, .ref = talker_ref(b) };
        history.u.history = (struct msg_history){ .to = { .conv = conv }, .limit = 10 };
        talker_send(b, &history);
        const struct msg *page = talker_answer(b, history.ref);
        assert_int_equal(page->type, MSG_PAGE);
        assert_int_equal(page->u.page.head, 1);
        talker_close(b);
        if (round == 0) {
            rig_down(world->rig);
            rig_up(world->rig);
            b = web_talk(world->rig, &world->bob);
        }
    }
    assert_int_equal(enrol(world, "carol", "code"), 201);
    assert_int_equal(web_login(world->rig, NULL, "carol", "a password", &made), 200);
    struct talker *c = web_talk(world->rig, &made);            /* nobody begins a conversation with her */
    assert_error(talker_answer(c, talker_send_text(c, &alice, 1, 1, "hello?")), ERR_NOT_FOUND);
    talker_close(c);
}

/* ---- export ---- */

static void an_export_shows_account_devices_and_conversations(void **state)
{
    struct world *world = *state;
    struct talker *a = web_talk(world->rig, &world->alice[0]);
    send_text(a, "bob", 1, "one");
    send_text(a, "bob", 2, "two");
    send_text(a, "alice", 3, "a note to myself");
    talker_close(a);
    rig_down(world->rig);                                      /* folds are flushed */
    rig_up(world->rig);
    assert_int_equal(web_ask(world->rig, NULL, "GET", "/v1/export", &world->alice[0], NULL, &w), 200);
    char device[DEVICE_ID_TEXT], part[128], conv[CONV_ID_TEXT];
    struct conv_id with_bob = conv_of("alice", "bob");
    device_id_print(world->alice[1].device, device);
    conv_id_print(&with_bob, conv);
    assert_memory_equal(w.body, "{\"user\":\"alice\",\"created_ms\":1", 29);
    assert_says("\"list_version\":2");
    snprintf(part, sizeof part, "{\"device\":\"%s\",\"name\":\"", device);
    assert_says(part);
    snprintf(part, sizeof part, "{\"conversation\":\"%s\",\"with\":\"bob\",\"created_ms\":1", conv);
    assert_says(part);
    assert_says("\"head\":2,\"counted\":2,\"last_ms\":1");
    assert_says("\"sent\":2");
    assert_says("\"with\":\"alice\"");
    assert_null(strstr(w.body, "\"after\""));
    assert_null(strstr(w.body, "one"));                        /* what was said is not the server's to tell */
}

static void an_export_of_many_conversations_comes_in_pages(void **state)
{
    struct world *world = *state;
    rig_down(world->rig);
    rig_invite(world->rig, "many", 1000);
    rig_up(world->rig);
    enum { PEERS = 205 };                                       /* two pages and a bit */
    char names[PEERS][16];
    for (int i = 0; i < PEERS; i++) {
        snprintf(names[i], sizeof names[i], "peer%03d", i);
        assert_int_equal(enrol(world, names[i], "many"), 201);
    }
    struct talker *a = web_talk(world->rig, &world->alice[0]);
    for (uint64_t i = 0; i < PEERS; i++) send_text(a, names[i], i + 1, "hello");
    talker_close(a);
    char path[100] = "/v1/export";
    static char all[3 * WEB_BODY_MAX];
    size_t pages = 0, convs = 0, len = 0;
    for (bool more = true; more; pages++) {
        assert_int_equal(web_ask(world->rig, NULL, "GET", path, &world->alice[0], NULL, &w), 200);
        assert_int_equal(strstr(w.body, "\"devices\"") != NULL, pages == 0);
        for (const char *at = w.body; (at = strstr(at, "\"with\"")); at++) convs++;
        len += (size_t)snprintf(all + len, sizeof all - len, "%s", w.body);
        const char *after = strstr(w.body, "\"after\":\"");
        more = after != NULL;
        if (more) snprintf(path, sizeof path, "/v1/export?x=y&after=%.32s", after + 9);
    }
    assert_int_equal(pages, 3);
    assert_int_equal(convs, PEERS);
    for (int i = 0; i < PEERS; i++) {
        char part[40];
        snprintf(part, sizeof part, "\"with\":\"%.15s\"", names[i]);
        assert_non_null(strstr(all, part));
    }
    web_ask(world->rig, NULL, "GET", "/v1/export?after=nonsense", &world->alice[0], NULL, &w);
    web_expect_error(&w, 400, "MALFORMED");
    assert_int_equal(web_ask(world->rig, NULL, "HEAD", "/v1/export", &world->alice[0], NULL, &w), 200);
}

#define BY_INVITE(test) cmocka_unit_test_setup_teardown(test, by_invite, tear_down)
#define BY_INVITE_ON_FOUR(test) cmocka_unit_test_setup_teardown(test, by_invite_on_four, tear_down)
#define OPEN_TO_ALL(test) cmocka_unit_test_setup_teardown(test, open_to_all, tear_down)
#define ON_ONE_AND_FOUR(test) BY_INVITE(test), { #test "_on_four_shards", test, by_invite_on_four, tear_down, NULL }

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_ONE_AND_FOUR(who_has_an_invite_registers_logs_in_and_talks),
        BY_INVITE(an_invite_is_good_for_its_uses_and_no_more),
        BY_INVITE(who_has_no_invite_learns_no_names),
        OPEN_TO_ALL(a_name_is_taken_as_it_stands_or_refused),
        OPEN_TO_ALL(a_name_of_ten_thousand_bytes_is_too_big_and_disturbs_nothing),
        OPEN_TO_ALL(an_open_server_wants_no_invite),
        cmocka_unit_test_setup_teardown(a_closed_server_registers_nobody, closed, tear_down),
        BY_INVITE_ON_FOUR(a_device_path_wants_its_device),
        ON_ONE_AND_FOUR(a_changed_password_is_the_one_that_opens),
        BY_INVITE(a_wrong_password_changes_nothing_and_is_told_from_a_wrong_token),
        ON_ONE_AND_FOUR(a_change_that_logs_out_the_others_leaves_the_one_that_asked),
        cmocka_unit_test(a_log_in_does_not_slip_in_behind_a_change_of_password),
        ON_ONE_AND_FOUR(a_logged_out_device_is_closed_before_the_answer_and_keeps_what_it_sent),
        ON_ONE_AND_FOUR(a_deleted_account_is_gone_now_and_its_name_for_ever),
        BY_INVITE_ON_FOUR(an_export_shows_account_devices_and_conversations),
        BY_INVITE_ON_FOUR(an_export_of_many_conversations_comes_in_pages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
