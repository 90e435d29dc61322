/* vt_svg.c - a screen as a picture (see vt.h).
 *
 * Each run of cells that look alike is one <text> at the column where it begins, so that a font whose characters are
 * wider or narrower than a cell shifts nothing. What a font may have in another width, all but ASCII, is a run for each
 * cell. */
#include "tests/harness/vt_impl.h"

#include <string.h>

enum {
    CELL_WIDTH = 9, CELL_HEIGHT = 19,     /* of a font of FONT_SIZE, in which a digit is about 0.6 wide */
    FONT_SIZE = 15,
    BASELINE = 14,
    MARGIN = 14,
};

/* Colours that can be read on a dark window; the first sixteen of the palette are ours, the rest is xterm's. */
static const uint32_t palette[16] = {
    0x15191f, 0xe06c75, 0x98c379, 0xe5c07b, 0x61afef, 0xc678dd, 0x56b6c2, 0xd5dae3,
    0x7f8794, 0xf08b92, 0xb1d797, 0xf0d197, 0x82c2f5, 0xd699e6, 0x7fccd6, 0xffffff,
};
#define BACKGROUND 0x15191f
#define FOREGROUND 0xd5dae3

static uint32_t rgb_of(int32_t colour, uint32_t otherwise)
{
    static const uint8_t steps[6] = { 0, 95, 135, 175, 215, 255 };
    if (colour == VT_DEFAULT) return otherwise;
    if (colour >= VT_RGB) return (uint32_t)colour - VT_RGB;
    if (colour < 16) return palette[colour];
    if (colour >= 232) return (uint32_t)(8 + 10 * (colour - 232)) * 0x10101;
    colour -= 16;
    return (uint32_t)(steps[colour / 36] << 16 | steps[colour / 6 % 6] << 8 | steps[colour % 6]);
}

static void put_escaped(const char *text, FILE *to)
{
    for (; *text; text++) {
        if (*text == '<') fputs("&lt;", to);
        else if (*text == '&') fputs("&amp;", to);
        else fputc(*text, to);
    }
}

static bool looks_like(const struct vt_cell *a, const struct vt_cell *b)
{
    return a->bold == b->bold && a->underline == b->underline && a->reverse == b->reverse && a->fg == b->fg &&
           a->bg == b->bg;
}

static bool is_ascii(const struct vt_cell *cell)
{
    return cell->width == 1 && (unsigned char)cell->text[0] < 0x80 && cell->text[1] == '\0';
}

/* Cells of the run that begins at `col`. */
static unsigned run_at(struct vt *vt, unsigned row, unsigned col)
{
    struct vt_cell first = vt_cell(vt, row, col), next;
    unsigned end = col + 1;
    if (!is_ascii(&first)) return first.width ? first.width : 1;
    while (end < vt->cols && (next = vt_cell(vt, row, end), is_ascii(&next) && looks_like(&first, &next))) end++;
    return end - col;
}

static void put_run(struct vt *vt, unsigned row, unsigned col, unsigned count, FILE *to)
{
    struct vt_cell first = vt_cell(vt, row, col);
    uint32_t fg = rgb_of(first.fg, FOREGROUND), bg = rgb_of(first.bg, BACKGROUND);
    unsigned x = MARGIN + col * CELL_WIDTH, y = MARGIN + row * CELL_HEIGHT;
    bool is_blank = true;
    if (first.reverse) {
        uint32_t swap = fg;
        fg = bg;
        bg = swap;
    }
    for (unsigned i = col; i < col + count; i++) {
        struct vt_cell cell = vt_cell(vt, row, i);
        if (cell.text[0] && strcmp(cell.text, " ") != 0) is_blank = false;
    }
    if (bg != BACKGROUND) {
        fprintf(to, "<rect x=\"%u\" y=\"%u\" width=\"%u\" height=\"%d\" fill=\"#%06x\"/>\n", x, y, count * CELL_WIDTH,
                CELL_HEIGHT, bg);
    }
    if (is_blank && !first.underline) return;
    fprintf(to, "<text x=\"%u\" y=\"%u\" fill=\"#%06x\"%s%s>", x, y + BASELINE, fg,
            first.bold ? " font-weight=\"bold\"" : "", first.underline ? " text-decoration=\"underline\"" : "");
    for (unsigned i = col; i < col + count; i++) put_escaped(vt_cell(vt, row, i).text, to);
    fputs("</text>\n", to);
}

void vt_svg(struct vt *vt, FILE *to)
{
    unsigned width = 2 * MARGIN + vt->cols * CELL_WIDTH, height = 2 * MARGIN + vt->rows * CELL_HEIGHT, row, col;
    fprintf(to, "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%u\" height=\"%u\" viewBox=\"0 0 %u %u\" "
            "font-family=\"DejaVu Sans Mono, Menlo, Consolas, monospace\" font-size=\"%d\" xml:space=\"preserve\">\n",
            width, height, width, height, FONT_SIZE);
    fprintf(to, "<rect width=\"%u\" height=\"%u\" rx=\"8\" fill=\"#%06x\"/>\n", width, height, BACKGROUND);
    for (row = 0; row < vt->rows; row++) {
        for (col = 0; col < vt->cols; ) {
            unsigned count = run_at(vt, row, col);
            put_run(vt, row, col, count, to);
            col += count;
        }
    }
    vt_cursor(vt, &row, &col);
    if (vt_mode(vt, 25)) {
        fprintf(to, "<rect x=\"%u\" y=\"%u\" width=\"2\" height=\"%d\" fill=\"#%06x\"/>\n", MARGIN + col * CELL_WIDTH,
                MARGIN + row * CELL_HEIGHT, CELL_HEIGHT, FOREGROUND);
    }
    fputs("</svg>\n", to);
}
