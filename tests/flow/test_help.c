/* test_help.c - programs explain themselves: each command its options, the manual pages all of it, completion too. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/harness/story.h"

enum { LIST_MAX = 64, WORD_MAX = 64 };

static struct process p, q;
static char bin[256];

static int run(struct process *to, const char *program, const char *const *words)
{
    char path[320];
    char *argv[STORY_ARGS_MAX] = { (char *)program };
    int argc = 1;
    snprintf(path, sizeof path, "%s/%s", bin, program);
    while (*words) argv[argc++] = (char *)*words++;
    to->with_errors = true;
    start(to, path, argv, false);
    close_input(to);
    return finish(to);
}

/* The commands in the help of a program: "  first" or "  first second" in small letters. */
static size_t commands_of(const char *program, char list[][2][WORD_MAX])
{
    size_t count = 0;
    assert_int_equal(run(&p, program, WORDS("--help")), 0);
    const char *line = strchr(p.text, '\n');
    for (line = strstr(line, "\n\n") + 2; strncmp(line, "  ", 2) == 0 && line[2] != '-';
         line = strchr(line, '\n') + 1) {
        assert_true(count < LIST_MAX);
        list[count][1][0] = '\0';
        assert_true(sscanf(line, "  %63[a-z]%*1[ ]%63[a-z]", list[count][0], list[count][1]) >= 1);
        if (isupper((unsigned char)line[2 + strlen(list[count][0]) + 1])) list[count][1][0] = '\0';
        count++;
    }
    return count;
}

static void each_command_explains_itself(void **state)
{
    static char list[LIST_MAX][2][WORD_MAX];
    (void)state;
    size_t count = commands_of("pipit", list);
    assert_true(count > 20);
    for (size_t i = 0; i < count; i++) {
        char usage[256];
        const char *second = list[i][1][0] ? list[i][1] : NULL;
        assert_int_equal(run(&q, "pipit", (const char *const[]){ list[i][0], second ? second : "--help",
                                                                  second ? "--help" : NULL, NULL }), 0);
        snprintf(usage, sizeof usage, "usage: pipit %.63s%s%.63s", list[i][0], second ? " " : "", second ? second : "");
        assert_int_equal(strncmp(q.text, usage, strlen(usage)), 0);
        assert_non_null(strstr(q.text, "\n    pipit "));    /* an example */
        assert_non_null(strstr(q.text, "Exit codes: 0 done"));
        /* What stands in the first line is told of below, and nothing else is. */
        const char *end = strchr(q.text, '\n');
        for (const char *at = q.text; (at = strstr(at, "[--")) && at < end; at++) {
            char option[WORD_MAX + 4] = "\n  ";
            sscanf(at + 1, "%60[a-z-]", option + 3);
            assert_non_null(strstr(end, option));
        }
    }
}

static void a_slip_is_answered_with_what_was_meant(void **state)
{
    static const struct { const char *words[4], *answer; } slips[] = {
        { { "lsten" }, "did you mean `pipit listen`?" },
        { { "devices", "revok" }, "did you mean `pipit devices revoke`?" },
        { { "list", "--jsno" }, "did you mean --json?" },
        { { "list", "--count", "3" }, "--count is not an option of this command" },
        { { "list", "--limit" }, "--limit wants something behind it" },
        { { "list", "--limit", "0" }, "a number from 1 to" },
        { { "list", "bob" }, "bob: one word too many" },
        { { "history" }, "something is missing" },
        { { "account" }, "account what?" },
        { { "xyzzy" }, "no such command: xyzzy" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof slips / sizeof slips[0]; i++) {
        assert_int_equal(run(&q, "pipit", slips[i].words), 2);
        assert_non_null(strstr(q.text, slips[i].answer));
    }
}

/* A page as plain text: troff's \- is a hyphen. */
static char *page_of(const char *name)
{
    static char text[256 * 1024];
    char path[320];
    snprintf(path, sizeof path, "%s/man/%s", bin, name);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    size_t len = fread(text, 1, sizeof text - 1, f), to = 0;
    fclose(f);
    for (size_t i = 0; i < len; i++)
        if (!(text[i] == '\\' && text[i + 1] == '-')) text[to++] = text[i];
    text[to] = '\0';
    return text;
}

static void expect_options(const char *from, const char *in, const char *where)
{
    for (const char *at = from; (at = strstr(at, "--")); at += 2) {
        char option[WORD_MAX] = "--";
        if ((at > from && (isalnum((unsigned char)at[-1]) || at[-1] == '-')) ||
            sscanf(at + 2, "%60[a-z-]", option + 2) != 1)
            continue;
        if (strstr(in, option)) continue;
        fprintf(stderr, "%s is not in %s\n", option, where);
        fail();
    }
}

static void manual_pages_hold_all_commands_and_options_and_no_others(void **state)
{
    static const struct { const char *program, *page; bool commands; } pages[] = {
        { "pipit", "pipit.1", true }, { "pipitctl", "pipitctl.8", true }, { "pipitd", "pipitd.8", false },
    };
    static char list[LIST_MAX][2][WORD_MAX], all[STORY_OUT_MAX * 4];
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        const char *page = page_of(pages[i].page);
        assert_int_equal(strncmp(page, ".TH ", 4), 0);
        size_t count = pages[i].commands ? commands_of(pages[i].program, list) : 0;
        assert_int_equal(run(&p, pages[i].program, WORDS("--help")), 0);
        strcpy(all, p.text);
        for (size_t k = 0; k < count; k++) {
            char heading[256];
            snprintf(heading, sizeof heading, ".SS \"%.63s%s%.63s", list[k][0], list[k][1][0] ? " " : "", list[k][1]);
            assert_non_null(strstr(page, heading));
            assert_int_equal(run(&q, pages[i].program, WORDS(list[k][0], "--help")), 0);
            assert_true(strlen(all) + q.len < sizeof all);
            strcat(all, q.text);
        }
        expect_options(all, page, pages[i].page);
        expect_options(page, all, "--help");
    }
}

/* What bash would offer for the last of `words`. */
static void completed(const char *words)
{
    char script[1024], path[512];
    snprintf(path, sizeof path, "%s:%s", bin, getenv("PATH"));
    snprintf(script, sizeof script, "PATH='%s'; . tools/completion/pipit.bash; COMP_WORDS=(%s); "
             "COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _pipit \"${COMP_WORDS[0]}\" \"${COMP_WORDS[COMP_CWORD]}\" "
             "\"${COMP_WORDS[COMP_CWORD-1]}\"; printf '[%%s]' \"${COMPREPLY[@]}\"", path, words);
    p.with_errors = true;
    start(&p, "/bin/bash", (char *[]){ "bash", "-c", script, NULL }, false);
    close_input(&p);
    assert_int_equal(finish(&p), 0);
}

static void bash_completes_commands_and_options(void **state)
{
    static const struct { const char *words, *there, *not_there; } cases[] = {
        { "pipit lis", "[listen]", "[login]" },
        { "pipit lis", "[list]", "[contacts]" },
        { "pipit devices re", "[revoke]", "[rename]" },
        { "pipit contacts re", "[rename]", "[revoke]" },
        { "pipit list --", "[--limit]", "[--invite]" },
        { "pipit listen --no", "[--no-read]", "[--count]" },
        { "pipit --home /x --server u regi", "[register]", "[list]" },
        { "pipit --ser", "[--server]", "[--home]" },
        { "pipitctl us", "[user]", "[status]" },
        { "pipitctl invite re", "[revoke]", "[list]" },
        { "pipitctl invite new --us", "[--uses]", "[--days]" },
        { "pipitd --check", "[--check-config]", "[--data]" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        completed(cases[i].words);
        if (!strstr(p.text, cases[i].there) || strstr(p.text, cases[i].not_there))
            fprintf(stderr, "%s: %s\n", cases[i].words, p.text);
        assert_non_null(strstr(p.text, cases[i].there));
        assert_null(strstr(p.text, cases[i].not_there));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_command_explains_itself),
        cmocka_unit_test(a_slip_is_answered_with_what_was_meant),
        cmocka_unit_test(manual_pages_hold_all_commands_and_options_and_no_others),
        cmocka_unit_test(bash_completes_commands_and_options),
    };
    const char *build = getenv("BUILD");
    snprintf(bin, sizeof bin, "%s", build ? build : "build");
    setenv("PIPIT_HOME", "/nowhere/pipit", 1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
