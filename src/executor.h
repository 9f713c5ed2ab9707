/*
 * executor.h
 *		Runs the statements of a script inside the current transaction.
 */
#ifndef TAPMIG_EXECUTOR_H
#define TAPMIG_EXECUTOR_H

#include "script.h"
#include "shape.h"

/* The server's refusal to run a statement in a transaction block. */
typedef struct ExecutorRefusal
{
	int			index;			/* of the statement, -1: none */
	int			sqlstate;		/* 25001, 2D000 or 55P04 */
} ExecutorRefusal;

/* Who looks on while statements run; those that run alone have no after. */
typedef struct ExecutorObserver
{
	void		(*before) (int index, void *arg);	/* statement index begins */
	void		(*after) (int index, void *arg);	/* it has ended without an error */
	void	   *arg;
} ExecutorObserver;

typedef struct ExecutorOptions
{
	const char *track;			/* for pg_stat_activity */
	const char *register_hint;	/* SQL that records the script as applied by hand */
	const char *stepwise_hint;	/* next action where it cannot be one transaction */
	int			lock_timeout_ms;	/* 0: the session's own stays */
	bool		check_deferred; /* check deferred constraints at the end */
	bool		in_worker;		/* settings stay, statement_timeout is armed here */
	ExecutorRefusal *refusal;	/* filled instead of raising TM003, or NULL */
	const ExecutorObserver *observer;	/* or NULL */
} ExecutorOptions;

struct config_int;

extern void executor_install_hooks(void);
extern struct config_int *executor_lock_timeout(void);
extern bool executor_in_script(void);
extern bool executor_has_run(void);
extern void executor_run(Script *script, const Shape *shape,
						 const ExecutorOptions *options);
extern void executor_run_range(Script *script, const Shape *shape, int from, int to,
							   const ExecutorOptions *options);
extern void executor_run_alone(Script *script, const Shape *shape, int index,
							   const ExecutorOptions *options);
extern void executor_run_sql(Script *script, const Shape *shape, int index,
							 const char *sql, const ExecutorOptions *options);
extern void executor_arm_timeout(void);
extern void executor_release_slot(void);

#endif							/* TAPMIG_EXECUTOR_H */
