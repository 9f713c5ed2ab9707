/*
 * shape.h
 *		Statement to shape, script to steps.
 */
#ifndef TAPMIG_SHAPE_H
#define TAPMIG_SHAPE_H

#include "nodes/nodes.h"

#include "compat.h"
#include "script.h"

typedef enum ShapeKind
{
	SHAPE_TRANSACTIONAL,		/* one transaction */
	SHAPE_STEPWISE,				/* cannot run in a transaction block */
	SHAPE_DEPENDS				/* only running it shows: DO, CALL */
} ShapeKind;

/* What is done with a statement when the script runs as one transaction. */
typedef enum ShapeRole
{
	SHAPE_RUN,					/* it is executed */
	SHAPE_WRAPPER,				/* the script's own BEGIN or COMMIT */
	SHAPE_OPTIONS,				/* leading SET TRANSACTION, obeyed beforehand */
	SHAPE_WITHOUT_EFFECT		/* SET client_encoding */
} ShapeRole;

typedef struct ShapeStatement
{
	const char *command;		/* command tag, static */
	ShapeKind	kind;
	ShapeRole	role;
	int			step;			/* from 1 */
	bool		concurrently;	/* waits for other sessions' snapshots */
	bool		cuts_before;	/* a step ends before it */
	bool		cuts_after;		/* a step ends with it */
	bool		chains;			/* COMMIT AND CHAIN */
} ShapeStatement;

/* Why a script can't run at all, whatever its shape. */
typedef enum ShapeProblem
{
	SHAPE_FINE,
	SHAPE_BEGIN_WITHOUT_COMMIT,
	SHAPE_ROLLBACK,
	SHAPE_SAVEPOINT,
	SHAPE_PREPARE_TRANSACTION,
	SHAPE_COPY_TO_STDOUT,
	SHAPE_DROPS_TAPMIG
} ShapeProblem;

typedef struct Shape
{
	ShapeKind	kind;			/* never SHAPE_DEPENDS */
	ShapeStatement *statements; /* as many as the script has */
	int			steps;
	int			runs;			/* statements of role SHAPE_RUN */

	/* The statement that makes it stepwise, and what it is; -1: none. */
	int			stepwise_at;
	const char *stepwise_what;

	ShapeProblem problem;
	int			problem_at;

	/* Transaction options that the script begins with; -1: not given. */
	int			isolation;		/* XACT_... */
	int			read_only;
	int			deferrable;

	int			lone_commit;	/* a last COMMIT without BEGIN, -1: none */
} Shape;

/*
 * Sees each statement's tree, in order, and NULL when there is none left. Returns
 * whether the trees that it was shown may go; false: they stay until it says so.
 */
typedef bool (*ShapeVisitor) (void *arg, int index, Node *node,
							  const ShapeStatement *statement);

extern Shape *shape_read(Script *script);
extern Shape *shape_read_each(Script *script, ShapeVisitor visitor, void *arg);
extern void shape_options(Script *script, const Shape *shape, int from, int to,
						  int *isolation, int *read_only, int *deferrable);
extern void shape_cut(Script *script, Shape *shape, int index, bool alone);
extern void shape_check(Script *script, const Shape *shape);
extern COMPAT_NORETURN void shape_refuse_stepwise(Script *script, int index,
								  const char *what, const char *hint);
extern const char *shape_kind_name(ShapeKind kind);
extern bool shape_option_is_true(List *options, const char *name);

#endif							/* TAPMIG_SHAPE_H */
