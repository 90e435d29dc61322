/* backup.c - pipitctl backup, restore. A backup is made by the running server; restoring and verifying need none. */
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "proto/proto.h"
#include "storage/offline.h"
#include "tools/ctl/ctl.h"

/* -- backup -------------------------------------------------------------------------------------------------------- */

/* From the root, as the server has to be told: its folder is not ours. What need not be there yet is put behind the
 * folder we are in. */
static json_t *whole_path(const char *path)
{
    char here[PATH_MAX], whole[2 * PATH_MAX];
    char *real = realpath(path, NULL);
    if (real || path[0] == '/') {
        json_t *text = json_string(real ? real : path);
        free(real);
        return text;
    }
    while (strncmp(path, "./", 2) == 0) path += 2;
    if (!getcwd(here, sizeof here)) return NULL;
    snprintf(whole, sizeof whole, "%s/%s", strcmp(here, "/") == 0 ? "" : here, path);
    return json_string(whole);
}

static double mib(uint64_t bytes)
{
    return (double)bytes / 1048576.0;
}

static int print_keys(json_t *answer)
{
    json_t *file;
    size_t i;
    int code = EXIT_DONE;
    json_array_foreach(json_object_get(answer, "key_files"), i, file) {
        const char *outcome = ctl_text(file, "outcome");
        char when[32];
        if (strcmp(outcome, "OK") == 0) {
            printf("keys           %s\n", ctl_text(file, "path"));
            continue;
        }
        fprintf(stderr, "pipitctl: key file not reached: %s: %s; last written %s\n", ctl_text(file, "path"),
                err_text(err_from_name(outcome)), ctl_time(ctl_number(file, "written_ms"), when));
        code = EXIT_REFUSED;
    }
    if (ctl_text(answer, "keys_missing")[0]) {
        fprintf(stderr, "pipitctl: the backup is there, and no key file for it: %s\n", ctl_text(answer, "keys_missing"));
        code = EXIT_REFUSED;
    }
    return code;
}

int ctl_backup(const struct arguments *a)
{
    int code = EXIT_DONE;
    json_t *request = json_pack("{s:s, s:o}", "do", "backup", "to", whole_path(a->words[0]));
    if (GIVEN(a, since)) json_object_set_new(request, "since", whole_path(GIVEN(a, since)));
    if (GIVEN(a, keys)) json_object_set_new(request, "keys", whole_path(GIVEN(a, keys)));
    json_t *answer = ctl_call(a, request, &code);
    if (!answer) return code;
    if (GIVEN(a, json)) {
        ctl_print_json(answer);
        if (ctl_text(answer, "keys_missing")[0]) code = EXIT_REFUSED;
    } else {
        printf("backup         %s\n", ctl_text(answer, "path"));
        printf("contains       %" PRId64 " users, %" PRId64 " conversations; %" PRId64 " files, %.1f MiB\n",
               (int64_t)ctl_number(answer, "users"), (int64_t)ctl_number(answer, "conversations"),
               (int64_t)ctl_number(answer, "files"), mib((uint64_t)ctl_number(answer, "bytes")));
        if (ctl_number(answer, "files_linked"))
            printf("linked         %" PRId64 " files, %.1f MiB%s%s\n", (int64_t)ctl_number(answer, "files_linked"),
                   mib((uint64_t)ctl_number(answer, "bytes_linked")), ctl_text(answer, "since")[0] ? ", since " : "",
                   ctl_text(answer, "since"));
        code = print_keys(answer);
    }
    json_decref(answer);
    return code;
}

/* -- restore ------------------------------------------------------------------------------------------------------- */

static void print_contents(const struct restore_report *r)
{
    char when[32];
    printf("cut            %s UTC\n", ctl_time((json_int_t)r->cut_ms, when));
    printf("contains       %" PRIu64 " users, %" PRIu64 " conversations; %" PRIu64 " files, %.1f MiB\n", r->users,
           r->conversations, r->files, mib(r->bytes));
    printf("records        %" PRIu64, r->records);
    if (r->marks) printf(", and %" PRIu64 " of marks", r->marks);
    printf("\n");
    if (r->keys || r->keys_erased)
        printf("keys           %" PRIu64 " (%" PRIu64 " erased), written %s UTC\n", r->keys, r->keys_erased,
               ctl_time((json_int_t)r->keys_ms, when));
}

static int verify(const struct arguments *a, const struct restore_how *how)
{
    struct restore_report r;
    int err = restore_verify(how, &r);
    if (err && err != ERR_GONE) {
        fprintf(stderr, "pipitctl: %s\n", r.why);
        return EXIT_REFUSED;
    }
    print_contents(&r);
    if (how->keys) printf("opened         %" PRIu64 "; %" PRIu64 " under erased keys\n", r.opened, r.sealed_for_ever);
    else printf("opened         none: no key file was given (--keys)\n");
    if (!err) {
        printf("whole          every checksum is right\n");
        return EXIT_DONE;
    }
    char conv[CONV_ID_TEXT];
    conv_id_print(&r.without_key_of, conv);
    fprintf(stderr, "pipitctl: %s (one of them: %s)\n", r.why, conv);
    return EXIT_REFUSED;
}

static int restore(const struct arguments *a, const struct restore_how *how)
{
    struct restore_report r;
    int err = restore_make(how, &r);
    if (err) {
        fprintf(stderr, "pipitctl: %s\n", r.why[0] ? r.why : err_text(err));
        return EXIT_REFUSED;
    }
    print_contents(&r);
    if (r.erased) printf("erased         %" PRIu64 " conversations and inboxes whose keys are erased\n", r.erased);
    printf("restored       %s, under a new generation\n", how->to);
    printf("\nWhat was done after the cut is undone: devices, passwords and invites that were revoked or changed since are\n"
           "good again, and members are those of the cut. Look through `pipitctl user list` and `invite list`.\n");
    return EXIT_DONE;
}

int ctl_restore(const struct arguments *a)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    struct restore_how how = {
        .fs = fsio_posix(), .from = a->words[0], .keys = GIVEN(a, keys), .to = GIVEN(a, to),
        .now_ms = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000,
    };
    if (GIVEN(a, verify)) {
        if (how.to) return ctl_usage(a, "--verify restores nothing: without --to");
        return verify(a, &how);
    }
    if (!how.to) return ctl_usage(a, "--to DATA: the folder to be made");
    if (!how.keys) return ctl_usage(a, "--keys FILE: nothing opens without the key file");
    return restore(a, &how);
}
