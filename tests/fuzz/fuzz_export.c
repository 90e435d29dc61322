/* fuzz_export.c - the query of GET /v1/export, as a peer may write it.
 *
 * What is understood is an id that some field of the query is, in its one spelling; what is not leaves nothing behind. */
#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "proto/proto.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct conv_id none;
    static char query[4096];
    char id[CONV_ID_TEXT], field[CONV_ID_TEXT + 8];
    struct conv_id after, again;
    if (size >= sizeof query || memchr(data, 0, size)) return 0;      /* the head of a request holds no more, and no NUL */
    if (size) memcpy(query, data, size);
    query[size] = '\0';
    memset(&after, 0xa5, sizeof after);
    int err = export_query_parse(query, &after);
    assert(err == 0 || err == ERR_MALFORMED);
    if (err || conv_id_equal(&after, &none)) {
        assert(conv_id_equal(&after, &none));
        assert(!err || strstr(query, "after="));
        return 0;
    }
    conv_id_print(&after, id);
    snprintf(field, sizeof field, "after=%s", id);
    assert(strcasestr(query, field));
    assert(export_query_parse(field, &again) == 0 && conv_id_equal(&after, &again));
    return 0;
}
