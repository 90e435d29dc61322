/* keys.c - a small automaton over bytes (see keys.h).
 *
 * GROUND      characters and control keys; ESC -> ESCAPE
 * ESCAPE      ESC came. [ -> CSI, O -> SS3, ] P X ^ _ -> STRING; ESC again: the first was rxvt's Alt for a sequence,
 *             or a key. Anything else is GROUND's, with Alt
 * CSI         numbers, then a final byte that says what they mean; [ -> LINUX_F; M -> MOUSE
 * LINUX_F     one letter: F1..F5 of the Linux console
 * MOUSE       three bytes, which a terminal sends that does not know the SGR form
 * SS3         a letter, in xterm's old form with a number before it
 * STRING      an answer of the terminal until ST or BEL; nobody here asks, so it is thrown away. ESC -> STRING_ESC
 *
 * A byte that cannot belong to a sequence ends it and is looked at as if nothing had been before it: so no key is lost
 * behind a broken sequence. A paste is a world of its own: only its end marker is looked for, all else is text. */
#include "tools/client/tui/keys.h"

#include <assert.h>
#include <string.h>

#include "tools/common/utf8.h"

enum { GROUND, ESCAPE, CSI, LINUX_F, MOUSE, SS3, STRING, STRING_ESC };
enum {
    ESC = 0x1b, BEL = 0x07, CAN = 0x18, SUB = 0x1a, DEL = 0x7f,
    MARK_UNKNOWN = '!',           /* no sequence that begins or goes on like this is understood */
    NUMBER_MAX_KEPT = 0x1fffff,   /* beyond all code points: what is larger stays unknown */
    PASTE_BYTE_MAX = 12,          /* of text that one byte of a paste gives: a cut character, "[201", a character */
    MOUSE_BYTES = 3,
};
#define PASTE_END "\033[201~"

struct out {
    struct key *at;
    size_t count;
};

static void give(struct out *out, struct key key)
{
    assert(out->count < KEYS_PER_BYTE_MAX);
    out->at[out->count++] = key;
}

static void give_named(struct out *out, enum key_kind kind, unsigned mods)
{
    give(out, (struct key){ .kind = kind, .mods = (uint8_t)mods });
}

/* C0 and DEL. */
static void give_control(struct out *out, uint32_t c, unsigned mods)
{
    switch (c) {
    case '\r': give_named(out, KEYS_ENTER, mods); break;
    case '\t': give_named(out, KEYS_TAB, mods); break;
    case '\b':
    case DEL: give_named(out, KEYS_BACKSPACE, mods); break;
    case ESC: give_named(out, KEYS_ESC, mods); break;
    default:
        give(out, (struct key){ .kind = KEYS_CHAR, .c = c >= 1 && c <= 26 ? 'a' + c - 1 : '@' + c,
                                .mods = (uint8_t)(mods | KEYS_CTRL) });
    }
}

/* A code point that was typed, or that a terminal names in a number. */
static void give_char(struct out *out, uint32_t c, unsigned mods)
{
    if (c < 0x20 || c == DEL) {
        give_control(out, c, mods);
        return;
    }
    if (c < 0xa0 && c > DEL) return;    /* C1: no key sends it, and in a text it is an order */
    give(out, (struct key){ .kind = KEYS_CHAR, .c = c, .mods = (uint8_t)mods });
}

/* ---- UTF-8 ---- */

static uint32_t utf8_begin(struct keys *k, uint8_t byte)
{
    if (byte >= 0xc2 && byte <= 0xf4) {
        k->c_left = byte < 0xe0 ? 1 : byte < 0xf0 ? 2 : 3;
        k->c_least = byte < 0xe0 ? 0x80 : byte < 0xf0 ? 0x800 : 0x10000;
        k->c = byte & (0x3fu >> k->c_left);
    }
    return byte < 0x80 ? byte : UTF8_BAD;
}

/* The 0, 1 or 2 code points that `byte` completes: 2 when it shows that the one before was cut. */
static size_t utf8_step(struct keys *k, uint8_t byte, uint32_t out[static 2])
{
    size_t count = 0;
    if (k->c_left > 0 && (byte & 0xc0) == 0x80) {
        k->c = k->c << 6 | (byte & 0x3f);
        if (--k->c_left > 0) return 0;
        bool is_good = k->c >= k->c_least && k->c <= 0x10ffff && (k->c < 0xd800 || k->c > 0xdfff);
        out[0] = is_good ? k->c : UTF8_BAD;
        return 1;
    }
    if (k->c_left > 0) out[count++] = UTF8_BAD;
    k->c_left = 0;
    uint32_t c = utf8_begin(k, byte);
    if (k->c_left == 0) out[count++] = c;
    return count;
}

/* ---- pastes ---- */

static void paste_code(struct keys *k, uint32_t c)
{
    bool after_cr = k->after_cr;
    k->after_cr = c == '\r';
    if (c == '\n' && after_cr) return;
    if (c == '\r') c = '\n';
    if ((c < 0x20 && c != '\n' && c != '\t') || (c >= DEL && c < 0xa0)) return;
    assert(k->pasted + UTF8_BYTES_MAX <= KEYS_PASTE_BYTES_MAX);
    k->pasted += (uint16_t)utf8_put(c, k->paste + k->pasted);
}

static void paste_text(struct keys *k, uint8_t byte)
{
    uint32_t codes[2];
    size_t count = utf8_step(k, byte, codes);
    for (size_t i = 0; i < count; i++) paste_code(k, codes[i]);
}

static void paste_give(struct keys *k, struct out *out)
{
    if (k->pasted == 0) return;
    give(out, (struct key){ .kind = KEYS_PASTE, .text = bytes_of(k->paste, k->pasted) });
    k->paste_given = true;
}

static void paste_step(struct keys *k, struct out *out, uint8_t byte)
{
    static const char end[] = PASTE_END;
    if (k->paste_given) k->pasted = 0;
    k->paste_given = false;
    if (byte == (uint8_t)end[k->matched]) {
        if (++k->matched < sizeof end - 1) return;
        if (k->c_left > 0) paste_code(k, UTF8_BAD);
        k->c_left = k->matched = 0;
        k->in_paste = false;
        paste_give(k, out);
        give_named(out, KEYS_PASTE_END, 0);
        return;
    }
    /* What looked like the end was text. The marker's first byte is nowhere else in it, so it can begin only here. */
    for (size_t i = 0; i < k->matched; i++) paste_text(k, (uint8_t)end[i]);
    k->matched = byte == ESC;
    if (k->matched == 0) paste_text(k, byte);
    if (k->pasted > KEYS_PASTE_BYTES_MAX - PASTE_BYTE_MAX) paste_give(k, out);
}

static void paste_begin(struct keys *k, struct out *out)
{
    k->in_paste = true;
    k->paste_given = k->after_cr = false;
    k->pasted = k->matched = 0;
    give_named(out, KEYS_PASTE_BEGIN, 0);
}

/* ---- sequences ---- */

static void enter(struct keys *k, uint8_t state)
{
    k->state = state;
    k->mark = 0;
    k->in_sub = false;
    k->numbers = 0;
    k->bytes = 0;
    memset(k->number, 0, sizeof k->number);
}

static void leave(struct keys *k)
{
    enter(k, GROUND);
    k->alt = false;
}

/* What xterm counts as 1 + a set of bits; Meta is Alt to us. */
static unsigned mods_of(uint32_t number)
{
    unsigned bits = number > 0 && number <= 16 ? number - 1 : 0;
    return (bits & (KEYS_SHIFT | KEYS_ALT | KEYS_CTRL)) | (bits & 8 ? KEYS_ALT : 0);
}

static void number_add(struct keys *k, uint8_t digit)
{
    if (k->numbers >= KEYS_NUMBERS_MAX || k->in_sub) return;
    uint32_t *n = &k->number[k->numbers];
    *n = *n * 10 + (digit - '0');
    if (*n > NUMBER_MAX_KEPT) *n = NUMBER_MAX_KEPT;
}

/* CSI and SS3 have these in common. */
static void give_letter(struct out *out, uint8_t letter, unsigned mods)
{
    static const struct { char letter; uint8_t kind; } table[] = {
        { 'A', KEYS_UP },   { 'B', KEYS_DOWN }, { 'C', KEYS_RIGHT }, { 'D', KEYS_LEFT },
        { 'H', KEYS_HOME }, { 'F', KEYS_END },
    };
    if (letter >= 'P' && letter <= 'S') {
        give(out, (struct key){ .kind = KEYS_F, .c = letter - 'P' + 1u, .mods = (uint8_t)mods });
    }
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        if (table[i].letter == letter) give_named(out, table[i].kind, mods);
    }
}

/* CSI number ~, and rxvt's endings instead of ~. */
static void give_numbered(struct out *out, uint32_t number, unsigned mods)
{
    static const uint8_t named[] = {
        [1] = KEYS_HOME, [2] = KEYS_INSERT, [3] = KEYS_DELETE, [4] = KEYS_END,
        [5] = KEYS_PAGE_UP, [6] = KEYS_PAGE_DOWN, [7] = KEYS_HOME, [8] = KEYS_END,
    };
    /* VT220's keyboard has gaps between its groups of keys. */
    static const uint8_t f[] = {
        [11] = 1, [12] = 2, [13] = 3, [14] = 4, [15] = 5, [17] = 6, [18] = 7, [19] = 8, [20] = 9, [21] = 10,
        [23] = 11, [24] = 12, [25] = 13, [26] = 14, [28] = 15, [29] = 16, [31] = 17, [32] = 18, [33] = 19, [34] = 20,
    };
    if (number >= 1 && number < sizeof named) give_named(out, named[number], mods);
    else if (number < sizeof f && f[number] > 0) {
        give(out, (struct key){ .kind = KEYS_F, .c = f[number], .mods = (uint8_t)mods });
    }
}

/* A key by its code point: so some terminals send what has no byte of its own, as Ctrl-Enter and Shift-Enter. */
static void give_coded(struct out *out, uint32_t c, unsigned mods)
{
    if (c > 0x10ffff || (c >= 0xd800 && c <= 0xf8ff)) return;    /* private ones: keys that we have no name for */
    if (c < 0x20 || c == DEL) {
        give_control(out, c, mods);
        return;
    }
    if (c == ' ' && (mods & KEYS_CTRL)) c = '@';
    if ((mods & KEYS_CTRL) && ((c >= '@' && c <= '_') || (c >= 'a' && c <= 'z'))) {
        give_control(out, c & 0x1f, mods & KEYS_ALT);
        return;
    }
    if ((mods & KEYS_SHIFT) && c >= 'a' && c <= 'z') c -= 'a' - 'A';
    give_char(out, c, mods & ~(unsigned)KEYS_SHIFT);
}

static void give_wheel(struct out *out, uint32_t button)
{
    const uint32_t modifiers = 4 | 8 | 16;
    if ((button & ~modifiers) == 64) give_named(out, KEYS_WHEEL_UP, 0);
    if ((button & ~modifiers) == 65) give_named(out, KEYS_WHEEL_DOWN, 0);
}

static void csi_end(struct keys *k, struct out *out, uint8_t final)
{
    const uint32_t first = k->number[0];
    const unsigned mods = mods_of(k->number[1]) | (k->alt ? KEYS_ALT : 0);
    if (k->mark == '<' && final == 'M') give_wheel(out, first);
    if (k->mark != 0) return;
    switch (final) {
    case '~':
        if (first == 200) paste_begin(k, out);
        else if (first == 27) give_coded(out, k->number[2], mods);
        else give_numbered(out, first, mods);
        break;
    case '^': give_numbered(out, first, mods | KEYS_CTRL); break;
    case '$': give_numbered(out, first, mods | KEYS_SHIFT); break;
    case '@': give_numbered(out, first, mods | KEYS_CTRL | KEYS_SHIFT); break;
    case 'u': give_coded(out, first, mods); break;
    case 'Z': give_named(out, KEYS_TAB, mods | KEYS_SHIFT); break;
    case 'I':
    case 'O':
        if (k->bytes == 1) give_named(out, final == 'I' ? KEYS_FOCUS_IN : KEYS_FOCUS_OUT, 0);
        break;
    case 'a':
    case 'b':
    case 'c':
    case 'd': give_letter(out, (uint8_t)(final - 'a' + 'A'), mods | KEYS_SHIFT); break;
    default:
        if (first <= 1) give_letter(out, final, mods);    /* another number: where the cursor is, and the like */
    }
}

/* Each of these takes one byte, and says false when it cannot be part of the sequence. */
static bool csi_step(struct keys *k, struct out *out, uint8_t byte)
{
    if (byte < 0x20 || byte >= DEL) return false;
    if (k->bytes < UINT32_MAX) k->bytes++;
    if (k->bytes == 1 && byte == '[') {
        k->state = LINUX_F;
    } else if (k->bytes == 1 && byte == 'M') {
        enter(k, MOUSE);
    } else if (byte >= '0' && byte <= '9') {
        number_add(k, byte);
    } else if (byte == ';') {
        if (k->numbers < KEYS_NUMBERS_MAX) k->numbers++;
        k->in_sub = false;
    } else if (byte == ':') {
        k->in_sub = true;
    } else if (byte >= '<' && byte <= '?') {
        k->mark = k->bytes == 1 ? (char)byte : MARK_UNKNOWN;
    } else if (byte < 0x30 && !(byte == '$' && k->mark == 0)) {
        k->mark = MARK_UNKNOWN;
    } else {
        csi_end(k, out, byte);
        leave(k);
    }
    return true;
}

static bool ss3_step(struct keys *k, struct out *out, uint8_t byte)
{
    /* The keypad in its application mode, from 'j' on. */
    static const char keypad[] = "*+,-./0123456789";
    const unsigned mods = mods_of(k->number[0]) | (k->alt ? KEYS_ALT : 0);
    if (byte < 0x20 || byte >= DEL) return false;
    if (k->bytes < UINT32_MAX) k->bytes++;
    if (byte >= '0' && byte <= '9') {
        number_add(k, byte);
        return true;
    }
    if (byte == 'M') give_named(out, KEYS_ENTER, mods);
    else if (byte == 'I') give_named(out, KEYS_TAB, mods);
    else if (byte == 'X') give_char(out, '=', mods);
    else if (byte >= 'j' && byte <= 'y') give_char(out, (uint8_t)keypad[byte - 'j'], mods);
    else if (byte >= 'a' && byte <= 'd') give_letter(out, (uint8_t)(byte - 'a' + 'A'), mods | KEYS_CTRL);
    else give_letter(out, byte, mods);
    leave(k);
    return true;
}

static bool linux_f_step(struct keys *k, struct out *out, uint8_t byte)
{
    if (byte < 0x20 || byte >= DEL) return false;
    if (byte >= 'A' && byte <= 'E') {
        give(out, (struct key){ .kind = KEYS_F, .c = byte - 'A' + 1u, .mods = k->alt ? KEYS_ALT : 0 });
    }
    leave(k);
    return true;
}

static bool mouse_step(struct keys *k, struct out *out, uint8_t byte)
{
    if (byte < 0x20) return false;
    if (k->bytes++ == 0) give_wheel(out, byte - 0x20u);
    if (k->bytes == MOUSE_BYTES) leave(k);
    return true;
}

static void string_step(struct keys *k, uint8_t byte)
{
    if (byte == ESC) k->state = STRING_ESC;
    else if (byte == BEL || byte == CAN || byte == SUB || ++k->bytes == KEYS_STRING_BYTES_MAX) leave(k);
}

static void ground_step(struct keys *k, struct out *out, uint8_t byte)
{
    uint32_t codes[2];
    size_t count = utf8_step(k, byte, codes);
    for (size_t i = 0; i < count; i++) {
        bool is_escape = codes[i] == ESC;
        if (is_escape) enter(k, ESCAPE);
        else give_char(out, codes[i], k->alt ? KEYS_ALT : 0);
        k->alt = false;
    }
}

static void escape_step(struct keys *k, struct out *out, uint8_t byte)
{
    bool is_second = k->alt;    /* ESC ESC came */
    switch (byte) {
    case '[': enter(k, CSI); return;
    case 'O': enter(k, SS3); return;
    case ']':
    case 'P':
    case 'X':
    case '^':
    case '_':
        enter(k, STRING);
        k->mark = (char)byte;
        return;
    case ESC:
        if (is_second) give_named(out, KEYS_ESC, 0);
        k->alt = true;
        return;
    }
    if (is_second) give_named(out, KEYS_ESC, 0);
    enter(k, GROUND);
    k->alt = true;
    ground_step(k, out, byte);
}

static void step(struct keys *k, struct out *out, uint8_t byte)
{
    bool taken = true;
    switch (k->state) {
    case GROUND: ground_step(k, out, byte); break;
    case ESCAPE: escape_step(k, out, byte); break;
    case CSI: taken = csi_step(k, out, byte); break;
    case LINUX_F: taken = linux_f_step(k, out, byte); break;
    case MOUSE: taken = mouse_step(k, out, byte); break;
    case SS3: taken = ss3_step(k, out, byte); break;
    case STRING: string_step(k, byte); break;
    case STRING_ESC:
        leave(k);
        if (byte == '\\') break;
        enter(k, ESCAPE);
        escape_step(k, out, byte);
        break;
    }
    if (taken) return;
    leave(k);
    ground_step(k, out, byte);
}

/* ---- public ---- */

void keys_init(struct keys *k)
{
    memset(k, 0, sizeof *k);
    k->state = GROUND;
}

size_t keys_feed(struct keys *k, uint8_t byte, struct key out[static KEYS_PER_BYTE_MAX])
{
    struct out given = { out, 0 };
    if (k->in_paste) paste_step(k, &given, byte);
    else step(k, &given, byte);
    return given.count;
}

bool keys_pending(const struct keys *k)
{
    if (k->in_paste) return false;
    return k->state == ESCAPE || k->state == STRING || k->state == STRING_ESC ||
           ((k->state == CSI || k->state == SS3) && k->bytes == 0);
}

size_t keys_timeout(struct keys *k, struct key out[static KEYS_PER_BYTE_MAX])
{
    struct out given = { out, 0 };
    if (!keys_pending(k)) return 0;
    if (k->state == ESCAPE) {
        give_named(&given, KEYS_ESC, k->alt ? KEYS_ALT : 0);
    } else if (k->bytes == 0 && k->state != STRING_ESC) {
        /* What looked like the beginning of a sequence was Alt with a character. */
        if (k->alt) give_named(&given, KEYS_ESC, 0);
        give_char(&given, k->state == CSI ? '[' : k->state == SS3 ? 'O' : (uint8_t)k->mark, KEYS_ALT);
    }
    leave(k);
    return given.count;
}
