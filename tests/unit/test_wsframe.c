/* test_wsframe.c - the header has the form RFC 6455 gives it, at every border of the three lengths. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "proto/wsframe.h"

/* One byte more than a header takes, to see that nothing is written behind it. */
static void check(enum wsframe_opcode opcode, uint64_t len, const void *want, size_t want_len)
{
    uint8_t to[WSFRAME_HEADER_MAX + 1];
    memset(to, 0x5A, sizeof to);
    assert_int_equal(wsframe_header(to, opcode, len), want_len);
    assert_int_equal(wsframe_header_len(len), want_len);
    assert_memory_equal(to, want, want_len);
    for (size_t i = want_len; i < sizeof to; i++) assert_int_equal(to[i], 0x5A);
}

static void the_examples_of_the_rfc_come_out(void **state)
{
    (void)state;
    check(WSFRAME_TEXT, 5, "\x81\x05", 2);                                          /* section 5.7 */
    check(WSFRAME_PING, 5, "\x89\x05", 2);
    check(WSFRAME_BINARY, 256, "\x82\x7E\x01\x00", 4);
    check(WSFRAME_BINARY, 65536, "\x82\x7F\x00\x00\x00\x00\x00\x01\x00\x00", 10);
}

static void each_length_takes_its_shortest_form(void **state)
{
    (void)state;
    check(WSFRAME_BINARY, 0, "\x82\x00", 2);
    check(WSFRAME_BINARY, 125, "\x82\x7D", 2);
    check(WSFRAME_BINARY, 126, "\x82\x7E\x00\x7E", 4);
    check(WSFRAME_BINARY, 65535, "\x82\x7E\xFF\xFF", 4);
    check(WSFRAME_BINARY, INT64_MAX, "\x82\x7F\x7F\xFF\xFF\xFF\xFF\xFF\xFF\xFF", 10);
    check(WSFRAME_CLOSE, 2, "\x88\x02", 2);
    check(WSFRAME_PONG, 125, "\x8A\x7D", 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_examples_of_the_rfc_come_out),
        cmocka_unit_test(each_length_takes_its_shortest_form),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
