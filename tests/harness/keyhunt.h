/* keyhunt.h - what somebody opens who has files and no rights: every 32 bytes that lie together in any of them are tried as
 * a key, on every record there is.
 *
 * Nothing is asked of SQLite or of the formats of key files: rows in use, free pages, pages of a WAL, whatever a file ends
 * with are all bytes. Only records are found by their form, with storage/inspect.h. Files are the real disk's, and are
 * read as they are at that moment: let nothing write meanwhile.
 * The same window is tried once, and a record that opened is not tried again. It takes about a microsecond for each
 * window and record: keep both small. Failures are cmocka's, so all of this belongs to the test's thread. */
#ifndef PIPIT_TESTS_KEYHUNT_H
#define PIPIT_TESTS_KEYHUNT_H

#include <stddef.h>

#include "proto/id.h"

struct keyhunt;

/* Anew, with no record opened: `like` NULL, or one whose records it takes over. */
struct keyhunt *keyhunt_new(const struct keyhunt *like);
void keyhunt_free(struct keyhunt *hunt);
/* The records of a log's folder; what is there twice, sorted or in a backup too, is taken once. */
void keyhunt_take_records(struct keyhunt *hunt, const char *folder);
/* Every window of a file; of every file in a folder and below. */
void keyhunt_try_file(struct keyhunt *hunt, const char *path);
void keyhunt_try_folder(struct keyhunt *hunt, const char *folder);

struct keyhunt_count { size_t records, opened; };
/* Of one partition; NULL: of all. */
struct keyhunt_count keyhunt_count(const struct keyhunt *hunt, const struct conv_id *partition);
size_t keyhunt_windows(const struct keyhunt *hunt);          /* different ones tried so far */

#endif
