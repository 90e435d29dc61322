/* log_cut.c - pipitctl log cut: takes away what a log has from a position on, for a folder that the server refuses to
 * open. Tells first what is at risk, and asks. See storage/cut.h for what is done. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "proto/proto.h"
#include "tools/ctl/tally.h"

enum { CONVS_SHOWN = 20 };

/* FILE:OFFSET, the form in which `log verify` and a start that is refused name a place. FILE may have folders in front:
 * then it has to be in DIR/log. */
static bool take_position(const struct arguments *a, char name[static FS_NAME_MAX + 1], uint64_t *offset_out)
{
    const char *text = GIVEN(a, at), *colon = text ? strrchr(text, ':') : NULL;
    if (!text) return ctl_usage(a, "--at FILE:OFFSET: where `pipitctl log verify` found the damage"), false;
    if (!colon || colon == text)
        return ctl_usage(a, "--at %s: FILE:OFFSET, as `pipitctl log verify` names it", text), false;
    if (!log_number(a, colon + 1, "at", 0, offset_out)) return false;
    char path[FS_PATH_MAX], dir[FS_PATH_MAX];
    if ((size_t)(colon - text) >= sizeof path || strlen(a->data) + sizeof "/log" > sizeof dir)
        return ctl_usage(a, "--at or --data is too long"), false;
    snprintf(path, sizeof path, "%.*s", (int)(colon - text), text);
    char *slash = strrchr(path, '/');
    const char *base = slash ? slash + 1 : path;
    if (strlen(base) > FS_NAME_MAX) return ctl_usage(a, "--at %s: the name is too long", text), false;
    strcpy(name, base);
    if (!slash) return true;
    *slash = '\0';
    if (strcmp(path, "log") == 0) return true;       /* as a start says it */
    fs_path(dir, a->data, "log");
    char *there = realpath(slash == path ? "/" : path, NULL), *ours = realpath(dir, NULL);
    bool same = there && ours && strcmp(there, ours) == 0;
    free(there);
    free(ours);
    if (!same) ctl_usage(a, "--at %s: is not in %s; --data names the server's folder", text, dir);
    return same;
}

static int count_record(void *arg, uint64_t offset, uint64_t batch, const struct record *r, struct bytes whole)
{
    (void)offset, (void)batch;
    return tally_add(arg, r, whole.len);
}

static int print_member(void *arg, const struct member_row *row)
{
    bool *any = arg;
    printf("%s%s", *any ? ", " : " (", row->user.v);
    *any = true;
    return 0;
}

static void print_convs(struct cut *cut, struct tally *t)
{
    struct tally_conv *c, *next;
    char id[CONV_ID_TEXT];
    unsigned shown = 0;
    tally_sort(t);
    HASH_ITER(hh, t->convs, c, next) {
        if (shown++ == CONVS_SHOWN) break;
        bool any = false;
        conv_id_print(&c->id, id);
        printf("  %s", id);
        (void)facts_members(cut_facts(cut), &c->id, print_member, &any);
        printf("%s: %" PRIu64 " records", any ? ")" : "", c->records);
        if (c->first_seq) printf(", sequences %" PRIu64 " to %" PRIu64, c->first_seq, c->last_seq);
        printf("\n");
    }
    if (shown > CONVS_SHOWN) printf("  and %u conversations with fewer\n", HASH_COUNT(t->convs) - CONVS_SHOWN);
}

static void print_risk(const struct arguments *a, struct cut *cut, const struct cut_report *r, struct tally *t)
{
    char from[32], to[32];
    log_time(r->first_ms, from);
    log_time(r->last_ms, to);
    printf("%s/log/%s:%" PRIu64 ": log %" PRIu32 " would be cut here\n", a->data, r->file, r->offset, r->log);
    if (r->is_begun) printf("This cut was begun before; what it took away lies beside the file.\n");
    if (r->kept) printf("stays       records up to %" PRIu64 "\n", r->kept);
    else printf("stays       nothing of this log\n");
    printf("goes        %" PRIu64 " bytes", r->bytes);
    if (r->files) printf(", %" PRIu32 " whole file%s behind this one among them", r->files, r->files > 1 ? "s" : "");
    printf("\nreadable    %" PRIu64 " records (%" PRIu64 " of marks)", r->records, r->marks);
    if (r->first_ms) printf(", made %s to %s UTC", from, to);
    printf("\n");
    print_convs(cut, t);
    if (r->lost_bytes)
        printf("unreadable  %" PRIu64 " bytes, at most %" PRIu64 " records\n", r->lost_bytes, r->lost_records);
    printf("rows        cover records up to %" PRIu64, r->flushed);
    if (r->flushed > r->kept)
        printf(": also %" PRIu64 " behind the cut. What they know of those stays: sequences, cursors,\n"
               "            what was deleted. Their messages are no longer served, their numbers not given again",
               r->flushed - r->kept);
    printf("\ndevices     keep the messages they have. ");
    if (r->is_blind)
        printf("Records may be lost whose sequences nobody knows: the server gets a new\n"
               "            generation, and devices drop their sequences and take everything as new, as after a restore\n");
    else printf("To those who did not have them yet they are as if deleted\n");
    printf("goes on     with record %" PRIu64 "\n", r->goes_on);
}

/* EXIT_DONE: yes. */
static int ask(const struct arguments *a)
{
    char line[16];
    if (GIVEN(a, yes)) return EXIT_DONE;
    if (!isatty(STDIN_FILENO)) return ctl_usage(a, "there is no terminal to ask on; --yes does it without asking");
    printf("A backup that has these records is the better way. Cut? Type yes: ");
    fflush(stdout);
    if (!fgets(line, sizeof line, stdin)) line[0] = '\0';
    line[strcspn(line, "\r\n")] = '\0';
    if (strcmp(line, "yes") == 0) return EXIT_DONE;
    fprintf(stderr, "pipitctl: not yes: nothing was done\n");
    return EXIT_USAGE;
}

static int cut_it(const struct arguments *a, struct cut *cut, const struct cut_report *r)
{
    char why[256];
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    int err = cut_make(cut, (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000, why);
    if (err) {
        fprintf(stderr, "pipitctl: %s; do the same again when it can be done\n", why);
        return EXIT_REFUSED;
    }
    printf("cut         %s/log/%s:%" PRIu64 "\n", a->data, r->file, r->offset);
    if (r->bytes) printf("kept        what was cut, beside it: FILE.cut-OFFSET\n");
    printf("next        pipitctl log verify, then start the server\n");
    return EXIT_DONE;
}

int ctl_log_cut(const struct arguments *a)
{
    char name[FS_NAME_MAX + 1], why[256];
    struct tally t = { 0 };
    struct cut_report report;
    struct cut *cut;
    uint64_t offset;
    if (!take_position(a, name, &offset)) return EXIT_USAGE;
    int err = cut_open(fsio_posix(), a->data, name, offset, count_record, &t, &cut, &report, why);
    if (err) {
        if (err == ERR_IN_USE) strcpy(why, "a server runs on this folder: stop it first (pipitctl shutdown)");
        fprintf(stderr, "pipitctl: %s\n", why[0] ? why : err_text(err));
        tally_fini(&t);
        return EXIT_REFUSED;
    }
    print_risk(a, cut, &report, &t);
    int code = ask(a);
    if (!code) code = cut_it(a, cut, &report);
    cut_close(cut);
    tally_fini(&t);
    return code;
}
