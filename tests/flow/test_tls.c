/* test_tls.c - a whole server with certificates: people behind TLS, and certificates that change while they are there. */
#include <stdlib.h>

#include "tests/flow/flow.h"
#include "tests/harness/certbox.h"
#include "tests/harness/peer.h"

static void set_certs(struct config *config, const char *base)
{
    char name[64], path[CERTBOX_PATH];
    snprintf(name, sizeof name, "%s.pem", base);
    certbox_path(name, path);
    snprintf(config->tls_cert, sizeof config->tls_cert, "%s", path);
    snprintf(name, sizeof name, "%s.key", base);
    certbox_path(name, path);
    snprintf(config->tls_key, sizeof config->tls_key, "%s", path);
}

static int setup(void **state)
{
    static char ca[CERTBOX_PATH];
    struct rig *rig = rig_new(&(struct rig_options){ .shards = 2 });
    certbox_issue("cert", "localhost", NULL, 30);
    certbox_path("ca.pem", ca);
    peer_speak_tls(ca);
    set_certs(rig_config(rig), "cert");
    rig_add(rig, "alice", 1);
    rig_up(rig);
    *state = rig;
    return 0;
}

static int teardown(void **state)
{
    peer_speak_tls(NULL);
    rig_free(*state);
    return 0;
}

static int health(struct peer *p)
{
    peer_puts(p, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
    return peer_answer(p);
}

static void requests_and_sockets_are_answered_over_TLS(void **state)
{
    struct rig *rig = *state;
    struct peer *p = peer_dial(rig_port(rig)), *ws = peer_open(rig_port(rig));
    assert_int_equal(health(p), 200);
    assert_int_equal(health(p), 200);
    peer_frame(ws, 0x82, bytes_of("\x93\x12\x01\xc0", 4));              /* PING before HELLO: refused by name */
    assert_true(peer_next(ws));
    peer_free(p);
    peer_free(ws);
    assert_int_equal(rig_stat(rig, "tls_opened"), 2);
}

static void a_reload_brings_new_certificates_and_closes_nobody(void **state)
{
    struct rig *rig = *state;
    struct config config = *rig_config(rig);
    struct peer *before = peer_dial(rig_port(rig));
    assert_int_equal(health(before), 200);
    assert_int_equal(rig_reload(rig, &config).changed, 0);
    certbox_issue("cert", "localhost", NULL, 20);                      /* the same files, as a renewal leaves them */
    struct reload_report report = rig_reload(rig, &config);
    assert_int_equal(report.err, 0);
    assert_int_equal(report.changed, 1);
    assert_int_equal(health(before), 200);
    struct peer *after = peer_dial(rig_port(rig));
    assert_int_equal(health(after), 200);
    peer_free(before);
    peer_free(after);
}

static void a_bad_new_certificate_keeps_the_old_one(void **state)
{
    struct rig *rig = *state;
    struct config config = *rig_config(rig);
    char *good = strdup(config.tls_cert);
    assert_non_null(good);
    certbox_write("broken.pem", "nothing of the kind\n");
    set_certs(&config, "broken");
    struct reload_report report = rig_reload(rig, &config);
    assert_int_equal(report.err, ERR_CONFIG);
    assert_int_equal(report.changed, 0);
    struct peer *p = peer_dial(rig_port(rig));
    assert_int_equal(health(p), 200);
    assert_string_equal(rig_config(rig)->tls_cert, good);
    peer_free(p);
    free(good);
}

static void without_certificates_the_next_ones_speak_plainly(void **state)
{
    struct rig *rig = *state;
    struct config config = *rig_config(rig);
    struct peer *before = peer_dial(rig_port(rig));
    config.tls_cert[0] = config.tls_key[0] = '\0';
    struct reload_report report = rig_reload(rig, &config);
    assert_int_equal(report.err, 0);
    assert_int_equal(report.changed, 3);                               /* both settings, and what is shown */
    peer_speak_tls(NULL);
    struct peer *after = peer_dial(rig_port(rig));
    assert_int_equal(health(after), 200);
    assert_int_equal(health(before), 200);
    peer_free(before);
    peer_free(after);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(requests_and_sockets_are_answered_over_TLS),
        TEST(a_reload_brings_new_certificates_and_closes_nobody),
        TEST(a_bad_new_certificate_keeps_the_old_one),
        TEST(without_certificates_the_next_ones_speak_plainly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
