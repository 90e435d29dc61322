/* test_err.c - the list of errors keeps its promises. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "proto/err.h"

static const struct row {
    int err;
    int code;
    bool again;
    const char *name, *text;
} rows[] = {
#define ROW(name, code, again, text) { ERR_##name, code, again, #name, text },
    ERR_LIST(ROW)
#undef ROW
};
enum { ROWS = sizeof rows / sizeof rows[0] };

static void every_error_has_its_name_text_and_retry(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS; i++) {
        assert_int_equal(rows[i].err, -rows[i].code);
        assert_string_equal(err_name(rows[i].err), rows[i].name);
        assert_string_equal(err_text(rows[i].err), rows[i].text);
        assert_int_equal(err_may_retry(rows[i].err), rows[i].again);
        assert_int_equal(err_from_name(rows[i].name), rows[i].err);
    }
}

static void texts_are_one_clause_without_a_full_stop(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS; i++) {
        size_t len = strlen(rows[i].text);
        assert_true(len > 0);
        assert_int_not_equal(rows[i].text[len - 1], '.');
        assert_null(strchr(rows[i].text, '|'));    /* it stands in a table of docs/protocol.md */
    }
}

static void codes_rise_so_that_none_is_given_twice(void **state)
{
    (void)state;
    for (size_t i = 1; i < ROWS; i++) assert_true(rows[i].code > rows[i - 1].code);
}

static void numbers_on_the_wire_never_change_meaning(void **state)
{
    (void)state;
    /* Clients in the field know these; whoever changes one breaks them. */
    assert_int_equal(ERR_MALFORMED, -1);
    assert_int_equal(ERR_RANGE, -10);
    assert_int_equal(ERR_AUTH, -20);
    assert_int_equal(ERR_CLOSED_DOOR, -27);
    assert_int_equal(ERR_NOT_FOUND, -40);
    assert_int_equal(ERR_SETTLED, -42);
    assert_int_equal(ERR_TOO_MANY, -45);
    assert_int_equal(ERR_DAMAGED, -46);
    assert_int_equal(ERR_BUSY, -60);
    assert_int_equal(ERR_STORAGE, -62);
    assert_int_equal(ERR_SLOW, -66);
    assert_int_equal(ERR_NO_ROOM, -67);
}

static void unknown_numbers_and_names_have_an_answer(void **state)
{
    (void)state;
    assert_string_equal(err_name(ERR_OK), "OK");
    assert_string_equal(err_name(-9999), "UNKNOWN");
    assert_string_equal(err_name(1), "UNKNOWN");
    assert_true(strlen(err_text(ERR_OK)) > 0);
    assert_true(strlen(err_text(-9999)) > 0);
    assert_false(err_may_retry(ERR_OK));
    assert_false(err_may_retry(-9999));
    assert_int_equal(err_from_name("OK"), 0);
    assert_int_equal(err_from_name("NO_SUCH"), 0);
    assert_int_equal(err_from_name(""), 0);
}

static void errno_values_map_to_errors(void **state)
{
    (void)state;
    assert_int_equal(err_from_errno(0), 0);
    assert_int_equal(err_from_errno(ENOSPC), ERR_NO_SPACE);
    assert_int_equal(err_from_errno(EDQUOT), ERR_NO_SPACE);
    assert_int_equal(err_from_errno(EFBIG), ERR_NO_SPACE);
    assert_int_equal(err_from_errno(ENOMEM), ERR_NOMEM);
    assert_int_equal(err_from_errno(ENOENT), ERR_NOT_FOUND);
    assert_int_equal(err_from_errno(EEXIST), ERR_EXISTS);
    assert_int_equal(err_from_errno(EAGAIN), ERR_AGAIN);
    assert_int_equal(err_from_errno(EIO), ERR_IO);
    assert_int_equal(err_from_errno(EACCES), ERR_IO);
}

static void a_peer_is_never_told_an_inside_error(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS; i++) {
        int told = err_for_peer(rows[i].err);
        assert_true(told < 0 && told > -100);
        if (rows[i].code < 100 && rows[i].err != ERR_NOT_BINARY) assert_int_equal(told, rows[i].err);
    }
    assert_int_equal(err_for_peer(ERR_OK), ERR_OK);
    assert_int_equal(err_for_peer(ERR_FULL), ERR_BUSY);
    assert_int_equal(err_for_peer(ERR_NO_SPACE), ERR_STORAGE);
    assert_int_equal(err_for_peer(ERR_GONE), ERR_NOT_FOUND);
}

static void close_codes_are_private_ones_plus_the_error(void **state)
{
    (void)state;
    assert_int_equal(err_close_code(ERR_OK), 1000);
    assert_int_equal(err_close_code(ERR_MALFORMED), 4001);
    assert_int_equal(err_close_code(ERR_IDLE), 4065);
    assert_int_equal(err_close_code(ERR_NOT_BINARY), 1003);
    assert_int_equal(err_close_code(ERR_NOMEM), 1011);
    assert_int_equal(err_close_code(ERR_CONFIG), 1011);
    assert_int_equal(err_close_code(3), 1011);
    for (size_t i = 0; i < ROWS; i++)
        if (rows[i].code < 100 && rows[i].err != ERR_NOT_BINARY)
            assert_int_equal(err_close_code(rows[i].err), 4000 + rows[i].code);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_error_has_its_name_text_and_retry),
        cmocka_unit_test(texts_are_one_clause_without_a_full_stop),
        cmocka_unit_test(codes_rise_so_that_none_is_given_twice),
        cmocka_unit_test(numbers_on_the_wire_never_change_meaning),
        cmocka_unit_test(unknown_numbers_and_names_have_an_answer),
        cmocka_unit_test(errno_values_map_to_errors),
        cmocka_unit_test(a_peer_is_never_told_an_inside_error),
        cmocka_unit_test(close_codes_are_private_ones_plus_the_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
