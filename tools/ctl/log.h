/* log.h - what the `log` commands share: which files, reading one while a server may be writing or removing it. */
#ifndef PIPIT_TOOLS_CTL_LOG_H
#define PIPIT_TOOLS_CTL_LOG_H

#include "storage/offline.h"
#include "tools/ctl/ctl.h"

/* One file to look at: `dir` is its folder. */
struct log_file { char dir[FS_PATH_MAX]; struct inspect_file file; };

/* The files named, or all of DIR/log. False: said why on standard error, *code_out is the exit code. *files_out is the
 * caller's to free(). */
bool log_files(const struct arguments *a, struct log_file **files_out, size_t *count_out, int *code_out);
/* inspect_file(), again and again while its end is torn and goes on growing: a batch that a server is just writing is
 * whole a moment later. `each` is called for records not seen before only. ERR_TORN: it stays torn. */
int log_read(const struct log_file *f, bool whole, segment_record_fn *each, void *arg, struct inspect_summary *out,
             uint64_t *offset_out);
/* On standard error, "FILE:OFFSET: why": `log cut --at` takes the first part. */
void log_complain(const struct log_file *f, uint64_t offset, int err);
const char *log_kind(enum inspect_kind kind);
const char *log_record_kind(uint8_t kind);
enum { LOG_RECORD_KINDS = 6 };                       /* by number; 0 is of a kind this version does not know */
void log_time(uint64_t ms, char out[static 32]);     /* "2026-11-24T09:10:17"; "-" for 0 */
/* A whole number from `least` on. False: said why, as a usage error. */
bool log_number(const struct arguments *a, const char *text, const char *what, uint64_t least, uint64_t *out);

#endif
