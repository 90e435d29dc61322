/* test_account.c - the JSON of register and login says what it should and is believed in nothing. What else is said
 * over HTTP about accounts: test_account_more.c. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "proto/account.h"
#include "proto/err.h"

#define USER     "\"user\":\"alice\""
#define NOT_A_NAME "user is not 2 to 32 of a-z 0-9 . _ - (no upper case) beginning with a letter or digit"
#define PASSWORD "\"password\":\"correct horse\""

/* `n` times 'x' between `before` and `after`; the caller frees. */
static char *padded(const char *before, size_t n, const char *after)
{
    size_t head = strlen(before), tail = strlen(after);
    char *s = malloc(head + n + tail + 1);
    memcpy(s, before, head);
    memset(s + head, 'x', n);
    memcpy(s + head + n, after, tail + 1);
    return s;
}

static int decode(const char *json, struct account_request *out)
{
    const char *why;
    return account_request_decode(bytes_of_str(json), out, &why);
}

static void a_request_is_read_whole(void **state)
{
    (void)state;
    struct account_request r;
    const char *why = "untouched";
    struct bytes body = bytes_of_str("{\"device\":\"la p\\u00f6t\\\"\", " USER ",\n" PASSWORD ", \"invite\":\"abc-123\"}");
    assert_int_equal(account_request_decode(body, &r, &why), 0);
    assert_null(why);
    assert_string_equal(r.user.v, "alice");
    assert_string_equal(r.password, "correct horse");
    assert_string_equal(r.invite, "abc-123");
    assert_string_equal(r.device_name, "la p\xC3\xB6t\"");
}

static void invite_and_device_may_be_absent_or_null(void **state)
{
    (void)state;
    struct account_request r;
    assert_int_equal(decode("{" USER "," PASSWORD "}", &r), 0);
    assert_string_equal(r.invite, "");
    assert_string_equal(r.device_name, "");
    assert_int_equal(decode("{" USER "," PASSWORD ",\"invite\":null,\"device\":null,\"later\":[1,{}]}", &r), 0);
    assert_string_equal(r.invite, "");
}

static void a_request_survives_the_round_trip(void **state)
{
    (void)state;
    struct account_request r = { .password = "p\xC3\xA4ss\"w\\rd\n", .invite = "inv", .device_name = "phone" }, back;
    const char *why;
    assert_int_equal(user_id_parse(bytes_of_str("bob"), &r.user), 0);
    struct buf b;
    buf_init(&b, ACCOUNT_BODY_BYTES_MAX);
    assert_int_equal(account_request_encode(&r, &b), 0);
    assert_int_equal(account_request_decode(buf_bytes(&b), &back, &why), 0);
    assert_true(user_id_equal(&r.user, &back.user));
    assert_string_equal(back.password, r.password);
    assert_string_equal(back.invite, "inv");
    assert_string_equal(back.device_name, "phone");
    buf_clear(&b);
    r.invite[0] = r.device_name[0] = '\0';
    strcpy(r.password, "12345678");
    assert_int_equal(account_request_encode(&r, &b), 0);
    assert_true(bytes_equal(buf_bytes(&b), bytes_of_str("{\"user\":\"bob\",\"password\":\"12345678\"}")));
    strcpy(r.password, "12345678\xFF");
    assert_int_equal(account_request_encode(&r, &b), ERR_MALFORMED);
    buf_fini(&b);
}

static void what_is_not_a_json_object_is_malformed(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "", " ", "{", "[]", "null", "\"alice\"", "{" USER "," PASSWORD, "{" USER "," PASSWORD "} x",
        "{" USER "," USER "," PASSWORD "}",                              /* which of the two? */
        "{\"user\":\"al\\u0000ice\"," PASSWORD "}",                      /* a NUL would end the name early */
        "{" USER ",\"password\":\"\xC3\x28 1234567\"}", "{" USER ",\"password\":\"\\ud800 1234567\"}",
        "{'user':'alice'}", "{" USER "," PASSWORD ",}",
    };
    struct account_request r;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (decode(bad[i], &r) != ERR_MALFORMED) fail_msg("%s", bad[i]);
    assert_int_equal(account_request_decode(BYTES_NONE, &r, &(const char *){ NULL }), ERR_MALFORMED);
}

static void deep_nesting_is_malformed(void **state)
{
    (void)state;
    struct account_request r;
    char deep[ACCOUNT_BODY_BYTES_MAX + 1];
    memset(deep, '[', ACCOUNT_BODY_BYTES_MAX);
    deep[ACCOUNT_BODY_BYTES_MAX] = '\0';
    assert_int_equal(decode(deep, &r), ERR_MALFORMED);
}

static void a_wrong_member_is_refused_by_its_name(void **state)
{
    (void)state;
    static const struct {
        const char *json;
        int err;
        const char *why;
    } bad[] = {
        { "{}", ERR_TYPE, "user is not a string" },
        { "{" PASSWORD "}", ERR_TYPE, "user is not a string" },
        { "{\"user\":5," PASSWORD "}", ERR_TYPE, "user is not a string" },
        { "{\"user\":\"Alice\"," PASSWORD "}", ERR_NAME, NOT_A_NAME },
        { "{\"user\":\"a\"," PASSWORD "}", ERR_NAME, NOT_A_NAME },
        { "{\"user\":\"zo\xC3\xAB\"," PASSWORD "}", ERR_NAME, NOT_A_NAME },
        { "{\"user\":\"\xE2\x80\x8F" "bob\"," PASSWORD "}", ERR_NAME, NOT_A_NAME },    /* a right-to-left mark */
        { "{" USER "}", ERR_TYPE, "password is not a string" },
        { "{" USER ",\"password\":null}", ERR_TYPE, "password is not a string" },
        { "{" USER ",\"password\":\"1234567\"}", ERR_PASSWORD, "password is not 8 to 256 bytes" },
        { "{" USER "," PASSWORD ",\"invite\":5}", ERR_TYPE, "invite is not a string" },
        { "{" USER "," PASSWORD ",\"device\":{}}", ERR_TYPE, "device is not a string" },
        { "{" USER "," PASSWORD ",\"device\":\"a\\nb\"}", ERR_MALFORMED, "device has a control character" },
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct account_request r;
        const char *why;
        assert_int_equal(account_request_decode(bytes_of_str(bad[i].json), &r, &why), bad[i].err);
        assert_string_equal(why, bad[i].why);
    }
}

static void lengths_are_taken_up_to_their_limit(void **state)
{
    (void)state;
    static const struct {
        const char *before, *after;
        size_t max;
        int err;
    } fields[] = {
        { "{" USER ",\"password\":\"", "\"}", PASSWORD_BYTES_MAX, ERR_PASSWORD },
        { "{" USER "," PASSWORD ",\"invite\":\"", "\"}", INVITE_TEXT_MAX, ERR_TOO_BIG },
        { "{" USER "," PASSWORD ",\"device\":\"", "\"}", NAME_BYTES_MAX, ERR_TOO_BIG },
    };
    struct account_request r;
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        char *fits = padded(fields[i].before, fields[i].max, fields[i].after);
        char *over = padded(fields[i].before, fields[i].max + 1, fields[i].after);
        assert_int_equal(decode(fits, &r), 0);
        assert_int_equal(decode(over, &r), fields[i].err);
        free(fits);
        free(over);
    }
    assert_int_equal(decode("{" USER ",\"password\":\"12345678\"}", &r), 0);
    size_t fixed = strlen("{" USER "," PASSWORD ",\"later\":\"\"}");
    char *fits = padded("{" USER "," PASSWORD ",\"later\":\"", ACCOUNT_BODY_BYTES_MAX - fixed, "\"}");
    char *over = padded("{" USER "," PASSWORD ",\"later\":\"", ACCOUNT_BODY_BYTES_MAX - fixed + 1, "\"}");
    assert_int_equal(decode(fits, &r), 0);
    assert_int_equal(decode(over, &r), ERR_TOO_BIG);
    free(fits);
    free(over);
}

static void a_refused_or_wiped_request_holds_no_password(void **state)
{
    (void)state;
    static const struct account_request zero;
    struct account_request r;
    assert_int_equal(decode("{" USER "," PASSWORD ",\"invite\":5}", &r), ERR_TYPE);
    assert_memory_equal(&r, &zero, sizeof r);
    assert_int_equal(decode("{" USER "," PASSWORD "}", &r), 0);
    account_request_wipe(&r);
    assert_memory_equal(&r, &zero, sizeof r);
}

static void an_answer_to_login_carries_device_and_token(void **state)
{
    (void)state;
    struct account_answer a = { .device = { UINT64_C(0x0123456789ABCDEF) }, .has_device = true }, back;
    assert_int_equal(user_id_parse(bytes_of_str("bob"), &a.user), 0);
    for (size_t i = 0; i < TOKEN_BYTES; i++) a.token[i] = (uint8_t)(0xF0 + i);
    struct buf b;
    buf_init(&b, ACCOUNT_BODY_BYTES_MAX);
    assert_int_equal(account_answer_encode(&a, &b), 0);
    assert_true(bytes_equal(buf_bytes(&b), bytes_of_str(
        "{\"user\":\"bob\",\"device\":\"0123456789abcdef\","
        "\"token\":\"f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff000102030405060708090a0b0c0d0e0f\"}")));
    assert_int_equal(account_answer_decode(buf_bytes(&b), &back), 0);
    assert_true(back.has_device);
    assert_true(back.device.v == a.device.v);
    assert_memory_equal(back.token, a.token, TOKEN_BYTES);
    buf_fini(&b);
}

static void an_answer_to_register_carries_the_user_alone(void **state)
{
    (void)state;
    struct account_answer a = { .has_device = false }, back;
    assert_int_equal(user_id_parse(bytes_of_str("bob"), &a.user), 0);
    struct buf b;
    buf_init(&b, ACCOUNT_BODY_BYTES_MAX);
    assert_int_equal(account_answer_encode(&a, &b), 0);
    assert_true(bytes_equal(buf_bytes(&b), bytes_of_str("{\"user\":\"bob\"}")));
    assert_int_equal(account_answer_decode(buf_bytes(&b), &back), 0);
    assert_false(back.has_device);
    assert_true(user_id_equal(&a.user, &back.user));
    buf_fini(&b);
}

static void a_wrong_answer_is_refused(void **state)
{
    (void)state;
    static const char token[] = "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff000102030405060708090a0b0c0d0e0f";
    static const struct {
        const char *device, *token;
        size_t token_len;
        int err;
    } bad[] = {
        { "0123456789abcdef", token, 63, ERR_MALFORMED }, { "0123456789abcdef", token, 62, ERR_MALFORMED },
        { "0123456789abcdef", "zz", 2, ERR_MALFORMED },   { "0123456789abcdef", token, 0, ERR_MALFORMED },
        { "0000000000000000", token, 64, ERR_MALFORMED }, { "123", token, 64, ERR_MALFORMED },
        { "0123456789abcdef", token, 64, 0 },
    };
    struct account_answer a;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct buf b;
        buf_init(&b, 1000);
        buf_put(&b, "{" USER ",\"device\":\"", strlen("{" USER ",\"device\":\""));
        buf_put(&b, bad[i].device, strlen(bad[i].device));
        buf_put(&b, "\",\"token\":\"", strlen("\",\"token\":\""));
        buf_put(&b, bad[i].token, bad[i].token_len);
        buf_put(&b, "\"}", 2);
        assert_int_equal(account_answer_decode(buf_bytes(&b), &a), bad[i].err);
        assert_int_equal(a.has_device, bad[i].err == 0);
        buf_fini(&b);
    }
    assert_int_equal(account_answer_decode(bytes_of_str("{" USER ",\"device\":\"0123456789abcdef\"}"), &a), ERR_TYPE);
    assert_int_equal(account_answer_decode(bytes_of_str("{" USER ",\"device\":5,\"token\":6}"), &a), ERR_TYPE);
    assert_int_equal(account_answer_decode(bytes_of_str("{\"user\":\"A\"}"), &a), ERR_NAME);
    assert_int_equal(account_answer_decode(bytes_of_str("{}"), &a), ERR_TYPE);
    assert_int_equal(account_answer_decode(bytes_of_str("<html>"), &a), ERR_MALFORMED);
}

static void an_error_says_name_text_and_whether_to_try_again(void **state)
{
    (void)state;
    struct account_error e;
    struct buf b;
    buf_init(&b, 1000);
    assert_int_equal(account_error_encode(ERR_RATE, "wait 3 s", &b), 0);
    assert_true(bytes_equal(buf_bytes(&b), bytes_of_str("{\"error\":\"RATE\",\"text\":\"wait 3 s\",\"again\":true}")));
    assert_int_equal(account_error_decode(buf_bytes(&b), &e), 0);
    assert_int_equal(e.err, ERR_RATE);
    assert_string_equal(e.text, "wait 3 s");
    assert_true(e.again);
    buf_clear(&b);
    assert_int_equal(account_error_encode(ERR_AUTH, NULL, &b), 0);
    assert_int_equal(account_error_decode(buf_bytes(&b), &e), 0);
    assert_int_equal(e.err, ERR_AUTH);
    assert_string_equal(e.text, err_text(ERR_AUTH));
    assert_false(e.again);
    buf_clear(&b);
    assert_int_equal(account_error_encode(ERR_NO_SPACE, NULL, &b), 0);    /* an inside error does not get out */
    assert_int_equal(account_error_decode(buf_bytes(&b), &e), 0);
    assert_int_equal(e.err, ERR_STORAGE);
    buf_fini(&b);
}

static void an_error_of_a_newer_server_is_still_read(void **state)
{
    (void)state;
    struct account_error e;
    assert_int_equal(account_error_decode(bytes_of_str("{\"error\":\"NEW\",\"text\":\"t\",\"again\":true}"), &e), 0);
    assert_int_equal(e.err, ERR_MALFORMED);
    assert_string_equal(e.text, "t");
    assert_true(e.again);
    assert_int_equal(account_error_decode(bytes_of_str("{\"error\":\"NEW\",\"text\":\"t\"}"), &e), ERR_TYPE);
    assert_int_equal(account_error_decode(bytes_of_str("{\"error\":5,\"text\":\"t\",\"again\":true}"), &e), ERR_TYPE);
    assert_int_equal(account_error_decode(bytes_of_str("{\"error\":\"NEW\",\"again\":true}"), &e), ERR_TYPE);
    assert_int_equal(account_error_decode(bytes_of_str("<html>"), &e), ERR_MALFORMED);
}

static void a_long_error_text_is_cut_between_characters(void **state)
{
    (void)state;
    for (size_t n = 150; n <= 170; n++) {
        struct account_error e;
        char *json = padded("{\"error\":\"AUTH\",\"again\":false,\"text\":\"", n, "\xE2\x82\xAC\xE2\x82\xAC\"}");
        assert_int_equal(account_error_decode(bytes_of_str(json), &e), 0);
        size_t len = strlen(e.text);
        assert_true(bytes_is_utf8(bytes_of_str(e.text)));
        assert_true(len < sizeof e.text && len + 3 > (n + 6 < sizeof e.text ? n + 6 : sizeof e.text - 1));
        free(json);
    }
}

static void a_full_buffer_refuses(void **state)
{
    (void)state;
    struct account_request r = { .password = "12345678" };
    struct account_answer a = { .has_device = true, .device = { 1 } };
    assert_int_equal(user_id_parse(bytes_of_str("bob"), &r.user), 0);
    a.user = r.user;
    struct buf b;
    buf_init(&b, 8);
    assert_int_equal(account_request_encode(&r, &b), ERR_TOO_BIG);
    buf_clear(&b);
    assert_int_equal(account_answer_encode(&a, &b), ERR_TOO_BIG);
    buf_clear(&b);
    assert_int_equal(account_error_encode(ERR_AUTH, NULL, &b), ERR_TOO_BIG);
    buf_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_is_read_whole),
        cmocka_unit_test(invite_and_device_may_be_absent_or_null),
        cmocka_unit_test(a_request_survives_the_round_trip),
        cmocka_unit_test(what_is_not_a_json_object_is_malformed),
        cmocka_unit_test(deep_nesting_is_malformed),
        cmocka_unit_test(a_wrong_member_is_refused_by_its_name),
        cmocka_unit_test(lengths_are_taken_up_to_their_limit),
        cmocka_unit_test(a_refused_or_wiped_request_holds_no_password),
        cmocka_unit_test(an_answer_to_login_carries_device_and_token),
        cmocka_unit_test(an_answer_to_register_carries_the_user_alone),
        cmocka_unit_test(a_wrong_answer_is_refused),
        cmocka_unit_test(an_error_says_name_text_and_whether_to_try_again),
        cmocka_unit_test(an_error_of_a_newer_server_is_still_read),
        cmocka_unit_test(a_long_error_text_is_cut_between_characters),
        cmocka_unit_test(a_full_buffer_refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
