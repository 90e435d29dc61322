/* export.c - pipitctl export user: lines of JSON on standard output, a page of the server's at a time. */
#include <stdio.h>
#include <string.h>

#include "tools/ctl/ctl.h"

int ctl_export_user(const struct arguments *a)
{
    json_t *names = ctl_names(a), *line;
    size_t i;
    int code = EXIT_DONE;
    if (!names) return EXIT_USAGE;
    json_decref(names);
    json_t *answer = ctl_call(a, json_pack("{s:s, s:s}", "do", "export", "user", a->words[0]), &code);
    while (answer) {
        json_array_foreach(json_object_get(answer, "lines"), i, line) ctl_print_json(line);
        json_t *next = json_incref(json_object_get(answer, "next"));
        json_decref(answer);
        if (!next) break;
        answer = ctl_call(a, json_pack("{s:s, s:s, s:o}", "do", "export-page", "user", a->words[0], "after", next), &code);
    }
    if (!code && (fflush(stdout) || ferror(stdout))) {
        fprintf(stderr, "pipitctl: standard output cannot be written\n");
        code = EXIT_BROKEN;
    }
    return code;
}
