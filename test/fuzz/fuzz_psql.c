/*
 * fuzz_psql.c
 *		psql's own splitter: psqlscan.o of the server's libpgfeutils.a, fed line by
 *		line as psql's main loop does.
 *
 * It is frontend code: what it calls there and the backend lacks stands here.
 * The build gives its stdin, stdout and stderr other names, since an object
 * that was not made for a shared library can't reach the C library's, and one
 * function that only some versions' backends have under its own name.
 */
#include "postgres.h"

#include "fe_utils/psqlscan.h"
#include "mb/pg_wchar.h"

#include "fuzz.h"

FILE	   *fuzz_stdin = NULL;
FILE	   *fuzz_stdout = NULL;
FILE	   *fuzz_stderr = NULL;

extern int	PQmblen(const char *s, int encoding);
extern int	fuzz_valid_server_encoding_id(int encoding);
extern void pg_log_generic(int level, int part, const char *fmt,...);
extern void *pg_malloc(size_t size);
extern void *pg_malloc0(size_t size);
extern char *pg_strdup(const char *in);

int
PQmblen(const char *s, int encoding)
{
	return pg_encoding_mblen(encoding, s);
}

int
fuzz_valid_server_encoding_id(int encoding)
{
	return PG_VALID_BE_ENCODING(encoding);
}

void
pg_log_generic(int level, int part, const char *fmt,...)
{
}

void *
pg_malloc(size_t size)
{
	void	   *result = malloc(size);

	if (result == NULL)
		abort();
	return result;
}

void *
pg_malloc0(size_t size)
{
	return memset(pg_malloc(size), 0, size);
}

char *
pg_strdup(const char *in)
{
	return strcpy(pg_malloc(strlen(in) + 1), in);
}

void
appendBinaryPQExpBuffer(PQExpBuffer str, const char *data, size_t datalen)
{
	if (str->len + datalen + 1 > str->maxlen)
	{
		str->maxlen = (str->len + datalen + 1) * 2;
		str->data = realloc(str->data, str->maxlen);
		if (str->data == NULL)
			abort();
	}
	memcpy(str->data + str->len, data, datalen);
	str->len += datalen;
	str->data[str->len] = '\0';
}

void
appendPQExpBufferStr(PQExpBuffer str, const char *data)
{
	appendBinaryPQExpBuffer(str, data, strlen(data));
}

void
appendPQExpBufferChar(PQExpBuffer str, char ch)
{
	appendBinaryPQExpBuffer(str, &ch, 1);
}

/*
 * What psql would send of a script, as a list of palloc'd strings. *understood is
 * false where it holds a psql command, which is not followed.
 */
List *
fuzz_psql_split(const char *text, size_t len, bool std_strings, bool *understood)
{
	PsqlScanCallbacks callbacks = {NULL};
	PsqlScanState state = psql_scan_create(&callbacks);
	PQExpBufferData query = {0};
	List	   *result = NIL;
	const char *end = text + len;

	*understood = true;
	appendPQExpBufferStr(&query, "");
	while (text < end && *understood)
	{
		const char *newline = memchr(text, '\n', end - text);
		size_t		length = newline ? (size_t) (newline - text) : (size_t) (end - text);
		char	   *line = pnstrdup(text, length);
		ssize_t		added_newline = -1;

		text += length + 1;
		if (line[0] == '\0' && !psql_scan_in_quote(state))
			continue;
		if (query.len > 0)
		{
			appendPQExpBufferChar(&query, '\n');
			added_newline = query.len;
		}
		psql_scan_setup(state, line, (int) length, GetDatabaseEncoding(), std_strings);
		for (;;)
		{
			promptStatus_t prompt = PROMPT_READY;
			PsqlScanResult r = psql_scan(state, &query, &prompt);

			if (r == PSCAN_SEMICOLON)
			{
				result = lappend(result, pstrdup(query.data));
				query.len = 0;
				query.data[0] = '\0';
				added_newline = -1;
				continue;
			}
			if (r == PSCAN_BACKSLASH)
				*understood = false;
			break;
		}
		psql_scan_finish(state);
		if (added_newline >= 0 && query.len == (size_t) added_newline)
			query.data[--query.len] = '\0';
		pfree(line);
	}
	if (query.len > 0)
		result = lappend(result, pstrdup(query.data));
	free(query.data);
	psql_scan_destroy(state);
	return result;
}
