/* home_world.h - a home in a temporary folder: what the tests of home*.c begin and end with. */
#ifndef PIPIT_TESTS_HOME_WORLD_H
#define PIPIT_TESTS_HOME_WORLD_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/client/home.h"

enum { WORLD_DIR = 64 };

static struct home *home_at(const char *dir)
{
    struct home *home = NULL;
    char why[256];
    assert_int_equal(home_open(dir, true, &home, why), 0);
    return home;
}

/* Where a home can be made, in a folder that is. False: there is no such folder. */
static bool world_make(char dir[static WORLD_DIR])
{
    char parent[] = "/tmp/pipit-home-XXXXXX";
    if (!mkdtemp(parent)) return false;
    snprintf(dir, WORLD_DIR, "%s/home", parent);
    return true;
}

/* That folder, with all in it. 0, or what a teardown gives for a failure. */
static int world_remove(char dir[static WORLD_DIR])
{
    char command[128];
    *strrchr(dir, '/') = '\0';
    snprintf(command, sizeof command, "rm -rf '%s'", dir);
    return system(command);
}

#endif
