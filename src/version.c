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
	/* A run of one digit takes five bytes, which is the most for a byte of text. */
	char	   *key = palloc(strlen(text) * 5 + 1);
	char	   *k = key;
	const char *p = text;

	while (*p != '\0')
	{
		const char *run;
		int			len;

		while (*p == '0' && version_is_digit(p[1]))
			p++;
		run = p;
		while (version_is_digit(*p))
			p++;

		len = (int) (p - run);
		if (k > key)
			*k++ = '.';
		*k++ = (char) ('0' + len / 100);
		*k++ = (char) ('0' + len / 10 % 10);
		*k++ = (char) ('0' + len % 10);
		memcpy(k, run, len);
		k += len;

		if (*p != '\0')
			p++;
	}

	*k = '\0';
	return key;
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
	char	   *text;
	size_t		len;

	if (input[0] == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("version is empty"),
				 errhint("Name the migration by its version, such as \"036\" or \"036_add_index\".")));

	if (strlen(input) > VERSION_MAX_CHARS)
	{
		int			chars = pg_mbstrlen(input);

		if (chars > VERSION_MAX_CHARS)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("version is too long: \"%s\"", version_quote(input)),
					 errdetail("It has %d characters with its name; at most %d are allowed.",
							   chars, VERSION_MAX_CHARS),
					 errhint("Shorten the migration's name.")));
	}

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

	text = palloc(end - begin + 1);
	len = 0;
	for (const char *p = begin; p < end; p++)
	{
		if (*p == '-' && is_date)
			continue;
		text[len++] = *p == '_' ? '.' : *p;
	}
	text[len] = '\0';

	while (version_is_separator(*end))
		end++;

	result->text = text;
	result->name = *end == '\0' ? NULL : pstrdup(end);
	if (result->name == NULL)
		result->label = pstrdup(text);
	else
	{
		size_t		name_len = strlen(end);

		result->label = palloc(len + name_len + 2);
		memcpy(result->label, text, len);
		result->label[len] = '_';
		memcpy(result->label + len + 1, end, name_len + 1);
	}
	result->key = version_make_key(text);
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
