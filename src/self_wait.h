/*
 * self_wait.h
 *		Ends a worker's wait for itself through another connection.
 */
#ifndef TAPMIG_SELF_WAIT_H
#define TAPMIG_SELF_WAIT_H

#include "nodes/parsenodes.h"

/* How the application_name of a worker's own connections begins, with its pid. */
#define SELF_WAIT_NAME "tapmig worker %d "

extern void self_wait_start(void);
extern void self_wait_reset(void);
extern void self_wait_watch_slot(const CreateSubscriptionStmt *stmt);
extern void self_wait_forget_slot(void);
extern void self_wait_fail(void);
extern void self_wait_explain(ErrorData *edata);

#endif							/* TAPMIG_SELF_WAIT_H */
