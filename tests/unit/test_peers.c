/* test_peers.c - who the peer is: by its address, by what a proxy says, and counted as whom. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <string.h>

#include "server/net/peers.h"

static const char *forwarded(const char *forwarded_for, const char *other)
{
    static char out[PEER_TEXT];
    bool loopback;
    return peer_of_forwarded(forwarded_for, other, out, &loopback) ? out : "none";
}

static void the_last_address_of_X_Forwarded_For_counts(void **state)
{
    (void)state;
    static const struct { const char *header, *peer; } cases[] = {
        { "192.0.2.1", "192.0.2.1" },
        { "10.0.0.1,192.0.2.1", "192.0.2.1" },
        { "10.0.0.1,\t 192.0.2.1 ", "192.0.2.1" },
        { "192.0.2.1:4711", "192.0.2.1" },
        { "2001:DB8::1", "2001:db8::1" },
        { "[2001:db8::1]", "2001:db8::1" },
        { "10.0.0.1, [2001:db8::1]:4711", "2001:db8::1" },
        { "::ffff:192.0.2.1", "192.0.2.1" },
        { "192.0.2.1, unknown", "none" },
        { "192.0.2.1,", "none" },
        { "192.0.2", "none" },
        { "[2001:db8::1]x", "none" },
        { "[2001:db8::1", "none" },
        { "2001:db8:::1", "none" },
        { "evil\"192.0.2.1", "none" },
        { "192.0.2.1xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", "none" },
        { "", "none" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_string_equal(forwarded(cases[i].header, ""), cases[i].peer);
    }
}

static void Forwarded_counts_when_there_is_no_other(void **state)
{
    (void)state;
    static const struct { const char *header, *peer; } cases[] = {
        { "for=192.0.2.60;proto=http;by=203.0.113.43", "192.0.2.60" },
        { "proto=http; by=203.0.113.43; FOR=192.0.2.60", "192.0.2.60" },
        { "for=192.0.2.43, for=198.51.100.17", "198.51.100.17" },
        { "For=\"[2001:db8:cafe::17]:4711\"", "2001:db8:cafe::17" },
        { "for=1.1.1.1, for=\"192.0.2.1:80\";by=\"a,b;for=9.9.9.9\"", "192.0.2.1" },
        { "for=192.0.2.1, for=_hidden", "none" },
        { "for=unknown", "none" },
        { "proto=https", "none" },
        { "for=", "none" },
        { ";;for=192.0.2.1;;", "192.0.2.1" },
        { "for=\"192.0.2.1", "none" },
        { "xfor=192.0.2.1", "none" },
        { ";", "none" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_string_equal(forwarded("", cases[i].header), cases[i].peer);
    }
    assert_string_equal(forwarded("192.0.2.1", "for=192.0.2.2"), "192.0.2.1");
    assert_string_equal(forwarded("unknown", "for=192.0.2.2"), "none");
}

static void loopback_is_told_in_each_form(void **state)
{
    (void)state;
    static const struct { const char *header; bool loopback; } cases[] = {
        { "127.0.0.1", true }, { "127.9.9.9", true }, { "::1", true }, { "::ffff:127.0.0.1", true },
        { "128.0.0.1", false }, { "::2", false },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char out[PEER_TEXT];
        bool loopback = !cases[i].loopback;
        assert_true(peer_of_forwarded(cases[i].header, "", out, &loopback));
        assert_int_equal(loopback, cases[i].loopback);
    }
}

static void IPv6_is_counted_by_its_first_64_bits(void **state)
{
    (void)state;
    static const struct { const char *peer, *group; } cases[] = {
        { "192.0.2.1", "192.0.2.1" },
        { "unix", "unix" },
        { "2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64" },
        { "2001:db8:1:2::", "2001:db8:1:2::/64" },
        { "2001:db8:1:3::", "2001:db8:1:3::/64" },
        { "::1", "::/64" },
        { "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "ffff:ffff:ffff:ffff::/64" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char group[PEER_GROUP_TEXT];
        peer_group(cases[i].peer, group);
        assert_string_equal(group, cases[i].group);
    }
}

static void an_address_that_is_none_of_the_internet_is_nobody(void **state)
{
    (void)state;
    struct sockaddr a = { .sa_family = AF_UNIX };
    char out[PEER_TEXT];
    bool loopback;
    assert_false(peer_of_address(&a, out, &loopback));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_last_address_of_X_Forwarded_For_counts),
        cmocka_unit_test(Forwarded_counts_when_there_is_no_other),
        cmocka_unit_test(loopback_is_told_in_each_form),
        cmocka_unit_test(IPv6_is_counted_by_its_first_64_bits),
        cmocka_unit_test(an_address_that_is_none_of_the_internet_is_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
