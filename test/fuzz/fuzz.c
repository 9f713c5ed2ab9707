/*
 * fuzz.c
 *		libFuzzer in a backend: the SQL function that runs it.
 *
 * tapmig's own files are in this library too, compiled so that libFuzzer sees
 * which of their branches an input takes; the server's scanner and parser are
 * those of the running server. libFuzzer ends the process when it is through
 * or has found something, so that the client only sees its connection end:
 * what there is to say goes to the log.
 *
 * Everything is in one transaction, which is never committed.
 */
#include "postgres.h"

#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <unistd.h>

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "compat.h"
#include "fuzz.h"

/* Bytes of malloc() that may be more after so many inputs than after as many before. */
#define FUZZ_GROWTH		(16 * 1024 * 1024)
#define FUZZ_INTERVAL	50000

extern int	LLVMFuzzerRunDriver(int *argc, char ***argv, int (*callback) (const uint8_t *data, size_t size));

PG_FUNCTION_INFO_V1(tapmig_fuzz);

/* As the server lets no other text in: valid in its encoding, without NUL. */
static char *
fuzz_valid(const uint8_t *data, size_t size)
{
	char	   *text = malloc(size + 1);
	size_t		at = 0;

	if (text == NULL)
		abort();
	memcpy(text, data, size);
	text[size] = '\0';
	for (size_t i = 0; i < size; i++)
	{
		if (text[i] == '\0')
			text[i] = ' ';
	}
	while (at < size)
	{
		at += pg_encoding_verifymbstr(GetDatabaseEncoding(), text + at, (int) (size - at));
		if (at < size)
			text[at++] = '?';
	}
	return text;
}

/* Memory of other allocators than the memory contexts. */
static void
fuzz_watch_malloc(void)
{
	static uint64 inputs = 0;
	static size_t usual = 0;
	size_t		now;

	if (++inputs % FUZZ_INTERVAL != 0)
		return;
	now = mallinfo2().uordblks;
	fprintf(stderr, "FUZZ: %s, %zu MB allocated\n", fuzz_counters(), now / 1024 / 1024);
	if (usual == 0 || now < usual)
		usual = now;
	else if (now > usual + 8 * (size_t) FUZZ_GROWTH)
	{
		fprintf(stderr, "FUZZ: broken: memory grows, from %zu to %zu\n", usual, now);
		abort();
	}
}

static int
fuzz_one(const uint8_t *data, size_t size)
{
	char	   *text = fuzz_valid(data, size);

	CHECK_FOR_INTERRUPTS();
	fuzz_check_script(text, size);
	free(text);
	fuzz_watch_malloc();
	return 0;
}

static void
fuzz_say_end(void)
{
	fprintf(stderr, "FUZZ: end: %s\n", fuzz_counters());
	fflush(stderr);
}

/*
 * tapmig_fuzz(log text, VARIADIC arguments text[]): runs libFuzzer with these
 * arguments; its messages are added to the file `log`. Does not come back, but
 * for a list of files that were all in order.
 */
Datum
tapmig_fuzz(PG_FUNCTION_ARGS)
{
	char	   *log = text_to_cstring(PG_GETARG_TEXT_PP(0));
	Datum	   *values;
	bool	   *nulls;
	int			n;
	char	  **arguments;
	int			fd;
	int			result;

	deconstruct_array(PG_GETARG_ARRAYTYPE_P(1), TEXTOID, -1, false, TYPALIGN_INT, &values, &nulls, &n);
	arguments = palloc((n + 2) * sizeof(char *));
	arguments[0] = "tapmig_fuzz";
	for (int i = 0; i < n; i++)
		arguments[i + 1] = TextDatumGetCString(values[i]);
	arguments[++n] = NULL;

	fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0644);
	if (fd < 0)
		ereport(ERROR, (errcode_for_file_access(), errmsg("could not open \"%s\": %m", log)));
	dup2(fd, STDERR_FILENO);
	close(fd);

	/* libFuzzer's own, for an input that has no end; it respects what is set. */
	signal(SIGALRM, SIG_DFL);
	atexit(fuzz_say_end);
	result = LLVMFuzzerRunDriver(&n, &arguments, fuzz_one);
	PG_RETURN_INT32(result);
}
