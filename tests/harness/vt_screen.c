/* vt_screen.c - what the screen of vt.h shows, and what it was asked to do.
 *
 * Modes, titles and bells are read from the bytes by hear(): libvterm's versions tell of them in different ways. */
#include "tests/harness/vt_impl.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "tools/common/utf8.h"

/* ---- looking at it ---- */

static int32_t colour_of(VTermColor colour, bool is_default)
{
    if (is_default) return VT_DEFAULT;
    if (VTERM_COLOR_IS_INDEXED(&colour)) return colour.indexed.idx;
    return VT_RGB + (colour.rgb.red << 16 | colour.rgb.green << 8 | colour.rgb.blue);
}

struct vt_cell vt_cell(struct vt *vt, unsigned row, unsigned col)
{
    VTermScreenCell from;
    struct vt_cell cell = { .width = 1 };
    size_t len = 0;
    assert_true(row < vt->rows && col < vt->cols);
    assert_true(vterm_screen_get_cell(vt->screen, (VTermPos){ (int)row, (int)col }, &from));
    cell.bold = from.attrs.bold;
    cell.underline = from.attrs.underline != VTERM_UNDERLINE_OFF;
    cell.reverse = from.attrs.reverse;
    cell.fg = colour_of(from.fg, VTERM_COLOR_IS_DEFAULT_FG(&from.fg));
    cell.bg = colour_of(from.bg, VTERM_COLOR_IS_DEFAULT_BG(&from.bg));
    if (from.chars[0] == UINT32_MAX) {
        cell.width = 0;
        return cell;
    }
    cell.width = (unsigned)from.width;
    for (size_t i = 0; i < VTERM_MAX_CHARS_PER_CELL && from.chars[i]; i++) {
        len += utf8_put(from.chars[i], cell.text + len);
    }
    if (len == 0) cell.text[len++] = ' ';
    return cell;
}

const char *vt_row(struct vt *vt, unsigned row)
{
    size_t len = 0;
    free(vt->row);
    vt->row = malloc(vt->cols * (size_t)VT_CELL_BYTES_MAX + 1);
    assert_non_null(vt->row);
    for (unsigned col = 0; col < vt->cols; col++) {
        struct vt_cell cell = vt_cell(vt, row, col);
        memcpy(vt->row + len, cell.text, strlen(cell.text));
        len += strlen(cell.text);
    }
    while (len > 0 && vt->row[len - 1] == ' ') len--;
    vt->row[len] = '\0';
    return vt->row;
}

bool vt_find(struct vt *vt, const char *text, unsigned *row_out, unsigned *col_out)
{
    for (unsigned row = 0; row < vt->rows; row++) {
        const char *line = vt_row(vt, row), *at = strstr(line, text);
        if (!at) continue;
        size_t before = (size_t)(at - line);
        unsigned col = 0;
        for (; before > 0; col++) before -= strlen(vt_cell(vt, row, col).text);
        while (vt_cell(vt, row, col).width == 0) col++;
        *row_out = row;
        *col_out = col;
        return true;
    }
    return false;
}

bool vt_shows(struct vt *vt, const char *text)
{
    unsigned row, col;
    return vt_find(vt, text, &row, &col);
}

void vt_cursor(struct vt *vt, unsigned *row_out, unsigned *col_out)
{
    VTermPos at;
    vterm_state_get_cursorpos(vterm_obtain_state(vt->term), &at);
    *row_out = (unsigned)at.row;
    *col_out = (unsigned)at.col;
}

void vt_print(struct vt *vt, FILE *to)
{
    unsigned at_row, at_col;
    vt_cursor(vt, &at_row, &at_col);
    fprintf(to, "%u x %u, cursor at %u, %u, title \"%s\", %u bells\n", vt->rows, vt->cols, at_row, at_col, vt->title,
            vt->bells);
    for (unsigned row = 0; row < vt->rows; row++) fprintf(to, "|%s\n", vt_row(vt, row));
}

/* ---- what it asks for ---- */

static void note_osc(struct vt *vt)
{
    vt->osc[vt->osc_len] = '\0';
    if (strncmp(vt->osc, "2;", 2) == 0 || strncmp(vt->osc, "0;", 2) == 0) {
        snprintf(vt->title, sizeof vt->title, "%s", vt->osc + 2);
    } else {
        size_t len = strlen(vt->oscs);
        assert_true(len + vt->osc_len + 2 <= sizeof vt->oscs);
        snprintf(vt->oscs + len, sizeof vt->oscs - len, "%s\n", vt->osc);
    }
    vt->osc_len = 0;
}

static unsigned mode_bit(unsigned number)
{
    switch (number) {
    case 25:   return MODE_CURSOR;
    case 1004: return MODE_FOCUS;
    case 1049: return MODE_SCREEN;
    case 2004: return MODE_PASTE;
    default:   return 0;
    }
}

/* CSI ? 25 ; 2004 h */
static void note_csi(struct vt *vt, char end)
{
    vt->osc[vt->osc_len] = '\0';
    vt->osc_len = 0;
    if ((end != 'h' && end != 'l') || vt->osc[0] != '?') return;
    for (char *at = vt->osc + 1; *at; at += *at == ';') {
        unsigned bit = mode_bit((unsigned)strtoul(at, &at, 10));
        vt->modes = end == 'h' ? vt->modes | bit : vt->modes & ~bit;
        if (*at != ';' && *at) return;
    }
}

static void collect(struct vt *vt, char c)
{
    assert_true(vt->osc_len < sizeof vt->osc - 1);
    vt->osc[vt->osc_len++] = c;
}

static void hear(struct vt *vt, char c)
{
    switch (vt->hearing) {
    case HEAR_TEXT:
        if (c == '\a') vt->bells++;
        if (c == '\033') vt->hearing = HEAR_ESCAPE;
        break;
    case HEAR_ESCAPE:
        vt->hearing = c == ']' ? HEAR_OSC : c == '[' ? HEAR_CSI : HEAR_TEXT;
        break;
    case HEAR_CSI:
        if (c < '@') {
            collect(vt, c);
            break;
        }
        note_csi(vt, c);
        vt->hearing = HEAR_TEXT;
        break;
    case HEAR_OSC:
        if (c != '\a' && c != '\033') {
            collect(vt, c);
            break;
        }
        note_osc(vt);
        vt->hearing = c == '\a' ? HEAR_TEXT : HEAR_ESCAPE;    /* ST is Escape and a backslash */
        break;
    }
}

bool vt_mode(struct vt *vt, unsigned number)
{
    assert_int_not_equal(mode_bit(number), 0);
    return (vt->modes & mode_bit(number)) != 0;
}

unsigned vt_bells(struct vt *vt)
{
    return vt->bells;
}

const char *vt_title(struct vt *vt)
{
    return vt->title;
}

const char *vt_osc(struct vt *vt)
{
    return vt->oscs;
}

/* ---- output ----
 *
 * libvterm takes half a character for a broken one. Marks that come in another write than their character, or on an
 * ASCII one after ESC ( B, it puts into the next row when that stands in the last column. But a read ends anywhere. So
 * libvterm gets one character with its marks at a time, in G2, which nobody makes anything else than UTF-8; and if the
 * marks come later, it gets the character in the last column again. */

/* Without a last character of which something is missing. */
static size_t whole_len(struct bytes out)
{
    size_t i = out.len;
    while (i > 0 && out.len - i < UTF8_BYTES_MAX && (out.at[i - 1] & 0xc0) == 0x80) i--;
    if (i == 0) return out.len;
    size_t needed = out.at[i - 1] >= 0xf0 ? 4 : out.at[i - 1] >= 0xe0 ? 3 : out.at[i - 1] >= 0xc0 ? 2 : 1;
    return out.len - (i - 1) < needed ? i - 1 : out.len;
}

static int columns_at(struct bytes out, size_t at, size_t *len_out)
{
    return utf8proc_charwidth((utf8proc_int32_t)utf8_at(out, at, len_out));
}

static bool is_mark(struct bytes out, size_t at)
{
    size_t len;
    return out.at[at] >= 0x80 && columns_at(out, at, &len) == 0;
}

static void show_one(struct vt *vt, struct bytes out)
{
    VTermState *state = vterm_obtain_state(vt->term);
    VTermPos before, after;
    char again[VT_CELL_BYTES_MAX], line[VT_CELL_BYTES_MAX + 32];
    size_t first;
    if (vt->row_is_full && is_mark(out, 0) && strlen(vt->last) + out.len < sizeof again) {
        int n = snprintf(line, sizeof line, "\033[%d;%dH", vt->last_at.row + 1, vt->last_at.col + 1);
        vterm_input_write(vt->term, line, (size_t)n);
        n = snprintf(again, sizeof again, "%s%.*s", vt->last, (int)out.len, (const char *)out.at);
        out = bytes_of(again, (size_t)n);
    }
    vterm_state_get_cursorpos(state, &before);
    int columns = columns_at(out, 0, &first);
    bool is_cell = first < out.len && out.len < VT_CELL_BYTES_MAX;
    int n = is_cell ? snprintf(line, sizeof line, "\033n%.*s\017", (int)out.len, (const char *)out.at) : 0;
    if (is_cell) vterm_input_write(vt->term, line, (size_t)n);
    else vterm_input_write(vt->term, (const char *)out.at, out.len);
    vterm_state_get_cursorpos(state, &after);
    /* A full row leaves the cursor where it is; so does what is no text, but no mark comes behind that. */
    vt->row_is_full = before.row == after.row && before.col == after.col && before.col + columns == (int)vt->cols &&
                      out.len < sizeof vt->last;
    if (!vt->row_is_full) return;
    vt->last_at = before;
    snprintf(vt->last, sizeof vt->last, "%.*s", (int)out.len, (const char *)out.at);
}

static void show(struct vt *vt, struct bytes out)
{
    for (size_t i = 0, end, len; i < out.len; i = end) {
        (void)columns_at(out, i, &len);
        end = i + len;
        while (end < out.len && is_mark(out, end)) {
            (void)columns_at(out, end, &len);
            end += len;
        }
        show_one(vt, bytes_of(out.at + i, end - i));
    }
}

void vt_take(struct vt *vt, struct bytes out)
{
    uint8_t *room = malloc(vt->held_len + out.len);
    assert_non_null(room);
    for (size_t i = 0; i < out.len; i++) hear(vt, (char)out.at[i]);
    memcpy(room, vt->held, vt->held_len);
    memcpy(room + vt->held_len, out.at, out.len);
    size_t len = vt->held_len + out.len, whole = whole_len(bytes_of(room, len));
    vt->held_len = len - whole;
    memcpy(vt->held, room + whole, vt->held_len);
    show(vt, bytes_of(room, whole));
    free(room);
}

void vt_feed(struct vt *vt, const char *out)
{
    vt_take(vt, bytes_of_str(out));
}
