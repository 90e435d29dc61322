/* test_tui_editor.c - the reply being typed, by the keys that people type. A text is told with | for the cursor. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "proto/err.h"
#include "tools/client/tui/editor.h"
#include "tools/client/tui/text.h"

enum { ROUNDS = 300, STEPS_MAX = 200 };

static struct editor *editor;

static int setup(void **state)
{
    (void)state;
    editor = editor_new();
    return editor && setlocale(LC_CTYPE, "C.UTF-8") ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    editor_free(editor);
    return 0;
}

/* What each of these bytes does; the last key's result. */
static enum editor_result type(const char *bytes)
{
    enum editor_result result = EDITOR_UNKNOWN;
    struct key out[KEYS_PER_BYTE_MAX];
    struct keys keys;
    keys_init(&keys);
    for (const char *b = bytes; *b; b++) {
        size_t count = keys_feed(&keys, (uint8_t)*b, out);
        for (size_t i = 0; i < count; i++) result = editor_key(editor, &out[i]);
    }
    assert_false(keys_pending(&keys));
    return result;
}

#define UP "\x1b[A"
#define DOWN "\x1b[B"
#define RIGHT "\x1b[C"
#define LEFT "\x1b[D"
#define UNDO "\x1f"
#define PASTE(text) "\x1b[200~" text "\x1b[201~"

static const char *told(void)
{
    static char out[TEXT_BYTES_MAX + 2];
    const struct bytes text = editor_text(editor);
    const size_t cursor = editor_cursor(editor);
    snprintf(out, sizeof out, "%.*s|%.*s", (int)cursor, (const char *)text.at, (int)(text.len - cursor),
             (const char *)text.at + cursor);
    return out;
}

/* Begins with a text and the cursor where its | is. */
static void start(const char *text)
{
    char room[256];
    const char *bar = strchr(text, '|');
    assert_non_null(bar);
    snprintf(room, sizeof room, "%.*s%s", (int)(bar - text), text, bar + 1);
    assert_int_equal(editor_set_text(editor, bytes_of_str(room)), 0);
    while (editor_cursor(editor) > (size_t)(bar - text)) type("\x02");
    assert_string_equal(told(), text);
}

static void turns(const char *from, const char *typed, const char *to)
{
    start(from);
    type(typed);
    assert_string_equal(told(), to);
}

static void fill(size_t len)
{
    char text[TEXT_BYTES_MAX];
    memset(text, 'x', sizeof text);
    assert_int_equal(editor_set_text(editor, bytes_of(text, len)), 0);
}

static void characters_go_in_at_the_cursor(void **state)
{
    (void)state;
    turns("|", "hi \u4e16\u754c", "hi \u4e16\u754c|");
    turns("a|c", "b", "ab|c");
    assert_int_equal(type("x"), EDITOR_CHANGED);
    turns("a|", "\x1b\r" "b\x0a" "c", "a\nb\nc|");
    turns("a|", "\x1b[13;2u", "a\n|");
}

static void the_cursor_moves_by_clusters(void **state)
{
    (void)state;
    turns("a|b", "\x02\x02\x02", "|ab");
    turns("a|b", "\x06\x06\x06", "ab|");
    turns("e\u0301|x", LEFT, "|e\u0301x");
    turns("|\U0001f44d\U0001f3fdx", RIGHT, "\U0001f44d\U0001f3fd|x");
    assert_int_equal(type(RIGHT), EDITOR_TAKEN);
}

static void lines_have_ends(void **state)
{
    (void)state;
    turns("one\ntwo|\nthree", "\x01", "one\n|two\nthree");
    turns("one\n|two\nthree", "\x05", "one\ntwo|\nthree");
    turns("one\nt|wo\nthree", "\x1b[H", "one\n|two\nthree");
    turns("one\nt|wo\nthree", "\x1b[F", "one\ntwo|\nthree");
}

static void words_are_letters_and_digits(void **state)
{
    (void)state;
    turns("one, two3 |four", "\033b", "one, |two3 four");
    turns("one, tw|o3", "\033b\033b\033b", "|one, two3");
    turns("|one, two3", "\033f", "one|, two3");
    turns("one|, two3 x", "\x1b[1;5C", "one, two3| x");
    turns("gr\u00fc\u00df dich|", "\x1b[1;5D", "gr\u00fc\u00df |dich");
    turns(", |", "\033b", "|, ");
}

static void erasing_takes_whole_clusters(void **state)
{
    (void)state;
    turns("ae\u0301|", "\x7f", "a|");
    turns("ab|", "\x08\x7f\x7f", "|");
    turns("|e\u0301x", "\x04", "|x");
    turns("|ab", "\x1b[3~", "|b");
    turns("a\n|b", "\x7f", "a|b");
    turns("\U0001f468\u200d\U0001f469|", "\x7f", "\U0001f468\u200d|");
}

static void what_the_editor_has_no_use_for_is_left_to_others(void **state)
{
    static const char *const keys[] = { "\t", "\x0c", "\x07", "\x12", "\x1b[5~", "\x1b[I", "\033x", "\x1bOP" };
    (void)state;
    start("a|");
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) assert_int_equal(type(keys[i]), EDITOR_UNKNOWN);
    assert_int_equal(type("\x04"), EDITOR_TAKEN);
    assert_string_equal(told(), "a|");
    start("|");
    assert_int_equal(type("\x04"), EDITOR_UNKNOWN);
    assert_int_equal(type("\r"), EDITOR_UNKNOWN);
    assert_int_equal(type("\x7f"), EDITOR_TAKEN);
}

static void killed_text_can_be_yanked(void **state)
{
    (void)state;
    turns("one |two\nthree", "\x0b", "one |\nthree");
    turns("one |\nthree", "\x0b", "one |three");
    turns("one\ntwo |three", "\x15", "one\n|three");
    turns("one\n|three", "\x15", "one|three");
    turns("say one-two |", "\x17", "say |");
    turns("say one-two |", "\x1b\x7f", "say one-|");
    turns("|one-two", "\033d", "|-two");
    turns("one |two", "\x0b\x01\x19", "two|one ");
}

static void kills_in_a_row_are_one(void **state)
{
    (void)state;
    turns("|one two three", "\033d\033d\x05\x19", " threeone two|");
    turns("one two three|", "\x17\x17\x01\x19", "two three|one ");
    turns("one two three|", "\x17\x1b[I\x17\x01\x19", "two three|one ");    /* focus is not a key of the editor's */
    turns("one |two", "\x0b\x15\x19", "one two|");
    turns("one two|", "\x17\x02\x17\x19", "one| ");
}

static void an_older_kill_can_be_yanked_instead(void **state)
{
    (void)state;
    start("|");
    type("first\x15" "second\x15" "\x19");
    assert_string_equal(told(), "second|");
    type("\x1by");
    assert_string_equal(told(), "first|");
    for (int i = 0; i < EDITOR_KILLS_MAX; i++) type("x\x7f!\x15");
    type("a\x19");
    assert_string_equal(told(), "a!|");
    assert_int_equal(type("b\x1by"), EDITOR_TAKEN);    /* a key is between them */
    assert_string_equal(told(), "a!b|");
}

static void clusters_are_swapped_and_words_change_case(void **state)
{
    (void)state;
    turns("ab|c", "\x14", "acb|");
    turns("abc|", "\x14", "acb|");
    turns("|abc", "\x14", "|abc");
    turns("e\u0301x|\ny", "\x14", "xe\u0301|\ny");
    turns("a\nb|", "\x14", "a\nb|");
    turns("| one two", "\x1bu", " ONE| two");
    turns("|GR\u00dcN x", "\x1bl", "gr\u00fcn| x");
    turns("|\u01c6UNGLA", "\033c", "\u01c5ungla|");
    turns("|...", "\x1bu", "...|");
}

static void undo_takes_back_a_word_at_a_time(void **state)
{
    (void)state;
    start("|");
    type("one two");
    type(UNDO);
    assert_string_equal(told(), "one |");
    type(UNDO);
    assert_string_equal(told(), "|");
    assert_int_equal(type(UNDO), EDITOR_TAKEN);
    turns("one two|", "\x7f\x7f\x7f" UNDO, "one two|");
    turns("one |two", "\x04\x04\x04" UNDO, "one |two");
    turns("one two|", "\x17\x17" UNDO, "one |");
    turns("one|", "\x15" "a" UNDO UNDO, "one|");
    turns("one t|wo", "\x1bu\x14" UNDO UNDO, "one t|wo");
    turns("a|", "b\x02" "c" UNDO, "a|b");    /* moving ends a stretch of typing */
}

static void more_than_can_be_undone_forgets_the_oldest(void **state)
{
    (void)state;
    start("|");
    for (int i = 0; i < EDITOR_UNDOS_MAX + 10; i++) type("a ");
    int undone = 0;
    while (type(UNDO) == EDITOR_CHANGED) undone++;
    assert_int_equal(undone, EDITOR_UNDOS_MAX);
    assert_int_equal(editor_text(editor).len, 20);
    fill(TEXT_BYTES_MAX);
    for (int i = 0; i < 40; i++) type("\x15\x19");
    undone = 0;
    while (type(UNDO) == EDITOR_CHANGED) undone++;
    /* Each yank is one more, and the one before the oldest kill took nothing away. */
    assert_int_equal(undone, 2 * EDITOR_UNDO_BYTES_MAX / TEXT_BYTES_MAX + 1);
    assert_int_equal(editor_text(editor).len, 0);
}

/* A change that grows may push the oldest out as well. */
static void a_long_erasure_forgets_the_oldest(void **state)
{
    int undone = 0;
    (void)state;
    fill(TEXT_BYTES_MAX);
    type("\x7f" "x");    /* one byte is the oldest that was taken away */
    for (int i = 1; i < EDITOR_UNDO_BYTES_MAX / TEXT_BYTES_MAX; i++) type("\x15\x19");
    for (int i = 0; i < TEXT_BYTES_MAX; i++) type("\x7f");
    assert_int_equal(editor_text(editor).len, 0);
    while (type(UNDO) == EDITOR_CHANGED) undone++;
    assert_int_equal(undone, 1 + 2 * (EDITOR_UNDO_BYTES_MAX / TEXT_BYTES_MAX - 1) + 1);
    assert_int_equal(editor_text(editor).len, TEXT_BYTES_MAX - 1);
}

static void up_and_down_go_through_rows_first(void **state)
{
    (void)state;
    turns("one\nt|wo\nthree", UP, "o|ne\ntwo\nthree");
    turns("one\nt|wo\nthree", DOWN, "one\ntwo\nt|hree");
    turns("three\nx\nthr|ee", UP UP, "thr|ee\nx\nthree");    /* the column is kept through a short row */
    turns("three\nx\nthr|ee", UP LEFT UP, "|three\nx\nthree");
    turns("\u4e16\u754c\na|b", UP, "|\u4e16\u754c\nab");
    editor_set_columns(editor, 4);
    turns("abcdefg|hij", UP, "abc|defghij");
    turns("abcdefghij|", UP UP, "ab|cdefghij");
    editor_set_columns(editor, 0);
}

static void what_was_sent_comes_back(void **state)
{
    (void)state;
    start("|");
    assert_int_equal(type("one\r"), EDITOR_SEND);
    assert_string_equal(told(), "one|");    /* until it was sent */
    editor_sent(editor);
    assert_string_equal(told(), "|");
    assert_int_equal(type("two\ntwo\r"), EDITOR_SEND);
    editor_sent(editor);
    type("typed");
    assert_int_equal(type(UP), EDITOR_CHANGED);
    assert_string_equal(told(), "two\ntwo|");
    type(UP);
    assert_string_equal(told(), "two|\ntwo");
    type(UP);
    assert_string_equal(told(), "one|");
    assert_int_equal(type(UP), EDITOR_UNKNOWN);
    type(DOWN DOWN);
    assert_string_equal(told(), "typed|");
    assert_int_equal(type(DOWN), EDITOR_UNKNOWN);
    type("\x10" UNDO);
    assert_string_equal(told(), "typed|");
}

static void what_was_sent_and_is_changed_is_being_typed(void **state)
{
    (void)state;
    start("|");
    type("one\r");
    editor_sent(editor);
    type(UP "!");
    assert_int_equal(type(DOWN), EDITOR_UNKNOWN);
    type(UP DOWN);
    assert_string_equal(told(), "one!|");
}

static void only_the_newest_are_kept_of_what_was_sent(void **state)
{
    char text[16];
    int found = 0;
    (void)state;
    for (int i = 0; i < EDITOR_SENT_MAX + 5; i++) {
        snprintf(text, sizeof text, "t%d", i);
        assert_int_equal(editor_set_text(editor, bytes_of_str(text)), 0);
        editor_sent(editor);
        assert_int_equal(editor_set_text(editor, bytes_of_str(text)), 0);
        editor_sent(editor);    /* twice the same in a row is once */
    }
    while (type(UP) == EDITOR_CHANGED) found++;
    assert_int_equal(found, EDITOR_SENT_MAX);
    assert_string_equal(told(), "t5|");
    for (int i = 0; i < 20; i++) {
        fill(TEXT_BYTES_MAX - (size_t)i % 2);
        editor_sent(editor);
    }
    start("|");
    for (found = 0; type(UP) == EDITOR_CHANGED; found++) { }
    assert_int_equal(found, EDITOR_SENT_BYTES_MAX / TEXT_BYTES_MAX);
}

static void a_paste_is_one_text_and_one_undo(void **state)
{
    char typed[4096] = "\x1b[200~", expected[4096] = "a";
    (void)state;
    for (int i = 0; i < 200; i++) {
        snprintf(typed + strlen(typed), 24, "line %d\r", i);
        snprintf(expected + strlen(expected), 24, "line %d\n", i);
    }
    strcat(typed, "\x1b[201~");
    strcat(expected, "|b");
    start("a|b");
    assert_int_equal(type(typed), EDITOR_CHANGED);
    assert_string_equal(told(), expected);
    type(UNDO);
    assert_string_equal(told(), "a|b");
    assert_int_equal(type(PASTE("")), EDITOR_TAKEN);
    turns("|", PASTE("x") PASTE("y") UNDO, "x|");
}

static void what_does_not_fit_is_refused_whole(void **state)
{
    char pasted[3 * TEXT_BYTES_MAX] = "\x1b[200~";
    (void)state;
    fill(TEXT_BYTES_MAX);
    assert_int_equal(type("y"), EDITOR_FULL);
    assert_int_equal(editor_excess(editor), 1);
    fill(TEXT_BYTES_MAX - 2);
    assert_int_equal(type("\u4e16"), EDITOR_FULL);
    assert_int_equal(editor_excess(editor), 1);
    assert_int_equal(type("yy"), EDITOR_CHANGED);
    assert_int_equal(editor_excess(editor), 0);
    assert_int_equal(editor_text(editor).len, TEXT_BYTES_MAX);
    start("ab|c");
    memset(pasted + 6, 'p', 2 * TEXT_BYTES_MAX);
    strcat(pasted, "\x1b[201~");
    assert_int_equal(type(pasted), EDITOR_FULL);
    assert_int_equal(editor_excess(editor), TEXT_BYTES_MAX + 3);
    assert_string_equal(told(), "ab|c");
    assert_int_equal(type(PASTE("x")), EDITOR_CHANGED);    /* nothing of it was left behind */
    assert_string_equal(told(), "abx|c");
}

static void a_yank_that_does_not_fit_leaves_older_ones(void **state)
{
    (void)state;
    start("ab|");
    type("\x15");
    fill(TEXT_BYTES_MAX - 2);
    type("\x15");
    fill(3);
    assert_int_equal(type("\x19"), EDITOR_FULL);
    assert_int_equal(editor_excess(editor), 1);
    assert_int_equal(type("\x1by"), EDITOR_CHANGED);
    assert_string_equal(told(), "xxxab|");
    assert_int_equal(type("\033b\x1bu"), EDITOR_CHANGED);
}

static void a_word_too_long_for_its_other_case_is_left(void **state)
{
    char text[TEXT_BYTES_MAX];
    (void)state;
    for (size_t i = 0; i < sizeof text; i += 2) memcpy(text + i, "\u0250", 2);    /* its capital has three bytes */
    assert_int_equal(editor_set_text(editor, bytes_of(text, sizeof text)), 0);
    assert_int_equal(type("\x01\x1bu"), EDITOR_FULL);
    assert_int_equal(editor_excess(editor), TEXT_BYTES_MAX / 2);
    assert_true(bytes_equal(editor_text(editor), bytes_of(text, sizeof text)));
}

static void a_text_that_is_none_is_refused(void **state)
{
    static char long_text[TEXT_BYTES_MAX + 1];
    (void)state;
    start("a|");
    memset(long_text, 'x', sizeof long_text);
    assert_int_equal(editor_set_text(editor, bytes_of(long_text, sizeof long_text)), ERR_TOO_BIG);
    assert_int_equal(editor_set_text(editor, bytes_of_str("\xff")), ERR_MALFORMED);
    assert_string_equal(told(), "a|");
}

static void the_cursor_never_stands_within_a_cluster(void **state)
{
    (void)state;
    start("x|");
    type("\u0301" LEFT);
    assert_string_equal(told(), "|x\u0301");
    start("|\u0301");
    type("x");    /* the mark that stood alone belongs to it now */
    assert_string_equal(told(), "x\u0301|");
    start("\U0001f1e9x|\U0001f1ea");
    type("\x7f");    /* what was two letters is a flag now */
    assert_string_equal(told(), "\U0001f1e9\U0001f1ea|");
    type(UNDO);
    assert_string_equal(told(), "\U0001f1e9x|\U0001f1ea");
}

/* ---- any keys ---- */

/* A line of text as simple as can be: enough to hold the keys to it that only move, type and erase. */
struct model {
    char text[TEXT_BYTES_MAX];
    size_t len, cursor;
};

static void model_replace(struct model *m, size_t from, size_t to, const char *with)
{
    char after[TEXT_BYTES_MAX];
    size_t after_len = m->len - to, n = strlen(with);
    memcpy(after, m->text + to, after_len);
    memcpy(m->text + from, with, n);
    memcpy(m->text + from + n, after, after_len);
    m->len = from + n + after_len;
    m->cursor = text_ceil(bytes_of(m->text, m->len), from + n);
}

static void model_key(struct model *m, const char *key)
{
    const struct bytes text = bytes_of(m->text, m->len);
    size_t back = m->cursor > 0 ? text_before(text, m->cursor) : 0;
    size_t ahead = m->cursor < m->len ? m->cursor + text_cluster_at(text, m->cursor).len : m->len;
    if (strcmp(key, LEFT) == 0) m->cursor = back;
    else if (strcmp(key, RIGHT) == 0) m->cursor = ahead;
    else if (strcmp(key, "\x7f") == 0 && m->cursor > 0) model_replace(m, back, m->cursor, "");
    else if (strcmp(key, "\x1b[3~") == 0 && m->cursor < m->len) model_replace(m, m->cursor, ahead, "");
    else if ((uint8_t)key[0] >= 0x20 && key[0] != 0x7f) model_replace(m, m->cursor, m->cursor, key);
}

static size_t draw(uint64_t *random, size_t bound)
{
    *random = *random * 6364136223846793005u + 1442695040888963407u;
    return (size_t)(*random >> 33) % bound;
}

static const char *const pieces[] = { "a", "b", " ", "\u00e9", "\u0301", "\u4e16", "\U0001f1e9", "\u200d", "\U0001f3fd",
                                      "\U0001f44d", "\u200b" };
static const char *const simple[] = { LEFT, RIGHT, "\x7f", "\x1b[3~" };
static const char *const all[] = {
    "\x01", "\x02", "\x04", "\x05", "\x06", "\x08", "\x0a", "\x0b", "\x0e", "\x10", "\x14", "\x15", "\x17", "\x19",
    UNDO,
    "\033b", "\033c", "\033d", "\033f", "\x1bl", "\x1bu", "\x1by", "\x1b\x7f", "\x1b\r", UP, DOWN,
    PASTE("one\rtwo \u0301"), "\x1b[I", "\t",
};
#define COUNT(list) (sizeof list / sizeof list[0])

static uint64_t seed(void)
{
    const char *given = getenv("PIPIT_SEED");
    uint64_t random = given ? strtoull(given, NULL, 0) : (uint64_t)time(NULL);
    print_message("PIPIT_SEED=%llu\n", (unsigned long long)random);
    return random;
}

static void simple_keys_do_what_a_simple_model_does(void **state)
{
    uint64_t random = seed();
    (void)state;
    for (int round = 0; round < ROUNDS; round++) {
        struct model m = { .len = 0 };
        start("|");
        for (int i = 0; i < STEPS_MAX; i++) {
            const bool is_typed = draw(&random, 2);
            const char *key = is_typed ? pieces[draw(&random, COUNT(pieces))] : simple[draw(&random, COUNT(simple))];
            type(key);
            model_key(&m, key);
            assert_int_equal(editor_cursor(editor), m.cursor);
            assert_true(bytes_equal(editor_text(editor), bytes_of(m.text, m.len)));
        }
    }
}

/* Undo goes through what was, backwards, to the first text, where the cursor may have moved before the change. */
static void any_keys_keep_the_bounds_and_can_be_undone(void **state)
{
    static char texts[STEPS_MAX + 1][TEXT_BYTES_MAX + 2];
    uint64_t random = seed();
    int whole = 0;
    (void)state;
    for (int round = 0; round < ROUNDS; round++) {
        size_t gone_max = 0;    /* no step takes away more than is there */
        start("fi|rst");
        strcpy(texts[0], told());
        editor_set_columns(editor, (unsigned)draw(&random, 9));
        int count = 1;
        for (; count <= STEPS_MAX; count++) {
            gone_max += editor_text(editor).len;
            type(draw(&random, 3) == 0 ? pieces[draw(&random, COUNT(pieces))] : all[draw(&random, COUNT(all))]);
            const struct bytes text = editor_text(editor);
            assert_true(text.len <= TEXT_BYTES_MAX && bytes_is_utf8(text));
            assert_int_equal(text_floor(text, editor_cursor(editor)), editor_cursor(editor));
            strcpy(texts[count], told());
        }
        while (type(UNDO) == EDITOR_CHANGED) {
            int was = 0;
            while (was < count && strcmp(texts[was], told()) != 0) was++;
            assert_true(was < count);
        }
        if (gone_max <= EDITOR_UNDO_BYTES_MAX) {    /* else the oldest may have been forgotten */
            whole++;
            assert_true(bytes_equal(editor_text(editor), bytes_of_str("first")));
        }
        if (draw(&random, 4) == 0) editor_sent(editor);    /* so that Up finds something */
    }
    assert_true(whole > ROUNDS / 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(characters_go_in_at_the_cursor, setup, teardown),
        cmocka_unit_test_setup_teardown(the_cursor_moves_by_clusters, setup, teardown),
        cmocka_unit_test_setup_teardown(lines_have_ends, setup, teardown),
        cmocka_unit_test_setup_teardown(words_are_letters_and_digits, setup, teardown),
        cmocka_unit_test_setup_teardown(erasing_takes_whole_clusters, setup, teardown),
        cmocka_unit_test_setup_teardown(what_the_editor_has_no_use_for_is_left_to_others, setup, teardown),
        cmocka_unit_test_setup_teardown(killed_text_can_be_yanked, setup, teardown),
        cmocka_unit_test_setup_teardown(kills_in_a_row_are_one, setup, teardown),
        cmocka_unit_test_setup_teardown(an_older_kill_can_be_yanked_instead, setup, teardown),
        cmocka_unit_test_setup_teardown(clusters_are_swapped_and_words_change_case, setup, teardown),
        cmocka_unit_test_setup_teardown(undo_takes_back_a_word_at_a_time, setup, teardown),
        cmocka_unit_test_setup_teardown(more_than_can_be_undone_forgets_the_oldest, setup, teardown),
        cmocka_unit_test_setup_teardown(a_long_erasure_forgets_the_oldest, setup, teardown),
        cmocka_unit_test_setup_teardown(up_and_down_go_through_rows_first, setup, teardown),
        cmocka_unit_test_setup_teardown(what_was_sent_comes_back, setup, teardown),
        cmocka_unit_test_setup_teardown(what_was_sent_and_is_changed_is_being_typed, setup, teardown),
        cmocka_unit_test_setup_teardown(only_the_newest_are_kept_of_what_was_sent, setup, teardown),
        cmocka_unit_test_setup_teardown(a_paste_is_one_text_and_one_undo, setup, teardown),
        cmocka_unit_test_setup_teardown(what_does_not_fit_is_refused_whole, setup, teardown),
        cmocka_unit_test_setup_teardown(a_yank_that_does_not_fit_leaves_older_ones, setup, teardown),
        cmocka_unit_test_setup_teardown(a_word_too_long_for_its_other_case_is_left, setup, teardown),
        cmocka_unit_test_setup_teardown(a_text_that_is_none_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(the_cursor_never_stands_within_a_cluster, setup, teardown),
        cmocka_unit_test_setup_teardown(simple_keys_do_what_a_simple_model_does, setup, teardown),
        cmocka_unit_test_setup_teardown(any_keys_keep_the_bounds_and_can_be_undone, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
