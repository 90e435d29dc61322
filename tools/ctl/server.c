/* server.c - pipitctl status, reload, shutdown: the server as a whole. */
#include <inttypes.h>
#include <stdio.h>

#include "tools/ctl/ctl.h"

static json_int_t counter(json_t *status, const char *name)
{
    return json_integer_value(json_object_get(json_object_get(status, "counters"), name));
}

static double mib(json_t *object, const char *name)
{
    return (double)ctl_number(object, name) / 1048576.0;
}

static void print_room(json_t *room)
{
    printf("disk           %.1f MiB used", mib(room, "disk_used"));
    if (ctl_number(room, "disk_max")) printf(" of %.0f at most", mib(room, "disk_max"));
    if (json_is_integer(json_object_get(room, "disk_free"))) printf(", %.0f MiB free", mib(room, "disk_free"));
    if (ctl_number(room, "disk_reserve")) printf(", of which %.0f are to stay free", mib(room, "disk_reserve"));
    printf("\n");
    if (json_is_true(json_object_get(room, "no_room")))
        printf("NO ROOM        sends are refused: %s\n", ctl_text(room, "limit"));
}

static void print_log(json_t *log)
{
    json_int_t source = ctl_number(log, "source_bytes");
    printf("log            %" PRId64 " sorted files, %" PRId64 " wait to be sorted", (int64_t)ctl_number(log, "tables"),
           (int64_t)ctl_number(log, "unsorted"));
    if (source) printf(", written %.2f times", (double)ctl_number(log, "written_bytes") / (double)source);
    if (json_is_string(json_object_get(log, "error"))) printf("; the last step failed: %s", ctl_text(log, "error"));
    printf("\n");
}

static void print_backup(json_t *backup)
{
    char when[32];
    json_int_t failed = ctl_number(backup, "failed");
    printf("backup         %s", ctl_number(backup, "made") ? "" : "none yet");
    if (ctl_number(backup, "made"))
        printf("%s UTC, %.1f MiB, %s", ctl_time(ctl_number(backup, "made"), when), mib(backup, "bytes"),
               ctl_text(backup, "path"));
    if (json_is_true(json_object_get(backup, "under_way")))
        printf("; under way, %.1f of %.1f MiB", mib(backup, "done_bytes"), mib(backup, "total_bytes"));
    if (failed) printf("; FAILED %s UTC: %s", ctl_time(failed, when), ctl_text(backup, "text"));
    printf("\n");
}

static void print_status(json_t *s)
{
    json_t *shard;
    size_t i;
    json_int_t batches = counter(s, "batches"), up_s = ctl_number(s, "up_ms") / 1000;
    printf("%s on %s, up %" PRId64 " s\n", ctl_text(s, "server"),
           ctl_text(s, "address"), (int64_t)up_s);
    printf("connections    %" PRId64 " (%" PRId64 " sessions), %" PRId64 " accepted so far, %" PRId64 " refused\n",
           (int64_t)counter(s, "conns"), (int64_t)counter(s, "sessions"), (int64_t)counter(s, "conns_accepted"),
           (int64_t)counter(s, "conns_refused"));
    printf("users          %" PRId64 ", %" PRId64 " devices\n", (int64_t)ctl_number(s, "users"),
           (int64_t)ctl_number(s, "devices"));
    printf("conversations  %" PRId64 ", %" PRId64 " in memory\n", (int64_t)ctl_number(s, "conversations"),
           (int64_t)counter(s, "convs_hot"));
    printf("messages       %" PRId64 " accepted, %" PRId64 " repeats, %" PRId64 " refused, %" PRId64 " told to repeat\n",
           (int64_t)counter(s, "sends_accepted"), (int64_t)counter(s, "sends_repeated"),
           (int64_t)counter(s, "sends_refused"), (int64_t)counter(s, "sends_unknown"));
    printf("refused        %" PRId64 " frames, %" PRId64 " HELLOs; closed: %" PRId64 " silent, %" PRId64 " slow\n",
           (int64_t)counter(s, "frames_refused"), (int64_t)counter(s, "hellos_refused"),
           (int64_t)counter(s, "heartbeats_missed"), (int64_t)counter(s, "slow_closed"));
    printf("commits        %" PRId64 " batches", (int64_t)batches);
    if (batches) {
        printf(", %.2f ms on average, %.2f ms at most, %.1f records each",
               (double)counter(s, "commit_us") / 1e3 / (double)batches,
               (double)counter(s, "commit_us_max") / 1e3, (double)counter(s, "batch_records") / (double)batches);
    }
    printf("\nmemory         %.1f MiB resident", mib(s, "resident_bytes"));
    if (ctl_number(json_object_get(s, "room"), "memory_max"))
        printf(" of %.0f at most", mib(json_object_get(s, "room"), "memory_max"));
    if (counter(s, "conns"))
        printf(", %" PRId64 " bytes per connection", (int64_t)ctl_number(s, "resident_bytes_per_connection"));
    printf("\n");
    print_room(json_object_get(s, "room"));
    print_log(json_object_get(s, "log"));
    print_backup(json_object_get(s, "backup"));
    json_array_foreach(json_object_get(s, "shards"), i, shard) {
        printf("log %-3" PRId64 "        ends at record %" PRId64 "%s\n", (int64_t)ctl_number(shard, "shard"),
               (int64_t)ctl_number(shard, "log_end"),
               ctl_number(shard, "read_only") ? "; READ-ONLY until a restart" : "");
    }
}

int ctl_status(const struct arguments *a)
{
    int code;
    json_t *answer = ctl_call(a, json_pack("{s:s}", "do", "status"), &code);
    if (answer && GIVEN(a, json)) {
        json_object_del(answer, "ok");
        ctl_print_json(answer);
    } else if (answer) {
        print_status(answer);
    }
    json_decref(answer);
    return code;
}

int ctl_reload(const struct arguments *a)
{
    int code;
    json_t *row, *answer = ctl_call(a, json_pack("{s:s}", "do", "reload"), &code);
    json_t *settings = json_object_get(answer, "settings");
    size_t i;
    if (answer && GIVEN(a, json)) {
        ctl_print_json(settings);
    } else if (answer && json_array_size(settings) == 0) {
        printf("nothing has changed\n");
    } else {
        json_array_foreach(settings, i, row) {
            bool taken = json_is_true(json_object_get(row, "taken"));
            printf("%s %s = %s (%s %s)\n", taken ? "taken:          " : "needs a restart:", ctl_text(row, "key"),
                   ctl_text(row, "now"), taken ? "was" : "is", ctl_text(row, "was"));
        }
    }
    json_decref(answer);
    return code;
}

int ctl_shutdown(const struct arguments *a)
{
    int code;
    json_t *answer = ctl_call(a, json_pack("{s:s}", "do", "shutdown"), &code);
    if (answer) printf("stopping\n");
    json_decref(answer);
    return code;
}
