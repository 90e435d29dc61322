/* test_listening.c - addresses are understood, a port is shared by our shards alone, and a Unix socket's file is
 * ours. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "proto/err.h"
#include "server/net/inside.h"
#include "tests/harness/peer.h"

enum { BACKLOG = 16 };

static char folder[] = "/tmp/pipit-listening-XXXXXX";

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    return rmdir(folder);
}

static int open_with(const char *places, uint16_t shards, struct listening **l, char why[static LISTENING_WHY_MAX])
{
    struct listening_options options = { .shards = shards, .backlog = BACKLOG,
                                         .sndbuf_bytes = 256 * 1024, .unix_mode = 0660 };
    *l = NULL;
    why[0] = '\0';
    return listening_open(places, &options, l, why);
}

static struct listening *must_open(const char *places, uint16_t shards)
{
    char why[LISTENING_WHY_MAX];
    struct listening *l;
    if (open_with(places, shards, &l, why) != 0) fail_msg("%s", why);
    return l;
}

static int err_of(const char *places, char why[static LISTENING_WHY_MAX])
{
    struct listening *l;
    int err = open_with(places, 2, &l, why);
    listening_close(l);
    return err;
}

static bool connects(const struct sockaddr *to, socklen_t len)
{
    int fd = socket(to->sa_family, SOCK_STREAM, 0);
    bool good = connect(fd, to, len) == 0;
    close(fd);
    return good;
}

static bool connects_v4(uint16_t port)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    return connects((struct sockaddr *)&a, sizeof a);
}

static bool connects_v6(uint16_t port)
{
    struct sockaddr_in6 a = { .sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = IN6ADDR_LOOPBACK_INIT };
    return connects((struct sockaddr *)&a, sizeof a);
}

static void addresses_that_are_none_are_told_why(void **state)
{
    (void)state;
    static char long_path[200] = "127.0.0.1:0 unix:/";
    static char many[17 * 12 + 1];
    memset(long_path + strlen(long_path), 'x', 120);
    for (int i = 0; i < 17; i++) strcat(many, "127.0.0.1:0 ");
    static const struct { const char *address, *why; bool only_here; } cases[] = {
        { "127.0.0.1", "127.0.0.1: no port", false },
        { "", "no address", false },
        { " , ", "no address", false },
        { "127.0.0.1:", "port is not", false },
        { "127.0.0.1:x", "port is not", false },
        { "127.0.0.1:65536", "port is not", false },
        { "127.0.0.1:123456", "port is not", false },
        { "127.0.0.1:-1", "port is not", false },
        { "127.0.0.1:1 [::1]", "[::1]: an IPv6 address is written", false },
        { "::1:8700", "[ADDRESS]", false },
        { "127.0.0.1:0,127.0.0.1;0", "no port", false },
        { "unix:", "no path", false },
        { long_path, "its path has 121 bytes; a Unix socket's may have 107", false },
        { many, "more than 16", false },
        { "no.such.host.invalid:0", "no.such.host.invalid", true },
        { "192.0.2.1:0", "192.0.2.1:0: no address of this machine", true },           /* of nobody: RFC 5737 */
        { "127.0.0.1:0 192.0.2.1:0", "192.0.2.1:0: no address of this machine", true },
        { "127.0.0.1:1 127.0.0.1:1", "127.0.0.1:1: it stands in the list twice", true },
        { "unix:/no/such/folder/x.sock", "its folder does not exist", true },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char why[LISTENING_WHY_MAX];
        assert_int_equal(err_of(cases[i].address, why), ERR_CONFIG);
        if (!strstr(why, cases[i].why)) fail_msg("%s -> %s", cases[i].address, why);
        assert_int_equal(listening_check(cases[i].address, why), cases[i].only_here ? 0 : ERR_CONFIG);
        if (!cases[i].only_here) assert_non_null(strstr(why, cases[i].why));
    }
}

static void only_loopback_and_Unix_sockets_are_local(void **state)
{
    (void)state;
    assert_true(listening_is_local("127.0.0.1:8700"));
    assert_true(listening_is_local("127.8.9.1:0, [::1]:1 localhost:8700 unix:/run/x"));
    assert_false(listening_is_local("127.0.0.1.example.org:8700"));
    assert_false(listening_is_local("127.0.0.1:8700 0.0.0.0:8700"));
    assert_false(listening_is_local(":8700"));
    assert_false(listening_is_local("[::]:8700"));
}

static void port_0_takes_a_free_one_for_all_shards(void **state)
{
    (void)state;
    struct listening *l = must_open("127.0.0.1:0", 8);
    char text[64];
    enum door_kind kind = DOOR_UNIX;
    assert_true(listening_port(l) > 0);
    snprintf(text, sizeof text, "127.0.0.1:%u", listening_port(l));
    assert_string_equal(listening_text(l), text);
    assert_string_equal(listening_tcp(l), text);
    assert_int_equal(listening_count(l), 1);
    for (uint16_t i = 0; i < 8; i++) {
        struct sockaddr_in a;
        socklen_t len = sizeof a;
        int fd = listening_take(l, 0, i, &kind);
        assert_int_equal(kind, DOOR_TCP);
        assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
        assert_int_equal(ntohs(a.sin_port), listening_port(l));
        assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
        assert_int_equal(listening_take(l, 0, i, &kind), -1);       /* it is the taker's now */
        close(fd);
    }
    listening_close(l);
}

static void a_port_somebody_listens_on_is_in_use(void **state)
{
    (void)state;
    char why[LISTENING_WHY_MAX], address[64];
    struct listening *l = must_open("127.0.0.1:0", 2);
    strcpy(address, listening_text(l));
    /* SO_REUSEPORT alone would let it in. */
    assert_int_equal(err_of(address, why), ERR_IN_USE);
    assert_non_null(strstr(why, address));
    listening_close(l);
    l = must_open(address, 2);
    assert_string_equal(listening_text(l), address);
    listening_close(l);
}

static void all_places_of_a_list_are_bound_and_told(void **state)
{
    (void)state;
    char places[200], text[200], path[80];
    snprintf(path, sizeof path, "%s/a.sock", folder);
    snprintf(places, sizeof places, " 127.0.0.1:0,unix:%s\t127.0.0.2:0 ", path);
    struct listening *l = must_open(places, 3);
    assert_int_equal(listening_count(l), 3);
    unsigned first = 0, second = 0;
    snprintf(text, sizeof text, "127.0.0.1:%%u unix:%s 127.0.0.2:%%u", path);
    assert_int_equal(sscanf(listening_text(l), text, &first, &second), 2);
    assert_int_equal(listening_port(l), first);
    assert_true(first != second || first > 0);
    /* What it tells can be asked for again. */
    snprintf(places, sizeof places, "%s", listening_text(l));
    listening_close(l);
    l = must_open(places, 3);
    assert_string_equal(listening_text(l), places);
    listening_close(l);
}

static void a_name_is_all_of_its_addresses_on_one_port(void **state)
{
    (void)state;
    struct listening *l = must_open("localhost:0", 2);
    assert_true(connects_v4(listening_port(l)));
    if (strstr(listening_text(l), "[::1]")) assert_true(connects_v6(listening_port(l)));
    listening_close(l);
}

static void everywhere_takes_IPv4_too_unless_that_is_in_the_list(void **state)
{
    (void)state;
    char places[64];
    if (!peer_has_ipv6()) skip();
    struct listening *l = must_open("[::]:0", 2);
    uint16_t port = listening_port(l);
    assert_true(connects_v4(port) && connects_v6(port));
    listening_close(l);
    snprintf(places, sizeof places, "[::]:%u 127.0.0.2:%u", port, port);
    l = must_open(places, 2);
    assert_true(connects_v6(port));
    assert_false(connects_v4(port));                          /* 127.0.0.1: nobody asked for it */
    listening_close(l);
    snprintf(places, sizeof places, "0.0.0.0:%u, [::]:%u", port, port);
    l = must_open(places, 2);
    assert_true(connects_v4(port) && connects_v6(port));
    listening_close(l);
}

/* -- the file of a Unix socket -- */

static struct sockaddr_un unix_at(const char *name)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    snprintf(a.sun_path, sizeof a.sun_path, "%s/%s", folder, name);
    return a;
}

static char *unix_place(const struct sockaddr_un *a)
{
    static char place[128];
    snprintf(place, sizeof place, "unix:%s", a->sun_path);
    return place;
}

static void a_Unix_socket_has_its_mode_and_goes_with_its_server(void **state)
{
    (void)state;
    struct sockaddr_un a = unix_at("b.sock");
    struct stat st;
    struct listening *l = must_open(unix_place(&a), 3);
    enum door_kind kind = DOOR_TCP;
    assert_int_equal(stat(a.sun_path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0660);
    assert_string_equal(listening_text(l), unix_place(&a));
    assert_string_equal(listening_tcp(l), "");
    assert_int_equal(listening_port(l), 0);
    assert_true(connects((struct sockaddr *)&a, sizeof a));
    for (uint16_t i = 0; i < 3; i++) {
        int fd = listening_take(l, 0, i, &kind);
        assert_true(fd >= 0 && kind == DOOR_UNIX && (fcntl(fd, F_GETFD) & FD_CLOEXEC));
        close(fd);
    }
    listening_close(l);
    assert_int_equal(access(a.sun_path, F_OK), -1);
}

static void the_file_of_a_dead_server_is_replaced_and_a_live_ones_is_not(void **state)
{
    (void)state;
    char why[LISTENING_WHY_MAX];
    struct sockaddr_un a = unix_at("c.sock");
    int dead = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(dead, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(listen(dead, 1), 0);
    assert_int_equal(err_of(unix_place(&a), why), ERR_IN_USE);
    assert_non_null(strstr(why, "another program listens there"));
    assert_int_equal(access(a.sun_path, F_OK), 0);
    /* also when its queue is full, so that it does not answer */
    int waiting[4];
    for (int i = 0; i < 4; i++) {
        waiting[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
        (void)!connect(waiting[i], (struct sockaddr *)&a, sizeof a);
    }
    assert_int_equal(err_of(unix_place(&a), why), ERR_IN_USE);
    for (int i = 0; i < 4; i++) close(waiting[i]);
    close(dead);                                              /* and leaves its file, as kill -9 does */
    assert_int_equal(access(a.sun_path, F_OK), 0);
    struct listening *l = must_open(unix_place(&a), 1);
    assert_true(connects((struct sockaddr *)&a, sizeof a));
    listening_close(l);
}

static void a_file_that_is_no_socket_is_left_alone(void **state)
{
    (void)state;
    char why[LISTENING_WHY_MAX];
    struct sockaddr_un a = unix_at("d.sock");
    int fd = open(a.sun_path, O_CREAT | O_WRONLY, 0600);
    assert_int_equal(write(fd, "precious", 8), 8);
    close(fd);
    assert_int_equal(err_of(unix_place(&a), why), ERR_CONFIG);
    assert_non_null(strstr(why, "it is no socket"));
    struct stat st;
    assert_int_equal(stat(a.sun_path, &st), 0);
    assert_int_equal(st.st_size, 8);
    unlink(a.sun_path);
}

static void a_file_that_another_server_made_meanwhile_stays(void **state)
{
    (void)state;
    struct sockaddr_un a = unix_at("e.sock"), b = unix_at("f.sock");
    struct listening *first = must_open(unix_place(&a), 1), *second = must_open(unix_place(&b), 1);
    assert_int_equal(rename(b.sun_path, a.sun_path), 0);      /* somebody put another one there */
    listening_close(first);
    assert_int_equal(access(a.sun_path, F_OK), 0);
    listening_close(second);
    unlink(a.sun_path);
}

static void a_redirect_needs_somewhere_to_lead_to(void **state)
{
    (void)state;
    assert_true(listening_leads_nowhere("redirect::80", true));
    assert_true(listening_leads_nowhere("redirect::80 plain::8700", true));
    assert_true(listening_leads_nowhere("redirect::80 unix:/run/x", true));
    assert_true(listening_leads_nowhere(":443 redirect::80", false));
    assert_false(listening_leads_nowhere(":443 redirect::80", true));
    assert_false(listening_leads_nowhere("redirect::80, :443", true));
    assert_false(listening_leads_nowhere(":443 plain::8700", false));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_redirect_needs_somewhere_to_lead_to),
        cmocka_unit_test(addresses_that_are_none_are_told_why),
        cmocka_unit_test(only_loopback_and_Unix_sockets_are_local),
        cmocka_unit_test(port_0_takes_a_free_one_for_all_shards),
        cmocka_unit_test(a_port_somebody_listens_on_is_in_use),
        cmocka_unit_test(all_places_of_a_list_are_bound_and_told),
        cmocka_unit_test(a_name_is_all_of_its_addresses_on_one_port),
        cmocka_unit_test(everywhere_takes_IPv4_too_unless_that_is_in_the_list),
        cmocka_unit_test(a_Unix_socket_has_its_mode_and_goes_with_its_server),
        cmocka_unit_test(the_file_of_a_dead_server_is_replaced_and_a_live_ones_is_not),
        cmocka_unit_test(a_file_that_is_no_socket_is_left_alone),
        cmocka_unit_test(a_file_that_another_server_made_meanwhile_stays),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
