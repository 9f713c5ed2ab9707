/*
 * lint.h
 *		Reads a script for hazards against this database's catalogs.
 */
#ifndef TAPMIG_LINT_H
#define TAPMIG_LINT_H

#include "nodes/pg_list.h"

#include "access/htup.h"
#include "access/tupdesc.h"
#include "utils/tuplestore.h"

#include "script.h"
#include "settings.h"
#include "shape.h"

typedef enum LintLevel
{
	LINT_NOTICE,				/* worth knowing */
	LINT_WARNING,				/* may hurt */
	LINT_ERROR					/* will hurt, or will fail */
} LintLevel;

/* What a finding says; those that say the same share it. */
typedef struct LintMessage
{
	const char *rule;			/* its id, static */
	LintLevel	level;
	int			findings;		/* that share it */
	const char *relation;		/* quoted, qualified where need be; may be NULL */
	const char *lock_mode;		/* "ACCESS EXCLUSIVE", static; NULL: none */
	const char *size;			/* the relation's; NULL: not told */
	const char *said;			/* by the rule */
	const char *detail;			/* may be NULL */
	const char *advice;			/* the safe way, static */
	HeapTuple	row;			/* lint_put_rows()'s */
} LintMessage;

typedef struct LintFinding
{
	int			statement;		/* from 0; -1: of the script's head */
	int			line;			/* of the statement or the directive, from 1 */
	LintMessage *message;
} LintFinding;

typedef struct LintFindings
{
	LintFinding *items;
	int			n;
	int			room;			/* for so many */
} LintFindings;

typedef struct Lint Lint;

extern Lint *lint_begin(Script *script, const Settings *settings,
						MemoryContext memory);
extern bool lint_statement(void *lint, int index, Node *node,
						   const ShapeStatement *shape);
extern const LintFindings *lint_end(Lint *lint);
extern const LintFindings *lint_script(Script *script, const Shape *shape,
									   const Settings *settings);
extern void lint_report(Script *script, const LintFindings *findings,
						const Settings *settings, bool warned);
extern void lint_put_rows(const LintFindings *findings, Tuplestorestate *rows,
						  TupleDesc desc);
extern const char *lint_level_name(LintLevel level);

#endif							/* TAPMIG_LINT_H */
