/* user.c - pipitctl user …: accounts and their devices. */
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/proto.h"
#include "tools/common/secret.h"
#include "tools/ctl/ctl.h"

int ctl_user_add(const struct arguments *a)
{
    char password[PASSWORD_BYTES_MAX + 1];
    int code;
    json_t *names = ctl_names(a);
    if (!names || secret_read(GIVEN(a, password_file), true, password)) {
        json_decref(names);
        return EXIT_USAGE;
    }
    json_t *request = json_pack("{s:s, s:o, s:s}", "do", "user-add", "users", names, "password", password);
    sodium_memzero(password, sizeof password);
    json_t *answer = ctl_call(a, request, &code);
    if (answer) printf("added %d user%s\n", a->count, a->count == 1 ? "" : "s");
    json_decref(answer);
    return code;
}

static void print_user(const struct arguments *a, json_t *row)
{
    char made[32], seen[32];
    (void)a;
    json_int_t devices = ctl_number(row, "devices");
    printf("%-32s  since %s  seen %-19s  %2lld device%s%s\n", ctl_text(row, "user"),
           ctl_time(ctl_number(row, "created"), made), ctl_time(ctl_number(row, "seen"), seen),
           (long long)devices, devices == 1 ? " " : "s",
           json_is_true(json_object_get(row, "disabled")) ? "  disabled" : "");
}

int ctl_user_list(const struct arguments *a)
{
    return ctl_list(a, "user-list", "users", "user", print_user);
}

int ctl_user_token(const struct arguments *a)
{
    json_t *row, *names = ctl_names(a);
    size_t i;
    int code;
    if (!names) return EXIT_USAGE;
    json_t *answer = ctl_call(a, json_pack("{s:s, s:o, s:s}", "do", "device-add", "users", names, "name", "pipitctl"),
                              &code);
    json_array_foreach(json_object_get(answer, "devices"), i, row) {
        printf("%s %s %s\n", ctl_text(row, "user"), ctl_text(row, "device"), ctl_text(row, "token"));
    }
    json_decref(answer);
    return code;
}

/* -- one after the other ------------------------------------------------------------------------------------------- */

/* `request` about each name, `done` is said of each; stops at the first that fails. */
static int for_each_name(const struct arguments *a, const char *request, const char *done)
{
    int code = EXIT_DONE;
    json_t *names = ctl_names(a);            /* all of them, before anything is done */
    if (!names) return EXIT_USAGE;
    json_decref(names);
    for (int i = 0; i < a->count && code == EXIT_DONE; i++) {
        json_t *answer = ctl_call(a, json_pack("{s:s, s:s}", "do", request, "user", a->words[i]), &code);
        if (answer) printf("%s %s\n", a->words[i], done);
        json_decref(answer);
    }
    return code;
}

int ctl_user_disable(const struct arguments *a)
{
    return for_each_name(a, "user-disable", "is disabled");
}

int ctl_user_enable(const struct arguments *a)
{
    return for_each_name(a, "user-enable", "is enabled");
}

int ctl_user_remove(const struct arguments *a)
{
    json_t *names = ctl_names(a);
    if (!names) return EXIT_USAGE;
    json_decref(names);
    for (int i = 0; i < a->count; i++) {
        int code = ctl_make_sure(a, "this user will be deleted for ever, with all devices", a->words[i]);
        if (code) return code;
    }
    return for_each_name(a, "user-remove", "is removed");
}

/* -- reset-password ------------------------------------------------------------------------------------------------ */

enum { MADE_GROUPS = 4, MADE_GROUP = 5 };    /* 20 characters of 31: 99 bits */

static void make_password(char out[static PASSWORD_BYTES_MAX + 1])
{
    /* No 0, 1, i, l, o: it is read aloud and typed. */
    static const char letters[] = "abcdefghjkmnpqrstuvwxyz23456789";
    size_t at = 0;
    for (int g = 0; g < MADE_GROUPS; g++) {
        for (int i = 0; i < MADE_GROUP; i++) out[at++] = letters[randombytes_uniform(sizeof letters - 1)];
        out[at++] = '-';
    }
    out[at - 1] = '\0';
}

int ctl_user_reset_password(const struct arguments *a)
{
    char password[PASSWORD_BYTES_MAX + 1];
    int code;
    bool made = !GIVEN(a, ask) && !GIVEN(a, password_file) && !getenv("PIPIT_PASSWORD");
    json_t *names = ctl_names(a);
    if (!names) return EXIT_USAGE;
    json_decref(names);
    if (GIVEN(a, ask) && GIVEN(a, password_file)) return ctl_usage(a, "--ask or --password-file, not both");
    if (GIVEN(a, ask)) unsetenv("PIPIT_PASSWORD");
    if (made) make_password(password);
    else if (secret_read(GIVEN(a, password_file), true, password)) return EXIT_USAGE;
    json_t *request = json_pack("{s:s, s:s, s:s, s:b}", "do", "user-password", "user", a->words[0], "password",
                                password, "keep_devices", GIVEN(a, keep_devices) != NULL);
    json_t *answer = ctl_call(a, request, &code);
    if (answer && made) printf("%s\n", password);
    if (answer) {
        long long revoked = (long long)ctl_number(answer, "revoked");
        fprintf(stderr, "pipitctl: %s has another password; %lld device%s logged out\n", a->words[0], revoked,
                revoked == 1 ? " was" : "s were");
    }
    sodium_memzero(password, sizeof password);
    json_decref(answer);
    return code;
}

/* -- devices ------------------------------------------------------------------------------------------------------- */

int ctl_user_devices(const struct arguments *a)
{
    char made[32], seen[32];
    json_t *row;
    size_t i;
    int code;
    json_t *answer = ctl_call(a, json_pack("{s:s, s:s}", "do", "device-list", "user", a->words[0]), &code);
    json_array_foreach(json_object_get(answer, "devices"), i, row) {
        if (GIVEN(a, json)) {
            ctl_print_json(row);
            continue;
        }
        printf("%s  since %s  seen %-19s  %s%s\n", ctl_text(row, "device"), ctl_time(ctl_number(row, "created"), made),
               ctl_time(ctl_number(row, "seen"), seen),
               json_is_true(json_object_get(row, "revoked")) ? "revoked  " : "",
               ctl_text(row, "name"));
    }
    json_decref(answer);
    return code;
}

int ctl_user_revoke(const struct arguments *a)
{
    int code;
    json_t *answer = ctl_call(a, json_pack("{s:s, s:s, s:s}", "do", "device-revoke", "user", a->words[0], "device",
                                           a->words[1]), &code);
    if (answer) printf("device %s of %s is revoked\n", a->words[1], a->words[0]);
    json_decref(answer);
    return code;
}
