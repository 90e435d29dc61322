/* tty.c - see tty.h.
 *
 * The terminal is opened anew (/dev/tty) instead of using standard input and output: these are shared with the shell
 * and whoever else has them, and O_NONBLOCK would be theirs too.
 *
 * Signals are blocked and come out of a descriptor, which waits in one epoll beside the terminal. So there is no moment
 * at which one could be missed, no system call is interrupted, and no code runs in a handler.
 *
 * Ctrl-C and Ctrl-Z are made signals by the kernel. With NOFLSH, because else the kernel throws away with
 * them what was typed and what is on its way to the screen.
 *
 * epoll, signalfd and memfd_create are Linux's. */
#include "tools/client/tui/tty.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "proto/err.h"

enum { WRITE_BYTES = 4096 };      /* at once: about what a terminal of Linux takes */

struct tty {
    int fd;                       /* /dev/tty, does not block */
    int signals;                  /* signalfd */
    int waits;                    /* epoll of both */
    FILE *paper;
    off_t sent;                   /* of what is on the paper */
    bool waits_for_room;
    bool gone;
    bool masked;
    sigset_t mask_before;
    struct termios modes_before;
};

static const int caught[] = { SIGINT, SIGTERM, SIGHUP, SIGWINCH, SIGTSTP, SIGCONT };

/* What on_abort() needs: the process's one terminal. */
static struct {
    int fd;
    struct termios modes_before;
    uint8_t out[TTY_ABORT_MAX];
    size_t len;
} aborting = { .fd = -1 };

/* ---- signals ---- */

int tty_signal(struct tty *y)
{
    struct signalfd_siginfo came;
    return read(y->signals, &came, sizeof came) == (ssize_t)sizeof came ? (int)came.ssi_signo : 0;
}

/* The default action is what stops: the kernel leaves it out where nobody could continue us. */
void tty_stop(struct tty *y)
{
    const struct timespec now = { 0, 0 };
    sigset_t stop, cont;
    sigemptyset(&stop);
    sigaddset(&stop, SIGTSTP);
    sigemptyset(&cont);
    sigaddset(&cont, SIGCONT);
    raise(SIGTSTP);
    pthread_sigmask(SIG_UNBLOCK, &stop, NULL);    /* here we stand */
    pthread_sigmask(SIG_BLOCK, &stop, NULL);
    sigtimedwait(&cont, NULL, &now);              /* whoever called us knows */
}

/* abort() ends the process after this. Only what a handler may call; what it writes was prepared. */
static void on_abort(int number)
{
    ssize_t n = write(aborting.fd, aborting.out, aborting.len);
    (void)number, (void)n;
    tcsetattr(aborting.fd, TCSANOW, &aborting.modes_before);
}

void tty_on_abort(struct tty *y, struct bytes out)
{
    const struct sigaction action = { .sa_handler = on_abort, .sa_flags = (int)SA_RESETHAND };
    aborting.len = out.len < sizeof aborting.out ? out.len : sizeof aborting.out;
    memcpy(aborting.out, out.at, aborting.len);
    aborting.modes_before = y->modes_before;
    aborting.fd = y->fd;
    sigaction(SIGABRT, &action, NULL);
}

/* ---- input ---- */

int tty_read(struct tty *y, uint8_t *to, size_t room, size_t *len_out)
{
    *len_out = 0;
    if (y->gone) return ERR_IO;
    ssize_t n = read(y->fd, to, room);
    if (n > 0) *len_out = (size_t)n;
    else if (n == 0 || (errno != EAGAIN && errno != EINTR)) y->gone = true;    /* no typed byte ends raw input */
    return y->gone ? ERR_IO : 0;
}

/* ---- output ---- */

FILE *tty_paper(struct tty *y)
{
    return y->paper;
}

void tty_put(struct tty *y, struct bytes out)
{
    while (out.len > 0) {
        ssize_t n = write(fileno(y->paper), out.at, out.len);
        if (n <= 0) return;    /* out of memory: then nor did ncurses write its part */
        out = bytes_of(out.at + n, out.len - (size_t)n);
    }
}

void tty_put_str(struct tty *y, const char *s)
{
    tty_put(y, bytes_of_str(s));
}

bool tty_is_blank(const struct tty *y)
{
    return lseek(fileno(y->paper), 0, SEEK_CUR) == y->sent;
}

static void wait_for_room(struct tty *y, bool wait)
{
    struct epoll_event event = { .events = EPOLLIN | (wait ? EPOLLOUT : 0) };
    if (y->waits_for_room == wait) return;
    epoll_ctl(y->waits, EPOLL_CTL_MOD, y->fd, &event);
    y->waits_for_room = wait;
}

static void clear(struct tty *y)
{
    if (ftruncate(fileno(y->paper), 0) == 0) lseek(fileno(y->paper), 0, SEEK_SET);
    y->sent = lseek(fileno(y->paper), 0, SEEK_CUR);
    wait_for_room(y, false);
}

int tty_send(struct tty *y)
{
    char room[WRITE_BYTES];
    while (!y->gone && !tty_is_blank(y)) {
        ssize_t n = pread(fileno(y->paper), room, sizeof room, y->sent);
        assert(n > 0);
        n = write(y->fd, room, (size_t)n);
        if (n >= 0) {
            y->sent += n;
        } else if (errno == EAGAIN) {
            wait_for_room(y, true);
            return 0;
        } else if (errno != EINTR) {
            y->gone = true;
        }
    }
    clear(y);
    return y->gone ? ERR_IO : 0;
}

static long long now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

void tty_send_or_drop(struct tty *y, unsigned ms)
{
    long long left, until = now_ms() + ms;
    struct pollfd room = { .fd = y->fd, .events = POLLOUT };
    while (tty_send(y) == 0 && !tty_is_blank(y) && (left = until - now_ms()) > 0) poll(&room, 1, (int)left);
    clear(y);
}

/* ---- modes ---- */

void tty_raw(struct tty *y)
{
    struct termios raw = y->modes_before;
    raw.c_iflag &= ~(tcflag_t)(IGNBRK | BRKINT | PARMRK | ISTRIP | INLCR | IGNCR | ICRNL | IXON);
    raw.c_oflag &= ~(tcflag_t)OPOST;
    raw.c_lflag &= ~(tcflag_t)(ECHO | ECHONL | ICANON | IEXTEN);
    raw.c_lflag |= ISIG | NOFLSH;
    raw.c_cflag &= ~(tcflag_t)(CSIZE | PARENB);
    raw.c_cflag |= CS8;
    raw.c_cc[VMIN] = 1;
    raw.c_cc[VTIME] = 0;
    raw.c_cc[VQUIT] = _POSIX_VDISABLE;    /* Ctrl-\ is too near to Enter to end in a core dump */
    tcsetattr(y->fd, TCSANOW, &raw);      /* TCSADRAIN would wait for a terminal that does not read */
}

void tty_restore(struct tty *y)
{
    tcsetattr(y->fd, TCSANOW, &y->modes_before);
    tcflush(y->fd, TCIFLUSH);             /* the rest of a paste must not become commands of the shell */
}

int tty_size(const struct tty *y, unsigned *rows_out, unsigned *cols_out)
{
    struct winsize size;
    if (ioctl(y->fd, TIOCGWINSZ, &size) != 0 || size.ws_row == 0 || size.ws_col == 0) return ERR_NOT_FOUND;
    *rows_out = size.ws_row;
    *cols_out = size.ws_col;
    return 0;
}

/* ---- opening ---- */

int tty_fd(const struct tty *y)
{
    return y->waits;
}

static int refuse(char *why, int err, const char *what, int errno_value)
{
    snprintf(why, TTY_WHY_MAX, "%s%s%s", what, errno_value ? ": " : "", errno_value ? strerror(errno_value) : "");
    return err;
}

static int open_device(struct tty *y, char *why)
{
    if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
        return refuse(why, ERR_UNSUPPORTED, "input and output are not both a terminal", 0);
    y->fd = open("/dev/tty", O_RDWR | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (y->fd < 0 || tcgetattr(y->fd, &y->modes_before) != 0)
        return refuse(why, ERR_UNSUPPORTED, "the terminal cannot be opened", errno);
    return 0;
}

static int open_paper(struct tty *y, char *why)
{
    int fd = memfd_create("screen", MFD_CLOEXEC);
    y->paper = fd < 0 ? NULL : fdopen(fd, "w+");
    if (y->paper) return 0;
    if (fd >= 0) close(fd);
    return refuse(why, ERR_NOMEM, err_text(ERR_NOMEM), 0);
}

static int open_waits(struct tty *y, char *why)
{
    struct epoll_event event = { .events = EPOLLIN };
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < sizeof caught / sizeof caught[0]; i++) sigaddset(&set, caught[i]);
    y->signals = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    y->waits = epoll_create1(EPOLL_CLOEXEC);
    if (y->signals < 0 || y->waits < 0 || epoll_ctl(y->waits, EPOLL_CTL_ADD, y->signals, &event) != 0 ||
        epoll_ctl(y->waits, EPOLL_CTL_ADD, y->fd, &event) != 0)
        return refuse(why, ERR_IO, "the terminal cannot be waited for", errno);
    pthread_sigmask(SIG_BLOCK, &set, &y->mask_before);
    y->masked = true;
    return 0;
}

int tty_open(struct tty **out, char why[static TTY_WHY_MAX])
{
    struct tty *y = calloc(1, sizeof *y);
    if (!y) return refuse(why, ERR_NOMEM, err_text(ERR_NOMEM), 0);
    y->fd = y->signals = y->waits = -1;
    int err = open_device(y, why);
    if (!err) err = open_paper(y, why);
    if (!err) err = open_waits(y, why);
    if (err) tty_close(y);
    else *out = y;
    return err;
}

void tty_close(struct tty *y)
{
    if (!y) return;
    if (aborting.fd >= 0 && aborting.fd == y->fd) signal(SIGABRT, SIG_DFL);
    aborting.fd = -1;
    if (y->masked) pthread_sigmask(SIG_SETMASK, &y->mask_before, NULL);
    if (y->signals >= 0) close(y->signals);
    if (y->waits >= 0) close(y->waits);
    if (y->paper) fclose(y->paper);
    if (y->fd >= 0) close(y->fd);
    free(y);
}
