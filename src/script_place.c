/*
 * script_place.c
 *		Places in a script, and how messages name them; pure.
 *
 * Whatever is said of a script is said with its line, and with a short piece of
 * the statement at most: a script may be long, and may hold secrets.
 */
#include "postgres.h"

#include <ctype.h>

#include "mb/pg_wchar.h"

#include "script_internal.h"

/* Longest primary message that is passed on, in bytes. */
#define SCRIPT_MESSAGE_MAX 1000

/* Longest "at or near" of a scanner's or parser's message, in bytes. */
#define SCRIPT_QUOTE_MAX 120

/* Drops a byte order mark; *len is in bytes. */
const char *
script_bom_skip(const char *text, size_t *len)
{
	if (GetDatabaseEncoding() == PG_UTF8 && *len >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0)
	{
		*len -= 3;
		return text + 3;
	}
	return text;
}

/*
 * The line, from 1, of a byte of the script, and its column, from 1 in
 * characters, where column is not NULL.
 */
int
script_line_at(const Script *script, size_t offset, int *column)
{
	int			line = 1;
	size_t		line_start = 0;
	const char *p = script->text;
	const char *end = script->text + Min(offset, script->len);

	while ((p = memchr(p, '\n', end - p)) != NULL)
	{
		line++;
		p++;
		line_start = p - script->text;
	}
	if (column != NULL)
		*column = 1 + pg_mbstrlen_with_len(script->text + line_start,
										   (int) (end - script->text - line_start));
	return line;
}

/* The text of a statement as the parser gets it; palloc'd. */
char *
script_statement_text(const Script *script, int index)
{
	const ScriptStatement *s = &script->statements[index];

	if (s->rewritten != NULL)
		return pstrdup(s->rewritten);
	return pnstrdup(script->work + s->start, s->end - s->start);
}

/*
 * [start, end) on one line and clipped to SCRIPT_EXCERPT_CHARS, for messages;
 * palloc'd.
 */
char *
script_excerpt(const char *start, const char *end)
{
	StringInfoData buf;
	int			chars = 0;
	bool		space = false;

	initStringInfo(&buf);
	while (start < end)
	{
		int			width = pg_mblen(start);

		if (isspace((unsigned char) *start))
			space = buf.len > 0;
		else if (*start == '\0')
			break;
		else
		{
			if (chars + space >= SCRIPT_EXCERPT_CHARS - 3)
			{
				appendStringInfoString(&buf, "...");
				break;
			}
			if (space)
			{
				appendStringInfoChar(&buf, ' ');
				chars++;
				space = false;
			}
			appendBinaryStringInfo(&buf, start, Min(width, (int) (end - start)));
			chars++;
		}
		start += width;
	}
	return buf.data;
}

/* The beginning of a statement on one line, SCRIPT_EXCERPT_CHARS at most. */
char *
script_statement_head(const Script *script, int index)
{
	const ScriptStatement *s = &script->statements[index];
	size_t		end = s->end;

	if (s->rewritten != NULL)
		return script_excerpt(s->rewritten, s->rewritten + strlen(s->rewritten));
	if (end > s->token && script->work[end - 1] == ';')
		end--;
	return script_excerpt(script->work + s->token, script->work + end);
}

/*
 * For an error context callback: adds where in the script the error is. index
 * is the statement's, from 0. position is the error's in the statement's text,
 * from 1 in characters, as geterrposition() has it, or 0. line overrides the
 * line that follows from them, unless it is 0.
 */
void
script_errcontext(Script *script, int index, int position, int line)
{
	const ScriptStatement *s = &script->statements[index];
	StringInfoData where;
	char	   *head;
	int			column = 0;

	if (line == 0)
		line = s->line;
	if (position > 0 && s->rewritten == NULL)
	{
		const char *p = script->work + s->start;
		const char *end = script->work + s->end;

		while (--position > 0 && p < end)
			p += pg_mblen(p);
		line = script_line_at(script, p - script->work, &column);
	}

	script->error_line = line;
	initStringInfo(&where);
	if (script->label != NULL)
		appendStringInfo(&where, "migration %s, ", script->label);
	appendStringInfo(&where, "statement %d", index + 1);
	if (script->complete)
		appendStringInfo(&where, " of %d", script->n_statements);
	appendStringInfo(&where, ", line %d", line);
	if (column > 0)
		appendStringInfo(&where, ", column %d", column);
	head = script_statement_head(script, index);
	errcontext("%s: %s", where.data, head);

	/* A NOTICE leaves what is allocated here until the next error. */
	pfree(head);
	pfree(where.data);
}

/*
 * Cuts a message short: a scanner's or parser's "at or near", which may quote
 * the rest of the script, to what stands on one line; any other only where it
 * is out of all proportion.
 */
void
script_clip_message(ErrorData *edata)
{
	const char *quote;
	const char *newline = NULL;
	int			len;
	int			max = SCRIPT_MESSAGE_MAX;

	if (edata->message == NULL)
		return;
	len = strlen(edata->message);
	quote = strstr(edata->message, " at or near \"");
	if (quote != NULL)
	{
		newline = strchr(quote, '\n');
		max = Min(max, (int) (quote - edata->message) + SCRIPT_QUOTE_MAX);
	}
	if (len <= max && newline == NULL)
		return;
	len = Min(len, max);
	if (newline != NULL)
		len = Min(len, (int) (newline - edata->message));
	len = pg_mbcliplen(edata->message, len, len);
	edata->message = psprintf("%.*s...%s", len, edata->message, quote ? "\"" : "");
}
