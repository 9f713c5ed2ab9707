/*
 * lint_finding.c
 *		The findings of lint: their levels, what they say, what is done with them.
 *
 * A rule finds something; its level follows from the size of the relation.
 * Findings live as long as the lint.
 */
#include "postgres.h"

#include "catalog/pg_class.h"

#include "errors.h"
#include "lint_internal.h"

const char *
lint_level_name(LintLevel level)
{
	return level == LINT_ERROR ? "error" : level == LINT_WARNING ? "warning" : "notice";
}

const char *
lint_lock_name(LOCKMODE lock)
{
	static const char *const names[] = {NULL, "ACCESS SHARE", "ROW SHARE",
		"ROW EXCLUSIVE", "SHARE UPDATE EXCLUSIVE", "SHARE", "SHARE ROW EXCLUSIVE",
	"EXCLUSIVE", "ACCESS EXCLUSIVE"};

	return lock >= 0 && lock < (int) lengthof(names) ? names[lock] : NULL;
}

/* Whether a relation has more rows than tapmig.lint_rows. */
bool
lint_is_large(Lint *lint, LintRelation *rel)
{
	return lint_has_rows(lint, rel) && lint_size(lint, rel)->rows > lint->lint_rows;
}

/* The same when the script began. */
bool
lint_was_large(Lint *lint, LintRelation *rel)
{
	return lint_is_used(lint, rel) && lint_size(lint, rel)->rows > lint->lint_rows;
}

/* Whether the statement means a partitioned table ONLY, which has no rows of its own. */
bool
lint_is_bare_parent(Lint *lint, LintRelation *rel)
{
	return rel != NULL && rel == lint->only && rel->relkind == RELKIND_PARTITIONED_TABLE;
}

static bool
lint_is_allowed(Lint *lint, const char *rule)
{
	ListCell   *lc;

	foreach(lc, lint->allow)
	{
		if (strcmp(lfirst(lc), rule) == 0)
		{
			lint->allowed = lint_append(lint, lint->allowed, unconstify(char *, rule));
			return true;
		}
	}
	return false;
}

/*
 * Adds a finding, unless allow silences its rule. statement -1: of the script's
 * head. What it is given lives as long as the lint.
 */
void
lint_add(Lint *lint, const char *rule, int statement, int line, LintLevel level,
		 char *relation, const char *lock_mode, char *message, const char *advice)
{
	LintFinding *finding;

	if (lint_is_allowed(lint, rule))
		return;
	finding = lint_alloc(lint, sizeof(LintFinding));
	finding->rule = rule;
	finding->statement = statement;
	finding->line = line;
	finding->level = level;
	finding->relation = relation;
	finding->lock_mode = lock_mode;
	finding->message = message;
	finding->advice = advice;
	lint->findings = lint_append(lint, lint->findings, finding);
}

static char *
finding_join(Lint *lint, const char *const *parts, int n)
{
	size_t		lengths[9];
	size_t		total = 1;
	char	   *result;
	char	   *end;

	Assert(n <= (int) lengthof(lengths));
	for (int i = 0; i < n; i++)
		total += lengths[i] = strlen(parts[i]);
	result = end = MemoryContextAlloc(lint->context, total);
	for (int i = 0; i < n; i++)
	{
		memcpy(end, parts[i], lengths[i]);
		end += lengths[i];
	}
	*end = '\0';
	return result;
}

/*
 * Adds a finding about a statement at a given level. With a lock its message
 * is "LOCK on relation (size) rule's message; detail", else
 * "detail: rule's message".
 */
void
lint_find_at(LintCheck *c, int statement, LintLevel level, LintRelation *rel,
			 LOCKMODE lock, const char *detail)
{
	Lint	   *lint = c->lint;
	char	   *name = rel == NULL ? NULL : lint_relation_label(lint, rel);
	char	   *message;

	/* Of an ALTER TABLE's parts the strongest lock is taken, for all of them. */
	if (lock != NoLock && c->cmd != NULL && rel == c->rel && lock < lint->alter_lock)
	{
		lock = lint->alter_lock;
		detail = psprintf("%s%s%s", detail == NULL ? "" : detail, detail == NULL ? "" : "; ",
						  lock == AccessExclusiveLock ?
						  "another part of the statement wants this lock, so that reads wait too" :
						  "another part of the statement wants this lock");
	}
	/* Put together by hand: a format costs more than the rule did. */
	if (lock != NoLock && rel != NULL)
	{
		bool		has_rows = lint_has_rows(lint, rel);
		const char *const parts[] = {lint_lock_name(lock), " on ", name,
			has_rows ? " (" : "", has_rows ? lint_size_text(lint, rel) : "", has_rows ? ") " : " ",
			c->rule->message, detail == NULL ? "" : "; ", detail == NULL ? "" : detail};

		message = finding_join(lint, parts, lengthof(parts));
	}
	else
	{
		const char *const parts[] = {detail == NULL ? "" : detail, detail == NULL ? "" : ": ",
			c->rule->message};

		message = finding_join(lint, parts, lengthof(parts));
	}
	lint_add(lint, c->rule->id, statement, lint->script->statements[statement].line,
			 level, name, lint_lock_name(lock), message, c->rule->advice);
}

/*
 * What the statement means by a relation: where that has no rows of its own, the
 * largest of those that the script has given it as partitions or children.
 */
static LintRelation *
finding_with_rows(Lint *lint, LintRelation *rel)
{
	LintRelation *largest = NULL;
	ListCell   *lc;

	if (rel == NULL || rel->attached == NIL || rel == lint->only || lint_has_rows(lint, rel))
		return rel;
	foreach(lc, rel->attached)
	{
		LintRelation *child = lfirst(lc);

		if (!child->gone && lint_has_rows(lint, child) &&
			(largest == NULL || lint_size(lint, child)->rows > lint_size(lint, largest)->rows))
			largest = child;
	}
	return largest == NULL ? rel : largest;
}

/*
 * Adds a finding about the statement under way, at the level of the rule's
 * scale and the relation's size. None about what is new or empty, where the
 * scale depends on size.
 */
void
lint_find(LintCheck *c, LintRelation *rel, LOCKMODE lock, const char *detail)
{
	LintLevel	level = LINT_ERROR;

	if (c->rule->scale == LINT_SCAN)
		rel = finding_with_rows(c->lint, rel);
	switch (c->rule->scale)
	{
		case LINT_SCAN:
			if (!lint_has_rows(c->lint, rel) || lint_is_bare_parent(c->lint, rel))
				return;
			level = lint_is_large(c->lint, rel) ? LINT_ERROR : LINT_WARNING;
			c->lint->slow = true;
			break;
		case LINT_HOLD:
			if (!lint_has_rows(c->lint, rel))
				return;
			level = lint_is_large(c->lint, rel) ? LINT_WARNING : LINT_NOTICE;
			break;
		case LINT_ALWAYS_NOTICE:
			level = LINT_NOTICE;
			break;
		case LINT_ALWAYS_WARNING:
			level = LINT_WARNING;
			break;
		case LINT_ALWAYS_ERROR:
			level = LINT_ERROR;
			break;
	}
	lint_find_at(c, c->lint->statement, level, rel, lock, detail);
}

/* ---- a script's findings */

/* A finding in one line; level: "error: ", or nothing where all are of one. */
static void
lint_append_finding(StringInfo buf, const LintFinding *finding, const char *level)
{
	if (buf->len > 0)
		appendStringInfoChar(buf, '\n');
	if (finding->statement >= 0)
		appendStringInfo(buf, "statement %d, ", finding->statement + 1);
	appendStringInfo(buf, "line %d: %s%s: %s", finding->line, level, finding->rule,
					 finding->message);
}

/*
 * Does with findings what tapmig.lint says: nothing; a WARNING for each (not
 * for notices), unless they have been warned of; or TM007 where one is an error.
 */
void
lint_report(Script *script, List *findings, const Settings *settings, bool warned)
{
	StringInfoData errors;
	int			n_errors = 0;
	const char *advice = NULL;
	const char *rule = NULL;
	ListCell   *lc;

	if (settings->lint == SETTINGS_ALLOW)
		return;

	initStringInfo(&errors);
	foreach(lc, findings)
	{
		const LintFinding *finding = lfirst(lc);

		if (finding->level == LINT_ERROR && settings->lint == SETTINGS_ERROR)
		{
			n_errors++;
			lint_append_finding(&errors, finding, "");
			if (advice == NULL)
			{
				advice = finding->advice;
				rule = finding->rule;
			}
		}
		else if (finding->level != LINT_NOTICE && !warned)
		{
			StringInfoData line;

			initStringInfo(&line);
			lint_append_finding(&line, finding,
								finding->level == LINT_ERROR ? "error: " : "warning: ");
			ereport(WARNING,
					(errcode(TAPMIG_ERRCODE_LINT),
					 errmsg("%s", line.data),
					 errhint("%s", finding->advice)));
			pfree(line.data);
		}
	}
	if (n_errors > 0)
		ereport(ERROR,
				(errcode(TAPMIG_ERRCODE_LINT),
				 script->label == NULL ?
				 errmsg("lint refuses the script") :
				 errmsg("lint refuses migration %s", script->label),
				 errdetail("%s", errors.data),
				 errhint("%s Or write \"-- tapmig: allow=%s\" at the head of the script.",
						 advice, rule)));
	pfree(errors.data);
}
