/* vt.c - the program on the terminal of vt.h, and waiting for what it does. */
#include "tests/harness/vt_impl.h"

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

enum { READ_BYTES = 16384, ORDERS_FD = 3, NEWS_FD = 4 };

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

/* Both wait on when on_hang_up() was called. */
static bool next_status(pid_t job, int *status)
{
    pid_t got;
    do got = waitpid(job, status, WUNTRACED);
    while (got < 0 && errno == EINTR);
    return got == job;
}

static bool next_order(void)
{
    char order;
    ssize_t n;
    do n = read(ORDERS_FD, &order, 1);
    while (n < 0 && errno == EINTR);
    return n == 1;
}

/* The session leader: it has one job, tells of its stops and its end, and continues it when it is ordered to. */
static void be_shell(const struct vt *vt, const char *program, char *const argv[])
{
    static const int ignored[] = { SIGINT, SIGQUIT, SIGTSTP, SIGTTIN, SIGTTOU };
    int status;
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
    while (next_status(job, &status)) {
        news = (struct news){ .pid = job, .status = status, .is_status = true };
        tcsetpgrp(STDIN_FILENO, getpgrp());
        tell(&news);
        if (!WIFSTOPPED(status)) _exit(0);
        if (!next_order()) kill(-job, SIGKILL);    /* the test has gone */
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

bool vt_is_raw(struct vt *vt)
{
    struct termios modes;
    assert_int_equal(tcgetattr(vt->master, &modes), 0);
    return (modes.c_lflag & (ICANON | ECHO)) == 0;
}

void vt_type(struct vt *vt, const char *text)
{
    assert_int_equal(write(vt->master, text, strlen(text)), (ssize_t)strlen(text));
}

void vt_signal(struct vt *vt, int number)
{
    assert_int_equal(kill(vt->program, number), 0);
}

pid_t vt_pid(const struct vt *vt)
{
    return vt->program;
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

/* ---- waiting ---- */

static bool take_output(struct vt *vt)
{
    char room[READ_BYTES];
    ssize_t n = read(vt->master, room, sizeof room);
    if (n <= 0) return false;    /* EIO: nobody has the other end open */
    vt_take(vt, bytes_of(room, (size_t)n));
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
