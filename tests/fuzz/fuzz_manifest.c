/* fuzz_manifest.c - a backup's manifest from anywhere.
 *
 * The first byte chooses: even: the rest as it is; odd: its last line is replaced by the right sum. What is believed
 * prints to the same bytes, and every name in it stays inside the folder. */
#include <assert.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <xxhash.h>

#include "proto/err.h"
#include "storage/manifest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1) return 0;
    struct buf text, again;
    struct manifest m;
    buf_init(&text, MANIFEST_BYTES_MAX);
    buf_init(&again, MANIFEST_BYTES_MAX);
    buf_put(&text, data + 1, size - 1);
    if (data[0] & 1) {
        char line[32];
        int len = snprintf(line, sizeof line, "sum %016" PRIx64 "\n", (uint64_t)XXH3_64bits(data + 1, size - 1));
        buf_put(&text, line, (size_t)len);
    }
    int err = manifest_parse(buf_bytes(&text), &m);
    assert(err == 0 || err == ERR_CORRUPT || err == ERR_NEWER);
    if (!err) {
        err = manifest_print(&m, &again);
        assert(!err && bytes_equal(buf_bytes(&text), buf_bytes(&again)));
        for (size_t i = 0; i < m.count; i++) assert(!strstr(m.files[i].name, ".."  "/") && m.files[i].name[0] != '/');
    }
    manifest_fini(&m);
    buf_fini(&text);
    buf_fini(&again);
    return 0;
}
