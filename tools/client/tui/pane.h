/* pane.h - the open conversation as lines of the screen: where a reader is in it, and how a message looks.
 *
 * The model has rows; a row takes one line or many, as the pane is wide. A place is kept as the row that stands at the
 * bottom, by its id, and how many of its lines are below the pane: so it stays when rows come and go above, below or
 * within, when the pane becomes another size, and when the window of the model moves. At the end the pane follows what
 * comes.
 *
 *     pane_settle()    once before each drawing: the size, and what became of the rows
 *     pane_draw()
 *
 * Thread: one. */
#ifndef PIPIT_CLIENT_TUI_PANE_H
#define PIPIT_CLIENT_TUI_PANE_H

#include "tools/client/tui/layout.h"
#include "tools/client/tui/model.h"
#include "tools/client/tui/terminal.h"

enum {
    PANE_WIDE_COLUMNS = 40,       /* narrower: no column for names, they stand above their messages */
    PANE_NAME_COLUMNS_MAX = 16,   /* of the column for names; longer ones are cut */
};

struct pane {
    const char *own;              /* the user's own name; the owner's, set once */
    struct rect at;               /* as told to pane_settle() */
    bool is_end;                  /* follows the end; else the two below say where it is */
    struct row_id bottom;
    size_t hidden;                /* lines of it below the pane */
    size_t bottom_at;             /* where that row was seen last: should it go, its neighbour stands for it */
    bool has_place;               /* still to be brought into sight, when the size is known */
    struct row_id place;
    bool has_picked;
    struct row_id picked;         /* a message that a key is to be about */
    size_t first, count;          /* rows in sight, whole or in part, after pane_settle() */
};

void pane_begin(struct pane *p, const struct model_place *place);    /* another conversation, or place in it */
/* Errors are the model's. */
int pane_settle(struct pane *p, struct model *m, struct rect at);
/* By lines, up when negative; more messages are taken into the model's window when it ends. Settles. */
int pane_scroll(struct pane *p, struct model *m, long lines);
void pane_to_end(struct pane *p);
void pane_to_top(struct pane *p, const struct model *m);           /* of the model's window */
/* The next message above (-1) or below (1), the lowest one in sight to begin with; brought into sight. Settles. False:
 * there is no message to pick. */
int pane_pick(struct pane *p, struct model *m, int by, bool *picked_out);
const struct model_row *pane_picked(const struct pane *p, const struct model *m);    /* NULL: none */
void pane_pick_end(struct pane *p);
/* How ticks look, here and in the list. */
const char *ticks_text(enum ticks ticks);
enum style ticks_style(enum ticks ticks);
void pane_draw(const struct pane *p, const struct model *m, struct terminal *t);

#endif
