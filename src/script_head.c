/*
 * script_head.c
 *		The comment lines at the head of a script: -- Why: and -- tapmig:.
 *
 * Pure. The head ends at the first character that is neither white space nor
 * part of a comment or of a psql command's line, or where another tool's down
 * part begins. What stands after it is not looked at, so a string that holds
 * "-- tapmig:" means nothing. Lines by which other tools divide a file
 * ("-- migrate:up", "-- +goose ...") end a Why:.
 */
#include "postgres.h"

#include <ctype.h>

#include "parser/scansup.h"
#include "utils/builtins.h"
#include "utils/guc.h"

#include "errors.h"
#include "script_internal.h"
#include "version.h"

typedef struct HeadKey
{
	const char *name;
	bool		single;			/* may have one value only */
	bool		names;			/* quotes are an identifier's, and stay */
} HeadKey;

static const HeadKey head_keys[] = {
	{"allow", false, false},
	{"approved-by", true, false},
	{"compensates", false, false},
	{"lock_timeout", true, false},
	{"loses", false, true},
	{"replaces", false, false},
	{"requires", false, false},
	{"store", true, false},
};

#define HEAD_KNOWN_KEYS "allow, approved-by, compensates, lock_timeout, loses, replaces, requires, store"

typedef struct HeadValues
{
	List	   *values[lengthof(head_keys)];
	int			lines[lengthof(head_keys)]; /* of the last value */
	int			last;			/* index of the key that a bare item continues, -1: none */
} HeadValues;

/* White space within a line: the scanner's, so that nothing else is passed over. */
static bool
head_is_space(char c)
{
	return c != '\n' && scanner_isspace(c);
}

/* As much of a text as a message shows; palloc'd. */
static char *
head_quote(const char *text)
{
	return script_excerpt(text, text + strlen(text));
}

/* A palloc'd copy of [start, end) without white space at its ends. */
static char *
head_trim(const char *start, const char *end)
{
	while (start < end && (head_is_space(*start) || *start == '\n'))
		start++;
	while (end > start && (head_is_space(end[-1]) || end[-1] == '\n'))
		end--;
	return pnstrdup(start, end - start);
}

/*
 * Byte after the block comment that begins at pos (nested ones included), or
 * len where it has no end: the scanner reports that.
 */
size_t
script_skip_block_comment(const char *text, size_t pos, size_t len)
{
	int			depth = 0;

	while (pos < len)
	{
		if (text[pos] == '/' && pos + 1 < len && text[pos + 1] == '*')
		{
			depth++;
			pos += 2;
		}
		else if (text[pos] == '*' && pos + 1 < len && text[pos + 1] == '/')
		{
			pos += 2;
			if (--depth == 0)
				return pos;
		}
		else
			pos++;
	}
	return len;
}

static void
head_error(int line, const char *detail, const char *item)
{
	ereport(ERROR,
			(errcode(TAPMIG_ERRCODE_NOT_UNDERSTOOD),
			 errmsg("directive \"%s\" on line %d is not understood",
					head_quote(item), line),
			 errdetail("%s", detail),
			 errhint("Known keys of \"-- tapmig: key=value\" are: %s.", HEAD_KNOWN_KEYS)));
}

/* A name in quotes that are the directive's, since SQL would need none. */
static bool
head_is_plain_name(const char *text)
{
	size_t		len = strspn(text + 1, "abcdefghijklmnopqrstuvwxyz0123456789_$.");

	return text[0] == '"' && text[1 + len] == '"' && text[2 + len] == '\0';
}

/* Takes one item, "key=value" or a further value of the key before it. */
static void
head_item(HeadValues *head, const char *item, int line)
{
	size_t		key_len = strspn(item, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-");
	const char *after = item + key_len;
	const char *value = item;
	char	   *text;

	while (head_is_space(*after))
		after++;
	if (*after == '=')
	{
		head->last = -1;
		for (int i = 0; i < (int) lengthof(head_keys); i++)
		{
			if (strlen(head_keys[i].name) == key_len &&
				pg_strncasecmp(head_keys[i].name, item, key_len) == 0)
				head->last = i;
		}
		if (head->last < 0)
			head_error(line, "The key is not known.", item);
		value = after + 1;
		if (head_keys[head->last].single && head->values[head->last] != NIL)
			head_error(line, "The key is given twice.", item);
	}
	else if (head->last < 0)
		head_error(line, "It is not of the form key=value.", item);
	else if (head_keys[head->last].single)
		head_error(line, psprintf("The key \"%s\" takes one value; one that holds a comma is written in double quotes.",
								  head_keys[head->last].name), item);

	text = head_trim(value, value + strlen(value));
	if (text[0] == '"' && (!head_keys[head->last].names || head_is_plain_name(text)))
	{
		char	   *to = text;
		char	   *from = text + 1;

		for (;; from++)
		{
			if (*from == '"' && from[1] == '"')
				from++;
			else if (*from == '"' || *from == '\0')
				break;
			*to++ = *from;
		}
		if (*from == '\0' || from[1] != '\0')
			head_error(line, "The quotes do not match.", item);
		*to = '\0';
	}
	if (text[0] == '\0')
		head_error(line, "The value is empty.", item);
	head->values[head->last] = lappend(head->values[head->last], text);
	head->lines[head->last] = line;
}

/* Takes what stands after "tapmig:" on one line: items with commas between. */
static void
head_items(HeadValues *head, char *items, int line)
{
	char	   *start = items;
	bool		quoted = false;

	for (char *p = items;; p++)
	{
		if (*p == '"')
			quoted = !quoted;
		if (*p == '\0' || (*p == ',' && !quoted))
		{
			char	   *item = head_trim(start, p);

			if (item[0] == '\0')
				head_error(line, "An item is empty.", items);
			head_item(head, item, line);
			if (*p == '\0')
				break;
			start = p + 1;
		}
	}
}

/* The values of a key; errors about them are on its line from here on. */
static List *
head_values(Script *script, const HeadValues *head, const char *name)
{
	for (int i = 0; i < (int) lengthof(head_keys); i++)
	{
		if (strcmp(head_keys[i].name, name) == 0)
		{
			script->error_line = head->lines[i];
			return head->values[i];
		}
	}
	elog(ERROR, "unknown directive \"%s\"", name);
	return NIL;					/* keep compiler quiet */
}

/* Every directive as {"key": ["value", ...]}; NULL where there is none. */
static Jsonb *
head_jsonb(const HeadValues *head)
{
	JsonbParseState *state = NULL;
	JsonbValue *object;
	bool		any = false;

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	for (int i = 0; i < (int) lengthof(head_keys); i++)
	{
		JsonbValue	value;
		ListCell   *lc;

		if (head->values[i] == NIL)
			continue;
		any = true;
		value.type = jbvString;
		value.val.string.val = unconstify(char *, head_keys[i].name);
		value.val.string.len = strlen(head_keys[i].name);
		pushJsonbValue(&state, WJB_KEY, &value);
		pushJsonbValue(&state, WJB_BEGIN_ARRAY, NULL);
		foreach(lc, head->values[i])
		{
			value.val.string.val = lfirst(lc);
			value.val.string.len = strlen(lfirst(lc));
			pushJsonbValue(&state, WJB_ELEM, &value);
		}
		pushJsonbValue(&state, WJB_END_ARRAY, NULL);
	}
	object = pushJsonbValue(&state, WJB_END_OBJECT, NULL);
	return any ? JsonbValueToJsonb(object) : NULL;
}

/* One version of a directive; TM009 where it is none. */
static void
head_check_version(const char *text, const char *key, const char *value, Version *version)
{
	MemoryContext context = CurrentMemoryContext;

	PG_TRY();
	{
		version_parse(text, version);
	}
	PG_CATCH();
	{
		ErrorData  *edata;

		MemoryContextSwitchTo(context);
		edata = CopyErrorData();
		FlushErrorState();
		ereport(ERROR,
				(errcode(TAPMIG_ERRCODE_NOT_UNDERSTOOD),
				 errmsg("directive \"%s=%s\" is not understood", key, head_quote(value)),
				 errdetail("Its value: %s.", edata->message),
				 errhint("Write versions, such as 036, with commas between them.")));
	}
	PG_END_TRY();
}

/* Refuses a value that is no version, or no range of them where one may be. */
static void
head_check_versions(List *values, const char *key, bool ranges)
{
	ListCell   *lc;

	foreach(lc, values)
	{
		char	   *value = lfirst(lc);
		char	   *dots = ranges ? strstr(value, "..") : NULL;
		Version		first;
		Version		last;

		head_check_version(dots ? pnstrdup(value, dots - value) : value, key, value, &first);
		if (dots == NULL)
			continue;
		head_check_version(dots + 2, key, value, &last);
		if (version_compare_keys(first.key, last.key) > 0)
			ereport(ERROR,
					(errcode(TAPMIG_ERRCODE_NOT_UNDERSTOOD),
					 errmsg("directive \"%s=%s\" is not understood", key, head_quote(value)),
					 errdetail("The range ends before it begins."),
					 errhint("Write it as first..last.")));
	}
}

/*
 * The next part of a name, as SQL reads an identifier; *text is moved behind it.
 * NULL where there is none.
 */
static char *
head_name_part(char **text)
{
	char	   *p = *text;
	char	   *start;
	char	   *part;

	while (head_is_space(*p))
		p++;
	start = p;
	if (*p == '"')
	{
		char	   *to = part = palloc(strlen(p) + 1);

		for (p++; *p != '\0'; p++)
		{
			if (*p == '"' && p[1] != '"')
				break;
			if (*p == '"')
				p++;
			*to++ = *p;
		}
		if (*p != '"')
			return NULL;
		p++;
		*to = '\0';
	}
	else
	{
		while (*p != '\0' && *p != '.' && *p != '"' && !head_is_space(*p))
			p++;
		part = downcase_identifier(start, p - start, false, false);
	}
	while (head_is_space(*p))
		p++;
	*text = p;
	truncate_identifier(part, strlen(part), false);
	return part[0] == '\0' ? NULL : part;
}

/* Reads the names of tables and columns; TM009 where one is none. */
static List *
head_check_names(List *values, const char *key)
{
	List	   *names = NIL;
	ListCell   *lc;

	foreach(lc, values)
	{
		char	   *value = lfirst(lc);
		char	   *p = value;
		ScriptName *name = palloc0(sizeof(ScriptName));
		bool		good = true;

		name->text = value;
		do
		{
			char	   *part = head_name_part(&p);

			good = part != NULL && name->n < SCRIPT_NAME_PARTS && (*p == '.' || *p == '\0');
			if (good)
				name->parts[name->n++] = part;
		} while (good && *p++ == '.');
		if (!good)
			ereport(ERROR,
					(errcode(TAPMIG_ERRCODE_NOT_UNDERSTOOD),
					 errmsg("directive \"%s=%s\" is not understood", key, head_quote(value)),
					 errdetail("It does not name a table or a column."),
					 errhint("Write table, schema.table, table.column or schema.table.column, in double quotes what SQL would need them for.")));
		names = lappend(names, name);
	}
	return names;
}

static void
head_check(Script *script, const HeadValues *head)
{
	ScriptDirectives *d = &script->directives;
	List	   *values;

	d->requires = head_values(script, head, "requires");
	head_check_versions(d->requires, "requires", false);
	d->compensates = head_values(script, head, "compensates");
	head_check_versions(d->compensates, "compensates", false);
	d->replaces = head_values(script, head, "replaces");
	head_check_versions(d->replaces, "replaces", true);

	d->allow = head_values(script, head, "allow");
	if (d->allow != NIL)
		d->allow_line = script->error_line;

	d->lock_timeout_ms = -1;
	values = head_values(script, head, "lock_timeout");
	if (values != NIL)
	{
		const char *hint = NULL;

		if (!parse_int(linitial(values), &d->lock_timeout_ms, GUC_UNIT_MS, &hint) ||
			d->lock_timeout_ms < 0)
			ereport(ERROR,
					(errcode(TAPMIG_ERRCODE_NOT_UNDERSTOOD),
					 errmsg("directive \"lock_timeout=%s\" is not understood",
							head_quote(linitial(values))),
					 errdetail("It is not a length of time."),
					 errhint("Write 2s or 500ms, or 0 for none.")));
	}

	d->store = true;
	values = head_values(script, head, "store");
	if (values != NIL && !parse_bool(linitial(values), &d->store))
		ereport(ERROR,
				(errcode(TAPMIG_ERRCODE_NOT_UNDERSTOOD),
				 errmsg("directive \"store=%s\" is not understood",
						head_quote(linitial(values))),
				 errdetail("It is neither on nor off."),
				 errhint("Write store=off to keep the script's text out of tapmig.scripts.")));

	d->loses = head_check_names(head_values(script, head, "loses"), "loses");
	if (d->loses != NIL && head_values(script, head, "approved-by") == NIL)
		ereport(ERROR,
				(errcode(TAPMIG_ERRCODE_NOT_UNDERSTOOD),
				 errmsg("directive \"loses\" needs \"approved-by\""),
				 errdetail("Nobody is named who agreed to the loss."),
				 errhint("Write who agreed to the loss: -- tapmig: loses=%s, approved-by=\"name, ticket\"",
						 head_quote(linitial(head_values(script, head, "loses"))))));

	script->error_line = 0;
	d->all = head_jsonb(head);
}

/* What stands after the word at the beginning of a comment's text, or NULL. */
static char *
head_after_word(char *comment, const char *word)
{
	size_t		len = strlen(word);

	return pg_strncasecmp(comment, word, len) == 0 ? comment + len : NULL;
}

/* Whether one of the psql commands of a line is \copy. */
static bool
head_has_copy(const char *command, const char *end)
{
	for (; end - command >= 5; command++)
	{
		if (strncmp(command, "\\copy", 5) == 0 &&
			(end - command == 5 || !isalnum((unsigned char) command[5])))
			return true;
	}
	return false;
}

/*
 * Fills script->directives from the head of the script. Errors: TM009 for what
 * is not understood, 22023 for a value that is no version.
 */
void
script_head_read(Script *script)
{
	const char *text = script->text;
	size_t		len = script->len;
	size_t		pos = 0;
	int			line = 1;
	int			tool;
	bool		in_why = false;
	ScriptMarker marker;
	StringInfoData why;
	HeadValues	head;

	memset(&head, 0, sizeof(head));
	head.last = -1;
	initStringInfo(&why);

	while (pos < len)
	{
		size_t		line_end = pos;
		char	   *comment;
		char	   *rest;

		if (text[pos] == '\n')
		{
			/* A line that holds nothing else ends a Why: */
			if (pos > 0)
			{
				size_t		before = pos;

				while (before > 0 && head_is_space(text[before - 1]))
					before--;
				if (before == 0 || text[before - 1] == '\n')
					in_why = false;
			}
			line++;
			pos++;
			continue;
		}
		if (head_is_space(text[pos]))
		{
			pos++;
			continue;
		}
		if (text[pos] == '/' && pos + 1 < len && text[pos + 1] == '*')
		{
			size_t		end = script_skip_block_comment(text, pos, len);

			for (; pos < end; pos++)
			{
				if (text[pos] == '\n')
					line++;
			}
			in_why = false;
			continue;
		}
		if (text[pos] == '\\')
		{
			while (line_end < len && text[line_end] != '\n')
				line_end++;
			/* A statement, and its data may follow. */
			if (head_has_copy(text + pos, text + line_end))
				break;
			/* SQL may follow in its line. */
			while (pos + 1 < line_end && !(text[pos] == '\\' && text[pos + 1] == '\\'))
				pos++;
			if (pos + 1 < line_end)
				break;
			in_why = false;
			pos = line_end;
			continue;
		}
		if (text[pos] != '-' || pos + 1 >= len || text[pos + 1] != '-')
			break;

		line_end = script_line_end(text, pos, len);
		marker = script_marker(text, pos, len, &tool);
		if (marker == SCRIPT_MARKER_DOWN)
			break;
		comment = head_trim(text + pos + 2, text + line_end);
		if ((rest = head_after_word(comment, "tapmig:")) != NULL)
		{
			in_why = false;
			script->error_line = line;
			head_items(&head, head_trim(rest, rest + strlen(rest)), line);
		}
		else if ((rest = head_after_word(comment, "why:")) != NULL)
		{
			in_why = true;
			rest = head_trim(rest, rest + strlen(rest));
			if (why.len > 0)
				appendStringInfoChar(&why, '\n');
			appendStringInfoString(&why, rest);
		}
		else if (marker != SCRIPT_MARKER_NONE || comment[0] == '+')
			in_why = false;
		else if (in_why && comment[0] != '\0')
		{
			if (why.len > 0)
				appendStringInfoChar(&why, ' ');
			appendStringInfoString(&why, comment);
		}
		pos = line_end;
	}

	script->directives.why = why.len > 0 ? why.data : NULL;
	head_check(script, &head);
}
