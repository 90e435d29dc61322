/* test_secure.c - who speaks plainly where TLS is spoken, who breaks TLS, and what TLS must not cost. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/err.h"
#include "server/net/inside.h"
#include "tests/harness/certbox.h"
#include "tests/harness/netrig.h"
#include "tests/harness/peer.h"

#define GET(path) "GET " path " HTTP/1.1\r\nHost: chat.example:8700\r\n\r\n"

static struct clock_hand hand;

static struct netrig *up(struct netrig_options options)
{
    netrig_speak_tls();
    clock_hand_init(&hand, 1700000000000);
    options.hand = &hand;
    return netrig_up(&options);
}

static struct peer *dial_plainly(uint16_t port)
{
    peer_speak_tls(NULL);
    struct peer *p = peer_dial(port);
    netrig_speak_tls();
    return p;
}

static uint16_t port_behind(struct netrig *rig, const char *prefix)
{
    unsigned port = 0;
    const char *at = strstr(netrig_address(rig), prefix);
    assert_non_null(at);
    assert_int_equal(sscanf(at + strlen(prefix), "127.0.0.1:%u", &port), 1);
    return (uint16_t)port;
}

static void whoever_speaks_plainly_is_told_so(void **state)
{
    (void)state;
    struct netrig *rig = up((struct netrig_options){ .shards = 1 });
    struct peer *p = dial_plainly(netrig_port(rig));
    peer_puts(p, GET("/echo"));
    assert_int_equal(peer_answer(p), 400);
    assert_non_null(strstr((char *)p->body.at, "TLS is spoken here"));
    assert_true(peer_ended(p));
    peer_free(p);
    p = dial_plainly(netrig_port(rig));
    peer_puts(p, "no HTTP, and no TLS\r\n\r\n");
    assert_int_equal(peer_answer(p), 400);
    assert_true(peer_ended(p));
    peer_free(p);
    assert_int_equal(netrig_stat(rig, "tls_plain"), 2);
    assert_int_equal(netrig_stat(rig, "tls_failed"), 0);
    netrig_down(rig);
}

static void or_is_led_to_the_same_address(void **state)
{
    (void)state;
    struct netrig *rig = up((struct netrig_options){ .shards = 1, .redirects = true });
    struct peer *p = dial_plainly(netrig_port(rig));
    peer_puts(p, GET("/echo?a=b"));
    assert_int_equal(peer_answer(p), 308);
    assert_true(peer_has_line(p, "Location: https://chat.example:8700/echo?a=b"));
    assert_true(peer_ended(p));
    peer_free(p);
    p = dial_plainly(netrig_port(rig));
    peer_puts(p, "POST /v1/login HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}");
    assert_int_equal(peer_answer(p), 400);           /* its password has been seen: that must not go unnoticed */
    peer_free(p);
    p = dial_plainly(netrig_port(rig));
    peer_puts(p, "GET / HTTP/1.0\r\n\r\n");
    assert_int_equal(peer_answer(p), 400);           /* no Host: nowhere to lead to */
    peer_free(p);
    netrig_down(rig);
}

static void a_door_for_it_leads_to_the_port_of_TLS_and_another_stays_plain(void **state)
{
    (void)state;
    struct netrig *rig = up((struct netrig_options){ .shards = 1,
                            .address = "redirect:127.0.0.1:0 plain:127.0.0.1:0 127.0.0.1:0" });
    char line[64];
    const char *last = strrchr(netrig_address(rig), ':');
    struct peer *p = dial_plainly(port_behind(rig, "redirect:"));
    peer_puts(p, GET("/echo"));
    assert_int_equal(peer_answer(p), 308);
    snprintf(line, sizeof line, "Location: https://chat.example%s/echo", last);
    assert_true(peer_has_line(p, line));
    peer_free(p);
    p = dial_plainly(port_behind(rig, "redirect:"));
    peer_puts(p, "GET / HTTP/1.1\r\nHost: [::1]\r\n\r\n");
    assert_int_equal(peer_answer(p), 308);
    snprintf(line, sizeof line, "Location: https://[::1]%s/", last);
    assert_true(peer_has_line(p, line));
    peer_free(p);
    p = dial_plainly(port_behind(rig, "plain:"));
    peer_puts(p, GET("/echo?q"));
    assert_int_equal(peer_answer(p), 200);
    assert_string_equal((char *)p->body.at, "GET q ");
    peer_free(p);
    p = peer_dial((uint16_t)atoi(last + 1));
    peer_puts(p, GET("/echo?s"));
    assert_int_equal(peer_answer(p), 200);
    peer_free(p);
    netrig_down(rig);
}

static void a_broken_handshake_gets_an_alert_and_is_counted(void **state)
{
    static const uint8_t hello[] = { 22, 3, 1, 0, 5, 1, 0, 0, 1, 0 };
    (void)state;
    struct netrig *rig = up((struct netrig_options){ .shards = 1 });
    struct peer *p = dial_plainly(netrig_port(rig));
    peer_put(p, bytes_of(hello, sizeof hello));
    while (p->in.len < 2) assert_false(peer_ended(p) && p->in.len == 0);
    assert_int_equal(p->in.at[0], 21);               /* alert */
    peer_free(p);
    assert_int_equal(netrig_closed(rig), ERR_MALFORMED);
    assert_int_equal(netrig_stat(rig, "tls_failed"), 1);
    netrig_down(rig);
}

static void half_a_handshake_has_the_time_of_a_request(void **state)
{
    (void)state;
    struct netrig *rig = up((struct netrig_options){ .shards = 1 });
    struct peer *silent = dial_plainly(netrig_port(rig)), *half = dial_plainly(netrig_port(rig));
    peer_puts(half, "\x16\x03\x01\x02");
    netrig_await(rig, "conns", 2);
    netrig_turn_clock(rig, NETRIG_REQUEST_MS + WHEEL_TICK_MS);
    assert_true(peer_ended(silent) && peer_ended(half));
    peer_free(silent);
    peer_free(half);
    assert_int_equal(netrig_closed(rig), ERR_IDLE);
    assert_int_equal(netrig_closed(rig), ERR_IDLE);
    netrig_down(rig);
}

static void who_is_over_a_limit_is_closed_without_a_handshake(void **state)
{
    (void)state;
    struct netrig *rig = up((struct netrig_options){ .shards = 1, .conns_max = 1 });
    struct peer *first = peer_open(netrig_port(rig)), *second = dial_plainly(netrig_port(rig));
    assert_true(peer_ended(second));
    peer_say(first, "as ever");
    peer_expect(first, "as ever");
    peer_free(first);
    peer_free(second);
    assert_int_equal(netrig_stat(rig, "conns_refused"), 1);
    netrig_down(rig);
}

static void set_certs(struct shard *shard, void *arg)
{
    struct net_settings s = shard->net->config.settings;
    s.certs = arg;
    net_set(shard, &s);
}

static void new_certificates_are_for_those_who_come_then(void **state)
{
    (void)state;
    struct netrig *rig = up((struct netrig_options){ .shards = 2 });
    struct peer *before = peer_open(netrig_port(rig));
    certbox_issue("next", "localhost", NULL, 10);
    struct certs *next = certbox_load("next", 9);
    for (uint16_t i = 0; i < 2; i++) netrig_call(rig, i, set_certs, next);
    certs_unref(next);
    peer_say(before, "H1still here");
    peer_expect(before, "W1still here");
    struct peer *after = peer_open(netrig_port(rig));
    peer_say(after, "H0new");
    peer_expect(after, "W0new");
    for (uint16_t i = 0; i < 2; i++) netrig_call(rig, i, set_certs, NULL);
    struct peer *plain = dial_plainly(netrig_port(rig));
    peer_puts(plain, GET("/echo"));
    assert_int_equal(peer_answer(plain), 200);
    peer_say(before, "once more");
    peer_expect(before, "once more");
    peer_free(before);
    peer_free(after);
    peer_free(plain);
    netrig_down(rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whoever_speaks_plainly_is_told_so),
        cmocka_unit_test(or_is_led_to_the_same_address),
        cmocka_unit_test(a_door_for_it_leads_to_the_port_of_TLS_and_another_stays_plain),
        cmocka_unit_test(a_broken_handshake_gets_an_alert_and_is_counted),
        cmocka_unit_test(half_a_handshake_has_the_time_of_a_request),
        cmocka_unit_test(who_is_over_a_limit_is_closed_without_a_handshake),
        cmocka_unit_test(new_certificates_are_for_those_who_come_then),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
