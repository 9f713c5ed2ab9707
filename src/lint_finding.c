/*
 * lint_finding.c
 *		The findings of lint: their levels, what they say, what is done with them.
 *
 * A rule finds something; its level follows from the size of the relation.
 * Findings live as long as the lint.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_class.h"
#include "miscadmin.h"
#include "utils/builtins.h"

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
finding_is_allowed(Lint *lint, const char *rule)
{
	ListCell   *lc;

	foreach(lc, lint->allow)
	{
		if (strcmp(lfirst(lc), rule) == 0)
		{
			if (!list_member_ptr(lint->allowed, rule))
				lint->allowed = lint_append(lint, lint->allowed, unconstify(char *, rule));
			return true;
		}
	}
	return false;
}

static void
finding_add(Lint *lint, int statement, int line, LintMessage *message)
{
	LintFindings *findings = &lint->findings;
	LintFinding *finding;

	if (findings->n == findings->room)
	{
		findings->room = Max(findings->room * 2, 16);
		findings->items = findings->items == NULL ?
			MemoryContextAlloc(lint->kept.context, findings->room * sizeof(LintFinding)) :
			repalloc_huge(findings->items, findings->room * sizeof(LintFinding));
	}
	finding = &findings->items[findings->n++];
	finding->statement = statement;
	finding->line = line;
	finding->message = message;
	message->findings++;
}

/*
 * Adds a finding, unless allow silences its rule. statement -1: of the script's
 * head. The message is copied, what else it is given lives as long as the findings.
 */
void
lint_add(Lint *lint, const char *rule, int statement, int line, LintLevel level,
		 const char *relation, const char *lock_mode, const char *message, const char *advice)
{
	LintMessage *made;

	if (finding_is_allowed(lint, rule))
		return;
	made = lint_keep(lint, sizeof(LintMessage));
	made->rule = rule;
	made->level = level;
	made->relation = relation;
	made->lock_mode = lock_mode;
	made->said = lint_keep_text(lint, message);
	made->advice = advice;
	finding_add(lint, statement, line, made);
}

static bool
finding_same_text(const char *a, const char *b)
{
	return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

/* Where a message of a rule about a relation is kept. */
static LintMessage **
finding_said(Lint *lint, const LintRule *rule, const char *relation)
{
	uintptr_t	place = ((uintptr_t) rule) / sizeof(LintRule) + ((uintptr_t) relation) / MAXIMUM_ALIGNOF;

	return &lint->said[place % LINT_SAID];
}

/*
 * Adds a finding about a statement at a given level. Large scripts say the same
 * again and again: what was said lately is looked for first.
 */
void
lint_find_at(LintCheck *c, int statement, LintLevel level, LintRelation *rel,
			 LOCKMODE lock, const char *detail)
{
	Lint	   *lint = c->lint;
	const char *name = rel == NULL ? NULL : lint_relation_label(lint, rel);
	const char *size = NULL;
	const char *lock_mode;
	LintMessage **said;
	LintMessage *message;

	if (finding_is_allowed(lint, c->rule->id))
		return;

	/* Of an ALTER TABLE's parts the strongest lock is taken, for all of them. */
	if (lock != NoLock && c->cmd != NULL && rel == c->rel && lock < lint->alter_lock)
	{
		lock = lint->alter_lock;
		detail = psprintf("%s%s%s", detail == NULL ? "" : detail, detail == NULL ? "" : "; ",
						  lock == AccessExclusiveLock ?
						  "another part of the statement wants this lock, so that reads wait too" :
						  "another part of the statement wants this lock");
	}
	lock_mode = lint_lock_name(lock);
	if (lock != NoLock && rel != NULL && lint_has_rows(lint, rel))
		size = lint_size_text(lint, rel);
	said = finding_said(lint, c->rule, name);
	message = *said;
	if (message == NULL || message->rule != c->rule->id || message->said != c->rule->message ||
		message->advice != c->rule->advice || message->relation != name || message->size != size ||
		message->lock_mode != lock_mode || message->level != level ||
		!finding_same_text(message->detail, detail))
	{
		message = *said = lint_keep(lint, sizeof(LintMessage));
		message->rule = c->rule->id;
		message->level = level;
		message->relation = name;
		message->lock_mode = lock_mode;
		message->size = size;
		message->said = c->rule->message;
		message->detail = detail == NULL ? NULL : lint_keep_text(lint, detail);
		message->advice = c->rule->advice;
	}
	finding_add(lint, statement, lint->script->statements[statement].line, message);
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

/* Whether a finding comes before another one, which was found before it. */
static bool
finding_overtakes(const LintFinding *later, const LintFinding *earlier)
{
	return later->statement != earlier->statement ? later->statement < earlier->statement :
		later->message->level > earlier->message->level;
}

/* Merges two sorted runs, from `middle` on the second one. */
static void
finding_merge(LintFinding *into, const LintFinding *from, int start, int middle, int end)
{
	int			left = start;
	int			right = middle;

	for (int i = start; i < end; i++)
		into[i] = right == end || (left < middle && !finding_overtakes(&from[right], &from[left])) ?
			from[left++] : from[right++];
}

/*
 * Sorts them by statement, the gravest first, else as they were found. They come
 * in few sorted runs: of the statements, of the ends of steps, of the script.
 */
void
lint_sort_findings(Lint *lint)
{
	LintFindings *findings = &lint->findings;
	LintFinding *other = NULL;
	int			n_runs;

	do
	{
		int			start = 0;

		n_runs = 0;
		while (start < findings->n)
		{
			int			middle = start + 1;
			int			end;

			CHECK_FOR_INTERRUPTS();
			while (middle < findings->n &&
				   !finding_overtakes(&findings->items[middle], &findings->items[middle - 1]))
				middle++;
			if (start == 0 && middle == findings->n)
				return;
			for (end = Min(middle + 1, findings->n); end < findings->n; end++)
			{
				if (finding_overtakes(&findings->items[end], &findings->items[end - 1]))
					break;
			}
			if (other == NULL)
				other = MemoryContextAllocHuge(lint->kept.context, findings->n * sizeof(LintFinding));
			finding_merge(other, findings->items, start, middle, end);
			start = end;
			n_runs++;
		}
		if (n_runs > 0)
		{
			LintFinding *sorted = other;

			other = findings->items;
			findings->items = sorted;
			findings->room = findings->n;
		}
	} while (n_runs > 1);
}

/* ---- a script's findings */

/*
 * Appends what a finding says: with a lock "LOCK on relation (size) what the rule
 * says; detail", else "detail: what the rule says". By hand: a format costs more
 * than the rule did.
 */
static void
finding_append_message(StringInfo buf, const LintMessage *message)
{
	bool		on = message->lock_mode != NULL && message->relation != NULL;

	if (on)
	{
		appendStringInfoString(buf, message->lock_mode);
		appendStringInfoString(buf, " on ");
		appendStringInfoString(buf, message->relation);
		if (message->size != NULL)
		{
			appendStringInfoString(buf, " (");
			appendStringInfoString(buf, message->size);
			appendStringInfoChar(buf, ')');
		}
		appendStringInfoChar(buf, ' ');
	}
	else if (message->detail != NULL)
	{
		appendStringInfoString(buf, message->detail);
		appendStringInfoString(buf, ": ");
	}
	appendStringInfoString(buf, message->said);
	if (on && message->detail != NULL)
	{
		appendStringInfoString(buf, "; ");
		appendStringInfoString(buf, message->detail);
	}
}

/* A finding in one line; level: "error: ", or nothing where all are of one. */
static void
lint_append_finding(StringInfo buf, const LintFinding *finding, const char *level)
{
	if (buf->len > 0)
		appendStringInfoChar(buf, '\n');
	if (finding->statement >= 0)
		appendStringInfo(buf, "statement %d, ", finding->statement + 1);
	appendStringInfo(buf, "line %d: %s%s: ", finding->line, level, finding->message->rule);
	finding_append_message(buf, finding->message);
}

/*
 * Does with findings what tapmig.lint says: nothing; a WARNING for each (not
 * for notices), unless they have been warned of; or TM007 where one is an error.
 */
void
lint_report(Script *script, const LintFindings *findings, const Settings *settings, bool warned)
{
	StringInfoData errors;
	int			n_errors = 0;
	const char *advice = NULL;
	const char *rule = NULL;

	if (settings->lint == SETTINGS_ALLOW)
		return;

	initStringInfo(&errors);
	for (int i = 0; i < findings->n; i++)
	{
		const LintFinding *finding = &findings->items[i];
		const LintMessage *message = finding->message;

		if (message->level == LINT_ERROR && settings->lint == SETTINGS_ERROR)
		{
			n_errors++;
			lint_append_finding(&errors, finding, "");
			if (advice == NULL)
			{
				advice = message->advice;
				rule = message->rule;
			}
		}
		else if (message->level != LINT_NOTICE && !warned)
		{
			StringInfoData line;

			initStringInfo(&line);
			lint_append_finding(&line, finding,
								message->level == LINT_ERROR ? "error: " : "warning: ");
			ereport(WARNING,
					(errcode(TAPMIG_ERRCODE_LINT),
					 errmsg("%s", line.data),
					 errhint("%s", message->advice)));
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

/* ---- rows */

/* Texts of C and their lengths, by their addresses. */
typedef struct FindingText
{
	const char *text;
	Size		length;
} FindingText;

#define FINDING_TEXTS 32

/* What rows are formed with. */
typedef struct FindingRows
{
	FindingText texts[FINDING_TEXTS];
	StringInfoData message;
	StringInfoData row;			/* the row under way, a HeapTupleHeader and its data */
	HeapTupleData tuple;		/* the same, when it is done */
} FindingRows;

#define FINDING_COLUMNS 8

/* The length of a text that other rows are likely to have too. */
static Size
finding_text_length(FindingRows *rows, const char *text)
{
	FindingText *kept = &rows->texts[((uintptr_t) text) / MAXIMUM_ALIGNOF % FINDING_TEXTS];

	if (kept->text != text)
	{
		kept->length = strlen(text);
		kept->text = text;
	}
	return kept->length;
}

/*
 * The next column of the row under way, which has space for it, as heap_fill_tuple()
 * has it. NULL: null.
 */
static void
finding_add_text(FindingRows *rows, int column, const char *text, Size length)
{
	StringInfo	row = &rows->row;

	if (text == NULL)
	{
		((HeapTupleHeader) row->data)->t_infomask |= HEAP_HASNULL;
		return;
	}
	((HeapTupleHeader) row->data)->t_bits[0] |= 1 << column;
	if (length + VARHDRSZ_SHORT <= VARATT_SHORT_MAX)
	{
		SET_VARSIZE_SHORT(row->data + row->len, length + VARHDRSZ_SHORT);
		row->len += VARHDRSZ_SHORT;
	}
	else
	{
		while (row->len % ALIGNOF_INT != 0)
			row->data[row->len++] = '\0';
		SET_VARSIZE(row->data + row->len, length + VARHDRSZ);
		row->len += VARHDRSZ;
	}
	memcpy(row->data + row->len, text, length);
	row->len += length;
}

/*
 * The row of a message, without its place. heap_form_tuple() would take longer than
 * the rules of most statements take, for it knows nothing of the columns.
 */
static HeapTuple
finding_form_row(FindingRows *rows, const LintMessage *message)
{
	StringInfo	row = &rows->row;
	int			offset = MAXALIGN(SizeofHeapTupleHeader + BITMAPLEN(FINDING_COLUMNS));
	const char *level = lint_level_name(message->level);
	Size		rule_length = finding_text_length(rows, message->rule);
	Size		level_length = finding_text_length(rows, level);
	Size		relation_length = message->relation == NULL ? 0 : strlen(message->relation);
	Size		lock_length = message->lock_mode == NULL ? 0 :
		finding_text_length(rows, message->lock_mode);
	Size		advice_length = finding_text_length(rows, message->advice);
	HeapTupleHeader header;

	resetStringInfo(&rows->message);
	finding_append_message(&rows->message, message);
	resetStringInfo(row);
	enlargeStringInfo(row, offset + 2 * sizeof(int32) + rule_length + level_length + relation_length +
					  lock_length + rows->message.len + advice_length +
					  FINDING_COLUMNS * (VARHDRSZ + ALIGNOF_INT));
	memset(row->data, 0, offset);
	row->len = offset + 2 * sizeof(int32);
	header = (HeapTupleHeader) row->data;
	header->t_hoff = offset;
	header->t_infomask = HEAP_HASVARWIDTH;
	HeapTupleHeaderSetNatts(header, FINDING_COLUMNS);
	header->t_bits[0] = 3;		/* the place */
	finding_add_text(rows, 2, message->rule, rule_length);
	finding_add_text(rows, 3, level, level_length);
	finding_add_text(rows, 4, message->relation, relation_length);
	finding_add_text(rows, 5, message->lock_mode, lock_length);
	finding_add_text(rows, 6, rows->message.data, rows->message.len);
	finding_add_text(rows, 7, message->advice, advice_length);
	if ((header->t_infomask & HEAP_HASNULL) == 0)
		header->t_bits[0] = 0;
	rows->tuple.t_data = header;
	rows->tuple.t_len = row->len;
	return &rows->tuple;
}

/* The row of a finding that stands in no statement; there are few. */
static void
finding_put_alone(const LintFinding *finding, Tuplestorestate *store, TupleDesc desc)
{
	LintMessage *message = finding->message;
	StringInfoData buf;
	Datum		values[FINDING_COLUMNS] = {0};
	bool		nulls[FINDING_COLUMNS] = {true};

	initStringInfo(&buf);
	finding_append_message(&buf, message);
	values[1] = Int32GetDatum(finding->line);
	values[2] = CStringGetTextDatum(message->rule);
	values[3] = CStringGetTextDatum(lint_level_name(message->level));
	nulls[4] = message->relation == NULL;
	values[4] = nulls[4] ? (Datum) 0 : CStringGetTextDatum(message->relation);
	nulls[5] = message->lock_mode == NULL;
	values[5] = nulls[5] ? (Datum) 0 : CStringGetTextDatum(message->lock_mode);
	values[6] = CStringGetTextDatum(buf.data);
	values[7] = CStringGetTextDatum(message->advice);
	tuplestore_putvalues(store, desc, values, nulls);
}

/*
 * Adds the findings to the rows of tapmig.lint. Of a message that several share,
 * one row is formed, and the place written into it for each of them.
 */
void
lint_put_rows(const LintFindings *findings, Tuplestorestate *store, TupleDesc desc)
{
	FindingRows rows;

	Assert(desc->natts == FINDING_COLUMNS);
	memset(&rows, 0, sizeof(rows));
	initStringInfo(&rows.message);
	initStringInfo(&rows.row);
	for (int i = 0; i < findings->n; i++)
	{
		const LintFinding *finding = &findings->items[i];
		LintMessage *message = finding->message;
		HeapTuple	row = message->row;
		int32	   *place;

		CHECK_FOR_INTERRUPTS();
		if (finding->statement < 0)
		{
			finding_put_alone(finding, store, desc);
			continue;
		}
		if (row == NULL)
		{
			row = finding_form_row(&rows, message);
			if (message->findings > 1)
				row = message->row = heap_copytuple(row);
		}
		place = (int32 *) ((char *) row->t_data + row->t_data->t_hoff);
		place[0] = finding->statement + 1;
		place[1] = finding->line;
		tuplestore_puttuple(store, row);
	}
}
