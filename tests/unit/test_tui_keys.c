/* test_tui_keys.c - what each terminal sends for a key, cut anywhere, broken anywhere. Keys are told as words:
 * "a" a character, "C-" "M-" "S-" in front of it for Ctrl, Alt and Shift, "Up", "F5", "paste(…)" with its text. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tools/client/tui/keys.h"
#include "tools/common/utf8.h"

#define BAD "\xef\xbf\xbd"

enum { TOLD_MAX = 4096, ROUNDS = 20000, RANDOM_PIECES_MAX = 24 };

static struct keys keys;
static char told[TOLD_MAX];
static size_t told_len;

static void say(const void *at, size_t len)
{
    assert_true(told_len + len < TOLD_MAX);
    memcpy(told + told_len, at, len);
    told_len += len;
    told[told_len] = '\0';
}

static void say_word(const char *word)
{
    say(word, strlen(word));
}

static void tell(const struct key *key)
{
    static const char *const names[] = {
        [KEYS_ENTER] = "Enter", [KEYS_TAB] = "Tab", [KEYS_BACKSPACE] = "Backspace", [KEYS_ESC] = "Esc",
        [KEYS_UP] = "Up", [KEYS_DOWN] = "Down", [KEYS_LEFT] = "Left", [KEYS_RIGHT] = "Right", [KEYS_HOME] = "Home",
        [KEYS_END] = "End", [KEYS_PAGE_UP] = "PgUp", [KEYS_PAGE_DOWN] = "PgDn", [KEYS_INSERT] = "Ins",
        [KEYS_DELETE] = "Del", [KEYS_WHEEL_UP] = "WheelUp", [KEYS_WHEEL_DOWN] = "WheelDown", [KEYS_FOCUS_IN] = "In",
        [KEYS_FOCUS_OUT] = "Out",
    };
    char room[16];
    if (key->kind == KEYS_PASTE) {
        assert_true(key->text.len > 0 && key->text.len <= KEYS_PASTE_BYTES_MAX && bytes_is_utf8(key->text));
        say(key->text.at, key->text.len);
        return;
    }
    if (key->kind == KEYS_PASTE_END) {
        say_word(")");
        return;
    }
    if (told_len > 0) say_word(" ");
    if (key->mods & KEYS_CTRL) say_word("C-");
    if (key->mods & KEYS_ALT) say_word("M-");
    if (key->mods & KEYS_SHIFT) say_word("S-");
    if (key->kind == KEYS_CHAR) {
        say(room, utf8_put(key->c, room));
    } else if (key->kind == KEYS_F) {
        say(room, (size_t)snprintf(room, sizeof room, "F%u", (unsigned)key->c));
    } else {
        say_word(key->kind == KEYS_PASTE_BEGIN ? "paste(" : names[key->kind]);
    }
}

static void begin(void)
{
    keys_init(&keys);
    told_len = 0;
    told[0] = '\0';
}

static void feed(const void *bytes, size_t len)
{
    struct key out[KEYS_PER_BYTE_MAX];
    for (size_t i = 0; i < len; i++) {
        size_t count = keys_feed(&keys, ((const uint8_t *)bytes)[i], out);
        for (size_t k = 0; k < count; k++) tell(&out[k]);
    }
}

static void time_out(void)
{
    struct key out[KEYS_PER_BYTE_MAX];
    size_t count = keys_timeout(&keys, out);
    for (size_t k = 0; k < count; k++) tell(&out[k]);
    assert_false(keys_pending(&keys));
}

static void means_bytes(const void *bytes, size_t len, const char *expected)
{
    begin();
    feed(bytes, len);
    assert_string_equal(told, expected);
    assert_false(keys_pending(&keys));
    feed("z", 1);    /* and what comes next is itself again */
    assert_true(told_len > 0 && told[told_len - 1] == 'z');
}

static void means(const char *typed, const char *expected)
{
    means_bytes(typed, strlen(typed), expected);
}

/* Nothing is known before it is known that nothing follows. */
static void means_alone(const char *typed, const char *expected)
{
    begin();
    feed(typed, strlen(typed));
    assert_string_equal(told, "");
    assert_true(keys_pending(&keys));
    time_out();
    assert_string_equal(told, expected);
    feed("z", 1);
    assert_true(told[told_len - 1] == 'z');
}

static void characters_are_themselves(void **state)
{
    (void)state;
    means("aZ0~", "a Z 0 ~");
    means("\u00e9\u4e16\U0001f600", "\u00e9 \u4e16 \U0001f600");
    means("\ue0a0", "\ue0a0");
}

static void bytes_that_are_no_characters_are_one_bad_one(void **state)
{
    (void)state;
    means("\xff", BAD);
    means("a\x80" "b", "a " BAD " b");
    means("\xc3" "b", BAD " b");
    means("\xf0\x9f\x98" "b", BAD " b");
    means("\xc3\xc3\xa9", BAD " \u00e9");
    means("\xed\xa0\x80", BAD);             /* a surrogate */
    means("\xe0\x80\xaf", BAD);             /* "/" in more bytes than it needs */
    means("\xf4\x90\x80\x80", BAD);         /* above U+10FFFF */
    means("\xc3\x1b[A", BAD " Up");
    means("\xc2\x9b", "");                  /* C1: an order, no key */
}

static void control_keys_have_the_name_of_their_letter(void **state)
{
    (void)state;
    means("\x01\x05\x0a\x1a", "C-a C-e C-j C-z");
    means("\x1c\x1d\x1e\x1f", "C-\\ C-] C-^ C-_");
    means_bytes("\0", 1, "C-@");
    means("\r\t", "Enter Tab");
    means("\x7f\x08", "Backspace Backspace");
}

static void escape_in_front_is_alt(void **state)
{
    (void)state;
    means("\x1b" "b", "M-b");
    means("\x1b\u00e9", "M-\u00e9");
    means("\x1b\r\x1b\x7f\x1b\x1f", "M-Enter M-Backspace C-M-_");
    means("\x1b" "bc", "M-b c");
    means("\x1b\x1b[A", "M-Up");            /* rxvt */
    means("\x1b\x1bOA", "M-Up");
    means("\x1b\x1b" "b", "Esc M-b");
    means("\x1b\x1b\x1b" "b", "Esc Esc M-b");
}

static void a_lone_escape_is_known_when_nothing_follows(void **state)
{
    (void)state;
    means_alone("\x1b", "Esc");
    means_alone("\x1b\x1b", "M-Esc");
    means_alone("\x1b[", "M-[");
    means_alone("\x1bO", "M-O");
    means_alone("\x1b]", "M-]");
    means_alone("\x1b_", "M-_");
    means_alone("\x1b\x1b[", "Esc M-[");
    begin();
    feed("\x1b", 1);
    time_out();
    feed("[A", 2);
    assert_string_equal(told, "Esc [ A");
    begin();
    feed("\x1b[1;", 4);    /* nobody types this: however late the rest is, it is one key */
    assert_false(keys_pending(&keys));
    time_out();
    feed("5D", 2);
    assert_string_equal(told, "C-Left");
}

static void xterm_names_its_keys(void **state)
{
    (void)state;
    means("\x1b[A\x1b[B\x1b[C\x1b[D\x1b[H\x1b[F", "Up Down Right Left Home End");
    means("\x1bOA\x1bOB\x1bOC\x1bOD\x1bOH\x1bOF", "Up Down Right Left Home End");
    means("\x1b[2~\x1b[3~\x1b[5~\x1b[6~", "Ins Del PgUp PgDn");
    means("\x1bOP\x1bOQ\x1bOR\x1bOS\x1b[15~\x1b[17~\x1b[24~", "F1 F2 F3 F4 F5 F6 F12");
    means("\x1b[1;5D\x1b[1;2C\x1b[1;3A\x1b[1;8B\x1b[1;9A", "C-Left S-Right M-Up C-M-S-Down M-Up");
    means("\x1b[3;5~\x1b[5;2~\x1b[1;5P\x1b[15;3~", "C-Del S-PgUp C-F1 M-F5");
    means("\x1bO5D\x1bO2P", "C-Left S-F1");
    means("\x1b[Z", "S-Tab");
    means("\x1bOM\x1bOj\x1bOk\x1bOp\x1bOy\x1bOX", "Enter * + 0 9 =");
    means("\x1b[I\x1b[O", "In Out");
}

static void console_and_rxvt_name_theirs(void **state)
{
    (void)state;
    means("\x1b[[A\x1b[[E\x1b[[Z", "F1 F5");
    means("\x1b[1~\x1b[4~\x1b[7~\x1b[8~\x1b[11~", "Home End Home End F1");
    means("\x1b[a\x1b[d\x1bOa\x1bOd", "S-Up S-Left C-Up C-Left");
    means("\x1b[3^\x1b[3$\x1b[3@", "C-Del S-Del C-S-Del");
}

static void keys_by_number_are_keys(void **state)
{
    (void)state;
    means("\x1b[13;2u\x1b[13;5u\x1b[27;5;13~", "S-Enter C-Enter C-Enter");
    means("\x1b[97;5u\x1b[65;5u\x1b[97;3u\x1b[97;2u\x1b[233u", "C-a C-a M-a A \u00e9");
    means("\x1b[32;5u\x1b[127;5u\x1b[9;2u", "C-@ C-Backspace S-Tab");
    means("\x1b[57441;1u\x1b[1114112u\x1b[55296u\x1b[99999999999999999999u\x1b[155u", "");
    means("\x1b[97:65:97;5:1u", "C-a");
}

static void the_wheel_is_a_key_and_a_click_is_not(void **state)
{
    (void)state;
    means("\x1b[<64;10;20M\x1b[<65;10;20M\x1b[<68;1;1M", "WheelUp WheelDown WheelUp");
    means("\x1b[<0;10;20M\x1b[<0;10;20m\x1b[<64;1;1m", "");
    means("\x1b[M`!!\x1b[Ma!!\x1b[M !!", "WheelUp WheelDown");
    means_bytes("\x1b[M`\xff\xff", 6, "WheelUp");
}

static void what_is_not_understood_is_swallowed_whole(void **state)
{
    (void)state;
    means("\x1b[?2004;2$y\x1b[>1;2;3c\x1b[12;40R\x1b[99~\x1b[5n\x1b[1 q\x1b[201~", "");
    means("\x1b]11;rgb:0000/0000/0000\x1b\\" "a", "a");
    means("\x1b]0;title\x07" "a", "a");
    means("\x1bP1$r0m\x1b\\\x1b_x\x1b\\" "a", "a");
    means("\x1b[1;2;3;4;5;6;7;8;9;10A", "S-Up");
    means("\x1bOz", "");
}

static void a_broken_sequence_loses_no_key_behind_it(void **state)
{
    (void)state;
    means("\x1b[1;5\r", "Enter");
    means("\x1b[1;\x1b[A", "Up");
    means("\x1b[3\u00e9", "\u00e9");
    means("\x1bO\x7f", "Backspace");
    means("\x1b[[\r", "Enter");
    means("\x1b[M`\r", "WheelUp Enter");
    means("\x1b]0;title\x1b[A", "Up");
    means("\x1b]0;title\x18" "a", "a");
    begin();
    feed("\x1b]0;title", 9);
    assert_true(keys_pending(&keys));
    time_out();
    assert_string_equal(told, "");
}

static void a_string_without_an_end_is_given_up(void **state)
{
    (void)state;
    begin();
    feed("\x1b]", 2);
    for (unsigned i = 0; i < KEYS_STRING_BYTES_MAX; i++) feed("x", 1);
    assert_string_equal(told, "");
    feed("y", 1);
    assert_string_equal(told, "y");
}

static void a_paste_is_text(void **state)
{
    (void)state;
    means("\x1b[200~hello\x1b[201~", "paste(hello)");
    means("\x1b[200~\x1b[201~", "paste()");
    means("\x1b[200~one\rtwo\nthree\r\nfour\r\r\x1b[201~", "paste(one\ntwo\nthree\nfour\n\n)");
    means("\x1b[200~a\tb\x01\x7f\xc2\x85" "c\x1b[201~", "paste(a\tbc)");
    means("\x1b[200~\u4e16\xff\xc3\x1b[201~", "paste(\u4e16" BAD BAD ")");
    means("\x1b[200~a\x1b[201~b\x1b[200~c\x1b[201~", "paste(a) b paste(c)");
}

static void orders_in_a_paste_are_text(void **state)
{
    (void)state;
    means("\x1b[200~a\x1b[2Jb\x1b]0;x\x07\x1b[201~", "paste(a[2Jb]0;x)");
    means("\x1b[200~\x1b[200~\x1b[20\x1b[201~", "paste([200~[20)");
    means("\x1b[200~\x1b\x1b[201~", "paste()");
    means("\x1b[200~\x1b[201\x1b[201~", "paste([201)");
    means("\x1b[200~\xc3\x1b[2\xa9\x1b[201~", "paste(" BAD "[2" BAD ")");
}

static void a_long_paste_comes_in_pieces(void **state)
{
    struct key out[KEYS_PER_BYTE_MAX];
    size_t pieces = 0, bytes = 0;
    (void)state;
    begin();
    feed("\x1b[200~", 6);
    for (unsigned i = 0; i < 10000; i++) {
        const char *c = "\u4e16";
        for (size_t k = 0; k < 3; k++) {
            size_t count = keys_feed(&keys, (uint8_t)c[k], out);
            if (count == 0) continue;
            assert_true(count == 1 && out[0].kind == KEYS_PASTE && bytes_is_utf8(out[0].text));
            pieces++;
            bytes += out[0].text.len;
        }
    }
    assert_false(keys_pending(&keys));    /* a paste that pauses is no key */
    for (const char *c = "\x1b[201"; *c; c++) assert_int_equal(keys_feed(&keys, (uint8_t)*c, out), 0);
    assert_int_equal(keys_feed(&keys, '~', out), 2);
    assert_int_equal(out[1].kind, KEYS_PASTE_END);
    assert_int_equal(bytes + out[0].text.len, 30000);
    assert_true(pieces > 30000 / KEYS_PASTE_BYTES_MAX);
}

/* Pieces of sequences in any order: whoever looks for a lone ESC only where one is pending gets the same keys. */
static void keys_do_not_depend_on_where_bytes_are_cut(void **state)
{
    static const char *const pieces[] = {
        "\x1b", "[", "O", "]", "<", "?", "1", "5", ";", ":", "$", "~", "A", "M", "u", "\r", "\x07", "\\", "a", "\u00e9",
        "\xc3", "\xff", "\x1b[A", "\x1b[1;5D", "\x1b[200~", "\x1b[201~", "\x1b[201~", "64", "\x7f",
    };
    const char *given = getenv("PIPIT_SEED");
    uint64_t random = given ? strtoull(given, NULL, 0) : (uint64_t)time(NULL);
    static char whole[TOLD_MAX];
    (void)state;
    print_message("PIPIT_SEED=%llu\n", (unsigned long long)random);
    for (int round = 0; round < ROUNDS; round++) {
        char typed[RANDOM_PIECES_MAX * 8];
        size_t len = 0;
        for (int i = 0; i < RANDOM_PIECES_MAX; i++) {
            random = random * 6364136223846793005u + 1442695040888963407u;
            const char *piece = pieces[(random >> 33) % (sizeof pieces / sizeof pieces[0])];
            memcpy(typed + len, piece, strlen(piece));
            len += strlen(piece);
        }
        begin();
        feed(typed, len);
        memcpy(whole, told, sizeof whole);
        begin();
        for (size_t i = 0; i < len; i++) {
            if (!keys_pending(&keys)) time_out();
            feed(typed + i, 1);
        }
        assert_string_equal(told, whole);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(characters_are_themselves),
        cmocka_unit_test(bytes_that_are_no_characters_are_one_bad_one),
        cmocka_unit_test(control_keys_have_the_name_of_their_letter),
        cmocka_unit_test(escape_in_front_is_alt),
        cmocka_unit_test(a_lone_escape_is_known_when_nothing_follows),
        cmocka_unit_test(xterm_names_its_keys),
        cmocka_unit_test(console_and_rxvt_name_theirs),
        cmocka_unit_test(keys_by_number_are_keys),
        cmocka_unit_test(the_wheel_is_a_key_and_a_click_is_not),
        cmocka_unit_test(what_is_not_understood_is_swallowed_whole),
        cmocka_unit_test(a_broken_sequence_loses_no_key_behind_it),
        cmocka_unit_test(a_string_without_an_end_is_given_up),
        cmocka_unit_test(a_paste_is_text),
        cmocka_unit_test(orders_in_a_paste_are_text),
        cmocka_unit_test(a_long_paste_comes_in_pieces),
        cmocka_unit_test(keys_do_not_depend_on_where_bytes_are_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
