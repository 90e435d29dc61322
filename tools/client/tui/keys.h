/* keys.h - the bytes of a terminal become keys, one byte at a time; a sequence may be cut anywhere by read().
 *
 * Understood: UTF-8, control keys, Alt as a leading ESC; arrows and other named keys as xterm (with modifiers, both
 * cursor modes), the Linux console and rxvt send them, and keys in the "CSI u" form; the mouse wheel, focus, bracketed
 * paste. Any other sequence is swallowed, or up to a byte that cannot be part of it. Only a string could go on for
 * ever: it is given up.
 *
 * A lone ESC is known only when nothing follows: while keys_pending(), poll for KEYS_ESC_MS_MAX, then keys_timeout().
 * Thread: no globals; a struct keys belongs to whoever holds it. */
#ifndef PIPIT_CLIENT_TUI_KEYS_H
#define PIPIT_CLIENT_TUI_KEYS_H

#include "proto/bytes.h"

enum {
    KEYS_ESC_MS_MAX = 50,         /* between ESC and what belongs to it: one packet, even over a slow link */
    KEYS_PER_BYTE_MAX = 2,        /* that one byte completes: a key, and what it showed to be one before */
    KEYS_PASTE_BYTES_MAX = 256,   /* of a paste in one key */
    KEYS_NUMBERS_MAX = 3,         /* of a sequence that count; none that is understood has more */
    KEYS_STRING_BYTES_MAX = 1024, /* of a string (OSC, DCS …): more than any answer has */
};

enum key_kind {                   /* KEY_… are macros of ncurses */
    KEYS_CHAR,                    /* `c`: never a control character. C-a is 'a' with KEYS_CTRL, C-_ is '_' */
    KEYS_ENTER, KEYS_TAB, KEYS_BACKSPACE, KEYS_ESC,
    KEYS_UP, KEYS_DOWN, KEYS_LEFT, KEYS_RIGHT,
    KEYS_HOME, KEYS_END, KEYS_PAGE_UP, KEYS_PAGE_DOWN, KEYS_INSERT, KEYS_DELETE,
    KEYS_F,                       /* `c`: 1 and up */
    KEYS_WHEEL_UP, KEYS_WHEEL_DOWN,
    KEYS_FOCUS_IN, KEYS_FOCUS_OUT,
    KEYS_PASTE_BEGIN,             /* then any number of KEYS_PASTE, and no other key before … */
    KEYS_PASTE,                   /* `text`: UTF-8, whole code points; line ends are \n, no other control but \t */
    KEYS_PASTE_END,
};
enum { KEYS_SHIFT = 1, KEYS_ALT = 2, KEYS_CTRL = 4 };

struct key {
    enum key_kind kind;
    uint32_t c;
    uint8_t mods;                 /* KEYS_SHIFT | …; Shift with a character is part of the character */
    struct bytes text;            /* lent by the struct keys until the next byte */
};

struct keys {                     /* all of it is keys.c's */
    uint8_t state;
    bool alt;                     /* an ESC came before: of the character, or of the sequence itself */
    char mark;                    /* how the sequence began: '?', '<' … behind CSI, ']' … of a string */
    bool in_sub;                  /* behind a ':', which divides what nobody asked for */
    uint8_t numbers;              /* complete ones */
    uint32_t number[KEYS_NUMBERS_MAX];
    uint32_t bytes;               /* of this sequence so far, its ESC and introducer aside */
    uint32_t c, c_least;          /* a character of UTF-8 so far, and the smallest that needs so many bytes */
    uint8_t c_left;               /* its bytes to come */
    bool in_paste, paste_given;
    bool after_cr;                /* in the paste */
    uint8_t matched;              /* bytes of the paste's end marker */
    uint16_t pasted;
    char paste[KEYS_PASTE_BYTES_MAX];
};

void keys_init(struct keys *keys);
/* Takes the next byte. Returns how many keys it completed, 0..KEYS_PER_BYTE_MAX; they are in `out`. */
size_t keys_feed(struct keys *keys, uint8_t byte, struct key out[static KEYS_PER_BYTE_MAX]);
/* What came so far is a key, unless more follows at once. */
bool keys_pending(const struct keys *keys);
/* Nothing followed. As keys_feed(). Nothing happens when none is pending. */
size_t keys_timeout(struct keys *keys, struct key out[static KEYS_PER_BYTE_MAX]);

#endif
