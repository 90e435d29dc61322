/* test_certs.c - files become certificates, and what is wrong with one is named with its file. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/pem.h>

#include "proto/err.h"
#include "tests/harness/certbox.h"

static const uint8_t secret[CERTS_SECRET_BYTES];

static int setup(void **state)
{
    (void)state;
    certbox_issue("one", "chat.example", "*.rooms.example", 30);
    certbox_issue("two", "192.168.1.5", "fd00::5", 10);
    return 0;
}

/* Names in the box, separated by spaces, as a list of paths. */
static void paths_of(const char *names, char out[static 4096])
{
    char copy[256], *name, *rest = copy;
    out[0] = '\0';
    snprintf(copy, sizeof copy, "%s", names);
    while ((name = strtok_r(rest, " ", &rest))) {
        char path[CERTBOX_PATH];
        certbox_path(name, path);
        snprintf(out + strlen(out), 4096 - strlen(out), "%s%s", out[0] ? ", " : "", path);
    }
}

static int load(const char *certs, const char *keys, struct certs **out, char why[static CERTS_WHY_MAX])
{
    char cert_paths[4096], key_paths[4096];
    paths_of(certs, cert_paths);
    paths_of(keys, key_paths);
    return certs_load(cert_paths, key_paths, secret, out, why);
}

/* Refused with a clause that begins with the file and has `text` in it. */
static void refused(const char *certs, const char *keys, const char *file, const char *text)
{
    char why[CERTS_WHY_MAX], path[CERTBOX_PATH];
    struct certs *c;
    assert_int_equal(load(certs, keys, &c, why), ERR_CONFIG);
    assert_null(c);
    certbox_path(file, path);
    if (strncmp(why, path, strlen(path)) != 0 || !strstr(why, text)) fail_msg("%s", why);
}

static void no_files_are_no_certificate(void **state)
{
    char why[CERTS_WHY_MAX];
    struct certs *c;
    (void)state;
    assert_int_equal(load("", "", &c, why), 0);
    assert_null(c);
    assert_int_equal(certs_count(c), 0);
    assert_true(certs_until(c) == INT64_MAX);
}

static void names_and_the_last_day_are_told(void **state)
{
    char why[CERTS_WHY_MAX], text[CERTS_TEXT_MAX], day[32];
    struct certs *c;
    (void)state;
    assert_int_equal(load("one.pem two.pem", "one.key two.key", &c, why), 0);
    assert_int_equal(certs_count(c), 2);
    time_t end = (time_t)certs_until(c), now = time(NULL);
    assert_true(end > now + 8 * 86400 && end <= now + 9 * 86400);       /* of the second, from yesterday on */
    certs_text(c, 0, text);
    assert_ptr_equal(strstr(text, "chat.example, *.rooms.example until 20"), text);
    certs_text(c, 1, text);
    strftime(day, sizeof day, "%Y-%m-%d", gmtime(&end));
    snprintf(why, sizeof why, "192.168.1.5, fd00::5 until %s", day);
    assert_string_equal(text, why);
    certs_unref(c);
}

static void many_names_leave_room_for_the_day(void **state)
{
    char name[200], text[CERTS_TEXT_MAX], second[200];
    (void)state;
    memset(name, 'a', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    for (size_t i = 60; i < sizeof name - 1; i += 60) name[i] = '.';
    strcpy(second, name);
    second[0] = 'b';
    certbox_issue("long", name, second, 30);
    struct certs *c = certbox_load("long", 0);
    certs_text(c, 0, text);
    assert_non_null(strstr(text, "… until 20"));
    certs_unref(c);
}

static void what_is_no_certificate_is_named(void **state)
{
    (void)state;
    certbox_write("text", "hello\n");
    certbox_write("empty", "");
    refused("none.pem", "one.key", "none.pem", "No such file");
    refused("one.pem", "none.key", "none.key", "No such file");
    refused(".", "one.key", ".", "directory");
    refused("empty", "one.key", "empty", "empty");
    refused("text", "one.key", "text", "no PEM block");
    refused("one.key", "one.key", "one.key", "no PEM block");
    refused("one.pem", "text", "text", "no private key");
    refused("one.pem", "one.pem", "one.pem", "no private key");
}

static void a_key_that_does_not_fit_is_named_with_its_certificate(void **state)
{
    (void)state;
    refused("one.pem", "two.key", "two.key", "it is not the key of");
    refused("one.pem two.pem", "one.key one.key", "one.key", "two.pem");
}

static void lists_must_be_as_long(void **state)
{
    (void)state;
    refused("one.pem two.pem", "one.key", "two.pem", "fewer keys");
    refused("one.pem", "one.key two.key", "two.key", "fewer certificates");
    refused("one.pem", "", "one.pem", "no key");
    char certs[512] = "", keys[512] = "";
    for (int i = 0; i < CERTS_MAX + 1; i++) {
        strcat(certs, "one.pem ");
        strcat(keys, "one.key ");
    }
    refused(certs, keys, "one.pem", "more than 16");
}

static void a_key_with_a_password_is_refused_and_nobody_is_asked(void **state)
{
    char path[CERTBOX_PATH];
    (void)state;
    certbox_path("one.key", path);
    FILE *file = fopen(path, "re");
    EVP_PKEY *key = PEM_read_PrivateKey(file, NULL, NULL, NULL);
    fclose(file);
    certbox_path("locked.key", path);
    file = fopen(path, "we");
    assert_int_equal(PEM_write_PKCS8PrivateKey(file, key, EVP_aes_256_cbc(), "password", 8, NULL, NULL), 1);
    fclose(file);
    EVP_PKEY_free(key);
    refused("one.pem", "locked.key", "locked.key", "has a password");
}

static void the_same_certificates_are_the_same(void **state)
{
    char why[CERTS_WHY_MAX];
    struct certs *both, *again, *one, *turned;
    (void)state;
    assert_int_equal(load("one.pem two.pem", "one.key two.key", &both, why), 0);
    assert_int_equal(load("one.pem two.pem", "one.key two.key", &again, why), 0);
    assert_int_equal(load("one.pem", "one.key", &one, why), 0);
    assert_int_equal(load("two.pem one.pem", "two.key one.key", &turned, why), 0);
    assert_true(certs_same(both, again) && certs_same(NULL, NULL));
    assert_false(certs_same(both, one) || certs_same(both, turned) || certs_same(one, NULL));
    certbox_issue("one", "chat.example", NULL, 30);
    certs_unref(again);
    assert_int_equal(load("one.pem", "one.key", &again, why), 0);
    assert_false(certs_same(one, again));
    certs_unref(both);
    certs_unref(again);
    certs_unref(one);
    certs_unref(turned);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_files_are_no_certificate),
        cmocka_unit_test(names_and_the_last_day_are_told),
        cmocka_unit_test(many_names_leave_room_for_the_day),
        cmocka_unit_test(what_is_no_certificate_is_named),
        cmocka_unit_test(a_key_that_does_not_fit_is_named_with_its_certificate),
        cmocka_unit_test(lists_must_be_as_long),
        cmocka_unit_test(a_key_with_a_password_is_refused_and_nobody_is_asked),
        cmocka_unit_test(the_same_certificates_are_the_same),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
