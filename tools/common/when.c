/* when.c - see when.h. */
#include "tools/common/when.h"

#include <stddef.h>
#include <time.h>

/* Just so many digits; -1: something else stands there. */
static int digits(const char **at, int count)
{
    int number = 0;
    for (; count > 0; count--, ++*at) {
        if (**at < '0' || **at > '9') return -1;
        number = 10 * number + (**at - '0');
    }
    return number;
}

static bool step(const char **at, char c)
{
    if (**at != c) return false;
    ++*at;
    return true;
}

static int days_of(int year, int month)
{
    static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    bool is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return month == 2 && is_leap ? 29 : days[month - 1];
}

static bool take_day(const char **at, struct tm *tm)
{
    int year = digits(at, 4);
    if (year < 1970 || !step(at, '-')) return false;
    int month = digits(at, 2);
    if (month < 1 || month > 12 || !step(at, '-')) return false;
    int day = digits(at, 2);
    if (day < 1 || day > days_of(year, month)) return false;
    tm->tm_year = year - 1900;
    tm->tm_mon = month - 1;
    tm->tm_mday = day;
    return true;
}

static bool take_clock(const char **at, struct tm *tm)
{
    tm->tm_hour = digits(at, 2);
    if (tm->tm_hour < 0 || tm->tm_hour > 23 || !step(at, ':')) return false;
    tm->tm_min = digits(at, 2);
    if (tm->tm_min < 0 || tm->tm_min > 59) return false;
    if (!step(at, ':')) return true;
    tm->tm_sec = digits(at, 2);
    return tm->tm_sec >= 0 && tm->tm_sec <= 59;
}

bool when_parse(const char *text, uint64_t *ms_out)
{
    struct tm tm = { .tm_isdst = -1 };
    const char *at = text;
    if (!take_day(&at, &tm)) return false;
    if (*at && !((step(&at, ' ') || step(&at, 'T')) && take_clock(&at, &tm))) return false;
    if (*at) return false;
    time_t seconds = mktime(&tm);
    if (seconds < 0) return false;        /* 1970 has begun elsewhere */
    *ms_out = (uint64_t)seconds * 1000;
    return true;
}
