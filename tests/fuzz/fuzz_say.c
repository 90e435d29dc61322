/* fuzz_say.c - whatever a peer's words are, a log line with them is one line, and as JSON an object that says them.
 *
 * The input, cut at its NULs, is the values of one event. */
#include <assert.h>
#include <jansson.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/bytes.h"
#include "server/core/say_line.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { VALUES_MAX = 8 };

static void expect_line(const struct say_line *line)
{
    assert(line->len > 1 && line->len <= SAY_LINE_BYTES_MAX && line->at[line->len - 1] == '\n');
    assert(bytes_is_utf8(bytes_of(line->at, line->len)));
    for (size_t i = 0; i + 1 < line->len; i++) {
        unsigned char c = (unsigned char)line->at[i], next = (unsigned char)line->at[i + 1];
        assert(c >= 0x20 && c != 0x7f && !(c == 0xc2 && next < 0xa0));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[VALUES_MAX] = { "a", "b", "c", "d", "e", "f", "g", "h" };
    struct say_field fields[VALUES_MAX + 1] = { 0 };
    struct say_line line;
    char *text = malloc(size + 1);
    if (!text) abort();
    memcpy(text, data, size);
    text[size] = '\0';
    size_t at = 0;
    for (int i = 0; i < VALUES_MAX && at < size; i++) {
        fields[i] = (struct say_field)SAY_TEXT(names[i], text + at);
        at += strlen(text + at) + 1;
    }
    say_line_make(&line, (struct say_form){ SAY_AS_TEXT, false }, 1700000000000, SAY_INFO, "event", fields);
    expect_line(&line);
    say_line_make(&line, (struct say_form){ SAY_AS_JSON, false }, 1700000000000, SAY_INFO, "event", fields);
    expect_line(&line);
    json_t *object = json_loadb(line.at, line.len, JSON_REJECT_DUPLICATES, NULL);
    assert(json_is_object(object));
    for (int i = 0; fields[i].name; i++) {
        const char *back = json_string_value(json_object_get(object, fields[i].name));
        bool is_whole = fields[i + 1].name && json_object_get(object, fields[i + 1].name);
        if (is_whole && bytes_is_utf8(bytes_of_str(fields[i].u.text))) assert(strcmp(back, fields[i].u.text) == 0);
    }
    json_decref(object);
    free(text);
    return 0;
}
