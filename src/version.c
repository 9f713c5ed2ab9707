/*
 * version.c
 *		Parse and order the versions of migrations.
 *
 * Pure: reads no table and no setting.  All results are palloc'd in the
 * caller's memory context, so an error leaves nothing behind.
 *
 * The text may be in any server encoding.  All of them keep ASCII bytes out of
 * multi-byte characters, so that digits and separators can be found bytewise.
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"

#include "version.h"

/* How much of a refused argument an error message repeats, in characters. */
#define VERSION_QUOTED_CHARS 40

static bool
version_is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* What may stand between a version and its name. */
static bool
version_is_separator(char c)
{
	return c == '_' || c == '-' || c == '.';
}

/*
 * Whether the text begins like YYYY-MM-DD, a day that may be one.
 */
static bool
version_begins_like_date(const char *text)
{
	static const char pattern[] = "dddd-dd-dd";
	int			month;
	int			day;

	for (int i = 0; pattern[i] != '\0'; i++)
	{
		if (pattern[i] == 'd' ? !version_is_digit(text[i]) : text[i] != pattern[i])
			return false;
	}
	if (version_is_digit(text[10]))
		return false;

	month = (text[5] - '0') * 10 + (text[6] - '0');
	day = (text[8] - '0') * 10 + (text[9] - '0');
	return month >= 1 && month <= 12 && day >= 1 && day <= 31;
}

/*
 * The end of the longest version at the beginning of text, or NULL where there
 * is none.  underscores_until: up to there a '_' between digits goes on with
 * the version; NULL: it never does.
 */
static const char *
version_find_end(const char *text, const char *underscores_until)
{
	const char *end = NULL;
	const char *p = text;

	while (version_is_digit(*p))
	{
		while (version_is_digit(*p))
			p++;

		/* A run of digits that something else follows belongs to the name. */
		if (*p != '\0' && !version_is_separator(*p))
			break;
		end = p;

		if (*p == '\0')
			break;
		if (*p == '_' && (underscores_until == NULL || p >= underscores_until))
			break;
		p++;
	}

	return end;
}

/*
 * The sort key of a version's text: of each run of digits, without its leading
 * zeros, the length in three digits and then the digits; runs joined by '.',
 * which sorts before every digit.
 */
static char *
version_make_key(const char *text)
{
	StringInfoData key;
	const char *p = text;

	initStringInfo(&key);
	while (*p != '\0')
	{
		const char *run;

		while (*p == '0' && version_is_digit(p[1]))
			p++;
		run = p;
		while (version_is_digit(*p))
			p++;

		appendStringInfo(&key, "%s%03d", key.len > 0 ? "." : "", (int) (p - run));
		appendBinaryStringInfo(&key, run, (int) (p - run));

		if (*p != '\0')
			p++;
	}

	return key.data;
}

/* For messages: the argument, or its beginning. */
static char *
version_quote(const char *input)
{
	int			len = strlen(input);
	int			clipped = pg_mbcharcliplen(input, len, VERSION_QUOTED_CHARS);

	return psprintf("%.*s%s", clipped, input, clipped < len ? "..." : "");
}

/*
 * Parse what names a migration: a version alone, or a version with a name
 * behind it ("036_add_index").
 *
 * input is in the server's encoding and valid in it; result is filled in, all
 * strings in the current memory context.  Errors: 22023 where input is empty,
 * has more than VERSION_MAX_CHARS characters, holds a control character, or
 * doesn't begin with a version.
 */
void
version_parse(const char *input, Version *result)
{
	const char *begin = input;
	const char *end;
	const char *underscores_until = NULL;
	bool		is_date;
	StringInfoData text;
	int			chars;

	if (input[0] == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("version is empty"),
				 errhint("Name the migration by its version, such as \"036\" or \"036_add_index\".")));

	chars = pg_mbstrlen(input);
	if (chars > VERSION_MAX_CHARS)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("version is too long: \"%s\"", version_quote(input)),
				 errdetail("It has %d characters with its name; at most %d are allowed.",
						   chars, VERSION_MAX_CHARS),
				 errhint("Shorten the migration's name.")));

	/* It is shown in messages, file names and pg_stat_activity. */
	for (const char *p = input; *p != '\0'; p++)
	{
		if ((unsigned char) *p < ' ' || *p == 0x7f)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("version holds a control character"),
					 errhint("Rename the migration without line ends, tabs and the like.")));
	}

	if ((input[0] == 'V' || input[0] == 'v') && version_is_digit(input[1]))
	{
		begin++;
		underscores_until = strstr(begin, "__");
	}

	end = version_find_end(begin, underscores_until);
	if (end == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("no version at the beginning of \"%s\"", version_quote(input)),
				 errdetail("A version is digits, in groups joined by \".\" or \"-\", followed by \"_\", \"-\", \".\" or the end."),
				 errhint("Name the migration like \"036_add_index\", \"1.10_add_index\" or \"20260114093000_add_index\".")));

	/* Only the version itself decides: in 2017-10-08x the version is 2017-10. */
	is_date = version_begins_like_date(begin) && end - begin >= 10;

	initStringInfo(&text);
	for (const char *p = begin; p < end; p++)
	{
		if (*p == '-' && is_date)
			continue;
		appendStringInfoChar(&text, *p == '_' ? '.' : *p);
	}

	while (version_is_separator(*end))
		end++;

	result->text = text.data;
	result->name = *end == '\0' ? NULL : pstrdup(end);
	result->label = result->name == NULL ? pstrdup(text.data) :
		psprintf("%s_%s", text.data, result->name);
	result->key = version_make_key(text.data);
}

/*
 * Order two keys made by version_parse(): -1, 0 or 1 as a sorts before, with
 * or behind b.
 */
int
version_compare_keys(const char *a, const char *b)
{
	int			order = strcmp(a, b);

	return (order > 0) - (order < 0);
}
