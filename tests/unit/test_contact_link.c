/* test_contact_link.c - links are read strictly, and what is written is read back as it was. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "tools/client/contact_link.h"

static int parse(const char *text, struct contact_link *out)
{
    char why[WHY_MAX] = "";
    int err = contact_link_parse(bytes_of_str(text), out, why);
    assert_true(err == 0 || (err == ERR_MALFORMED && why[0] != '\0'));
    return err;
}

static void a_link_names_server_and_user(void **state)
{
    static const struct { const char *text, *host, *port, *user; bool tls; } good[] = {
        { "https://example.org/u/alice", "example.org", "443", "alice", true },
        { "https://example.org:8443/u/a.b_c-d", "example.org", "8443", "a.b_c-d", true },
        { "http://127.0.0.1:8700/u/bob", "127.0.0.1", "8700", "bob", false },
        { "http://localhost/u/bob", "localhost", "80", "bob", false },
        { "pipit://example.org/alice", "example.org", "443", "alice", true },
        { "pipit://example.org:1/alice", "example.org", "1", "alice", true },
        { "https://[2001:db8::1]/u/alice", "2001:db8::1", "443", "alice", true },
        { "https://[::1]:65535/u/alice", "::1", "65535", "alice", true },
        { "HTTPS://EXAMPLE.ORG/u/alice", "example.org", "443", "alice", true },
        { "https://xn--bcher-kva.example/u/alice", "xn--bcher-kva.example", "443", "alice", true },
    };
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        struct contact_link link;
        assert_int_equal(parse(good[i].text, &link), 0);
        assert_string_equal(link.url.host, good[i].host);
        assert_string_equal(link.url.port, good[i].port);
        assert_string_equal(link.user.v, good[i].user);
        assert_int_equal(link.url.tls, good[i].tls);
    }
}

static void what_is_no_link_is_refused(void **state)
{
    static const char *const bad[] = {
        "", "alice", "example.org/u/alice", "ftp://example.org/u/alice", "https:/example.org/u/alice", "https://",
        "https:///u/alice", "https://example.org", "https://example.org/", "https://example.org/u/",
        "https://example.org/alice", "pipit://example.org/u/alice", "https://example.org/u/Alice",
        "https://example.org/u/alice/", "https://example.org/u/alice?x", "https://example.org/u/alice#x",
        "https://example.org/u/alice ", " https://example.org/u/alice", "https://user@example.org/u/alice",
        "https://user:pass@example.org/u/alice", "https://example.org:/u/alice", "https://example.org:0/u/alice",
        "https://example.org:65536/u/alice", "https://example.org:080/u/alice", "https://example.org:443x/u/alice",
        "https://example.org:999999/u/alice", "https://[::1/u/alice", "https://[]/u/alice",
        "https://[.]/u/alice", "https://[abc]/u/alice", "https://[::1]x/u/alice",
        "https://[example.org]/u/alice", "https://::1/u/alice", "https://exa mple.org/u/alice",
        "https://-example.org/u/alice", "https://.example.org/u/alice", "https://ex%61mple.org/u/alice",
        ("https://b\xc3\xbc" "cher.example/u/alice"), "https://example.org/u/al%69ce", "https://example.org\\/u/alice",
    };
    struct contact_link link;
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) assert_int_equal(parse(bad[i], &link), ERR_MALFORMED);
    char why[WHY_MAX];
    assert_int_equal(contact_link_parse(bytes_of("https://exa\0mple/u/alice", 24), &link, why), ERR_MALFORMED);
}

static void a_host_may_be_as_long_as_a_name_and_no_longer(void **state)
{
    char text[400] = "https://";
    struct contact_link link;
    (void)state;
    memset(text + 8, 'a', URL_HOST_MAX - 1);
    strcpy(text + 8 + URL_HOST_MAX - 1, "/u/alice");
    assert_int_equal(parse(text, &link), 0);
    char printed[CONTACT_LINK_MAX];
    contact_link_print(&link, printed);
    assert_string_equal(printed, text);
    memset(text + 8, 'a', URL_HOST_MAX);
    strcpy(text + 8 + URL_HOST_MAX, "/u/alice");
    assert_int_equal(parse(text, &link), ERR_MALFORMED);
}

static void what_is_printed_is_read_back(void **state)
{
    static const struct { const char *text, *printed; } pairs[] = {
        { "pipit://Example.org/alice", "https://example.org/u/alice" },
        { "https://example.org:443/u/alice", "https://example.org/u/alice" },
        { "http://example.org:443/u/alice", "http://example.org:443/u/alice" },
        { "http://[::1]:8700/u/bob", "http://[::1]:8700/u/bob" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        struct contact_link link, again;
        char printed[CONTACT_LINK_MAX];
        assert_int_equal(parse(pairs[i].text, &link), 0);
        contact_link_print(&link, printed);
        assert_string_equal(printed, pairs[i].printed);
        assert_int_equal(parse(printed, &again), 0);
        assert_true(url_is_same(&link.url, &again.url));
        assert_true(user_id_equal(&link.user, &again.user));
    }
}

static void servers_are_told_apart_by_host_port_and_tls(void **state)
{
    static const struct url a = { true, "example.org", "443" }, same = { true, "EXAMPLE.org", "443" };
    static const struct url others[] = {
        { false, "example.org", "443" }, { true, "example.com", "443" }, { true, "example.org", "444" },
    };
    (void)state;
    assert_true(url_is_same(&a, &same));
    for (size_t i = 0; i < 3; i++) assert_false(url_is_same(&a, &others[i]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_link_names_server_and_user),
        cmocka_unit_test(what_is_no_link_is_refused),
        cmocka_unit_test(a_host_may_be_as_long_as_a_name_and_no_longer),
        cmocka_unit_test(what_is_printed_is_read_back),
        cmocka_unit_test(servers_are_told_apart_by_host_port_and_tls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
