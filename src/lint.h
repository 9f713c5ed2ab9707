/*
 * lint.h
 *		Reads a script for hazards against this database's catalogs.
 */
#ifndef TAPMIG_LINT_H
#define TAPMIG_LINT_H

#include "nodes/pg_list.h"

#include "script.h"
#include "settings.h"
#include "shape.h"

typedef enum LintLevel
{
	LINT_NOTICE,				/* worth knowing */
	LINT_WARNING,				/* may hurt */
	LINT_ERROR					/* will hurt, or will fail */
} LintLevel;

typedef struct LintFinding
{
	int			statement;		/* from 0; -1: of the script's head */
	int			line;			/* of the statement or the directive, from 1 */
	const char *rule;			/* its id, static */
	LintLevel	level;
	char	   *relation;		/* quoted, qualified where need be; may be NULL */
	const char *lock_mode;		/* "ACCESS EXCLUSIVE", static; NULL: none */
	char	   *message;
	const char *advice;			/* the safe way, static */
} LintFinding;

typedef struct Lint Lint;

extern Lint *lint_begin(Script *script, const Settings *settings);
extern bool lint_statement(void *lint, int index, Node *node,
						   const ShapeStatement *shape);
extern List *lint_end(Lint *lint);
extern List *lint_script(Script *script, const Shape *shape,
						 const Settings *settings);
extern void lint_report(Script *script, List *findings, const Settings *settings,
						bool warned);
extern const char *lint_level_name(LintLevel level);

#endif							/* TAPMIG_LINT_H */
