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
    printf("%-32s  since %s  seen %-19s  %2lld device%s%s\n", ctl_text(row, "user"), ctl_time(ctl_number(row, "created"), made),
           ctl_time(ctl_number(row, "seen"), seen), (long long)devices, devices == 1 ? " " : "s",
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
