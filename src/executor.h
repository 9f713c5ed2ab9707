/*
 * executor.h
 *		Runs the statements of a script inside the current transaction.
 */
#ifndef TAPMIG_EXECUTOR_H
#define TAPMIG_EXECUTOR_H

#include "script.h"
#include "shape.h"

typedef struct ExecutorOptions
{
	const char *track;			/* for pg_stat_activity */
	const char *register_hint;	/* SQL that records the script as applied by hand */
	const char *stepwise_hint;	/* next action where it cannot be one transaction */
	int			lock_timeout_ms;	/* 0: the session's own stays */
	bool		check_deferred; /* check deferred constraints at the end */
} ExecutorOptions;

extern void executor_install_hooks(void);
extern bool executor_in_script(void);
extern void executor_run(Script *script, const Shape *shape,
						 const ExecutorOptions *options);

#endif							/* TAPMIG_EXECUTOR_H */
