/* test_listener.c - addresses are understood, a port is shared by our shards alone, and limits turn away. */
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

enum { BACKLOG = 16 };

static int bind_and_close(const char *address, uint16_t shards, uint16_t *port, char why[static 128])
{
    int fds[SHARDS_MAX];
    int err = listener_bind(address, shards, BACKLOG, fds, port, why);
    for (uint16_t i = 0; !err && i < shards; i++) close(fds[i]);
    return err;
}

static bool has_ipv6(void)
{
    struct sockaddr_in6 a = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
    int fd = socket(AF_INET6, SOCK_STREAM, 0);
    bool has = fd >= 0 && bind(fd, (struct sockaddr *)&a, sizeof a) == 0;
    if (fd >= 0) close(fd);
    return has;
}

static void addresses_that_are_none_are_told_why(void **state)
{
    (void)state;
    static const struct { const char *address, *why; } cases[] = {
        { "127.0.0.1", "no port" },
        { "", "no port" },
        { "127.0.0.1:", "port is not" },
        { "127.0.0.1:x", "port is not" },
        { "127.0.0.1:65536", "port is not" },
        { "127.0.0.1:123456", "port is not" },
        { "127.0.0.1:-1", "port is not" },
        { "::1:8700", "[ADDRESS]" },
        { "no.such.host.invalid:0", "no.such.host.invalid" },
        { "192.0.2.1:0", "192.0.2.1" },                  /* of nobody: RFC 5737 */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char why[128];
        uint16_t port = 1;
        assert_int_equal(bind_and_close(cases[i].address, 1, &port, why), ERR_CONFIG);
        assert_non_null(strstr(why, cases[i].why));
    }
}

static void port_0_takes_a_free_one_for_all_shards(void **state)
{
    (void)state;
    char why[128];
    uint16_t port = 0;
    int fds[8];
    assert_int_equal(listener_bind("127.0.0.1:0", 8, BACKLOG, fds, &port, why), 0);
    assert_true(port > 0);
    for (int i = 0; i < 8; i++) {
        struct sockaddr_in a;
        socklen_t len = sizeof a;
        assert_int_equal(getsockname(fds[i], (struct sockaddr *)&a, &len), 0);
        assert_int_equal(ntohs(a.sin_port), port);
        assert_int_equal(fcntl(fds[i], F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
        close(fds[i]);
    }
}

static void a_port_somebody_listens_on_is_in_use(void **state)
{
    (void)state;
    char why[128], address[32];
    uint16_t port = 0, again = 0;
    int fds[2];
    assert_int_equal(listener_bind("127.0.0.1:0", 2, BACKLOG, fds, &port, why), 0);
    snprintf(address, sizeof address, "127.0.0.1:%u", port);
    /* SO_REUSEPORT alone would let it in. */
    assert_int_equal(bind_and_close(address, 2, &again, why), ERR_IN_USE);
    assert_non_null(strstr(why, address));
    close(fds[0]);
    close(fds[1]);
    assert_int_equal(bind_and_close(address, 2, &again, why), 0);
    assert_int_equal(again, port);
}

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
        { "localhost:0", NULL, false },
        { ":0", "127.0.0.1", false },
        { "0.0.0.0:0", "127.0.0.1", false },
        { ":0", "::1", true },
        { "[::1]:0", "::1", true },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (cases[i].v6 && !has_ipv6()) continue;
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
        cmocka_unit_test(addresses_that_are_none_are_told_why),
        cmocka_unit_test(port_0_takes_a_free_one_for_all_shards),
        cmocka_unit_test(a_port_somebody_listens_on_is_in_use),
        cmocka_unit_test(a_port_is_free_again_at_once_after_a_stop),
        cmocka_unit_test(ipv6_and_names_and_everywhere_are_served),
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
