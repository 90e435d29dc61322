/* test_listener.c - every place is served by all shards, and limits turn away. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proto/err.h"
#include "server/net/inside.h"
#include "tests/harness/netrig.h"
#include "tests/harness/peer.h"

/* What a server leaves behind in TIME_WAIT must not keep the next one from starting. */
static void a_port_is_free_again_at_once_after_a_stop(void **state)
{
    (void)state;
    char address[32] = "127.0.0.1:0";
    for (int i = 0; i < 3; i++) {
        struct netrig *rig = netrig_up(&(struct netrig_options){ .shards = 2, .address = address });
        snprintf(address, sizeof address, "127.0.0.1:%u", netrig_port(rig));
        struct peer *p = peer_open(netrig_port(rig));
        netrig_stop(rig);
        assert_int_equal(peer_expect_close(p), err_close_code(ERR_GOING));
        netrig_down(rig);
        peer_free(p);
    }
}

static void ipv6_and_names_and_everywhere_are_served(void **state)
{
    (void)state;
    static const struct { const char *address, *dial; bool v6; } cases[] = {
        { "localhost:0", "127.0.0.1", false },
        { "[::]:0", "127.0.0.1", true },
        { "[::]:0", "::1", true },
        { "127.0.0.1:0 [::1]:0", "127.0.0.1", true },
        { ":0", "127.0.0.1", false },
        { "0.0.0.0:0", "127.0.0.1", false },
        { ":0", "::1", true },
        { "[::1]:0", "::1", true },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (cases[i].v6 && !peer_has_ipv6()) continue;
        struct netrig *rig = netrig_up(&(struct netrig_options){ .address = cases[i].address });
        if (cases[i].dial) {
            struct peer *p = peer_dial_to(cases[i].dial, netrig_port(rig));
            peer_puts(p, "GET /echo HTTP/1.1\r\nHost: x\r\n\r\n");
            assert_int_equal(peer_answer(p), 200);
            peer_free(p);
        }
        netrig_down(rig);
    }
}

/* -- several places, a Unix socket among them -- */

static char *unix_path(void)
{
    static char path[64];
    snprintf(path, sizeof path, "/tmp/pipit-listener-%d.sock", (int)getpid());
    return path;
}

static struct netrig *unix_up(struct netrig_options options)
{
    static char address[96];
    snprintf(address, sizeof address, "127.0.0.1:0, unix:%s", unix_path());
    options.address = address;
    return netrig_up(&options);
}

static void ask_peer(struct peer *p, const char *headers, int status, const char *who)
{
    char request[1024];
    snprintf(request, sizeof request, "GET /peer HTTP/1.1\r\nHost: x\r\n%s\r\n", headers);
    peer_puts(p, request);
    assert_int_equal(peer_answer(p), status);
    if (who) assert_string_equal((char *)p->body.at, who);
}

static void a_Unix_socket_serves_all_that_TCP_does(void **state)
{
    enum { PEERS = 60, SHARDS = 3 };
    (void)state;
    struct netrig *rig = unix_up((struct netrig_options){ .shards = SHARDS });
    struct peer *p[PEERS];
    char hello[3] = "H0", home[3] = "W0";
    assert_non_null(strstr(netrig_address(rig), unix_path()));
    for (int i = 0; i < PEERS; i++) {
        p[i] = i % 2 ? peer_dial(netrig_port(rig)) : peer_dial_unix(unix_path());
        peer_puts(p[i], PEER_UPGRADE);
        peer_expect_upgrade(p[i]);
        hello[1] = home[1] = (char)('0' + i % SHARDS);
        peer_say(p[i], hello);                                /* moves to its home */
        peer_say(p[i], "S3 1000");
        peer_expect(p[i], home);
        for (int k = 0; k < 3; k++) assert_true(peer_next(p[i]) && p[i]->body.len == 1000);
    }
    assert_true(netrig_stat(rig, "handoffs") > 0);
    for (int i = 0; i < PEERS; i++) {
        peer_say(p[i], "still here");
        peer_expect(p[i], "still here");
        peer_free(p[i]);
    }
    for (int i = 0; i < PEERS; i++) assert_int_equal(netrig_closed(rig), ERR_PEER);
    netrig_down(rig);
    assert_int_equal(access(unix_path(), F_OK), -1);
}

static void a_slow_reader_on_a_Unix_socket_loses_nothing(void **state)
{
    (void)state;
    struct netrig *rig = unix_up((struct netrig_options){ .shards = 1 });
    struct peer *p = peer_dial_unix(unix_path());
    peer_puts(p, PEER_UPGRADE);
    peer_expect_upgrade(p);
    for (int i = 0; i < 8; i++) peer_say(p, "S100 4000");     /* far more than a socket takes */
    netrig_await(rig, "frames_out", 100);
    for (int i = 0; i < 800; i++) {
        char number[8];
        snprintf(number, sizeof number, "%04d", i % 100 + 1);
        assert_true(peer_next(p) && p->body.len == 4000);
        assert_memory_equal(p->body.at, number, 4);
    }
    peer_say(p, "C65");
    assert_int_equal(peer_expect_close(p), err_close_code(ERR_IDLE));
    peer_free(p);
    netrig_down(rig);
}

static void on_a_Unix_socket_the_peer_is_who_the_proxy_names(void **state)
{
    (void)state;
    struct netrig *rig = unix_up((struct netrig_options){ .shards = 2 });
    struct peer *p = peer_dial_unix(unix_path());
    ask_peer(p, "", 200, "unix");
    ask_peer(p, "X-Forwarded-For: 198.51.100.1, 203.0.113.9\r\n", 200, "203.0.113.9");
    ask_peer(p, "", 200, "unix");                             /* not the one before */
    ask_peer(p, "X-Forwarded-For: 198.51.100.1\r\nX-Forwarded-For: 2001:DB8::1\r\n", 200, "2001:db8::1");
    ask_peer(p, "Forwarded: for=192.0.2.60;proto=https\r\n", 200, "192.0.2.60");
    ask_peer(p, "X-Forwarded-For: unknown\r\n", 200, "unix");
    peer_free(p);
    /* On TCP anybody could say that. */
    p = peer_dial(netrig_port(rig));
    ask_peer(p, "X-Forwarded-For: 203.0.113.9\r\nForwarded: for=203.0.113.9\r\n", 200, "127.0.0.1");
    peer_free(p);
    /* A WebSocket keeps its own, also where it moves. */
    p = peer_dial_unix(unix_path());
    peer_puts(p, PEER_UPGRADE_WITH("X-Forwarded-For: 203.0.113.9\r\n"));
    peer_expect_upgrade(p);
    peer_say(p, "W");
    peer_expect(p, "203.0.113.9");
    peer_say(p, "M1");                                        /* by way of the other shard, whichever it is on */
    peer_expect(p, "W1");
    peer_say(p, "W");
    peer_expect(p, "203.0.113.9");
    peer_free(p);
    netrig_down(rig);
}

static void behind_a_proxy_each_address_has_its_limit(void **state)
{
    (void)state;
    struct netrig *rig = unix_up((struct netrig_options){ .shards = 1, .conns_per_address_max = 2 });
    struct peer *proxy = peer_dial_unix(unix_path()), *ws[2], *more;
    static const char *const who[2] = { PEER_UPGRADE_WITH("X-Forwarded-For: 2001:db8:1:2:3::4\r\n"),
                                        PEER_UPGRADE_WITH("X-Forwarded-For: 2001:db8:1:2::ffff\r\n") };
    for (int i = 0; i < 5; i++) ask_peer(proxy, "X-Forwarded-For: 203.0.113.9\r\n", 200, "203.0.113.9");
    for (int i = 0; i < 2; i++) {
        ws[i] = peer_dial_unix(unix_path());
        peer_puts(ws[i], who[i]);
        peer_expect_upgrade(ws[i]);
    }
    /* Two of one /64: a third is too many, whichever of its addresses; another /64 is another peer. */
    more = peer_dial_unix(unix_path());
    peer_puts(more, PEER_UPGRADE_WITH("X-Forwarded-For: 2001:db8:1:2:ffff::1\r\n"));
    assert_int_equal(peer_answer(more), 429);
    assert_true(peer_has_line(more, "Retry-After: 10"));
    assert_non_null(strstr((char *)more->body.at, "\"RATE\""));
    ask_peer(more, "X-Forwarded-For: 2001:db8:1:2::1\r\n", 429, NULL);    /* the proxy's connection goes on */
    ask_peer(more, "X-Forwarded-For: 2001:db8:1:3::1\r\n", 200, "2001:db8:1:3::1");
    ask_peer(more, "X-Forwarded-For: 127.0.0.1\r\n", 200, "127.0.0.1");
    peer_free(ws[0]);
    assert_int_equal(netrig_closed(rig), ERR_PEER);
    ask_peer(more, "X-Forwarded-For: 2001:db8:1:2::1\r\n", 200, "2001:db8:1:2::1");
    peer_free(ws[1]);
    peer_free(more);
    peer_free(proxy);
    netrig_down(rig);
}

static void connections_spread_and_all_are_served(void **state)
{
    enum { PEERS = 100 };
    (void)state;
    struct netrig *rig = netrig_up(&(struct netrig_options){ .shards = 3 });
    struct peer *p[PEERS];
    for (int i = 0; i < PEERS; i++) p[i] = peer_open(netrig_port(rig));
    for (int i = 0; i < PEERS; i++) {
        peer_say(p[i], "me");
        peer_expect(p[i], "me");
        peer_free(p[i]);
    }
    for (int i = 0; i < PEERS; i++) assert_int_equal(netrig_closed(rig), ERR_PEER);
    assert_int_equal(netrig_stat(rig, "conns_accepted"), PEERS);
    assert_int_equal(netrig_stat(rig, "conns"), 0);
    netrig_down(rig);
}

static void one_too_many_is_told_503_and_there_is_room_again_later(void **state)
{
    enum { MAX = 3 };
    (void)state;
    struct netrig *rig = netrig_up(&(struct netrig_options){ .conns_max = MAX });
    struct peer *p[MAX];
    for (int i = 0; i < MAX; i++) p[i] = peer_open(netrig_port(rig));
    for (int i = 0; i < 5; i++) {
        struct peer *more = peer_dial(netrig_port(rig));
        peer_puts(more, PEER_UPGRADE);
        assert_int_equal(peer_answer(more), 503);
        assert_true(peer_has_line(more, "Retry-After: 10"));
        assert_true(peer_ended(more));
        peer_free(more);
    }
    assert_int_equal(netrig_stat(rig, "conns_refused"), 5);
    assert_int_equal(netrig_stat(rig, "conns_accepted"), MAX);
    assert_int_equal(netrig_closed_count(rig), 0);        /* nobody above ever knew of them */
    peer_free(p[0]);
    assert_int_equal(netrig_closed(rig), ERR_PEER);
    p[0] = peer_open(netrig_port(rig));
    for (int i = 0; i < MAX; i++) {
        peer_say(p[i], "me");
        peer_expect(p[i], "me");
        peer_free(p[i]);
    }
    netrig_down(rig);
}

/* Refused ones that linger cost memory: above a number they are not even answered. */
static void a_crowd_of_refused_is_cut_short(void **state)
{
    enum { CROWD = 200 };
    (void)state;
    struct netrig *rig = netrig_up(&(struct netrig_options){ .conns_max = 1 });
    struct peer *in = peer_open(netrig_port(rig)), *out[CROWD];
    for (int i = 0; i < CROWD; i++) out[i] = peer_dial(netrig_port(rig));
    netrig_await(rig, "conns_refused", CROWD);
    int answered = 0;
    for (int i = 0; i < CROWD; i++) {
        while (!peer_ended(out[i])) out[i]->in.len = 0, answered++;
        peer_free(out[i]);
    }
    assert_true(answered > 0 && answered < CROWD);
    peer_say(in, "still served");
    peer_expect(in, "still served");
    peer_free(in);
    netrig_down(rig);
}

static void loopback_has_no_limit_for_each_address(void **state)
{
    (void)state;
    struct netrig *rig = netrig_up(&(struct netrig_options){ .conns_per_address_max = 1 });
    struct peer *a = peer_open(netrig_port(rig)), *b = peer_open(netrig_port(rig));
    peer_say(b, "in");
    peer_expect(b, "in");
    peer_free(a);
    peer_free(b);
    netrig_down(rig);
}

/* An address of this machine that is not loopback's; peers that dial it come from it. */
static bool own_address(char out[static INET_ADDRSTRLEN])
{
    struct ifaddrs *list, *a;
    bool found = false;
    if (getifaddrs(&list) != 0) return false;
    for (a = list; a && !found; a = a->ifa_next) {
        if (!a->ifa_addr || a->ifa_addr->sa_family != AF_INET || (a->ifa_flags & IFF_LOOPBACK)) continue;
        if (!(a->ifa_flags & IFF_UP)) continue;
        found = inet_ntop(AF_INET, &((struct sockaddr_in *)a->ifa_addr)->sin_addr, out, INET_ADDRSTRLEN);
    }
    freeifaddrs(list);
    return found;
}

static void an_address_has_its_limit_and_gets_room_back(void **state)
{
    (void)state;
    char host[INET_ADDRSTRLEN];
    if (!own_address(host)) skip();
    struct netrig *rig = netrig_up(&(struct netrig_options){ .conns_per_address_max = 2, .address = ":0" });
    struct peer *p[2], *more;
    for (int i = 0; i < 2; i++) p[i] = peer_dial_to(host, netrig_port(rig));
    netrig_await(rig, "conns_accepted", 2);
    for (int i = 0; i < 3; i++) {
        more = peer_dial_to(host, netrig_port(rig));
        assert_int_equal(peer_answer(more), 429);
        assert_true(peer_ended(more));
        peer_free(more);
    }
    more = peer_dial(netrig_port(rig));                   /* another address is not concerned */
    peer_puts(more, "GET /echo HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_int_equal(peer_answer(more), 200);
    peer_free(more);
    assert_int_equal(netrig_closed(rig), ERR_PEER);
    peer_free(p[0]);
    assert_int_equal(netrig_closed(rig), ERR_PEER);
    p[0] = peer_dial_to(host, netrig_port(rig));
    peer_puts(p[0], "GET /echo HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_int_equal(peer_answer(p[0]), 200);
    for (int i = 0; i < 2; i++) peer_free(p[i]);
    netrig_down(rig);
}

/* -- out of descriptors -- */

static void the_last_descriptors_are_not_for_connections(void **state)
{
    enum { LIMIT = 256, FILES = 40 };
    (void)state;
    struct rlimit before, low;
    struct peer *p[LIMIT], *refused = NULL;
    int count = 0, file[FILES];
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    low = before;
    low.rlim_cur = LIMIT;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    struct netrig *rig = netrig_up(&(struct netrig_options){ .shards = 2 });
    while (!refused) {
        assert_true(count < LIMIT);
        struct peer *one = peer_dial(netrig_port(rig));
        peer_puts(one, PEER_UPGRADE);
        if (peer_answer(one) == 101) p[count++] = one;
        else refused = one;
    }
    assert_non_null(strstr(refused->head, "HTTP/1.1 503 "));
    assert_true(count > 10);
    for (int i = 0; i < FILES; i++) assert_true((file[i] = open("/dev/null", O_RDONLY)) >= 0);
    for (int i = 0; i < FILES; i++) close(file[i]);
    for (int i = 0; i < count; i++) {
        peer_say(p[i], "me");
        peer_expect(p[i], "me");
        peer_free(p[i]);
    }
    peer_free(refused);
    netrig_down(rig);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
}

static void without_descriptors_a_connection_is_closed_and_the_rest_goes_on(void **state)
{
    (void)state;
    struct netrig *rig = netrig_up(&(struct netrig_options){ .shards = 1 });
    struct peer *in = peer_open(netrig_port(rig));
    struct rlimit before, none;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    /* A socket of our own for the dialling, then not one more for anybody. */
    int ours = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(ours >= 0);
    none = before;
    none.rlim_cur = (rlim_t)ours + 1;
    int holes = 0, hole[64], fd;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    while (holes < 64 && (fd = dup(0)) >= 0) hole[holes++] = fd;       /* those below are taken too */
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(netrig_port(rig)),
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    assert_int_equal(connect(ours, (struct sockaddr *)&to, sizeof to), 0);
    char byte;
    assert_true(recv(ours, &byte, 1, 0) <= 0);                          /* not left hanging */
    peer_say(in, "still served");
    peer_expect(in, "still served");
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    while (holes) close(hole[--holes]);
    close(ours);
    struct peer *later = peer_open(netrig_port(rig));
    peer_say(later, "in again");
    peer_expect(later, "in again");
    peer_free(later);
    peer_free(in);
    netrig_down(rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_port_is_free_again_at_once_after_a_stop),
        cmocka_unit_test(ipv6_and_names_and_everywhere_are_served),
        cmocka_unit_test(a_Unix_socket_serves_all_that_TCP_does),
        cmocka_unit_test(a_slow_reader_on_a_Unix_socket_loses_nothing),
        cmocka_unit_test(on_a_Unix_socket_the_peer_is_who_the_proxy_names),
        cmocka_unit_test(behind_a_proxy_each_address_has_its_limit),
        cmocka_unit_test(connections_spread_and_all_are_served),
        cmocka_unit_test(one_too_many_is_told_503_and_there_is_room_again_later),
        cmocka_unit_test(a_crowd_of_refused_is_cut_short),
        cmocka_unit_test(loopback_has_no_limit_for_each_address),
        cmocka_unit_test(an_address_has_its_limit_and_gets_room_back),
        cmocka_unit_test(the_last_descriptors_are_not_for_connections),
        cmocka_unit_test(without_descriptors_a_connection_is_closed_and_the_rest_goes_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
