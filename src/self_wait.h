/*
 * self_wait.h
 *		Ends a subscription that waits for its own slot.
 */
#ifndef TAPMIG_SELF_WAIT_H
#define TAPMIG_SELF_WAIT_H

#include "nodes/parsenodes.h"

extern void self_wait_begin(const CreateSubscriptionStmt *stmt);
extern void self_wait_end(void);
extern void self_wait_fail(void);
extern void self_wait_explain(ErrorData *edata);

#endif							/* TAPMIG_SELF_WAIT_H */
