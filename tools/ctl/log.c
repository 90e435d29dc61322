/* log.c - pipitctl log ls and show: the files of the log and their records, without a server and beside one. A body
 * stays sealed here: its key is in keys.db, which is the server's. A damaged file is told on standard error, with file
 * and offset. See log.h for what the log commands share. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "proto/proto.h"
#include "tools/ctl/log.h"

enum {
    TORN_TRIES = 3,                      /* looks at one torn end that does not move, … */
    TORN_PAUSE_MS = 100,                 /* … so far apart: a batch is written in a few */
};

/* ---- what the log commands share ---- */

const char *log_record_kind(uint8_t kind)
{
    switch (kind) {
    case KIND_MESSAGE:   return "message";
    case KIND_TOMBSTONE: return "tombstone";
    case KIND_MARKS:     return "marks";
    case KIND_DELETE:    return "delete";
    case KIND_TIMER:     return "timer";
    default:             return "unknown";
    }
}

const char *log_kind(enum inspect_kind kind)
{
    return kind == INSPECT_SORTED ? "sorted" : kind == INSPECT_UNSORTED ? "unsorted" : "unfinished";
}

void log_time(uint64_t ms, char out[static 32])
{
    time_t s = (time_t)(ms / 1000);
    struct tm tm;
    if (!ms) strcpy(out, "-");
    else if (!gmtime_r(&s, &tm) || !strftime(out, 32, "%Y-%m-%dT%H:%M:%S", &tm)) strcpy(out, "?");
}

static bool parse_number(const char *text, uint64_t *out)
{
    char *end;
    if (text[0] < '0' || text[0] > '9' || strlen(text) > 18) return false;
    *out = strtoull(text, &end, 10);
    return *end == '\0';
}

bool log_number(const struct arguments *a, const char *text, const char *what, uint64_t least, uint64_t *out)
{
    if (parse_number(text, out) && *out >= least) return true;
    ctl_usage(a, "--%s %s: a whole number from %" PRIu64 " on", what, text, least);
    return false;
}

void log_complain(const struct log_file *f, uint64_t offset, int err)
{
    if (err == ERR_NOT_FOUND) fprintf(stderr, "%s/%s: no such file\n", f->dir, f->file.name);
    else fprintf(stderr, "%s/%s:%" PRIu64 ": %s%s\n", f->dir, f->file.name, offset, err_text(err),
                 err == ERR_TORN ? " (a crash left it so: the next start cuts it)" : "");
}

/* A name alone, or behind "log/" as a start says it, is one of DIR/log. */
static bool take_file(const struct arguments *a, const char *path, struct log_file *f)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    size_t len = slash ? (size_t)(slash - path) : 0;
    if (len >= sizeof f->dir || strlen(name) > FS_NAME_MAX) return false;
    snprintf(f->dir, sizeof f->dir, "%.*s", slash == path ? 1 : (int)len, path);
    if (!slash || strcmp(f->dir, "log") == 0) {
        if (strlen(a->data) + sizeof "/log" > sizeof f->dir) return false;
        fs_path(f->dir, a->data, "log");
    }
    return inspect_name(name, &f->file);
}

static struct log_file *take_words(const struct arguments *a)
{
    struct log_file *files = calloc((size_t)a->count, sizeof *files);
    for (int i = 0; files && i < a->count; i++) {
        if (take_file(a, a->words[i], &files[i])) continue;
        fprintf(stderr, "%s: this is not the name of a file of a log\n", a->words[i]);
        free(files);
        return NULL;
    }
    return files;
}

bool log_files(const struct arguments *a, struct log_file **files_out, size_t *count_out, int *code_out)
{
    struct inspect_file *found = NULL;
    char dir[FS_PATH_MAX];
    *code_out = EXIT_REFUSED;
    *count_out = (size_t)a->count;
    if (a->count > 0) return (*files_out = take_words(a)) != NULL;
    if (strlen(a->data) + sizeof "/log" > sizeof dir) return ctl_usage(a, "--data is too long"), false;
    fs_path(dir, a->data, "log");
    int err = inspect_list(fsio_posix(), dir, &found, count_out);
    if (err) {
        fprintf(stderr, "%s: %s\n", dir, err == ERR_NOT_FOUND ? "no such folder (--data DIR names it)" : err_text(err));
        return false;
    }
    struct log_file *files = calloc(*count_out ? *count_out : 1, sizeof *files);
    for (size_t i = 0; files && i < *count_out; i++) {
        strcpy(files[i].dir, dir);
        files[i].file = found[i];
    }
    free(found);
    *files_out = files;
    return files != NULL;
}

struct again { segment_record_fn *each; void *arg; uint64_t seen_to; };      /* offset behind the last record given */

static int each_once(void *arg, uint64_t offset, uint64_t batch, const struct record *record, struct bytes whole)
{
    struct again *again = arg;
    if (offset < again->seen_to) return 0;
    again->seen_to = offset + whole.len;
    return again->each ? again->each(again->arg, offset, batch, record, whole) : 0;
}

int log_read(const struct log_file *f, bool whole, segment_record_fn *each, void *arg, struct inspect_summary *out,
             uint64_t *offset_out)
{
    struct again again = { each, arg, 0 };
    uint64_t torn_at = UINT64_MAX;
    if (f->file.kind == INSPECT_SORTED) {
        return inspect_file(fsio_posix(), f->dir, &f->file, whole, each, arg, out, offset_out);
    }
    for (int tries = 0;;) {
        int err = inspect_file(fsio_posix(), f->dir, &f->file, whole, each_once, &again, out, offset_out);
        if (err != ERR_TORN) return err;
        tries = *offset_out == torn_at ? tries + 1 : 1;
        torn_at = *offset_out;
        if (tries == TORN_TRIES) return err;
        inspect_summary_fini(out);
        nanosleep(&(struct timespec){ .tv_nsec = TORN_PAUSE_MS * 1000000L }, NULL);
    }
}

/* ---- ls ---- */

static void print_spans(const struct inspect_summary *s)
{
    for (size_t i = 0; i < s->span_count && i < 4; i++) {
        printf("%slog %" PRIu32 ": %" PRIu64 "-%" PRIu64, i ? ", " : "", s->spans[i].log, s->spans[i].first,
               s->spans[i].last);
    }
    if (s->span_count > 4) printf(", and %zu more", s->span_count - 4);
    if (s->span_count == 0) printf("empty");
}

int ctl_log_ls(const struct arguments *a)
{
    struct log_file *files;
    size_t count;
    int code;
    if (!log_files(a, &files, &count, &code)) return code;
    code = EXIT_DONE;
    for (size_t i = 0; i < count; i++) {
        const struct log_file *f = &files[i];
        struct inspect_summary s;
        uint64_t offset;
        char from[32], to[32];
        int err = log_read(f, false, NULL, NULL, &s, &offset);
        log_time(s.first_ms, from);
        log_time(s.last_ms, to);
        if (err != ERR_NOT_FOUND) {                  /* else a server has replaced it meanwhile */
            printf("%-30s %-10s %12" PRIu64 " bytes %9" PRIu64 " records  ", f->file.name, log_kind(f->file.kind),
                   f->file.bytes, s.records);
            if (s.first_ms) printf("%s to %s  ", from, to);
            print_spans(&s);
            printf("\n");
        }
        if (err && err != ERR_NOT_FOUND) {
            log_complain(f, offset, err);
            code = EXIT_REFUSED;
        }
        inspect_summary_fini(&s);
    }
    free(files);
    return code;
}

/* ---- show ---- */

struct filter {
    bool by_conv, by_log, any;                       /* any of it was given */
    struct conv_id conv;
    uint64_t log, seq_from, seq_to, number_from, number_to;
    const struct log_file *untold;                   /* its heading is still to be printed; NULL: it was */
};

static void print_heading(struct filter *f)
{
    if (f->untold) printf("%s/%s\n", f->untold->dir, f->untold->file.name);
    f->untold = NULL;
}

static int print_record(void *arg, uint64_t offset, uint64_t batch, const struct record *r, struct bytes whole)
{
    struct filter *f = arg;
    char conv[CONV_ID_TEXT], id[MSG_ID_TEXT], time[32];
    (void)whole;
    if (f->by_conv && !conv_id_equal(&f->conv, &r->partition)) return 0;
    if (f->by_log && f->log != r->log) return 0;
    if (r->seq < f->seq_from || r->seq > f->seq_to || r->number < f->number_from || r->number > f->number_to) return 0;
    print_heading(f);
    conv_id_print(&r->partition, conv);
    msg_id_print(&r->id, id);
    log_time(msg_id_ms(&r->id), time);
    printf("%10" PRIu64 "  log %" PRIu32, offset, r->log);
    if (batch) printf("  batch %" PRIu64, batch);
    printf("  record %" PRIu64 "  %-9s  %s  seq %" PRIu64 "  counted %" PRIu64 "  key %" PRIu64
           "%s%s  %zu sealed bytes  %s  %s\n",
           r->number, log_record_kind(r->kind), conv, r->seq, r->counted, r->key,
           r->flags & RECORD_COUNTS ? "  counts" : "", r->flags & RECORD_SENDER_CAUGHT_UP ? "  caught-up" : "",
           r->sealed.len, time, id);
    return 0;
}

static int show_file(const struct log_file *f, bool named, struct filter *filter)
{
    struct inspect_summary s;
    uint64_t offset = 0;
    char made[32];
    if (f->file.kind == INSPECT_UNFINISHED) return EXIT_DONE;
    filter->untold = f;
    if (!filter->any) print_heading(filter);
    int err = log_read(f, false, print_record, filter, &s, &offset);
    if (s.made_ms && !filter->untold) {
        log_time(s.made_ms, made);
        print_spans(&s);
        printf("; %s, made %s: %" PRIu64 " records (%" PRIu64 " of marks)", log_kind(f->file.kind), made, s.records,
               s.marks);
        if (s.batches) printf(" in %" PRIu64 " batches", s.batches);
        printf(", %" PRIu64 " bytes\n", s.record_bytes);
    }
    inspect_summary_fini(&s);
    if (!err) return EXIT_DONE;
    if (err == ERR_NOT_FOUND && !named) {            /* a server has replaced it meanwhile */
        print_heading(filter);
        printf("(was sorted or merged meanwhile; its records are in another file)\n");
        return EXIT_DONE;
    }
    log_complain(f, offset, err);
    return EXIT_REFUSED;
}

/* "A" or "A-B". */
static bool take_range(const struct arguments *a, const char *text, struct filter *f)
{
    char first[24];
    const char *dash = strchr(text, '-');
    size_t len = dash ? (size_t)(dash - text) : strlen(text);
    snprintf(first, sizeof first, "%.*s", len < sizeof first ? (int)len : 0, text);
    if (parse_number(first, &f->number_from) && parse_number(dash ? dash + 1 : first, &f->number_to) &&
        f->number_from <= f->number_to) return true;
    ctl_usage(a, "--number %s: a record number, or two with - between them", text);
    return false;
}

static bool take_filter(const struct arguments *a, struct filter *f)
{
    *f = (struct filter){ .seq_to = UINT64_MAX, .number_to = UINT64_MAX };
    f->by_conv = GIVEN(a, conversation) != NULL;
    f->by_log = GIVEN(a, log) != NULL;
    f->any = f->by_conv || f->by_log || GIVEN(a, from) || GIVEN(a, to) || GIVEN(a, number);
    if (f->by_conv && conv_id_parse(bytes_of_str(GIVEN(a, conversation)), &f->conv)) {
        ctl_usage(a, "--conversation %s: an id is %d hex digits", GIVEN(a, conversation), CONV_ID_TEXT - 1);
        return false;
    }
    if (f->by_log && !log_number(a, GIVEN(a, log), "log", 0, &f->log)) return false;
    if (GIVEN(a, from) && !log_number(a, GIVEN(a, from), "from", 0, &f->seq_from)) return false;
    if (GIVEN(a, to) && !log_number(a, GIVEN(a, to), "to", 0, &f->seq_to)) return false;
    return !GIVEN(a, number) || take_range(a, GIVEN(a, number), f);
}

int ctl_log_show(const struct arguments *a)
{
    struct log_file *files;
    struct filter filter;
    size_t count;
    int code;
    if (!take_filter(a, &filter)) return EXIT_USAGE;
    if (!log_files(a, &files, &count, &code)) return code;
    code = EXIT_DONE;
    for (size_t i = 0; i < count; i++) {
        if (show_file(&files[i], a->count > 0, &filter)) code = EXIT_REFUSED;
    }
    free(files);
    return code;
}
