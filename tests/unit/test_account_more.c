/* test_account_more.c - the Authorization header, the bodies of password, delete and server, and the export's pages. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/account.h"
#include "proto/err.h"

#define TOKEN "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff000102030405060708090a0b0c0d0e0f"
#define OLD   "\"password\":\"correct horse\""
#define NEW   "\"new_password\":\"battery staple\""

static const struct user_id alice = { "alice" };

/* ---- Authorization ---- */

static int parse(const char *header, struct bearer *out)
{
    return bearer_parse(bytes_of_str(header), out);
}

static void a_bearer_is_read_from_its_end(void **state)
{
    (void)state;
    static const char *const users[] = { "al", "alice", "a.b", "a.0123456789abcdef",
                                         "abcdefghijklmnopqrstuvwxyz.12345" };
    for (size_t i = 0; i < sizeof users / sizeof users[0]; i++) {
        char header[256];
        struct bearer b, back;
        snprintf(header, sizeof header, "Bearer %s.0123456789abcdef." TOKEN, users[i]);
        assert_int_equal(parse(header, &b), 0);
        assert_string_equal(b.user.v, users[i]);
        assert_true(b.device.v == UINT64_C(0x0123456789ABCDEF));
        assert_int_equal(b.token[0], 0xF0);
        assert_int_equal(b.token[31], 0x0F);
        char again[BEARER_TEXT];
        bearer_print(&b, again);
        assert_string_equal(again, header);
        assert_int_equal(parse(again, &back), 0);
        assert_memory_equal(&b, &back, sizeof b);
    }
}

static void the_scheme_is_taken_in_any_case(void **state)
{
    (void)state;
    struct bearer b;
    assert_int_equal(parse("bearer alice.0123456789abcdef." TOKEN, &b), 0);
    assert_int_equal(parse("BEARER   alice.0123456789abcdef." TOKEN, &b), 0);
}

static void what_is_no_bearer_is_refused_and_leaves_nothing(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "", "Bearer", "Bearer ", "Basic YWxpY2U6cGFzc3dvcmQ=", "alice.0123456789abcdef." TOKEN,
        "Bearer alice.0123456789abcdef", "Bearer .0123456789abcdef." TOKEN, "Bearer a.0123456789abcdef." TOKEN,
        "Bearer Alice.0123456789abcdef." TOKEN, "Bearer al ice.0123456789abcdef." TOKEN,
        "Bearer alice.0000000000000000." TOKEN, "Bearer alice.0123456789abcdeg." TOKEN,
        "Bearer alice.123456789abcdef." TOKEN, "Bearer alice.0123456789abcdef." TOKEN "0",
        "Bearer alice.0123456789abcdef." TOKEN " ", "Bearer alice0123456789abcdef." TOKEN,
        "Bearer alice.0123456789abcdef:" TOKEN, "Bearer " TOKEN,
        "Bearer alice.0123456789abcdef.g0f1f2f3f4f5f6f7f8f9fafbfcfdfeff000102030405060708090a0b0c0d0e0f",
    };
    static const struct bearer zero;
    struct bearer b = zero;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (parse(bad[i], &b) != ERR_MALFORMED) fail_msg("\"%s\" was taken", bad[i]);
        assert_memory_equal(&b, &zero, sizeof b);
    }
    assert_int_equal(bearer_parse(BYTES_NONE, &b), ERR_MALFORMED);
}

/* ---- password, delete ---- */

static void a_change_of_password_is_read_whole(void **state)
{
    (void)state;
    struct account_password p;
    const char *why = "untouched";
    assert_int_equal(account_password_decode(bytes_of_str("{" OLD "," NEW ",\"log_out_others\":true}"), &p, &why), 0);
    assert_null(why);
    assert_string_equal(p.password, "correct horse");
    assert_string_equal(p.new_password, "battery staple");
    assert_true(p.log_out_others);
    assert_int_equal(account_password_decode(bytes_of_str("{" OLD "," NEW "}"), &p, &why), 0);
    assert_false(p.log_out_others);
    assert_int_equal(account_password_decode(bytes_of_str("{" OLD "," NEW ",\"log_out_others\":null}"), &p, &why), 0);
    assert_false(p.log_out_others);
    assert_int_equal(account_delete_decode(bytes_of_str("{" OLD "}"), &p, &why), 0);
    assert_string_equal(p.password, "correct horse");
    assert_string_equal(p.new_password, "");
}

static void a_wrong_member_is_refused_by_its_name(void **state)
{
    (void)state;
    static const struct account_password zero;
    static const struct { const char *json; int err; const char *why; } bad[] = {
        { "", ERR_MALFORMED, "the body is not JSON" },
        { "[]", ERR_MALFORMED, "the body is not a JSON object" },
        { "{" OLD "," OLD "," NEW "}", ERR_MALFORMED, "the body is not JSON" },
        { "{" NEW "}", ERR_TYPE, "password is not a string" },
        { "{" OLD "}", ERR_TYPE, "new_password is not a string" },
        { "{\"password\":\"short\"," NEW "}", ERR_PASSWORD, "password is not 8 to 256 bytes" },
        { "{" OLD ",\"new_password\":\"1234567\"}", ERR_PASSWORD, "new_password is not 8 to 256 bytes" },
        { "{" OLD ",\"new_password\":7}", ERR_TYPE, "new_password is not a string" },
        { "{" OLD ",\"new_password\":\"12345\\u00006789\"}", ERR_MALFORMED, "the body is not JSON" },
        { "{" OLD "," NEW ",\"log_out_others\":1}", ERR_TYPE, "log_out_others is not a boolean" },
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct account_password p;
        const char *why;
        assert_int_equal(account_password_decode(bytes_of_str(bad[i].json), &p, &why), bad[i].err);
        assert_string_equal(why, bad[i].why);
        assert_memory_equal(&p, &zero, sizeof p);
    }
    struct account_password p;
    const char *why;
    assert_int_equal(account_delete_decode(bytes_of_str("{}"), &p, &why), ERR_TYPE);
    assert_string_equal(why, "password is not a string");
}

static void a_change_of_password_survives_the_round_trip(void **state)
{
    (void)state;
    struct account_password p = { .password = "p\xC3\xA4ss\"wrd", .new_password = "12345678", .log_out_others = true };
    struct account_password back;
    const char *why;
    struct buf b;
    buf_init(&b, ACCOUNT_BODY_BYTES_MAX);
    assert_int_equal(account_password_encode(&p, &b), 0);
    assert_int_equal(account_password_decode(buf_bytes(&b), &back, &why), 0);
    assert_memory_equal(&p, &back, sizeof p);
    buf_clear(&b);
    assert_int_equal(account_delete_encode(&p, &b), 0);
    assert_int_equal(account_delete_decode(buf_bytes(&b), &back, &why), 0);
    assert_string_equal(back.password, p.password);
    strcpy(p.new_password, "1234567\xFF");
    assert_int_equal(account_password_encode(&p, &b), ERR_MALFORMED);
    account_password_wipe(&p);
    assert_string_equal(p.password, "");
    buf_fini(&b);
}

static void an_answer_tells_how_many_devices_were_logged_out(void **state)
{
    (void)state;
    struct account_answer a = { .user = alice, .has_logged_out = true, .logged_out = 15 }, back;
    struct buf b;
    buf_init(&b, 1000);
    assert_int_equal(account_answer_encode(&a, &b), 0);
    assert_true(bytes_equal(buf_bytes(&b), bytes_of_str("{\"user\":\"alice\",\"logged_out\":15}")));
    assert_int_equal(account_answer_decode(buf_bytes(&b), &back), 0);
    assert_true(back.has_logged_out);
    assert_int_equal(back.logged_out, 15);
    assert_int_equal(account_answer_decode(bytes_of_str("{\"user\":\"alice\",\"logged_out\":-1}"), &back), ERR_TYPE);
    assert_int_equal(account_answer_decode(bytes_of_str("{\"user\":\"alice\",\"logged_out\":\"\"}"), &back), ERR_TYPE);
    buf_fini(&b);
}

static void a_storage_error_does_not_speak_of_client_sequences(void **state)
{
    (void)state;
    static const int inside[] = { ERR_STORAGE, ERR_NO_SPACE, ERR_IO, ERR_CORRUPT };
    for (size_t i = 0; i < sizeof inside / sizeof inside[0]; i++) {
        struct account_error e;
        struct buf b;
        buf_init(&b, 1000);
        assert_int_equal(account_error_encode(inside[i], NULL, &b), 0);
        assert_int_equal(account_error_decode(buf_bytes(&b), &e), 0);
        assert_int_equal(e.err, ERR_STORAGE);
        assert_string_equal(e.text, "it could not be written; try again later");
        assert_true(e.again);
        buf_fini(&b);
    }
}

/* ---- server ---- */

static void a_server_tells_who_may_register(void **state)
{
    (void)state;
    static const enum registration all[] = { REGISTRATION_OPEN, REGISTRATION_INVITE, REGISTRATION_CLOSED };
    static const char *const names[] = { "open", "invite", "closed" };
    for (size_t i = 0; i < 3; i++) {
        struct server_info info = { .server = "pipitd 1", .protocol = 1, .registration = all[i] }, back;
        char want[100];
        struct buf b;
        buf_init(&b, 1000);
        assert_int_equal(server_info_encode(&info, &b), 0);
        snprintf(want, sizeof want, "{\"server\":\"pipitd 1\",\"protocol\":1,\"registration\":\"%s\"}", names[i]);
        assert_true(bytes_equal(buf_bytes(&b), bytes_of_str(want)));
        assert_int_equal(server_info_decode(buf_bytes(&b), &back), 0);
        assert_string_equal(back.server, "pipitd 1");
        assert_int_equal(back.protocol, 1);
        assert_int_equal(back.registration, all[i]);
        buf_fini(&b);
    }
    struct server_info info;
    assert_int_equal(server_info_decode(bytes_of_str("{\"protocol\":1,\"registration\":\"paid\"}"), &info), ERR_RANGE);
    assert_int_equal(server_info_decode(bytes_of_str("{\"protocol\":1}"), &info), ERR_TYPE);
    assert_int_equal(server_info_decode(bytes_of_str("{\"registration\":\"open\"}"), &info), ERR_TYPE);
    assert_int_equal(server_info_decode(bytes_of_str("<html>"), &info), ERR_MALFORMED);
}

/* ---- export ---- */

static void the_pages_of_an_export_say_what_there_is(void **state)
{
    (void)state;
    struct export_account account = { alice, 1000, 3 };
    struct export_device phone = { { 0x0123456789ABCDEF }, "ph\"one", 1001, 1002, false };
    struct export_device gone = { .device = { 1 }, .created_ms = 1003, .revoked = true };
    struct export_conv conv = { .peer = { "bob" }, .created_ms = 1004, .head = 7, .counted = 6, .last_ms = 1005,
                                .read = 5, .read_ms = 1006, .delivered = 7, .delivered_ms = 1007, .sent = 4 };
    struct export_conv empty = { .peer = { "alice" }, .created_ms = 1008 };
    memset(conv.conv.v, 0xAB, sizeof conv.conv.v);
    struct buf b;
    buf_init(&b, EXPORT_BODY_BYTES_MAX);
    struct export *e = export_new(&account);
    export_add_device(e, &phone);
    export_add_device(e, &gone);
    export_add_conv(e, &conv);
    assert_int_equal(export_encode(e, &conv.conv, &b), 0);
    export_free(e);
    assert_true(bytes_equal(buf_bytes(&b), bytes_of_str(
        "{\"user\":\"alice\",\"created_ms\":1000,\"list_version\":3,\"devices\":["
        "{\"device\":\"0123456789abcdef\",\"name\":\"ph\\\"one\",\"created_ms\":1001,\"revoked\":false,\"live_ms\":1002},"
        "{\"device\":\"0000000000000001\",\"name\":\"\",\"created_ms\":1003,\"revoked\":true}],"
        "\"conversations\":[{\"conversation\":\"abababababababababababababababab\",\"with\":\"bob\",\"created_ms\":1004,"
        "\"head\":7,\"counted\":6,\"last_ms\":1005,\"read\":5,\"read_ms\":1006,\"delivered\":7,\"delivered_ms\":1007,"
        "\"sent\":4}],\"after\":\"abababababababababababababababab\"}")));
    buf_clear(&b);
    e = export_new(NULL);
    export_add_conv(e, &empty);
    assert_int_equal(export_encode(e, NULL, &b), 0);
    export_free(e);
    assert_true(bytes_equal(buf_bytes(&b), bytes_of_str(
        "{\"conversations\":[{\"conversation\":\"00000000000000000000000000000000\",\"with\":\"alice\",\"created_ms\":1008,"
        "\"head\":0,\"counted\":0}]}")));
    buf_fini(&b);
    buf_init(&b, 8);
    e = export_new(&account);
    assert_int_equal(export_encode(e, NULL, &b), ERR_TOO_BIG);
    export_free(e);
    buf_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bearer_is_read_from_its_end),
        cmocka_unit_test(the_scheme_is_taken_in_any_case),
        cmocka_unit_test(what_is_no_bearer_is_refused_and_leaves_nothing),
        cmocka_unit_test(a_change_of_password_is_read_whole),
        cmocka_unit_test(a_wrong_member_is_refused_by_its_name),
        cmocka_unit_test(a_change_of_password_survives_the_round_trip),
        cmocka_unit_test(an_answer_tells_how_many_devices_were_logged_out),
        cmocka_unit_test(a_storage_error_does_not_speak_of_client_sequences),
        cmocka_unit_test(a_server_tells_who_may_register),
        cmocka_unit_test(the_pages_of_an_export_say_what_there_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
