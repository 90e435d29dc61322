/* vt.c - see vt.h. What the program asks of the terminal besides drawing (modes, titles, bells) is read from its bytes
 * by hear(): libvterm tells these differently from version to version. */
#include "tests/harness/vt.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>
#include <utf8proc.h>
#include <vterm.h>

#include "tests/harness/vt_impl.h"
#include "tools/common/utf8.h"

enum { READ_BYTES = 16384, ORDERS_FD = 3, NEWS_FD = 4 };

/* ---- the screen ---- */

struct vt *vt_open(unsigned rows, unsigned cols)
{
    struct vt *vt = calloc(1, sizeof *vt);
    assert_non_null(vt);
    vt->rows = rows;
    vt->cols = cols;
    vt->master = vt->orders = vt->news = -1;
    vt->modes = MODE_CURSOR;
    vt->term = vterm_new((int)rows, (int)cols);
    assert_non_null(vt->term);
    vterm_set_utf8(vt->term, 1);
    vt->screen = vterm_obtain_screen(vt->term);
    vterm_screen_enable_altscreen(vt->screen, 1);
    vterm_screen_reset(vt->screen, 1);
    vt_set(vt, "TERM", "xterm-256color");
    vt_set(vt, "NO_COLOR", NULL);
    return vt;
}

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

bool vt_is_raw(struct vt *vt)
{
    struct termios modes;
    assert_int_equal(tcgetattr(vt->master, &modes), 0);
    return (modes.c_lflag & (ICANON | ECHO)) == 0;
}

/* ---- the program ---- */

void vt_set(struct vt *vt, const char *name, const char *value)
{
    size_t i = 0;
    while (i < vt->set_count && strcmp(vt->set[i].name, name) != 0) i++;
    assert_true(i < SETS_MAX);
    if (i == vt->set_count) vt->set_count++;
    vt->set[i].name = name;
    vt->set[i].value = value;
}

static void run_program(const struct vt *vt, const char *program, char *const argv[])
{
    static const int all[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGTTIN, SIGTTOU, SIGPIPE };
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) signal(all[i], SIG_DFL);    /* the shell ignores some */
    for (size_t i = 0; i < vt->set_count; i++) {
        if (vt->set[i].value) setenv(vt->set[i].name, vt->set[i].value, 1);
        else unsetenv(vt->set[i].name);
    }
    execv(program, argv);
    _exit(127);
}

static volatile sig_atomic_t shell_job;

/* The kernel tells the session leader alone that the window was closed; shells pass it on. */
static void on_hang_up(int number)
{
    if (shell_job > 0) kill(-(pid_t)shell_job, number);
}

static void tell(const struct news *n)
{
    if (write(NEWS_FD, n, sizeof *n) != (ssize_t)sizeof *n) _exit(0);    /* the test has gone; so does the terminal */
}

/* The session leader: it has one job, tells of its stops and its end, and gives it the terminal back when ordered to. */
static void be_shell(const struct vt *vt, const char *program, char *const argv[])
{
    static const int ignored[] = { SIGINT, SIGQUIT, SIGTSTP, SIGTTIN, SIGTTOU };
    int status;
    char order;
    for (size_t i = 0; i < sizeof ignored / sizeof ignored[0]; i++) signal(ignored[i], SIG_IGN);
    signal(SIGHUP, on_hang_up);
    pid_t job = fork();
    if (job < 0) _exit(126);
    /* Both do it: whoever is first, the program begins in the foreground. */
    setpgid(job, job);
    tcsetpgrp(STDIN_FILENO, job ? job : getpid());
    if (job == 0) {
        close(ORDERS_FD);
        close(NEWS_FD);
        run_program(vt, program, argv);
    }
    shell_job = job;
    struct news news = { .pid = job };
    tell(&news);
    while (waitpid(job, &status, WUNTRACED) == job) {
        news = (struct news){ .pid = job, .status = status, .is_status = true };
        tcsetpgrp(STDIN_FILENO, getpgrp());
        tell(&news);
        if (!WIFSTOPPED(status)) _exit(0);
        if (read(ORDERS_FD, &order, 1) != 1) kill(-job, SIGKILL);
        tcsetpgrp(STDIN_FILENO, job);
        kill(-job, SIGCONT);
        news.is_status = false;
        tell(&news);
    }
    _exit(126);
}

static void take_news(struct vt *vt)
{
    struct news n;
    assert_int_equal(read(vt->news, &n, sizeof n), (ssize_t)sizeof n);
    vt->program = n.pid;
    if (!n.is_status) return;
    vt->is_stopped = WIFSTOPPED(n.status);
    vt->has_ended = !vt->is_stopped;
    vt->status = n.status;
}

void vt_start(struct vt *vt, const char *program, char *const argv[])
{
    const struct winsize size = { .ws_row = (unsigned short)vt->rows, .ws_col = (unsigned short)vt->cols };
    int orders[2], news[2];
    assert_int_equal(vt->master, -1);
    assert_int_equal(pipe2(orders, O_CLOEXEC), 0);
    assert_int_equal(pipe2(news, O_CLOEXEC), 0);
    fflush(NULL);
    vt->shell = forkpty(&vt->master, NULL, NULL, &size);
    assert_true(vt->shell >= 0);
    if (vt->shell == 0) {
        /* Nothing else stays open: else this terminal would keep another one of the test from being hung up. */
        int order = fcntl(orders[0], F_DUPFD, NEWS_FD + 1), tell = fcntl(news[1], F_DUPFD, NEWS_FD + 1);
        if (dup2(order, ORDERS_FD) < 0 || dup2(tell, NEWS_FD) < 0 || close_range(NEWS_FD + 1, UINT_MAX, 0)) _exit(126);
        be_shell(vt, program, argv);
    }
    fcntl(vt->master, F_SETFD, FD_CLOEXEC);
    close(orders[0]);
    close(news[1]);
    vt->orders = orders[1];
    vt->news = news[0];
    vt->has_ended = vt->is_stopped = false;
    take_news(vt);
}

void vt_type(struct vt *vt, const char *text)
{
    assert_int_equal(write(vt->master, text, strlen(text)), (ssize_t)strlen(text));
}

void vt_signal(struct vt *vt, int number)
{
    assert_int_equal(kill(vt->program, number), 0);
}

void vt_resize(struct vt *vt, unsigned rows, unsigned cols)
{
    const struct winsize size = { .ws_row = (unsigned short)rows, .ws_col = (unsigned short)cols };
    vt->rows = rows;
    vt->cols = cols;
    vterm_set_size(vt->term, (int)rows, (int)cols);
    if (vt->master >= 0) assert_int_equal(ioctl(vt->master, TIOCSWINSZ, &size), 0);
}

void vt_fg(struct vt *vt)
{
    assert_true(vt->is_stopped);
    vt->is_stopped = false;
    assert_int_equal(write(vt->orders, "f", 1), 1);
    take_news(vt);    /* it has been: a key typed now is for the program */
}

void vt_hang_up(struct vt *vt)
{
    close(vt->master);
    vt->master = -1;
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
    vt->row_is_full = before.row == after.row && after.col == (int)vt->cols - 1 && out.len < sizeof vt->last &&
                      before.col + columns == (int)vt->cols;
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

void vt_feed(struct vt *vt, const char *out)
{
    show(vt, bytes_of_str(out));
}

/* ---- waiting ---- */

static bool take_output(struct vt *vt)
{
    char room[READ_BYTES];
    memcpy(room, vt->held, vt->held_len);
    ssize_t n = read(vt->master, room + vt->held_len, sizeof room - vt->held_len);
    if (n <= 0) return false;    /* EIO: nobody has the other end open */
    for (ssize_t i = 0; i < n; i++) hear(vt, room[vt->held_len + (size_t)i]);
    size_t len = vt->held_len + (size_t)n, whole = whole_len(bytes_of(room, len));
    vt->held_len = len - whole;
    memcpy(vt->held, room + whole, vt->held_len);
    show(vt, bytes_of(room, whole));
    n = (ssize_t)vterm_output_read(vt->term, room, sizeof room);    /* what a terminal answers when it is asked */
    if (n > 0) assert_int_equal(write(vt->master, room, (size_t)n), n);
    return true;
}

static long long now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

static void give_up(struct vt *vt, const char *why, const char *what)
{
    fprintf(stderr, "%s before %s; the screen shows:\n", why, what);
    vt_print(vt, stderr);
    fail();
}

static bool is_over(const struct vt *vt)
{
    return vt->has_ended && vt->master < 0;
}

/* One step: output, or news of the program. All its output comes before its end. */
static void step(struct vt *vt, long long until, const char *what)
{
    struct pollfd p[2] = { { .fd = vt->master, .events = POLLIN },
                           { .fd = vt->has_ended ? -1 : vt->news, .events = POLLIN } };
    long long left = until - now_ms();
    int ready = left <= 0 ? 0 : poll(p, 2, (int)left);
    if (ready < 0 && errno == EINTR) return;
    if (ready <= 0) give_up(vt, "nothing came for too long", what);
    if (p[1].revents) take_news(vt);
    if (p[0].revents && !take_output(vt)) vt_hang_up(vt);
}

void vt_wait(struct vt *vt, bool (*holds)(struct vt *vt, void *arg), void *arg, const char *what)
{
    long long until = now_ms() + VT_MS_MAX;
    while (!holds(vt, arg)) {
        if (is_over(vt)) give_up(vt, "the program ended", what);
        step(vt, until, what);
    }
}

struct wanted {
    const char *text;
    bool shows;
};

static bool is_as_wanted(struct vt *vt, void *arg)
{
    const struct wanted *w = arg;
    return vt_shows(vt, w->text) == w->shows;
}

void vt_wait_for(struct vt *vt, const char *text)
{
    struct wanted w = { text, true };
    vt_wait(vt, is_as_wanted, &w, text);
}

void vt_wait_gone(struct vt *vt, const char *text)
{
    struct wanted w = { text, false };
    vt_wait(vt, is_as_wanted, &w, text);
}

static bool has_stopped(struct vt *vt, void *arg)
{
    (void)arg;
    return vt->is_stopped;
}

void vt_wait_stopped(struct vt *vt)
{
    vt_wait(vt, has_stopped, NULL, "it stops");
}

static void close_all(struct vt *vt)
{
    if (vt->master >= 0) close(vt->master);
    if (vt->orders >= 0) close(vt->orders);
    if (vt->news >= 0) close(vt->news);
    vt->master = vt->orders = vt->news = -1;
}

static bool has_gone(struct vt *vt, void *arg)
{
    (void)arg;
    return is_over(vt);
}

void vt_wait_ended_unread(struct vt *vt)
{
    struct pollfd p = { .fd = vt->news, .events = POLLIN };
    while (!vt->has_ended) {
        if (poll(&p, 1, VT_MS_MAX) != 1) give_up(vt, "nothing came for too long", "it ends");
        take_news(vt);
    }
}

int vt_finish(struct vt *vt)
{
    vt_wait(vt, has_gone, NULL, "it ends");
    close_all(vt);
    assert_int_equal(waitpid(vt->shell, NULL, 0), vt->shell);
    vt->shell = 0;
    return WIFEXITED(vt->status) ? WEXITSTATUS(vt->status) : 128 + WTERMSIG(vt->status);
}

void vt_free(struct vt *vt)
{
    if (!vt) return;
    if (vt->shell > 0) {
        if (!vt->has_ended) kill(vt->program, SIGKILL);
        close_all(vt);
        waitpid(vt->shell, NULL, 0);
    }
    vterm_free(vt->term);
    free(vt->row);
    free(vt);
}

pid_t vt_pid(const struct vt *vt)
{
    return vt->program;
}
