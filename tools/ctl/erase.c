/* erase.c - pipitctl erase …: destroying for good, asked for twice. */
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "proto/proto.h"
#include "tools/ctl/ctl.h"

static void print_count(json_t *answer, const char *field, const char *one, const char *many)
{
    long long n = (long long)ctl_number(answer, field);
    printf("  %lld %s\n", n, n == 1 ? one : many);
}

/* What was destroyed, and where keys may still lie. */
static int print_erased(json_t *answer, const char *what, const char *name)
{
    json_t *row;
    size_t i;
    printf("erased %s%s\n", what, name);
    print_count(answer, "keys", "key destroyed", "keys destroyed");
    print_count(answer, "conversations", "conversation", "conversations");
    print_count(answer, "records", "message that nobody can open any more", "messages that nobody can open any more");
    print_count(answer, "rows", "row deleted or emptied", "rows deleted or emptied");
    json_array_foreach(json_object_get(answer, "key_files"), i, row)
        printf("  key file written anew: %s\n", json_string_value(row));
    json_t *missed = json_object_get(answer, "key_files_missed");
    json_array_foreach(missed, i, row) {
        char when[32];
        fprintf(stderr, "pipitctl: key file not reached: %s: %s (as of %s): it still opens what was erased\n",
                ctl_text(row, "path"), ctl_text(row, "text"), ctl_time(ctl_number(row, "written"), when));
    }
    return json_array_size(missed) ? EXIT_REFUSED : EXIT_DONE;
}

static int erase(const struct arguments *a, json_t *request, const char *what, const char *name)
{
    int code;
    json_t *answer = ctl_call(a, request, &code);
    if (answer && GIVEN(a, json)) ctl_print_json(answer);
    else if (answer) code = print_erased(answer, what, name);
    json_decref(answer);
    return code;
}

int ctl_erase_user(const struct arguments *a)
{
    json_t *names = ctl_names(a);
    if (!names) return EXIT_USAGE;
    json_decref(names);
    int code = ctl_make_sure(a, "everything the server has on this user will be destroyed for ever, backups included",
                             a->words[0]);
    if (code) return code;
    return erase(a, json_pack("{s:s, s:s}", "do", "erase-user", "user", a->words[0]), "user ", a->words[0]);
}

int ctl_erase_conversation(const struct arguments *a)
{
    char id[CONV_ID_TEXT];
    bool with = GIVEN(a, with) != NULL;
    struct user_id users[2];
    struct conv_id conv;
    if (a->count != (with ? 2 : 1)) return ctl_usage(a, "a conversation's id, or --with and the names of two users");
    if (with) {
        json_t *names = ctl_names(a);
        if (!names) return EXIT_USAGE;
        json_decref(names);
        for (int i = 0; i < 2; i++) (void)user_id_parse(bytes_of_str(a->words[i]), &users[i]);
        conv = conv_id_direct(&users[0], &users[1]);
    } else if (conv_id_parse(bytes_of_str(a->words[0]), &conv)) {
        return ctl_usage(a, "%s: no conversation's id: 32 hexadecimal digits", a->words[0]);
    }
    conv_id_print(&conv, id);
    int code = ctl_make_sure(a, "all messages of this conversation will be destroyed for ever, backups included",
                             with ? a->words[1] : id);
    if (code) return code;
    return erase(a, json_pack("{s:s, s:s}", "do", "erase-conversation", "conversation", id), "conversation ", id);
}
