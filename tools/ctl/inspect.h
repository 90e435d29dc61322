/* inspect.h - segment files, printed: what the log holds, without a server and without keys. */
#ifndef PIPIT_TOOLS_CTL_INSPECT_H
#define PIPIT_TOOLS_CTL_INSPECT_H

/* Prints one line for each record of each file, and a summary. Returns 0, or 1 when a file is damaged or cannot be read
 * (said on standard error, with file and offset). */
int inspect_log(int file_count, char **files);

#endif
