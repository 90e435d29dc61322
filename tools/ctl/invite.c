/* invite.c - pipitctl invite …: codes that let people register. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/ctl/ctl.h"

static bool parse_number(const char *text, json_int_t *out)
{
    char *end;
    errno = 0;
    long long v = strtoll(text, &end, 10);
    *out = v;
    return !errno && end != text && !*end && v > 0;
}

int ctl_invite_new(const struct arguments *a)
{
    json_int_t uses, days;
    int code;
    json_t *request = json_pack("{s:s}", "do", "invite");
    const char *wrong = NULL;
    if (GIVEN(a, uses)) {
        if (!parse_number(GIVEN(a, uses), &uses)) wrong = "--uses";
        else json_object_set_new(request, "uses", json_integer(uses));
    }
    if (GIVEN(a, days)) {
        if (!parse_number(GIVEN(a, days), &days)) wrong = "--days";
        else json_object_set_new(request, "days", json_integer(days));
    }
    if (GIVEN(a, note) && json_object_set_new(request, "note", json_string(GIVEN(a, note)))) wrong = "--note (UTF-8)";
    if (wrong) {
        json_decref(request);
        return ctl_usage(a, "%s wants %s", wrong, wrong[2] == 'n' ? "a text" : "a number above 0");
    }
    json_t *answer = ctl_call(a, request, &code);
    if (answer && GIVEN(a, json)) {
        json_object_del(answer, "ok");
        ctl_print_json(answer);
    } else if (answer) {
        printf("%s\n", ctl_text(answer, "invite"));
    }
    json_decref(answer);
    return code;
}

static void print_invite(const struct arguments *a, json_t *row)
{
    char made[32], until[32];
    if (!GIVEN(a, all) && strcmp(ctl_text(row, "state"), "good") != 0) return;
    printf("%4lld  %-7s  %lld of %lld left  made %s  until %s  %s\n", (long long)ctl_number(row, "number"),
           ctl_text(row, "state"), (long long)ctl_number(row, "uses_left"), (long long)ctl_number(row, "uses"),
           ctl_time(ctl_number(row, "created"), made), ctl_time(ctl_number(row, "expires"), until),
           ctl_text(row, "note"));
}

int ctl_invite_list(const struct arguments *a)
{
    return ctl_list(a, "invite-list", "invites", "number", print_invite);
}

int ctl_invite_revoke(const struct arguments *a)
{
    json_int_t number;
    int code;
    const char *which = a->words[0];
    json_t *request = parse_number(which, &number)
                          ? json_pack("{s:s, s:I}", "do", "invite-revoke", "number", number)
                          : json_pack("{s:s, s:s}", "do", "invite-revoke", "invite", which);
    json_t *answer = ctl_call(a, request, &code);
    if (answer) printf("invite %lld is revoked\n", (long long)ctl_number(answer, "number"));
    json_decref(answer);
    return code;
}
